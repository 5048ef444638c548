"""Rehearse a run: let the cores that would decide it go on in virtual time, and write down what comes about."""

from __future__ import annotations

from collections import Counter
from functools import partial
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from actorlab.core.run_state import RunState
from actorlab.core.virtual_lab import Performance, Script, VirtualLab, VirtualRun
from actorlab.errors import text_of
from actorlab.references import reference_of
from actorlab.rehearsal.budget import Budget
from actorlab.rehearsal.durations import DEFAULT_SECONDS, Durations, Estimate, estimate
from actorlab.rehearsal.interval import makespan_interval
from actorlab.rehearsal.rehearsal import Conflict, Rehearsal, Violation
from actorlab.runtime.in_progress import InProgress, estimate_of, remaining
from actorlab.runtime.limits_met import LimitsMet
from actorlab.runtime.on_paper import PaperLab, PaperMaker, script_of
from actorlab.runtime.stepwise import Stepwise

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from actorlab.core.timeline import Activity
    from actorlab.drawing import Drawing
    from actorlab.runtime.run_actor import RunActor
    from actorlab.runtime.work import Work

__all__ = ["Rehearser", "rehearse_on_paper", "rest_of", "seconds_left"]

S = RunState


def rehearse_on_paper(
    lab: PaperLab,
    function: Any,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    durations: Durations,
    others: Sequence[InProgress] = (),
    budget: Budget | None = None,
) -> Rehearsal:
    """Rehearse a task or workflow, among the runs that are in progress; no body runs."""
    performer = Rehearser(lab, durations, budget)
    actor = performer.maker.make(function, args, kwargs)
    stage = VirtualLab(performer, lab.limits)
    virtual = performer.enter(stage, actor, others)
    stage.go_on_until_end(virtual)
    return performer.result(stage, virtual, actor)


def seconds_left(lab: PaperLab, target: RunActor, durations: Durations, others: Sequence[InProgress]) -> float | None:
    """Return in how many seconds a run that is in progress will have ended; None: who knows."""
    performer = Rehearser(lab, durations)
    stage = VirtualLab(performer, lab.limits)
    performer.enter_others(stage, others)
    virtual = performer.entered.get(target.id)
    if virtual is None:
        return None
    stage.go_on_until_end(virtual)
    return stage.clock.now if virtual.ended and not performer.guesses_in(virtual) else None


def rest_of(lab: PaperLab, target: RunActor, durations: Durations, others: Sequence[InProgress]) -> Rehearsal | None:
    """Rehearse what is left of a run that is in progress, from now on; None: it has just ended."""
    performer = Rehearser(lab, durations)
    stage = VirtualLab(performer, lab.limits)
    performer.enter_others(stage, others)
    virtual = performer.entered.get(target.id)
    if virtual is None:
        return None
    stage.go_on_until_end(virtual)
    return performer.result(stage, virtual, target)


class Guess(NamedTuple):
    """A duration that isn't known: of which step, in which run."""

    run: str
    name: str


class Rehearser:
    """Say how long bodies take, and make the runs that steps are; bodies are never called."""

    def __init__(self, lab: PaperLab, durations: Durations, budget: Budget | None = None) -> None:
        self.maker: Final = PaperMaker(lab)
        self.actors: dict[str, RunActor] = {}
        """The supervisors of all runs that are rehearsed, by their ids: they are looked at, and never begin."""
        self.entered: dict[str, VirtualRun] = {}
        """The runs in progress, by their ids."""
        self.violations: list[Violation] = []
        self.unknown: dict[str, None] = {}
        self.estimates: dict[tuple[str, int], Estimate] = {}
        self._durations = durations
        self._budget = Budget() if budget is None else budget
        self._limits = LimitsMet()
        self._in_progress: dict[str, InProgress] = {}
        self._guesses: list[Guess] = []
        self._known: dict[Any, Estimate] = {}

    # -- who takes part

    def enter(self, stage: VirtualLab, actor: RunActor, others: Sequence[InProgress]) -> VirtualRun:
        """Let the runs in progress begin, and then the one that is rehearsed."""
        self.enter_others(stage, others)
        self._check(actor)
        return stage.start(self.script(actor))

    def enter_others(self, stage: VirtualLab, others: Sequence[InProgress]) -> None:
        """Let the runs in progress begin: first those that have their leases."""
        for other in sorted(others, key=lambda other: not other.holds):
            self._in_progress[other.actor.id] = other
            self.entered[other.actor.id] = stage.start(self.script(other.actor, under_way=other.holds))

    def script(self, actor: RunActor, *, under_way: bool = False) -> Script:
        """Take a run in, and return what the virtual lab must know of it."""
        self.actors[actor.id] = actor
        script = script_of(actor, under_way=under_way)
        progress = self._in_progress.get(actor.id)
        if progress is None or not progress.ended:
            return script
        return script._replace(spec=script.spec._replace(passed={**script.spec.passed, **progress.ended}))

    def work(self, activity: Activity) -> Work:
        """Return what is done in a step or a clean-up."""
        actor = self.actors[activity.run]
        return actor.work[activity.step] if activity.step >= 0 else actor.cleanups[-1 - activity.step]

    # -- what bodies do

    def body(self, run: VirtualRun, step: int, attempt: int) -> Performance:
        """Return the seconds of a step, or the run that it is."""
        del attempt
        self._budget.spend()
        actor = self.actors[run.id]
        work = actor.work[step]
        progress = self._in_progress.get(run.id)
        if progress is not None and step in progress.units:
            unit = progress.units[step]
            self._in_progress[unit.actor.id] = unit
            return self.script(unit.actor, under_way=unit.holds)
        if progress is not None and step in progress.elapsed:
            return self._rest(run, step, work, progress)
        if step in actor.core.spec.units:
            if work.late is not None:
                work = work._replace(drawing=self._drawn_late(work))
            if work.drawing is not None or work.late is None:
                unit_actor = self.maker.unit(actor, work)
                self._check(unit_actor)
                return self.script(unit_actor)
        return self._note(run, step, self.estimate(work, run.id))

    def cleanup(self, run: VirtualRun, number: int) -> float | None:
        """Return the seconds of a clean-up."""
        return self._note(run, -1 - number, self.estimate(self.actors[run.id].cleanups[number], run.id))

    def alarm(self, run: VirtualRun, step: int, reason: str) -> bool:
        """Take it that a body that is stopped ends at once."""
        del run, step, reason
        return False

    def make_safe(self, run: VirtualRun, device: str) -> BaseException | None:
        """Take it that this takes no time."""
        del run, device
        return None

    def _note(self, run: VirtualRun, step: int, its: Estimate) -> float:
        self.estimates[run.id, step] = its
        return its.seconds

    def _rest(self, run: VirtualRun, step: int, work: Work, progress: InProgress) -> float:
        seconds = remaining(progress, step, work, self._durations)
        if seconds is None:
            self._guesses.append(Guess(run.id, work.name))
            seconds = 0.0
        return self._note(run, step, Estimate(seconds, seconds, seconds, "history"))

    def estimate(self, work: Work, run: str) -> Estimate:
        """Estimate how long a step takes; a guess is noted as such."""
        takes = work.task.options_.takes
        key = (work.name, work.exclusive, work.shared, takes)
        its = self._known.get(key)
        if its is None:
            its = self._known[key] = estimate_of(work, self._durations)
        if its.source == "default":
            self._guesses.append(Guess(run, work.name))
        return its

    # -- steps that are drawn when something is known

    def _drawn_late(self, work: Work) -> Drawing | None:
        """Draw what a value decides: of a choice the branch that takes longer; how many items there are, who knows."""
        late = work.late
        if late is None or work.name != "choose":
            return None
        drawings: list[Drawing] = [late.draw(True), late.draw(False)]
        ways = [(self._span(drawing), drawing) for drawing in drawings]
        (longer, chosen), (shorter, _) = sorted(ways, key=lambda way: -way[0])
        which = "then" if chosen is drawings[0] else "otherwise"
        self.unknown[
            f"which way {work.name} goes: {which!r} is rehearsed, which takes longer "
            f"({longer:.3g} s of steps, the other {shorter:.3g} s)"
        ] = None
        return chosen

    def _span(self, drawing: Drawing) -> float:
        """Return the seconds of a drawing's longest chain of steps."""
        ends: list[float] = []
        for step, parents in zip(drawing.steps, drawing.graph.plan().parents, strict=True):
            begin = max([ends[parent] for parent in parents], default=0.0)
            if step.nested is not None:
                ends.append(begin + self._span(step.nested))
            else:
                reference = str(reference_of(step.task))
                takes = step.task.options_.takes
                known = estimate(step.name, tuple(step.needs), takes, self._durations, reference)
                ends.append(begin + known.seconds)
        return max(ends, default=0.0)

    # -- what would be refused

    def _check(self, actor: RunActor) -> None:
        """Look at what can be seen wrong before a step begins."""
        self.violations += [
            Violation(work.name, why)
            for work in (*actor.work, *actor.cleanups)
            for why in self._limits.mistakes(work)
        ]  # fmt: skip

    # -- what has come about

    def result(
        self, stage: VirtualLab, run: VirtualRun, actor: RunActor, *, simulated: bool = False, value: Any = None
    ) -> Rehearsal:
        """Put it all together."""
        stepwise = Stepwise(stage, run, self.actors, self.estimates)
        activities, end = stage.timeline.activities, stage.clock.now
        drawings = [actor.drawing] if actor.drawing is not None else []
        return Rehearsal(
            name=actor.name,
            makespan=end,
            interval=makespan_interval(activities, stepwise.spread(), stepwise.last),
            begins=stepwise.begins,
            state=run.core.final if run.ended else S.WAITING,
            reason=self._reason(run),
            entries=stepwise.entries(),
            critical_path=stepwise.critical_path(),
            devices=stepwise.devices(end),
            conflicts=tuple(self._conflicts(actor)),
            violations=tuple(dict.fromkeys(self.violations)),
            unknown=(*self.unknown, *self._guessed(run), *self._inside(actor)),
            how="simulated" if simulated else "rehearsed",
            value=value,
            pairs=partial(overlapping, drawings),
        )

    def _reason(self, run: VirtualRun) -> str:
        if not run.ended:
            return f"{run.id} never begins: what it needs is never given back"
        if run.core.final is S.SUCCEEDED:
            return ""
        error = run.core.error
        return run.core.reason if error is None else text_of(error)

    def guesses_in(self, run: VirtualRun) -> list[str]:
        """Return the names of the steps of a run, and of runs in it, whose durations aren't known."""
        inside = f"{run.id}/"
        return [guess.name for guess in self._guesses if guess.run == run.id or guess.run.startswith(inside)]

    def _guessed(self, run: VirtualRun) -> Iterator[str]:
        guesses = Counter(self.guesses_in(run))
        if guesses:
            names = ", ".join(f"{name} ({count} times)" if count > 1 else name for name, count in guesses.items())
            each = " each" if len(guesses) > 1 or guesses.total() > 1 else ""
            yield (
                f"how long it takes: {names}; it never ran on these devices and declares no takes=, so it counts as "
                f"{DEFAULT_SECONDS:g} s{each}"
            )

    def _inside(self, actor: RunActor) -> Iterator[str]:
        for work in actor.work:
            if (lease := work.task.options_.lease) != "run" and work.drawing is None:
                yield f"for what the children of {work.name} wait: with lease={lease!r} they lease for themselves"

    def _conflicts(self, actor: RunActor) -> Iterator[Conflict]:
        """Yield the devices that a run wants and others have, or want before it."""
        wanted = {name: "exclusive" for work in actor.work for name in work.exclusive}
        wanted = {name: "shared" for work in actor.work for name in work.shared} | wanted
        for other in self.entered.values():
            theirs = self.actors[other.id]
            known = other.ended and not self.guesses_in(other)
            for name, use in wanted.items():
                used = [work for work in theirs.work if name in work.exclusive + work.shared]
                if any(use == "exclusive" or name in work.exclusive for work in used):
                    yield Conflict(name, other.id, other.ended_at if known else None)


def overlapping(drawings: list[Drawing]) -> Iterator[tuple[str, str]]:
    """Yield the pairs of steps that may overlap, workflow by workflow."""
    todo = list(drawings)
    for drawing in todo:  # grows while it is walked
        nodes = drawing.graph.nodes
        yield from ((nodes[earlier].title, nodes[later].title) for earlier, later in drawing.graph.may_overlap())
        todo += [step.nested for step in drawing.steps if step.nested is not None]
