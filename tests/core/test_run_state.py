"""The states of a run form a diagram in which every way leads from waiting to an end, and none out of one."""

from __future__ import annotations

import pytest

from actorlab.core.run_state import ENDED_BADLY, LEGAL, TERMINAL, RunState

S = RunState


def reachable(start: RunState) -> list[RunState]:
    """Return all states that can follow, sooner or later."""
    found = list(LEGAL[start])
    for state in found:  # grows while it is walked
        found += [following for following in LEGAL[state] if following not in found]
    return found


def test_every_state_has_its_row() -> None:
    assert sorted(LEGAL) == sorted(RunState)


@pytest.mark.parametrize("state", [state for state in RunState if state is not S.WAITING])
def test_every_state_can_be_reached_from_waiting(state: RunState) -> None:
    assert state in reachable(S.WAITING)


@pytest.mark.parametrize("state", RunState)
def test_only_an_end_has_no_way_out(state: RunState) -> None:
    assert (LEGAL[state] == ()) is state.terminal is (state in TERMINAL)


@pytest.mark.parametrize("state", [state for state in RunState if not state.terminal])
def test_from_every_state_a_run_can_end_badly(state: RunState) -> None:
    assert S.FAILED in reachable(state)
    assert S.CANCELLED in reachable(state)


@pytest.mark.parametrize("state", [state for state in RunState if not state.terminal])
def test_a_crash_of_the_lab_can_interrupt_any_run(state: RunState) -> None:
    assert S.INTERRUPTED in LEGAL[state]


def test_from_cancelling_no_way_leads_to_success_or_back_to_work() -> None:
    assert all(state in (S.INTERRUPTED, *ENDED_BADLY) for state in reachable(S.CANCELLING))


@pytest.mark.parametrize("state", RunState)
def test_nothing_returns_to_waiting_or_follows_itself(state: RunState) -> None:
    assert S.WAITING not in LEGAL[state]
    assert state not in LEGAL[state]


@pytest.mark.parametrize("state", RunState)
def test_no_way_is_named_twice(state: RunState) -> None:
    assert len(set(LEGAL[state])) == len(LEGAL[state])


@pytest.mark.parametrize("state", [state for state in RunState if S.SUCCEEDED in LEGAL[state]])
def test_only_what_has_begun_succeeds(state: RunState) -> None:
    assert state in (S.RUNNING, S.PAUSING)


@pytest.mark.parametrize("state", [S.RUNNING, S.PAUSING, S.PAUSED, S.RETRYING])
def test_what_has_begun_can_be_cancelled_and_is_never_skipped(state: RunState) -> None:
    assert S.CANCELLING in LEGAL[state]
    assert S.SKIPPED not in reachable(state)


def test_a_pause_can_be_left_again() -> None:
    assert S.RUNNING in LEGAL[S.PAUSING]
    assert S.RUNNING in LEGAL[S.PAUSED]
    assert S.PAUSED in LEGAL[S.PAUSING]


def test_a_state_is_written_as_its_value() -> None:
    assert [f"{state}" for state in RunState] == [state.value for state in RunState]
    assert S("timed_out") is S.TIMED_OUT
