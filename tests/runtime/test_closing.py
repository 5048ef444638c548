"""Close labs in the middle of everything: within a bound, nothing stays behind unsaid, and nobody waits for ever."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import sys
import threading
import time
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from actorlab import (
    ActorLabError,
    AskDeadlock,
    ConfigError,
    Device,
    DeviceConfig,
    Lab,
    RestartPolicy,
    Run,
    RunCancelled,
    RunState,
    ask_operator,
    emit,
    query,
    record,
    sleep,
    task,
    track,
)

ROOT = Path(__file__).parents[2]
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))  # drivers' processes get our path, and import their drivers by it

from tests.runtime.isolated_lab_drivers import Rig  # noqa: E402

if TYPE_CHECKING:
    from tests.runtime.conftest import Gate

    Gates = Callable[[], Gate]

PATIENCE = 5.0
LONG = 3600.0


class Lamp(Device):
    """A lamp that notes what is done to it."""

    def __init__(self, log: list[str] | None = None) -> None:
        self.log = [] if log is None else log

    def set(self, volts: float) -> float:
        self.log.append(f"set {volts}")
        return volts

    def block(self, gate: Gate) -> None:
        gate.stop()

    @query
    def level(self) -> float:
        return 1.0

    def make_safe(self) -> None:
        self.log.append("safe")

    def disconnect(self) -> None:
        self.log.append("closed")


@contextlib.contextmanager
def within(seconds: float) -> Generator[None]:
    """Fail if the block takes longer."""
    began = time.monotonic()
    yield
    assert time.monotonic() - began < seconds


def deaf(gate: Gate) -> None:
    """Hear no cancellation."""
    gate.stop()


def arrives_and_naps(gate: Gate) -> None:
    """Take long."""
    gate.arrive()
    sleep(LONG)


def holds_on(device: Any, gate: Gate) -> None:
    """Hold a device, and hear no cancellation."""
    del device
    gate.stop()


def naps(device: Any) -> None:
    """Hold a device, and take long."""
    del device
    sleep(LONG)


# -- what is told


def test_a_lab_that_ends_in_order_leaves_nothing_behind() -> None:
    with Lab("test") as lab:
        lamp = lab.add("lamp", Lamp)
        lab.run(lambda lamp: lamp.set(1), lamp)
    left = lab.close()
    assert not left
    assert (left.everything, lab.exit_code) == ((), 0)
    assert str(left) == "lab 'test' has closed, and left nothing behind"


def test_closing_returns_the_bodies_that_did_not_end_with_their_stacks(lab: Lab, gate: Gate) -> None:
    run = lab.start(deaf, gate)
    gate.reached()
    left = lab.close(timeout=0.3)
    (body,) = left.bodies
    assert (body.name, body.why) == (run.id, "didn't end, and was abandoned")
    assert "in deaf\n" in body.stack
    assert "gate.stop()" in body.stack
    assert "actorlab" not in body.stack.partition("in deaf")[0], "it begins where the user's code does"
    assert (left.devices, left.unsafe, left.threads) == ((), (), ()), "its thread isn't told a second time"
    assert lab.close() == left, "as often as one asks"
    gate.open()


def test_what_ends_after_its_grace_but_before_the_lab_is_not_left_behind(lab: Lab, gate: Gate) -> None:
    run = lab.start(deaf, gate)
    gate.reached()
    run.cancel()
    assert "deaf" in str(run.exception(PATIENCE))
    assert run.state is RunState.ABANDONED
    gate.open()
    assert not lab.close()


def test_a_block_that_is_left_without_an_error_raises_what_was_left_behind(gate: Gate) -> None:
    with (  # noqa: PT012 - the block is what is tested
        pytest.raises(ActorLabError, match="has closed, but not everything is well") as caught,
        Lab(cancel_grace=0.05) as lab,
    ):
        run = lab.start(task(deaf).options(timeout=0.05), gate)
        gate.reached()
        with pytest.raises(RunCancelled):
            run.result(PATIENCE)
    assert "- deaf#1 didn't end, and was abandoned; it is here:\n" in str(caught.value)
    assert lab.exit_code == 1
    gate.open()


def test_an_error_that_leaves_the_block_is_not_masked_but_gets_a_note(gate: Gate) -> None:
    with pytest.raises(ZeroDivisionError) as caught, Lab(cancel_grace=0.1) as lab:  # noqa: PT012
        lab.start(deaf, gate)
        gate.reached()
        _ = 1 / 0
    (note,) = caught.value.__notes__
    assert "deaf#1 didn't end, and was abandoned" in note
    gate.open()


@pytest.mark.parametrize("patient", [True, False], ids=["run while closing", "before"])
def test_a_device_that_could_not_be_made_safe_is_named(*, patient: bool) -> None:
    class Stuck(Lamp):
        def make_safe(self) -> None:
            message = "the relay is welded"
            raise OSError(message)

    lab = Lab(cancel_grace=0.2)
    lamp = lab.add("lamp", DeviceConfig(restart=RestartPolicy(restart="never"))(Stuck))
    run = lab.start(naps, lamp)
    if not patient:
        run.cancel()
        run.exception(PATIENCE)
    left = lab.close()
    (unsafe,) = left.unsafe
    assert unsafe.name == "lamp"
    assert "is not known to be safe" in unsafe.why
    assert "the relay is welded" in unsafe.why
    assert (left.devices, left.bodies, left.threads) == ((), (), ()), "but its thread has ended"


def test_a_device_that_is_made_safe_as_it_is_disconnected_is_not_called_unsafe(lab: Lab, gate: Gate) -> None:
    log: list[str] = []
    lamp = lab.add("lamp", Lamp, log)
    busy = ThreadPoolExecutor(1).submit(lamp.block, gate)
    gate.reached()
    lab.emergency_stop("smoke")
    lab.lab_actor.lives.stop_devices(PATIENCE)
    lab.ask(lambda: None)
    gate.open()
    assert not lab.close().unsafe
    assert log == ["safe", "closed"]
    assert busy.exception(PATIENCE) is not None


def test_a_driver_that_hangs_in_disconnect_is_given_up_with_its_stack(lab: Lab, gate: Gate) -> None:
    class Hanging(Lamp):
        def disconnect(self) -> None:
            gate.stop()

    lab.add("lamp", DeviceConfig(safe_timeout=0.1)(Hanging))
    (lamp,) = lab.close().devices
    assert lamp.name == "lamp"
    assert "was given up: it doesn't stop" in lamp.why
    assert "gate.stop()" in lamp.stack
    gate.open()


def test_only_devices_that_live_on_are_given_up_when_the_time_is_over(gate: Gate) -> None:
    class Hanging(Lamp):
        def disconnect(self) -> None:
            gate.stop()

    lab = Lab(cancel_grace=LONG)
    for name in ("one", "two"):
        lab.add(name, DeviceConfig(safe_timeout=LONG)(Lamp))
    lab.add("last", DeviceConfig(safe_timeout=LONG)(Hanging))
    with within(4.0):
        left = lab.close(timeout=0.3)
    assert [device.name for device in left.devices] == ["last"]
    gate.open()


def test_a_coroutine_that_goes_on_and_one_that_blocks_the_loop_are_told(gates: Gates) -> None:
    over, begun = False, gates()

    async def swallows() -> None:
        begun.arrive()
        while not over:
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.sleep(0.01)

    lab = Lab(cancel_grace=0.1)
    lab.start(swallows)
    begun.reached()
    (body,) = lab.close(timeout=0.3).bodies
    over = True
    assert body.name == "swallows#1"
    assert "await asyncio.sleep(0.01)" in body.stack

    gate = gates()

    async def blocks() -> None:
        gate.stop()

    lab = Lab(cancel_grace=0.1)
    lab.start(blocks)
    gate.reached()
    with within(4.0):
        left = lab.close(timeout=0.3)
    assert [body.name for body in left.bodies] == ["blocks#1"]
    (thread,) = left.threads
    assert thread.name.endswith(": loop")
    assert "gate.stop()" in thread.stack
    gate.open()


def test_callbacks_samples_and_interrupts_that_hang_are_told(gates: Gates) -> None:
    callback, sample, interrupt, call = (gates() for _ in range(4))

    class Slow(Lamp):
        def interrupt(self) -> None:
            interrupt.stop()

    lab = Lab(cancel_grace=0.1)
    lamp = lab.add("lamp", DeviceConfig(safe_timeout=0.1)(Slow))
    lab.start(int).add_done_callback(lambda _: callback.stop())
    well = [True]

    def condition() -> bool:
        if not well:
            sample.stop()
        return True

    lab.interlock(condition, "veto", period=0.01, grace=LONG)
    well.clear()
    lab.start(lambda lamp: lamp.block(call), lamp)
    for gate in (callback, sample, call):
        gate.reached()
    left = lab.close(timeout=0.5)
    interrupt.reached()
    told = "\n".join(thread.stack for thread in left.threads)
    assert all(f"{name}.stop()" in told for name in ("callback", "sample", "interrupt"))
    assert [device.name for device in left.devices] == ["lamp"]
    for gate in (callback, sample, interrupt, call):
        gate.open()


def test_everything_that_was_left_is_logged_and_told_as_the_last_event(
    gate: Gate, caplog: pytest.LogCaptureFixture
) -> None:
    lab = Lab("test", cancel_grace=0.1)
    lab.add("lamp", Lamp)
    events = lab.events.subscribe(snapshot=False)
    lab.start(deaf, gate)
    gate.reached()
    with caplog.at_level(logging.ERROR):
        left = lab.close()
    last = list(events)[-1]
    assert (last.subject, last.kind) == ("lab", "closed")
    assert last.data["left"] == (str(left.bodies[0]),)
    assert "lab 'test': deaf#1 didn't end, and was abandoned" in caplog.text
    gate.open()


# -- within a bound, and nobody waits for ever


def test_closing_within_a_time_takes_no_longer_whatever_hangs(gates: Gates) -> None:
    """Bodies, coroutines, services, calls, disconnects: with graces and bounds of an hour each."""
    held = [gates() for _ in range(8)]
    body, service, call, last, callback, unit, made, begun = held

    class Hanging(Lamp):
        def disconnect(self) -> None:
            last.stop()

        def make_safe(self) -> None:
            made.stop()

    async def swallows() -> None:
        begun.arrive()
        while not body._opened.is_set():
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.sleep(0.01)

    lab = Lab(cancel_grace=LONG)
    limited = DeviceConfig(timeout=LONG, safe_timeout=LONG)
    lamp, spare = lab.add("lamp", limited(Lamp)), lab.add("spare", limited(Hanging))
    lab.events.subscribe(lambda _: callback.stop())
    runs: list[Run[Any]] = [
        lab.start(deaf, body),
        lab.start(swallows),
        lab.start(lambda lamp: lamp.block(call), lamp),
        lab.start(lambda lamp: lamp.set(2), lamp),
        lab.start(holds_on, spare, unit),
    ]
    lab.serve(deaf, service)
    for gate in (body, service, call, unit, callback, begun):
        gate.reached()
    waiting = ThreadPoolExecutor(len(runs))
    ends = [waiting.submit(run.exception, PATIENCE) for run in runs]
    with within(3.0):
        left = lab.close(timeout=0.2)
    assert all(run.done() for run in runs)
    assert all(isinstance(end.result(PATIENCE), ActorLabError) for end in ends), "whoever waited has been told"
    assert all(run.state.terminal for run in runs)
    assert runs[0].state is RunState.ABANDONED
    assert {"deaf#1", "swallows#2"} <= {body.name for body in left.bodies}
    assert {device.name for device in left.devices} == {"lamp", "spare"}
    assert {device.name for device in left.unsafe} == {"lamp", "spare"}
    for gate in held:
        gate.open()
    waiting.shutdown()


@pytest.mark.parametrize("timeout", [0.0, 1e-9])
def test_a_lab_that_is_closed_without_any_time_answers_whoever_waits(timeout: float, gates: Gates) -> None:
    body, made = gates(), gates()

    class Hanging(Lamp):
        def make_safe(self) -> None:
            made.stop()

    lab = Lab(cancel_grace=LONG)
    limited = DeviceConfig(safe_timeout=LONG)
    lamps = [lab.add(f"lamp{number}", limited(Hanging)) for number in range(3)]
    runs = [lab.start(naps, lamp) for lamp in lamps] + [lab.start(deaf, body)]
    body.reached()
    with within(4.0):
        lab.close(timeout)
    for run in runs:
        assert isinstance(run.exception(PATIENCE), RunCancelled)
        assert run.state in (RunState.INTERRUPTED, RunState.ABANDONED)
    body.open()
    made.open()


def test_closing_an_idle_lab_takes_no_time() -> None:
    lab = Lab()
    for number in range(5):
        lab.add(f"lamp{number}", Lamp)
    lab.run(int)

    async def idles() -> None:
        await asyncio.sleep(LONG)

    lab.start(idles)
    with within(1.5):
        assert not lab.close(timeout=LONG)


class World:
    """A lab in which everything goes on that a lab can do."""

    def __init__(self, marks: Path, gates: Gates) -> None:
        self.lab = Lab("test", cancel_grace=2.0, max_runs=20)
        self.log: list[str] = []
        self.lamp, self.other, self.free = (self.lab.add(name, Lamp, self.log) for name in ("lamp", "other", "free"))
        self.rig = self.lab.add("rig", DeviceConfig(isolation="process", safe_timeout=2.0)(Rig), str(marks))
        self.gate, self.standing, self.in_block = gates(), gates(), gates()

    def runs(self) -> list[Run[Any]]:
        """Start runs that wait for all one can wait for."""
        start, lamp = self.lab.start, self.lamp
        paused = start(self.pauses)
        self.standing.reached()
        paused.pause()
        self.until(lambda: paused.state is RunState.PAUSED)
        once_more = RestartPolicy(limit=9, delay=LONG, max_delay=LONG)
        runs: list[Run[Any]] = [
            paused,
            start(self.parent, lamp),
            start(naps, lamp),
            start(naps, self.other),
            start(naps, self.rig),
            start(task(self.fails).options(restart=once_more)),
            start(ask_operator, "well?"),
            start(lambda: emit("ready", acknowledged=LONG)),
            start(asyncio.sleep, LONG),
            start(task(naps).options(not_before=datetime.now(UTC) + timedelta(hours=1)), None),
            start(task(naps).options(lease_timeout=LONG), lamp),
            start(task(naps).options(key="k"), None),
            start(task(naps).options(key="k"), None),
            start(task(naps).options(exclusive=True), None),
        ]
        self.gate.reached()
        return runs

    def until(self, so: Callable[[], bool]) -> None:
        """Wait until something is so."""
        deadline = time.monotonic() + PATIENCE
        while not so():
            assert time.monotonic() < deadline
            self.lab.ask(lambda: None)

    def fails(self) -> None:
        """Be tried again, in an hour."""
        self.gate.arrive()
        message = "again"
        raise OSError(message)

    def pauses(self) -> None:
        """Be paused."""
        for _ in track(range(10**9)):
            self.standing.arrive()
            sleep(0.001)

    def parent(self, lamp: Lamp) -> None:
        """Wait for a child."""
        self.lab.run(naps, lamp)

    def holds(self) -> str:
        """Use a device in a block, until that ends."""
        try:
            with self.lab.lease(self.free):
                self.in_block.arrive()
                while True:
                    self.free.set(1)
        except ActorLabError as error:
            return str(error)

    def wants(self) -> str:
        """Wait for a device."""
        try:
            with self.lab.lease(self.free):
                return "it was granted"
        except ActorLabError as error:
            return str(error)


def test_a_lab_is_closed_in_the_middle_of_everything(tmp_path: Path, gates: Gates) -> None:
    """Runs that wait, run, pause, retry, ask and sleep; services, processes, iterations, callbacks, blocks: all end."""
    world = World(tmp_path / "marks", gates)
    lab = world.lab
    process = lab.status("rig").pid
    assert process is not None
    heard: list[str] = []
    with ThreadPoolExecutor(4) as threads:
        try:
            runs = world.runs()
            service = lab.serve(task(asyncio.sleep).options(name="service"), LONG)
            lab.interlock(lambda: 1.0, "veto", period=0.01, grace=LONG)
            later = lab.later(LONG, world.log.append, "late")
            lab.events.subscribe(lambda event: heard.append(event.kind))
            block = threads.submit(world.holds)
            world.in_block.reached()
            outside = threads.submit(world.wants)
            iterating = threads.submit(lambda: list(lab.events)[-1])
            waiting = threads.submit(service.wait, PATIENCE)
        finally:
            with within(3 * PATIENCE):
                left = lab.close()
        assert not left, left
        assert "has lost its lease: the lab was closed" in block.result(PATIENCE)
        assert "was interrupted: the lab was closed" in outside.result(PATIENCE)
        assert iterating.result(PATIENCE).kind == "closed"
        assert waiting.result(PATIENCE) is not None
    assert {run.state for run in runs} == {RunState.INTERRUPTED}
    assert later.cancelled()
    assert "late" not in world.log
    assert world.log.count("closed") == 3
    with pytest.raises(ProcessLookupError):
        os.kill(process, 0)
    assert not lab.questions
    assert heard[-1] == "closed"


def test_who_closes_ends_a_block_that_still_waits_for_its_runs(gate: Gate) -> None:
    lab = Lab(cancel_grace=0.3)

    def leave() -> None:
        with lab:
            lab.start(arrives_and_naps, gate)

    with ThreadPoolExecutor(1) as pool:
        left = pool.submit(leave)
        gate.reached()
        with within(PATIENCE):
            assert not lab.close()
        left.result(PATIENCE)


def test_who_closes_while_another_one_does_waits_no_longer_than_it_may(gate: Gate) -> None:
    lab = Lab(cancel_grace=LONG)
    lab.start(deaf, gate)
    gate.reached()
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(lab.close)
        deadline = time.monotonic() + PATIENCE
        while not lab.ending.closing and time.monotonic() < deadline:
            lab.ask(lambda: None)
        early = lab.close(timeout=0.1)
        assert not first.done()
        (thread,) = early.threads
        assert (thread.name, thread.why) == ("another thread", "is still closing the lab")
        gate.open()
        assert not first.result(PATIENCE), "it has waited for the end of the body"
    assert not lab.close()


@pytest.mark.parametrize("turn", range(5))
def test_many_threads_close_a_lab_while_others_start_runs(turn: int) -> None:
    lab = Lab(f"test {turn}", cancel_grace=1.0)
    lamp = lab.add("lamp", Lamp)
    begun: list[Run[Any]] = []
    barrier = threading.Barrier(4)

    def start() -> None:
        barrier.wait(PATIENCE)
        with contextlib.suppress(ConfigError):
            while True:
                begun.append(lab.start(lambda lamp: lamp.set(1), lamp))
                begun.append(lab.start(sleep, LONG))

    def close() -> None:
        barrier.wait(PATIENCE)
        assert not lab.close()

    with ThreadPoolExecutor(4) as pool:
        for done in [pool.submit(start), pool.submit(start), pool.submit(close), pool.submit(close)]:
            done.result(4 * PATIENCE)
    for run in begun:
        run.exception(PATIENCE)
    assert all(run.state.terminal for run in begun)


# -- who may close it


def test_a_body_and_a_driver_may_not_close_their_own_lab(lab: Lab) -> None:
    class Closing(Lamp):
        def end(self) -> None:
            lab.close()

    with pytest.raises(AskDeadlock, match="close#1 can't close its lab"):
        lab.run(task(lab.close).options(name="close"))
    with pytest.raises(AskDeadlock, match="the driver of lamp can't close its lab"):
        lab.add("lamp", Closing).end()
    assert lab.run(int) == 0, "it is still open"


def test_a_body_may_close_another_lab_and_a_lease_block_its_own(lab: Lab) -> None:
    def other() -> bool:
        with Lab("inner") as inner:
            inner.run(int)
        return bool(inner.close())

    assert lab.run(other) is False
    lamp = lab.add("lamp", Lamp)
    with lab.lease(lamp):
        assert not lab.close()


def test_a_callback_may_close_the_lab(lab: Lab) -> None:
    closed = threading.Event()

    def close(_: object) -> None:
        lab.close()
        closed.set()

    lab.start(int).add_done_callback(close)
    assert closed.wait(PATIENCE)
    assert not lab.close()


def test_a_cancelled_async_block_is_left_when_everything_has_ended() -> None:
    async def main() -> tuple[bool, Run[None]]:
        async with Lab(cancel_grace=1.0) as lab:
            run = lab.start(sleep, 0.2)
            inner = asyncio.current_task()
            assert inner is not None
            asyncio.get_running_loop().call_later(0.05, inner.cancel)
        return lab.ending.over, run

    async def outer() -> None:
        with pytest.raises(asyncio.CancelledError):
            await asyncio.create_task(main())
        assert not [thread for thread in threading.enumerate() if thread.name.startswith("actorlab")]

    asyncio.run(outer())


# -- runs are kept, and numbered


def test_the_newest_runs_that_have_ended_are_kept() -> None:
    with Lab(keep_finished=3) as lab:
        for _ in range(5):
            lab.run(int)
        assert [run.id for run in lab.runs] == ["int#3", "int#4", "int#5"]
        with pytest.raises(ConfigError, match="ended long ago"):
            lab.get("int#2")


@pytest.mark.parametrize("wrong", [0, -1, 2.5])
def test_how_many_runs_are_kept_must_be_a_whole_number(wrong: Any) -> None:
    with pytest.raises(ConfigError, match=r"keep_finished=.*at least 1"):
        Lab(keep_finished=wrong)


def starts_that_fail(lab: Lab, lamp: Lamp, gone: Lamp) -> Iterator[Callable[[], object]]:
    """Yield ways to start what can't begin."""
    yield lambda: lab.start("naps")
    yield lambda: lab.start(naps, gone)
    yield lambda: lab.lease(gone)
    yield lab.lease
    yield lambda: lab.lease(lamp, "meter")


def test_a_start_that_fails_takes_no_number(lab: Lab) -> None:
    lamp = lab.add("lamp", Lamp)
    gone = lab.add("gone", Lamp)
    lab.remove("gone")
    for fails in starts_that_fail(lab, lamp, gone):
        with pytest.raises((ActorLabError, TypeError)):
            fails()
    first = lab.start(int)
    assert first.result(PATIENCE) == 0
    with lab.lease(lamp):
        assert lamp.level() == 1.0
    assert [run.id for run in lab.runs] == ["int#1", "lease#2"]


# -- rows are kept


def test_a_run_keeps_its_newest_rows_and_says_how_many_it_let_go() -> None:
    def records() -> None:
        for number in range(25):
            record(number=number)

    with Lab(keep_rows=10) as lab:
        run = lab.start(records)
        run.result(PATIENCE)
        assert run.data.column("number") == list(range(15, 25))
        assert (len(run.data), run.data.dropped, len(run.data.rows)) == (10, 15, 10)
    with pytest.raises(ConfigError, match=r"keep_rows=0\): it must be a whole number of rows"):
        Lab(keep_rows=0)


def test_rows_of_many_threads_are_all_counted() -> None:
    def many() -> None:
        for number in range(500):
            record(number=number)

    def body() -> None:
        threads = [threading.Thread(target=copy_context().run, args=(many,)) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(PATIENCE)

    with Lab(keep_rows=100) as lab:
        run = lab.start(body)
        run.result(PATIENCE)
        assert (len(run.data), run.data.dropped) == (100, 1900)


def test_a_callback_that_takes_its_time_is_no_fault() -> None:
    ended: list[str] = []

    def late(run: Run[int]) -> None:
        threading.Event().wait(0.4)
        ended.append(run.id)

    with Lab() as lab:
        lab.start(int).add_done_callback(late)
        lab.events.subscribe(lambda _: threading.Event().wait(0.2), kinds=["closed"])
    assert ended == ["int#1"]
