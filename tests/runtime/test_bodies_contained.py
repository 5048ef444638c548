"""Let bodies and callbacks do the worst they can: each is named in its own error, and everybody else goes on."""

from __future__ import annotations

import asyncio
import json
import logging
import math
import threading
import time
from collections.abc import AsyncGenerator, Callable, Generator, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import pytest

from actorlab import (
    ActorLabError,
    Cancelled,
    Lab,
    NotLeased,
    Run,
    RunCancelled,
    RunState,
    cleanup,
    sleep,
    spawn,
    task,
    track,
    workflow,
)
from actorlab.options import Options

S = RunState
Gates = Callable[[], Any]


class Odd(BaseException):
    """What is no exception that anybody expects."""


class Lamp:
    """A device that writes down what is done to it."""

    def __init__(self, log: list[str]) -> None:
        self.log = log

    def set(self, level: int) -> int:
        self.log.append(f"set {level}")
        return level

    def make_safe(self) -> None:
        self.log.append("safe")


@pytest.fixture
def others(lab: Lab, gates: Gates) -> Iterator[None]:
    """Have other runs of each kind, which hold a device or none; nobody hurts them."""
    begun, gate = gates(), gates()
    lamp = lab.add("their lamp", Lamp, [])

    def holder(lamp: Lamp) -> int:
        begun.arrive()
        gate.stop()
        return lamp.set(1)

    async def waiter() -> int:
        async for _ in track(range(10**6)):
            if gate._opened.is_set():
                break
            await asyncio.sleep(0.001)
        return 2

    runs = [lab.start(holder, lamp), lab.start(waiter)]
    begun.reached()
    yield
    assert lab.run(sum, [1, 2, 3]) == 6
    gate.open()
    assert [run.result(5) for run in runs] == [1, 2]
    assert lab.run(lamp_set, lamp) == 3


def lamp_set(lamp: Lamp) -> int:
    return lamp.set(3)


# -- what bodies raise


def function(error: BaseException) -> None:
    raise error


async def coroutine(error: BaseException) -> None:
    await asyncio.sleep(0)
    raise error


def generator(error: BaseException) -> Generator[float]:
    yield 0.5
    raise error


async def streamer(error: BaseException) -> AsyncGenerator[float]:
    yield 0.5
    raise error


class Sweep:
    """A body that is a class."""

    def __init__(self, error: BaseException) -> None:
        self.error = error

    def run(self) -> None:
        raise self.error


KINDS: list[Any] = [function, coroutine, generator, streamer, Sweep]
WORST: list[Callable[[], BaseException]] = [
    lambda: SystemExit(3), KeyboardInterrupt, GeneratorExit, StopIteration, StopAsyncIteration, asyncio.CancelledError,
    lambda: Cancelled("mine"), Odd, lambda: BaseExceptionGroup("several", [KeyboardInterrupt(), Odd()]),
]  # fmt: skip


@pytest.mark.usefixtures("others")
@pytest.mark.parametrize("body", KINDS)
@pytest.mark.parametrize("make", WORST, ids=lambda make: repr(make()))
def test_whatever_a_body_raises_is_its_runs_failure_and_named(lab: Lab, body: Any, make: Any) -> None:
    raised = make()
    run = lab.start(body, raised)
    error = run.exception(5)
    assert run.state is S.FAILED
    assert isinstance(error, Exception)
    words = f"{error!r} {error.__cause__!r} {error.__notes__}"
    assert type(raised).__name__ in words
    assert run.id in words


@pytest.mark.usefixtures("others")
@pytest.mark.parametrize("make", WORST, ids=lambda make: repr(make()))
def test_whatever_a_body_raises_its_device_is_made_safe_and_free(lab: Lab, make: Any) -> None:
    log: list[str] = []
    lamp = lab.add("lamp", Lamp, log)

    def body(lamp: Lamp) -> None:
        lamp.set(1)
        raise make()

    assert isinstance(lab.start(body, lamp).exception(5), Exception)
    assert log == ["set 1", "safe"]
    assert lab.run(lamp_set, lamp) == 3


@pytest.mark.usefixtures("others")
@pytest.mark.parametrize("make", WORST, ids=lambda make: repr(make()))
def test_whatever_a_clean_up_raises_is_named_and_the_others_run(lab: Lab, make: Any) -> None:
    log: list[str] = []
    lamp = lab.add("lamp", Lamp, log)

    def raises(lamp: Lamp) -> None:
        del lamp
        raise make()

    def sets(lamp: Lamp) -> None:
        lamp.set(2)

    @workflow
    def flow(lamp: Lamp) -> int:
        cleanup(sets, lamp)
        cleanup(raises, lamp)
        return task(lamp_set)(lamp)

    run = lab.start(flow, lamp)
    error = run.exception(5)
    assert isinstance(error, Exception)
    assert type(make()).__name__ in f"{error!r} {error.__notes__}"
    assert log == ["set 3", "set 2", "safe"]


@pytest.mark.usefixtures("others")
@pytest.mark.parametrize("make", WORST, ids=lambda make: repr(make()))
def test_whatever_a_callback_raises_is_logged_and_the_next_is_called(
    lab: Lab, make: Any, caplog: pytest.LogCaptureFixture
) -> None:
    told = threading.Semaphore(0)

    def wrong(run: Run[Any]) -> None:
        del run
        raise make()

    with caplog.at_level(logging.ERROR):
        for _ in range(3):
            run = lab.start(sum, [1, 2])
            run.add_done_callback(wrong)
            run.add_done_callback(lambda _: told.release())
            assert run.result(5) == 3
        assert all(told.acquire(timeout=5) for _ in range(3))
        end = time.monotonic() + 5
        while caplog.text.count("a callback raised") < 3 and time.monotonic() < end:
            threading.Event().wait(0.001)
    assert caplog.text.count("a callback raised") == 3
    assert type(make()).__name__ in caplog.text


@pytest.mark.usefixtures("others")
def test_a_child_that_exits_fails_its_parent_by_name(lab: Lab) -> None:
    def parent() -> None:
        spawn(function, SystemExit(3))

    error = lab.start(parent).exception(5)
    assert isinstance(error, ActorLabError)
    assert "SystemExit(3)" in str(error)


# -- what bodies return


class Hostile:
    """A value that breaks whoever looks at it."""

    def __repr__(self) -> str:
        raise SystemExit

    def __eq__(self, other: object) -> bool:
        raise ZeroDivisionError

    __hash__ = None  # type: ignore[assignment]  # as a list has none

    def __getattr__(self, name: str) -> Any:
        raise LookupError(name)

    def __iter__(self) -> Iterator[int]:
        raise KeyboardInterrupt

    def __bool__(self) -> bool:
        raise ValueError

    def __len__(self) -> int:
        raise OverflowError


def circle() -> list[Any]:
    found: list[Any] = [math.nan]
    found.append({"itself": found})
    return found


VALUES: dict[str, Callable[[], Any]] = {
    "hostile": Hostile, "a lock": threading.Lock, "a circle": circle, "a class": lambda: Hostile,
    "a lambda": lambda: lambda: 1, "not a number": lambda: math.nan, "an exception": lambda: SystemExit(3),
    "a generator": lambda: (number for number in range(3)), "bytes": lambda: b"\xff" * 10,
    "odd keys": lambda: {(1, 2): {3}, None: Hostile()}, "half a text": lambda: "\ud800",
}  # fmt: skip


@pytest.mark.usefixtures("others")
@pytest.mark.parametrize("what", VALUES)
def test_a_result_that_no_json_can_hold_comes_to_its_reader_as_it_is(lab: Lab, what: str) -> None:
    value = VALUES[what]()
    events = lab.events.subscribe(buffer=1000)
    run = lab.start(lambda: value)
    assert run.result(5) is value

    @workflow
    def passes() -> Any:
        return task(same)(task(VALUES[what])())

    assert type(lab.run(passes)) is type(value)
    lab.ask(lambda: None)
    while (event := events.get(timeout=0)) is not None:
        assert json.dumps({"kind": event.kind, "subject": event.subject, "data": event.data})


def same(value: Any) -> Any:
    return value


class Unspeakable(Exception):
    """An error that breaks whoever writes about it."""

    def __str__(self) -> str:
        raise SystemExit

    __repr__ = __str__

    def __setattr__(self, name: str, value: Any) -> None:
        raise ZeroDivisionError


@dataclass(frozen=True)
class Frozen(Exception):
    """An error to which nothing can be added."""

    number: int


@pytest.mark.usefixtures("others")
@pytest.mark.parametrize("body", KINDS)
@pytest.mark.parametrize("error", [Unspeakable(), Frozen(3)], ids=["unspeakable", "frozen"])
def test_an_error_that_breaks_whoever_writes_about_it_is_its_runs_own(lab: Lab, body: Any, error: Exception) -> None:
    events = lab.events.subscribe(kinds=["run"], snapshot=False)
    for options in (Options(), Options(retries=1), Options(keep_going=True)):
        run = lab.start(task(body).options(retries=options.retries, keep_going=options.keep_going), error)
        found = run.exception(5)
        if options.keep_going:
            assert isinstance(found, ExceptionGroup)
            (found,) = found.exceptions
        assert found is error
        assert run.state is S.FAILED
        assert isinstance(run.reasons, tuple)
        while (event := events.get(timeout=5)) is not None and not event.data["state"].terminal:
            continue
        assert event is not None
        assert ("ExceptionGroup" if options.keep_going else type(error).__name__) in event.data["error"]


@pytest.mark.usefixtures("others")
def test_what_can_not_be_added_to_an_error_is_told_by_another(lab: Lab) -> None:
    lamp = lab.add("lamp", Lamp, [])

    def fails() -> None:
        raise ZeroDivisionError

    @workflow
    def flow(lamp: Lamp) -> None:
        cleanup(fails)
        task(raises)(lamp)

    def raises(lamp: Lamp) -> None:
        del lamp
        raise Frozen(3)

    error = lab.start(flow, lamp).exception(5)
    assert isinstance(error, ActorLabError)
    assert isinstance(error.__cause__, Frozen)
    assert "ZeroDivisionError" in str(error.__notes__)


# -- bodies that don't end


def test_a_coroutine_that_blocks_the_loop_is_abandoned_with_its_stack_and_others_go_on(
    gates: Gates, caplog: pytest.LogCaptureFixture
) -> None:
    gate = gates()

    async def blocks() -> None:
        gate.stop()

    with caplog.at_level(logging.ERROR):
        lab = Lab("blocked", cancel_grace=0.2)
        run = lab.start(blocks)
        gate.reached()
        assert lab.run(sum, [1, 2, 3]) == 6
        run.cancel("enough")
        error = run.exception(5)
        assert run.state is S.ABANDONED
        assert isinstance(error, RunCancelled)
        assert "gate.stop()" in error.abandoned[0]
        assert lab.run(sum, [1, 2, 3]) == 6
        lab.close()
    assert "loop still runs what doesn't end" in caplog.text
    gate.open()


@pytest.mark.usefixtures("others")
def test_a_body_that_swallows_every_cancellation_can_do_nothing_more_and_is_named(lab: Lab, gates: Gates) -> None:
    gate = gates()
    log: list[str] = []
    lamp = lab.add("lamp", Lamp, log)
    ended = threading.Event()

    def stubborn(lamp: Lamp) -> None:
        gate.arrive()
        try:
            while True:
                with suppress(Cancelled):
                    sleep(0.001)
        except NotLeased:  # the run has ended meanwhile
            with suppress(NotLeased):
                lamp.set(7)
            ended.set()

    run = lab.start(stubborn, lamp)
    gate.reached()
    run.cancel()
    error = run.exception(5)
    assert run.state is S.ABANDONED
    assert isinstance(error, RunCancelled)
    assert "sleep(0.001)" in error.abandoned[0]
    assert ended.wait(5)
    assert lab.run(lamp_set, lamp) == 3
    assert log == ["safe", "set 3"]


# -- one place for all


@pytest.mark.parametrize("levels", [1, 2, 6])
def test_with_one_place_nested_runs_end_whatever_they_want(levels: int) -> None:
    """Children, and steps that lease for themselves, take part in their root's place."""
    log: list[str] = []
    with Lab("one", max_runs=1, limits={"night": 1}) as lab:
        lamp, other = lab.add("lamp", Lamp, log), lab.add("other", Lamp, log)

        @task(tags=("night",))
        def borrowed(lamp: Lamp, level: int) -> int:
            lamp.set(level)
            return 1 + (spawn(borrowed, lamp, level - 1).result() if level else 0)

        @workflow(tags=("night",))
        def flow(lamp: Lamp, other: Lamp, level: int) -> Any:
            return [task(borrowed)(lamp, level), task(borrowed)(other, level)]

        @workflow(lease="step", tags=("night",))
        def by_steps(lamp: Lamp, other: Lamp, level: int) -> Any:
            return [flow(lamp, other, level), task(borrowed)(lamp, level), flow(other, lamp, level)]

        @task(lease="step", tags=("night",))
        def tree(lamp: Lamp, other: Lamp, level: int) -> int:
            children: list[Run[Any]] = [spawn(borrowed, lamp, level), spawn(flow, lamp, other, level)]
            children += [spawn(by_steps, lamp, other, level), spawn(sum, [1, 2])]
            if level:
                children += [spawn(tree, lamp, other, level - 1)]
            return len([child.result() for child in children])

        runs = [lab.start(tree.options(key="one"), lamp, other, levels) for _ in range(2)]
        runs += [lab.start(tree.options(exclusive=True), lamp, other, levels) for _ in range(2)]
        runs += [lab.start(tree.options(priority=5), lamp, other, levels)]
        assert [run.result(30) for run in runs] == [5] * 5
