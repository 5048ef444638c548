"""Every kind of body means the same: results, progress, cancellation, pause, devices; and nothing blocks the loop."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import pytest

from actorlab import (
    AskDeadlock,
    Cancelled,
    ConfigError,
    Lab,
    NotLeased,
    Run,
    RunCancelled,
    RunState,
    ask,
    checkpoint,
    progress,
    shield,
    sleep,
    spawn,
    task,
    track,
    workflow,
)

Until = Callable[[Run[Any], RunState], None]


class Lamp:
    """A device that remembers what was done to it."""

    def __init__(self) -> None:
        self.log: list[Any] = []

    def set(self, value: Any) -> Any:
        self.log.append(value)
        return value

    def glow(self) -> None:
        while True:
            sleep(10)

    def make_safe(self) -> None:
        self.log.append("safe")


def plain(lamp: Lamp, count: int) -> list[int]:
    return [lamp.set(number) for number in track(range(count), "setting")]


def generator(lamp: Lamp, count: int) -> Generator[tuple[int, int, str], None, list[int]]:
    values = []
    for number in range(count):
        yield number, count, "setting"
        values.append(lamp.set(number))
    yield count, count, "setting"
    return values


async def coroutine(lamp: Lamp, count: int) -> list[int]:
    return [await ask(lamp.set, number) async for number in track(range(count), "setting")]


class Sweep:
    """A body that is a class."""

    made = 0

    def __init__(self, lamp: Lamp, count: int) -> None:
        type(self).made += 1
        self.lamp, self.count = lamp, count

    def run(self) -> list[int]:
        return plain(self.lamp, self.count)


class AsyncSweep(Sweep):
    """One whose `run` is a coroutine."""

    async def run(self) -> list[int]:  # type: ignore[override]  # another kind of body
        return await coroutine(self.lamp, self.count)


KINDS: list[Any] = [plain, generator, coroutine, Sweep, AsyncSweep]


@pytest.mark.parametrize("body", KINDS)
def test_each_kind_returns_its_value_and_tells_its_progress(lab: Lab, body: Any) -> None:
    lamp = lab.add("lamp", Lamp)
    run = lab.start(body, lamp, 3)
    assert run.result(5) == [0, 1, 2]
    told = run.progress
    assert told is not None
    assert (told.done, told.total, told.message) == (3, 3, "setting")


@pytest.mark.parametrize("body", KINDS)
def test_each_kind_is_its_plain_self_without_a_lab(body: Any) -> None:
    assert task(body)(Lamp(), 3) == [0, 1, 2]


@pytest.mark.parametrize("body", KINDS)
def test_each_kind_can_be_a_step_of_a_workflow(lab: Lab, body: Any) -> None:
    lamp = lab.add("lamp", Lamp)
    step: Any = task(body)

    @workflow
    def steps(lamp: Lamp) -> Any:
        first = step(lamp, 2)
        return [first, step(lamp, 1)]

    assert lab.run(steps, lamp) == [[0, 1], [0]]


def test_an_asynchronous_generator_tells_its_progress_and_returns_nothing(lab: Lab) -> None:
    lamp = lab.add("lamp", Lamp)

    async def body(lamp: Lamp) -> AsyncGenerator[tuple[int, int]]:
        for number in range(3):
            await ask(lamp.set, number)
            yield number + 1, 3

    run = lab.start(body, lamp)
    assert run.result(5) is None
    told = run.progress
    assert told is not None
    assert (told.done, told.total) == (3, 3)


def test_a_class_is_made_once_in_the_run(lab: Lab) -> None:
    lamp = lab.add("lamp", Lamp)
    before = Sweep.made
    assert lab.run(Sweep, lamp, 1) == [0]
    assert Sweep.made == before + 1


# -- cancellation


def forever(lamp: Lamp, gate: Any, ended: list[str]) -> None:
    try:
        gate.arrive()
        lamp.glow()
    finally:
        lamp.set("last")
        ended.append("cleaned up")


def forever_generator(lamp: Lamp, gate: Any, ended: list[str]) -> Generator[None]:
    try:
        gate.arrive()
        while True:
            yield
    finally:
        lamp.set("last")
        ended.append("cleaned up")


async def forever_coroutine(lamp: Lamp, gate: Any, ended: list[str]) -> None:
    try:
        gate.arrive()
        await ask(lamp.glow)
    finally:
        await ask(lamp.set, "last")
        ended.append("cleaned up")


async def forever_async_generator(lamp: Lamp, gate: Any, ended: list[str]) -> AsyncGenerator[None]:
    try:
        gate.arrive()
        while True:
            yield
    finally:
        await ask(lamp.set, "last")
        ended.append("cleaned up")


ENDLESS: list[Any] = [forever, forever_generator, forever_coroutine, forever_async_generator]


@pytest.mark.parametrize("body", ENDLESS)
def test_cancelling_ends_each_kind_which_may_still_clean_up_and_then_the_device_is_made_safe(
    lab: Lab, gate: Any, body: Any
) -> None:
    lamp = lab.add("lamp", Lamp)
    ended: list[str] = []
    run = lab.start(body, lamp, gate, ended)
    gate.reached()
    run.cancel("enough")
    with pytest.raises(RunCancelled, match="enough") as caught:
        run.result(5)
    assert ended == ["cleaned up"]
    assert run.state is RunState.CANCELLED
    assert caught.value.safe == ("lamp",)
    assert lamp.log == ["last", "safe"]


@pytest.mark.parametrize("kind", ["generator", "coroutine"])
def test_a_body_that_swallows_its_cancellation_is_abandoned_with_its_stack(gate: Any, kind: str) -> None:
    freed = asyncio.Event()

    async def stubborn() -> None:
        gate.arrive()
        while not freed.is_set():
            with suppress(asyncio.CancelledError):
                await asyncio.sleep(10)

    def stubborn_generator() -> Generator[None]:
        gate.arrive()
        while True:
            try:
                yield
            except Cancelled as error:
                if "took too long" in str(error):
                    raise

    with Lab(cancel_grace=0.1) as own:
        body: Any = stubborn if kind == "coroutine" else stubborn_generator
        run: Run[Any] = own.start(body)
        gate.reached()
        run.cancel("enough")
        error = run.exception(5)
        assert isinstance(error, RunCancelled)
        if kind == "coroutine":
            assert run.state is RunState.ABANDONED
            assert "await asyncio.sleep(10)" in error.abandoned[0]
            own.loop.call(freed.set)


def test_a_shield_keeps_a_cancellation_out_of_a_coroutine(lab: Lab, gate: Any) -> None:
    done: list[str] = []

    async def body() -> None:
        with shield(5):
            gate.arrive()
            await cancelled.wait()
            done.append("what was shielded")
        await asyncio.sleep(10)

    cancelled = asyncio.Event()
    run = lab.start(body)
    gate.reached()
    run.cancel("enough")
    lab.ask(lambda: None)
    lab.loop.call(cancelled.set)
    assert isinstance(run.exception(10), RunCancelled)
    assert done == ["what was shielded"]


# -- pause


async def counting(seen: list[int]) -> None:
    async for number in track(range(10**9)):
        seen.append(number)  # noqa: PERF401 - whoever looks on wants to see each


def counting_generator(seen: list[int]) -> Generator[None]:
    for number in range(10**9):
        seen.append(number)
        yield


@pytest.mark.parametrize("body", [counting, counting_generator])
def test_a_paused_body_stands_until_it_is_resumed(lab: Lab, until: Until, body: Any) -> None:
    seen: list[int] = []
    run = lab.start(body, seen)
    until(run, RunState.RUNNING)
    run.pause()
    until(run, RunState.PAUSED)
    before = len(seen)
    lab.ask(lambda: None)
    assert len(seen) == before
    run.resume()
    until(run, RunState.RUNNING)
    run.cancel()
    assert isinstance(run.exception(5), RunCancelled)


def test_a_run_that_is_paused_while_it_waits_begins_when_it_is_resumed(lab: Lab, until: Until) -> None:
    lamp = lab.add("lamp", Lamp)
    with lab.lease(lamp):
        outside = lab.device("lamp")
        with ThreadPoolExecutor(1) as elsewhere:
            run = elsewhere.submit(lambda: lab.start(plain, outside, 1)).result()
        run.pause("look at the sample")
        assert run.reasons[-1] == f"{run.id} will stand still when it has its devices: look at the sample"
    until(run, RunState.PAUSED)
    assert run.reasons == (f"{run.id} is paused: look at the sample",)
    run.resume()
    run.result(5)


# -- nothing blocks the loop


async def calls_a_device(lamp: Lamp) -> None:
    lamp.set(1)


async def sleeps(lamp: Lamp) -> None:
    del lamp
    sleep(1)


async def waits_for_a_child(lamp: Lamp) -> None:
    spawn(plain, lamp, 1).result()


@pytest.mark.parametrize(
    ("body", "instead"),
    [
        (calls_a_device, r"await ask\(lamp\.set, …\)"),
        (sleeps, r"await asyncio\.sleep"),
        (waits_for_a_child, "await the run"),
    ],
)
def test_what_would_block_the_loop_raises_and_names_what_to_await(lab: Lab, body: Any, instead: str) -> None:
    lamp = lab.add("lamp", Lamp)
    with pytest.raises(AskDeadlock, match=instead):
        lab.run(body, lamp)


def test_a_coroutine_waits_for_its_children_and_uses_only_its_own_devices(lab: Lab) -> None:
    lamp, other = lab.add("lamp", Lamp), lab.add("other", Lamp)

    async def parent(lamp: Lamp) -> list[int]:
        return await spawn(coroutine, lamp, 2)

    async def thief(lamp: Lamp) -> None:
        del lamp
        await ask(other.set, 1)

    assert lab.run(parent, lamp) == [0, 1]
    with pytest.raises(NotLeased, match="'other'"):
        lab.run(thief, lamp)


def test_many_coroutines_wait_at_the_same_time_without_a_thread_each(lab: Lab) -> None:
    arrived: list[int] = []
    all_there = asyncio.Event()

    async def meet(number: int) -> int:
        arrived.append(number)
        if len(arrived) == 200:
            all_there.set()
        await all_there.wait()
        await checkpoint()
        return number

    runs = [lab.start(meet, number) for number in range(200)]
    assert [run.result(10) for run in runs] == list(range(200))


# -- contained


@pytest.mark.parametrize("nonsense", [{}, object(), ("a", "b"), True])
def test_a_generator_that_yields_nonsense_fails_and_says_what_it_yielded(lab: Lab, nonsense: Any) -> None:
    closed: list[str] = []

    def body() -> Generator[Any]:
        try:
            yield nonsense
        finally:
            closed.append("closed")

    with pytest.raises(TypeError, match=r"body#1: it yielded .*: yield a fraction"):
        lab.run(body)
    assert closed == ["closed"]
    assert lab.run(lambda: "still well") == "still well"


def test_an_asynchronous_task_in_a_running_loop_says_what_to_await() -> None:
    async def main() -> None:
        task(coroutine)(Lamp(), 1)

    with pytest.raises(ConfigError, match=r"await lab\.start\(coroutine, …\)"):
        asyncio.run(main())


def test_progress_of_a_fraction_or_a_message_alone(lab: Lab) -> None:
    def body() -> Generator[Any]:
        yield "warming up"
        yield 0.5
        progress(3, 4)

    run = lab.start(body)
    run.result(5)
    told = run.progress
    assert told is not None
    assert (told.done, told.total) == (3, 4)
