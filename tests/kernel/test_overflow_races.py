"""Many ask at once, some are interrupted, the reader stops: with each policy, each ask is answered, and none hangs.

`ACTORLAB_STOP_RACES` sets how many asks the races have (20,000 if it isn't set), `ACTORLAB_INTERRUPT_SECONDS` how long
the interrupts go on (1 s).
"""

from __future__ import annotations

import os
import random
import signal
import sys
import threading
import time
from collections.abc import Callable, Hashable, Iterator
from functools import partial
from typing import Any, NamedTuple

import pytest

from actorlab.core.overflow import MailboxPolicy, Overflow
from actorlab.errors import ActorStopped, MailboxFull
from actorlab.kernel import Ask, Mailbox, Message, ThreadActor, Ticket

ASKS = int(os.environ.get("ACTORLAB_STOP_RACES", "20000"))
SECONDS = float(os.environ.get("ACTORLAB_INTERRUPT_SECONDS", "1"))
PATIENCE = 5.0  # seconds until an ask counts as lost
SENDERS = 3
KEYS = "abcd"
EACH_POLICY = pytest.mark.parametrize("overflow", ["drop_oldest", "conflate", "reject", "block"])


class Asked(NamedTuple):
    """An ask, as its content tells: who asks, how often he has, and with which key."""

    sender: int
    number: int
    key: Hashable


class Recorder(ThreadActor):
    """Record what it executes, in its order; it exchanges tickets."""

    def __init__(self, policy: MailboxPolicy) -> None:
        self.policy = policy
        self.executed: list[Any] = []
        super().__init__("actorlab-recorder")

    def _create_actor_inbox(self) -> Any:  # type: ignore[override]  # as `Actor` does
        return Mailbox(self.name, self.policy)

    def on_receive(self, message: Any) -> Any:
        if callable(message):
            return message()
        self.executed.append(message)
        return message

    def execute(self, message: Any) -> None:
        if message.__class__ is Ticket:
            message = self.mailbox.redeem()
        if message is not None:
            super().execute(message)


def ask(actor: Recorder, content: Asked) -> Message:
    """Ask as a body does: wait for space if there is none."""
    call = Ask(content)
    try:
        while (space := actor.mailbox.put_asked(call, content.key)) is not None:
            space.wait(PATIENCE)
    except BaseException as error:
        call.drop(error)
        if not isinstance(error, ActorStopped | MailboxFull):
            raise
    return call


@pytest.fixture
def hasty() -> Iterator[None]:
    """Switch threads as often as possible."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(before)


def race(actor: Recorder, asks: int, meanwhile: Callable[[], object] = lambda: None) -> list[list[Message]]:
    """Let several threads ask at once, wait until each ask is answered, and return them by sender."""
    sent: list[list[Message]] = [[] for _ in range(SENDERS)]

    def send(sender: int) -> None:
        keys = random.Random(sender)
        for count in range(asks // SENDERS):
            sent[sender].append(ask(actor, Asked(sender, count, keys.choice(KEYS))))

    threads = [threading.Thread(target=send, args=(sender,), name="actorlab-sender") for sender in range(SENDERS)]
    for thread in threads:
        thread.start()
    meanwhile()
    for thread in threads:
        thread.join(60)
    lost = [call for calls in sent for call in calls if not call.wait(PATIENCE)]
    assert not lost
    assert sum(map(len, sent)) == asks // SENDERS * SENDERS
    return sent


@pytest.mark.timeout(600)
@pytest.mark.usefixtures("hasty")
@pytest.mark.parametrize("bound", [1, 3, 16])
@EACH_POLICY
def test_while_many_ask_each_is_executed_once_or_told_and_the_newest_are_executed(
    overflow: Overflow, bound: int
) -> None:
    actor = Recorder.launch(MailboxPolicy(bound=bound, overflow=overflow))
    sent = race(actor, ASKS // 4)
    mailbox = actor.mailbox
    assert mailbox.waiting == 0
    assert mailbox._room is None or len(mailbox._room) == 0
    actor.stop_soon().result(PATIENCE)

    values = [call.outcome() for calls in sent for call in calls if call.exception(0) is None]
    errors = [call.exception(0) for calls in sent for call in calls]
    assert sorted(values) == sorted(actor.executed), "who was told that it was executed was, once, and nobody else"
    assert {type(error) for error in errors} <= {type(None), MailboxFull}
    assert (overflow == "block") == (MailboxFull not in map(type, errors)), "nothing overflowed, or more than may"
    for line in by(overflow, actor.executed):
        assert line == sorted(line, key=lambda asked: asked.number), "an order was broken"
    if overflow in ("drop_oldest", "conflate"):
        for last in newest(overflow, sent):
            assert any(call.exception(0) is None for call in last), "an older one was kept"


def by(overflow: Overflow, executed: list[Asked]) -> list[list[Asked]]:
    """Part what was executed into what must be in order: each sender's, and with `conflate` by key."""
    lines: dict[Hashable, list[Asked]] = {}
    for asked in executed:
        lines.setdefault((asked.sender, asked.key if overflow == "conflate" else None), []).append(asked)
    return list(lines.values())


def newest(overflow: Overflow, sent: list[list[Message]]) -> list[list[Message]]:
    """Return groups of calls of which one must have been the newest of all, or of all with its key."""
    if overflow == "drop_oldest":
        return [[calls[-1] for calls in sent]]
    last = {(call.content.sender, call.content.key): call for calls in sent for call in calls if isinstance(call, Ask)}
    return [[call for (_, its), call in last.items() if its == key] for key in KEYS]


@pytest.mark.timeout(600)
@pytest.mark.usefixtures("hasty")
@EACH_POLICY
def test_no_ask_is_lost_when_the_reader_stops(overflow: Overflow) -> None:
    moments = random.Random(1)
    refused = mixed = 0
    for _ in range(max(1, ASKS // 500)):
        actor = Recorder.launch(MailboxPolicy(bound=moments.choice([1, 2, 8]), overflow=overflow))

        def stop(actor: Recorder = actor) -> None:
            for _ in range(moments.randrange(3000)):  # some microseconds, without giving up the processor for longer
                pass
            actor.stop_soon().result(PATIENCE)

        sent = race(actor, 120, stop)
        kinds = {type(call.exception(0)) for calls in sent for call in calls}
        assert kinds <= {type(None), MailboxFull, ActorStopped}
        assert actor.mailbox._room is None or actor.mailbox.closed
        refused += ActorStopped in kinds
        mixed += {ActorStopped, type(None)} <= kinds
    assert refused
    assert mixed, "no stop fell among the asks: nothing was raced"


@pytest.mark.usefixtures("hasty")
@EACH_POLICY
def test_no_ask_is_lost_when_another_thread_closes_while_the_reader_hangs(overflow: Overflow) -> None:
    for _ in range(30):
        actor, hangs = Recorder.launch(MailboxPolicy(bound=2, overflow=overflow)), threading.Event()
        assert actor.mailbox.put_asked(Ask(partial(hangs.wait, PATIENCE))) is None

        def close(actor: Recorder = actor, hangs: threading.Event = hangs) -> None:
            actor.mailbox.close()
            hangs.set()

        race(actor, 60, close)
        actor.stop_soon().result(PATIENCE)


# -- interrupts


class Alarm:
    """Do something in the main thread at a random moment."""

    def __init__(self, deed: Callable[[], object]) -> None:
        self.deed = deed
        self.rings = 0
        self.on = False
        self.moments = random.Random(1)

    def handle(self, *_: object) -> None:
        if self.on:
            self.rings += 1
            self.on = False
            self.deed()

    def set(self) -> None:
        """Ring once, soon."""
        self.on = True
        signal.setitimer(signal.ITIMER_REAL, self.moments.uniform(0.00002, 0.0006))

    def quiet(self) -> None:
        self.on = False
        signal.setitimer(signal.ITIMER_REAL, 0)


@pytest.fixture
def alarmed() -> Iterator[Callable[[Callable[[], object]], Alarm]]:
    before = signal.getsignal(signal.SIGALRM)

    def make(deed: Callable[[], object]) -> Alarm:
        alarm = Alarm(deed)
        signal.signal(signal.SIGALRM, alarm.handle)
        return alarm

    yield make
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)


def interrupt() -> None:
    raise KeyboardInterrupt


INTERRUPTED = [
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),  # as Python says of a swallowed one
    pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="this system has no interval timers"),
    pytest.mark.timeout(60 + 20 * SECONDS, method="thread"),  # the alarm is ours
]


def marked(function: Callable[..., None]) -> Callable[..., None]:
    for mark in INTERRUPTED:
        function = mark(function)
    return function


@marked
@EACH_POLICY
def test_after_an_interrupt_at_any_moment_of_an_ask_all_others_are_answered(
    overflow: Overflow, alarmed: Callable[[Callable[[], object]], Alarm]
) -> None:
    actor = Recorder.launch(MailboxPolicy(bound=2, overflow=overflow))
    alarm = alarmed(interrupt)
    end = time.monotonic() + SECONDS
    number = 0
    try:
        while time.monotonic() < end:
            sent: list[Message] = []
            try:
                alarm.set()
                while alarm.on:
                    number += 1
                    sent.append(ask(actor, Asked(0, number, number % 3)))
            except KeyboardInterrupt:
                pass
            alarm.quiet()
            assert all(call.wait(PATIENCE) for call in sent), f"unanswered after {alarm.rings} interrupts"
            actor.ask("barrier", waiting=PATIENCE)
            for key in ("x", "y"):
                healed = ask(actor, Asked(1, number, key))
                assert healed.wait(PATIENCE), f"wedged after {alarm.rings} interrupts"
                assert healed.exception(0) is None
        assert alarm.rings > 20 * SECONDS
    finally:
        actor.stop_soon().result(PATIENCE)


@marked
@EACH_POLICY
def test_a_signal_handler_may_ask_in_the_middle_of_an_ask(
    overflow: Overflow, alarmed: Callable[[Callable[[], object]], Alarm]
) -> None:
    actor = Recorder.launch(MailboxPolicy(bound=2, overflow=overflow))
    sent: list[Message] = []
    alarm = alarmed(lambda: sent.extend(ask(actor, Asked(1, alarm.rings, key)) for key in range(3)))
    end = time.monotonic() + SECONDS
    number = 0
    try:
        while time.monotonic() < end:
            alarm.set()
            while alarm.on:
                number += 1
                sent.append(ask(actor, Asked(0, number, number % 3)))
            assert all(call.wait(PATIENCE) for call in sent), f"wedged after {alarm.rings} signals"
            sent.clear()
        assert alarm.rings > 20 * SECONDS
        assert actor.mailbox.waiting == 0
    finally:
        alarm.quiet()
        actor.stop_soon().result(PATIENCE)
