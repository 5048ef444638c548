"""A mailbox keeps order, bounds and lanes, and loses nothing when it closes."""

from __future__ import annotations

import threading
from collections import deque
from queue import SimpleQueue
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actorlab.errors import ActorStopped, MailboxFull
from actorlab.kernel import FAIR, HOLDER, OTHERS, SYSTEM, URGENT, Lane, Mailbox, Message, Stop


def serves_queries(message: Any) -> bool:
    return message.lane <= URGENT or bool(message.query)


def take_all(mailbox: Mailbox) -> list[Any]:
    taken: list[Any] = []
    while not mailbox.empty():
        taken.append(mailbox.get())
    return taken


class Landing:
    """An inbox in which something else happens just before a message lands."""

    def __init__(self, mailbox: Mailbox, first: Any) -> None:
        self._inbox: SimpleQueue[Any] = mailbox._inbox
        self._first = [first]

    def put(self, message: Any) -> None:
        if self._first:
            self._first.pop()()
        self._inbox.put(message)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inbox, name)


# -- lanes


def test_urgent_lanes_go_first() -> None:
    mailbox = Mailbox()
    sent = [Message(lane) for lane in (OTHERS, HOLDER, URGENT, SYSTEM, HOLDER, URGENT)]
    for message in sent:
        mailbox.put(message)
    assert [message.lane for message in take_all(mailbox)] == [SYSTEM, URGENT, URGENT, HOLDER, HOLDER, OTHERS]


def test_others_get_a_turn_after_eight_of_the_holders() -> None:
    mailbox = Mailbox()
    for lane in [OTHERS] * 3 + [HOLDER] * 24:
        mailbox.put(Message(lane))
    lanes = [message.lane for message in take_all(mailbox)]
    assert lanes == ([HOLDER] * FAIR + [OTHERS]) * 3
    assert FAIR == 8


@given(st.lists(st.sampled_from([*list(Lane), None]), max_size=60))
def test_a_mailbox_is_what_its_model_says(script: list[Lane | None]) -> None:
    """A lane puts a message, None takes one; nothing is lost, doubled, overtaken in its lane, or made to wait long."""
    mailbox = Mailbox()
    model: dict[int, deque[Message]] = {int(lane): deque() for lane in Lane}
    passed = 0
    for lane in [*script, *([None] * len(script))]:
        if lane is not None:
            message = Message(int(lane))
            mailbox.put(message)
            model[lane].append(message)
        elif any(model.values()):
            taken = mailbox.get()
            assert taken is model[taken.lane].popleft()
            assert not any(model[higher] for higher in range(min(taken.lane, HOLDER)))
            passed = passed + 1 if taken.lane == HOLDER and model[OTHERS] else 0 if taken.lane >= HOLDER else passed
            assert passed <= FAIR
    assert mailbox.empty()
    assert not any(model.values())


def test_each_senders_order_is_kept_while_many_send() -> None:
    mailbox = Mailbox()

    def send(sender: int) -> None:
        for count in range(300):
            message = Message(OTHERS if sender % 2 else HOLDER)
            message.target = (sender, count)
            mailbox.put(message)

    threads = [threading.Thread(target=send, args=(sender,), name="actorlab-sender") for sender in range(4)]
    for thread in threads:
        thread.start()
    taken = [mailbox.get().target for _ in range(1200)]
    for thread in threads:
        thread.join(5)
    for sender in range(4):
        assert [count for who, count in taken if who == sender] == list(range(300))


def test_who_is_not_admitted_is_not_kept_and_asked_once() -> None:
    mailbox = Mailbox()
    asked: list[Any] = []

    def admit(message: Message) -> bool:
        asked.append(message)
        return not message.query

    mailbox.admit = admit
    refused, kept, other = Message(query=True), Message(), Message()
    for message in (refused, kept, other):
        mailbox.put(message)
    assert [mailbox.get(), mailbox.get()] == [kept, other]
    assert asked == [refused, kept, other]


def test_who_comes_when_nobody_waits_is_left_for_the_actor_to_decide_on() -> None:
    mailbox = Mailbox()
    mailbox.admit = lambda _: False
    alone = Message()
    mailbox.put(alone)
    assert mailbox.get() is alone


def test_what_was_put_back_comes_first_again() -> None:
    mailbox = Mailbox()
    first, second = Message(URGENT), Message(URGENT)
    mailbox.put(first)
    mailbox.put(second)
    mailbox.put_back(mailbox.get())
    assert take_all(mailbox) == [first, second]


def test_equal_messages_of_others_are_taken_out_together_and_asked_about_once() -> None:
    mailbox = Mailbox()
    sent = [Message(OTHERS, query=bool(count % 2)) for count in range(6)]
    for message in [Message(), *sent]:
        mailbox.put(message)
    mailbox.get()
    answers = iter([False, True] * 3)  # a second look would answer otherwise
    assert mailbox.take_equal(lambda _: next(answers)) == sent[1::2]
    assert take_all(mailbox) == sent[0::2]


# -- while a driver sleeps


def test_a_sleeping_driver_serves_what_it_may_and_leaves_the_rest() -> None:
    mailbox = Mailbox()
    command, query = Message(HOLDER), Message(HOLDER, query=True)
    outsider, urgent = Message(OTHERS, query=True), Message(URGENT)
    for message in (command, query, outsider, urgent):
        mailbox.put(message)
    assert mailbox.get_while_sleeping(1, serves_queries) is urgent
    assert mailbox.get_while_sleeping(1, serves_queries) is outsider, "the holder's query comes after his command"
    assert mailbox.get_while_sleeping(0, serves_queries) is None
    assert take_all(mailbox) == [command, query]


def test_what_an_actor_sends_to_itself_may_be_overtaken_while_it_sleeps() -> None:
    mailbox = Mailbox()
    own = [Message(OTHERS), Message(OTHERS), Message(HOLDER)]
    for message in own:
        message.query = None
    query, command, late = Message(OTHERS, query=True), Message(OTHERS), Message(OTHERS, query=True)
    for message in (*own, query, command, late):
        mailbox.put(message)
    assert mailbox.get_while_sleeping(1, serves_queries) is query
    assert mailbox.get_while_sleeping(0, serves_queries) is None, "the next query comes after a command"
    assert take_all(mailbox) == [own[2], own[0], own[1], command, late]
    assert mailbox.get_while_sleeping(0, serves_queries) is None


def test_a_message_ends_a_sleep() -> None:
    mailbox, query = Mailbox(), Message(OTHERS, query=True)
    mailbox.put(Message())
    sender = threading.Thread(target=mailbox.put, args=(query,), name="actorlab-sender")
    sender.start()
    assert mailbox.get_while_sleeping(5, serves_queries) is query
    assert mailbox.get_while_sleeping(0.001, serves_queries) is None
    sender.join(5)


# -- bounds


def test_asked_messages_wait_for_space_and_get_it_when_one_begins() -> None:
    mailbox = Mailbox(bound=3)
    for _ in range(3):
        assert mailbox.put_asked(Message()) is None
    late = Message()
    space = mailbox.put_asked(late)
    assert space is not None
    assert not space.done()
    mailbox.count_begun(mailbox.get().number)
    assert space.wait(0)
    assert mailbox.put_asked(late) is None
    assert [message.number for message in take_all(mailbox)][-1] == late.number


def test_space_that_comes_while_its_seeker_signs_up_is_not_missed() -> None:
    mailbox = Mailbox(bound=1)
    mailbox.put_asked(Message())

    class Late(list[Any]):
        def append(self, space: Any) -> None:
            mailbox.count_begun(mailbox.get().number)  # the reader finds nobody to wake
            super().append(space)

    mailbox._full = Late()
    space = mailbox.put_asked(Message())
    assert space is not None
    assert space.wait(0)


def test_who_finds_it_full_again_waits_for_another_begin() -> None:
    """Else a reader could be kept for ever by senders who come back at once."""
    mailbox = Mailbox(bound=1)
    mailbox.put_asked(Message())
    woken: list[Any] = []

    def come_back(_: Any) -> None:
        woken.append(_)
        space = mailbox.put_asked(Message()) if len(woken) < 5 else None
        if space is not None:
            space.when_done(come_back)

    for _ in range(2):
        come_back(None)
    mailbox.count_begun(0)
    assert len(woken) == 4


def test_blocking_urgent_and_system_messages_do_not_meet_the_bound() -> None:
    mailbox = Mailbox(bound=1)
    mailbox.put_asked(Message())
    for lane in Lane:
        mailbox.put(Message(int(lane)))
    assert mailbox.waiting == 5


def test_a_bounded_mailbox_carries_all_while_senders_are_held_back() -> None:
    mailbox = Mailbox(bound=4)

    def send() -> None:
        for _ in range(200):
            message = Message()
            while (space := mailbox.put_asked(message)) is not None:
                space.wait()

    threads = [threading.Thread(target=send, name="actorlab-sender") for _ in range(3)]
    for thread in threads:
        thread.start()
    most = 0
    for _ in range(600):
        message = mailbox.get()
        mailbox.count_begun(message.number)
        most = max(most, mailbox.waiting)
    for thread in threads:
        thread.join(5)
    assert most <= 4 + 3, "soft by as many as there are senders"


def test_lost_numbers_heal_when_a_later_one_begins() -> None:
    mailbox = Mailbox(bound=2)
    mailbox.put_asked(Message())
    mailbox._sent = next(mailbox._numbers)  # cut by KeyboardInterrupt before it was published
    assert mailbox.put_asked(Message()) is not None
    mailbox.count_begun(mailbox.get().number)
    assert mailbox.put_asked(Message()) is None
    mailbox.count_begun(mailbox.get().number)
    assert mailbox._sent == mailbox.begun


def test_lost_numbers_heal_when_nothing_waits_at_all() -> None:
    mailbox = Mailbox(bound=2)
    for _ in range(2):
        mailbox._sent = next(mailbox._numbers)
    assert mailbox.put_asked(Message()) is None


def test_numbers_that_begin_out_of_order_take_no_place() -> None:
    mailbox = Mailbox(bound=1)
    mailbox.put(Message())  # so that the mailbox isn't empty
    mailbox._sent = 2
    mailbox.count_begun(2)
    mailbox.count_begun(1)
    assert mailbox.put_asked(Message()) is None


def test_a_message_refused_at_the_door_makes_space() -> None:
    mailbox = Mailbox(bound=1)
    mailbox.admit = lambda message: not message.number
    mailbox.put_asked(Message())
    space = mailbox.put_asked(Message())
    assert space is not None
    mailbox.put(Message())
    mailbox.put(Message())
    mailbox.get()
    assert space.wait(0)


def test_outside_calls_beyond_their_bound_are_refused_at_once() -> None:
    mailbox = Mailbox(name="oven", outside_bound=2)
    sent = [Message(OTHERS), Message(OTHERS)]
    for message in sent:
        mailbox.put_from_outside(message)
    with pytest.raises(MailboxFull, match="oven: 2 calls from outside wait"):
        mailbox.put_from_outside(Message(OTHERS))
    sent[0].begin()
    mailbox.put_from_outside(Message(OTHERS))
    with pytest.raises(MailboxFull):
        mailbox.put_from_outside(Message(OTHERS))
    assert mailbox.put_asked(Message()) is None, "the holder's bound is another"


def test_outside_calls_race_without_error() -> None:
    mailbox = Mailbox(outside_bound=8)
    errors: list[BaseException] = []
    done = threading.Event()

    def send() -> None:
        for _ in range(500):
            message = Message(OTHERS)
            try:
                mailbox.put_from_outside(message)
            except MailboxFull:
                continue
            except BaseException as error:  # noqa: BLE001 - whatever it is, the test fails with it
                errors.append(error)

    def read() -> None:
        while not done.is_set() or not mailbox.empty():
            message = mailbox.get_while_sleeping(0.001, lambda _: True)
            if message is not None:
                message.begin()

    senders = [threading.Thread(target=send, name="actorlab-sender") for _ in range(4)]
    reader = threading.Thread(target=read, name="actorlab-reader")
    for thread in [*senders, reader]:
        thread.start()
    for thread in senders:
        thread.join(10)
    done.set()
    reader.join(10)
    assert errors == []


# -- the end


def test_a_closed_mailbox_refuses_what_waits_and_what_comes() -> None:
    mailbox = Mailbox(name="oven", bound=1)
    waiting, sorted_already, asked = Message(), Message(OTHERS), Message()
    mailbox.put(Message())
    mailbox.put(sorted_already)
    mailbox.get()
    mailbox.put(waiting)
    mailbox.put_asked(asked)
    space = mailbox.put_asked(Message())
    mailbox.close()
    for message in (waiting, sorted_already, asked):
        assert isinstance(message.exception(0), ActorStopped)
        assert not message.begin()
    assert space is not None
    assert space.done(), "who waited for space finds out"
    for put in (mailbox.put, mailbox.put_asked, mailbox.put_from_outside):
        with pytest.raises(ActorStopped, match="oven has stopped"):
            put(Message())


def test_a_message_that_lands_just_after_the_close_is_refused_by_its_sender() -> None:
    mailbox, message = Mailbox(), Message()
    mailbox._inbox = Landing(mailbox, mailbox.close)  # type: ignore[assignment]  # a SimpleQueue can't be subclassed so
    mailbox.put(message)
    assert isinstance(message.exception(0), ActorStopped)


def test_a_sender_that_lost_the_race_refuses_nobody_elses_message() -> None:
    """If it took others' messages out, KeyboardInterrupt could make it lose them."""
    mailbox, mine, other = Mailbox(), Message(), Message()

    def close_first() -> None:
        mailbox.close()
        mailbox._inbox.put(other)  # another sender, between its put and its second look

    mailbox._inbox = Landing(mailbox, close_first)  # type: ignore[assignment]  # as above
    mailbox.put(mine)
    assert mine.done()
    assert not other.done()
    assert mailbox.waiting >= 1


def test_what_has_begun_is_not_refused() -> None:
    mailbox, begun = Mailbox(), Message()
    mailbox.put(begun)
    mailbox.get().begin()
    mailbox.put_back(begun)
    mailbox.close()
    assert not begun.done()


def test_a_reader_whose_mailbox_somebody_else_closes_ends() -> None:
    mailbox = Mailbox()
    kept = [Message(OTHERS), Message(HOLDER)]
    for message in kept:
        mailbox.put(message)
    taken = [mailbox.get()]
    mailbox.close()
    reader = threading.Thread(target=lambda: taken.extend(mailbox.get() for _ in range(2)), name="actorlab-reader")
    reader.start()
    reader.join(5)
    assert not reader.is_alive()
    assert any(message.__class__ is Stop for message in taken)
    assert not any(message.begin() for message in taken[1:] if message.__class__ is not Stop)
