"""Go on with an interrupted run: with the values that its journal has, and never the state of its devices."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Final

from actorlab.core import run_events as ev
from actorlab.core.resumption import DEVICES, GO_ON, REDO, Doubt, PastStep, Resumption, decide
from actorlab.core.run_core import RunCore
from actorlab.core.run_state import RunState
from actorlab.errors import ConfigError, WorkflowError
from actorlab.journal import JournalReader
from actorlab.references import reference_of
from actorlab.runtime.asked import mark_of, reference_in, request_again, resolver_of
from actorlab.runtime.past import Past, differences, past_of, unchanged
from actorlab.runtime.run_actor import RunActor
from actorlab.runtime.run_ending import end

if TYPE_CHECKING:
    from actorlab.runtime.body import Body
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
    if any(actor.id == run for actor in lab.ask(lambda: lab.book.under_way)):
        text = f"{run} is under way in this lab: cancel it first, or let it end"
        raise ConfigError(text)
    journal.journal.flush()
    past = read_past(journal.journal.where, run)
    refuse_needless(past)
    task, args, kwargs = request_again(lab, past.told)
    work = lab.maker.bound(task, args, kwargs)
    make = partial(ResumedRun, past=past, answers=answers, again_from=again_from, changed=changed,
                   insists=insists)  # fmt: skip
    actor = lab.maker.again(work, make, run_id=run)
    actor.post()
    return actor.run


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
    with JournalReader.open(where, resolve=resolver_of(told[-1])) as reader:
        return past_of(reader, run)


def refuse_needless(past: Past) -> None:
    """Raise `ConfigError` if there is nothing to go on with."""
    if past.state is S.SUCCEEDED:
        text = f"{past.id} has succeeded already; start it anew if you want it once more"
        raise ConfigError(text)
    if "parent" in past.told:
        text = f"{past.id} is a part of {past.told['parent']}: resume that one"
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
        self._answers: dict[int, str] = {}
        self._doubts: dict[int, Doubt] = {}
        self._kept_units: dict[int, Past] = {}
        self._same = self._compare(changed=changed)
        self._steps = self._past_steps()
        self._again_from = None if again_from is None else self._number_of(again_from)
        for name, answer in (answers or {}).items():
            self._answers[DEVICES if name == "devices" else self._number_of(name)] = answer
        if insists:
            under_way = {n for n, step in enumerate(self._steps) if step.was == "in_flight" and not step.unit}
            self._answers = dict.fromkeys(under_way, REDO) | {DEVICES: GO_ON} | self._answers
        self._spawned = {
            new: list(past.spawned.get(old, ())) for new, old in self._same.items() if past.was(old) == "in_flight"
        }

    def _compare(self, *, changed: bool) -> dict[int, int]:
        """Return which step of before each step is.

        Raises:
            WorkflowError: the workflow has changed, and nobody has said that this is well.

        """
        plan = self.core.spec.plan.parents
        found = [] if self._whole else differences(self._past, self.work, plan)
        if not found:
            return {step: step for step in range(len(self.work))}
        if changed:
            return unchanged(self._past, self.work, plan)
        more = f"; and {len(found) - NAMED} more" if len(found) > NAMED else ""
        text = (
            f"{self.id} isn't drawn as it was: {'; '.join(found[:NAMED])}{more}. Resume it with changed=True (on the "
            f"command line: --changed) to keep the values of the steps that are as they were"
        )
        raise WorkflowError(text)

    def _past_steps(self) -> list[PastStep]:
        spec = self.core.spec
        return [
            self._past.step(
                work, self._same.get(step), unit=step in spec.units,
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
        if self._whole:
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
        spec = self.core.spec._replace(passed=passed, cleanups=0 if self._whole else self.core.spec.cleanups)
        self.journal = self.lab.journalling
        if self.journal is not None:
            self.core = self.journal.run_core(spec, self.id)
            self.journal.begun(self, monotonic())
        super()._apply()

    def _end(self, action: ev.End) -> None:
        if action.state is S.SUCCEEDED:
            for step in range(len(self.work)):
                if self.core.step_state(step) is not S.SUCCEEDED:  # it was left out
                    self.values[step] = None
        end(self, action)

    # -- parts

    def _make_unit(self, step: int, work: Work) -> RunActor:
        kept = self._kept_units.pop(step, None)
        if kept is not None:
            return self.lab.maker.unit(self, work, make=partial(ResumedRun, past=kept, whole=True))
        old = self._past.units.get(self._same.get(step, -1))
        if (
            old is None
            or self._steps[step].was != "in_flight"
            or self.core.attempts(step) > 1
            or self._begins_anew(step)
        ):
            return super()._make_unit(step, work)
        return self.lab.maker.unit(self, work, make=partial(ResumedRun, past=old, changed=True, insists=self._insists))

    def _begins_anew(self, step: int) -> bool:
        return self._again_from is not None and step >= self._again_from

    def make_for_child(self, body: Body, work: Work) -> Callable[..., RunActor]:
        """Answer a child run of the first body of a step as its journal has it: as long as the body asks the same."""
        spawned = self._spawned.get(body.index)
        if not spawned or body.attempt > 1:
            return RunActor
        past = spawned.pop(0)
        if past.succeeded and is_same_request(past, work):
            return partial(ResumedRun, past=past, whole=True, changed=True)
        spawned.clear()
        return RunActor

    deeds: ClassVar[Mapping[type, Callable[[Any, Any], None]]] = {**RunActor.deeds, ev.End: _end}


def is_same_request(past: Past, work: Work) -> bool:
    """Tell whether a child run is asked for as before."""
    mark = past.told.get("mark")
    return mark != "" and mark == mark_of(work) and reference_in(past.told).same(reference_of(work.task))
