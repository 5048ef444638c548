"""Hold periodic methods to their design: on the device's thread, whoever holds it, on and off, counted, contained."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from actorlab import (
    ConfigError,
    Device,
    DeviceBusy,
    DeviceConfig,
    DeviceFault,
    Lab,
    NotLeased,
    RestartPolicy,
    Shared,
    ask,
    exchange,
    periodic,
    query,
    sleep,
)
from actorlab.core.periodic import PeriodicState
from actorlab.periodic import Periodic, PeriodicStatus

ROOT = str(Path(__file__).parents[2])
if ROOT not in sys.path:
    sys.path.insert(0, ROOT)  # the processes get our path, and import their drivers by it

from tests.runtime.isolated_streams import IsolatedThing  # noqa: E402

if TYPE_CHECKING:
    from tests.runtime.conftest import Gate

PATIENCE = 5.0
BEAT = 0.002
S = PeriodicState
AT_ONCE = RestartPolicy(delay=0.0, limit=2)


class Probe(Device):
    """A part with beats of its own."""

    def __init__(self) -> None:
        self.beats = 0

    @periodic(BEAT)
    def look(self) -> None:
        self.beats += 1


class Plain:
    """A part that is no `Device`."""

    def __init__(self) -> None:
        self.beats = 0

    @periodic(BEAT)
    def look(self) -> None:
        self.beats += 1


class Oven(Device):
    """An oven that looks after itself."""

    def __init__(self, log: list[str] | None = None) -> None:
        self.log = [] if log is None else log
        self.beats = 0
        self.watched = 0
        self.threads: set[int] = set()
        self.overlaps = 0
        self.inside = False
        self.error: BaseException | None = None
        self.probe = Probe()
        self.probes: list[Any] = [Probe(), Plain()]
        self.by_name = {"left": Probe(), "first": self.probes[0]}
        self._hidden = Probe()

    def make_safe(self) -> None:
        self.log.append("safe")

    @periodic(BEAT, restart=AT_ONCE)
    def regulate(self) -> str:
        """Do one step of regulation."""
        self.overlaps += self.inside
        self.inside = True
        self.threads.add(threading.get_ident())
        self.beats += 1
        try:
            if self.error is not None:
                raise self.error
        finally:
            self.inside = False
        return "regulated"

    @periodic(BEAT, autostart=False)
    def rest(self) -> None:
        self.log.append("rest")

    @query
    @periodic(BEAT)
    def watch(self) -> None:
        self.watched += 1

    @periodic(BEAT, autostart=False)
    def once(self) -> None:
        self.log.append("once")
        self.once.stop()

    @query
    def counts(self) -> tuple[int, int]:
        return self.beats, self.watched

    @query
    def read(self) -> list[str]:
        return list(self.log)

    def who(self) -> int:
        return threading.get_ident()

    def fail(self, error: BaseException | None) -> None:
        self.error = error

    def wait(self, seconds: float) -> tuple[int, int]:
        """Wait for physics, and return how many beats of each kind came meanwhile."""
        beats, watched = self.beats, self.watched
        sleep(seconds)
        return self.beats - beats, self.watched - watched

    def wait_in_exchange(self, seconds: float) -> tuple[int, int]:
        with exchange():
            return self.wait(seconds)

    def block(self, gate: Gate) -> None:
        gate.stop()

    def break_down(self) -> None:
        raise ConnectionResetError("unplugged")  # noqa: EM101 - the error under test

    def start_rest(self) -> None:
        self.rest.start()

    def stop_regulate(self) -> PeriodicStatus:
        self.regulate.stop()
        return self.regulate.status


@pytest.fixture
def oven(lab: Lab) -> Oven:
    return lab.add("oven", Oven)


def until(condition: Callable[[], bool], what: str) -> None:
    """Wait for something that beats bring about."""
    look = threading.Event()
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, what
        look.wait(0.001)


def beats(oven: Oven, count: int = 3) -> None:
    """Wait for some more beats."""
    begin = oven.counts()[0]
    until(lambda: oven.counts()[0] >= begin + count, "the oven doesn't beat")


def stands(method: Periodic[Any], state: PeriodicState) -> PeriodicStatus:
    until(lambda: method.status.state is state, f"it isn't {state}, but {method.status.state}")
    return method.status


def came_back(lab: Lab, name: str = "oven") -> None:
    ready = threading.Event()
    lab.ask(lambda: lab.lab_actor.lives.when_ready([lab.cells[name]], lambda _: ready.set()))
    assert ready.wait(PATIENCE)


def driver_of(lab: Lab) -> Any:
    actor = lab.cells["oven"].actor
    assert actor is not None
    return actor.driver.object  # type: ignore[union-attr]  # it serves


def hold(oven: Oven, gate: Gate) -> None:
    """Hold a device until the gate is opened: the body of a run."""
    gate.stop()
    oven.who()


def who(oven: Oven) -> int:
    return oven.who()


# -- without a lab


def test_on_a_plain_object_a_periodic_method_is_a_plain_method() -> None:
    oven = Oven()
    assert oven.regulate() == "regulated"
    oven.regulate.start()
    oven.regulate.stop()
    assert oven.regulate.status == PeriodicStatus(S.STOPPED)
    assert oven.beats == 1


@pytest.mark.parametrize("seconds", [0, -1.0, float("nan"), float("inf")])
def test_a_period_that_is_none_is_refused(seconds: float) -> None:
    with pytest.raises(ConfigError, match="more than 0 seconds"):
        periodic(seconds)


def test_a_method_with_arguments_is_refused() -> None:
    def poll(self: object, channel: int) -> None: ...

    with pytest.raises(ConfigError, match="'channel'"):
        periodic(1.0)(poll)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]  the mistake under test


# -- beats


def test_the_beats_begin_by_themselves_on_the_devices_thread_and_never_overlap(lab: Lab, oven: Oven) -> None:
    beats(oven, 20)
    driver = driver_of(lab)
    assert driver.threads == {oven.who()}
    assert driver.overlaps == 0
    status = oven.regulate.status
    assert status.state is S.RUNNING
    assert status.runs >= 20
    assert status.next is not None
    assert abs(status.next - time.monotonic()) < PATIENCE


def test_the_beats_of_parts_begin_too_each_object_with_its_own(lab: Lab, oven: Oven) -> None:
    driver = driver_of(lab)
    parts = [driver.probe, *driver.probes, driver.by_name["left"]]
    until(lambda: all(part.beats >= 3 for part in parts), "a part doesn't beat")
    assert driver._hidden.beats == 0
    oven.probes[0].look.stop()
    assert oven.by_name["first"].look.status.state is S.STOPPED  # the same object, by another way
    assert oven.probe.look.status.state is S.RUNNING
    assert {name for name in lab.cells["oven"].periodics.statuses() if "look" in name} == {
        "probe.look", "probes[0].look", "probes[1].look", "by_name['left'].look",
    }  # fmt: skip


def test_what_does_not_start_by_itself_waits_for_its_start(oven: Oven) -> None:
    assert oven.rest.status == PeriodicStatus(S.STOPPED)
    oven.rest.start()
    until(lambda: "rest" in oven.read(), "it hasn't started")
    oven.rest.stop()
    assert oven.rest.status.state is S.STOPPED


def test_after_a_stop_no_beat_begins_until_the_next_start(oven: Oven) -> None:
    beats(oven)
    oven.regulate.stop()
    stopped = oven.wait(5 * BEAT)[0] + oven.counts()[0]
    oven.wait(5 * BEAT)
    assert oven.counts()[0] == stopped
    assert oven.regulate.status.next is None
    oven.regulate.start()
    beats(oven)


def test_calling_it_runs_it_once_now(oven: Oven) -> None:
    oven.rest()
    oven.rest()
    assert oven.read() == ["rest", "rest"]
    assert ask(oven.regulate).result(PATIENCE) == "regulated"
    assert oven.rest.status.runs == 0


def test_a_beat_that_would_overlap_a_call_is_skipped_and_counted(oven: Oven, gate: Gate) -> None:
    beats(oven)
    blocked = ask(oven.block, gate)
    gate.reached()
    threading.Event().wait(10 * BEAT)
    gate.open()
    blocked.result(PATIENCE)
    beats(oven, 2)
    assert oven.regulate.status.skipped >= 5


def test_beats_are_accepted_whoever_holds_the_device(lab: Lab, oven: Oven, gate: Gate) -> None:
    run = lab.start(hold, oven, gate)
    gate.reached()
    beats(oven, 5)
    gate.open()
    run.result(PATIENCE)
    beats(oven, 5)


def test_a_beat_that_a_grant_overtakes_is_sent_again(lab: Lab, oven: Oven, gates: Callable[[], Gate]) -> None:
    blocking, holding = gates(), gates()
    beats(oven)
    blocked = ask(oven.block, blocking)
    blocking.reached()
    until(lambda: lab.cells["oven"].mailbox.waiting > 0, "no beat waits")
    run = lab.start(hold, oven, holding)
    holding.reached()
    blocking.open()
    blocked.result(PATIENCE)
    beats(oven)
    assert oven.regulate.status.last_error is None
    holding.open()
    run.result(PATIENCE)


def test_beats_go_on_through_many_short_leases(lab: Lab, oven: Oven) -> None:
    begin = oven.counts()[0]
    while oven.counts()[0] < begin + 10:
        lab.run(who, oven)
    assert oven.regulate.status.last_error is None


def test_only_query_beats_come_while_a_driver_sleeps_and_none_in_an_exchange(oven: Oven) -> None:
    beats(oven)
    commands, queries = oven.wait(20 * BEAT)
    assert commands == 0
    assert queries > 0
    assert oven.wait_in_exchange(10 * BEAT) == (0, 0)


def test_an_emergency_stop_skips_commands_until_it_is_over_but_not_queries(lab: Lab, oven: Oven) -> None:
    beats(oven)
    assert lab.emergency_stop("fire").result(PATIENCE) == {"oven": None}
    stopped, watched = oven.counts()
    until(lambda: oven.counts()[1] >= watched + 5, "queries don't beat")
    assert oven.counts()[0] == stopped
    assert oven.regulate.status.state is S.RUNNING
    assert oven.regulate.status.skipped > 0
    lab.rearm()
    beats(oven)


# -- errors


def test_after_an_error_the_beats_go_on_and_the_error_can_be_seen(lab: Lab) -> None:
    class Flaky(Oven):
        @periodic(BEAT, restart=RestartPolicy(limit=None, delay=0.0))
        def regulate(self) -> str:
            return Oven.regulate.function(self)

    oven = lab.add("oven", Flaky)
    error = ValueError("no reading")
    oven.fail(error)
    until(lambda: oven.regulate.status.last_error is error, "the error isn't seen")
    beats(oven)
    oven.fail(None)
    stands(oven.regulate, S.RUNNING)
    assert oven.regulate.status.last_error is error


def test_a_method_waits_for_its_delay_after_an_error(lab: Lab) -> None:
    class Patient(Oven):
        @periodic(BEAT, restart=RestartPolicy(delay=60.0, max_delay=60.0))
        def regulate(self) -> str:
            return Oven.regulate.function(self)

    oven = lab.add("oven", Patient)
    oven.fail(ValueError("no reading"))
    status = stands(oven.regulate, S.WAITING)
    assert status.next is not None
    assert status.next > time.monotonic() + 30
    oven.fail(None)
    oven.regulate.start()
    assert stands(oven.regulate, S.RUNNING)
    beats(oven)


def test_beyond_its_limit_it_gives_up_and_the_device_lives_on(lab: Lab, oven: Oven) -> None:
    events = lab.events.subscribe()
    error = ValueError("no reading")
    oven.fail(error)
    status = stands(oven.regulate, S.GAVE_UP)
    assert (status.last_error, status.next) == (error, None)
    told = [event for event in iter(lambda: events.get(0), None) if event.kind == "periodic"]
    assert told[0].data["method"] == "oven.regulate"
    assert "its limit" in told[0].data["why"]
    oven.fail(None)
    oven.regulate.start()
    beats(oven)


def test_then_stop_lab_is_told_to_the_lab(lab: Lab) -> None:
    class Strict(Oven):
        @periodic(BEAT, restart=RestartPolicy(restart="never", then="stop_lab"))
        def regulate(self) -> str:
            return Oven.regulate.function(self)

    events = lab.events.subscribe()
    oven = lab.add("oven", Strict)
    oven.fail(ValueError("no reading"))
    while (event := events.get(PATIENCE)) is not None and event.kind != "escalated":
        pass
    assert event is not None, "nobody was told"
    until(lambda: lab.exit_code == 1, "the lab doesn't stop")


def test_a_fault_in_a_beat_is_a_fault_of_the_device(lab: Lab) -> None:
    oven = lab.add("oven", DeviceConfig(restart=RestartPolicy(delay=0.0))(Oven))
    oven.fail(ConnectionResetError("unplugged"))
    until(lambda: lab.cells["oven"].life == 2, "it hasn't restarted")
    came_back(lab)
    beats(oven)
    assert oven.regulate.status.last_error is None


def test_a_beat_that_hangs_meets_the_running_limit(lab: Lab, gate: Gate) -> None:
    class Stuck(Device):
        @periodic(60.0)
        def poll(self) -> None:
            gate.stop()

        @query
        def ping(self) -> str:
            return "pong"

    stuck = lab.add("stuck", DeviceConfig(timeout=0.2)(Stuck))
    gate.reached()
    until(lambda: lab.cells["stuck"].actor.stack[0].why == "timeout", "nobody ends it")  # type: ignore[union-attr]
    gate.open()
    assert stuck.ping() == "pong"
    assert "took longer than its limit of 0.2 s" in str(stands(stuck.poll, S.WAITING).last_error)


# -- lives


def test_after_a_restart_what_was_stopped_by_hand_stays_stopped_and_the_rest_begins_afresh(lab: Lab) -> None:
    oven = lab.add("oven", DeviceConfig(restart=RestartPolicy(delay=0.0))(Oven))
    oven.watch.stop()
    oven.rest.start()
    oven.fail(ValueError("no reading"))
    stands(oven.regulate, S.GAVE_UP)
    with pytest.raises(DeviceFault):
        oven.break_down()
    came_back(lab)
    beats(oven)
    assert stands(oven.regulate, S.RUNNING).last_error is None
    assert oven.watch.status == PeriodicStatus(S.STOPPED)
    assert stands(oven.rest, S.RUNNING)


def test_what_the_driver_itself_stopped_begins_afresh_with_its_next_life(lab: Lab) -> None:
    oven = lab.add("oven", DeviceConfig(restart=RestartPolicy(delay=0.0))(Oven))
    oven.stop_regulate()
    stands(oven.regulate, S.STOPPED)
    with pytest.raises(DeviceFault):
        oven.break_down()
    came_back(lab)
    beats(oven)


def test_at_the_end_of_the_lab_the_beats_end() -> None:
    with Lab("closing") as lab:
        oven = lab.add("oven", Oven)
        beats(oven)
    assert oven.regulate.status.state is S.ENDED
    assert oven.regulate.status.next is None


# -- who may


def test_an_outsider_may_look_at_a_held_device_but_not_start_and_stop(lab: Lab, oven: Oven, gate: Gate) -> None:
    run = lab.start(hold, oven, gate)
    gate.reached()
    with pytest.raises(DeviceBusy, match=r"oven\.regulate is a command, and oven is held by hold#1"):
        oven.regulate.stop()
    with pytest.raises(DeviceBusy):
        oven.rest.start()
    assert oven.regulate.status.state is S.RUNNING
    gate.open()
    run.result(PATIENCE)


def test_a_holder_starts_and_stops_what_he_holds(lab: Lab, oven: Oven) -> None:
    def body(oven: Oven) -> list[PeriodicState]:
        oven.regulate.stop()
        oven.rest.start()
        return [oven.regulate.status.state, oven.rest.status.state]

    assert lab.run(body, oven) == [S.STOPPED, S.RUNNING]


def test_a_coroutine_as_a_body_starts_and_stops_what_it_holds(lab: Lab, oven: Oven) -> None:
    async def body(oven: Oven) -> None:
        oven.regulate.stop()
        oven.rest.start()

    lab.run(body, oven)
    stands(oven.regulate, S.STOPPED)
    stands(oven.rest, S.RUNNING)


def test_a_shared_holder_may_only_look(lab: Lab, oven: Oven) -> None:
    def body(oven: Shared[Oven]) -> PeriodicState:
        with pytest.raises(NotLeased, match="only shared"):
            oven.regulate.stop()
        return oven.regulate.status.state

    assert lab.run(body, oven) is S.RUNNING


def test_a_part_that_was_the_result_of_a_call_says_that_it_does_not_beat(lab: Lab) -> None:
    class Maker(Device):
        def make(self) -> Probe:
            return Probe()

    made = lab.add("maker", Maker).make()
    assert made.look.status == PeriodicStatus(S.STOPPED)
    with pytest.raises(ConfigError, match="isn't known as periodic"):
        made.look.start()


# -- from within the driver


def test_a_driver_starts_and_stops_its_own_methods(oven: Oven) -> None:
    oven.start_rest()
    stands(oven.rest, S.RUNNING)
    oven.stop_regulate()
    stands(oven.regulate, S.STOPPED)


def test_a_method_that_stops_itself_runs_once(oven: Oven) -> None:
    oven.once.start()
    stands(oven.once, S.STOPPED)
    assert oven.once.status.runs <= 2
    assert set(oven.read()) == {"once"}


def test_what_connect_wishes_is_done(lab: Lab) -> None:
    class Wishing(Oven):
        def connect(self) -> None:
            self.regulate.stop()
            self.rest.start()

    oven = lab.add("oven", Wishing)
    stands(oven.rest, S.RUNNING)
    assert oven.regulate.status == PeriodicStatus(S.STOPPED)


def test_a_subclass_may_put_a_plain_method_in_the_place_of_a_periodic_one(lab: Lab) -> None:
    class Calm(Oven):
        def regulate(self) -> str:  # type: ignore[override]  # pyright: ignore[reportIncompatibleMethodOverride]
            return "calm"

    calm = lab.add("oven", Calm)
    assert calm.regulate() == "calm"
    assert "regulate" not in lab.cells["oven"].periodics.statuses()


def test_a_driver_in_another_process_beats_and_starts_and_stops_its_own_methods(lab: Lab) -> None:
    thing = lab.add("thing", DeviceConfig(isolation="process")(IsolatedThing))
    until(lambda: thing.beats() >= 3, "it doesn't beat")
    until(lambda: thing.parts[0].count >= 3, "its part doesn't beat")
    thing.stop_itself()
    stands(thing.poll, S.STOPPED)
    thing.poll.start()
    stands(thing.poll, S.RUNNING)
    assert thing.rest.status.state is S.STOPPED
    thing.start_rest()
    stands(thing.rest, S.RUNNING)
    assert thing.wished.status.state is S.RUNNING
    with pytest.raises(NotImplementedError, match="by the device's proxy"):
        thing.own_status()
