"""A run ends in its order, whatever happens: bodies, fence, clean-ups, safe states, release, terminal state."""

from __future__ import annotations

import heapq
import json
from itertools import count
from typing import TYPE_CHECKING, Any

import hypothesis.strategies as st
import pytest
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from actorlab.core.plan import Plan
from actorlab.core.restart import RestartPolicy
from actorlab.core.run_core import RunCore, RunSpec
from actorlab.core.run_events import (
    Action,
    AlarmBody,
    AskDecision,
    Asked,
    AskLease,
    AwaitDevices,
    Begun,
    BodyEnded,
    ChildBegun,
    ChildEnded,
    Choice,
    CleanupEnded,
    Decided,
    DevicesLost,
    DevicesReady,
    End,
    Event,
    Fence,
    FenceBody,
    FreeBodies,
    GraceOver,
    Granted,
    HoldBodies,
    MadeSafe,
    MakeSafe,
    Moved,
    Pause,
    Refused,
    Released,
    ReleaseLease,
    Resume,
    SetTimer,
    StartBody,
    StartCleanup,
    StepMoved,
    Stood,
    StopChildren,
    Stopped,
)
from actorlab.core.run_state import LEGAL, RunState
from actorlab.errors import Cancelled, ConfigError, NotLeased, RunTimeout
from actorlab.replay import Cores, written, written_spec

if TYPE_CHECKING:
    from collections.abc import Iterable

S = RunState
FAULT = ConnectionError("unplugged")
LOST = OSError("it won't come back")
GRACE = 10.0
ORDER: dict[type, int] = {Fence: 1, StartCleanup: 2, MakeSafe: 3, ReleaseLease: 4, End: 5}
ONE = Plan(((),))
CHAIN = Plan(((), (0,), (1,)))
FORK = Plan(((), (), (0,), (1,)))
TWO = Plan(((), ()))
ONCE_MORE = {0: RestartPolicy(limit=1, delay=2)}
CANCEL = Stopped(S.CANCELLED, "enough")
EMERGENCY = Stopped(S.CANCELLED, "smoke", hurry=True)


class Deeds(list[Any]):
    """Actions, without the notes on states and timers.

    To Python named tuples with the same values are equal, whatever their names: `Fence() == ReleaseLease()`. Not here.
    """

    def __init__(self, actions: Iterable[Any]) -> None:
        super().__init__(action for action in actions if not isinstance(action, Moved | StepMoved | SetTimer))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, list) and in_words(self) == in_words(other)

    __hash__ = None  # as for any list


def in_words(actions: Iterable[Any]) -> list[str]:
    return [repr(action) for action in actions]


class World:
    """Whoever carries the actions out: it keeps the timers, knows what wants an answer, and knows the laws."""

    def __init__(self, spec: RunSpec) -> None:
        self.spec = spec
        self.core = RunCore(spec)
        self.now = 0.0
        self.told: list[tuple[float, Event, list[Any]]] = []
        self.timers: list[tuple[float, int, Event]] = []
        self.number = count()
        self.states = [S.WAITING]
        self.steps: dict[int, RunState] = {}
        self.begun = self.answered = self.granted = self.stopped = self.hurried = self.releasing = False
        self.attempts: dict[int, int] = {}
        self.bodies: dict[int, int] = {}
        self.strays: list[tuple[int, int]] = []
        self.alarmed: dict[int, float] = {}
        self.good = [step for step, state in spec.passed.items() if state is S.SUCCEEDED]
        self.standing: list[int] = []
        self.held = False
        self.children = 0
        self.devices_awaited: list[int] = []
        self.cleanup: int | None = None
        self.making_safe = ""
        self.undecided: list[int] = []
        self.left_out = S.SKIPPED in spec.passed.values()
        self.phase = 0
        self.ran = 0.0  # seconds, pauses apart
        self.ran_before: dict[int, float] = {}  # the same, when a step began
        self.cause = S.SUCCEEDED
        self.lawful = True

    def state(self) -> RunState:
        return self.states[-1]

    @property
    def deeds(self) -> Deeds:
        """Return all that there was to do."""
        return Deeds(action for _, _, actions in self.told for action in actions)

    def last(self, number: int = 1) -> Deeds:
        """Return what there was to do last."""
        return Deeds(self.deeds[-number:])

    def kinds(self) -> list[type]:
        return [type(action) for action in self.deeds]

    # -- events

    def tell(self, *events: Event) -> Deeds:
        """Tell the core, and return what the last event leads to."""
        actions: list[Any] = []
        for event in events:
            over, self.lawful = self.state().terminal, False
            self.hear(event)
            actions = self.core.handle(event, self.now)
            self.told.append((self.now, event, actions))
            assert not (over and actions), "nothing happens after the end"
            for action in actions:
                self.carry_out(action)
            self.check()
            self.lawful = True
        return Deeds(actions)

    def hear(self, event: Event) -> None:  # noqa: C901, PLR0912 - one line for each event that changes the world
        match event:
            case Begun():
                self.begun = True
            case Granted():
                self.answered = True
                self.granted = not self.releasing
            case Refused():
                self.answered = True
            case BodyEnded(step, attempt, error) if self.bodies.get(step) == attempt:
                del self.bodies[step]
                if error is None and step not in self.alarmed:
                    self.good.append(step)
            case BodyEnded(step, attempt) if (step, attempt) in self.strays:
                self.strays.remove((step, attempt))
            case Stopped():
                self.stopped = self.stopped or not event.counted
                self.hurried = self.hurried or event.hurry
            case DevicesReady(step) | DevicesLost(step) if step in self.devices_awaited:
                self.devices_awaited.remove(step)
            case ChildBegun():
                self.children += 1
            case ChildEnded():
                self.children -= 1
            case CleanupEnded():
                self.cleanup = None
            case MadeSafe():
                self.making_safe = ""
            case Stood(step):
                self.standing.append(step)
            case Asked(step):
                self.standing.append(step)
            case Decided(step, choice) if step in self.undecided:
                self.undecided.remove(step)
                self.left_out = self.left_out or choice == "skip"
            case _:
                pass

    def wait(self, seconds: float) -> None:
        """Let time pass, and timers fire."""
        end = self.now + seconds
        while self.timers and self.timers[0][0] <= end and not self.state().terminal:
            self.fire()
        self.pass_until(max(end, self.now))

    def fire(self) -> None:
        at, _, event = heapq.heappop(self.timers)
        self.pass_until(max(at, self.now))
        self.tell(event)

    def pass_until(self, now: float) -> None:
        if self.granted and self.state() is not S.PAUSED:
            self.ran += now - self.now
        self.now = now

    def ran_since(self, step: int) -> float:
        return self.ran - self.ran_before[step]

    def finish(self) -> None:
        """Answer everything; bodies that were alarmed never end."""
        for _ in range(500):
            if self.state().terminal:
                return
            answer = self.next_answer()
            if answer is not None:
                self.tell(answer)
            else:
                assert self.timers, f"the run hangs in {self.state()}: everything was answered, and no timer is set"
                self.fire()
        pytest.fail("the run doesn't come to its end")

    def next_answer(self) -> Event | None:  # noqa: C901, PLR0911 - one line for each action that wants an answer
        if self.releasing:
            return Released()
        if not self.begun:
            return Begun()
        if not self.answered:
            return Granted()
        if self.making_safe:
            return MadeSafe(self.making_safe)
        if self.cleanup is not None:
            return CleanupEnded(self.cleanup)
        if self.children:
            return ChildEnded()
        if self.undecided:
            return Decided(self.undecided[0], "abort")
        if self.state() in (S.PAUSING, S.PAUSED):
            return Resume()
        for step, attempt in self.bodies.items():
            if step not in self.alarmed or step in self.spec.units:
                return BodyEnded(step, attempt)
        return DevicesReady(self.devices_awaited[0]) if self.devices_awaited else None

    # -- actions

    def carry_out(self, action: Action) -> None:  # noqa: C901, PLR0912, PLR0915 - one case for each action
        rank = ORDER.get(type(action), 0)
        assert not rank or rank >= self.phase, f"{action} comes too late"
        assert not rank or rank > self.phase or isinstance(action, StartCleanup | MakeSafe), f"{action} comes twice"
        self.phase = rank or self.phase
        match action:
            case Moved(old, new):
                assert old is self.state()
                assert new in LEGAL[old]
                if new is S.CANCELLING and self.core.reason.startswith("it took longer than its timeout"):
                    assert self.ran >= (self.spec.timeout or 0.0) - 1e-5, "a pause doesn't count"
                self.states.append(new)
            case StepMoved(step, old, new):
                assert old is self.steps.get(step, S.WAITING)
                gone_past = old is S.WAITING and self.spec.passed.get(step) is new
                assert new in LEGAL[old] or gone_past, f"a step can't go from {old} to {new}"
                self.steps[step] = new
            case SetTimer(seconds, event):
                assert seconds >= 0
                heapq.heappush(self.timers, (self.now + seconds, next(self.number), event))
            case AskLease():
                assert self.state() is S.WAITING
            case AskDecision(step):
                assert step in self.spec.asking
                assert step not in self.bodies
                self.undecided.append(step)
            case StartBody(step, attempt):
                self.start_body(step, attempt)
            case AlarmBody(step, reason):
                assert step in self.bodies
                assert "step took" not in reason or self.ran_since(step) >= self.spec.step_timeouts[step] - 1e-5
                assert step not in self.alarmed, "a body is alarmed once"
                self.alarmed[step] = self.now
                if step in self.standing:
                    self.standing.remove(step)
            case StopChildren():
                assert self.state() is S.CANCELLING
            case FenceBody(step):
                self.abandon(step)
            case Fence():
                assert not self.bodies
                assert not self.children
            case HoldBodies():
                assert not self.held
                self.held = True
            case FreeBodies():
                assert self.held
                self.held = False
                self.standing.clear()
            case AwaitDevices(step):
                self.devices_awaited.append(step)
            case StartCleanup(index):
                assert self.cleanup is None, "one clean-up at a time"
                assert not self.held, "a pause never takes effect in a clean-up"
                assert not self.hurried, "an emergency stop leaves clean-ups out"
                self.cleanup = index
            case MakeSafe(device):
                assert not self.making_safe, "one device at a time"
                self.making_safe = device
            case ReleaseLease():
                assert not self.bodies
                assert not self.children
                self.releasing = True
            case End(state):
                self.end(state)

    def start_body(self, step: int, attempt: int) -> None:
        assert self.state() is S.RUNNING, f"a body starts in {self.state()}"
        assert self.granted
        assert not self.phase
        assert step not in self.bodies, "a step has one body at a time"
        assert attempt == self.attempts.get(step, 0) + 1
        assert step not in self.spec.passed
        loose = self.spec.plan.loose[step] if self.spec.plan.loose else ()
        for parent in self.spec.plan.parents[step]:
            assert parent in self.good or (parent in loose and self.steps[parent].terminal)
        assert step not in self.devices_awaited, "a retry begins when its devices serve"
        self.attempts[step] = self.bodies[step] = attempt
        self.ran_before.setdefault(step, self.ran)

    def abandon(self, step: int) -> None:
        assert step in self.alarmed, "nobody is abandoned without a warning"
        assert self.now >= self.alarmed[step] + self.spec.cancel_grace - 1e-6
        assert step not in self.spec.units, "a unit is never abandoned"
        self.strays.append((step, self.bodies.pop(step)))
        if step in self.standing:
            self.standing.remove(step)

    def end(self, state: RunState) -> None:
        core, spec = self.core, self.spec
        cleanups = [action.number for action in self.deeds if isinstance(action, StartCleanup)]
        assert state is self.state() is core.state is core.final
        assert state.terminal
        assert all(core.step_state(step).terminal for step in range(spec.plan.size))
        if not self.granted:
            assert not self.attempts
            assert not any(kind in self.kinds() for kind in (Fence, StartCleanup, MakeSafe))
            return
        expected = list(reversed(range(spec.cleanups))) if self.attempts or spec.passed else []
        assert cleanups == (expected[: len(cleanups)] if self.hurried else expected)
        made_safe = [action.device for action in self.deeds if isinstance(action, MakeSafe)]
        if state is S.SUCCEEDED:
            assert S.CANCELLING not in self.states
            assert self.left_out or sorted(self.good) == list(range(spec.plan.size))
            assert made_safe == []
        else:
            assert S.CANCELLING in self.states
            assert made_safe == list(reversed(spec.devices))
            assert sorted((*core.safe, *core.unsafe)) == sorted(spec.devices)
            assert Fence in self.kinds()
            assert (state is S.ABANDONED) == bool(core.abandoned)

    # -- what holds after every event

    def check(self) -> None:
        core = self.core
        assert core.state is self.state()
        assert self.cause in (S.SUCCEEDED, core.cause), "the first cause fixes how it ends"
        self.cause = core.cause
        if self.state() is S.CANCELLING:
            assert core.cause is not S.SUCCEEDED
            self.undecided.clear()
            assert all(step in self.alarmed for step in self.bodies)
        if self.state() is S.PAUSED:
            assert all(step in self.standing for step in self.bodies)
        if self.state() in (S.RUNNING, S.RETRYING):
            assert not self.held
        for step, attempts in self.attempts.items():
            assert core.attempts(step) == attempts
        assert all(core.step_state(step) is state for step, state in self.steps.items())


def begun(plan: Plan = ONE, **known: Any) -> World:
    """Return a run that has its lease."""
    world = World(RunSpec(plan, **known))
    world.tell(Begun(), Granted())
    return world


# Beginning and success


def test_a_run_asks_for_its_lease_runs_its_body_and_gives_the_lease_back() -> None:
    world = begun(devices=("laser",))
    world.tell(BodyEnded(0, 1), Released())
    assert world.deeds == [AskLease(), StartBody(0, 1), ReleaseLease(), End(S.SUCCEEDED)]
    assert world.states == [S.WAITING, S.RUNNING, S.SUCCEEDED]


def test_nothing_runs_before_the_lease_is_there() -> None:
    world = World(RunSpec(ONE))
    assert world.tell(Begun()) == [AskLease()]
    assert world.tell(Granted()) == [StartBody(0, 1)]


def test_a_run_without_steps_succeeds_at_once() -> None:
    world = begun(Plan(()), devices=("laser",), cleanups=1)
    world.tell(Released())
    assert world.state() is S.SUCCEEDED
    assert StartCleanup not in world.kinds()  # they are attempted once any step has begun


def test_a_step_starts_when_its_parents_have_succeeded() -> None:
    world = begun(FORK)
    assert world.last(2) == [StartBody(0, 1), StartBody(1, 1)]
    assert world.tell(BodyEnded(1, 1)) == [StartBody(3, 1)]
    assert world.tell(BodyEnded(0, 1)) == [StartBody(2, 1)]
    assert world.tell(BodyEnded(2, 1)) == []
    assert world.tell(BodyEnded(3, 1)) == [ReleaseLease()]


def test_the_end_is_said_when_the_release_is_acknowledged() -> None:
    world = begun()
    world.tell(BodyEnded(0, 1))
    assert world.state() is S.RUNNING
    assert world.tell(Released()) == [End(S.SUCCEEDED)]


@pytest.mark.parametrize(("timed_out", "state"), [(False, S.FAILED), (True, S.TIMED_OUT)])
def test_a_refused_lease_ends_the_run_with_the_reason(timed_out: bool, state: RunState) -> None:
    world = World(RunSpec(ONE, devices=("laser",), cleanups=1))
    assert world.tell(Begun(), Refused(FAULT, timed_out=timed_out)) == [ReleaseLease()]
    assert world.tell(Released()) == [End(state)]
    assert world.core.error is FAULT


# Failure, and the order of the end


def test_after_a_failure_everything_ends_in_its_order() -> None:
    world = begun(TWO, devices=("laser", "meter", "oven"), cleanups=2)
    assert world.tell(BodyEnded(0, 1, FAULT)) == [AlarmBody(1, "step 0 failed")]
    assert world.state() is S.CANCELLING
    assert world.tell(BodyEnded(1, 1, Cancelled("…"))) == [Fence(), StartCleanup(1)]
    assert world.tell(CleanupEnded(1)) == [StartCleanup(0)]
    assert world.tell(CleanupEnded(0)) == [MakeSafe("oven")]
    assert world.tell(MadeSafe("oven")) == [MakeSafe("meter")]
    assert world.tell(MadeSafe("meter", LOST)) == [MakeSafe("laser")]
    assert world.tell(MadeSafe("laser")) == [ReleaseLease()]
    assert world.tell(Released()) == [End(S.FAILED)]
    assert world.core.safe == ("oven", "laser")
    assert world.core.unsafe == {"meter": LOST}
    assert (world.core.error, world.core.failed_step) == (FAULT, 0)
    assert (world.core.step_state(0), world.core.step_state(1)) == (S.FAILED, S.CANCELLED)


def test_steps_that_had_not_begun_are_skipped() -> None:
    world = begun(CHAIN)
    world.tell(BodyEnded(0, 1, FAULT))
    world.finish()
    assert [world.core.step_state(step) for step in range(3)] == [S.FAILED, S.SKIPPED, S.SKIPPED]
    assert world.core.attempts(1) == 0


@pytest.mark.parametrize("plan", [ONE, TWO])
def test_a_body_that_returns_after_the_alarm_makes_nothing_succeed(plan: Plan) -> None:
    world = begun(plan, devices=("laser",))
    world.tell(CANCEL, *[BodyEnded(step, 1) for step in range(plan.size)])
    world.finish()
    assert world.state() is S.CANCELLED
    assert world.core.step_state(0) is S.CANCELLED


CAUSES: dict[RunState, Event] = {
    S.CANCELLED: CANCEL,
    S.TIMED_OUT: Stopped(S.TIMED_OUT, "its deadline passed"),
    S.FAILED: BodyEnded(0, 1, FAULT),
}


@pytest.mark.parametrize("first", CAUSES)
@pytest.mark.parametrize("second", CAUSES)
def test_the_first_cause_fixes_the_outcome(first: RunState, second: RunState) -> None:
    world = begun(TWO)
    world.tell(CAUSES[first], CAUSES[second])
    world.finish()
    assert world.core.cause is first
    assert world.core.error is (FAULT if first is S.FAILED else None)


def test_once_all_bodies_have_ended_well_a_cancel_comes_too_late() -> None:
    world = begun(cleanups=1)
    world.tell(BodyEnded(0, 1))
    assert world.tell(CANCEL) == []
    world.finish()
    assert world.state() is S.SUCCEEDED


# Cancel


def test_a_cancelled_run_that_waited_was_granted_nothing_and_makes_nothing_safe() -> None:
    world = World(RunSpec(ONE, devices=("laser",), cleanups=1))
    world.tell(Begun(), CANCEL, Released())
    assert world.deeds == [AskLease(), ReleaseLease(), End(S.CANCELLED)]
    assert world.states == [S.WAITING, S.CANCELLED]
    assert world.core.reason == "enough"


def test_a_grant_that_crosses_a_cancel_starts_nothing() -> None:
    world = World(RunSpec(ONE, devices=("laser",)))
    world.tell(Begun(), CANCEL)
    assert world.tell(Granted()) == []
    assert world.tell(Released()) == [End(S.CANCELLED)]


@pytest.mark.parametrize("second", [CANCEL, EMERGENCY, Refused(FAULT)])
def test_a_waiting_run_gives_its_request_back_once(second: Event) -> None:
    world = World(RunSpec(ONE))
    world.tell(Begun(), CANCEL)
    assert world.tell(second) == []
    assert world.tell(Released()) == [End(S.CANCELLED)]


@pytest.mark.parametrize(
    "event", [CANCEL, EMERGENCY, Pause("wait"), Resume(), GraceOver(), BodyEnded(0, 1), Released(), Granted()]
)
def test_after_the_end_nothing_does_anything(event: Event) -> None:
    world = begun()
    world.finish()
    assert world.tell(event) == []
    assert world.state() is S.SUCCEEDED


def test_a_cancel_alarms_every_body_once_and_the_children() -> None:
    world = begun(TWO)
    assert world.tell(ChildBegun(), CANCEL) == [AlarmBody(0, "enough"), AlarmBody(1, "enough"), StopChildren("enough")]
    assert world.tell(CANCEL) == []


def test_an_emergency_stop_leaves_clean_ups_out() -> None:
    world = begun(devices=("laser",), cleanups=2)
    world.tell(EMERGENCY)
    assert world.tell(BodyEnded(0, 1, Cancelled("…"))) == [Fence(), MakeSafe("laser")]


def test_an_emergency_stop_of_a_run_that_is_being_cancelled_leaves_clean_ups_out() -> None:
    world = begun(devices=("laser",), cleanups=2)
    world.tell(CANCEL, EMERGENCY)
    assert world.tell(BodyEnded(0, 1, Cancelled("…"))) == [Fence(), MakeSafe("laser")]


def test_an_emergency_stop_during_a_clean_up_begins_no_other() -> None:
    world = begun(devices=("laser",), cleanups=2)
    world.tell(CANCEL, BodyEnded(0, 1, Cancelled("…")), EMERGENCY)
    assert world.tell(CleanupEnded(1, Cancelled("…"))) == [MakeSafe("laser")]


# Grace


def test_a_body_that_does_not_end_within_the_grace_is_abandoned() -> None:
    world = begun(TWO, devices=("laser",), cancel_grace=GRACE)
    world.tell(CANCEL, BodyEnded(0, 1, Cancelled("…")))
    world.wait(GRACE - 0.1)
    assert FenceBody not in world.kinds()
    world.wait(0.2)
    assert world.last(3) == [FenceBody(1), Fence(), MakeSafe("laser")]
    assert world.tell(BodyEnded(1, 1)) == []  # it ends after all: nobody cares any more
    world.finish()
    assert (world.state(), world.core.cause, world.core.abandoned) == (S.ABANDONED, S.CANCELLED, (1,))
    assert world.core.step_state(1) is S.ABANDONED


def test_a_unit_ends_by_itself_and_is_never_abandoned() -> None:
    world = begun(units={0: None}, cancel_grace=GRACE)
    world.tell(CANCEL)
    world.wait(100 * GRACE)
    assert world.state() is S.CANCELLING
    world.tell(BodyEnded(0, 1, Cancelled("…")), Released())
    assert world.state() is S.CANCELLED


def test_a_unit_that_overruns_its_timeout_is_never_abandoned() -> None:
    world = begun(units={0: None}, step_timeouts={0: 5.0}, cancel_grace=GRACE)
    world.wait(100 * GRACE)
    assert AlarmBody in world.kinds()
    assert FenceBody not in world.kinds()


# Timeouts


def test_a_run_that_takes_longer_than_its_timeout_is_stopped() -> None:
    world = begun(timeout=60.0)
    world.wait(59.9)
    assert world.state() is S.RUNNING
    world.wait(0.2)
    assert world.state() is S.CANCELLING
    world.finish()
    assert world.core.cause is S.TIMED_OUT
    assert "timeout of 60.0 s" in world.core.reason


def test_a_timeout_does_not_count_the_wait_for_the_lease() -> None:
    world = World(RunSpec(ONE, timeout=60.0))
    world.tell(Begun())
    world.wait(1000)
    world.tell(Granted())
    world.wait(59)
    assert world.state() is S.RUNNING


def test_a_timeout_stands_still_in_a_pause_and_runs_on_with_the_remainder() -> None:
    world = begun(timeout=60.0)
    world.wait(20)
    for seconds in (100, 0.5):
        world.tell(Pause("look"), Stood(0))
        world.wait(seconds)
        world.tell(Resume())
        world.wait(10)
        assert world.state() is S.RUNNING
    world.wait(19.9)
    assert world.state() is S.RUNNING
    world.wait(0.2)
    assert world.state() is S.CANCELLING


def test_a_timeout_counts_on_until_every_body_stands() -> None:
    world = begun(timeout=60.0)
    world.tell(Pause("look"))
    world.wait(61)
    assert world.state() is S.CANCELLING
    assert not world.held


def test_a_deadline_does_not_stand_still_in_a_pause() -> None:
    world = begun()
    world.tell(Pause("look"), Stood(0))
    assert world.tell(Stopped(S.TIMED_OUT, "its deadline passed")) == [
        FreeBodies(),
        AlarmBody(0, "its deadline passed"),
    ]


def test_a_step_that_takes_too_long_is_stopped_and_fails_the_run() -> None:
    world = begun(TWO, step_timeouts={0: 5.0}, retries=ONCE_MORE)
    world.wait(5)
    assert world.last() == [AlarmBody(0, "the step took longer than its timeout of 5.0 s")]
    assert world.tell(BodyEnded(0, 1, Cancelled("…"))) == [AlarmBody(1, "step 0 failed")]
    world.finish()
    assert world.core.step_state(0) is S.TIMED_OUT
    assert isinstance(world.core.error, RunTimeout)


def test_a_step_that_ends_in_time_hears_nothing_of_its_timeout() -> None:
    world = begun(CHAIN, step_timeouts={0: 5.0})
    world.tell(BodyEnded(0, 1))
    world.wait(10)
    assert world.state() is S.RUNNING
    assert AlarmBody not in world.kinds()


def test_a_body_that_ignores_its_step_timeout_is_abandoned() -> None:
    world = begun(TWO, step_timeouts={0: 5.0}, cancel_grace=GRACE)
    world.wait(5 + GRACE)
    assert world.last(2) == [FenceBody(0), AlarmBody(1, "step 0 failed")]
    world.finish()
    assert world.state() is S.ABANDONED


def test_a_step_timeout_covers_all_attempts_and_the_waits_between() -> None:
    world = begun(TWO, step_timeouts={0: 5.0}, retries=ONCE_MORE)
    world.tell(BodyEnded(0, 1, FAULT))
    world.wait(5)  # its devices don't come back
    assert world.core.step_state(0) is S.TIMED_OUT
    assert world.state() is S.CANCELLING


def test_a_body_that_met_its_step_timeout_is_not_alarmed_again_by_a_cancel() -> None:
    world = begun(step_timeouts={0: 5.0})
    world.wait(5)
    assert world.tell(CANCEL) == []


def test_a_step_timeout_stands_still_in_a_pause_and_runs_on_with_the_remainder() -> None:
    world = begun(TWO, step_timeouts={0: 60.0})
    world.wait(20)
    for seconds in (100, 0.5):
        world.tell(Pause("look"), Stood(0), Stood(1))
        world.wait(seconds)
        world.tell(Resume())
        world.wait(10)
        assert AlarmBody not in world.kinds()
    world.wait(19.9)
    assert AlarmBody not in world.kinds()
    world.wait(0.2)
    assert world.last() == [AlarmBody(0, "the step took longer than its timeout of 60.0 s")]


# Retries


def test_a_retry_waits_for_its_delay_and_for_the_devices() -> None:
    world = begun(retries=ONCE_MORE)
    assert world.tell(BodyEnded(0, 1, FAULT)) == [AwaitDevices(0)]
    assert world.state() is S.RETRYING
    world.wait(2)
    assert world.core.attempts(0) == 1
    assert world.tell(DevicesReady(0)) == [StartBody(0, 2)]
    assert world.state() is S.RUNNING


def test_a_retry_whose_devices_serve_at_once_still_waits_for_its_delay() -> None:
    world = begun(retries=ONCE_MORE)
    assert world.tell(BodyEnded(0, 1, FAULT), DevicesReady(0)) == []
    world.wait(2)
    assert world.last() == [StartBody(0, 2)]


def test_when_the_retries_are_used_up_the_last_failure_is_the_outcome() -> None:
    world = begun(retries=ONCE_MORE)
    world.tell(BodyEnded(0, 1, FAULT), DevicesReady(0))
    world.wait(2)
    world.tell(BodyEnded(0, 2, LOST), Released())
    assert (world.state(), world.core.error) == (S.FAILED, LOST)
    assert world.core.errors == [(0, FAULT), (0, LOST)]


@pytest.mark.parametrize("error", [ConfigError("no"), NotLeased("no"), Cancelled("no"), KeyboardInterrupt()])
def test_what_a_retry_would_only_meet_again_is_not_retried(error: BaseException) -> None:
    world = begun(retries=ONCE_MORE)
    world.tell(BodyEnded(0, 1, error), Released())
    assert (world.state(), world.core.error) == (S.FAILED, error)


def test_devices_that_do_not_come_back_end_the_wait_with_the_failure() -> None:
    world = begun(retries=ONCE_MORE, devices=("laser",))
    assert world.tell(BodyEnded(0, 1, FAULT), DevicesLost(0)) == [Fence(), MakeSafe("laser")]
    world.finish()
    assert (world.state(), world.core.error) == (S.FAILED, FAULT)
    assert world.core.attempts(0) == 1


def test_other_steps_go_on_while_one_waits_for_its_retry() -> None:
    world = begun(FORK, retries=ONCE_MORE)
    world.tell(BodyEnded(0, 1, FAULT))
    assert world.state() is S.RUNNING
    assert world.tell(BodyEnded(1, 1)) == [StartBody(3, 1)]


def test_a_cancel_ends_the_wait_for_a_retry() -> None:
    world = begun(retries=ONCE_MORE, devices=("laser",))
    assert world.tell(BodyEnded(0, 1, FAULT), CANCEL) == [Fence(), MakeSafe("laser")]
    world.wait(2)
    assert world.tell(DevicesReady(0)) == []
    world.finish()
    assert world.core.cause is S.CANCELLED


# keep_going


def test_keep_going_skips_only_what_depends_on_the_failure() -> None:
    world = begun(FORK, keep_going=True, devices=("laser",))
    assert world.tell(BodyEnded(0, 1, FAULT)) == []
    assert world.tell(BodyEnded(1, 1)) == [StartBody(3, 1)]
    assert world.tell(BodyEnded(3, 1)) == [Fence(), MakeSafe("laser")]
    world.finish()
    assert world.state() is S.FAILED
    assert [world.core.step_state(step) for step in range(4)] == [S.FAILED, S.SUCCEEDED, S.SKIPPED, S.SUCCEEDED]


def test_keep_going_runs_a_step_that_only_awaited_the_devices_of_the_failed_one() -> None:
    world = begun(Plan(((), (0,), (0,)), loose=((), (0,), ())), keep_going=True)
    assert world.tell(BodyEnded(0, 1, FAULT)) == [StartBody(1, 1)]
    world.finish()
    assert [world.core.step_state(step) for step in range(3)] == [S.FAILED, S.SUCCEEDED, S.SKIPPED]


def test_keep_going_collects_every_failure() -> None:
    world = begun(TWO, keep_going=True)
    world.tell(BodyEnded(1, 1, LOST), BodyEnded(0, 1, FAULT))
    assert world.core.errors == [(1, LOST), (0, FAULT)]
    assert (world.core.error, world.core.failed_step) == (LOST, 1)


def test_with_keep_going_an_abandoned_step_lets_the_rest_go_on() -> None:
    world = begun(FORK, keep_going=True, step_timeouts={0: 5.0}, cancel_grace=GRACE)
    world.wait(5 + GRACE)
    assert world.tell(BodyEnded(1, 1)) == [StartBody(3, 1)]
    world.finish()
    assert world.state() is S.ABANDONED


def test_with_keep_going_a_step_abandoned_after_a_cancel_starts_nothing() -> None:
    world = begun(Plan(((), (0,)), loose=((), (0,))), keep_going=True, step_timeouts={0: 5.0}, cancel_grace=GRACE)
    world.wait(5)
    world.tell(CANCEL)
    world.finish()
    assert world.state() is S.ABANDONED
    assert world.core.attempts(1) == 0


# Clean-ups


def test_clean_ups_run_after_a_success_too_the_last_registered_first() -> None:
    world = begun(cleanups=2, devices=("laser",))
    assert world.tell(BodyEnded(0, 1)) == [Fence(), StartCleanup(1)]
    assert world.tell(CleanupEnded(1)) == [StartCleanup(0)]
    assert world.tell(CleanupEnded(0)) == [ReleaseLease()]
    assert world.tell(Released()) == [End(S.SUCCEEDED)]


def test_a_failing_clean_up_fails_a_successful_run_and_the_others_still_run() -> None:
    world = begun(cleanups=2, devices=("laser",))
    world.tell(BodyEnded(0, 1))
    assert world.tell(CleanupEnded(1, FAULT)) == [StartCleanup(0)]
    assert world.tell(CleanupEnded(0, LOST)) == [MakeSafe("laser")]
    world.finish()
    assert (world.state(), world.core.error) == (S.FAILED, FAULT)
    assert world.core.cleanup_errors == ((1, FAULT), (0, LOST))


def test_a_failing_clean_up_does_not_change_why_a_run_failed() -> None:
    world = begun(cleanups=1)
    world.tell(BodyEnded(0, 1, FAULT), CleanupEnded(0, LOST), Released())
    assert (world.core.error, world.core.cleanup_errors) == (FAULT, ((0, LOST),))


@pytest.mark.parametrize("late", [1, 0])
def test_a_clean_up_that_was_given_up_and_ends_later_changes_nothing(late: int) -> None:
    world = begun(cleanups=2, devices=("laser", "meter"))
    world.tell(BodyEnded(0, 1, FAULT), CleanupEnded(1, LOST), CleanupEnded(0, LOST))
    assert world.tell(CleanupEnded(late)) == []


# Children


def test_a_run_ends_after_its_children() -> None:
    world = begun(devices=("laser",))
    world.tell(ChildBegun(), ChildBegun())
    assert world.tell(BodyEnded(0, 1)) == []
    assert world.tell(ChildEnded()) == []
    assert world.tell(ChildEnded()) == [ReleaseLease()]


def test_a_stopped_run_waits_for_its_children_also_beyond_the_grace() -> None:
    world = begun(devices=("laser",), cancel_grace=GRACE)
    world.tell(ChildBegun(), CANCEL)
    world.wait(2 * GRACE)
    assert world.last() == [FenceBody(0)]
    assert world.tell(ChildEnded()) == [Fence(), MakeSafe("laser")]


# Pause


def test_a_pause_takes_effect_when_every_body_stands() -> None:
    world = begun(TWO)
    assert world.tell(Pause("look")) == [HoldBodies()]
    assert (world.state(), world.core.pause_reason) == (S.PAUSING, "look")
    world.tell(Stood(1))
    assert world.state() is S.PAUSING
    world.tell(Stood(0))
    assert world.state() is S.PAUSED
    assert world.tell(Resume()) == [FreeBodies()]
    assert (world.state(), world.core.pause_reason) == (S.RUNNING, "")


def test_a_run_that_is_granted_with_a_reason_for_a_pause_begins_when_it_is_resumed() -> None:
    world = World(RunSpec(FORK, timeout=5.0))
    assert world.tell(Begun(), Granted("not yet")) == [HoldBodies()]
    assert (world.state(), world.core.pause_reason) == (S.PAUSED, "not yet")
    world.wait(6)
    assert world.tell(Resume()) == [FreeBodies(), StartBody(0, 1), StartBody(1, 1)]


def test_a_run_that_is_paused_while_it_waits_begins_when_it_is_resumed() -> None:
    world = World(RunSpec(FORK, timeout=5.0))
    assert world.tell(Begun(), Pause("look")) == []
    assert world.state() is S.WAITING
    assert world.tell(Granted()) == [HoldBodies()]
    assert (world.state(), world.core.pause_reason) == (S.PAUSED, "look")
    assert world.tell(Resume()) == [FreeBodies(), StartBody(0, 1), StartBody(1, 1)]


def test_a_run_that_is_resumed_before_it_has_its_lease_simply_begins() -> None:
    world = World(RunSpec(ONE))
    world.tell(Begun(), Pause("look"), Resume())
    assert world.tell(Granted()) == [StartBody(0, 1)]


def test_a_run_that_began_paused_ends_without_a_body_when_it_is_cancelled() -> None:
    world = World(RunSpec(ONE, devices=("laser",)))
    assert world.tell(Begun(), Granted("not yet"), CANCEL) == [FreeBodies(), Fence(), MakeSafe("laser")]


def test_a_body_that_stood_and_met_its_timeout_stands_no_longer() -> None:
    world = begun(TWO, step_timeouts={0: 5.0})
    world.tell(Pause("look"), Stood(0))
    world.wait(5)
    world.tell(Stood(1))
    assert world.state() is S.PAUSING


def test_a_body_that_ends_instead_of_standing_lets_the_pause_take_effect() -> None:
    world = begun(FORK)
    world.tell(Pause("look"), Stood(0))
    assert world.tell(BodyEnded(1, 1)) == []
    assert world.state() is S.PAUSED


def test_no_step_begins_in_a_pause_and_all_that_could_begin_after_it() -> None:
    world = begun(FORK)
    world.tell(Pause("look"), BodyEnded(0, 1), BodyEnded(1, 1))
    assert world.state() is S.PAUSED
    assert world.tell(Resume()) == [FreeBodies(), StartBody(2, 1), StartBody(3, 1)]


def test_a_failure_while_pausing_is_a_failure() -> None:
    world = begun(TWO)
    world.tell(Pause("look"))
    assert world.tell(BodyEnded(0, 1, FAULT)) == [FreeBodies(), AlarmBody(1, "step 0 failed")]
    assert world.state() is S.CANCELLING


def test_a_cancel_ends_a_pause() -> None:
    world = begun()
    world.tell(Pause("look"), Stood(0))
    assert world.tell(CANCEL) == [FreeBodies(), AlarmBody(0, "enough")]


def test_a_retry_that_is_due_in_a_pause_begins_after_it() -> None:
    world = begun(retries=ONCE_MORE)
    world.tell(BodyEnded(0, 1, FAULT), Pause("look"))
    assert world.state() is S.PAUSED
    world.wait(2)
    assert world.tell(DevicesReady(0)) == []
    assert world.tell(Resume()) == [FreeBodies(), StartBody(0, 2)]


def test_a_retry_that_is_not_due_yet_goes_on_waiting_after_a_pause() -> None:
    world = begun(retries=ONCE_MORE)
    world.tell(BodyEnded(0, 1, FAULT), Pause("look"), Resume())
    assert world.state() is S.RETRYING
    world.tell(DevicesReady(0))
    world.wait(2)
    assert world.last() == [StartBody(0, 2)]


def test_a_run_whose_bodies_end_while_it_pauses_cleans_up_unhindered() -> None:
    world = begun(cleanups=1)
    world.tell(Pause("look"))
    assert world.tell(BodyEnded(0, 1)) == [FreeBodies(), Fence(), StartCleanup(0)]
    world.finish()
    assert world.state() is S.SUCCEEDED


def test_a_pause_does_not_take_effect_in_clean_ups() -> None:
    world = begun(cleanups=1)
    world.tell(BodyEnded(0, 1))
    assert world.tell(Pause("look")) == []
    world.finish()
    assert world.state() is S.SUCCEEDED


@pytest.mark.parametrize("event", [Pause("look"), Resume()])
def test_a_run_that_waits_or_ends_is_not_paused(event: Event) -> None:
    waiting, ending = World(RunSpec(ONE)), begun()
    ending.tell(CANCEL)
    assert waiting.tell(Begun(), event) == []
    assert ending.tell(event) == []
    assert (waiting.state(), ending.state()) == (S.WAITING, S.CANCELLING)


# Any world at all


POLICIES = (RestartPolicy(limit=1, delay=0), RestartPolicy(limit=3, delay=2, factor=1))


@st.composite
def specs(draw: st.DrawFn) -> RunSpec:
    size = draw(st.sampled_from((1, 1, 2, 3, 4, 5, 0)))
    some = st.sets(st.integers(0, max(size - 1, 0))).map(sorted)
    parents = [tuple(parent for parent in draw(some) if parent < step) for step in range(size)]
    loose = [tuple(parent for parent in of if draw(st.booleans())) for of in parents] if draw(st.booleans()) else []
    return RunSpec(
        Plan(tuple(parents), tuple(loose) if any(loose) else ()),
        GRACE,
        timeout=draw(st.sampled_from((None, 5.0))),
        retries={step: draw(st.sampled_from(POLICIES)) for step in draw(some)},
        step_timeouts={step: draw(st.sampled_from((3.0, 8.0))) for step in draw(some)},
        units=dict.fromkeys(draw(some)),
        cleanups=draw(st.integers(0, 2)),
        devices=("laser", "meter", "oven")[: draw(st.integers(0, 3))],
        keep_going=draw(st.booleans()),
        asking=dict.fromkeys(draw(some)) if draw(st.booleans()) else {},
        passed={step: draw(past) for step in draw(some) if step < size} if draw(st.booleans()) else {},
    )


past = st.sampled_from((S.SUCCEEDED, S.SUCCEEDED, S.SKIPPED))
errors = st.sampled_from((None, None, None, None, FAULT, FAULT, LOST, ConfigError("no"), Cancelled("…")))
faults = st.sampled_from((None, FAULT))
pauses = st.sampled_from(("", "", "", "not yet"))
anyone = st.integers(0, 11)


class AnyWorld(RuleBasedStateMachine):
    """A world that answers in any order, at any time, well, badly or never. `World` holds every event to the laws."""

    world: World

    @initialize(spec=specs(), swift=st.booleans(), pause=pauses)
    def make(self, spec: RunSpec, swift: bool, pause: str) -> None:
        self.world = World(spec)
        if swift:
            self.world.tell(Begun(), Granted(pause))

    @precondition(lambda self: not self.world.begun and not self.world.stopped)
    @rule()
    def begin(self) -> None:
        self.world.tell(Begun())

    @precondition(lambda self: self.world.begun and not self.world.answered)
    @rule(pause=pauses)
    def grant(self, pause: str) -> None:
        self.world.tell(Granted(pause))

    @precondition(lambda self: self.world.begun and not self.world.answered)
    @rule(timed_out=st.booleans())
    def refuse(self, timed_out: bool) -> None:
        self.world.tell(Refused(FAULT, timed_out=timed_out))

    @precondition(lambda self: len(self.world.bodies) > len(self.world.standing))
    @rule(who=anyone, error=errors)
    def end_a_body(self, who: int, error: BaseException | None) -> None:
        moving = [step for step in self.world.bodies if step not in self.world.standing]
        step = moving[who % len(moving)]
        self.world.tell(BodyEnded(step, self.world.bodies[step], error))

    @precondition(lambda self: self.world.strays)
    @rule(error=errors)
    def end_an_abandoned_body(self, error: BaseException | None) -> None:
        self.world.tell(BodyEnded(*self.world.strays[0], error))

    @precondition(lambda self: self.world.bodies)
    @rule()
    def begin_a_child(self) -> None:
        self.world.tell(ChildBegun())

    @precondition(lambda self: self.world.children)
    @rule()
    def end_a_child(self) -> None:
        self.world.tell(ChildEnded())

    @precondition(lambda self: self.world.devices_awaited)
    @rule(who=anyone, ready=st.sampled_from((True, True, False)))
    def answer_for_devices(self, who: int, ready: bool) -> None:
        step = self.world.devices_awaited[who % len(self.world.devices_awaited)]
        self.world.tell(DevicesReady(step) if ready else DevicesLost(step))

    @precondition(lambda self: self.world.cleanup is not None)
    @rule(error=faults)
    def end_a_clean_up(self, error: BaseException | None) -> None:
        if (index := self.world.cleanup) is not None:
            self.world.tell(CleanupEnded(index, error))

    @precondition(lambda self: self.world.making_safe)
    @rule(error=faults)
    def answer_for_a_device(self, error: BaseException | None) -> None:
        self.world.tell(MadeSafe(self.world.making_safe, error))

    @precondition(lambda self: self.world.releasing)
    @rule()
    def acknowledge_the_release(self) -> None:
        self.world.tell(Released())

    @rule(who=anyone, choice=st.sampled_from(("retry", "retry", "skip", "abort")))
    def decide(self, who: int, choice: Choice) -> None:
        undecided = self.world.undecided
        if undecided:
            self.world.tell(Decided(undecided[who % len(undecided)], choice))

    @rule()
    def pause(self) -> None:
        self.world.tell(Pause("look"))

    @precondition(lambda self: self.world.held)
    @rule()
    def resume(self) -> None:
        self.world.tell(Resume())

    @precondition(lambda self: self.world.held and len(self.world.bodies) > len(self.world.standing))
    @rule(who=anyone, everybody=st.booleans())
    def stand(self, who: int, everybody: bool) -> None:
        moving = [step for step in self.world.bodies if step not in self.world.standing]
        for step in moving if everybody else [moving[who % len(moving)]]:
            self.world.tell(Stood(step))

    @rule(state=st.sampled_from((S.CANCELLED, S.TIMED_OUT)), hurry=st.booleans(), wanted=st.integers(0, 3))
    def stop(self, state: RunState, hurry: bool, wanted: int) -> None:
        if wanted == 3:  # most runs should get further
            self.world.tell(Stopped(state, "somebody wants it", hurry=hurry))

    @rule(seconds=st.sampled_from((0.0, 0.3, 1.0, 2.0, 6.0)))
    def wait(self, seconds: float) -> None:
        self.world.wait(seconds)

    def teardown(self) -> None:
        world = self.world
        if not world.lawful:  # it has failed already: let that be the message
            return
        world.finish()
        again = RunCore(world.spec)
        for now, event, actions in world.told:
            assert in_words(again.handle(event, now)) == in_words(actions), "the same events lead to the same actions"
        assert again.state is world.state()
        self.replay()

    def replay(self) -> None:
        """Rebuild the run from what was written down of it, as another process would."""
        cores = Cores()
        cores.tell("run", "drawn", json.loads(json.dumps({"spec": written_spec(self.world.spec)})), 0.0)
        for now, event, _ in self.world.told:
            kind, *fields = json.loads(json.dumps(written(event)))
            cores.tell("run", kind, fields, now)
        rebuilt, core = cores.runs["run"], self.world.core
        assert (rebuilt.state, rebuilt.reason, repr(rebuilt.error)) == (core.state, core.reason, repr(core.error))
        for step in range(self.world.spec.plan.size):
            assert rebuilt.step_state(step) is core.step_state(step)
            assert rebuilt.attempts(step) == core.attempts(step)


TestAnyWorld = AnyWorld.TestCase
TestAnyWorld.settings = settings(max_examples=400, stateful_step_count=40)


# An operator decides


# Going on after an interruption


def test_what_was_done_before_is_gone_past() -> None:
    world = World(RunSpec(FORK, passed={0: S.SUCCEEDED, 2: S.SUCCEEDED}))
    assert world.tell(Begun(), Granted()) == [StartBody(1, 1)]
    assert world.tell(BodyEnded(1, 1)) == [StartBody(3, 1)]


def test_what_comes_after_a_step_that_is_done_once_more_is_not_done_again() -> None:
    world = begun(CHAIN, passed={1: S.SUCCEEDED})
    assert StartBody(0, 1) in world.deeds
    assert StartBody(2, 1) in world.tell(BodyEnded(0, 1))


def test_a_run_of_which_nothing_is_left_cleans_up_and_succeeds() -> None:
    world = begun(CHAIN, passed=dict.fromkeys(range(3), S.SUCCEEDED), cleanups=1)
    world.finish()
    assert world.state() is S.SUCCEEDED
    assert StartCleanup(0) in world.deeds


def test_what_needs_a_step_that_is_left_out_is_left_out_too() -> None:
    world = begun(FORK, passed={0: S.SKIPPED})
    world.finish()
    assert [world.core.step_state(step) for step in range(4)] == [S.SKIPPED, S.SUCCEEDED, S.SKIPPED, S.SUCCEEDED]
    assert world.state() is S.SUCCEEDED


def failed(plan: Plan = ONE, **known: Any) -> World:
    """Return a run whose first step has failed, and waits for a decision."""
    world = begun(plan, asking={0: None}, **known)
    world.tell(BodyEnded(0, 1, FAULT))
    return world


def test_a_step_whose_failure_is_to_be_decided_pauses_the_run_once_the_others_stand() -> None:
    world = failed(TWO)
    assert world.last(2) == [AskDecision(0, FAULT), HoldBodies()]
    assert world.state() is S.PAUSING
    world.tell(Stood(1))
    assert world.state() is S.PAUSED
    assert world.core.step_state(0) is S.PAUSED


@pytest.mark.parametrize(
    ("choice", "state", "first", "second"),
    [
        ("retry", S.SUCCEEDED, S.SUCCEEDED, S.SUCCEEDED),
        ("skip", S.SUCCEEDED, S.FAILED, S.SKIPPED),
        ("abort", S.FAILED, S.FAILED, S.SKIPPED),
    ],
)
def test_the_decision_says_how_it_goes_on(choice: Choice, state: RunState, first: RunState, second: RunState) -> None:
    world = failed(CHAIN)
    world.tell(Decided(0, choice))
    world.finish()
    assert world.state() is state
    assert (world.core.step_state(0), world.core.step_state(1)) == (first, second)


def test_nobody_decides_over_a_step_twice_and_resume_decides_nothing() -> None:
    world = failed()
    assert world.tell(Resume()) == []
    assert world.state() is S.PAUSED
    world.tell(Decided(0, "retry"))
    assert world.tell(Decided(0, "abort")) == []
    assert world.state() is S.RUNNING


def test_a_cancellation_ends_the_wait_for_a_decision() -> None:
    world = failed(devices=("laser",))
    world.tell(CANCEL)
    world.finish()
    assert world.state() is S.CANCELLED
    assert world.core.safe == ("laser",)


def test_a_wrong_use_is_nothing_to_decide_over() -> None:
    world = begun(asking={0: None})
    world.tell(BodyEnded(0, 1, Cancelled("…")))
    assert AskDecision not in world.kinds()
