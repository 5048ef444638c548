"""What becomes of asked messages when too many wait: the laws of each policy, in one thread."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from actorlab.core.overflow import MailboxPolicy, Overflow
from actorlab.errors import ActorStopped, MailboxFull
from actorlab.kernel import OTHERS, URGENT, Mailbox, Message, Reply, Ticket


def mailbox_with(overflow: Overflow, bound: int = 2) -> Mailbox:
    return Mailbox("oven", MailboxPolicy(bound=bound, overflow=overflow))


def ask(mailbox: Mailbox, key: Hashable = None, *, query: bool = False) -> Message:
    call = Message(query=query)
    assert mailbox.put_asked(call, key) is None
    return call


def take(mailbox: Mailbox) -> Message | None:
    """Take as an actor does: exchange a ticket for a call, and begin it."""
    message = mailbox.get()
    if message.__class__ is Ticket:
        message = mailbox.redeem()
    elif message.number:
        mailbox.count_begun(message.number)
    if message is not None:
        message.begin()
    return message  # type: ignore[no-any-return]  # a mailbox carries any messages


def take_all(mailbox: Mailbox) -> list[Message | None]:
    taken: list[Message | None] = []
    while not mailbox.empty():
        taken.append(take(mailbox))
    return taken


def refusal(call: Reply[Any]) -> str:
    """Return the text of the `MailboxFull` by which a call was answered."""
    error = call.exception(0)
    assert isinstance(error, MailboxFull)
    return str(error)


# -- the laws


class Policy(RuleBasedStateMachine):
    """One sender and one reader, step by step, beside a model.

    `asked` are the asked calls that wait with their keys, in the order in which they are due; `lane` is what lies in
    the holder's lane: messages of blocking callers, and None for one asked call, whichever is due.
    """

    overflow: Overflow = "block"

    @initialize(bound=st.integers(1, 4))
    def open(self, bound: int) -> None:
        self.bound = bound
        self.mailbox = mailbox_with(self.overflow, bound)
        self.asked: list[tuple[Hashable, Message]] = []
        self.lane: list[Message | None] = []
        self.answered: list[tuple[Message, type[BaseException] | None]] = []
        self.spaces: list[Reply[None]] = []

    def full(self, key: Hashable) -> bool:
        """Tell whether a call with this key must wait outside; by `block`, whatever the key is."""
        del key
        return len(self.asked) >= self.bound

    def let_in(self, key: Hashable, call: Message) -> None:
        self.asked.append((key, call))
        self.lane.append(None)

    def dropped(self, call: Message) -> None:
        if (call, None) not in self.answered:
            self.answered.append((call, MailboxFull))

    @rule(key=st.sampled_from("xyz"), query=st.booleans())
    def ask(self, key: str, query: bool) -> None:
        call = Message(query=query)
        if not self.full(key):
            assert self.mailbox.put_asked(call, key) is None
            self.let_in(key, call)
        elif self.overflow == "reject":
            with pytest.raises(MailboxFull):
                self.mailbox.put_asked(call, key)
            assert not call.done()
        else:
            space = self.mailbox.put_asked(call, key)
            assert space is not None
            assert not space.done()
            self.spaces.append(space)

    @rule(query=st.booleans())
    def call_and_block(self, query: bool) -> None:
        message = Message(query=query)
        self.mailbox.put(message)
        self.lane.append(message)

    @precondition(lambda self: self.asked)
    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        _, call = data.draw(st.sampled_from(self.asked))
        call.cancel()
        self.answered.append((call, None))

    @precondition(lambda self: self.lane)
    @rule()
    def take(self) -> None:
        self.expect(take(self.mailbox))

    @rule()
    def take_while_sleeping(self) -> None:
        due = None if not self.lane else self.lane[0] or self.asked[0][1]
        found = self.mailbox.get_while_sleeping(0, lambda message: bool(message.query))
        if due is None or not due.query:
            assert found is None
        else:
            assert found.__class__ is Message, "the ticket was exchanged"
            if found.number:
                self.mailbox.count_begun(found.number)
            found.begin()
            self.expect(found)

    def expect(self, taken: Message | None) -> None:
        place = self.lane.pop(0)
        if place is None:
            assert taken is self.asked.pop(0)[1]
            assert all(space.done() for space in self.spaces), "who waits for space looks again"
            self.spaces.clear()
        else:
            assert taken is place
        assert taken is not None
        if not taken.done():
            assert taken.running()
            taken.finish("value", None)

    @rule()
    def close(self) -> None:
        self.mailbox.close()
        left = [call for _, call in self.asked] + [message for message in self.lane if message is not None]
        assert all(call.done() for call in left)
        assert all(space.done() for space in self.spaces)
        with pytest.raises(ActorStopped):
            self.mailbox.put_asked(Message())
        self.mailbox.forget()
        assert len(self.mailbox._room or ()) == 0
        self.open(self.bound)

    @invariant()
    def all_that_wait_are_counted(self) -> None:
        assert self.mailbox.waiting == len(self.lane)
        assert len(self.asked) == self.lane.count(None) <= self.bound
        assert self.mailbox._inbox.qsize() + self.mailbox._kept <= len(self.lane), "memory is bounded"

    @invariant()
    def who_waits_is_not_answered_and_who_gave_way_is(self) -> None:
        cancelled = [call for call, error in self.answered if error is None]
        assert all(call.done() == (call in cancelled) for _, call in self.asked)
        assert all(isinstance(call.exception(0), error) for call, error in self.answered if error is not None)


class Reject(Policy):
    overflow = "reject"


class DropOldest(Policy):
    overflow = "drop_oldest"

    def full(self, key: Hashable) -> bool:
        del key
        return False

    def let_in(self, key: Hashable, call: Message) -> None:
        if len(self.asked) < self.bound:
            super().let_in(key, call)
        else:
            self.dropped(self.asked.pop(0)[1])
            self.asked.append((key, call))


class Conflate(Policy):
    overflow = "conflate"

    def full(self, key: Hashable) -> bool:
        return len(self.asked) >= self.bound and key not in dict(self.asked)

    def let_in(self, key: Hashable, call: Message) -> None:
        for place, (other, old) in enumerate(self.asked):
            if other == key:
                self.dropped(old)
                self.asked[place] = (key, call)
                return
        super().let_in(key, call)


for machine in (Policy, Reject, DropOldest, Conflate):
    machine.TestCase.settings = settings(max_examples=60, stateful_step_count=40)
TestBlock = Policy.TestCase
TestReject = Reject.TestCase
TestDropOldest = DropOldest.TestCase
TestConflate = Conflate.TestCase


# -- each policy, in an example


def test_reject_raises_at_once_and_says_how_many_wait() -> None:
    mailbox = mailbox_with("reject")
    calls = [ask(mailbox), ask(mailbox)]
    late = Message()
    with pytest.raises(MailboxFull, match=r"oven: 2 asked calls wait already \(overflow='reject'\)"):
        mailbox.put_asked(late)
    take(mailbox)
    assert mailbox.put_asked(late) is None
    assert take_all(mailbox) == [calls[1], late]


def test_drop_oldest_answers_the_oldest_and_keeps_the_order_of_the_others() -> None:
    mailbox = mailbox_with("drop_oldest")
    calls = [ask(mailbox) for _ in range(5)]
    assert [call.done() for call in calls] == [True, True, True, False, False]
    assert refusal(calls[0]).startswith("oven: dropped before it began, as 2 newer calls wait (overflow='drop_oldest')")
    assert take_all(mailbox) == calls[3:]
    assert not calls[0].begin()


def test_conflate_answers_the_older_one_of_the_same_key_whose_place_the_newer_takes() -> None:
    mailbox = mailbox_with("conflate")
    old, other, new = ask(mailbox, "x"), ask(mailbox, "y"), ask(mailbox, "x")
    assert refusal(old).startswith("oven: dropped before it began: a newer call with the same key replaced it")
    assert take_all(mailbox) == [new, other]


def test_a_key_that_is_asked_for_all_the_time_starves_no_other() -> None:
    mailbox = mailbox_with("conflate")
    keys: dict[Message, str] = {}
    taken: list[str] = []
    for _ in range(6):
        for key in "xyxy":
            keys[ask(mailbox, key)] = key
        call = take(mailbox)
        assert call is not None
        taken.append(keys[call])
    assert taken == list("xyxyxy")


def test_conflate_blocks_when_it_is_full_of_other_keys() -> None:
    mailbox = mailbox_with("conflate")
    calls = [ask(mailbox, "x"), ask(mailbox, "y")]
    late = Message()
    space = mailbox.put_asked(late, "z")
    assert space is not None
    calls.append(ask(mailbox, "y"))
    assert not space.done(), "one that is replaced makes no space"
    assert take(mailbox) is calls[0]
    assert space.wait(0)
    assert mailbox.put_asked(late, "z") is None
    assert take_all(mailbox) == [calls[2], late]


@pytest.mark.parametrize("overflow", ["drop_oldest", "conflate"])
def test_what_has_begun_is_never_dropped(overflow: Overflow) -> None:
    mailbox = mailbox_with(overflow, bound=1)
    begun = ask(mailbox)
    assert take(mailbox) is begun
    later = [ask(mailbox) for _ in range(3)]
    assert not begun.done()
    assert begun.running()
    assert [call.done() for call in later] == [True, True, False]


@pytest.mark.parametrize("overflow", ["drop_oldest", "conflate"])
def test_blocking_callers_and_other_lanes_are_never_dropped(overflow: Overflow) -> None:
    """Theirs is not the holder's mailbox: what a stranger or the lab asks costs no call, and gives way to none."""
    mailbox = mailbox_with(overflow, bound=1)
    blocking, outsider, urgent = Message(), Message(OTHERS), Message(URGENT)
    mailbox.put(blocking)
    mailbox.put_from_outside(outsider)
    assert mailbox.put_asked(urgent) is None
    calls = [ask(mailbox) for _ in range(3)]
    assert mailbox.waiting == 4
    assert take_all(mailbox) == [urgent, blocking, calls[2], outsider]


@pytest.mark.parametrize("overflow", ["drop_oldest", "conflate"])
def test_what_a_sender_asks_comes_before_what_he_calls_afterwards(overflow: Overflow) -> None:
    mailbox = mailbox_with(overflow)
    calls = [ask(mailbox, "x"), ask(mailbox, "y"), ask(mailbox, "x")]
    blocking = Message()
    mailbox.put(blocking)
    taken = take_all(mailbox)
    assert taken.pop() is blocking
    assert set(taken) == {call for call in calls if not call.done()}


@pytest.mark.parametrize("overflow", ["drop_oldest", "conflate"])
def test_a_hanging_reader_costs_no_memory_however_many_are_asked(overflow: Overflow) -> None:
    mailbox = mailbox_with(overflow, bound=3)
    for count in range(1000):
        ask(mailbox, count % 3)
    assert mailbox._inbox.qsize() == mailbox.waiting == 3


@pytest.mark.parametrize("overflow", ["drop_oldest", "conflate"])
def test_cancelled_calls_take_no_more_space_than_others(overflow: Overflow) -> None:
    mailbox = mailbox_with(overflow, bound=3)
    for count in range(1000):
        ask(mailbox, count % 3).cancel()
        if not count % 10:
            take(mailbox)
    assert mailbox._inbox.qsize() + mailbox._kept <= 3


# -- while a driver sleeps


def serves_queries(message: Any) -> bool:
    return bool(message.query)


@pytest.mark.parametrize("overflow", ["drop_oldest", "conflate"])
def test_a_command_gives_way_to_newer_ones_also_while_a_driver_sleeps(overflow: Overflow) -> None:
    mailbox = mailbox_with(overflow, bound=1)
    old = ask(mailbox)
    assert mailbox.get_while_sleeping(0, serves_queries) is None
    new = ask(mailbox)
    assert old.done()
    assert take_all(mailbox) == [new]


@pytest.mark.parametrize("overflow", ["drop_oldest", "conflate"])
def test_a_query_is_answered_while_a_driver_sleeps(overflow: Overflow) -> None:
    mailbox = mailbox_with(overflow)
    query, command = ask(mailbox, "x", query=True), ask(mailbox, "y")
    assert mailbox.get_while_sleeping(0, serves_queries) is query
    assert mailbox.get_while_sleeping(0, serves_queries) is None
    assert take_all(mailbox) == [command]


@pytest.mark.parametrize("overflow", ["drop_oldest", "conflate"])
def test_a_command_that_comes_while_the_due_query_is_looked_at_is_not_served_in_its_place(overflow: Overflow) -> None:
    mailbox = mailbox_with(overflow, bound=1)
    query = ask(mailbox, query=True)
    commands: list[Message] = []

    def serves(message: Message) -> bool:
        if message is query and not commands:
            commands.append(ask(mailbox))
        return bool(message.query)

    assert mailbox.get_while_sleeping(0, serves) is None
    assert query.done()
    assert take_all(mailbox) == commands


@pytest.mark.parametrize("overflow", ["drop_oldest", "conflate"])
def test_a_ticket_whose_call_is_gone_holds_up_nobody_behind_it(overflow: Overflow) -> None:
    mailbox = mailbox_with(overflow)
    room = mailbox._room
    assert room is not None
    mailbox._inbox.put(room.ticket)
    room.issued()
    query = Message(query=True)
    mailbox.put(query)
    assert mailbox.get_while_sleeping(0, serves_queries) is query
    assert mailbox.waiting == 0


# -- what happens in the middle of an ask


def in_the_middle(mailbox: Mailbox, deed: Callable[[], object]) -> list[object]:
    """Do something once, when a sender has looked up which call is to give way, and hasn't dropped it yet."""
    done: list[object] = []

    def admit(_: Any) -> bool:
        if not done:
            done.append(None)
            done[0] = deed()
        return True

    mailbox.admit = admit
    return done


@pytest.mark.parametrize("overflow", ["drop_oldest", "conflate"])
def test_the_reader_may_take_the_oldest_in_the_middle_of_an_ask(overflow: Overflow) -> None:
    mailbox = mailbox_with(overflow, bound=1)
    old = ask(mailbox)
    taken = in_the_middle(mailbox, lambda: take(mailbox))
    new = ask(mailbox)
    assert taken == [old]
    assert old.running()
    assert take(mailbox) is new
    assert mailbox.empty()


@pytest.mark.parametrize("overflow", ["drop_oldest", "conflate"])
def test_another_may_ask_in_the_middle_of_an_ask(overflow: Overflow) -> None:
    """A signal handler, a finaliser or another thread: the newest call of all is kept, the others are answered."""
    mailbox = mailbox_with(overflow, bound=1)
    old = ask(mailbox)
    inner = in_the_middle(mailbox, lambda: ask(mailbox))
    outer = ask(mailbox)
    refusal(old)
    refusal(outer)
    assert take_all(mailbox) == inner
    assert len(mailbox._room or ()) == 0


@pytest.mark.parametrize("overflow", ["drop_oldest", "conflate"])
def test_a_call_that_is_dropped_in_the_middle_of_its_ask_is_at_nobodys_cost(overflow: Overflow) -> None:
    """Its run was fenced, and the device granted to another run whose calls count now."""
    mailbox = mailbox_with(overflow, bound=1)
    mine, late = ask(mailbox), Message()
    late.cancel()
    assert mailbox.put_asked(late) is None
    assert not mine.done()
    assert take_all(mailbox) == [mine]


@pytest.mark.parametrize("overflow", ["drop_oldest", "conflate"])
def test_a_call_that_is_not_admitted_any_more_is_at_nobodys_cost(overflow: Overflow) -> None:
    mailbox = mailbox_with(overflow, bound=1)
    mine, stale = ask(mailbox), Message()
    mailbox.admit = lambda call: call is not stale or not call.drop(KeyError("stale"))
    assert mailbox.put_asked(stale) is None
    assert isinstance(stale.exception(0), KeyError)
    assert take_all(mailbox) == [mine]


@pytest.mark.parametrize("overflow", ["drop_oldest", "conflate"])
def test_a_ticket_is_always_admitted_as_its_call_may_be_anothers_by_then(overflow: Overflow) -> None:
    mailbox = mailbox_with(overflow)
    calls = [ask(mailbox, "x"), ask(mailbox, "y")]
    mailbox.admit = lambda _: False
    assert take_all(mailbox) == calls


class Meanwhile(dict[Any, Any]):
    """The places of a room, in which something else happens once, when a sender has found his."""

    def __init__(self, places: dict[Any, Any], deed: Callable[[], object]) -> None:
        super().__init__(places)
        self.deeds = [deed]

    def get(self, *args: Any) -> Any:
        found = super().get(*args)
        if self.deeds and found is not None:
            self.deeds.pop()()
        return found


def test_a_call_whose_place_the_reader_takes_away_gets_a_new_one() -> None:
    mailbox = mailbox_with("conflate")
    room: Any = mailbox._room
    old, taken = ask(mailbox, "x"), []
    room._lines = Meanwhile(room._lines, lambda: taken.append(take(mailbox)))
    new = ask(mailbox, "x")
    assert taken == [old]
    assert old.running()
    assert take_all(mailbox) == [new]


def test_an_ask_that_was_cut_off_before_its_ticket_is_made_up_for_by_the_next() -> None:
    for overflow in ("drop_oldest", "conflate"):
        mailbox = mailbox_with(overflow, bound=4)
        room: Any = mailbox._room
        cut = Message()
        room.enter(cut, "cut", mailbox.admit)  # and then came KeyboardInterrupt
        after = ask(mailbox, "after")
        assert take_all(mailbox) == [cut, after]
        assert mailbox.waiting == 0


def test_an_ask_that_was_cut_off_after_its_ticket_costs_an_empty_one() -> None:
    for overflow in ("drop_oldest", "conflate"):
        mailbox = mailbox_with(overflow, bound=4)
        room: Any = mailbox._room
        cut = Message()
        room.enter(cut, "cut", mailbox.admit)
        mailbox._inbox.put(room.ticket)  # and then came KeyboardInterrupt: it wasn't counted
        after = ask(mailbox, "after")
        assert [call for call in take_all(mailbox) if call is not None] == [cut, after]
        last = ask(mailbox, "last")
        assert [call for call in take_all(mailbox) if call is not None] == [last]


def test_one_that_was_dropped_but_not_taken_out_is_cleared_away() -> None:
    for overflow in ("drop_oldest", "conflate"):
        mailbox = mailbox_with(overflow, bound=1)
        old = ask(mailbox)
        old.drop(MailboxFull("and then came KeyboardInterrupt"))
        new = ask(mailbox)
        assert take_all(mailbox) == [new]


# -- the end


@pytest.mark.parametrize("overflow", ["drop_oldest", "conflate"])
def test_closing_refuses_what_waits_in_the_room_and_wakes_who_waits_for_space(overflow: Overflow) -> None:
    mailbox = mailbox_with(overflow)
    calls = [ask(mailbox, "x"), ask(mailbox, "y")]
    space = mailbox.put_asked(Message(), "z")
    mailbox.close()
    for call in calls:
        assert isinstance(call.exception(0), ActorStopped | MailboxFull)
        assert not call.begin()
    assert isinstance(calls[1].exception(0), ActorStopped)
    assert space is None or space.done()
    with pytest.raises(ActorStopped, match="oven has stopped"):
        mailbox.put_asked(Message(), "x")


@pytest.mark.parametrize("overflow", ["drop_oldest", "conflate"])
def test_a_call_that_enters_just_after_the_close_is_refused_by_its_sender(overflow: Overflow) -> None:
    mailbox = mailbox_with(overflow, bound=1)
    old = ask(mailbox)
    in_the_middle(mailbox, mailbox.close)
    late = ask(mailbox)
    assert isinstance(old.exception(0), ActorStopped)
    assert isinstance(late.exception(0), ActorStopped)


@pytest.mark.parametrize("overflow", ["drop_oldest", "conflate"])
def test_a_reader_that_holds_a_ticket_when_somebody_else_closes_gets_nothing_to_execute(overflow: Overflow) -> None:
    mailbox = mailbox_with(overflow)
    call = ask(mailbox)
    assert mailbox.get().__class__ is Ticket
    mailbox.close()
    taken = mailbox.redeem()
    assert taken is call
    assert not call.begin()
    assert isinstance(call.exception(0), ActorStopped)
    assert mailbox.redeem() is None
