"""InterlockCore trips in time, never while all is well and timely, and clears only above its hysteresis."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actorlab.core.interlock import Action, Clear, Event, InterlockCore, Sampled, Tick, Trip, Unreadable, WakeAt
from actorlab.errors import ConfigError


@pytest.mark.parametrize(
    ("period", "grace", "hysteresis", "reason"),
    [
        (0, 1, 0, "period=0"),
        (-1, 1, 0, "period=-1"),
        (math.inf, 1, 0, "period=inf"),
        (math.nan, 1, 0, "period=nan"),
        (1, 0, 0, "grace=0"),
        (1, math.inf, 0, "grace=inf"),
        (1, math.nan, 0, "grace=nan"),
        (1, 1, -0.1, "hysteresis=-0.1"),
        (1, 1, math.inf, "hysteresis=inf"),
        (1, 1, math.nan, "hysteresis=nan"),
    ],
)
def test_numbers_that_make_no_sense_are_refused_with_their_reason(
    period: float, grace: float, hysteresis: float, reason: str
) -> None:
    with pytest.raises(ConfigError, match=reason):
        InterlockCore(period, grace, hysteresis)


@pytest.mark.parametrize(
    ("value", "why"),
    [
        (False, "its condition is false"),
        (0.0, "its margin is 0, and not above 0"),
        (0, "its margin is 0"),
        (-1.5, "its margin is -1.5"),
        (-math.inf, "its margin is -inf"),
        (math.nan, "NaN"),
    ],
)
def test_a_reading_that_is_not_well_trips_it_at_once_and_says_why(value: float, why: str) -> None:
    (trip,) = InterlockCore(1, 1, 0).handle(Sampled(0, value), 0.1)
    assert isinstance(trip, Trip)
    assert why in trip.why


@pytest.mark.parametrize("value", [True, 1e-300, 1, math.inf])
def test_a_good_reading_says_when_the_next_one_has_to_be_there(value: float) -> None:
    assert InterlockCore(1, 0.5, 0).handle(Sampled(3, value), 3.2) == [WakeAt(4.5)]


def test_the_first_attempt_trips_it_if_it_fails() -> None:
    assert InterlockCore(1, 1, 0).handle(Unreadable("unplugged"), 0.1) == [Trip("it can't be read: unplugged")]


def test_it_trips_too_if_the_first_attempt_never_ends() -> None:
    core = InterlockCore(1, 1, 0)
    assert core.handle(Tick(), 10) == [WakeAt(12)]
    assert core.handle(Tick(), 12) == [Trip("it couldn't be read within 2 s")]


def test_later_failures_are_forgiven_within_the_grace_and_named_after_it() -> None:
    core = InterlockCore(1, 1, 0)
    core.handle(Sampled(0, value=True), 0)
    assert core.handle(Unreadable("unplugged"), 1) == []
    assert core.handle(Tick(), 2) == [Trip("it couldn't be read within 2 s: unplugged")]
    assert core.handle(Unreadable("still unplugged"), 3) == []


def test_a_good_reading_makes_earlier_failures_forgotten() -> None:
    core = InterlockCore(1, 1, 0)
    events: list[Event] = [Sampled(0, value=True), Unreadable("unplugged"), Sampled(1.5, value=True)]
    for now, event in enumerate(events):
        core.handle(event, now)
    assert core.handle(Tick(), 3.5) == [Trip("it couldn't be read within 2 s")]


def test_a_reading_that_took_too_long_tells_nothing_but_its_age() -> None:
    core = InterlockCore(1, 1, 0)
    core.handle(Sampled(0, value=True), 0)
    core.handle(Tick(), 2)
    assert core.handle(Sampled(1, value=True), 3) == []
    assert core.tripped
    assert core.handle(Sampled(3, value=True), 3.1) == [Clear(), WakeAt(5)]


def test_a_margin_clears_it_only_above_its_hysteresis_but_keeps_it_clear_above_zero() -> None:
    core = InterlockCore(1, 1, 0.5)
    margins = [1.0, 0.1, -0.1, 0.1, 0.5, 0.6, 0.1, 0.0]
    told = [core.handle(Sampled(now, margin), now) for now, margin in enumerate(margins)]
    kinds = [[type(action) for action in actions if not isinstance(action, WakeAt)] for actions in told]
    assert kinds == [[], [], [Trip], [], [], [Clear], [], [Trip]]


def test_it_says_what_clears_it() -> None:
    assert InterlockCore(1, 1, 0.5).clears == "it clears when its margin is more than 0.5"
    assert InterlockCore(1, 1, 0).clears == "it clears when its condition is well again"


# The laws, on a clock that keeps every promise ------------------------------------------------------------------------


class Reading(NamedTuple):
    """One turn of a sampler: it rests, then reads for some time; None says that it couldn't."""

    rest: float
    takes: float
    value: float | None


@dataclass
class World:
    """Send readings as they end, and ticks as they were asked for; hold each step to the laws."""

    core: InterlockCore
    now: float = 0.0
    good: float = 0.0
    """When the last good reading began."""
    read: bool = False
    tripped: bool = False
    trips: int = 0
    wakes: list[float] = field(default_factory=list[float])

    def pass_time(self, until: float) -> None:
        while self.wakes and min(self.wakes) <= until:
            self.now = min(self.wakes)
            self.wakes.remove(self.now)
            self.tell(Tick())
        self.now = until
        assert self.tripped or until < self.good + self.core.limit, "it trips at the latest now"

    def take(self, reading: Reading) -> None:
        began = self.now + reading.rest
        self.pass_time(began + reading.takes)
        value = reading.value
        self.tell(Unreadable("unplugged") if value is None else Sampled(began, value))

    def tell(self, event: Event) -> None:
        for action in self.core.handle(event, self.now):
            self.hold(event, action)
        self.read = self.read or isinstance(event, Sampled)
        if isinstance(event, Sampled) and not event.value > 0:
            assert self.tripped, "a bad reading trips it"
        elif isinstance(event, Sampled) and not self.tripped:
            self.good = event.began
        assert self.core.tripped is self.tripped

    def hold(self, event: Event, action: Action) -> None:
        limit = self.core.limit
        if isinstance(action, WakeAt):
            assert action.at > self.now, "a tick that is asked for at once would never end"
            self.wakes.append(action.at)
            assert len(self.wakes) == 1, "one tick at a time is enough"
        elif isinstance(action, Trip):
            assert not self.tripped, "trips and clears alternate"
            bad = isinstance(event, Sampled) and not event.value > 0
            never = not self.read and isinstance(event, Unreadable)
            assert bad or never or self.now >= self.good + limit, "it trips for no other reason"
            self.tripped, self.trips = True, self.trips + 1
        else:
            assert self.tripped, "trips and clears alternate"
            assert isinstance(event, Sampled)
            assert event.value is True or event.value > self.core.hysteresis, "it clears above its hysteresis only"
            assert self.now < event.began + limit, "it clears by a reading in time only"
            self.tripped = False


# Whole quarters of a second meet the edges often, and are exact as floats.
quarters = st.integers(0, 16).map(lambda number: number / 4)
some = st.integers(1, 8).map(lambda number: number / 4)
cores = st.builds(InterlockCore, some, some, st.sampled_from((0.0, 0.5)))
values = st.none() | st.booleans() | st.sampled_from((-1.0, 0.0, 0.25, 0.5, 0.75, 1.0, math.nan))
readings = st.lists(st.builds(Reading, quarters, quarters, values), max_size=30)


@given(cores, readings, quarters)
def test_it_trips_in_time_for_a_reason_and_clears_above_its_hysteresis_in_turns(
    core: InterlockCore, readings: list[Reading], more: float
) -> None:
    world = World(core)
    world.tell(Tick())
    for reading in readings:
        world.take(reading)
    world.pass_time(world.now + more)


@given(cores, st.data())
def test_it_never_trips_while_all_readings_are_well_and_timely(core: InterlockCore, data: st.DataObject) -> None:
    world = World(core)
    world.tell(Tick())
    for _ in range(data.draw(st.integers(1, 20))):
        left = int(4 * (world.good + core.limit - world.now)) - 1  # quarters in which the next one has to be there
        rest = data.draw(st.integers(0, left))
        takes = data.draw(st.integers(0, min(left - rest, int(4 * core.limit) - 1)))
        world.take(Reading(rest / 4, takes / 4, data.draw(st.sampled_from((True, 0.25, 1.0)))))
        assert not world.tripped
    quiet = world.trips == 0
    world.pass_time(world.good + core.limit)
    assert (quiet, world.trips) == (True, 1), "and it does when they stop"
