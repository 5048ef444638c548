"""Hold the runtime to one mechanism that ends things: it reaches a body wherever it waits; the caller hears last."""

from __future__ import annotations

import asyncio
import os
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

import pytest

from actorlab import (
    Cancelled,
    DeviceConfig,
    Lab,
    NotLeased,
    Run,
    RunCancelled,
    RunState,
    RunTimeout,
    ask,
    checkpoint,
    emit,
    query,
    shield,
    sleep,
    spawn,
    task,
    track,
)
from actorlab.simulation import Bench, Laser
from tests.runtime.conftest import Gate

Until = Callable[[Run[Any], RunState], None]


class Lamp:
    """A device that writes down what it does, and has calls that take long."""

    def __init__(self, log: list[str]) -> None:
        self.log = log
        self.pipe = os.pipe()

    def set(self, level: int) -> None:
        self.log.append(f"set {level}")

    def off(self) -> None:
        self.log.append("off")

    def warm_up(self, begun: Gate) -> None:
        """Wait as drivers should."""
        begun.arrive()
        self.log.append("warming up")
        sleep(60)
        self.log.append("warm")

    def listen(self, begun: Gate) -> None:
        """Wait in I/O, from which only `interrupt` wakes."""
        begun.arrive()
        if select.select([self.pipe[0]], [], [], 20)[0]:
            os.read(self.pipe[0], 1)
            raise InterruptedIO

    def block(self, gate: Gate) -> None:
        """Wait for what nothing ends but the gate."""
        gate.stop()
        self.log.append("blocked no more")

    def interrupt(self) -> None:
        os.write(self.pipe[1], b"!")

    def resync(self) -> None:
        while select.select([self.pipe[0]], [], [], 0)[0]:
            os.read(self.pipe[0], 1)

    @query
    def level(self) -> int:
        return len(self.log)

    def make_safe(self) -> None:
        self.log.append("safe")

    def close(self) -> None:
        for end in self.pipe:
            os.close(end)


class InterruptedIO(Exception):
    """What a driver's I/O raises when it is interrupted."""


def stopped(run: Run[Any]) -> RunCancelled:
    """Wait for the end of a run that is being cancelled, and return its error."""
    with pytest.raises(RunCancelled) as caught:
        run.result(5)
    return caught.value


# -- where it reaches a body


def test_it_ends_a_sleep(lab: Lab, gate: Gate) -> None:
    def body() -> None:
        gate.arrive()
        sleep(60)

    run = lab.start(body)
    gate.reached()
    run.cancel("lunch")
    error = stopped(run)
    assert error.reason == "lunch"
    assert str(error) == f"{run.id} was cancelled: lunch"
    assert run.state is RunState.CANCELLED


def test_it_ends_a_track(lab: Lab, gate: Gate) -> None:
    seen: list[int] = []

    def body() -> None:
        for number in track(range(1000)):
            seen.append(number)
            if number == 2:
                gate.stop()

    run = lab.start(body)
    gate.reached()
    run.cancel()
    lab.ask(lambda: None)
    gate.open()
    stopped(run)
    assert seen == [0, 1, 2]


def test_it_ends_a_call_in_a_drivers_sleep(lab: Lab, gate: Gate) -> None:
    log: list[str] = []
    lamp = lab.add("lamp", Lamp, log)
    run = lab.start(lambda lamp: lamp.warm_up(gate), lamp)
    gate.reached()
    run.cancel()
    assert stopped(run).safe == ("lamp",)
    assert log == ["warming up", "safe"]
    lamp.set(1)


def test_it_ends_a_call_in_io_by_the_drivers_interrupt(lab: Lab, gate: Gate) -> None:
    log: list[str] = []

    class Receiver(Lamp):
        def resync(self) -> None:
            log.append("resync")

    lamp = lab.add("lamp", Receiver, log)
    run = lab.start(lambda lamp: lamp.listen(gate), lamp)
    gate.reached()
    run.cancel()
    assert stopped(run).safe == ("lamp",)
    assert log == ["resync", "safe"], "after an interrupt it is brought back into step before anything else"


def test_it_ends_a_read_from_a_bench_instrument(bench: Bench, lab: Lab) -> None:
    laser = lab.add("laser", Laser, bench.resources["laser"], timeout=20.0)
    bench.inject("laser", "slow", seconds=0.3)
    before = len(bench.executed("laser"))
    run = lab.start(lambda laser: laser.current(), laser)
    bench.wait_executed("laser", before + 1)
    run.cancel()
    assert stopped(run).safe == ("laser",)
    assert laser.current() == 0.0, "the late answer was read away"


def test_it_drops_a_call_that_waits_in_the_mailbox_which_is_never_executed(lab: Lab, gate: Gate) -> None:
    log: list[str] = []
    lamp = lab.add("lamp", Lamp, log)
    sent = threading.Event()

    class Slow(Lamp):
        @query
        def slowly(self) -> None:
            gate.stop()

    slow = lab.add("slow", Slow, log)
    del lamp
    reading = ask(slow.slowly)
    gate.reached()

    def body(lamp: Lamp) -> None:
        sent.set()
        lamp.set(1)

    run = lab.start(body, slow)
    assert sent.wait(5)
    run.cancel()
    lab.ask(lambda: None)
    gate.open()
    stopped(run)
    reading.exception(5)  # whether making safe has cut it short depends on who came first
    assert log == ["safe"]


def test_it_drops_asked_calls_that_have_not_begun_and_ends_the_one_that_has(lab: Lab, gate: Gate) -> None:
    log: list[str] = []
    lamp = lab.add("lamp", Lamp, log)

    def body(lamp: Lamp) -> None:
        ask(lamp.warm_up, gate)
        for level in range(10):
            ask(lamp.set, level)
        sleep(60)

    run = lab.start(body, lamp)
    gate.reached()
    run.cancel()
    stopped(run)
    assert log == ["warming up", "safe"]


def test_it_ends_the_wait_for_a_lease_and_makes_nothing_safe(lab: Lab, gate: Gate) -> None:
    log: list[str] = []
    lamp = lab.add("lamp", Lamp, log)

    def hold(lamp: Lamp) -> None:
        gate.stop()
        lamp.set(1)

    holder = lab.start(hold, lamp)
    gate.reached()
    queued = lab.start(lambda lamp: lamp.set(2), lamp)
    queued.cancel("not needed")
    error = stopped(queued)
    assert (error.safe, error.unsafe) == ((), ())
    gate.open()
    holder.result(5)
    assert log == ["set 1"]


def test_it_ends_the_delay_before_a_retry(lab: Lab, until: Until) -> None:
    from actorlab import RestartPolicy  # noqa: PLC0415 - only here

    attempts: list[int] = []

    def body() -> None:
        attempts.append(1)
        raise ValueError

    run = lab.start(task(body).options(retries=3, restart=RestartPolicy(delay=60, max_delay=60)))
    until(run, RunState.RETRYING)
    assert "will be tried again" in run.reasons[0]
    run.cancel()
    stopped(run)
    assert attempts == [1]


def test_it_ends_the_wait_for_a_child_and_the_child(lab: Lab, gate: Gate) -> None:
    log: list[str] = []
    lamp = lab.add("lamp", Lamp, log)
    children: list[Run[None]] = []

    def child(lamp: Lamp) -> None:
        try:
            lamp.warm_up(gate)
        finally:
            lamp.off()

    def body(lamp: Lamp) -> None:
        children.append(spawn(child, lamp))
        children[0].result()

    run = lab.start(body, lamp)
    gate.reached()
    run.cancel("lunch")
    stopped(run)
    assert children[0].state is RunState.CANCELLED
    assert log == ["warming up", "off", "safe"], "a child leaves the device as it is to its lender, who makes it safe"


def test_it_ends_the_wait_for_room_in_a_mailbox(lab: Lab, gate: Gate) -> None:
    log: list[str] = []
    lamp = lab.add("lamp", DeviceConfig(mailbox=4)(Lamp), log)
    flooded = threading.Event()

    def body(lamp: Lamp) -> None:
        ask(lamp.warm_up, gate)
        gate.reached()
        for level in range(100):
            if level == 4:
                flooded.set()
            ask(lamp.set, level)

    run = lab.start(body, lamp)
    assert flooded.wait(5)
    run.cancel()
    stopped(run)
    assert log == ["warming up", "safe"]


def test_it_ends_the_wait_of_a_thread_that_the_body_started(lab: Lab, gate: Gate) -> None:
    lamp = lab.add("lamp", Lamp, [])
    ended: list[type[BaseException]] = []

    def threaded(lamp: Lamp) -> None:
        try:
            lamp.warm_up(gate)
        except BaseException as error:  # noqa: BLE001 - whatever it is
            ended.append(type(error))

    def body(lamp: Lamp) -> None:
        thread = threading.Thread(target=threaded, args=(lamp,))
        thread.start()
        try:
            sleep(60)
        finally:
            thread.join(5)

    run = lab.start(body, lamp)
    gate.reached()
    run.cancel()
    stopped(run)
    assert ended == [Cancelled]


# -- in which order it ends


def test_a_run_ends_in_its_order_clean_up_safe_state_release_and_only_then_the_caller(lab: Lab, gates: Any) -> None:
    begun, safe = gates(), gates()
    log: list[str] = []

    class Careful(Lamp):
        def make_safe(self) -> None:
            safe.stop()
            log.append("safe")

    lamp = lab.add("lamp", Careful, log)

    def body(lamp: Lamp) -> None:
        try:
            lamp.warm_up(begun)
        finally:
            lamp.off()
            log.append("body ended")

    run = lab.start(body, lamp)
    run.add_done_callback(lambda _: log.append("called back"))
    begun.reached()
    after = lab.start(lambda lamp: lamp.set(9), lamp)
    run.cancel()
    safe.reached()
    assert not run.done()
    assert run.state is RunState.CANCELLING
    assert after.state is RunState.WAITING
    safe.open()
    stopped(run)
    after.result(5)
    assert [entry for entry in log if entry != "called back"] == ["warming up", "off", "body ended", "safe", "set 9"]


def test_within_the_grace_a_body_that_was_cancelled_may_still_use_its_devices(lab: Lab, gate: Gate) -> None:
    log: list[str] = []
    lamp = lab.add("lamp", Lamp, log)

    def body(lamp: Lamp) -> None:
        try:
            gate.arrive()
            sleep(60)
        finally:
            for level in (3, 2, 1, 0):
                lamp.set(level)
                checkpoint()

    run = lab.start(body, lamp)
    gate.reached()
    run.cancel()
    stopped(run)
    assert log == ["set 3", "set 2", "set 1", "set 0", "safe"]


def test_what_a_cancelled_body_returns_is_the_partial_result(lab: Lab, gate: Gate) -> None:
    def body() -> list[int]:
        done = [1, 2]
        try:
            gate.arrive()
            sleep(60)
        except Cancelled:
            pass
        return done

    run = lab.start(body)
    gate.reached()
    run.cancel()
    assert stopped(run).partial == [1, 2]
    assert run.state is RunState.CANCELLED


def test_devices_are_made_safe_in_reverse_order_of_their_adding(lab: Lab, gate: Gate) -> None:
    log: list[str] = []

    class Named(Lamp):
        def __init__(self, name: str) -> None:
            super().__init__([])
            self.name = name

        def make_safe(self) -> None:
            log.append(self.name)

    lamps = [lab.add(name, Named, name) for name in ("c", "a", "b")]

    def body(lamps: list[Named]) -> None:
        del lamps
        gate.arrive()
        sleep(60)

    run = lab.start(body, lamps)
    gate.reached()
    run.cancel()
    assert stopped(run).safe == ("b", "a", "c")
    assert log == ["b", "a", "c"]


# -- bodies that don't want to end


def test_a_body_that_swallows_cancelled_goes_on_until_the_grace_is_over_and_is_fenced(lab: Lab, gates: Any) -> None:
    begun, out = gates(), gates()
    log: list[str] = []
    lamp = lab.add("lamp", Lamp, log)
    refused: list[type[BaseException]] = []

    def stubborn(lamp: Lamp) -> None:
        begun.arrive()
        while True:
            try:
                sleep(60)
            except (Cancelled, NotLeased):  # this, once its run has ended
                if len(refused) > 2:
                    break
                try:
                    lamp.off()
                except BaseException as error:  # noqa: BLE001 - whatever it is
                    refused.append(type(error))
        out.arrive()

    run = lab.start(stubborn, lamp)
    begun.reached()
    run.cancel()
    error = stopped(run)
    out.reached()
    assert log == ["off", "safe"], "once it was told, within its grace; never after the fence"
    assert set(refused) <= {Cancelled, NotLeased}
    assert refused
    assert run.state is RunState.ABANDONED
    assert "stubborn" in error.abandoned[0]


def test_a_body_that_never_returns_is_abandoned_and_named_with_its_stack(lab: Lab, gates: Any) -> None:
    gate, after = gates(), gates()
    log: list[str] = []
    lamp = lab.add("lamp", Lamp, log)
    refused: list[BaseException] = []

    def deaf(lamp: Lamp) -> None:
        gate.stop()
        try:
            lamp.set(666)
        except BaseException as error:  # noqa: BLE001 - whatever it is
            refused.append(error)
        after.arrive()

    run = lab.start(deaf, lamp)
    gate.reached()
    run.cancel("enough")
    error = stopped(run)
    assert error.safe == ("lamp",)
    assert "deaf" in error.abandoned[0]
    assert "gate.stop()" in error.abandoned[0], "its stack"
    assert run.state is RunState.ABANDONED
    lab.run(lambda lamp: lamp.set(1), lamp)
    gate.open()
    after.reached()
    assert type(refused[0]) in (NotLeased, Cancelled)
    assert log == ["safe", "set 1"]


def test_a_call_that_cannot_be_interrupted_leaves_the_device_unsafe_quarantined_and_named(lab: Lab, gate: Gate) -> None:
    log: list[str] = []

    class Deaf(Lamp):
        interrupt = None  # type: ignore[assignment]  # this driver has none

    lamp = lab.add("lamp", DeviceConfig(safe_timeout=0.1)(Deaf), log)
    run = lab.start(lambda lamp: lamp.block(gate), lamp)
    gate.reached()
    run.cancel()
    error = stopped(run)
    assert error.unsafe == ("lamp",)
    assert "lamp is not known to be safe" in "".join(error.__notes__)
    assert lab.states()["lamp"] == "quarantined"
    gate.open()


# -- shields


def test_a_shield_keeps_a_cancellation_out_of_its_block(lab: Lab, gate: Gate) -> None:
    log: list[str] = []
    lamp = lab.add("lamp", Lamp, log)

    def body(lamp: Lamp) -> None:
        with shield(5):
            gate.stop()
            lamp.set(1)
            checkpoint()
            lamp.set(2)
        checkpoint()
        lamp.set(3)

    run = lab.start(body, lamp)
    gate.reached()
    run.cancel()
    lab.ask(lambda: None)
    gate.open()
    stopped(run)
    assert log == ["set 1", "set 2", "safe"]
    assert run.state is RunState.CANCELLED


def test_a_shield_extends_the_grace_at_most_by_its_own_seconds(lab: Lab, gate: Gate) -> None:
    def body() -> None:
        with shield(0.1):
            gate.arrive()
            sleep(60)

    run = lab.start(body)
    gate.reached()
    run.cancel()
    stopped(run)
    assert run.state is RunState.CANCELLED


# -- timeouts


def test_a_run_that_takes_longer_than_its_timeout_is_stopped(lab: Lab) -> None:
    log: list[str] = []
    lamp = lab.add("lamp", Lamp, log)

    def body(lamp: Lamp) -> None:
        try:
            sleep(60)
        finally:
            lamp.off()

    run = lab.start(task(body).options(timeout=0.05), lamp)
    with pytest.raises(RunTimeout, match=r"timeout of 0\.05 s") as caught:
        run.result(5)
    assert caught.value.safe == ("lamp",)
    assert log == ["off", "safe"]
    assert run.state is RunState.TIMED_OUT


def test_the_wait_for_the_lease_is_no_part_of_the_timeout(lab: Lab, gate: Gate) -> None:
    lamp = lab.add("lamp", Lamp, [])
    lab.start(lambda lamp: gate.stop(), lamp)  # noqa: ARG005 - it only holds the device
    gate.reached()
    patient = lab.start(task(lambda lamp: lamp.set(1)).options(timeout=0.3, name="patient"), lamp)
    with pytest.raises(TimeoutError, match="waiting after"):
        patient.result(0.4)
    gate.open()
    patient.result(5)


# -- after the end


def test_a_cancel_after_the_end_does_nothing(lab: Lab) -> None:
    log: list[str] = []
    lamp = lab.add("lamp", Lamp, log)
    run = lab.start(lambda lamp: lamp.set(1), lamp)
    run.result(5)
    run.cancel("too late")
    lab.ask(lambda: None)
    assert run.result() is None
    assert run.state is RunState.SUCCEEDED
    assert log == ["set 1"]


def test_result_only_watches(lab: Lab, gate: Gate) -> None:
    run = lab.start(gate.stop)
    gate.reached()
    with pytest.raises(TimeoutError, match="it goes on"):
        run.result(0.01)
    gate.open()
    run.result(5)


# -- whoever waits is interrupted


def test_an_asyncio_timeout_cancels_the_run_and_is_left_when_the_device_has_stopped(lab: Lab) -> None:
    log: list[str] = []
    lamp = lab.add("lamp", Lamp, log)
    at_the_end: list[list[str]] = []

    async def main() -> None:
        run = lab.start(lambda lamp: lamp.warm_up(Gate()), lamp)
        try:
            async with asyncio.timeout(0.1):
                await run
        except TimeoutError:
            at_the_end.append(log.copy())
            assert run.done()
            assert run.state is RunState.CANCELLED

    asyncio.run(main())
    assert at_the_end == [["warming up", "safe"]]


def test_runs_are_awaited_together_in_an_event_loop(lab: Lab) -> None:
    async def main() -> list[int]:
        return list(await asyncio.gather(*(lab.start(int, str(number)) for number in range(10))))

    assert asyncio.run(main()) == list(range(10))


def test_ctrl_c_in_lab_run_cancels_the_run_waits_for_it_and_goes_on(lab: Lab) -> None:
    log: list[str] = []
    lamp = lab.add("lamp", Lamp, log)
    main = threading.main_thread().ident or 0

    class Interrupting(Gate):
        def arrive(self) -> None:
            signal.pthread_kill(main, signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        lab.run(lambda lamp: lamp.warm_up(Interrupting()), lamp)
    assert log == ["warming up", "safe"]
    assert lab.runs[-1].state is RunState.CANCELLED
    assert lab.runs[-1].reasons == (f"{lab.runs[-1].id} is cancelled: Ctrl-C",)


PROGRAM = """
import sys
from actorlab import Lab, sleep

class Lamp:
    def warm_up(self):
        print("warming up", flush=True)
        sleep(60)
    def off(self): print("off", flush=True)
    def make_safe(self): print("safe", flush=True)
    def close(self): print("closed", flush=True)

def body(lamp):
    try:
        lamp.warm_up()
    finally:
        lamp.off()

with Lab(cancel_grace=2) as lab:
    lab.run(body, lab.add("lamp", Lamp))
"""


def test_ctrl_c_in_a_program_makes_safe_closes_and_ends_it() -> None:
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", PROGRAM], stdout=pipe, stderr=pipe, text=True) as program:
        assert program.stdout is not None
        assert program.stdout.readline() == "warming up\n"
        program.send_signal(signal.SIGINT)
        out, err = program.communicate(timeout=20)
    assert out.split("\n") == ["off", "safe", "closed", ""]
    assert err.rstrip().endswith("KeyboardInterrupt")
    assert program.returncode in (130, -signal.SIGINT, 1)


def test_a_body_that_raises_system_exit_has_failed_and_hurts_nobody(lab: Lab) -> None:
    log: list[str] = []
    lamp = lab.add("lamp", Lamp, log)

    def leave(lamp: Lamp) -> None:
        lamp.set(1)
        sys.exit(3)

    run = lab.start(leave, lamp)
    with pytest.raises(Exception, match="SystemExit"):
        run.result(5)
    assert run.state is RunState.FAILED
    assert log == ["set 1", "safe"]
    assert lab.run(lambda: 1) == 1


def test_a_cancel_from_within_a_signal_handler_or_callback_is_taken(lab: Lab, gate: Gate) -> None:
    def body() -> None:
        gate.arrive()
        sleep(60)

    run = lab.start(body)
    told: Future[RunState] = Future()
    run.add_done_callback(lambda run: told.set_result(run.state))
    gate.reached()
    before = signal.signal(signal.SIGUSR1, lambda *_: run.cancel("signal"))
    try:
        signal.raise_signal(signal.SIGUSR1)
        stopped(run)
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert told.result(5) is RunState.CANCELLED


def test_many_cancels_at_any_moment_end_every_run_and_leave_the_device_usable(lab: Lab) -> None:
    """After each the device is free, safe, and nothing more is executed: the order holds wherever it strikes."""
    log: list[str] = []
    lamp = lab.add("lamp", Lamp, log)

    def body(lamp: Lamp) -> None:
        try:
            lamp.warm_up(Gate())
        finally:
            lamp.off()

    for spin in range(150):
        log.clear()
        run = lab.start(body, lamp)
        end = time.perf_counter() + spin * 1e-5
        while time.perf_counter() < end:
            pass
        run.cancel()
        stopped(run)
        seen = log.copy()
        assert seen in ([], ["off", "safe"], ["safe"], ["warming up", "off", "safe"])
        lamp.set(1)
        assert log == [*seen, "set 1"]


# -- what fails as it is stopped


@task(timeout=None)
def fails_on_its_way_out(begun: Gate) -> None:
    try:
        begun.arrive()
        sleep(60)
    finally:
        text = "the file can't be closed"
        raise OSError(text)


def test_what_a_body_raises_as_it_is_cancelled_is_told(lab: Lab, gate: Gate) -> None:
    run = lab.start(fails_on_its_way_out, gate)
    gate.reached()
    run.cancel("enough")
    error = run.exception(5)
    assert isinstance(error, RunCancelled)
    assert run.state is RunState.CANCELLED
    assert error.__notes__ == [f"{run.id} failed as it was stopped: OSError: the file can't be closed"]


def test_what_a_body_raises_as_its_time_is_over_is_told(lab: Lab, gate: Gate) -> None:
    with pytest.raises(RunTimeout) as failed:
        lab.run(fails_on_its_way_out.options(timeout=0.05), gate)
    assert any("failed as it was stopped: OSError" in note for note in failed.value.__notes__)


def floods(begun: Gate) -> None:
    begun.arrive()
    while True:
        emit("again")


def test_a_body_that_only_emits_is_given_up_and_then_ends(gate: Gate) -> None:
    with Lab(cancel_grace=0.1) as lab:
        run = lab.start(floods, gate)
        gate.reached()
        run.cancel("enough")
        error = run.exception(5)
        assert isinstance(error, RunCancelled)
        assert error.abandoned
