"""See how far the runs of a lab are, how long their steps have taken, and when they will probably have ended."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, NamedTuple

from actorlab.core.run_state import RunState
from actorlab.rehearsal.durations import History, NoHistory, estimate

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from actorlab.rehearsal.durations import Durations
    from actorlab.runtime.run import Run
    from actorlab.runtime.run_actor import RunActor
    from actorlab.runtime.work import Work

__all__ = ["InProgress", "history_of", "look_at", "remaining"]

S = RunState
monotonic = time.monotonic


class InProgress(NamedTuple):
    """A run that hasn't ended: which of its steps have, since when others run, and the runs that steps are."""

    actor: RunActor
    holds: bool
    """Whether it has its lease."""
    ended: dict[int, RunState]
    """The steps that have ended, and how."""
    elapsed: dict[int, float]
    """For how many seconds the steps that run now have been running."""
    left: dict[int, float]
    """How many seconds their own progress leaves them."""
    units: dict[int, InProgress]


def look_at(actor: RunActor) -> InProgress:
    """Return how far a run is; for the deciding thread."""
    core, notes, now = actor.core, actor.notes, monotonic()
    states = {step: core.step_state(step) for step in range(len(actor.work))}
    running = [step for step, state in states.items() if not state.terminal and step in notes.began]
    left: dict[int, float] = {}
    for step in running:
        progress = notes.progress.get(step)
        if progress is not None and progress.seconds_left is not None:
            left[step] = max(0.0, progress.seconds_left - (now - progress.at))
    return InProgress(
        actor,
        core.state is not S.WAITING,
        {step: state for step, state in states.items() if state.terminal},
        {step: now - notes.began[step] for step in running},
        left,
        {step: look_at(unit.supervisor) for step, unit in actor.units.items() if not unit.done()},
    )


def remaining(run: InProgress, step: int, work: Work, durations: Durations) -> float | None:
    """Return how many seconds a step that runs will go on, by its own progress or by earlier runs; None: who knows."""
    if step in run.left:
        return run.left[step]
    takes = work.task.options_.takes
    known = estimate(work.name, (*work.exclusive, *work.shared), takes, durations)
    if known.source == "default":
        return None
    elapsed = run.elapsed.get(step, 0.0)
    return known.seconds - elapsed if elapsed < known.seconds else max(0.0, known.high - elapsed)


def history_of(runs: Iterable[Run[Any]]) -> History:
    """Return how long the steps of some runs took that succeeded, at any depth."""
    return History(finished_in(runs))


def finished_in(runs: Iterable[Run[Any]]) -> Iterator[tuple[str, tuple[str, ...], float]]:
    for run in runs:
        for step in run.steps:
            if step.state is S.SUCCEEDED and step.child is None and step.began is not None and step.ended is not None:
                yield step.name, (*step.devices, *step.shared), max(0.0, step.ended - step.began)


NO_HISTORY = NoHistory()
