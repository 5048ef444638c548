"""Hold interlocks to their word: they look without disturbing, trip in time, and undo what they can when they clear."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from actorlab import (
    ActorLabError,
    AskDeadlock,
    CallTimeout,
    ConfigError,
    DeviceConfig,
    DeviceFault,
    DeviceUnavailable,
    Interlock,
    Lab,
    LeaseLost,
    NotLeased,
    RestartPolicy,
    Run,
    RunCancelled,
    RunState,
    Shared,
    ask,
    checkpoint,
    perform,
    query,
    sleep,
    spawn,
    task,
    track,
    workflow,
)
from actorlab.runtime.events import Event

if TYPE_CHECKING:
    from tests.runtime.conftest import Gate

PERIOD = 0.02
PATIENCE = 5.0
SOON = 0.3
"""A grace that is over soon, for what must trip by it; in all other tests a slow machine must not."""
LONG = 60.0
Until = Callable[[Run[Any], RunState], None]


class Water:
    """What flows through a chiller, at a test's will: an error is raised instead, and a gate is stood at."""

    def __init__(self) -> None:
        self.flow: Any = 2.0
        self.gate: Gate | None = None
        self.reads = 0
        self._changed = threading.Condition()

    def read(self) -> Any:
        with self._changed:
            self.reads += 1
            self._changed.notify_all()
        if self.gate is not None:
            self.gate.stop()
        if isinstance(self.flow, BaseException):
            raise self.flow
        return self.flow

    def is_read(self, times: int = 2) -> None:
        """Wait until it has been read so many times more; all but the last of these have been told by then."""
        with self._changed:
            wanted = self.reads + times + 1
            assert self._changed.wait_for(lambda: self.reads >= wanted, PATIENCE), "it is sampled no more"


class Chiller:
    """A device that is sampled, and has something to do as well."""

    def __init__(self, water: Water) -> None:
        self.water = water
        self.log: list[Any] = []

    @query
    def flow(self) -> Any:
        return self.water.read()

    @query
    def done(self) -> list[Any]:
        return list(self.log)

    def set(self, kelvin: float) -> float:
        self.log.append(kelvin)
        return kelvin

    def block(self, gate: Gate) -> None:
        gate.stop()

    def ramp(self, begun: Gate) -> None:
        self.log.append("ramp")
        begun.arrive()
        sleep(LONG)

    def break_down(self) -> None:
        raise ConnectionResetError

    def make_safe(self) -> None:
        self.log.append("safe")


class Lamp:
    """A device that an interlock protects."""

    def __init__(self) -> None:
        self.log: list[Any] = []

    def set(self, level: int) -> int:
        self.log.append(level)
        return level

    @query
    def done(self) -> list[Any]:
        return list(self.log)

    def block(self, gate: Gate) -> None:
        gate.stop()

    def break_down(self) -> None:
        raise ConnectionResetError

    def make_safe(self) -> None:
        self.log.append("safe")


class Story:
    """Hear what interlocks tell."""

    def __init__(self, lab: Lab) -> None:
        self._subscription = lab.events.subscribe()
        self.told: list[Event] = []

    def next(self) -> Event:
        end = time.monotonic() + PATIENCE
        while (left := end - time.monotonic()) > 0:
            event = self._subscription.get(timeout=left)
            if event is not None and event.kind == "interlock":
                self.told.append(event)
                return event
        pytest.fail("no interlock tells anything")

    def trips(self) -> str:
        event = self.next()
        assert event.data["tripped"], event
        return str(event.data["why"])

    def quiet(self) -> None:
        """See that nothing more was told, of what was sent to the deciding thread so far."""
        told = [event for event in iter(lambda: self._subscription.get(timeout=0), None) if event.kind == "interlock"]
        assert not told

    def clears(self) -> None:
        event = self.next()
        assert not event.data["tripped"], event


@pytest.fixture
def story(lab: Lab) -> Story:
    return Story(lab)


@pytest.fixture
def water() -> Iterator[Water]:
    """Make water whose gate is open when the test ends."""
    made = Water()
    yield made
    if made.gate is not None:
        made.gate.open()


def came_back(lab: Lab, name: str) -> None:
    """Wait until a device serves again."""
    ready = threading.Event()
    lab.ask(lambda: lab.lab_actor.lives.when_ready([lab.cells[name]], lambda _: ready.set()))
    assert ready.wait(PATIENCE)


def light(lamp: Lamp, level: int) -> int:
    return lamp.set(level)


def hold(lamp: Lamp, gate: Gate) -> None:
    del lamp
    gate.stop()


def lights(lamp: Lamp, arrived: Gate) -> int:
    """Light a lamp without an end, with a pause point before each."""
    level = 0
    while True:
        checkpoint()
        level = lamp.set(level + 1)
        arrived.arrive()
        sleep(0.001)


# -- veto


def test_a_veto_refuses_every_command_to_everybody_and_says_why_and_until_when(
    lab: Lab, water: Water, gate: Gate, story: Story
) -> None:
    chiller, lamp = lab.add("chiller", Chiller, water), lab.add("lamp", Lamp)
    refused: list[BaseException] = []

    def body(lamp: Lamp) -> int:
        lamp.set(1)
        gate.stop()
        try:
            lamp.set(2)
        except DeviceUnavailable as error:
            refused.append(error)
        return len(lamp.done())

    run = lab.start(body, lamp)
    gate.reached()
    interlock = lab.interlock(
        lambda: chiller.flow() > 1.0, "veto", period=PERIOD, grace=PATIENCE, message="the water is low"
    )
    assert not interlock.tripped
    water.flow = 0.5
    assert story.trips() == "its condition is false"
    with pytest.raises(DeviceUnavailable, match=r"lamp\.set is a command, and an interlock refuses them: the water"):
        lamp.set(3)
    with pytest.raises(DeviceUnavailable, match="the water is low"):
        ask(lamp.set, 3)
    assert lamp.done() == [1], "queries are answered"
    gate.open()
    assert run.result(5) == 1, "the holder's query was answered too"
    said = r"low \(its condition is false, since \d\d:\d\d:\d\d; it clears when its condition is well again\)"
    with pytest.raises(DeviceUnavailable, match=said):
        raise refused[0]
    water.flow = 1.5
    story.clears()
    assert lamp.set(4) == 4


def test_a_holder_goes_on_with_its_lease_when_a_veto_is_over(
    lab: Lab, water: Water, gates: Callable[[], Gate], story: Story
) -> None:
    lamp = lab.add("lamp", Lamp)
    before, after = gates(), gates()

    def body(lamp: Lamp) -> list[Any]:
        lamp.set(1)
        before.stop()
        with pytest.raises(DeviceUnavailable):
            lamp.set(2)
        after.stop()
        lamp.set(3)
        return lamp.done()

    run = lab.start(body, lamp)
    before.reached()
    lab.interlock(water.read, "veto", period=PERIOD, grace=PATIENCE)
    water.flow = -1.0
    story.trips()
    before.open()
    after.reached()
    water.flow = 1.0
    story.clears()
    after.open()
    assert run.result(5) == [1, 3]


@pytest.mark.parametrize("way", ["proxy", "name", "several"])
def test_only_the_devices_that_are_named_are_refused(lab: Lab, water: Water, way: str) -> None:
    lamp, other = lab.add("lamp", Lamp), lab.add("other", Lamp)
    water.flow = False
    devices = {"proxy": lamp, "name": "lamp", "several": (lamp, "lamp")}[way]
    assert lab.interlock(water.read, "veto", devices=devices, period=PERIOD, grace=PATIENCE).tripped
    assert other.set(1) == 1
    with pytest.raises(DeviceUnavailable):
        lamp.set(1)


def test_without_names_it_holds_for_all_devices_also_for_those_added_later(
    lab: Lab, water: Water, story: Story
) -> None:
    water.flow = False
    lab.interlock(water.read, "veto", period=PERIOD, grace=PATIENCE)
    story.trips()
    lamp = lab.add("lamp", Lamp)
    with pytest.raises(DeviceUnavailable):
        lamp.set(1)
    water.flow = True
    story.clears()
    assert lamp.set(1) == 1
    water.flow = False
    story.trips()
    with pytest.raises(DeviceUnavailable):
        lamp.set(1)


def test_a_command_that_waits_when_it_trips_is_refused_by_the_device_itself(
    lab: Lab, water: Water, gate: Gate, story: Story
) -> None:
    lamp = lab.add("lamp", Lamp)
    blocked = ask(lamp.block, gate)
    gate.reached()
    waiting = ask(lamp.set, 1)
    lab.interlock(water.read, "veto", period=PERIOD, grace=PATIENCE)
    water.flow = False
    story.trips()
    gate.open()
    blocked.result(5)
    with pytest.raises(DeviceUnavailable, match=r"lamp\.set is a command, and an interlock refuses them"):
        waiting.result(5)
    assert lamp.done() == []


def test_safe_states_pass_a_veto(lab: Lab, water: Water) -> None:
    lamp = lab.add("lamp", Lamp)
    water.flow = False
    lab.interlock(water.read, "veto", period=PERIOD, grace=PATIENCE)
    with pytest.raises(DeviceUnavailable) as caught:
        lab.run(light, lamp, 1)
    assert caught.value.safe == ("lamp",)
    assert lab.emergency_stop("smoke").result(5) == {"lamp": None}
    assert lamp.done() == ["safe", "safe"]


def test_a_veto_outlives_an_emergency_stop_and_the_stop_a_veto(lab: Lab, water: Water, story: Story) -> None:
    lamp = lab.add("lamp", Lamp)
    water.flow = False
    lab.interlock(water.read, "veto", period=PERIOD, grace=PATIENCE, message="low")
    story.trips()
    lab.emergency_stop("smoke").result(5)
    lab.rearm()
    with pytest.raises(DeviceUnavailable, match="low"):
        lamp.set(1)
    water.flow = True
    story.clears()
    assert lamp.set(1) == 1
    water.flow = False
    story.trips()
    lab.emergency_stop("fire").result(5)
    water.flow = True
    story.clears()
    with pytest.raises(ActorLabError, match="emergency stop: fire"):
        lamp.set(1)
    lab.rearm()
    assert lamp.set(1) == 1


def test_leases_come_and_go_during_a_veto_and_the_right_one_counts_after_it(
    lab: Lab, water: Water, gates: Callable[[], Gate], story: Story
) -> None:
    lamp = lab.add("lamp", Lamp)
    first, second = gates(), gates()
    before = lab.start(hold, lamp, first)
    first.reached()
    lab.interlock(water.read, "veto", period=PERIOD, grace=PATIENCE)
    water.flow = False
    story.trips()

    def body(lamp: Lamp) -> int:
        second.stop()
        return spawn(light, lamp, 2).result() + lamp.set(3)

    after = lab.start(body, lamp)
    first.open()
    before.result(5)
    second.reached()
    water.flow = True
    story.clears()
    with pytest.raises(ActorLabError, match=f"held by {after.id}"):
        lamp.set(1)
    second.open()
    assert after.result(5) == 5


def test_a_step_that_ends_during_a_veto_leaves_nothing_behind_for_its_handles(
    lab: Lab, water: Water, gates: Callable[[], Gate], story: Story
) -> None:
    lamp, other = lab.add("lamp", Lamp), lab.add("other", Lamp)
    first, second = gates(), gates()

    @workflow
    def both(lamp: Lamp, other: Lamp) -> Any:
        return [task(hold)(lamp, first), task(hold)(other, second)]

    run = lab.start(both, lamp, other)
    first.reached()
    second.reached()
    lab.interlock(water.read, "veto", period=PERIOD, grace=PATIENCE)
    water.flow = False
    story.trips()
    first.open()
    while run.steps[0].state is not RunState.SUCCEEDED:
        water.is_read(1)
    water.flow = True
    story.clears()
    assert lab.cells["lamp"].token is run.supervisor.lease
    second.open()
    run.result(5)


def test_two_vetoes_on_one_device_are_over_when_both_are(lab: Lab, story: Story) -> None:
    lamp = lab.add("lamp", Lamp)
    waters = [Water(), Water()]
    for number, water in enumerate(waters):
        lab.interlock(water.read, "veto", devices=lamp, period=PERIOD, grace=PATIENCE, message=f"water {number}")
    for water in waters:
        water.flow = 0.0
        story.trips()
    with pytest.raises(DeviceUnavailable, match=r"water 0 .*; an interlock refuses them: water 1"):
        lamp.set(1)
    waters[0].flow = 1.0
    story.clears()
    with pytest.raises(DeviceUnavailable, match="water 1"):
        lamp.set(1)
    waters[1].flow = 1.0
    story.clears()
    assert lamp.set(1) == 1


def test_a_device_that_restarts_stays_vetoed(lab: Lab, water: Water, gate: Gate, story: Story) -> None:
    lamp = lab.add("lamp", DeviceConfig(restart=RestartPolicy(delay=0.01))(Lamp))
    lab.interlock(water.read, "veto", period=PERIOD, grace=PATIENCE)

    def breaks(lamp: Lamp) -> None:
        gate.stop()
        lamp.break_down()

    def perform_it() -> None:
        with pytest.raises(DeviceFault):
            perform(lamp, breaks)

    failing = threading.Thread(target=perform_it)
    failing.start()
    gate.reached()
    water.flow = 0.0
    story.trips()
    gate.open()
    failing.join(5)
    came_back(lab, "lamp")
    with pytest.raises(DeviceUnavailable, match="an interlock refuses them"):
        lamp.set(1)


def test_the_holder_of_a_direct_device_is_refused_as_well(
    lab: Lab, water: Water, gates: Callable[[], Gate], story: Story
) -> None:
    chiller = lab.add("chiller", DeviceConfig(direct=True)(Chiller), water)
    before, after = gates(), gates()

    def body(chiller: Chiller) -> list[Any]:
        for kelvin in (1, 2, 3):
            chiller.set(kelvin)
        before.stop()
        with pytest.raises(DeviceUnavailable):
            chiller.set(4)
        after.stop()
        chiller.set(5)
        return chiller.done()

    run = lab.start(body, chiller)
    before.reached()
    lab.interlock(lambda: chiller.flow() > 1.0, "veto", period=PERIOD, grace=PATIENCE)
    water.flow = -1.0
    story.trips()
    before.open()
    after.reached()
    water.flow = 2.0
    story.clears()
    after.open()
    assert run.result(5) == [1, 2, 3, 5]


# -- pause


def test_a_pause_lets_the_holders_stand_still_and_resumes_them_when_it_clears(
    lab: Lab, water: Water, gate: Gate, story: Story, until: Until
) -> None:
    lamp, other = lab.add("lamp", Lamp), lab.add("other", Lamp)
    lab.interlock(water.read, "pause", devices=lamp, period=PERIOD, grace=PATIENCE, message="the water is low")
    run = lab.start(lights, lamp, gate)
    gate.reached()
    water.flow = 0.0
    story.trips()
    until(run, RunState.PAUSED)
    assert run.reasons == (f"{run.id} is paused: the water is low",)
    assert lab.run(light, other, 1) == 1, "who doesn't hold it goes on"
    water.flow = 1.0
    story.clears()
    until(run, RunState.RUNNING)
    run.cancel()
    assert isinstance(run.exception(5), RunCancelled)


def test_a_pause_is_no_veto(lab: Lab, water: Water) -> None:
    lamp = lab.add("lamp", Lamp)
    water.flow = 0.0
    lab.interlock(water.read, "pause", period=PERIOD, grace=PATIENCE)
    assert lamp.set(1) == 1
    with lab.lease(lamp, timeout=5):
        assert lamp.set(2) == 2, "a block has no place to stand still"


def test_a_run_that_takes_a_device_meanwhile_touches_nothing_before_it_clears(
    lab: Lab, water: Water, story: Story, until: Until
) -> None:
    lamp = lab.add("lamp", Lamp)
    water.flow = 0.0
    lab.interlock(water.read, "pause", devices="lamp", period=PERIOD, grace=PATIENCE, message="low")
    story.trips()
    run = lab.start(light, lamp, 7)
    until(run, RunState.PAUSED)
    assert run.reasons == (f"{run.id} is paused: low",)
    assert lamp.done() == []
    water.flow = 1.0
    story.clears()
    assert run.result(5) == 7


def test_a_run_that_began_paused_can_be_resumed_or_cancelled_by_hand(lab: Lab, water: Water, until: Until) -> None:
    lamp = lab.add("lamp", Lamp)
    water.flow = 0.0
    lab.interlock(water.read, "pause", period=PERIOD, grace=PATIENCE)
    first, second = lab.start(light, lamp, 1), lab.start(light, lamp, 2)
    until(first, RunState.PAUSED)
    first.resume()
    assert first.result(5) == 1
    until(second, RunState.PAUSED)
    second.cancel("enough")
    with pytest.raises(RunCancelled, match="enough"):
        second.result(5)
    assert lamp.done() == [1, "safe"]


def test_it_resumes_only_what_it_has_paused_itself(
    lab: Lab, water: Water, gates: Callable[[], Gate], story: Story, until: Until, settled: Callable[[], None]
) -> None:
    lamps = [lab.add(f"lamp{number}", Lamp) for number in range(3)]
    there = [gates() for _ in lamps]
    mine, again, ours = runs = [lab.start(lights, lamp, gate) for lamp, gate in zip(lamps, there, strict=True)]
    for gate in there:
        gate.reached()
    mine.pause("lunch")
    until(mine, RunState.PAUSED)
    lab.interlock(water.read, "pause", period=PERIOD, grace=PATIENCE, message="low")
    water.flow = 0.0
    story.trips()
    for run in runs:
        until(run, RunState.PAUSED)
    again.resume()
    until(again, RunState.RUNNING)
    again.pause("tea")
    until(again, RunState.PAUSED)
    water.flow = 1.0
    story.clears()
    until(ours, RunState.RUNNING)
    settled()
    assert [run.state for run in runs] == [RunState.PAUSED, RunState.PAUSED, RunState.RUNNING]
    assert mine.reasons == (f"{mine.id} is paused: lunch",)
    assert again.reasons == (f"{again.id} is paused: tea",)


def test_a_run_that_two_interlocks_want_to_stand_still_does_until_both_are_clear(
    lab: Lab, gate: Gate, story: Story, until: Until, settled: Callable[[], None]
) -> None:
    lamp = lab.add("lamp", Lamp)
    waters = [Water(), Water()]
    for water in waters:
        lab.interlock(water.read, "pause", period=PERIOD, grace=PATIENCE)
    run = lab.start(lights, lamp, gate)
    gate.reached()
    for water in waters:
        water.flow = 0.0
        story.trips()
    until(run, RunState.PAUSED)
    waters[0].flow = 1.0
    story.clears()
    settled()
    assert run.state is RunState.PAUSED
    waters[1].flow = 1.0
    story.clears()
    until(run, RunState.RUNNING)


def test_a_workflow_that_leases_step_by_step_is_paused_as_a_whole(
    lab: Lab, water: Water, gates: Callable[[], Gate], story: Story, until: Until
) -> None:
    lamp, other = lab.add("lamp", Lamp), lab.add("other", Lamp)
    first = gates()

    @task
    def stand(lamp: Lamp) -> int:
        first.stop()
        return lamp.set(1)

    @workflow(lease="step")
    def both(lamp: Lamp, other: Lamp) -> Any:
        return [stand(other), task(light)(lamp, 2)]

    water.flow = 0.0
    lab.interlock(water.read, "pause", devices=lamp, period=PERIOD, grace=PATIENCE, message="low")
    run = lab.start(both, lamp, other)
    first.reached()
    until(run, RunState.PAUSING)
    first.open()
    until(run, RunState.PAUSED)
    assert (other.done(), lamp.done()) == ([1], [])
    water.flow = 1.0
    assert run.result(5) == [1, 2]
    assert len(story.told) == 0


def test_a_shared_holder_stands_still_too(lab: Lab, water: Water, gate: Gate, story: Story, until: Until) -> None:
    lamp = lab.add("lamp", Lamp)

    def watch(lamp: Shared[Lamp]) -> int:
        for _ in track(range(1_000_000)):
            gate.arrive()
            sleep(0.001)
        return len(lamp.done())

    run = lab.start(watch, lamp)
    gate.reached()
    lab.interlock(water.read, "pause", devices=lamp, period=PERIOD, grace=PATIENCE)
    water.flow = 0.0
    story.trips()
    until(run, RunState.PAUSED)


# -- cancel


def test_a_cancel_ends_the_holders_and_refuses_commands_until_it_clears(
    lab: Lab, water: Water, gates: Callable[[], Gate], story: Story
) -> None:
    lamp, other = lab.add("lamp", Lamp), lab.add("other", Lamp)
    there, elsewhere = gates(), gates()
    run, untouched = lab.start(lights, lamp, there), lab.start(hold, other, elsewhere)
    there.reached()
    elsewhere.reached()
    queued = lab.start(light, lamp, 3)
    assert queued.reasons
    lab.interlock(water.read, "cancel", devices=lamp, period=PERIOD, grace=PATIENCE, message="the water is low")
    water.flow = 0.0
    story.trips()
    with pytest.raises(RunCancelled) as caught:
        run.result(5)
    assert caught.value.reason == "interlock: the water is low"
    assert caught.value.safe == ("lamp",)
    with pytest.raises(DeviceUnavailable, match="the water is low"):
        queued.result(5)
    with pytest.raises(DeviceUnavailable, match="the water is low"):
        lamp.set(1)
    elsewhere.open()
    untouched.result(5)
    water.flow = 1.0
    story.clears()
    assert lamp.set(1) == 1


def test_a_cancel_ends_a_lease_block(lab: Lab, water: Water, story: Story) -> None:
    lamp = lab.add("lamp", Lamp)
    lab.interlock(water.read, "cancel", period=PERIOD, grace=PATIENCE, message="low")
    with lab.lease(lamp):
        lamp.set(1)
        water.flow = 0.0
        story.trips()
        with pytest.raises(LeaseLost, match="interlock: low"):
            lamp.set(2)
    assert lamp.done() == [1, "safe"]


# -- emergency stop


def test_an_emergency_stop_comes_once_for_each_trip_and_cannot_be_rearmed_before_it_clears(
    lab: Lab, water: Water, gate: Gate, story: Story
) -> None:
    lamp, other = lab.add("lamp", Lamp), lab.add("other", Lamp)
    interlock = lab.interlock(water.read, "emergency_stop", period=PERIOD, grace=PATIENCE, message="smoke")
    run = lab.start(hold, lamp, gate)
    gate.reached()
    water.flow = 0.0
    story.trips()
    water.is_read(3)
    with pytest.raises(DeviceUnavailable, match="emergency stop: smoke"):
        lab.run(light, other, 1)
    with pytest.raises(ActorLabError, match=r"refused while an interlock is tripped: smoke \(its margin is 0"):
        lab.rearm()
    gate.open()
    with pytest.raises(RunCancelled, match="smoke"):
        run.result(5)
    water.flow = 1.0
    story.clears()
    with pytest.raises(ActorLabError, match="emergency stop: smoke"):
        other.set(1)
    lab.rearm()
    assert other.set(1) == 1
    assert other.done() == ["safe", 1]
    water.flow = 0.0
    story.trips()
    assert interlock.tripped
    with pytest.raises(ActorLabError, match="rearm"):
        lab.rearm()


# -- what a sample says


def test_a_margin_that_wavers_within_its_hysteresis_does_not_chatter(
    lab: Lab, water: Water, story: Story, settled: Callable[[], None]
) -> None:
    lamp = lab.add("lamp", Lamp)
    interlock = lab.interlock(water.read, "veto", period=PERIOD, grace=PATIENCE, hysteresis=0.5)
    stood: list[bool] = []
    for margin in (0.1, -0.1, 0.1, -0.1, 0.5, 0.6, 0.1):
        water.flow = margin
        water.is_read()
        settled()
        stood.append(interlock.tripped)
        if margin == 0.5:
            with pytest.raises(DeviceUnavailable, match=r"it clears when its margin is more than 0\.5"):
                lamp.set(1)
    assert stood == [False, True, True, True, True, False, False]
    assert story.trips() == "its margin is -0.1, and not above 0"
    story.clears()
    interlock.remove()
    story.quiet()


def test_a_nan_is_not_well(lab: Lab, water: Water) -> None:
    water.flow = math.nan
    interlock = lab.interlock(water.read, "veto", period=PERIOD, grace=PATIENCE)
    assert interlock.tripped
    assert "NaN" in interlock.reason


def test_any_real_number_is_a_margin_and_numbers_of_numpy_are_numbers(lab: Lab, water: Water) -> None:
    numpy = pytest.importorskip("numpy")
    good = [1, 0.5, Decimal("0.1"), numpy.float32(1), numpy.int16(3), numpy.bool_(True), numpy.array(1.0), True]
    for value in good:
        water.flow = value
        interlock = lab.interlock(water.read, "veto", period=LONG)
        assert not interlock.tripped, value
        interlock.remove()
    for value in (0, -1, numpy.bool_(False), numpy.float64("nan"), numpy.array(-1.0)):
        water.flow = value
        interlock = lab.interlock(water.read, "veto", period=LONG)
        assert interlock.tripped, value
        interlock.remove()


def test_the_handle_tells_how_it_stands(lab: Lab, water: Water, story: Story) -> None:
    before = time.time()
    interlock = lab.interlock(water.read, "veto", period=PERIOD, grace=SOON, message="low")
    assert (interlock.message, interlock.tripped, interlock.since, interlock.reason) == ("low", False, None, "")
    assert interlock.last is not None
    assert interlock.last.value == 2.0
    assert before <= interlock.last.time <= time.time()
    assert repr(interlock) == "<interlock 1 'low', then veto: well>"
    water.flow = RuntimeError("unplugged")
    assert story.trips() == f"it couldn't be read within {PERIOD + SOON:g} s: RuntimeError: unplugged"
    assert interlock.last.value is None
    assert interlock.last.why == "RuntimeError: unplugged"
    assert interlock.tripped
    assert interlock.since is not None
    assert interlock.since >= before
    assert "unplugged" in interlock.reason
    assert story.told[0].data == {
        "number": 1, "message": "low", "then": "veto", "tripped": True, "why": interlock.reason,
    }  # fmt: skip


def test_an_interlock_without_a_message_is_named_after_its_condition(lab: Lab) -> None:
    def water_flows() -> bool:
        return True

    assert lab.interlock(water_flows, "veto").message == "water_flows"
    assert lab.interlock(lambda: True, "veto").message == "interlock 2"


# -- what can't be read


def test_a_condition_that_raises_trips_at_once_if_it_was_never_read(lab: Lab, water: Water, story: Story) -> None:
    lamp = lab.add("lamp", Lamp)
    water.flow = RuntimeError("unplugged")
    interlock = lab.interlock(water.read, "veto", period=PERIOD, grace=PATIENCE)
    assert interlock.reason == "it can't be read: RuntimeError: unplugged"
    with pytest.raises(DeviceUnavailable, match="unplugged"):
        lamp.set(1)
    water.flow = 1.0
    story.trips()
    story.clears()
    assert lamp.set(1) == 1


def test_a_condition_that_raises_now_and_then_is_forgiven_within_its_grace(
    lab: Lab, water: Water, story: Story, settled: Callable[[], None]
) -> None:
    def every_other() -> float:
        value: float = water.read()
        if water.reads % 2 == 0:
            raise RuntimeError
        return value

    interlock = lab.interlock(every_other, "veto", period=PERIOD, grace=PATIENCE)
    water.is_read(6)
    settled()
    assert not interlock.tripped
    story.quiet()


@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt()])
def test_no_exception_ends_the_sampling(lab: Lab, water: Water, story: Story, error: BaseException) -> None:
    water.flow = error
    interlock = lab.interlock(water.read, "veto", period=PERIOD, grace=PATIENCE)
    assert type(error).__name__ in interlock.reason
    story.trips()
    water.flow = 1.0
    story.clears()


def test_a_sample_that_hangs_trips_in_time_and_clears_when_it_goes_on(
    lab: Lab, water: Water, gates: Callable[[], Gate], story: Story
) -> None:
    interlock = lab.interlock(water.read, "veto", period=PERIOD, grace=SOON)
    water.gate = gates()
    water.gate.reached()
    assert story.trips() == f"it couldn't be read within {PERIOD + SOON:g} s"
    assert interlock.tripped
    gate, water.gate = water.gate, None
    gate.open()
    story.clears()


def test_a_first_sample_that_hangs_is_waited_for_within_its_bound(
    lab: Lab, water: Water, gates: Callable[[], Gate]
) -> None:
    lamp = lab.add("lamp", Lamp)
    water.gate = gates()
    began = time.monotonic()
    interlock = lab.interlock(water.read, "veto", period=0.1, grace=0.1)
    assert time.monotonic() - began < 2
    assert interlock.tripped
    assert interlock.last is None
    with pytest.raises(DeviceUnavailable, match=r"it couldn't be read within 0\.2 s"):
        lamp.set(1)


def test_a_driver_that_sleeps_is_sampled_meanwhile(lab: Lab, water: Water, gate: Gate, story: Story) -> None:
    chiller = lab.add("chiller", Chiller, water)
    run = lab.start(lambda chiller: chiller.ramp(gate), chiller)
    gate.reached()
    interlock = lab.interlock(
        lambda: chiller.flow() - 1.0, "cancel", devices=chiller, period=PERIOD, grace=PATIENCE, message="low"
    )
    water.is_read(3)
    assert not interlock.tripped
    assert run.state is RunState.RUNNING, "the sleeping command wasn't disturbed"
    water.flow = 0.5
    story.trips()
    with pytest.raises(RunCancelled, match="interlock: low"):
        run.result(5)
    assert chiller.done() == ["ramp", "safe"]


def test_a_sample_overtakes_all_that_waits_for_the_device(lab: Lab, water: Water, gates: Callable[[], Gate]) -> None:
    class Logged(Chiller):
        @query
        def flow(self) -> Any:
            self.log.append("flow")
            return super().flow()

    chiller = lab.add("chiller", Logged, water)
    here, asked = gates(), gates()

    def body(chiller: Chiller) -> None:
        replies: list[Any] = [ask(chiller.block, here), *(ask(chiller.set, kelvin) for kelvin in range(20))]
        asked.arrive()
        for reply in replies:
            reply.result(PATIENCE)

    run = lab.start(body, chiller)
    asked.reached()
    here.reached()
    making = threading.Thread(target=lab.interlock, args=(chiller.flow, "veto"), kwargs={"grace": LONG})
    making.start()
    end = time.monotonic() + PATIENCE
    while lab.status("chiller").waiting_calls < 21 and time.monotonic() < end:
        making.join(0.001)
    here.open()
    run.result(5)
    making.join(5)
    assert chiller.done()[0] == "flow"


def test_a_driver_that_hangs_trips_it_in_time_and_is_not_asked_later(
    lab: Lab, water: Water, gate: Gate, story: Story
) -> None:
    chiller, lamp = lab.add("chiller", Chiller, water), lab.add("lamp", Lamp)
    interlock = lab.interlock(lambda: chiller.flow() > 1.0, "veto", devices=lamp, period=PERIOD, grace=SOON)
    blocked = ask(chiller.block, gate)
    gate.reached()
    reads = water.reads
    began = time.monotonic()
    assert "it couldn't be read within 0.32 s" in story.trips()
    assert time.monotonic() - began < 2
    interlock.remove()
    assert not lab.lab_actor.interlocks.join(PATIENCE)
    gate.open()
    blocked.result(5)
    assert chiller.done() == []
    assert water.reads == reads, "what came too late never begins"
    assert lamp.set(1) == 1


def test_a_sample_that_gets_no_answer_says_who_did_not_give_it(lab: Lab, water: Water, gate: Gate) -> None:
    chiller = lab.add("chiller", Chiller, water)
    blocked = ask(chiller.block, gate)
    gate.reached()
    missed = threading.Event()

    def flows() -> bool:
        try:
            return bool(chiller.flow() > 1.0)
        except CallTimeout:
            if missed.is_set():
                told.set()
            missed.set()
            raise

    told = threading.Event()
    interlock = lab.interlock(flows, "veto", period=PERIOD, grace=SOON)
    assert told.wait(PATIENCE)
    lab.ask(lambda: None)
    assert interlock.last is not None
    assert interlock.last.why == "CallTimeout: chiller.flow wasn't answered in the time of the sample"
    gate.open()
    blocked.result(5)


def test_a_query_that_hangs_trips_it_in_time(lab: Lab, water: Water, gates: Callable[[], Gate], story: Story) -> None:
    chiller = lab.add("chiller", Chiller, water)
    lab.interlock(lambda: chiller.flow() > 1.0, "veto", period=PERIOD, grace=SOON)
    water.gate = gates()
    water.gate.reached()
    story.trips()
    gate, water.gate = water.gate, None
    gate.open()
    story.clears()


def test_a_query_that_hangs_meets_the_running_limit_of_its_device(
    lab: Lab, water: Water, gates: Callable[[], Gate], story: Story
) -> None:
    hangs = gates()

    class Stoppable(Chiller):
        def interrupt(self) -> None:
            self.log.append("interrupted")
            hangs.open()

        def resync(self) -> None: ...

    chiller = lab.add("chiller", DeviceConfig(timeout=0.2)(Stoppable), water)
    lab.interlock(lambda: chiller.flow() > 1.0, "veto", period=PERIOD, grace=SOON)
    water.gate = hangs
    assert "couldn't be read" in story.trips()
    story.clears()
    assert chiller.done() == ["interrupted"]


def test_a_device_that_is_not_there_trips_it(lab: Lab, water: Water, story: Story) -> None:
    chiller = lab.add("chiller", DeviceConfig(restart=RestartPolicy(delay=LONG, max_delay=LONG))(Chiller), water)
    lab.interlock(lambda: chiller.flow() > 1.0, "veto", period=PERIOD, grace=SOON, message="low")
    with pytest.raises(DeviceFault):
        chiller.break_down()
    assert "DeviceUnavailable: chiller has failed" in story.trips()


def test_a_sample_that_hangs_is_interrupted_by_a_safe_state(lab: Lab, water: Water, gates: Callable[[], Gate]) -> None:
    hangs = gates()

    class Stoppable(Chiller):
        def interrupt(self) -> None:
            hangs.open()

        def resync(self) -> None:
            self.log.append("resync")

    chiller = lab.add("chiller", DeviceConfig(safe_timeout=PATIENCE)(Stoppable), water)
    lab.interlock(lambda: chiller.flow() > 1.0, "veto", period=PERIOD, grace=PATIENCE)
    water.gate = hangs
    hangs.reached()
    assert lab.emergency_stop("smoke").result(5) == {"chiller": None}
    assert chiller.done() == ["resync", "safe"]


# -- it only looks


def test_a_command_in_a_condition_is_refused_and_trips_it(lab: Lab, water: Water) -> None:
    chiller = lab.add("chiller", Chiller, water)
    for condition in (
        lambda: chiller.set(300) > 0,
        lambda: ask(chiller.set, 300).result(5) > 0,
        lambda: perform(chiller, Chiller.set, 300) > 0,
    ):
        interlock = lab.interlock(condition, "veto", period=LONG)
        assert "chiller.set is a command, and interlock" in interlock.reason
        assert "only looks" in interlock.reason
        interlock.remove()
    assert chiller.done() == []


def test_a_condition_may_not_run_lease_or_spawn(lab: Lab, water: Water) -> None:
    chiller = lab.add("chiller", Chiller, water)
    others: list[Callable[[], Any]] = [
        lambda: lab.run(len, []),
        lambda: lab.lease(chiller),
        lambda: spawn(len, []),
        lambda: lab.interlock(lambda: True, "veto"),
    ]
    for condition in others:
        interlock = lab.interlock(condition, "veto", period=LONG)
        assert "only looks: its condition may not use" in interlock.reason
        interlock.remove()


def test_it_reads_attributes_and_parts_and_asks_several_at_once(lab: Lab) -> None:
    class Sensor:
        def __init__(self, value: float) -> None:
            self._value = value

        @property
        def value(self) -> float:
            return self._value

    class Box:
        limit = 3.0

        def __init__(self) -> None:
            self.sensor = {1: Sensor(1.0), 2: Sensor(5.0)}

        @query
        def read(self) -> float:
            return 4.0

    box = lab.add("box", DeviceConfig(queries=("**",))(Box))
    interlock = lab.interlock(lambda: box.limit - box.sensor[1].value, "veto", period=PERIOD, grace=PATIENCE)
    assert interlock.last is not None
    assert interlock.last.value == 2.0
    replies = lab.interlock(
        lambda: ask(box.read).result(5) + ask(box.read).result(5), "veto", period=PERIOD, grace=PATIENCE
    )
    assert replies.last is not None
    assert replies.last.value == 8.0


def test_a_driver_may_not_make_one(lab: Lab) -> None:
    lamp = lab.add("lamp", Lamp)
    with pytest.raises(AskDeadlock, match=r"lab\.interlock"):
        perform(lamp, lambda _: lab.interlock(lambda: True, "veto"))


def test_an_asynchronous_body_may_not_make_one_as_that_would_block_its_loop(lab: Lab) -> None:
    async def body() -> None:
        with pytest.raises(AskDeadlock, match="may not wait"):
            lab.interlock(lambda: True, "veto")

    assert lab.start(body).exception(5) is None


# -- what is refused


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"then": "explode"}, "then='explode' is none of 'pause', 'cancel', 'veto', 'emergency_stop'"),
        ({"period": 0}, "period=0"),
        ({"grace": 0}, "grace=0"),
        ({"hysteresis": -1}, "hysteresis=-1"),
        ({"devices": ()}, "names no device"),
        ({"devices": "laser"}, "no device named 'laser'"),
        ({"devices": [3]}, "not 3"),
        ({"then": "emergency_stop", "devices": "lamp"}, "stops the whole lab"),
        ({"condition": 1.0}, "1.0 is no condition"),
        ({"condition": lambda: None}, "returned None: it has to return true or false, or a margin"),
        ({"condition": lambda: "well"}, "returned 'well'"),
        ({"condition": lambda: True, "hysteresis": 0.5}, "hysteresis=0.5 needs a margin"),
    ],
)
def test_what_makes_no_sense_is_refused_with_its_reason(lab: Lab, options: dict[str, Any], reason: str) -> None:
    lamp = lab.add("lamp", Lamp)
    given: dict[str, Any] = {"condition": lambda: 1.0, "then": "veto", "period": LONG, **options}
    with pytest.raises(ConfigError, match=reason.replace("(", r"\(")):
        lab.interlock(**given)
    assert lamp.set(1) == 1, "nothing is left of it"
    assert not lab.lab_actor.interlocks._watches


def test_a_result_that_makes_no_sense_later_counts_as_not_read(lab: Lab, water: Water, story: Story) -> None:
    interlock = lab.interlock(water.read, "veto", period=PERIOD, grace=SOON, hysteresis=0.5)
    water.flow = True
    assert "needs a margin" in story.trips()
    water.flow = 1.0
    story.clears()
    assert not interlock.tripped


# -- its end


def test_an_interlock_that_is_removed_while_tripped_takes_back_its_veto(lab: Lab, water: Water, story: Story) -> None:
    lamp = lab.add("lamp", Lamp)
    water.flow = 0.0
    interlock = lab.interlock(water.read, "veto", period=PERIOD, grace=PATIENCE)
    story.trips()
    interlock.remove()
    assert lamp.set(1) == 1
    assert not interlock.tripped
    story.clears()
    assert story.told[-1].data["why"] == "it was removed"
    interlock.remove()


def test_a_pausing_one_that_is_removed_resumes_what_it_has_paused(lab: Lab, water: Water, until: Until) -> None:
    lamp = lab.add("lamp", Lamp)
    water.flow = 0.0
    interlock = lab.interlock(water.read, "pause", period=PERIOD, grace=PATIENCE)
    run = lab.start(light, lamp, 1)
    until(run, RunState.PAUSED)
    interlock.remove()
    assert run.result(5) == 1


def test_a_stopping_one_that_is_removed_lets_the_lab_be_rearmed(lab: Lab, water: Water, story: Story) -> None:
    lamp = lab.add("lamp", Lamp)
    water.flow = 0.0
    interlock = lab.interlock(water.read, "emergency_stop", period=PERIOD, grace=PATIENCE)
    story.trips()
    interlock.remove()
    lab.rearm()
    assert lamp.set(1) == 1


def test_a_condition_may_remove_its_own_interlock(lab: Lab, water: Water, story: Story) -> None:
    made: list[Interlock] = []

    def once() -> float:
        if made and water.flow == 0.0:
            made[0].remove()
        return float(water.flow)

    made.append(lab.interlock(once, "veto", period=PERIOD, grace=PATIENCE))
    (sampler,) = lab.lab_actor.interlocks._samplers
    water.flow = 0.0
    sampler.thread.join(5)
    assert not sampler.thread.is_alive()
    assert not made[0].tripped
    assert not story.told


def test_its_thread_ends_with_it_also_while_a_driver_hangs(lab: Lab, water: Water, gates: Callable[[], Gate]) -> None:
    chiller = lab.add("chiller", Chiller, water)
    interlock = lab.interlock(lambda: chiller.flow() > 1.0, "veto", period=PERIOD, grace=LONG)
    (sampler,) = lab.lab_actor.interlocks._samplers
    assert sampler.thread.name == "actorlab test: interlock 1"
    assert sampler.thread.daemon
    water.gate = gates()
    water.gate.reached()
    interlock.remove()
    sampler.thread.join(5)
    assert not sampler.thread.is_alive()


def test_closing_the_lab_while_a_sample_hangs_is_bounded(water: Water, gates: Callable[[], Gate]) -> None:
    lab = Lab("hanging", cancel_grace=0.3)
    lab.add("lamp", Lamp)
    lab.interlock(water.read, "veto", period=PERIOD)
    (sampler,) = lab.lab_actor.interlocks._samplers
    water.gate = gates()
    water.gate.reached()
    began = time.monotonic()
    lab.close()
    assert time.monotonic() - began < 4
    assert sampler.thread.is_alive()
    water.gate.open()
    sampler.thread.join(5)
    assert not sampler.thread.is_alive()


def test_closing_the_lab_while_the_sampled_driver_hangs_is_bounded(water: Water, gates: Callable[[], Gate]) -> None:
    lab = Lab("hanging", cancel_grace=0.3)
    chiller = lab.add("chiller", DeviceConfig(safe_timeout=0.3)(Chiller), water)
    lab.interlock(lambda: chiller.flow() > 1.0, "veto", period=PERIOD, grace=LONG)
    (sampler,) = lab.lab_actor.interlocks._samplers
    water.gate = gates()
    water.gate.reached()
    began = time.monotonic()
    lab.close()
    assert time.monotonic() - began < 4
    sampler.thread.join(5)
    assert not sampler.thread.is_alive(), "its wait for the driver has ended"


def test_interlocks_end_after_the_runs_and_a_closed_lab_takes_none(water: Water) -> None:
    with Lab("ending") as lab:
        lamp = lab.add("lamp", Lamp)
        interlock = lab.interlock(water.read, "pause", period=PERIOD, grace=PATIENCE)
        water.flow = 0.0
        water.is_read()
        run = lab.start(light, lamp, 1)
        mended = threading.Thread(target=mend_when_closing, args=(lab, water))
        mended.start()
    assert run.result(0) == 1, "the lab has waited for it, and the interlock has let it go on meanwhile"
    mended.join(5)
    interlock.remove()
    with pytest.raises(ConfigError, match="closed"):
        lab.interlock(water.read, "veto")


def mend_when_closing(lab: Lab, water: Water) -> None:
    """Let the water flow once the lab waits for its runs, as it does when it takes nothing new."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        water.is_read(1)
        try:
            lab.add("late", Lamp)
            lab.remove("late")
        except ConfigError:
            break
    water.flow = 1.0


def test_a_lab_that_closes_by_force_ends_paused_runs(water: Water) -> None:
    lab = Lab("forced", cancel_grace=0.3)
    lamp = lab.add("lamp", Lamp)
    water.flow = 0.0
    lab.interlock(water.read, "pause", period=PERIOD)
    run = lab.start(light, lamp, 1)
    lab.close()
    with pytest.raises(RunCancelled, match="closed"):
        run.result(0)


def test_an_interlocks_refusal_is_no_lease_error(lab: Lab, water: Water) -> None:
    lamp = lab.add("lamp", Lamp)
    water.flow = 0.0
    lab.interlock(water.read, "veto", period=PERIOD, grace=PATIENCE)
    with lab.lease(lamp), pytest.raises(DeviceUnavailable):
        lamp.set(1)
    with pytest.raises(NotLeased):
        lab.run(lambda: lamp.set(1))
