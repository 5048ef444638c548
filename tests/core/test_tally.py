"""What is counted of events and durations adds up, whatever comes."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from actorlab.core.backlog import Event
from actorlab.core.tally import NAMES, OTHERS, EventTally, Histogram, task_of

SECONDS = st.floats(min_value=0, max_value=1e6)


def run_event(run: str, state: str, at: float = 0.0, *devices: str) -> Event:
    data = {"state": state, "devices": list(devices)} if state == "waiting" else {"state": state}
    return Event(1, at, run, "run", data)


def device_event(name: str, state: str) -> Event:
    return Event(1, 0.0, name, "device", {"state": state, "why": "", "restarts": 0})


@given(st.lists(SECONDS), st.lists(SECONDS, unique=True).map(sorted))
def test_a_histogram_counts_each_duration_once_under_all_bounds_that_are_no_less(
    durations: list[float], bounds: list[float]
) -> None:
    histogram = Histogram(bounds)
    for duration in durations:
        histogram.add(duration)
    assert histogram.total == sum(durations, start=0.0)
    expected = [sum(duration <= bound for duration in durations) for bound in (*bounds, float("inf"))]
    assert [count for _, count in histogram.cumulated] == expected
    assert [bound for bound, _ in histogram.cumulated] == [*map(str, bounds), "+Inf"]


ENDS = ("succeeded", "failed", "cancelled", "timed_out")


@given(st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from(ENDS), st.booleans(), SECONDS)))
def test_each_run_is_counted_once_by_its_task_and_how_it_ended_and_each_wait_by_what_came_of_it(
    runs: list[tuple[str, str, bool, float]],
) -> None:
    tally = EventTally()
    for number, (task, end, granted, waited) in enumerate(runs):
        tally.take(run_event(f"{task}#{number}", "waiting", 10.0, "laser"))
        if granted:
            tally.take(run_event(f"{task}#{number}", "running", 10.0 + waited))
        tally.take(run_event(f"{task}#{number}", end, 10.0 + waited))
    assert tally.ended == Counter((task, end) for task, end, _, _ in runs)
    counted = {key: sum(histogram.counts) for key, histogram in tally.waits.items()}
    assert counted == Counter((task, "granted" if granted else "refused") for task, _, granted, _ in runs)


def test_a_run_that_needs_no_device_waits_for_none() -> None:
    tally = EventTally()
    for state in ("waiting", "running", "succeeded"):
        tally.take(run_event("think#1", state))
    assert tally.waits == {}
    assert tally.ended == {("think", "succeeded"): 1}


@given(st.integers(1, 3 * NAMES))
def test_however_many_tasks_there_are_only_so_many_are_told_apart(count: int) -> None:
    tally = EventTally()
    for number in range(count):
        tally.take(run_event(f"task{number}#{number}", "succeeded"))
    assert len(tally.ended) == min(count, NAMES + 1)
    assert tally.ended.total() == count
    assert tally.ended[OTHERS, "succeeded"] == max(0, count - NAMES)


def test_a_device_that_serves_again_has_reconnected_and_one_that_is_removed_is_forgotten() -> None:
    tally = EventTally()
    for state in ("connecting", "idle", "restarting", "idle", "quarantined", "restarting", "idle"):
        tally.take(device_event("laser", state))
    assert (tally.reconnects["laser"], tally.quarantines["laser"]) == (2, 1)
    tally.take(device_event("laser", "closed"))
    tally.take(device_event("laser", "idle"))
    assert (tally.reconnects["laser"], tally.quarantines["laser"]) == (0, 0)


def test_a_device_that_served_already_when_counting_began_has_reconnected_when_it_serves_again() -> None:
    tally = EventTally()
    tally.take(Event(0, 0.0, "laser", "snapshot", {"of": "device", "state": "idle"}))
    tally.take(device_event("laser", "idle"))
    assert tally.reconnects["laser"] == 1


def test_what_was_missed_is_counted_as_missed_and_no_wait_is_made_up_from_it() -> None:
    tally = EventTally()
    tally.take(run_event("sweep#1", "waiting", 1.0, "laser"))
    tally.take(Event(9, 0.0, "lab", "gap", {"missed": 7, "first": 2, "last": 8}))
    tally.take(run_event("sweep#1", "succeeded", 9.0))
    assert tally.missed == 7
    assert tally.waits == {}


def test_a_trouble_of_the_journal_is_counted_when_it_begins() -> None:
    tally = EventTally()
    for well in (False, True):
        tally.take(Event(1, 0.0, "lab", "journal", {"well": well, "why": ""}))
    tally.take(Event(1, 0.0, "lab", "emergency stop", {"reason": "smoke"}))
    assert (tally.journal_troubles, tally.emergency_stops) == (1, 1)


def test_the_name_of_a_task_is_found_in_the_id_of_its_run() -> None:
    assert [task_of(run) for run in ("a#1", "a#1/b c#22", "a#b#3")] == ["a", "b c", "a#b"]
