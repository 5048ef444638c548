"""Keep a lab's runs: those under way, and the newest of those that have ended."""

from __future__ import annotations

import time
from collections import deque
from typing import TYPE_CHECKING, Any, Final

from actorlab.core.progress import Batch
from actorlab.runtime.notes import Progress, progress_of

if TYPE_CHECKING:
    from actorlab.runtime.run import Run
    from actorlab.runtime.run_actor import RunActor

__all__ = ["RunBook"]

monotonic = time.monotonic

STEPS_KEPT: Final = 20
"""The runs that are kept had not more than so many steps on average, as each keeps its arguments and value."""


class RunBook:
    """The runs of a lab, in the order in which they began or ended; for the deciding thread.

    Of those that have ended the newest `keep` stay; fewer, if they were large, but the newest in any case.
    """

    def __init__(self, keep: int) -> None:
        self._keep = keep
        self._begun: dict[str, RunActor] = {}
        self._ended: deque[Run[Any]] = deque()
        self._steps = 0
        self._batch = Batch()

    @property
    def progress(self) -> Progress | None:
        """Return how far the runs of the present batch are; None if there was none yet.

        Of what runs inside others, is hidden or is a service's, nothing is counted.
        """
        batch = self._batch
        if not batch.total:
            return None
        fractions = {run: told.fraction for run in batch.running if (told := progress_of(self._begun[run])) is not None}
        done = batch.done(fractions)
        message = f"{batch.ended} of {batch.total} runs"
        return Progress(done or 0.0, None if done is None else batch.total, message, batch.since, monotonic())

    @property
    def under_way(self) -> tuple[RunActor, ...]:
        """Return the supervisors of the runs that haven't ended."""
        return tuple(self._begun.values())

    @property
    def runs(self) -> tuple[Run[Any], ...]:
        """Return the newest runs that have ended, and those that haven't."""
        return (*self._ended, *[actor.run for actor in self._begun.values()])

    def begin(self, actor: RunActor) -> None:
        """Take note of a run that begins; one that is resumed takes the place of what it was."""
        if actor.resumed:
            for old in [run for run in self._ended if run.id == actor.id]:
                self.drop(old)
        self._begun[actor.id] = actor
        if actor.parent is None and not actor.options.hidden and not actor.service:
            self._batch.begin(actor.id, monotonic())

    def end(self, actor: RunActor) -> None:
        """Take note of a run that has ended, and forget the oldest."""
        self._begun.pop(actor.id, None)
        self._batch.end(actor.id)
        self._ended.append(actor.run)
        self._steps += len(actor.work)
        while len(self._ended) > self._keep or (self._steps > STEPS_KEPT * self._keep and len(self._ended) > 1):
            self._steps -= len(self._ended.popleft().supervisor.work)

    def drop(self, run: Run[Any]) -> None:
        """Keep a run that has ended no longer."""
        if run in self._ended:
            self._ended.remove(run)
            self._steps -= len(run.supervisor.work)
