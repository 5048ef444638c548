"""Tell a lab's journal what happens, before anything follows from it."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from actorlab.core.run_state import RunState
from actorlab.data.keeping_arrays import ArrayKeeper
from actorlab.errors import JournalError
from actorlab.journal import Journal, freeze
from actorlab.journal.database import place_of
from actorlab.references import reference_of
from actorlab.replay import written_spec
from actorlab.runtime.asked import asked_for
from actorlab.runtime.provenance import Provenance
from actorlab.runtime.requests import Requests
from actorlab.runtime.told_cores import ToldGroup, ToldLeaseTable, ToldRunCore, ToldSupervision

if TYPE_CHECKING:
    from pathlib import Path

    from actorlab.core.lease_table import LeaseTable
    from actorlab.core.restart import RestartPolicy
    from actorlab.core.run_core import RunCore, RunSpec
    from actorlab.core.service_group import ServiceGroupCore
    from actorlab.core.supervision import Strategy, Supervision
    from actorlab.journal.reader import KeptRun
    from actorlab.runtime.body import Body
    from actorlab.runtime.lab import Lab
    from actorlab.runtime.past import TakenOver
    from actorlab.runtime.records import Row
    from actorlab.runtime.run_actor import RunActor
    from actorlab.runtime.work import Work

__all__ = ["Journalling", "Told"]

Told = Callable[[JournalError | None], object]
BRIEF: Final = 0.001
"""What takes less seconds has no duration worth keeping."""
monotonic = time.monotonic


class Journalling:
    """What a lab tells its journal.

    Everything that is appended keeps its order: the events that led to a step's start are there before its first
    command, and a value is there before the end of its step.
    """

    def __init__(self, lab: Lab, where: str | Path, *, durable: bool) -> None:
        self._lab = lab
        self._groups = itertools.count(1)
        self._trouble: JournalError | None = None
        self.resuming: set[str] = set()
        """The runs that somebody is about to go on with; for the deciding thread."""
        requests = Requests(lab, lambda: self.journal)
        self.journal = Journal.open(
            where, lab=lab.name, durable=durable, on_trouble=self.troubled, on_recovered=self.recovered,
            on_request=requests.take,
        )  # fmt: skip
        self.append = self.journal.append
        path = place_of(where).path
        self._arrays = None if path is None else ArrayKeeper(path.with_suffix(".zarr"), durable=durable)
        self.provenance = Provenance(lab, self.append)
        self._note_interrupted()

    def _note_interrupted(self) -> None:
        """Take note of the runs that the end of an earlier opening has cut off; those that only waited go on.

        But of leases nobody waits any more: whoever wanted one was told that the lab is gone.
        """
        with self.journal.reader() as reader:
            for kept in reader.unfinished():
                if kept.state != RunState.WAITING or kept.parent is not None or kept.kind == "lease":
                    why = "the lab ended in the middle of it"
                    self.append(kept.id, "state", {"state": RunState.INTERRUPTED, "error": why}, monotonic())
        self.journal.flush()

    def close(self, seconds: float) -> None:
        """Write the rest.

        Raises:
            JournalError: something couldn't be written.

        """
        self.journal.close(seconds)

    # -- any thread

    @property
    def after_crash(self) -> bool:
        """Tell whether the lab that had this journal before has not ended in order."""
        previous = self.journal.previous
        return previous is not None and not previous.clean

    def interrupted(self) -> tuple[KeptRun, ...]:
        """Return the runs that were interrupted after they had begun, but for parts of others, the latest first."""
        return tuple([kept for kept in self._unfinished() if kept.started is not None])

    def waiting(self) -> tuple[KeptRun, ...]:
        """Return the runs of earlier openings that only waited, the first first."""
        return tuple([kept for kept in reversed(self._unfinished()) if kept.started is None])

    def _unfinished(self) -> list[KeptRun]:
        """Return the runs that somebody has asked for in earlier openings, and that haven't come to an end."""
        self.journal.flush()
        with self.journal.reader() as reader:
            kept = reader.runs(state=(RunState.INTERRUPTED, RunState.WAITING), roots=True)
        mine = self.journal.opening.id
        return [run for run in kept if run.task is not None and (run.opening != mine or run.terminal)]

    @property
    def first_number(self) -> int:
        """Return the number that the first run of this opening gets: no number is used twice."""
        return max(self.journal.last_numbers.values(), default=0) + 1

    def asked(self, work: Work, steps: Sequence[Work]) -> dict[str, Any]:
        """Write down what a run is asked to do, as it is now; in the thread of whoever asks."""
        told = asked_for(work, steps)
        if not self.provenance.is_known(told["file"]):
            self._lab.decider.post(self._look_at_source, told["file"])
        return told

    def _look_at_source(self, file: str) -> None:
        self._lab.workers.put(partial(self.provenance.look_at_source, file))

    def recorded(self, body: Body, values: dict[str, Any]) -> dict[str, Any]:
        """Return what is to stand in a row: large arrays go to the store beside the journal first; in its thread."""
        return values if self._arrays is None else self._arrays.kept(body.actor.id, values)

    def record(self, body: Body, row: Row) -> None:
        """Keep a row that a body has recorded; in its thread."""
        self.journal.record(body.actor.id, body.name, row.values, row.time)

    def value(self, body: Body, value: Any) -> None:
        """Keep what a step has returned; in the thread of its body."""
        if value is not None:
            frozen = freeze(value, body.name, lenient=True)
            self.append(body.actor.id, "value", [body.index, body.attempt, frozen], monotonic())

    # -- the deciding thread

    def begun(self, actor: RunActor, now: float, taken_over: TakenOver | None = None) -> None:
        """Tell of a run before it begins, with what it takes over from an earlier life."""
        told: dict[str, Any] = {"name": actor.name, "state": RunState.WAITING, **(actor.asked or {})}
        drawn = {"spec": written_spec(actor.core.spec), "marks": told.pop("marks", None)}
        drawn["steps"] = [(work.name, work.exclusive, work.shared) for work in actor.work]
        if taken_over is not None:
            drawn["taken_over"] = taken_over.written(actor.name)
        told["devices"] = [cell.name for cell in actor.cells]
        if actor.asked is not None and actor.parent is None:
            opening = self.journal.opening
            told["asker"] = f"{opening.user}@{opening.host}"
        if actor.parent is not None:
            told["parent"] = actor.parent.id
            told["place"] = actor.place
        if actor.asked_by:
            told["asker"] = actor.asked_by
        if actor.listed_as:
            told["kind"] = actor.listed_as
        self.append(actor.id, "drawn", drawn, now)
        self.append(actor.id, "run", told, now)  # last: who is listed is also drawn, wherever the journal breaks off

    def moved(self, actor: RunActor, state: RunState, error: BaseException | None = None) -> None:
        """Tell where a run stands."""
        self.append(actor.id, "state", {"state": state, "error": error}, monotonic())

    def once_written(self, then: Told) -> None:
        """Go on when all that was told so far is on disk, if that is what the journal promises.

        So goes a step before its first command, and whoever tells an end. `then` gets what keeps it from being written.
        """
        if self._trouble is None and self.journal.durable:
            post = self._lab.decider.post
            self.journal.when_written(lambda error: post(then, error and own(error)))
        else:
            then(self._trouble and own(self._trouble))

    def took(self, actor: RunActor) -> None:
        """Keep how long the steps of a run took, of those that went well at once; what took no time is left out."""
        began, ended, core = actor.notes.began, actor.notes.ended, actor.core
        for step, end in ended.items():
            seconds = end - began.get(step, end)
            if seconds < BRIEF or step in actor.units or core.attempts(step) != 1:
                continue
            if core.step_state(step) is RunState.SUCCEEDED:
                work = actor.work[step]
                self.journal.took(str(reference_of(work.task)), (*work.exclusive, *work.shared), seconds)

    # -- cores which tell what they are told

    def run_core(self, spec: RunSpec, run: str) -> RunCore:
        """Make the core of a run."""
        return ToldRunCore(spec, run, self.append)

    def lease_table(self, limits: Mapping[str, int]) -> LeaseTable:
        """Make the lab's lease table."""
        return ToldLeaseTable(limits, self.append)

    def supervision(self) -> Supervision:
        """Make the supervision of its devices."""
        return ToldSupervision(self.append)

    def group(self, name: str, strategy: Strategy, intensity: RestartPolicy | None) -> ServiceGroupCore:
        """Make the core of a group of services; also one without a name has a key of its own."""
        return ToldGroup(name, strategy, intensity, f"{name}:{next(self._groups)}", self.append)

    # -- trouble

    def troubled(self, error: JournalError) -> None:
        """Bring what uses devices to a safe end, as nothing can be written; from the journal's thread."""
        self._lab.decider.post(self._stop_experiments, error)

    def recovered(self) -> None:
        """Let steps begin again; from the journal's thread."""
        self._lab.decider.post(self._go_on)

    def _stop_experiments(self, error: JournalError) -> None:
        self._trouble = error
        self._lab.events.add("lab", "journal", well=False, why=str(error))
        for actor in self._lab.book.under_way:
            if actor.parent is None and not actor.service and actor.uses_devices:
                actor.fail(own(error))

    @property
    def trouble(self) -> str:
        """Say why nothing can be written now, or nothing: all is well."""
        return "" if self._trouble is None else str(self._trouble)

    def _go_on(self, _: Any) -> None:
        self._trouble = None
        self._lab.events.add("lab", "journal", well=True, why="")


def own(error: JournalError) -> JournalError:
    """Return an error of one's own for what concerns many: each run adds its notes."""
    made = JournalError(*error.args)
    made.__cause__ = error
    return made
