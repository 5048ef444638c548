"""Rehearse in a lab: `lab.rehearse`, and how it is to be done."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from actorlab.rehearsal.budget import Budget
from actorlab.rehearsal.durations import Durations
from actorlab.runtime.in_progress import look_at, remembered_in
from actorlab.runtime.on_paper import PaperLab
from actorlab.runtime.rehearsing import rehearse_on_paper, rest_of, seconds_left
from actorlab.runtime.run_timeline import followed_by, timeline_of
from actorlab.runtime.simulating import simulate_on_paper
from actorlab.runtime.twin import Recipe
from actorlab.scope import current

if TYPE_CHECKING:
    from collections.abc import Callable

    from actorlab.rehearsal.rehearsal import Rehearsal
    from actorlab.runtime.in_progress import InProgress
    from actorlab.runtime.lab import Lab
    from actorlab.runtime.run import Run

__all__ = ["Rehearse", "eta", "planned"]

P = ParamSpec("P")
R = TypeVar("R")


class Rehearse:
    """Rehearse runs of a lab: call it as one calls `lab.run`."""

    def __init__(
        self,
        lab: Lab,
        durations: Durations | None = None,
        *,
        simulate: bool = False,
        steps: int | None = None,
        seconds: float | None = None,
    ) -> None:
        self._lab = lab
        self._durations = durations
        self._simulate = simulate
        self._steps = steps
        self._seconds = seconds

    def __call__(self, function: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> Rehearsal:
        """Say what a run of a task or workflow would do, among the runs that are in progress.

        Durations are those of earlier runs of the same steps on the same devices, by the lab's journal or in this lab,
        else what `takes` says, else 1 s; the rehearsal says of each which it is.

        Raises:
            WorkflowError: it can't be drawn, or has more steps than it may.
            CallTimeout: it takes longer to rehearse than it may.

        """
        current.get().forbid(f"lab.rehearse({getattr(function, '__name__', function)}, …)")
        lab = self._lab
        lab.check_open()
        paper, known, others = paper_of(lab), self._known(), others_in(lab)
        if not self._simulate:
            budget = Budget(self._steps, self._seconds)
            return rehearse_on_paper(paper, function, args, dict(kwargs), known, others, budget)
        recipes = {cell.name: Recipe(cell.factory, cell.args, cell.kwargs, cell.config) for cell in lab.cells.values()}
        return simulate_on_paper(paper, recipes, function, args, dict(kwargs), known, others)

    @staticmethod
    def timeline(run: Run[Any]) -> Rehearsal:
        """Return what a run has done so far, and when, to be seen beside its rehearsal."""
        return timeline_of(run)

    def planned(self, run: Run[Any]) -> Rehearsal:
        """Return what a run has done so far and, behind its `now`, what is planned of the rest; as by `timeline`."""
        return planned(run, self._durations)

    def using(
        self,
        *,
        durations: Durations | None = None,
        simulate: bool = False,
        steps: int | None = None,
        seconds: float | None = None,
    ) -> Rehearse:
        """Return what rehearses by the durations that somebody else knows, or simulates.

        With ``simulate=True`` the bodies really run, in virtual time, on simulated twins of the devices: that of its
        `DeviceConfig(twin=…)`, or an instrument of a virtual bench for the drivers of `actorlab.simulation`. What a
        body does besides (files, time.sleep, threads of its own) it really does. Without that, it goes through so many
        `steps` at most, and takes so many `seconds` at most when it is drawn.
        """
        return Rehearse(self._lab, durations or self._durations, simulate=simulate, steps=steps, seconds=seconds)

    def _known(self) -> Durations:
        return self._durations if self._durations is not None else remembered_in(self._lab)


def paper_of(lab: Lab) -> PaperLab:
    """Return what has to be known of a lab."""
    return PaperLab(list(lab.cells), lab.cancel_grace, lab.places)


def others_in(lab: Lab) -> list[InProgress]:
    """Return how far the runs are that have begun in a lab, but for services, which never end."""
    return lab.ask(
        lambda: [look_at(actor) for actor in lab.book.under_way if actor.parent is None and not actor.service]
    )


def eta(run: Run[Any], durations: Durations | None = None) -> float | None:
    """Return in how many seconds a run will probably have ended, waits for devices included; None: who knows.

    It goes by what is left of each step, by its own progress or by how long it took in earlier runs.
    """
    if run.done():
        return 0.0
    lab = run.supervisor.lab
    known = durations if durations is not None else remembered_in(lab)
    return seconds_left(paper_of(lab), run.supervisor, known, others_in(lab))


def planned(run: Run[Any], durations: Durations | None = None) -> Rehearsal:
    """Return what a run has done so far and, behind that, what is planned of the rest; times are as by `timeline`."""
    done = timeline_of(run)
    if run.done():
        return done
    lab = run.supervisor.lab
    known = durations if durations is not None else remembered_in(lab)
    rest = rest_of(paper_of(lab), run.supervisor, known, others_in(lab))
    return done if rest is None else followed_by(done, rest)
