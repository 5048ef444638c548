"""Hold the lab to telling how its devices stand, at any moment and without waiting; and to starting one afresh."""

from __future__ import annotations

import gc
import logging
import threading
import time
import weakref
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
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
    ask,
    perform,
    query,
    sleep,
)
from actorlab.driving.member import Member, invoke
from actorlab.runtime import recorder
from actorlab.runtime.recorder import Recorder

if TYPE_CHECKING:
    from tests.runtime.conftest import Gate

Gates = Callable[[], "Gate"]
Stands = Callable[[str, str], None]
QUICKLY = RestartPolicy(delay=0.01, max_delay=0.01)


class Channel:
    """A part of a pump."""

    def prime(self, volume: float) -> None: ...


class Pump:
    """A device that does what a test needs."""

    def __init__(self, log: list[str]) -> None:
        log.append("made")
        self.log = log
        self.rate = 0.0
        self.channel = {1: Channel()}

    def connect(self) -> None:
        self.log.append("connected")

    def set(self, level: object, *others: object, ramp: bool = False) -> object:
        del others, ramp
        self.log.append(f"set {level}")
        return level

    def block(self, gate: Gate, *others: object) -> str:
        del others
        gate.stop()
        return "done"

    def nap(self, gate: Gate) -> str:
        gate.arrive()
        sleep(60)
        return "done"

    def refuse(self) -> None:
        message = "out of range"
        raise ValueError(message)

    def break_down(self) -> None:
        self.log.append("broke")
        message = "the hose is off"
        raise ConnectionResetError(message)

    def take(self, *values: object) -> None: ...

    @query
    def level(self) -> int:
        return len(self.log)

    def make_safe(self) -> None:
        self.log.append("safe")

    def close(self) -> None:
        self.log.append("closed")


def came_back(lab: Lab, name: str = "pump") -> None:
    """Wait until a device serves again."""
    ready = threading.Event()
    lab.ask(lambda: lab.lab_actor.lives.when_ready([lab.cells[name]], lambda _: ready.set()))
    assert ready.wait(5)


def hold(pump: Pump, gate: Gate) -> None:
    del pump
    gate.stop()


# -- every field


def test_of_a_device_that_was_just_added(lab: Lab) -> None:
    before = datetime.now(UTC)
    lab.add("pump", Pump, [])
    status = lab.status("pump")
    assert before - timedelta(seconds=1) <= status.since <= datetime.now(UTC)
    assert (status.name, status.state, status.code, status.why) == ("pump", "idle", 100, "")
    assert (status.holder, status.queue, status.waiting_calls, status.in_progress) == ("", (), 0, "")
    assert (status.calls, status.calls_per_second, status.busy, status.recent) == (0, 0.0, 0.0, ())
    assert (status.restarts, status.retry_in, status.last_error, status.last_traceback) == (0, None, "", "")
    assert (status.owes_safe, status.abandoned, status.vetoes) == (False, (), ())
    assert (status.isolation, status.pid) == ("thread", None)


def test_of_all_devices_by_name_and_of_one_that_does_not_exist(lab: Lab) -> None:
    assert lab.status() == {}
    for name in ("first", "second"):
        lab.add(name, Pump, [])
    assert {name: status.name for name, status in lab.status().items()} == {"first": "first", "second": "second"}
    with pytest.raises(ConfigError, match="no device named 'third'; it has first, second"):
        lab.status("third")


def test_of_a_busy_device_who_holds_it_who_waits_and_what_it_does(lab: Lab, gate: Gate) -> None:
    pump = lab.add("pump", Pump, [])

    def body(pump: Pump) -> None:
        asked = ask(pump.block, gate)
        behind = [ask(pump.set, number) for number in range(3)]
        asked.result(5)
        for reply in behind:
            reply.result(5)

    run = lab.start(body, pump)
    gate.reached()
    queued = [lab.start(hold, pump, gate) for _ in range(2)]
    assert all(waiting.reasons for waiting in queued)
    while lab.status("pump").waiting_calls < 3:
        assert not run.done()
    status = lab.status("pump")
    assert (status.state, status.code) == ("busy", 300)
    assert status.holder == run.id
    assert status.queue == tuple(waiting.id for waiting in queued)
    assert status.waiting_calls == 3
    assert status.in_progress.startswith("block(<Gate>) for 0.")
    assert status.in_progress.endswith(" s")
    assert 0.0 < status.busy <= 1.0
    assert status.calls == 0, "none has ended"
    gate.open()
    run.result(5)
    for waiting in queued:
        waiting.result(5)
    status = lab.status("pump")
    assert (status.state, status.holder, status.queue, status.waiting_calls) == ("idle", "", (), 0)
    assert (status.in_progress, status.calls) == ("", 4)


def test_of_a_device_that_connects(lab: Lab, gate: Gate) -> None:
    class Slow(Pump):
        def connect(self) -> None:
            gate.stop()

    thread = threading.Thread(target=lab.add, args=("pump", Slow, []), name="actorlab-adding")
    thread.start()
    gate.reached()
    status = lab.status("pump")
    assert (status.state, status.code, status.restarts) == ("connecting", 300, 0)
    gate.open()
    thread.join(5)
    assert lab.status("pump").state == "idle"


def test_of_a_device_that_waits_for_its_restart(lab: Lab, stands: Stands) -> None:
    pump = lab.add("pump", DeviceConfig(restart=RestartPolicy(delay=60, max_delay=60))(Pump), [])
    with pytest.raises(DeviceFault):
        pump.break_down()
    stands("pump", "restarting")
    while (status := lab.status("pump")).retry_in is None:  # its thread is still ending
        lab.ask(lambda: None)
    assert (status.state, status.code) == ("restarting", 200)
    assert 30 < status.retry_in <= 60
    assert status.why == "ConnectionResetError: the hose is off"
    assert status.last_error == "ConnectionResetError: the hose is off"
    assert "in break_down" in status.last_traceback
    assert status.last_traceback.startswith("Traceback")
    assert status.waiting_calls == 0


def test_of_a_device_that_came_back(lab: Lab) -> None:
    pump = lab.add("pump", DeviceConfig(restart=QUICKLY)(Pump), [])
    pump.set(1)
    before = lab.status("pump").since
    with pytest.raises(DeviceFault):
        pump.break_down()
    came_back(lab)
    status = lab.status("pump")
    assert (status.state, status.restarts, status.retry_in) == ("idle", 1, None)
    assert status.last_error == "ConnectionResetError: the hose is off", "until the next one"
    assert status.since > before
    assert [record.call for record in status.recent][:2] == ["set(1)", "break_down()"], "of all its lives"


def test_of_a_quarantined_device(lab: Lab, stands: Stands) -> None:
    pump = lab.add("pump", DeviceConfig(restart=RestartPolicy(limit=0))(Pump), [])
    with pytest.raises(DeviceFault):
        pump.break_down()
    stands("pump", "quarantined")
    status = lab.status("pump")
    assert (status.state, status.code, status.retry_in) == ("quarantined", 400, None)
    assert "the hose is off" in status.why
    assert status.abandoned == (), "its thread has ended"
    lab.reset("pump")
    assert lab.status("pump").state == "idle"


def test_of_a_device_that_owes_its_safe_state(lab: Lab) -> None:
    class Stuck(Pump):
        def make_safe(self) -> None:
            message = "the valve is stuck"
            raise ValueError(message)

    pump = lab.add("pump", Stuck, [])
    with pytest.raises(ValueError, match="out of range"):
        lab.run(lambda pump: pump.refuse(), pump)
    status = lab.status("pump")
    assert (status.state, status.owes_safe) == ("quarantined", True)
    assert status.why == "make_safe raised ValueError: the valve is stuck"


def test_of_a_closed_lab(lab: Lab) -> None:
    lab.add("pump", Pump, []).set(1)
    lab.close()
    status = lab.status("pump")
    assert (status.state, status.code, status.holder, status.in_progress) == ("closed", 0, "", "")
    assert (status.calls, status.waiting_calls) == (1, 0)


def test_the_status_of_a_device_that_hangs_is_told_at_once(lab: Lab, gates: Gates) -> None:
    """Whatever hangs: a call, a query inside a sleep, an interrupt, a connect."""
    call, interrupt, connect = gates(), gates(), gates()

    class Hanging(Pump):
        def connect(self) -> None:
            if "connecting" in self.log:
                connect.stop()

        def interrupt(self) -> None:
            interrupt.stop()

    pump = lab.add("pump", DeviceConfig(timeout=0.05)(Hanging), [])
    lab.add("other", DeviceConfig(timeout=0.05, optional=True)(Hanging), ["connecting"])
    with pytest.raises(CallTimeout):
        pump.block(call)
    interrupt.reached()
    began = time.monotonic()
    for _ in range(100):
        lab.status()
    assert time.monotonic() - began < 2
    statuses = lab.status()
    assert statuses["pump"].in_progress.startswith("block(<Gate>) for")
    assert statuses["other"].state == "quarantined"
    assert "connect.stop()" in statuses["other"].abandoned[0].stack


def test_the_status_can_be_looked_at_at_any_moment_of_a_devices_lives(lab: Lab) -> None:
    pump = lab.add("pump", DeviceConfig(restart=RestartPolicy(limit=None, delay=0.001, max_delay=0.001))(Pump), [])
    over = threading.Event()
    looked: list[int] = []

    def look() -> None:
        while not over.is_set():
            for status in lab.status().values():
                assert 0.0 <= status.busy <= 1.0
                assert status.code == status.state.code
                looked.append(status.restarts)

    thread = threading.Thread(target=look, name="actorlab-looking")
    thread.start()
    for number in range(30):
        lab.add("passing", Pump, [])
        with pytest.raises(DeviceFault):
            pump.break_down()
        came_back(lab)
        pump.set(number)
        lab.restart("pump")
        lab.run(lambda pump: pump.set(1), pump)
        lab.remove("passing")
    over.set()
    thread.join(5)
    assert lab.status("pump").restarts == 60
    assert max(looked) <= 60
    assert len(looked) > 60


# -- the call in progress, in words


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda pump, gate: pump.block(gate, 1, "two", None), "block(<Gate>, 1, 'two', None)"),
        (
            lambda pump, gate: pump.block(gate, b"\x00", 2.5, [1], {"a": 1}),
            "block(<Gate>, b'\\x00', 2.5, <list>, <dict>)",
        ),
        (lambda pump, gate: pump.block(gate, "x" * 1000), f"block(<Gate>, '{'x' * 59}…)"),
        (lambda pump, gate: perform(pump, block, gate), "block(<function>, <Gate>)"),
        (lambda pump, gate: pump.valve.turn(gate, 3), "valve.turn(<Gate>, 3)"),
        (lambda pump, gate: pump.valves["left"].turn(gate, 4), "valves['left'].turn(<Gate>, 4)"),
    ],
)
def test_the_call_in_progress_is_told_as_one_would_type_it(
    lab: Lab, gate: Gate, call: Callable[[Any, Any], object], words: str
) -> None:
    class Valve:
        def turn(self, gate: Gate, turns: int) -> None:
            del turns
            gate.stop()

    class Valved(Pump):
        def __init__(self, log: list[str]) -> None:
            super().__init__(log)
            self.valve = Valve()
            self.valves = {"left": Valve()}

    pump = lab.add("pump", Valved, [])
    thread = threading.Thread(target=call, args=(pump, gate), name="actorlab-calling")
    thread.start()
    gate.reached()
    in_progress = lab.status("pump").in_progress
    gate.open()
    thread.join(5)
    assert in_progress.startswith(f"{words} for 0.")


def block(pump: Pump, gate: Gate) -> None:
    del pump
    gate.stop()


def test_a_query_served_inside_a_call_is_not_told_in_its_place(lab: Lab, gates: Gates) -> None:
    napping, reading = gates(), gates()

    class Oven(Pump):
        @query
        def read(self) -> None:
            reading.stop()

    oven = lab.add("oven", Oven, [])
    nap = ask(oven.nap, napping)
    napping.reached()
    read = ask(oven.read)
    reading.reached()
    assert lab.status("oven").in_progress.startswith("nap(<Gate>) for ")
    reading.open()
    read.result(5)
    nap.cancel()
    nap.exception(5)


def test_how_long_a_call_has_run_does_not_start_anew_with_its_sleep(lab: Lab) -> None:
    asleep = threading.Semaphore(0)

    class Oven(Pump):
        def heat(self) -> None:
            for _ in range(8):
                sleep(0.02)
            asleep.release()
            sleep(60)

    oven = lab.add("oven", Oven, [])
    reply = ask(oven.heat)
    assert asleep.acquire(timeout=5)
    assert 0.1 <= float(lab.status("oven").in_progress.split()[-2]) < 5
    reply.cancel()
    reply.exception(5)


def test_make_safe_in_progress_is_told(lab: Lab, gate: Gate) -> None:
    class Slow(Pump):
        def make_safe(self) -> None:
            gate.stop()

    lab.add("pump", Slow, [])
    stopping = lab.emergency_stop("smoke")
    gate.reached()
    status = lab.status("pump")
    assert status.in_progress.startswith("make_safe() for ")
    assert status.owes_safe
    assert status.vetoes == ("there is an emergency stop: smoke (lab.rearm() ends it)",)
    gate.open()
    assert stopping.result(5) == {"pump": None}
    assert not lab.status("pump").owes_safe
    lab.rearm()
    assert lab.status("pump").vetoes == ()


# -- the flight recorder


def test_the_last_calls_are_kept_with_when_how_long_and_what_they_raised(lab: Lab) -> None:
    pump = lab.add("pump", Pump, [])
    before = datetime.now(UTC)
    pump.set(1)
    with pytest.raises(ValueError, match="out of range"):
        pump.refuse()
    pump.rate = 3.5
    assert pump.rate == 3.5
    pump.channel[1].prime(0.5)
    pump.level()
    records = lab.status("pump").recent
    calls = [record.call for record in records]
    assert (calls[:2], calls[-2:]) == (["set(1)", "refuse()"], ["channel[1].prime(0.5)", "level()"])
    assert [record.error for record in records[:3]] == ["", "ValueError: out of range", ""]
    for record in records:
        assert before - timedelta(seconds=1) <= record.time <= datetime.now(UTC)
        assert 0.0 <= record.seconds < 5.0
    assert [record.time for record in records] == sorted(record.time for record in records)
    assert " refuse() 0." in str(records[1])
    assert str(records[1]).endswith(" ms ValueError: out of range")


def test_only_the_last_64_are_kept_and_all_are_counted(lab: Lab) -> None:
    pump = lab.add("pump", Pump, [])
    for number in range(100):
        pump.set(number)
    status = lab.status("pump")
    assert status.calls == 100
    assert [record.call for record in status.recent] == [f"set({number})" for number in range(36, 100)]


def test_a_call_lasts_as_long_as_it_takes(lab: Lab, gate: Gate) -> None:
    pump = lab.add("pump", Pump, [])
    began = time.monotonic()
    reply = ask(pump.block, gate)
    gate.reached()
    since = time.monotonic()
    while time.monotonic() < since + 0.05:
        pass
    gate.open()
    reply.result(5)
    (record,) = lab.status("pump").recent
    assert 0.05 <= record.seconds <= time.monotonic() - began


def test_no_big_argument_or_result_is_kept_alive(lab: Lab) -> None:
    numpy = pytest.importorskip("numpy")

    class Camera(Pump):
        def image(self) -> Any:
            made = numpy.ones((100, 100))
            results.append(weakref.ref(made))
            return made

        def fail(self, *values: object) -> None:
            del values
            message = "out of memory"
            raise ValueError(message)

    results: list[weakref.ref[Any]] = []
    camera = lab.add("camera", Camera, [])

    def use(verb: Callable[..., object], *others: object) -> weakref.ref[Any]:
        array = numpy.zeros((100, 100))
        verb(array, *others)
        return weakref.ref(array)

    kept = [use(camera.take), use(camera.take, 1, 2), use(camera.take, [1, 2], {"a": 1})]
    for _ in range(3):
        assert camera.image().sum() == 10_000
        kept.append(results[-1])
    with pytest.raises(ValueError, match="out of memory"):
        use(camera.fail)
    assert camera.level() == 2  # the device's thread lets go of a call when it takes the next one
    gc.collect()
    assert [reference() for reference in kept] == [None] * 6


def test_the_last_calls_are_logged_when_a_device_fails(lab: Lab, caplog: pytest.LogCaptureFixture) -> None:
    pump = lab.add("pump", DeviceConfig(restart=QUICKLY)(Pump), [])
    for number in range(20):
        pump.set(number)
    with caplog.at_level(logging.WARNING, logger="actorlab"):
        with pytest.raises(DeviceFault):
            pump.break_down()
        came_back(lab)
    (record,) = [record for record in caplog.records if "failed" in record.getMessage()]
    assert (record.name, record.levelno) == ("actorlab", logging.WARNING)
    first, *calls = record.getMessage().splitlines()
    assert first == "pump failed: ConnectionResetError: the hose is off; its last calls:"
    assert any("set(19) 0." in call for call in calls)
    assert any("set(14) 0." in call for call in calls)


def test_a_device_in_which_nothing_fails_logs_nothing(lab: Lab, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG, logger="actorlab"):
        pump = lab.add("pump", Pump, [])
        pump.set(1)
        with pytest.raises(ValueError, match="out of range"):
            pump.refuse()
        lab.run(lambda pump: pump.set(2), pump)
        lab.restart("pump")
    assert caplog.records == []


# -- how much it does

SET = Member("set", query=False, action=invoke)


class Clock:
    """A clock that goes when it is told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(recorder, "monotonic", made)
    return made


def work(its: Recorder, clock: Clock, calls: int, seconds: float, idle: float) -> None:
    """Note some calls that each take some seconds, with some seconds between them."""
    for _ in range(calls):
        began = clock.now
        clock.now += seconds
        its.note(SET, (), began, None)
        clock.now += idle


def test_a_steady_load_is_told_as_it_is(clock: Clock) -> None:
    its = Recorder()
    work(its, clock, 500, 0.002, 0.008)
    load = its.load()
    assert load.calls_per_second == pytest.approx(100, rel=0.1)
    assert load.busy == pytest.approx(0.2, rel=0.1)


def test_what_was_long_ago_counts_no_longer(clock: Clock) -> None:
    its = Recorder()
    work(its, clock, 1000, 0.01, 0.0)
    work(its, clock, 20, 0.01, 0.2)
    load = its.load()
    assert load.calls_per_second == pytest.approx(1 / 0.21, rel=0.2)
    assert load.busy == pytest.approx(0.01 / 0.21, rel=0.2)


def test_a_device_that_rests_comes_down_to_nothing(clock: Clock) -> None:
    its = Recorder()
    work(its, clock, 1000, 0.01, 0.0)
    clock.now += 3600
    load = its.load()
    assert load.calls_per_second < 0.1
    assert load.busy < 0.001


def test_a_call_in_progress_makes_it_busy(clock: Clock) -> None:
    its = Recorder()
    clock.now += 10
    assert its.load(running=0.0).busy == 0.0
    assert its.load(running=5.0).busy == pytest.approx(0.5)
    assert its.load(running=100.0).busy == 1.0


def test_a_load_is_plausible_at_once(clock: Clock) -> None:
    its = Recorder()
    assert its.load() == (0.0, 0.0)
    work(its, clock, 1, 0.1, 0.0)
    assert its.load() == pytest.approx((10.0, 1.0))


def test_a_device_that_works_tells_so(lab: Lab) -> None:
    pump = lab.add("pump", Pump, [])
    for number in range(200):
        pump.set(number)
    status = lab.status("pump")
    assert status.calls == 200
    assert 20 < status.calls_per_second < 1_000_000
    assert 0.0 < status.busy < 1.0


# -- restart


def test_an_idle_device_is_restarted_with_a_new_object_in_a_new_thread_and_made_safe(lab: Lab) -> None:
    log: list[str] = []
    pump = lab.add("pump", Pump, log)
    pump.set(1)
    thread = lab.cells["pump"].actor.thread  # type: ignore[union-attr]  # it lives
    lab.restart("pump")
    assert log == ["made", "connected", "set 1", "closed", "made", "connected", "safe"]
    assert lab.cells["pump"].actor.thread is not thread  # type: ignore[union-attr]  # it lives
    status = lab.status("pump")
    assert (status.state, status.restarts) == ("idle", 1)
    assert pump.set(2) == 2
    assert lab.run(lambda pump: pump.set(3), pump) == 3


def test_restarts_that_somebody_wished_do_not_count_against_the_policy(lab: Lab) -> None:
    pump = lab.add("pump", DeviceConfig(restart=RestartPolicy(limit=1, delay=0.01))(Pump), [])
    for number in range(1, 6):
        lab.restart("pump")
        assert lab.status("pump").restarts == number
    with pytest.raises(DeviceFault):
        pump.break_down()
    came_back(lab)
    assert (lab.status("pump").state, lab.status("pump").restarts) == ("idle", 6)
    lab.restart("pump")
    with pytest.raises(DeviceFault):
        pump.break_down()
    came_back(lab)
    assert lab.status("pump").state == "idle", "earlier failures are forgotten"


def test_a_busy_device_ends_its_call_before_it_is_restarted(lab: Lab, gate: Gate, stands: Stands) -> None:
    log: list[str] = []
    pump = lab.add("pump", Pump, log)
    blocked = ask(pump.block, gate)
    gate.reached()
    waiting = ask(pump.set, 1)
    thread = threading.Thread(target=lab.restart, args=("pump",), name="actorlab-restarting")
    thread.start()
    stands("pump", "restarting")
    assert lab.status("pump").in_progress.startswith("block(<Gate>)")
    assert thread.is_alive()
    lab.ask(lambda: None)
    gate.open()
    thread.join(5)
    blocked.exception(5)
    assert isinstance(waiting.exception(5), ActorLabError), "what waited isn't handed to the next life"
    assert log == ["made", "connected", "closed", "made", "connected", "safe"]
    assert pump.set(2) == 2


def test_a_holder_meets_the_restart_at_its_next_command_and_not_at_a_query(lab: Lab, gate: Gate) -> None:
    log: list[str] = []
    pump = lab.add("pump", Pump, log)

    def body(pump: Pump) -> object:
        pump.set(1)
        gate.stop()
        assert pump.level() == 7
        assert pump.level() == 7
        with pytest.raises(DeviceFault, match=r"pump has restarted \(somebody restarts it\) since this run last used"):
            pump.set(2)
        return pump.set(3)

    run = lab.start(body, pump)
    gate.reached()
    lab.restart("pump")
    assert lab.status("pump").holder == run.id, "it keeps its lease"
    gate.open()
    assert run.result(5) == 3
    assert log == ["made", "connected", "set 1", "closed", "made", "connected", "safe", "set 3"]


def test_a_run_that_waits_for_a_device_waits_through_its_restart(lab: Lab, gate: Gate) -> None:
    pump = lab.add("pump", Pump, [])
    holder = lab.start(hold, pump, gate)
    gate.reached()
    queued = lab.start(lambda pump: pump.set(1), pump)
    lab.restart("pump")
    gate.open()
    holder.result(5)
    assert queued.result(5) == 1


def test_restarting_one_that_hangs_is_bounded_and_quarantines_it(lab: Lab, gate: Gate) -> None:
    log: list[str] = []
    pump = lab.add("pump", DeviceConfig(safe_timeout=0.2)(Pump), log)
    reply = ask(pump.block, gate)
    gate.reached()
    began = time.monotonic()
    with pytest.raises(DeviceQuarantined, match="doesn't stop"):
        lab.restart("pump")
    assert time.monotonic() - began < 1.5
    assert isinstance(reply.exception(5), CallTimeout)
    for verb in (lab.restart, lab.reset):
        with pytest.raises(DeviceQuarantined, match=r"(?s)old life hasn't ended.*gate\.stop\(\)"):
            verb("pump")
    old = lab.cells["pump"].actor
    assert old is not None
    gate.open()
    old.down.result(5)
    lab.ask(lambda: None)
    lab.restart("pump")
    assert log == ["made", "connected", "closed", "made", "connected", "safe"]
    assert (lab.status("pump").state, lab.status("pump").restarts) == ("idle", 1)


def test_restarting_one_that_waits_for_its_restart_begins_it_at_once(lab: Lab, stands: Stands) -> None:
    pump = lab.add("pump", DeviceConfig(restart=RestartPolicy(delay=60, max_delay=60))(Pump), [])
    with pytest.raises(DeviceFault):
        pump.break_down()
    stands("pump", "restarting")
    while lab.status("pump").retry_in is None:  # its thread is still ending
        lab.ask(lambda: None)
    lab.restart("pump")
    assert pump.set(1) == 1
    assert (lab.status("pump").restarts, lab.status("pump").retry_in) == (1, None)


def test_restarting_one_that_is_quarantined_resets_it(lab: Lab, stands: Stands) -> None:
    pump = lab.add("pump", DeviceConfig(restart=RestartPolicy(limit=0))(Pump), [])
    with pytest.raises(DeviceFault):
        pump.break_down()
    stands("pump", "quarantined")
    lab.restart("pump")
    assert pump.set(1) == 1


def test_a_restart_that_does_not_connect_again_says_so(lab: Lab) -> None:
    plugged = [True]

    class Plugged(Pump):
        def connect(self) -> None:
            if not plugged:
                message = "nobody there"
                raise ConnectionRefusedError(message)

    pump = lab.add("pump", DeviceConfig(restart=RestartPolicy(limit=1, delay=0.01))(Plugged), [])
    plugged.clear()
    with pytest.raises(DeviceUnavailable, match="nobody there"):
        lab.restart("pump")
    assert lab.status("pump").last_error == "ConnectionRefusedError: nobody there"
    plugged.append(True)
    lab.reset("pump")
    assert pump.set(1) == 1


def test_only_a_device_that_exists_is_restarted(lab: Lab) -> None:
    with pytest.raises(ConfigError, match="no device named 'pump'"):
        lab.restart("pump")


# -- at the start


class Plugged(Pump):
    """A pump that connects when there is something in its socket."""

    def __init__(self, log: list[str], socket: list[bool], tried: threading.Semaphore) -> None:
        super().__init__(log)
        self.socket = socket
        self.tried = tried

    def connect(self) -> None:
        self.tried.release()
        if not self.socket:
            message = "nobody there"
            raise ConnectionRefusedError(message)
        super().connect()


def test_adding_an_optional_device_that_is_not_there_returns_after_its_first_try(lab: Lab) -> None:
    tried = threading.Semaphore(0)
    policy = RestartPolicy(delay=60, max_delay=60)
    began = time.monotonic()
    pump = lab.add("pump", DeviceConfig(optional=True, restart=policy)(Plugged), [], [], tried)
    assert time.monotonic() - began < 5, "it waits neither for the next try nor for its bounds"
    assert tried.acquire(blocking=False)
    assert isinstance(pump, Plugged)
    while (status := lab.status("pump")).retry_in is None:
        lab.ask(lambda: None)
    assert status.state == "restarting"
    assert status.last_error == "ConnectionRefusedError: nobody there"
    with pytest.raises(DeviceUnavailable, match="nobody there") as caught:
        pump.set(1)
    assert caught.value.retry_at is not None


def test_an_optional_device_tries_on_beyond_its_policys_limit_comes_up_and_serves(lab: Lab) -> None:
    log: list[str] = []
    socket: list[bool] = []
    tried = threading.Semaphore(0)
    policy = RestartPolicy(limit=1, delay=0.01, max_delay=0.01)
    pump = lab.add("pump", DeviceConfig(optional=True, restart=policy)(Plugged), log, socket, tried)
    queued = lab.start(lambda pump: pump.set(1), pump)
    for _ in range(5):
        assert tried.acquire(timeout=5)
    assert lab.status("pump").state == "restarting"
    assert queued.reasons == (f"{queued.id} waits for pump, which doesn't serve now",)
    socket.append(True)
    assert queued.result(5) == 1
    assert log[-3:] == ["connected", "safe", "set 1"]
    assert lab.status("pump").state == "idle"


def test_once_it_was_there_its_failures_count(lab: Lab, stands: Stands) -> None:
    tried = threading.Semaphore(0)
    socket: list[bool] = []
    policy = RestartPolicy(limit=1, delay=0.01, max_delay=0.01)
    pump = lab.add("pump", DeviceConfig(optional=True, restart=policy)(Plugged), [], socket, tried)
    for _ in range(4):
        assert tried.acquire(timeout=5)
    socket.append(True)
    came_back(lab)
    for _ in range(2):
        with pytest.raises(DeviceFault):
            pump.break_down()
        came_back(lab)
    stands("pump", "quarantined")
    lab.reset("pump")
    assert pump.set(1) == 1


def test_a_device_that_is_not_optional_and_not_there_is_an_error_that_says_why(lab: Lab) -> None:
    tried = threading.Semaphore(0)
    with pytest.raises(DeviceUnavailable, match=r"pump can't be added: .*nobody there; check its address") as caught:
        lab.add("pump", Plugged, [], [], tried)
    assert isinstance(caught.value.__cause__, ConnectionRefusedError)
    assert lab.status() == {}
    assert tried.acquire(blocking=False)
    assert not tried.acquire(blocking=False), "it isn't tried again"
    assert lab.add("pump", Plugged, [], [True], tried).set(1) == 1


def test_an_optional_device_that_is_not_there_can_be_removed(lab: Lab) -> None:
    tried = threading.Semaphore(0)
    policy = RestartPolicy(delay=60, max_delay=60)
    lab.add("pump", DeviceConfig(optional=True, restart=policy)(Plugged), [], [], tried)
    lab.remove("pump")
    assert lab.status() == {}
    assert lab.add("pump", Pump, []).set(1) == 1


# -- what must hold beside that


def test_what_is_not_kept_of_arguments_is_told_by_its_class(lab: Lab) -> None:
    pump = lab.add("pump", Pump, [])
    pump.take([1, 2], 3, {"a": 1}, None)
    assert lab.status("pump").recent[-1].call == "take(<list>, 3, <dict>, None)"


def test_long_texts_and_bytes_are_not_kept(lab: Lab) -> None:
    pump = lab.add("pump", Pump, [])
    pump.take("x" * 100_000, b"\x00" * 100_000)
    pump.take("y" * 100_000)
    kept = [arg for _, args, *_ in lab.cells["pump"].recorder.recent for arg in args]
    assert all(len(arg) < 1000 for arg in kept)
    call = lab.status("pump").recent[-1].call
    assert call.startswith("take('yyy")
    assert len(call) < 100


def test_a_load_after_a_rest_is_told_as_it_is(clock: Clock) -> None:
    its = Recorder()
    work(its, clock, 10, 0.01, 0.0)
    clock.now += 3600
    work(its, clock, 90, 0.005, 0.005)
    load = its.load()
    assert 40 < load.calls_per_second < 110
    assert 0.2 < load.busy < 0.6


def test_a_run_that_wants_a_device_which_still_connects_waits_for_it(lab: Lab, gate: Gate) -> None:
    class Slow(Pump):
        def connect(self) -> None:
            gate.stop()

    thread = threading.Thread(target=lab.add, args=("pump", Slow, []), name="actorlab-adding")
    thread.start()
    gate.reached()
    run = lab.start(lambda pump: pump.set(2), lab.device("pump"))
    assert run.reasons == (f"{run.id} waits for pump, which doesn't serve now",)
    gate.open()
    thread.join(5)
    assert run.result(5) == 2


def test_two_restarts_at_the_same_time_both_return(lab: Lab, gate: Gate, stands: Stands) -> None:
    pump = lab.add("pump", Pump, [])
    blocked = ask(pump.block, gate)
    gate.reached()
    threads = [
        threading.Thread(target=lab.restart, args=("pump",), name=f"actorlab-restarting-{number}")
        for number in range(2)
    ]
    for thread in threads:
        thread.start()
    stands("pump", "restarting")
    gate.open()
    for thread in threads:
        thread.join(4)
    assert not any(thread.is_alive() for thread in threads)
    blocked.exception(5)
    assert lab.status("pump").state == "idle"


def test_a_restart_while_it_connects_returns_when_the_new_life_serves(lab: Lab, gates: Gates) -> None:
    first, second = gates(), gates()
    standing = [second, first]

    class Slow(Pump):
        def connect(self) -> None:
            standing.pop().stop()

    threads = [threading.Thread(target=lab.add, args=("pump", Slow, []), name="actorlab-adding")]
    threads[0].start()
    first.reached()
    threads.append(threading.Thread(target=lab.restart, args=("pump",), name="actorlab-restarting"))
    threads[1].start()
    while not lab.status("pump").why:
        lab.ask(lambda: None)
    first.open()
    second.reached()
    assert all(thread.is_alive() for thread in threads)
    assert lab.status("pump").state == "restarting"
    second.open()
    for thread in threads:
        thread.join(5)
    assert (lab.status("pump").state, lab.status("pump").restarts) == ("idle", 1)


def test_a_restart_is_a_fault_for_whoever_is_in_a_call_and_no_cancellation(lab: Lab, gates: Gates) -> None:
    """Nobody has cancelled the run, so its body goes on."""
    inside, outside = gates(), gates()
    pump = lab.add("pump", Pump, [])
    reply = ask(pump.nap, outside)
    outside.reached()
    lab.restart("pump")
    assert isinstance(reply.exception(5), DeviceFault)

    def body(pump: Pump) -> object:
        with pytest.raises(DeviceFault, match=r"pump\.nap was cut short"):
            pump.nap(inside)
        came_back(lab)
        with pytest.raises(DeviceFault, match="restarted"):
            pump.set(1)
        return pump.set(2)

    run = lab.start(body, pump)
    inside.reached()
    lab.restart("pump")
    assert run.result(5) == 2


def test_a_direct_device_is_busy_while_its_holder_is_in_a_call(lab: Lab, gate: Gate) -> None:
    class Quick(Pump):
        def step(self, gate: Gate | None) -> None:
            if gate is not None:
                gate.stop()

    pump = lab.add("pump", DeviceConfig(direct=True)(Quick), [])

    def body(pump: Quick) -> None:
        for standing in (None, None, gate):
            pump.step(standing)

    run = lab.start(body, pump)
    gate.reached()
    assert lab.status("pump").state == "busy"
    gate.open()
    run.result(5)
    assert lab.status("pump").state == "idle"
