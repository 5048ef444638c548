"""What the kernel repairs is there on pykka's own actor, and gone on ours; and the names we rely on are there."""

from __future__ import annotations

import asyncio
import inspect
import subprocess
import sys
import threading
import weakref
from collections.abc import Callable, Iterator
from queue import Queue
from typing import Any

import pykka
import pytest
from pykka import _envelope, messages

from actorlab.errors import ActorStopped, AskDeadlock, MailboxFull
from actorlab.kernel import OTHERS, URGENT, Ask, Mailbox, Message, ThreadActor

SHORT = 0.05  # seconds for what never happens
LONG = 5.0  # seconds for what happens


class Behaviour:
    """What both kinds of actor do here."""

    on_stop_runs: Callable[[], object] = staticmethod(lambda: None)

    def on_receive(self, message: Any) -> Any:
        return message() if callable(message) else message

    def on_stop(self) -> None:
        self.on_stop_runs()


class Stock(Behaviour, pykka.ThreadingActor):
    use_daemon_thread = True


class Ours(Behaviour, ThreadActor):
    def __init__(self) -> None:
        super().__init__("actorlab-ours")

    def on_error(self, error: BaseException) -> None:
        del error


@pytest.fixture(params=[Stock, Ours], ids=["stock", "ours"])
def kind(request: pytest.FixtureRequest) -> Iterator[Any]:
    """Give one kind of actor after the other, and stop what the test started."""
    made: list[Any] = []

    class Kind(request.param):  # type: ignore[misc, name-defined]  # its base comes from the parameter
        def __init__(self) -> None:
            super().__init__()
            made.append(self)

    Kind.stock = request.param is Stock
    yield Kind
    Kind.on_stop_runs = staticmethod(lambda: None)
    for actor in made:
        if actor.actor_ref.is_alive():
            actor.actor_ref.stop(block=True, timeout=LONG)


def hold(ref: Any) -> threading.Event:
    """Keep an actor in a message until the event is set."""
    held, entered = threading.Event(), threading.Event()

    def wait() -> bool:
        entered.set()
        return held.wait(LONG)

    ref.tell(wait)
    assert entered.wait(LONG)
    return held


def is_answered(future: Any, seconds: float) -> bool:
    try:
        future.get(timeout=seconds)
    except pykka.Timeout:
        return False
    except (pykka.ActorDeadError, ActorStopped):
        return True
    return True


def test_an_error_in_on_start_returns_a_live_looking_ref(kind: Any) -> None:
    gate = threading.Event()

    def on_start(_: object) -> None:
        gate.wait(LONG)
        raise ConnectionError

    kind.on_start = on_start
    if kind.stock:
        assert kind.start().is_alive()
        gate.set()
    else:
        gate.set()
        with pytest.raises(ConnectionError):
            kind.start()


def test_a_base_exception_stops_every_actor_and_leaves_the_asker_waiting() -> None:
    """In a process of its own, as it stops all actors of the process."""
    program = """
import sys, pykka
from actorlab.kernel import ThreadActor
stock = sys.argv[1] == "stock"
class Doer(pykka.ThreadingActor if stock else ThreadActor):
    def on_receive(self, message):
        return message()
def leave():
    raise GeneratorExit
neighbour, ref = Doer.start(), Doer.start()
future = ref.ask(leave, block=False)
try:
    future.get(timeout=0.3)
except pykka.Timeout:
    print("asker waits")
except GeneratorExit:
    print("asker told")
try:
    print("neighbour", neighbour.ask(lambda: "lives", timeout=5))
except pykka.ActorDeadError:
    print("neighbour is dead")
neighbour.stop()
"""

    def output(kind: str) -> str:
        command = [sys.executable, "-c", program, kind]
        return subprocess.run(command, capture_output=True, text=True, timeout=30, check=True).stdout

    assert output("stock") == "asker waits\nneighbour is dead\n"
    assert output("ours") == "asker told\nneighbour lives\n"


def test_a_message_put_while_an_actor_stops_is_never_answered(kind: Any) -> None:
    """The put lands after the teardown has looked for the last time."""
    ref = kind.start()
    inbox = ref.actor_inbox
    queue: Any = inbox if kind.stock else inbox._inbox
    real, landing = queue.put, [True]

    class Landing:
        def put(self, message: Any, *args: Any) -> None:
            if landing and isinstance(message, _envelope.Envelope) and message.message == "late":
                landing.pop()
                stop_and_wait(ref)
            real(message, *args)

        def __getattr__(self, name: str) -> Any:
            return getattr(queue, name)

    if kind.stock:
        ref.actor_inbox = Landing()
    else:
        inbox._inbox = Landing()
    future = ref.ask("late", block=False)
    assert is_answered(future, SHORT if kind.stock else LONG) is not kind.stock


def stop_and_wait(ref: Any) -> None:
    ref.tell(messages._ActorStop())
    for thread in threading.enumerate():
        if thread.name.startswith(("Kind", "actorlab-ours")):
            thread.join(LONG)


def test_a_timed_out_ask_still_executes_later(kind: Any) -> None:
    ref, ran = kind.start(), list[int]()
    held = hold(ref)
    with pytest.raises((pykka.Timeout, Exception)):
        ref.ask(lambda: ran.append(1), timeout=0.01)
    held.set()
    ref.ask(1, timeout=LONG)
    assert bool(ran) is kind.stock


def test_awaiting_a_future_blocks_the_event_loop(kind: Any) -> None:
    ref = kind.start()
    turned = threading.Event()

    async def main() -> bool:
        asyncio.get_running_loop().call_later(0.001, turned.set)
        future = ref.ask(lambda: turned.wait(SHORT if kind.stock else LONG), block=False)
        return bool(await future)

    assert asyncio.run(main()) is not kind.stock, "True says that the loop turned while the future was awaited"


def test_stop_waits_behind_the_whole_backlog(kind: Any) -> None:
    ref, ran = kind.start(), list[int]()
    held = hold(ref)
    backlog = [ref.ask(lambda: ran.append(1), block=False) for _ in range(10)]
    stopped = ref.stop(block=False)
    held.set()
    assert stopped.get(timeout=LONG)
    assert len(ran) == (10 if kind.stock else 0)
    assert all(is_answered(future, LONG) for future in backlog)


def test_an_actor_is_reported_dead_before_its_on_stop_has_run(kind: Any) -> None:
    ref, entered, gate = kind.start(), threading.Event(), threading.Event()

    def on_stop() -> None:
        entered.set()
        gate.wait(LONG)

    kind.on_stop_runs = staticmethod(on_stop)
    stopped = ref.stop(block=False)
    assert entered.wait(LONG)
    assert ref.is_alive() is not kind.stock
    gate.set()
    assert stopped.get(timeout=LONG)


@pytest.mark.parametrize("length", [1, 2])
def test_a_cycle_of_asks_hangs_silently(kind: Any, length: int) -> None:
    actors = [kind.start() for _ in range(length)]
    verbs = [ref.ask if kind.stock else ref._actor_weakref().ask for ref in actors]
    limit: dict[str, float] = {"timeout": SHORT} if kind.stock else {}

    def ask_next(number: int) -> Any:
        return verbs[number % length](lambda: ask_next(number + 1) if number < length else None, **limit)

    with pytest.raises(pykka.Timeout if kind.stock else AskDeadlock):
        ask_next(0)


def test_a_raising_tell_kills_the_actor(kind: Any, caplog: pytest.LogCaptureFixture) -> None:
    ref = kind.start()
    with caplog.at_level("CRITICAL"):
        ref.tell(lambda: 1 // 0)
        if kind.stock:
            with pytest.raises(pykka.ActorDeadError):
                ref.ask(1, timeout=LONG)
        else:
            assert ref.ask(1, timeout=LONG) == 1


def test_the_idle_loop_pins_the_last_message_and_result(kind: Any) -> None:
    class Big:
        def __call__(self) -> Big:
            return self

    ref = kind.start()
    big = Big()
    dead = weakref.ref(big)
    freed = threading.Event()
    weakref.finalize(big, freed.set).atexit = False
    ref.ask(big, timeout=LONG)
    del big
    assert freed.wait(SHORT if kind.stock else LONG) is not kind.stock
    assert (dead() is None) is not kind.stock


def test_there_is_no_death_watch_no_bound_and_no_priority() -> None:
    assert not {"watch", "down"} & set(dir(pykka.ThreadingActor))
    inbox: Any = pykka.ThreadingActor._create_actor_inbox()
    assert isinstance(inbox, Queue)
    assert inbox.maxsize == 0
    mailbox = Mailbox(bound=1, outside_bound=1)
    assert mailbox.put_asked(Message()) is None
    assert mailbox.put_asked(Message()) is not None
    mailbox.put_from_outside(Ask(1, OTHERS))
    with pytest.raises(MailboxFull):
        mailbox.put_from_outside(Ask(1, OTHERS))
    urgent = Message(URGENT)
    mailbox.put(urgent)
    assert mailbox.get() is urgent


# -- the contract: what we use of pykka that isn't its public interface


def parameters(function: Callable[..., object]) -> list[str]:
    return list(inspect.signature(function).parameters)


def test_the_points_for_new_actor_types_are_where_they_were() -> None:
    assert pykka.Actor.__abstractmethods__ == {"_create_actor_inbox", "_create_future", "_start_actor_loop"}
    assert parameters(pykka.Actor._create_actor_inbox) == []
    assert parameters(pykka.Actor._create_future) == []
    assert parameters(pykka.Actor._start_actor_loop) == ["self"]
    assert parameters(pykka.Actor._actor_loop) == ["self"]
    assert {"on_start", "on_stop", "on_receive"} <= set(dir(pykka.Actor))


def test_handle_receive_still_takes_the_content_of_a_message() -> None:
    assert parameters(pykka.Actor._handle_receive) == ["self", "message"]
    proxied = messages.ProxyCall(attr_path=("upper",), args=(), kwargs={})
    assert (proxied.attr_path, proxied.args, proxied.kwargs) == (("upper",), (), {})


def test_an_envelope_is_still_a_message_and_where_to_reply() -> None:
    envelope = _envelope.Envelope("content", reply_to=None)
    assert (envelope.message, envelope.reply_to) == ("content", None)
    assert list(_envelope.Envelope.__slots__) == ["message", "reply_to"]
    assert isinstance(messages._ActorStop(), messages._ActorStop)


def test_the_constructor_makes_what_a_ref_needs_through_our_methods() -> None:
    made: list[str] = []

    class Bare(pykka.Actor):
        def _create_actor_inbox(self) -> Any:  # type: ignore[override]  # as ours does: it wants the name
            made.append("inbox")
            return Mailbox()

        @staticmethod
        def _create_future() -> Any:
            return None

        def _start_actor_loop(self) -> None:
            made.append("loop")

    actor = Bare()
    assert made == ["inbox"]
    assert actor._actor_ref is actor.actor_ref
    assert actor.actor_ref.actor_inbox is actor.actor_inbox
    assert actor.actor_ref.actor_stopped is actor.actor_stopped
    assert actor.actor_urn.startswith("urn:uuid:")
    assert actor.actor_ref.is_alive(), "the registry isn't asked"
    actor.actor_stopped.set()
    assert not actor.actor_ref.is_alive()


def test_a_converted_future_still_works_by_its_hook() -> None:
    assert parameters(pykka.Future.set_get_hook) == ["self", "func"]
    source = inspect.getsource(pykka.ActorRef.stop)
    assert "ask_future.__class__()" in source
    assert "set_get_hook" in source
    future: Any = pykka.Future()
    assert future._get_hook is None
