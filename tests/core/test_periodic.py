"""A schedule keeps to its grid without drift, never runs two beats at once, and restarts within its limit only."""

from __future__ import annotations

from dataclasses import dataclass, field

from hypothesis import given
from hypothesis import strategies as st

from actorlab.core.periodic import (
    Action,
    BeatEnded,
    BeatPassed,
    Event,
    Fire,
    GaveUp,
    LifeOver,
    PeriodicState,
    Schedule,
    Start,
    Stop,
    Tick,
    WakeAt,
)
from actorlab.core.restart import RestartPolicy

FAULT = ValueError("no reading")
BEGIN = 1000.0


@dataclass
class Clock:
    """Give a schedule its ticks, each late by some seconds, and end its beats after so many seconds."""

    schedule: Schedule
    now: float = BEGIN
    wake: float | None = None
    fired: list[float] = field(default_factory=list[float])
    gave_up: list[GaveUp] = field(default_factory=list[GaveUp])

    def send(self, event: Event) -> None:
        self.carry_out(self.schedule.handle(event, self.now))

    def carry_out(self, actions: tuple[Action, ...]) -> None:
        for action in actions:
            match action:
                case Fire():
                    self.fired.append(self.now)
                case WakeAt(at):
                    self.wake = at
                case GaveUp():
                    self.gave_up.append(action)

    def beat(self, takes: float, error: BaseException | None = None, late: float = 0.0) -> None:
        """Wait for the next beat, if it isn't in hand yet, and end it."""
        if not self.schedule.in_hand:
            assert self.wake is not None
            self.now = max(self.now, self.wake) + late
            self.send(Tick())
        self.now += takes
        self.send(BeatEnded(error))

    def due_by_now(self) -> int:
        """Count the due times that have passed."""
        number = 0
        while BEGIN + number * self.schedule.seconds <= self.now:
            number += 1
        return number


def started(seconds: float, policy: RestartPolicy | None = None) -> Clock:
    clock = Clock(Schedule(seconds, policy or RestartPolicy()))
    clock.send(Start())
    return clock


NEVER_LESS = RestartPolicy(limit=None, delay=0.25, factor=1)
SECONDS = st.sampled_from([0.001, 0.01, 0.1, 1 / 3, 0.7, 1.0, 60.0])
SHARES = st.floats(0, 0.9)
BEATS = st.lists(st.tuples(st.floats(0, 5), st.sampled_from([None, None, None, FAULT]), st.floats(0, 3)), max_size=30)


@given(SECONDS, st.lists(SHARES, min_size=1, max_size=200))
def test_beats_in_time_never_drift_off_the_grid(seconds: float, shares: list[float]) -> None:
    clock = started(seconds)
    for share in shares:
        clock.beat(share * seconds)
    assert clock.fired == [BEGIN + number * seconds for number in range(len(shares))]
    assert clock.schedule.skipped == 0


@given(SECONDS, BEATS)
def test_each_due_time_is_either_run_or_counted_as_skipped(
    seconds: float, beats: list[tuple[float, BaseException | None, float]]
) -> None:
    clock = started(seconds, NEVER_LESS)
    for takes, error, late in beats:
        clock.beat(takes * seconds, error, late * seconds)
        it = clock.schedule
        assert it.next is not None
        assert it.next == BEGIN + (it.runs + it.skipped) * seconds
        assert it.next >= clock.now
        if error is None:  # else those within the delay are counted already
            assert it.runs + it.skipped in (clock.due_by_now(), clock.due_by_now() - 1)


@given(SECONDS, BEATS)
def test_a_beat_begins_on_the_grid_or_as_late_as_its_tick(
    seconds: float, beats: list[tuple[float, BaseException | None, float]]
) -> None:
    clock = started(seconds, NEVER_LESS)
    for takes, error, late in beats:
        wake = clock.wake
        clock.beat(takes * seconds, error, late * seconds)
        if wake is not None and not late:
            assert clock.fired[-1] == wake


EVENTS = st.lists(
    st.tuples(
        st.floats(0, 2),
        st.sampled_from([Start(), Stop(), Tick(), BeatEnded(), BeatEnded(FAULT, 0.5), BeatPassed(), LifeOver()]),
    ),
    max_size=60,
)


@given(EVENTS)
def test_two_beats_are_never_in_hand_at_once_and_a_stopped_one_never_begins(events: list[tuple[float, Event]]) -> None:
    schedule = Schedule(1.0, RestartPolicy(delay=0.5))
    now, in_hand = 0.0, False
    for step, event in events:
        now += step
        ends = isinstance(event, (BeatEnded, BeatPassed, LifeOver))
        if ends and not in_hand:
            continue
        in_hand = in_hand and not ends
        fires = schedule.handle(event, now).count(Fire())
        assert fires <= (not in_hand)
        in_hand = in_hand or bool(fires)
        assert schedule.in_hand is in_hand
        if fires:
            assert schedule.state is PeriodicState.RUNNING
        if schedule.state in (PeriodicState.STOPPED, PeriodicState.ENDED, PeriodicState.GAVE_UP):
            assert not fires
            assert schedule.next is None


@given(
    st.integers(0, 4),
    st.sampled_from([1.0, 5.0, 20.0]),
    st.lists(st.tuples(st.floats(0, 3), st.booleans()), max_size=60),
)
def test_no_window_holds_more_restarts_than_the_limit(
    limit: int, period: float, beats: list[tuple[float, bool]]
) -> None:
    policy = RestartPolicy(limit=limit, period=period, delay=0.1, max_delay=0.1)
    clock = started(0.5, policy)
    restarts: list[float] = []
    for takes, fails in beats:
        if clock.schedule.state is PeriodicState.GAVE_UP:
            break
        clock.beat(takes, FAULT if fails else None)
        if fails and clock.schedule.state is PeriodicState.WAITING:
            restarts.append(clock.now + 0.1)
    for begin in restarts:
        assert sum(begin <= at <= begin + period for at in restarts) <= max(limit, 0)
    assert bool(clock.gave_up) is (clock.schedule.state is PeriodicState.GAVE_UP)


def test_the_first_beat_is_at_the_start() -> None:
    assert started(60.0).fired == [BEGIN]


def test_a_beat_that_takes_two_periods_and_a_half_skips_two() -> None:
    clock = started(1.0)
    clock.beat(2.5)
    assert (clock.schedule.skipped, clock.schedule.next) == (2, BEGIN + 3)


def test_a_tick_that_comes_after_three_periods_runs_the_newest_beat_once() -> None:
    clock = started(1.0)
    clock.beat(0.0)
    clock.beat(0.0, late=3.25)
    assert clock.fired == [BEGIN, BEGIN + 4.25]
    assert (clock.schedule.skipped, clock.schedule.next) == (3, BEGIN + 5)


def test_a_tick_that_comes_too_early_is_asked_for_again() -> None:
    clock = started(1.0)
    clock.beat(0.0)
    clock.now, clock.wake = BEGIN + 0.5, None
    clock.send(Tick())
    assert clock.fired == [BEGIN]
    assert clock.wake == BEGIN + 1


def test_after_an_error_it_waits_for_its_delay_and_goes_on_upon_the_grid() -> None:
    clock = started(1.0, RestartPolicy(delay=2.5))
    clock.beat(0.25, FAULT)
    it = clock.schedule
    assert (it.state, it.last_error, it.next) == (PeriodicState.WAITING, FAULT, BEGIN + 3)
    clock.beat(0.0)
    assert (it.state, it.last_error, clock.fired) == (PeriodicState.RUNNING, FAULT, [BEGIN, BEGIN + 3])


def test_beyond_the_limit_it_gives_up_and_a_start_begins_it_afresh() -> None:
    clock = started(1.0, RestartPolicy(limit=1, delay=0.0))
    clock.beat(0.0, FAULT)
    clock.beat(0.0, FAULT)
    assert clock.schedule.state is PeriodicState.GAVE_UP
    assert "restarted once within 60 s" in clock.gave_up[0].reason
    assert not clock.gave_up[0].stop_lab
    clock.now += 0.5
    clock.send(Start())
    clock.beat(0.0, FAULT)
    assert str(clock.schedule.state) == "waiting"
    assert clock.schedule.next == BEGIN + 2.5


def test_a_policy_that_never_restarts_gives_up_at_the_first_error_and_may_stop_the_lab() -> None:
    clock = started(1.0, RestartPolicy(restart="never", then="stop_lab"))
    clock.beat(0.0, FAULT)
    assert clock.schedule.state is PeriodicState.GAVE_UP
    assert clock.gave_up[0].stop_lab


def test_an_error_that_its_policy_does_not_name_ends_it() -> None:
    clock = started(1.0, RestartPolicy(on=(OSError,)))
    clock.beat(0.0, FAULT)
    assert clock.schedule.state is PeriodicState.GAVE_UP


def test_a_beat_that_did_not_take_place_is_skipped() -> None:
    clock = started(1.0)
    clock.send(BeatPassed())
    assert (clock.schedule.runs, clock.schedule.skipped, clock.schedule.next) == (0, 1, BEGIN + 1)


def test_a_start_while_the_beat_before_the_stop_is_in_hand_waits_for_its_end() -> None:
    clock = started(1.0)
    clock.send(Stop())
    clock.now += 0.5
    clock.send(Start())
    assert clock.fired == [BEGIN]
    clock.beat(0.25)
    assert (clock.schedule.next, clock.schedule.skipped) == (BEGIN + 1.5, 1)


def test_a_start_of_what_runs_changes_nothing() -> None:
    clock = started(1.0)
    clock.beat(0.25)
    clock.send(Start())
    assert (clock.fired, clock.schedule.next) == ([BEGIN], BEGIN + 1)
