"""See how far the runs of a lab are, how long their steps have taken, and when they will probably have ended."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, NamedTuple

from actorlab.core.run_state import RunState
from actorlab.references import reference_of
from actorlab.rehearsal.durations import Durations, Estimate, History, Known, estimate

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from actorlab.runtime.lab import Lab
    from actorlab.runtime.run import Run
    from actorlab.runtime.run_actor import RunActor
    from actorlab.runtime.work import Work

__all__ = ["InProgress", "estimate_of", "history_of", "look_at", "remaining", "remembered_in"]

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
    known = estimate_of(work, durations)
    if known.source == "default":
        return None
    elapsed = run.elapsed.get(step, 0.0)
    return known.seconds - elapsed if elapsed < known.seconds else max(0.0, known.high - elapsed)


def estimate_of(work: Work, durations: Durations) -> Estimate:
    """Estimate how long a step takes."""
    task, devices = work.task, (*work.exclusive, *work.shared)
    return estimate(work.name, devices, task.options_.takes, durations, str(reference_of(task)))


def remembered_in(lab: Lab) -> Durations:
    """Return what a lab knows of durations: by its journal, if it has one, or of the runs that it still has."""
    memory = history_of(lab.runs)
    if lab.journalling is None:
        return memory
    journal = lab.journalling.journal
    journal.flush()
    with journal.reader() as reader:
        kept = [(took.task, took.devices, seconds) for took in reader.durations() for seconds in took.seconds]
    return Remembered(History(kept), memory)


class Remembered:
    """What a journal knows, which goes by the references of tasks, or else what is known by their names."""

    def __init__(self, journal: History, memory: History) -> None:
        self._journal = journal
        self._memory = memory

    def known(self, task: str, devices: tuple[str, ...], reference: str = "") -> Known | None:
        """Return what a task took on these devices."""
        return self._journal.known(reference, devices) or self._memory.known(task, devices)


def history_of(runs: Iterable[Run[Any]]) -> History:
    """Return how long the steps of some runs took that succeeded, at any depth."""
    return History(finished_in(runs))


def finished_in(runs: Iterable[Run[Any]]) -> Iterator[tuple[str, tuple[str, ...], float]]:
    """Yield the task's name, the devices and the seconds of each; a run that goes on may end steps meanwhile."""
    for run in runs:
        actor = run.supervisor
        core, began, units = actor.core, actor.notes.began, actor.units
        for step, end in actor.notes.ended.copy().items():
            if step not in units and step in began and core.step_state(step) is S.SUCCEEDED:
                work = actor.work[step]
                yield work.name, (*work.exclusive, *work.shared), max(0.0, end - began[step])
