"""An actor starts, answers, refuses cycles, and is said to have ended when it has."""

from __future__ import annotations

import contextlib
import gc
import logging
import threading
import weakref
from collections.abc import Callable
from typing import Any

import pykka
import pytest

from actorlab.errors import ActorStopped, AskDeadlock, CallTimeout
from actorlab.kernel import Actor, Ask, Down, Mailbox, Reply, ThreadActor

Launch = Callable[..., Any]


class Port(ThreadActor):
    """Hold a port from start to stop, and let a test look in between."""

    def __init__(self, log: list[str], gate: threading.Event | None = None, fails: BaseException | None = None) -> None:
        super().__init__("actorlab-port")
        self.log = log
        self.gate = gate
        self.fails = fails
        self.closing = threading.Event()

    def on_start(self) -> None:
        self.log.append("opened")
        if self.fails is not None:
            raise self.fails

    def on_stop(self) -> None:
        self.closing.set()
        if self.gate is not None:
            self.gate.wait(5)
        self.log.append("closed")

    def on_receive(self, message: Any) -> Any:
        self.log.append(str(message))
        return message


def hold(actor: Any) -> tuple[threading.Event, Reply[Any]]:
    """Keep an actor in a message until the event is set."""
    held, entered = threading.Event(), threading.Event()

    def wait() -> bool:
        entered.set()
        return held.wait(5)

    reply = actor.send(wait)
    assert entered.wait(5)
    return held, reply


# -- start and end


def test_launch_returns_when_the_actor_is_ready() -> None:
    log: list[str] = []
    actor = Port.launch(log)
    assert log == ["opened"]
    actor.stop_soon().result(5)


def test_launch_raises_what_on_start_raised_and_the_actor_has_ended() -> None:
    error, log = ConnectionError("no port"), list[str]()
    made: list[Port] = []

    class Failing(Port):
        def __init__(self) -> None:
            super().__init__(log, fails=error)
            made.append(self)

    with pytest.raises(ConnectionError, match="no port"):
        Failing.launch()
    assert made[0].down.result(5) == Down("actorlab-port", "not started", error)
    assert log == ["opened"]
    with pytest.raises(ActorStopped):
        made[0].ask(1)


def test_a_launch_that_is_interrupted_leaves_no_thread() -> None:
    class Interrupted(Reply[None]):
        __slots__ = ()

        def result(self, timeout: float | None = None) -> None:
            del timeout
            raise KeyboardInterrupt

    class Slow(Port):
        def __init__(self) -> None:
            super().__init__([])
            self.ready = Interrupted()
            made.append(self)

    made: list[Port] = []
    with pytest.raises(KeyboardInterrupt):
        Slow.launch()
    assert made[0].down.result(5).reason == "stopped"


def test_the_death_watch_is_told_after_the_teardown() -> None:
    log: list[str] = []
    gate = threading.Event()
    actor = Port.launch(log, gate)
    actor.watch(lambda down: log.append(down.reason))
    actor.stop_soon()
    with pytest.raises(TimeoutError):
        actor.down.result(0.001)
    assert actor.actor_ref.is_alive(), "its port isn't free"
    gate.set()
    assert actor.down.result(5) == Down("actorlab-port", "stopped")
    actor.watch(lambda down: log.append(f"{down.reason} already"))
    assert log == ["opened", "closed", "stopped", "stopped already"]
    assert not actor.actor_ref.is_alive()


def test_a_watcher_that_raises_keeps_the_next_from_nothing(caplog: pytest.LogCaptureFixture) -> None:
    actor = Port.launch([])
    heard: list[Down] = []
    actor.watch(lambda _: 1 // 0)
    actor.watch(heard.append)
    with caplog.at_level(logging.CRITICAL, "actorlab"):
        actor.stop_soon().result(5)
        assert actor.thread is not None
        actor.thread.join(5)
    assert len(heard) == 1


def test_a_teardown_that_raises_is_in_the_last_word() -> None:
    class Stuck(Port):
        def on_stop(self) -> None:
            raise TimeoutError

    down = Stuck.launch([]).stop_soon().result(5)
    assert down.reason == "crashed"
    assert isinstance(down.error, TimeoutError)


def test_stop_overtakes_the_backlog_which_is_refused(launch: Launch) -> None:
    actor = launch()
    held, first = hold(actor)
    backlog = [actor.send(count) for count in range(50)]
    stopping = actor.stop_soon()
    held.set()
    stopping.result(5)
    first.result(0)
    assert {type(reply.exception(0)) for reply in backlog} == {ActorStopped}
    assert not any(reply.begun for reply in backlog)


def test_a_closed_mailbox_ends_the_actor_that_reads_it(launch: Launch) -> None:
    """As when a hung device's actor is abandoned, and its call comes back after all."""
    actor = launch()
    held, first = hold(actor)
    waiting = actor.send(1)
    actor.mailbox.close()
    assert isinstance(waiting.exception(0), ActorStopped)
    held.set()
    assert actor.down.result(5).reason == "stopped"
    assert first.done()


# -- asks and tells


def test_an_error_goes_to_the_asker_and_that_of_a_tell_to_on_error(launch: Launch) -> None:
    actor = launch()
    with pytest.raises(ZeroDivisionError):
        actor.ask(lambda: 1 // 0)
    assert actor.errors == []
    actor.tell(lambda: 1 // 0)
    actor.actor_ref.tell([].pop)
    assert actor.ask(1) == 1
    assert actor.actor_ref.ask(1) == 1
    assert [type(error) for error in actor.errors] == [ZeroDivisionError, IndexError]


def test_an_on_error_that_raises_does_not_end_the_actor(caplog: pytest.LogCaptureFixture) -> None:
    class Clumsy(Port):
        def on_receive(self, message: Any) -> Any:
            return 1 // message

        def on_error(self, error: BaseException) -> None:
            raise error

    actor = Clumsy.launch([])
    with caplog.at_level(logging.CRITICAL, "actorlab"):
        actor.tell(0)
        assert actor.ask(1) == 1
    actor.stop_soon().result(5)


def test_a_waiting_limit_drops_and_a_running_limit_does_not(launch: Launch) -> None:
    actor, ran = launch(), list[int]()
    held, first = hold(actor)
    with pytest.raises(CallTimeout, match="never will"):
        actor.ask(lambda: ran.append(1), waiting=0.01)
    held.set()
    first.result(5)
    gate = threading.Event()
    with pytest.raises(CallTimeout, match="of its begin"):
        actor.ask(lambda: ran.append(2 if gate.wait(5) else 3), waiting=5, running=0.01)
    gate.set()
    actor.ask(1)
    assert ran == [2]


def test_asks_that_were_dropped_make_space(launch: Launch) -> None:
    actor = launch()
    actor.mailbox._bound = 2
    held, _ = hold(actor)
    dropped = [actor.send(1), actor.send(2)]
    space = actor.mailbox.put_asked(Ask(3))
    assert space is not None
    for reply in dropped:
        assert reply.cancel()
    held.set()
    assert space.wait(5), "nothing will begin, and yet there is space"


def test_an_idle_actor_keeps_neither_the_last_message_nor_its_result_nor_its_error(launch: Launch) -> None:
    class Big:
        def __call__(self) -> Big:
            result = Big()
            results.append(weakref.ref(result))
            if raises.is_set():
                raise ValueError(result)
            return result

    actor = launch()
    results: list[weakref.ref[Big]] = []
    raises = threading.Event()

    def ask() -> weakref.ref[Big]:
        content = Big()
        with contextlib.suppress(ValueError):
            actor.ask(content)
        dead = weakref.ref(content)
        del content
        return dead

    gc.collect()
    gc.disable()
    try:
        for turn in (raises.clear, raises.set):
            turn()
            dead = ask()
            actor.ask(None)  # the one after it: its predecessor's frames are gone
            assert dead() is None
            assert results[-1]() is None
    finally:
        gc.enable()


def test_a_base_exception_ends_this_actor_only_and_the_asker_hears_of_it(launch: Launch) -> None:
    class Quit(BaseException):
        pass

    def leave() -> None:
        raise Quit

    actor, neighbour = launch(), launch()
    with pytest.raises(Quit):
        actor.ask(leave)
    down = actor.down.result(5)
    assert (down.reason, type(down.error)) == ("crashed", Quit)
    assert neighbour.ask(1) == 1


# -- cycles


def test_a_self_ask_is_refused_at_once(launch: Launch) -> None:
    actor = launch("actorlab-a")
    with pytest.raises(AskDeadlock, match="actorlab-a -> actorlab-a"):
        actor.ask(lambda: actor.ask(1), waiting=5)
    assert actor.ask(2) == 2


@pytest.mark.parametrize("length", [2, 3])
def test_a_cycle_of_asks_is_refused_and_its_path_named(launch: Launch, length: int) -> None:
    actors = [launch(f"actorlab-{number}") for number in range(length)]

    def ask_next(number: int) -> Any:
        return actors[number % length].ask(lambda: ask_next(number + 1))

    with pytest.raises(AskDeadlock) as caught:
        ask_next(0)
    path = " -> ".join(f"actorlab-{number % length}" for number in range(length - 1, 2 * length))
    assert path in str(caught.value)
    assert [actor.ask(1) for actor in actors] == [1] * length
    assert [actor.waits_for for actor in actors] == [None] * length


def test_two_actors_that_ask_one_another_at_the_same_moment_both_go_on(launch: Launch) -> None:
    first, second = launch("actorlab-1"), launch("actorlab-2")
    for _ in range(100):
        together = threading.Barrier(2)
        replies = [
            first.send(lambda at=together: (at.wait(5), second.ask(1))),
            second.send(lambda at=together: (at.wait(5), first.ask(1))),
        ]
        errors = [reply.exception(5) for reply in replies]
        assert any(isinstance(error, AskDeadlock) for error in errors)
        assert all(error is None or isinstance(error, AskDeadlock) for error in errors)


def test_a_cycle_of_others_does_not_hold_up_the_search(launch: Launch) -> None:
    class Waits:
        def __init__(self, name: str) -> None:
            self.name = name
            self.waits_for = Ask(None)

    one, other = Waits("one"), Waits("other")
    one.waits_for.target, other.waits_for.target = other, one
    actor = launch()

    def look() -> None:
        from actorlab.kernel.actor import refuse_cycle  # noqa: PLC0415 - only here

        refuse_cycle(actor, one.waits_for)

    assert actor.ask(look, running=5) is None


def test_waiting_for_space_in_ones_own_full_mailbox_is_refused(launch: Launch) -> None:
    actor = launch()
    actor.mailbox._bound = 1

    def fill() -> None:
        for _ in range(3):
            actor.send(1)

    with pytest.raises(AskDeadlock):
        actor.ask(fill, running=5)


def test_a_finaliser_that_asks_while_its_thread_waits_hides_no_cycle(launch: Launch) -> None:
    one, other = launch("actorlab-one"), launch("actorlab-other")
    seen: list[Any] = []

    class Finalised:
        def __del__(self) -> None:
            seen.append((one.waits_for, other.ask(1), one.waits_for))

    def ask() -> None:
        from actorlab.kernel.actor import waiting_for  # noqa: PLC0415 - only here

        message = Ask(None)
        message.target = other
        waiting_for(message, lambda: repr(Finalised()))

    one.ask(ask)
    assert len(seen) == 1
    assert seen[0][1] == 1
    assert seen[0][0] is seen[0][2] is not None


# -- through pykka's own ref


class Counter(ThreadActor):
    """What pykka's users write."""

    def __init__(self) -> None:
        super().__init__("actorlab-counter")
        self.count = 0

    def add(self, number: int) -> int:
        self.count += number
        return self.count

    def on_receive(self, message: Any) -> Any:
        return message


def test_pykkas_own_ref_and_proxy_work_and_nothing_enters_its_registry() -> None:
    ref = Counter.start()
    proxy: Any = ref.proxy()
    assert ref.ask("hello") == "hello"
    assert proxy.add(2).get(timeout=5) == 2
    proxy.count = 5
    proxy.add.defer(1)
    assert ref.proxy().count.get(timeout=5) == 6
    assert pykka.get_all([proxy.add(1), proxy.add(1).map(lambda count: count * 10)]) == [7, 80]
    assert pykka.ActorRegistry.get_all() == []
    assert ref.stop(block=True, timeout=5)
    assert not ref.is_alive()
    assert not ref.stop(block=True, timeout=5), "it was dead already"
    with pytest.raises(pykka.ActorDeadError):
        ref.ask("hello")
    with pytest.raises(pykka.ActorDeadError):
        ref.tell("hello")


def test_pykkas_stop_overtakes_the_backlog_and_returns_after_the_teardown(launch: Launch) -> None:
    gate, log = threading.Event(), list[str]()
    port = Port.launch(log, gate)
    doer = launch()
    held, _ = hold(doer)
    backlog = [doer.actor_ref.ask(count, block=False) for count in range(5)]
    stopping = doer.actor_ref.stop(block=False)
    held.set()
    assert stopping.get(timeout=5)
    for future in backlog:
        with pytest.raises(pykka.ActorDeadError):
            future.get(timeout=5)
    first, second = port.actor_ref.stop(block=False), port.actor_ref.stop(block=False)
    assert port.closing.wait(5)
    for future in (first, second):
        with pytest.raises(CallTimeout):
            future.get(timeout=0.001)
    gate.set()
    assert first.get(timeout=5)
    assert log == ["opened", "closed"]


def test_pykkas_timed_out_ask_never_executes(launch: Launch) -> None:
    actor, ran = launch(), list[int]()
    held, _ = hold(actor)
    with pytest.raises(CallTimeout):
        actor.actor_ref.ask(lambda: ran.append(1), timeout=0.01)
    held.set()
    actor.actor_ref.ask(1)
    assert ran == []


def test_an_actor_without_a_thread_has_an_address_and_a_mailbox() -> None:
    ref = Actor.start("actorlab-decider")
    assert isinstance(ref.actor_inbox, Mailbox)
    assert pykka.ActorRegistry.get_all() == []
