"""Hold the runtime to its word when instruments fail: let it crash, start fresh, send nothing twice."""

from __future__ import annotations

import logging
import sys
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from actorlab import (
    ActorLabError,
    CallTimeout,
    ConfigError,
    DeviceConfig,
    DeviceFault,
    DeviceQuarantined,
    DeviceUnavailable,
    Lab,
    RestartPolicy,
    Run,
    RunState,
    ask,
    query,
    sleep,
    task,
)
from actorlab.driving.member import Member
from actorlab.kernel import HOLDER
from actorlab.runtime.calls import Call
from actorlab.simulation import Bench, Laser, PowerMeter

if TYPE_CHECKING:
    from tests.runtime.conftest import Gate

Until = Callable[[Run[Any], RunState], None]
QUICKLY = RestartPolicy(delay=0.02, max_delay=0.05)


class Lamp:
    """A device that writes down what it does, and breaks when told."""

    def __init__(self, log: list[str]) -> None:
        log.append("made")
        self.log = log

    def set(self, level: int) -> int:
        self.log.append(f"set {level}")
        return level

    def break_down(self) -> None:
        self.log.append("broke")
        message = "the plug is out"
        raise ConnectionResetError(message)

    def refuse(self) -> None:
        message = "out of range"
        raise ValueError(message)

    def block(self, gate: Gate) -> None:
        gate.stop()

    @query
    def level(self) -> int:
        return len(self.log)

    def make_safe(self) -> None:
        self.log.append("safe")


def came_back(lab: Lab, name: str) -> None:
    """Wait until a device serves again."""
    ready = threading.Event()
    lab.ask(lambda: lab.lab_actor.lives.when_ready([lab.cells[name]], lambda _: ready.set()))
    assert ready.wait(5)


def quick(cls: type, **config: Any) -> Any:
    return DeviceConfig(restart=QUICKLY, **config)(cls)


# -- what is a fault, and what isn't


def test_an_error_that_is_no_fault_goes_to_the_caller_and_nothing_restarts(lab: Lab) -> None:
    log: list[str] = []
    lamp = lab.add("lamp", Lamp, log)
    with pytest.raises(ValueError, match="out of range"):
        lamp.refuse()
    assert lamp.set(1) == 1
    assert log == ["made", "set 1"]


def test_a_fault_ends_the_life_and_a_new_object_is_made_in_a_new_thread_and_made_safe(lab: Lab) -> None:
    log: list[str] = []
    lamp = lab.add("lamp", quick(Lamp), log)
    threads = [lab.cells["lamp"].actor.thread]  # type: ignore[union-attr]  # it lives
    with pytest.raises(DeviceFault, match="lamp failed in break_down: ConnectionResetError: the plug is out") as caught:
        lamp.break_down()
    assert isinstance(caught.value.__cause__, ConnectionResetError)
    came_back(lab, "lamp")
    threads.append(lab.cells["lamp"].actor.thread)  # type: ignore[union-attr]  # it lives
    assert lamp.set(1) == 1
    assert log == ["made", "broke", "made", "safe", "set 1"]
    assert threads[0] is not threads[1]
    assert lab.cells["lamp"].restarts == 1


def test_meanwhile_calls_fail_fast_and_say_when_to_try_again(lab: Lab) -> None:
    lamp = lab.add("lamp", DeviceConfig(restart=RestartPolicy(delay=60, max_delay=60))(Lamp), [])
    with pytest.raises(DeviceFault):
        lamp.break_down()
    with pytest.raises(DeviceUnavailable, match="the plug is out") as caught:
        lamp.set(1)
    while caught.value.retry_at is None:  # its thread is still ending
        with pytest.raises(DeviceUnavailable) as caught:
            lamp.set(1)
    assert 30 < caught.value.retry_at - time.monotonic() < 100
    assert isinstance(caught.value.__cause__, ConnectionResetError)


def test_the_config_may_name_more_faults_and_an_error_about_a_file_is_none(lab: Lab) -> None:
    log: list[str] = []

    class Picky(Lamp):
        def open(self) -> None:
            open("/no/such/file")  # noqa: PTH123, SIM115 - a driver's mistake

    lamp = lab.add("lamp", quick(Picky, faults=(ValueError,)), log)
    with pytest.raises(FileNotFoundError):
        lamp.open()
    with pytest.raises(DeviceFault):
        lamp.refuse()
    came_back(lab, "lamp")
    assert log == ["made", "made", "safe"]


def test_system_exit_in_a_driver_reaches_its_caller_as_an_error_and_ends_nothing(lab: Lab) -> None:
    class Quitter(Lamp):
        def quit(self) -> None:
            sys.exit(3)

    lamp = lab.add("lamp", Quitter, [])
    with pytest.raises(ActorLabError, match=r"lamp\.quit raised SystemExit\(3\)"):
        lamp.quit()
    assert lamp.set(1) == 1


# -- in a run


def test_the_first_command_to_a_device_that_restarted_within_a_run_raises_device_fault(lab: Lab) -> None:
    log: list[str] = []
    lamp = lab.add("lamp", quick(Lamp), log)

    def body(lamp: Lamp) -> int:
        lamp.set(1)
        with pytest.raises(DeviceFault):
            lamp.break_down()
        came_back(lab, "lamp")
        assert lamp.level() > 0, "queries are answered"
        with pytest.raises(DeviceFault, match=r"lamp has restarted .*what was set on it before may be gone"):
            lamp.set(2)
        return lamp.set(3)

    assert lab.run(body, lamp) == 3
    assert log == ["made", "set 1", "broke", "made", "safe", "set 3"]


def test_a_step_after_one_that_used_the_earlier_life_hears_of_the_restart_too(lab: Lab) -> None:
    from actorlab import workflow  # noqa: PLC0415 - only here

    log: list[str] = []
    lamp = lab.add("lamp", quick(Lamp), log)

    @task
    def first(lamp: Lamp) -> None:
        lamp.set(1)
        with pytest.raises(DeviceFault):
            lamp.break_down()
        came_back(lab, "lamp")

    @task
    def second(lamp: Lamp) -> None:
        lamp.set(2)

    @workflow
    def both(lamp: Lamp) -> None:
        first(lamp)
        second(lamp)

    with pytest.raises(DeviceFault, match="restarted"):
        lab.run(both, lamp)
    assert "set 2" not in log


def test_a_device_that_comes_back_under_a_lease_is_made_safe_before_it_serves_anyone(lab: Lab) -> None:
    log: list[str] = []
    lamp = lab.add("lamp", quick(Lamp), log)

    def body(lamp: Lamp) -> None:
        with pytest.raises(DeviceFault):
            lamp.break_down()
        came_back(lab, "lamp")

    lab.run(body, lamp)
    assert log == ["made", "broke", "made", "safe"]


def test_a_task_with_retries_waits_for_the_device_and_runs_again_from_its_first_line(lab: Lab) -> None:
    log: list[str] = []
    lamp = lab.add("lamp", quick(Lamp), log)

    @task(retries=1)
    def body(lamp: Lamp) -> int:
        lamp.set(1)
        if log.count("made") == 1:
            lamp.break_down()
        return lamp.set(2)

    run = lab.start(body, lamp)
    assert run.result(5) == 2
    assert log == ["made", "set 1", "broke", "made", "safe", "set 1", "set 2"]
    assert run.steps[0].attempts == 2


def test_a_retry_is_given_up_when_its_device_is_quarantined(lab: Lab) -> None:
    lamp = lab.add("lamp", DeviceConfig(restart=RestartPolicy(limit=0))(Lamp), [])
    run = lab.start(task(lambda lamp: lamp.break_down()).options(retries=5, name="body"), lamp)
    with pytest.raises(DeviceFault):
        run.result(5)
    assert lab.states()["lamp"] == "quarantined"


# -- on the bench


def test_a_connection_dropped_in_the_middle_costs_a_retry_and_no_command_is_sent_twice(bench: Bench, lab: Lab) -> None:
    laser = lab.add("laser", quick(Laser), bench.resources["laser"])
    meter = lab.add("meter", PowerMeter, bench.resources["meter"])
    currents = [10.0, 20.0, 30.0, 40.0]

    @task(retries=1)
    def power_curve(laser: Laser, meter: PowerMeter) -> list[float]:
        powers = []
        for current in currents:
            laser.set_current(current)
            assert laser.current() == current
            powers.append(meter.power())
        return powers

    bench.inject("laser", "drop", after=4)  # the third set_current: SOUR:CURR 10, ?, 20, ?, 30
    before = len(bench.executed("laser"))
    run = lab.start(power_curve, laser, meter)
    assert len(run.result(20)) == 4
    assert run.steps[0].attempts == 2
    sent = [command for command in bench.executed("laser")[before:] if command.startswith("SOUR:CURR ")]
    once = [f"SOUR:CURR {current!r}" for current in currents]
    # A write to a dropped connection may be lost without an error, so that the query after it is what fails.
    assert sent in (once[:2] + once, once[:3] + once), "what one life was sent, then each of the retry's own calls once"
    assert lab.cells["laser"].restarts == 1


def test_without_retries_a_dropped_connection_is_the_callers_and_nothing_is_sent_again(bench: Bench, lab: Lab) -> None:
    laser = lab.add("laser", quick(Laser), bench.resources["laser"])
    bench.inject("laser", "drop", after=1)
    before = len(bench.executed("laser"))

    def body(laser: Laser) -> None:
        laser.set_current(10)
        laser.set_current(20)
        laser.current()
        laser.set_current(30)

    run = lab.start(body, laser)
    with pytest.raises(DeviceFault) as caught:
        run.result(20)
    assert caught.value.safe == ("laser",), "by its new life"
    commands = [command for command in bench.executed("laser")[before:] if "CURR" in command]
    assert commands == ["SOUR:CURR 10.0"]


def test_a_power_cycle_is_a_fault_and_a_garbled_answer_too(bench: Bench, lab: Lab) -> None:
    laser = lab.add("laser", quick(Laser), bench.resources["laser"])
    for kind in ("power_cycle", "garbage"):
        bench.inject("laser", kind)
        with pytest.raises(DeviceFault):
            laser.current()
        came_back(lab, "laser")
        assert laser.current() == 0.0


def test_a_hung_instrument_gives_call_timeout_with_its_stack_while_others_go_on(bench: Bench, lab: Lab) -> None:
    laser = lab.add("laser", quick(Laser, timeout=0.3), bench.resources["laser"], timeout=20.0)
    meter = lab.add("meter", PowerMeter, bench.resources["meter"])
    bench.inject("laser", "hang", seconds=1.0)
    before = len(bench.executed("laser"))
    began = time.monotonic()
    reply = ask(laser.current)
    bench.wait_executed("laser", before + 1)
    assert meter.power() is not None, "other devices go on"
    assert not reply.done()
    error = reply.exception(5)
    assert time.monotonic() - began < 2.5
    assert isinstance(error, CallTimeout)
    assert "query_float" in error.stack
    assert "SOUR:CURR?" in error.stack


def test_a_hung_instrument_in_a_run_gives_call_timeout_and_the_lab_closes_within_its_bound(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its driver can be interrupted, but waits long for the answer that would bring it back into step."""
    monkeypatch.setattr("actorlab.runtime.call_limits.INTERRUPT_GRACE", 0.2)
    began = time.monotonic()
    with pytest.raises(CallTimeout), Lab(cancel_grace=0.3) as lab:  # noqa: PT012 - the block is the subject
        factory = DeviceConfig(restart=RestartPolicy(limit=0), timeout=0.3, safe_timeout=0.5)(Laser)
        laser = lab.add("laser", factory, bench.resources["laser"], timeout=20.0)
        bench.inject("laser", "hang")
        lab.run(lambda laser: laser.current(), laser)
    assert time.monotonic() - began < 0.3 + 2 * 0.5 + 5


# -- the two limits of a call


def test_a_call_that_hangs_and_has_no_interrupt_is_given_up_with_its_stack_and_the_device_quarantined(
    lab: Lab, gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("actorlab.runtime.call_limits.INTERRUPT_GRACE", 0.1)
    log: list[str] = []
    lamp = lab.add("lamp", DeviceConfig(timeout=0.1)(Lamp), log)
    other = lab.add("other", Lamp, [])
    run = lab.start(lambda lamp: lamp.block(gate), lamp)
    with pytest.raises(CallTimeout) as caught:
        run.result(5)
    assert "gate.stop()" in caught.value.stack
    assert "block" in caught.value.stack
    assert caught.value.unsafe == ("lamp",)
    assert other.set(1) == 1
    with pytest.raises(DeviceQuarantined, match=r"lab\.reset\('lamp'\)"):
        lamp.set(1)
    with pytest.raises(DeviceQuarantined, match=r"gate\.stop\(\)"):
        lab.reset("lamp")
    gate.open()
    actor = lab.cells["lamp"].actor
    assert actor is not None
    actor.down.result(5)
    lab.reset("lamp")
    assert log == ["made", "made", "safe"]
    assert lamp.set(2) == 2


def test_an_operator_may_reset_by_force_while_the_old_thread_lives(
    lab: Lab, gate: Gate, stands: Callable[[str, str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("actorlab.runtime.call_limits.INTERRUPT_GRACE", 0.1)
    lamp = lab.add("lamp", DeviceConfig(timeout=0.1)(Lamp), [])
    with pytest.raises(CallTimeout):
        lamp.block(gate)
    stands("lamp", "quarantined")
    lab.reset("lamp", force=True)
    assert lamp.set(1) == 1


def test_the_running_limit_bounds_silence_so_that_sleep_starts_it_anew(lab: Lab) -> None:
    class Slow(Lamp):
        def work(self) -> str:
            for _ in range(4):
                sleep(0.1)
            return "done"

    lamp = lab.add("lamp", DeviceConfig(timeout=0.2)(Slow), [])
    assert lamp.work() == "done"
    assert lab.run(lambda lamp: lamp.work(), lamp) == "done"


def test_a_call_that_expires_while_it_waits_never_begins_and_disturbs_nobody(
    lab: Lab, gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("actorlab.runtime.calls.OUTSIDE_WAITING", 0.05)
    log: list[str] = []
    lamp = lab.add("lamp", Lamp, log)
    blocked = ask(lamp.block, gate)
    gate.reached()
    with pytest.raises(CallTimeout, match=r"lamp\.set hadn't begun after 0\.05 s and now never will"):
        lamp.set(1)
    late = ask(lamp.set, 2)
    with pytest.raises(CallTimeout, match="never will"):
        late.result(5)
    assert not blocked.done()
    gate.open()
    assert blocked.result(5) is None
    assert lamp.set(3) == 3
    assert log == ["made", "set 3"]


# -- quarantine


def test_a_device_that_fails_too_often_is_quarantined_until_reset(lab: Lab) -> None:
    log: list[str] = []
    lamp = lab.add("lamp", DeviceConfig(restart=RestartPolicy(limit=1, delay=0.01))(Lamp), log)
    for _ in range(2):
        came_back(lab, "lamp")
        with pytest.raises(DeviceFault):
            lamp.break_down()
    came_back(lab, "lamp")
    assert lab.states()["lamp"] == "quarantined"
    with pytest.raises(DeviceQuarantined, match="the plug is out"):
        lamp.set(1)
    with pytest.raises(DeviceQuarantined):
        lab.run(lambda lamp: lamp.set(1), lamp)
    lab.reset("lamp")
    assert lamp.set(2) == 2
    assert log[-2:] == ["safe", "set 2"]


def test_a_run_that_waits_for_a_device_that_gets_quarantined_is_refused(lab: Lab, gate: Gate) -> None:
    lamp = lab.add("lamp", DeviceConfig(restart=RestartPolicy(limit=0))(Lamp), [])

    def body(lamp: Lamp) -> None:
        gate.stop()
        lamp.break_down()

    holder = lab.start(body, lamp)
    gate.reached()
    queued = lab.start(lambda lamp: lamp.set(1), lamp)
    assert queued.reasons
    gate.open()
    with pytest.raises(DeviceFault):
        holder.result(5)
    with pytest.raises(DeviceQuarantined):
        queued.result(5)


def test_a_failing_device_never_brings_the_lab_down(lab: Lab) -> None:
    bad = lab.add("bad", DeviceConfig(restart=RestartPolicy(limit=0))(Lamp), [])
    good = lab.add("good", Lamp, [])
    with pytest.raises(DeviceFault):
        bad.break_down()
    assert lab.run(lambda lamp: lamp.set(1), good) == 1


# -- safe states


def refused(lamp: Lamp, other: Lamp) -> None:
    other.set(1)
    lamp.refuse()


def test_a_make_safe_that_raises_is_named_quarantined_and_owed(lab: Lab) -> None:
    log: list[str] = []
    broken = [True]

    class Stuck(Lamp):
        def make_safe(self) -> None:
            if broken:
                message = "the relay is stuck"
                raise ValueError(message)
            super().make_safe()

    lamp, other = lab.add("lamp", Stuck, log), lab.add("other", Lamp, log)
    with pytest.raises(ValueError, match="out of range") as caught:
        lab.run(refused, lamp, other)
    assert (caught.value.safe, caught.value.unsafe) == (("other",), ("lamp",))  # type: ignore[attr-defined]  # set by the run
    notes = "\n".join(caught.value.__notes__)
    assert "lamp is not known to be safe: make_safe raised ValueError: the relay is stuck" in notes
    assert lab.states()["lamp"] == "quarantined"
    broken.clear()
    actor = lab.cells["lamp"].actor
    assert actor is not None
    actor.down.result(5)
    log.clear()
    lab.reset("lamp")
    assert log == ["made", "safe"], "it owed that"


def test_a_make_safe_that_hangs_is_given_up_within_its_bound(lab: Lab, gate: Gate) -> None:
    class Stuck(Lamp):
        def make_safe(self) -> None:
            gate.stop()

    lamp = lab.add("lamp", DeviceConfig(safe_timeout=0.1)(Stuck), [])
    with pytest.raises(ValueError, match="out of range") as caught:
        lab.run(lambda lamp: lamp.refuse(), lamp)
    assert caught.value.unsafe == ("lamp",)  # type: ignore[attr-defined]  # set by the run
    assert "couldn't be made safe within 0.1 s" in "\n".join(caught.value.__notes__)
    assert lab.states()["lamp"] == "quarantined"


def test_a_device_that_breaks_while_it_is_made_safe_is_made_safe_by_its_next_life(lab: Lab) -> None:
    log: list[str] = []

    class Fragile(Lamp):
        def make_safe(self) -> None:
            if log.count("made") == 1:
                self.break_down()
            super().make_safe()

    lamp = lab.add("lamp", quick(Fragile), log)
    with pytest.raises(ValueError, match="out of range") as caught:
        lab.run(lambda lamp: lamp.refuse(), lamp)
    assert caught.value.safe == ("lamp",)  # type: ignore[attr-defined]  # set by the run
    assert log == ["made", "broke", "made", "safe"]


def test_an_emergency_stop_ends_runs_makes_all_safe_and_refuses_commands_until_rearmed(lab: Lab, gate: Gate) -> None:
    log: list[str] = []
    lamp, other = lab.add("lamp", Lamp, log), lab.add("other", Lamp, log)

    def body(lamp: Lamp) -> None:
        try:
            gate.arrive()
            sleep(60)
        finally:
            lamp.set(1)

    run = lab.start(body, lamp)
    gate.reached()
    assert lab.emergency_stop("smoke").result(5) == {"lamp": None, "other": None}
    with pytest.raises(ActorLabError):
        run.result(5)
    assert "set 1" not in log
    assert log.count("safe") >= 2
    with pytest.raises(ActorLabError, match="emergency stop: smoke"):
        other.set(2)
    with pytest.raises(DeviceUnavailable, match="rearm"):
        lab.run(lambda lamp: lamp.set(1), lamp)
    assert other.level() > 0
    lab.rearm()
    assert (lamp.set(3), other.set(3)) == (3, 3)
    assert lab.run(lambda lamp: lamp.set(4), lamp) == 4


def test_a_device_that_owes_its_safe_state_is_not_disconnected_before_it_is_safe(gate: Gate) -> None:
    """The lab is closed while the emergency stop still waits in the mailbox."""
    log: list[str] = []
    with Lab(cancel_grace=0.3) as lab:
        lamp = lab.add("lamp", Lamp, log)
        ask(lamp.block, gate)
        gate.reached()
        lab.emergency_stop("smoke")
        lab.lab_actor.lives.stop_devices(5)
        lab.ask(lambda: None)
        gate.open()
    assert log == ["made", "safe"]


# -- coming and going


def test_a_device_that_does_not_answer_at_start_is_an_error_of_one_paragraph(lab: Lab) -> None:
    with pytest.raises(DeviceUnavailable) as caught:
        lab.add("laser", Laser, "TCPIP::127.0.0.1::1::SOCKET")
    text = str(caught.value)
    assert text.startswith("laser can't be added")
    assert "\n" not in text
    assert "check its address" in text
    assert lab.devices == {}


def test_a_device_that_connects_too_slowly_is_an_error_within_its_bound(lab: Lab, gate: Gate) -> None:
    class Slow(Lamp):
        def connect(self) -> None:
            gate.stop()

    began = time.monotonic()
    with pytest.raises(DeviceUnavailable, match=r"hasn't connected within 0\.1 s"):
        lab.add("lamp", DeviceConfig(timeout=0.1)(Slow), [])
    assert time.monotonic() - began < 2
    assert lab.states()["lamp"] == "quarantined"


def test_an_optional_device_may_be_absent_and_keeps_trying(lab: Lab) -> None:
    log: list[str] = []
    absent = [True]

    class Plugged(Lamp):
        def connect(self) -> None:
            if absent:
                message = "nobody there"
                raise ConnectionRefusedError(message)

    policy = RestartPolicy(limit=1000, delay=0.02, max_delay=0.02)
    lamp = lab.add("lamp", DeviceConfig(optional=True, restart=policy, safe_timeout=0.1)(Plugged), log)
    with pytest.raises(DeviceUnavailable, match="nobody there"):
        lamp.set(1)
    absent.clear()
    came_back(lab, "lamp")
    assert lamp.set(1) == 1


def test_two_devices_of_one_name_are_refused(lab: Lab) -> None:
    lab.add("lamp", Lamp, [])
    with pytest.raises(ConfigError, match="there is a device named 'lamp' already"):
        lab.add("lamp", Lamp, [])
    assert lab.device("lamp").set(1) == 1
    with pytest.raises(ConfigError, match="no device named 'lmap'; it has lamp"):
        lab.device("lmap")


def test_a_removed_device_is_closed_and_its_name_is_free(lab: Lab, gate: Gate) -> None:
    closed: list[str] = []

    class Closing(Lamp):
        def close(self) -> None:
            closed.append("closed")

    lamp = lab.add("lamp", Closing, [])
    holder = lab.start(lambda lamp: gate.stop(), lamp)  # noqa: ARG005 - it only holds the device
    gate.reached()
    with pytest.raises(ActorLabError, match=f"held by {holder.id}"):
        lab.remove("lamp")
    gate.open()
    holder.result(5)
    lab.remove("lamp")
    assert closed == ["closed"]
    with pytest.raises(DeviceUnavailable, match="closed"):
        lamp.set(1)
    assert lab.add("lamp", Lamp, []).set(1) == 1


def test_a_call_that_never_ends_keeps_no_lab_from_closing(gate: Gate, caplog: pytest.LogCaptureFixture) -> None:
    began = time.monotonic()
    with (  # noqa: PT012 - the block is what is tested
        pytest.raises(ActorLabError, match="lamp was given up") as caught,
        caplog.at_level(logging.ERROR),
        Lab(cancel_grace=0.2) as lab,
    ):
        lamp = lab.add("lamp", DeviceConfig(safe_timeout=0.2)(Lamp), [])
        ask(lamp.block, gate)
        gate.reached()
    assert caught.value.unsafe == ("lamp",)
    assert time.monotonic() - began < 5.5
    assert "lamp was given up" in caplog.text


def test_a_late_call_of_a_life_that_ended_is_refused_and_never_executed(lab: Lab, gate: Gate) -> None:
    """What waited in the mailbox of a device that broke is not handed to its next life."""
    log: list[str] = []

    class Breaking(Lamp):
        def wait_and_break(self, gate: Gate) -> None:
            gate.stop()
            self.break_down()

    lamp = lab.add("lamp", quick(Breaking), log)
    breaking = ask(lamp.wait_and_break, gate)
    gate.reached()
    waiting = [ask(lamp.set, number) for number in range(5)]
    gate.open()
    assert isinstance(breaking.exception(5), DeviceFault)
    assert all(isinstance(reply.exception(5), ActorLabError) for reply in waiting)
    came_back(lab, "lamp")
    assert log == ["made", "broke", "made", "safe"]


def test_a_token_of_an_earlier_life_begins_nothing_after_an_abandonment(
    lab: Lab, gate: Gate, stands: Callable[[str, str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("actorlab.runtime.call_limits.INTERRUPT_GRACE", 0.1)
    log: list[str] = []
    lamp = lab.add("lamp", DeviceConfig(timeout=0.1)(Lamp), log)
    with pytest.raises(CallTimeout):
        lamp.block(gate)
    stands("lamp", "quarantined")
    old = lab.cells["lamp"].mailbox
    with pytest.raises(ActorLabError):
        old.put(Call(HOLDER, None, lab.cells["lamp"], Member("set", query=False, action=_set), (666,), {}))
    gate.open()
    assert log == ["made"]


def _set(target: Any, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    del name, kwargs
    target.set(*args)
