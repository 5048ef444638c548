"""KeyboardInterrupt at any moment, a signal handler and a finaliser that send: nothing wedges, every place heals.

`ACTORLAB_INTERRUPT_SECONDS` sets how long each of them tries (1 s if it isn't set).
"""

from __future__ import annotations

import gc
import os
import random
import signal
import sys
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, Self

import pytest

from actorlab.errors import ActorStopped, AskDeadlock, CallTimeout, MailboxFull
from actorlab.kernel import OTHERS, Ask, Message, Reply

pytestmark = [
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),  # as Python says of a swallowed one
    pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="this system has no interval timers"),
    pytest.mark.timeout(
        60 + 20 * float(os.environ.get("ACTORLAB_INTERRUPT_SECONDS", "1")), method="thread"
    ),  # the alarm is ours
]

SECONDS = float(os.environ.get("ACTORLAB_INTERRUPT_SECONDS", "1"))
Launch = Callable[..., Any]


class Alarm:
    """Call `ring` in the main thread at random moments, while it is on; to raise KeyboardInterrupt, once."""

    def __init__(self, ring: Callable[[], object], earliest: float = 0.00002, latest: float = 0.0015) -> None:
        self._ring = ring
        self._span = earliest, latest
        self.on = False
        self._random = random.Random(1)
        self.rings = 0

    def __enter__(self) -> Self:
        self.on = True
        signal.setitimer(signal.ITIMER_REAL, self._random.uniform(*self._span), self._random.uniform(*self._span))
        return self

    def __exit__(self, *_: object) -> None:
        self.on = False
        signal.setitimer(signal.ITIMER_REAL, 0)

    def handle(self, *_: object) -> None:
        if self.on:
            self.rings += 1
            self.on = False  # the next one would come before a slow machine has done with this one
            self._ring()
            self.on = True


def interrupt() -> None:
    raise KeyboardInterrupt


@pytest.fixture
def alarmed() -> Iterator[Callable[..., Alarm]]:
    """Make an alarm, and take its handler away in the end."""
    before = signal.getsignal(signal.SIGALRM)

    def make(ring: Callable[[], object], **span: float) -> Alarm:
        alarm = Alarm(ring, **span)
        signal.signal(signal.SIGALRM, alarm.handle)
        return alarm

    yield make
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)


def until_interrupted(alarm: Alarm, verb: Callable[[], object]) -> None:
    try:
        with alarm:
            while alarm.on:  # a finaliser of the standard library may have swallowed the interrupt
                verb()
    except KeyboardInterrupt:
        alarm.__exit__()


def ask(actor: Any) -> None:
    actor.ask(1)


def ask_within(actor: Any) -> None:
    try:
        actor.ask(1, waiting=0.0001, running=5)
    except CallTimeout:
        return


def send_and_wait(actor: Any) -> None:
    actor.send(1).result()


def send_a_lot(actor: Any) -> None:
    for _ in range(6):  # more than its bound
        actor.send(1)


def send_and_cancel(actor: Any) -> None:
    reply = actor.send(1)
    if not reply.cancel():
        reply.result()


def call_from_outside(actor: Any) -> None:
    message = Ask(1, OTHERS)
    try:
        actor.mailbox.put_from_outside(message)
    except MailboxFull:
        return
    message.wait()


def ask_through_pykka(actor: Any) -> None:
    actor.actor_ref.ask(1)


@pytest.mark.parametrize(
    "verb",
    [ask, ask_within, send_and_wait, send_a_lot, send_and_cancel, call_from_outside, ask_through_pykka],
    ids=lambda verb: verb.__name__,
)
def test_after_an_interrupt_at_any_moment_the_actor_answers_and_its_places_heal(
    launch: Launch, alarmed: Callable[..., Alarm], verb: Callable[[Any], None]
) -> None:
    actor = launch()
    actor.mailbox._bound = actor.mailbox._outside_bound = 4
    alarm = alarmed(interrupt)
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        until_interrupted(alarm, lambda: verb(actor))
        assert actor.send(2).result(5) == 2, f"wedged after {alarm.rings} interrupts"
        assert actor.mailbox._sent - actor.mailbox.begun <= 0, f"a place is lost after {alarm.rings} interrupts"
        waited = Ask(3, OTHERS)
        actor.mailbox.put_from_outside(waited)
        assert waited.result(5) == 3
    assert alarm.rings > 20 * SECONDS


def test_whoever_else_waits_hears_of_a_drop_that_was_interrupted(launch: Launch, alarmed: Callable[..., Alarm]) -> None:
    actor, alarm = launch(), alarmed(interrupt, earliest=0.00002, latest=0.0003)
    shared: list[Message] = []
    heard: list[Any] = []
    seen = threading.Semaphore(0)
    go = threading.Semaphore(0)

    def wait_for_all() -> None:
        while go.acquire() and shared:
            heard.extend(message.exception(5) for message in tuple(shared))
            seen.release()

    waiter = threading.Thread(target=wait_for_all, name="actorlab-waiter")
    waiter.start()
    try:
        end = time.monotonic() + SECONDS
        while time.monotonic() < end:
            gate = threading.Event()
            actor.mailbox.put(Ask(partial(gate.wait, 5)))
            shared[:] = [Ask(1) for _ in range(100)]
            for message in shared:
                actor.mailbox.put(message)
            go.release()
            until_interrupted(alarm, lambda: [message.drop(CallTimeout("enough")) for message in shared])
            gate.set()
            assert seen.acquire(timeout=10), "a waiter was forgotten"
    finally:
        shared.clear()
        go.release()
        waiter.join(5)
    assert {type(error) for error in heard} <= {CallTimeout, type(None)}


def append_result(reply: Reply[Any], seen: list[Any]) -> None:
    seen.append(reply.result(5))


def test_a_wait_that_is_interrupted_disturbs_no_other(launch: Launch, alarmed: Callable[..., Alarm]) -> None:
    actor, alarm = launch(), alarmed(interrupt)
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        gate = threading.Event()
        reply = actor.send(gate.wait)
        seen: list[bool] = []
        waiter = threading.Thread(target=append_result, args=(reply, seen), name="actorlab-waiter")
        waiter.start()
        until_interrupted(alarm, reply.wait)
        gate.set()
        assert reply.result(5)
        waiter.join(5)
        assert seen == [True]


def test_a_signal_handler_may_ask_tell_and_cancel_while_main_does(
    launch: Launch, alarmed: Callable[..., Alarm]
) -> None:
    actor = launch()
    actor.mailbox._bound = 4
    answers: list[int] = []
    left: list[Reply[Any]] = []

    def ring() -> None:
        answers.append(actor.ask(1))
        answers.append(actor.send(1).result(5))
        actor.tell(1)
        left.append(actor.send(1))
        left[-1].cancel()

    alarm = alarmed(ring, earliest=0.0005, latest=0.002)
    end = time.monotonic() + SECONDS
    with alarm:
        while time.monotonic() < end:
            send_a_lot(actor)
            ask(actor)
            call_from_outside(actor)
            ask_within(actor)
            send_and_wait(actor)
    assert actor.ask(1) == 1
    assert len(answers) == 2 * alarm.rings > 20 * SECONDS
    assert set(answers) == {1}
    assert all(reply.wait(5) for reply in left)
    assert actor.mailbox._sent - actor.mailbox.begun <= 0


def test_a_finaliser_may_send_wherever_it_runs(launch: Launch, alarmed: Callable[..., Alarm]) -> None:
    """Garbage is collected at nearly every allocation: within put, finish, the reader's loop and a wait."""
    actor = launch()
    actor.mailbox._bound = 4
    told: list[int] = []
    errors: list[BaseException] = []
    sys.unraisablehook, before = (
        lambda unraisable: errors.append(unraisable.exc_value or KeyError()),
        sys.unraisablehook,
    )

    def send() -> None:
        told.append(1)
        actor.tell(1)
        try:
            actor.ask(1)
            actor.send(1).cancel()
        except AskDeadlock:  # it ran on the actor's own thread, which may not wait for itself
            return

    class Finalised:
        def __init__(self) -> None:
            self.cycle = self

        def __del__(self) -> None:
            send()

    def litter() -> None:
        weakref.finalize(Finalised(), send).atexit = False

    thresholds = gc.get_threshold()
    alarm = alarmed(lambda: gc.collect(0), earliest=0.001, latest=0.003)
    try:
        gc.set_threshold(7, 1000, 1000)
        end = time.monotonic() + SECONDS
        with alarm:
            while time.monotonic() < end:
                litter()
                ask(actor)
                actor.ask(litter)
                send_a_lot(actor)
                send_and_cancel(actor)
    finally:
        gc.set_threshold(*thresholds)
        gc.collect()
        sys.unraisablehook = before
    assert errors == []
    assert len(told) > 20 * SECONDS
    assert actor.ask(1) == 1


def test_an_interrupt_while_an_actor_stops_leaves_no_ask_unanswered(
    launch: Launch, alarmed: Callable[..., Alarm]
) -> None:
    alarm = alarmed(interrupt, earliest=0.00002, latest=0.0004)
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        actor = launch()
        sent: list[Message] = []

        def send(actor: Any = actor, sent: list[Message] = sent) -> None:
            sent.append(Ask(1))
            actor.mailbox.put(sent[-1])
            actor.stop_soon()

        try:
            until_interrupted(alarm, send)
        except ActorStopped:
            alarm.__exit__()
        actor.stop_soon().result(5)
        assert all(message.wait(5) for message in sent[:-1]), "the last one may not have been put at all"
