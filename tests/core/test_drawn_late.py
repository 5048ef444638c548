"""Hold the core to its word on units that are drawn first: drawn, then run; abandoned only while they are drawn."""

from __future__ import annotations

from typing import Any

from actorlab.core import run_events as ev
from actorlab.core.plan import Plan
from actorlab.core.run_core import RunCore, RunSpec
from actorlab.core.run_state import RunState

S = RunState


def begun() -> RunCore:
    """Return a run whose first step is a plain one, and whose second is drawn at the moment."""
    core = RunCore(RunSpec(Plan(((), (0,))), 10.0, units={1: None}, late={1: None}))
    core.handle(ev.Begun(), 0.0)
    core.handle(ev.Granted(), 0.0)
    assert ev.StartBody(1, 1) in core.handle(ev.BodyEnded(0, 1), 0.0)
    return core


def kinds(actions: list[Any]) -> list[str]:
    return [type(action).__name__ for action in actions]


def test_a_step_that_is_drawn_begins_and_its_end_is_the_runs() -> None:
    core = begun()
    assert core.handle(ev.Drawn(1, 1), 1.0) == [ev.StartBody(1, 1)]
    assert core.attempts(1) == 1
    assert "ReleaseLease" in kinds(core.handle(ev.BodyEnded(1, 1), 2.0))


def test_drawn_in_a_pause_it_begins_when_that_is_over() -> None:
    core = begun()
    core.handle(ev.Pause("look"), 1.0)
    core.handle(ev.Drawn(1, 1), 2.0)
    assert (core.state, core.step_state(1)) == (S.PAUSED, S.WAITING)
    assert ev.StartBody(1, 1) in core.handle(ev.Resume(), 3.0)
    core.handle(ev.BodyEnded(1, 1), 4.0)
    core.handle(ev.Released(), 5.0)
    assert core.state is S.SUCCEEDED


def test_a_run_that_ends_before_a_drawn_step_has_begun_leaves_it_out() -> None:
    core = begun()
    core.handle(ev.Pause("look"), 1.0)
    core.handle(ev.Drawn(1, 1), 2.0)
    core.handle(ev.Stopped(S.CANCELLED, "enough"), 3.0)
    core.handle(ev.Released(), 4.0)
    assert (core.state, core.step_state(1)) == (S.CANCELLED, S.SKIPPED)


def test_drawn_after_a_cancel_it_does_not_begin() -> None:
    core = begun()
    core.handle(ev.Stopped(S.CANCELLED, "enough"), 1.0)
    assert "StartBody" not in kinds(core.handle(ev.Drawn(1, 1), 2.0))
    assert core.step_state(1) is S.CANCELLED


def test_while_it_is_drawn_it_is_abandoned_after_the_grace_and_later_never() -> None:
    core = begun()
    core.handle(ev.Stopped(S.CANCELLED, "enough"), 1.0)
    assert ev.FenceBody(1) in core.handle(ev.GraceOver(), 11.0)
    assert core.abandoned == (1,)
    assert core.handle(ev.Drawn(1, 1), 12.0) == []
    core = begun()
    core.handle(ev.Drawn(1, 1), 1.0)
    core.handle(ev.Stopped(S.CANCELLED, "enough"), 2.0)
    assert core.handle(ev.GraceOver(), 12.0) == []
    assert core.abandoned == ()
