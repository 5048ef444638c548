"""Spans open and close as what a lab tells, whatever that is and whatever of it is missing."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from actorlab.core.backlog import Event
from actorlab.core.run_state import RunState
from actorlab.core.span_tree import LOST, WHOLE, Action, Close, Mark, Open, Place, SpanTree

RUNS = ("a#1", "b#2")


def run_event(run: str, state: str, **data: Any) -> Event:
    error = {"error": None} if RunState(state).terminal else {}
    return Event(1, 0.0, run, "run", {"state": state, "task": run, "step": "s", **error, **data})


def step_event(run: str, step: int, state: str, attempt: int = 1, **data: Any) -> Event:
    told = {"state": state, "index": step, "run": run, "step": "s", "attempt": attempt}
    return Event(1, 0.0, f"{run}/{step}", "step", told | data)


STATES = st.sampled_from([str(state) for state in RunState])
EVENTS = st.one_of(
    st.builds(run_event, st.sampled_from(RUNS), STATES, attempt=st.integers(0, 3)),
    st.builds(step_event, st.sampled_from(RUNS), st.integers(0, 2), STATES, st.integers(1, 3)),
    st.just(Event(1, 0.0, "lab", "gap", {"missed": 1, "first": 1, "last": 1})),
)


@given(st.lists(EVENTS, max_size=60))
def test_whatever_comes_each_span_that_opens_is_closed_once_and_a_run_after_its_steps(events: list[Event]) -> None:
    tree = SpanTree()
    actions: list[Action] = [action for event in events for action in tree.take(event)]
    actions += tree.close_all(1.0)
    open_: set[Place] = set()
    for action in actions:
        match action:
            case Open(place):
                assert place not in open_
                assert place[1:] == WHOLE or Place(place.run, *WHOLE) in open_
                open_.add(place)
            case Mark(place):
                assert place in open_
            case Close(place):
                open_.remove(place)
                assert place[1:] != WHOLE or not [other for other in open_ if other.run == place.run]
    assert not open_
    assert tree.close_all(2.0) == []


def tell(*events: Event) -> list[Action]:
    tree = SpanTree()
    return [action for event in events for action in tree.take(event)]


def test_each_attempt_of_a_step_is_a_span_and_a_failed_one_has_its_error() -> None:
    actions = tell(
        run_event("a#1", "waiting"),
        step_event("a#1", 4, "running", 1),
        step_event("a#1", 4, "retrying", 1, error="ValueError: no"),
        step_event("a#1", 4, "running", 2),
        step_event("a#1", 4, "succeeded", 2),
    )
    assert [action for action in actions if action.place.step == 4] == [
        Open(Place("a#1", 4, 1), "s", 0.0),
        Close(Place("a#1", 4, 1), 0.0, "failed", "ValueError: no"),
        Open(Place("a#1", 4, 2), "s", 0.0),
        Close(Place("a#1", 4, 2), 0.0, "succeeded", None),
    ]


def test_the_attempts_of_a_run_of_one_step_are_told_by_its_own_events_and_a_pause_is_none() -> None:
    actions = tell(
        run_event("a#1", "waiting"),
        run_event("a#1", "running", attempt=1),
        run_event("a#1", "paused", attempt=1),
        run_event("a#1", "running", attempt=1),
        run_event("a#1", "retrying", attempt=1, error="OSError: cut"),
        run_event("a#1", "running", attempt=2),
        run_event("a#1", "failed", error="OSError: cut again"),
    )
    spans = [action for action in actions if not isinstance(action, Mark)]
    assert spans == [
        Open(Place("a#1", *WHOLE), "a#1", 0.0),
        Open(Place("a#1", 0, 1), "s", 0.0),
        Close(Place("a#1", 0, 1), 0.0, "failed", "OSError: cut"),
        Open(Place("a#1", 0, 2), "s", 0.0),
        Close(Place("a#1", 0, 2), 0.0, "failed", "OSError: cut again"),
        Close(Place("a#1", *WHOLE), 0.0, "failed", "OSError: cut again"),
    ]
    assert [action.what for action in actions if isinstance(action, Mark)] == [
        "running", "paused", "running", "retrying", "running",
    ]  # fmt: skip


def test_what_is_open_when_events_are_missed_is_closed_as_lost_and_what_was_not_heard_to_begin_is_left_out() -> None:
    gap = Event(1, 0.0, "lab", "gap", {"missed": 1, "first": 1, "last": 1})
    actions = tell(run_event("a#1", "waiting"), gap, run_event("a#1", "succeeded"), run_event("b#2", "running"))
    assert actions[1:] == [Close(Place("a#1", *WHOLE), 0.0, LOST, None)]
