"""Go on with an interrupted run: with the values that its journal has, and never the state of its devices."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Final

from actorlab.core import run_events as ev
from actorlab.core.resumption import (
    ANSWERS,
    ANSWERS_ABOUT_DEVICES,
    DEVICES,
    GO_ON,
    REDO,
    Doubt,
    PastStep,
    Resumption,
    Was,
    decide,
)
from actorlab.core.run_core import RunCore
from actorlab.core.run_state import RunState
from actorlab.errors import ActorLabError, ConfigError, WorkflowError
from actorlab.journal import JournalReader
from actorlab.references import reference_of
from actorlab.runtime.asked import mark_of, reference_in, request_again, resolver_of
from actorlab.runtime.past import Past, TakenOver, differences, is_drawn_otherwise, lost_during, past_of, unchanged
from actorlab.runtime.run_actor import RunActor
from actorlab.runtime.run_ending import end

if TYPE_CHECKING:
    from actorlab.runtime.body import Body
    from actorlab.runtime.journalling import Journalling
    from actorlab.runtime.lab import Lab
    from actorlab.runtime.run import Run
    from actorlab.runtime.work import Work

__all__ = ["ResumedRun", "resume"]

S = RunState
monotonic = time.monotonic
NAMED: Final = 5
"""So many differences are named."""
SHOWN: Final = 20
"""So many steps are listed."""


def resume(
    lab: Lab,
    run: str,
    answers: Mapping[str, str],
    again_from: str | int | None,
    *,
    changed: bool,
    insists: bool = False,
) -> Run[Any]:
    """Go on with a run that was interrupted, or that failed: see `Lab.resume`, and `Lab.retry` for who `insists`."""
    journal = lab.journalling
    if journal is None:
        text = f"{run} can't be resumed: this lab keeps no journal, as Lab(journal=…) does"
        raise ConfigError(text)
    with claimed(lab, journal, run):
        journal.journal.flush()
        past = read_past(journal.journal.where, run)
        refuse_needless(past)
        task, args, kwargs = request_again(lab, past.told)
        work = lab.maker.bound(task, args, kwargs)
        make = partial(
            ResumedRun, past=past, answers=answers, again_from=again_from, changed=changed, insists=insists
        )  # fmt: skip
        actor = lab.maker.asked_for(work, make=make, run_id=run)
        actor.post()
    return actor.run


@contextmanager
def claimed(lab: Lab, journal: Journalling, run: str) -> Generator[None]:
    """See that nobody else goes on with a run.

    Raises:
        ConfigError: it is under way, or will be in a moment.

    """

    def claim() -> None:
        if run in journal.resuming or any(actor.id == run for actor in lab.book.under_way):
            text = f"{run} is under way in this lab: cancel it first, or let it end"
            raise ConfigError(text)
        journal.resuming.add(run)

    lab.ask(claim)
    try:
        yield
    finally:
        lab.decider.post(journal.resuming.discard, run)  # after its beginning, from which on the lab knows it


def read_past(where: str, run: str) -> Past:
    """Read what a run had done, with its classes where its task is now.

    Raises:
        JournalError: there is no such run.
        ConfigError: it can't be asked for again.

    """
    with JournalReader.open(where) as reader:
        told = [event.payload for event in reader.events(reader.run(run).id, kinds=("run",))]
    if not told:
        text = f"the journal says nothing of how {run} began"
        raise ConfigError(text)
    if "parent" in told[-1]:
        text = f"{run} is a part of {told[-1]['parent']}: resume that one"
        raise ConfigError(text)
    with JournalReader.open(where, resolve=resolver_of(told[-1])) as reader:
        return past_of(reader, run)._replace(lost=lost_during(reader, run))


def refuse_needless(past: Past) -> None:
    """Raise `ConfigError` if there is nothing to go on with."""
    if past.state is S.SUCCEEDED:
        text = f"{past.id} has succeeded already; start it anew if you want it once more"
        raise ConfigError(text)


class ResumedRun(RunActor):
    """The supervisor of a run that goes on where an earlier one of its id was interrupted.

    It asks an operator what only a person can decide, before it asks for its lease. With `whole` it is a part that had
    ended well, and only gives its values again. Who `insists` has decided what would be asked: it is done again.
    """

    resumed = True

    def __init__(
        self,
        *args: Any,
        past: Past,
        answers: Mapping[str, str] | None = None,
        again_from: str | int | None = None,
        changed: bool = False,
        whole: bool = False,
        insists: bool = False,
        **known: Any,
    ) -> None:
        super().__init__(*args, **known)
        self.journal = None  # until it goes on, the journal has it as interrupted
        self.core = RunCore(self.core.spec)
        self._past = past
        self._whole = whole
        self._insists = insists
        self._changed = changed
        self._answers: dict[int, str] = {}
        self._doubts: dict[int, Doubt] = {}
        self._kept_units: dict[int, Past] = {}
        self._parts: dict[int, Past] = {}
        """The runs of steps that go on within themselves."""
        self._answers_within: dict[int, dict[str, str]] = {}
        self._spawned: dict[int, list[Past]] = {}
        """The child runs that answer what the first bodies of steps ask for."""
        self._refusal: ActorLabError | None = None
        try:
            self._prepare(answers or {}, again_from)
        except (ConfigError, WorkflowError) as error:
            if self.parent is None:
                raise
            self._refusal = error  # a part is made where nothing may be raised

    def _prepare(self, answers: Mapping[str, str], again_from: str | int | None) -> None:
        """Compare with what was, and take note of what a person has said."""
        self._same = self._compare()
        self._steps = self._past_steps()
        self._again_from = None if again_from is None else self._number_of(again_from)
        self._refuse_incomplete()
        for name, answer in answers.items():
            self._note_answer(str(name), answer)
        if self._insists:
            under_way = {n for n, step in enumerate(self._steps) if step.was == "in_flight" and not step.unit}
            self._answers = dict.fromkeys(under_way, REDO) | {DEVICES: GO_ON} | self._answers

    def _refuse_incomplete(self) -> None:
        """See that a lost value isn't taken for None, nor a step that has acted for one that never began.

        Raises:
            ConfigError: the journal has lost events while it was under way, and not all of it is to be done again.

        """
        if self._past.lost and self._again_from != 0:
            text = (
                f"{self.id} can't go on where it was: the journal has lost {self._past.lost} events while it was under "
                f"way, as it couldn't be written for too long, and values of its steps may be among them. Resume it "
                f"with again_from=0 (on the command line: --from 0) to do all of it again"
            )
            raise ConfigError(text)

    def _compare(self) -> dict[int, int]:
        """Return which step of before each step is.

        Raises:
            WorkflowError: the workflow has changed, and nobody has said that this is well.

        """
        plan = self.core.spec.plan.parents
        found = differences(self._past, self.work, plan)
        if not found:
            return {step: step for step in range(len(self.work))}
        if self._changed:
            self._whole = False
            return unchanged(self._past, self.work, plan)
        more = f"; and {len(found) - NAMED} more" if len(found) > NAMED else ""
        text = (
            f"{self.id} isn't drawn as it was: {'; '.join(found[:NAMED])}{more}. Resume it with changed=True (on the "
            f"command line: --changed) to keep the values of the steps that are as they were"
        )
        raise WorkflowError(text)

    def _note_answer(self, name: str, answer: str) -> None:
        """Take note of what was answered beforehand: about a step, a step within it as in "scan/move", or devices.

        Raises:
            ConfigError: there is no such step, or no such answer.

        """
        within, _, rest = name.partition("/")
        if self.drawing is None and self.core.spec.units:  # a workflow that may be tried again is its only step
            self._answers_within.setdefault(0, {})[name] = answer
        elif rest:
            self._answers_within.setdefault(self._number_of(within), {})[rest] = answer
        elif name == "devices":
            self._answers[DEVICES] = checked(name, answer, ANSWERS_ABOUT_DEVICES)
            for step in self.core.spec.units:  # what is said of the whole goes for its parts
                self._answers_within.setdefault(step, {}).setdefault(name, answer)
        elif has_steps(self.work[step := self._number_of(name)]):
            text = f"{name} is a workflow: answer for its steps, as in {f'{name}/…'!r}"
            raise ConfigError(text)
        else:
            self._answers[step] = checked(name, answer, ANSWERS)

    def _past_steps(self) -> list[PastStep]:
        spec = self.core.spec
        return [
            self._past.step(
                work, self._same.get(step), unit=has_steps(work),
                soon_after=spec.windows[step].after if step in spec.windows else (),
            )
            for step, work in enumerate(self.work)
        ]  # fmt: skip

    def _number_of(self, step: str | int) -> int:
        """Return the number of a step that is named, or given by its number.

        Raises:
            ConfigError: there is none, or there are several of this name.

        """
        numbers = [n for n, work in enumerate(self.work) if step in (n, str(n), work.name)]
        if len(numbers) == 1:
            return numbers[0]
        names = ", ".join(f"{n} ({work.name})" for n, work in list(enumerate(self.work))[:SHOWN])
        text = f"{self.id} has {'several steps' if numbers else 'no step'} {step!r}: give the number of one of {names}"
        raise ConfigError(text)

    # -- deciding, before it begins

    def _apply(self) -> None:
        if self._refusal is not None:
            self.on(ev.Refused(self._refusal))
            return
        if self._whole:
            self.cells = self.leased = []  # it does nothing
            self._go_on(Resumption(dict.fromkeys(range(len(self.work)), S.SUCCEEDED)))
            return
        resumption = decide(self._steps, self._answers, self._again_from)
        if resumption.refusal:
            self.on(ev.Refused(ConfigError(f"{self.id} isn't resumed: {resumption.refusal}")))
        elif resumption.doubts:
            for doubt in resumption.doubts:
                self._ask(doubt)
        else:
            self._go_on(resumption)

    def _ask(self, doubt: Doubt) -> None:
        """Ask an operator."""
        self._doubts[doubt.step] = doubt
        self.notes.waits_for = f"an operator's answer: {doubt.text}"
        question = self.lab.questions_.ask(self.id, doubt.text, doubt.choices)
        self.notes.questions += (question,)
        question.reply.when_done(lambda reply: self.decider.post(self._answered, (doubt.step, reply.outcome())))

    def _answered(self, argument: tuple[int, str]) -> None:
        step, answer = argument
        self._answers[step] = answer
        self._doubts.pop(step, None)
        if not self._doubts and self.core.state is S.WAITING and self.core.final is S.SUCCEEDED:
            self.notes.waits_for = ""
            self._apply()

    def _go_on(self, resumption: Resumption) -> None:
        """Begin, going past what is done."""
        passed = dict(resumption.passed)
        for step, state in resumption.passed.items():
            old = self._same.get(step)
            if state is not S.SUCCEEDED or old is None:
                continue
            if step in self.core.spec.units and old in self._past.units:
                del passed[step]
                self._kept_units[step] = self._past.units[old]
            else:
                self.values[step] = self._past.values.get(old)
        taken = self._taken_over(resumption)
        spec = self.core.spec._replace(passed=passed, cleanups=0 if self._whole else self.core.spec.cleanups)
        self.journal = self.lab.journalling
        if self.journal is not None:
            self.core = self.journal.run_core(spec, self.id)
            self.journal.begun(self, monotonic(), taken)
        super()._apply()

    def _taken_over(self, resumption: Resumption) -> TakenOver:
        """Take over what is neither gone past nor begun anew; return this, as the next resumption has to know it."""
        steps: dict[int, tuple[int, Was]] = {}
        for step, old in self._same.items():
            if step in self._kept_units:
                steps[step] = (old, "finished")
            elif self._steps[step].was == "in_flight" and step not in resumption.passed:
                if resumption.begins_anew(step):
                    continue
                steps[step] = (old, "in_flight")
                self._spawned[step] = list(self._past.spawned.get(old, ()))
                if old in self._past.units:
                    self._parts[step] = self._past.units[old]
                if not has_steps(self.work[step]):  # it is decided
                    self._answers_within[step] = {"0": "redo"}
        return TakenOver(self._past.id, dict(self.values), steps, self._whole)

    def _end(self, action: ev.End) -> None:
        if action.state is S.SUCCEEDED:
            for step in range(len(self.work)):
                if self.core.step_state(step) is not S.SUCCEEDED:  # it was left out
                    self.values[step] = None
        end(self, action)

    # -- parts

    def _make_unit(self, step: int, work: Work) -> RunActor:
        kept = self._kept_units.pop(step, None)
        old = self._parts.pop(step, None) if kept is None else kept
        if old is None:
            return super()._make_unit(step, work)
        answers = self._answers_within.get(step)
        make = partial(ResumedRun, past=old, answers=answers, changed=self._changed, whole=kept is not None,
                       insists=self._insists)  # fmt: skip
        return self.lab.maker.unit(self, work, make)

    def make_for_child(self, body: Body, work: Work) -> Callable[..., RunActor]:
        """Answer a child run of the first body of a step as its journal has it: as long as the body asks the same."""
        spawned = self._spawned.get(body.index)
        if not spawned or body.attempt > 1:
            return RunActor
        past = spawned.pop(0)
        if past.succeeded and is_same_request(past, work) and not is_drawn_otherwise(past, work):
            return partial(ResumedRun, past=past, whole=True)
        spawned.clear()
        return RunActor

    deeds: ClassVar[Mapping[type, Callable[[Any, Any], None]]] = {**RunActor.deeds, ev.End: _end}


def has_steps(work: Work) -> bool:
    """Tell whether a step is a workflow, which decides over its own steps."""
    return work.drawing is not None or work.late is not None


def checked(name: str, answer: str, choices: tuple[str, ...]) -> str:
    """Return an answer.

    Raises:
        ConfigError: it is none of those that can be given.

    """
    if answer in choices:
        return answer
    text = f"{answer!r} is no answer about {name}: give one of {', '.join(choices)}"
    raise ConfigError(text)


def is_same_request(past: Past, work: Work) -> bool:
    """Tell whether a child run is asked for as before."""
    mark, reference = past.told.get("mark"), reference_of(work.task)
    if mark == "" or reference.belongs_to_object:  # nobody knows
        return False
    return mark == mark_of(work) and reference_in(past.told).same(reference)
