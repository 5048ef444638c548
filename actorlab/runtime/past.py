"""Read from a journal what an interrupted run had done: its steps, their values, and its child runs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from actorlab.core.resumption import PastStep, Was
from actorlab.core.run_core import RunCore
from actorlab.core.run_state import TERMINAL, RunState
from actorlab.errors import ConfigError
from actorlab.journal import freeze
from actorlab.replay import Cores
from actorlab.runtime.asked import marks_of, unreadable
from actorlab.runtime.making import drawn_at_once, works_of

if TYPE_CHECKING:
    from actorlab.journal import JournalReader
    from actorlab.journal.reader import KeptEvent
    from actorlab.runtime.work import Work

__all__ = ["Past", "TakenOver", "differences", "is_drawn_otherwise", "lost_during", "past_of", "unchanged"]

S = RunState


class Past(NamedTuple):
    """What the journal knows of a run: what was asked, where its core stood, the values of its steps, its children.

    A run that was resumed has several lives: this is the last one, with what it has taken over from those before.
    """

    id: str
    told: dict[str, Any]
    core: RunCore
    values: dict[int, Any]
    units: dict[int, Past]
    """The last runs of those steps that are runs of their own."""
    spawned: dict[int, tuple[Past, ...]]
    """The child runs that the last body of each step has started, in their order."""
    taken_over: dict[int, Was]
    """How those steps stood before this life that it neither goes past nor begins anew."""
    began: int
    """The number of the event by which it began."""
    lost: int = 0
    """So many events the journal has lost while it was under way: of which runs, nobody knows."""

    @property
    def state(self) -> RunState:
        """Return how it stood."""
        return self.core.state

    @property
    def succeeded(self) -> bool:
        """Tell whether it had ended well, with values that can be read."""
        return self.core.state is S.SUCCEEDED and all(self.is_readable(step) for step in (*self.values, *self.units))

    def is_readable(self, step: int) -> bool:
        """Tell whether a step that has ended well has a value that can be read."""
        unit = self.units.get(step)
        return unreadable(self.values.get(step)) is None if unit is None else unit.succeeded

    def was(self, step: int) -> Was:
        """Say how a step stood; one whose value can't be read has to be done again."""
        passed = self.core.spec.passed.get(step)
        if passed is S.SKIPPED:
            return "left_out"
        if self.taken_over.get(step) == "finished":
            return "finished"
        if self.core.attempts(step) == 0 and passed is None:
            return self.taken_over.get(step, "not_begun")
        done = passed is S.SUCCEEDED or self.core.step_state(step) is S.SUCCEEDED
        return "finished" if done and self.is_readable(step) else "in_flight"

    def step(self, work: Work, number: int | None, *, unit: bool, soon_after: tuple[int, ...]) -> PastStep:
        """Return a step as those who decide about it see it; `number` is the one it had, None if it is new."""
        options = work.task.options_
        return PastStep(
            work.name, "not_begun" if number is None else self.was(number), (*work.exclusive, *work.shared),
            work.exclusive, options.on_resume, bool(options.idempotent or options.retries or options.restart), unit,
            soon_after,
        )  # fmt: skip


class TakenOver(NamedTuple):
    """What a life of a run takes over from an earlier one, maybe of another run.

    `values` are those of the steps it goes past, and `steps` has for other steps how each stood, with the number that
    it had before. A `whole` one had ended well, and only gives its values again.
    """

    run: str
    values: dict[int, Any]
    steps: dict[int, tuple[int, Was]]
    whole: bool

    def written(self, name: str) -> dict[str, Any]:
        """Return this as it stands in the journal."""
        values = [(step, freeze(value, name, lenient=True)) for step, value in self.values.items()]
        steps = [(step, old, was) for step, (old, was) in self.steps.items()]
        return {"run": self.run, "values": values, "steps": steps, "whole": self.whole}


def lost_during(reader: JournalReader, run: str) -> int:
    """Return how many events the journal has lost while a run was under way."""
    gaps = reader.gaps()
    told = reader.events(run, kinds=("drawn", "state")) if gaps else []
    return sum(gap.payload["lost"] for gap in gaps if was_under_way(told, gap.number))


def was_under_way(told: Sequence[KeptEvent], number: int) -> bool:
    """Tell whether a run had begun, and had not ended, when the event of this number was written."""
    before = [event for event in told if event.number < number]
    return bool(before) and not (before[-1].kind == "state" and before[-1].payload["state"] in TERMINAL)


def taken_over_in(drawn: dict[str, Any]) -> TakenOver:
    """Read what a life has taken over; the first one, nothing."""
    told: dict[str, Any] = drawn.get("taken_over") or {"run": "", "values": (), "steps": (), "whole": False}
    steps: dict[int, tuple[int, Was]] = {step: (old, was) for step, old, was in told["steps"]}
    return TakenOver(told["run"], dict(told["values"]), steps, told["whole"])


def past_of(reader: JournalReader, run: str, known: dict[str, Past] | None = None) -> Past:
    """Read what a run had done, with its children.

    Raises:
        JournalError: there is no such run.
        ConfigError: what is there isn't complete.

    """
    if known is None:
        known = {}
        reader.run(run)
    if run in known:  # parts take over from each other: each is read once
        return known[run]
    events = reader.events(run)
    begins = [number for number, event in enumerate(events) if event.kind == "drawn"]
    if not begins:
        text = f"the journal says nothing of how {run} began"
        raise ConfigError(text)
    told = {key: value for event in events if event.kind == "run" for key, value in event.payload.items()}
    children = [past_of(reader, child.id, known) for child in reader.children(run)]
    lives: list[Past] = []
    for begin, end in zip(begins, [*begins[1:], len(events)], strict=True):
        until = events[end].number if end < len(events) else math.inf
        mine = [child for child in children if events[begin].number < child.began < until]
        taken = taken_over_in(events[begin].payload)
        other = taken.run not in ("", run)
        before = past_of(reader, taken.run, known) if other else lives[-1] if lives else None
        lives.append(life_of(run, told | events[begin].payload, events[begin:end], mine, taken, before))
    known[run] = lives[-1]._replace(began=events[begins[0]].number)
    return known[run]


def life_of(
    run: str, told: dict[str, Any], events: Sequence[KeptEvent], children: Sequence[Past], taken: TakenOver,
    before: Past | None,
) -> Past:  # fmt: skip
    """Return what a run had done in one of its lives, with what this had taken over."""
    cores, values = Cores(), dict[int, tuple[int, Any]]()
    for event in events:
        if event.kind == "value":
            step, attempt, value = event.payload
            values[step] = (attempt, value)
        try:
            cores.tell(run, event.kind, event.payload, event.time)
        except (KeyError, IndexError, TypeError, ValueError) as error:
            text = f"what {run} did isn't all in the journal ({type(error).__name__} at {event.kind}): start it anew"
            raise ConfigError(text) from error
    core = cores.runs[run]
    mine = {step: value for step, (attempt, value) in values.items() if attempt == core.attempts(step)}
    units, spawned = units_of(children), spawned_by(children, core)
    if before is not None:
        for step, (old, was) in taken.steps.items():
            if old in before.units and (was == "finished" or step not in units):
                units[step] = before.units[old]
            spawned[step] = still_spawned(core.attempts(step), spawned.get(step, ()), before.spawned.get(old, ()))
    return Past(
        run, told, core, taken.values | mine, units, spawned, {step: was for step, (_, was) in taken.steps.items()},
        events[0].number,
    )  # fmt: skip


def units_of(children: Sequence[Past]) -> dict[int, Past]:
    """Return the last run of each step that is a run of its own."""
    return {child.told["place"]["step"]: child for child in children if "attempt" not in child.told["place"]}


def spawned_by(children: Sequence[Past], core: RunCore) -> dict[int, tuple[Past, ...]]:
    """Return the child runs of the last body of each step."""
    found: dict[int, tuple[Past, ...]] = {}
    for child in children:
        place = child.told["place"]
        if "attempt" in place and place["attempt"] == core.attempts(place["step"]):
            found[place["step"]] = (*found.get(place["step"], ()), child)
    return found


def still_spawned(attempts: int, now: tuple[Past, ...], before: tuple[Past, ...]) -> tuple[Past, ...]:
    """Return the child runs that answer the next body, after one that has asked for only some of those before."""
    if attempts > 1 or not all(taken_over_in(child.told).whole for child in now):
        return now
    return now + before[len(now) :]


# Has the workflow changed? ----------------------------------------------------------------------------------------


def differences(past: Past, works: Sequence[Work], parents: Sequence[Sequence[int]]) -> list[str]:
    """Say in what a run is drawn differently than before."""
    before, now = drawn_before(past), drawn_now(works)
    found = [] if len(before) == len(now) else [f"it had {len(before)} steps, and has {len(now)}"]
    for number, (old, new) in enumerate(zip(before, now, strict=False)):
        if old[:3] != new[:3]:
            found.append(f"step {number} was {in_words(old)}, and is {in_words(new)}")
        elif old.mark != new.mark and None not in (old.mark, new.mark):
            found.append(f"step {number}, {new.name}, gets other arguments")
        elif tuple(past.core.spec.plan.parents[number]) != tuple(parents[number]):
            found.append(f"step {number}, {new.name}, comes after other steps")
        else:
            found += [f"in {new.name}: {told}" for told in differences_within(past, works, number)]
    return found


def differences_within(past: Past, works: Sequence[Work], step: int) -> list[str]:
    """Say in what the workflow that a step is is drawn differently than before, as far as it is drawn yet."""
    unit, drawing = past.units.get(step), works[step].drawing
    if unit is None or drawing is None:
        return []
    return differences(unit, works_of(drawing.steps, drawing.path), drawing.graph.plan().parents)


def is_drawn_otherwise(past: Past, work: Work) -> bool:
    """Tell whether a child run would be drawn differently than before."""
    drawing = drawn_at_once(work)
    if drawing is None:
        return bool(differences(past, (work,), ((),)))
    return bool(differences(past, works_of(drawing.steps, drawing.path), drawing.graph.plan().parents))


class Drawn(NamedTuple):
    """A step as it was drawn; `mark` tells its arguments from others, if that is known."""

    name: str
    exclusive: tuple[str, ...]
    shared: tuple[str, ...]
    mark: str | None


def drawn_before(past: Past) -> list[Drawn]:
    """Return the steps as they were."""
    steps = past.told["steps"]
    marks = past.told.get("marks") or [None] * len(steps)
    return [
        Drawn(name, tuple(exclusive), tuple(shared), mark or None)
        for (name, exclusive, shared), mark in zip(steps, marks, strict=True)
    ]


def drawn_now(works: Sequence[Work]) -> list[Drawn]:
    """Return the steps as they are."""
    return [
        Drawn(work.name, work.exclusive, work.shared, mark or None)
        for work, mark in zip(works, marks_of(works), strict=True)
    ]


def in_words(step: Drawn) -> str:
    """Name a step with its devices."""
    devices = ", ".join((*step.exclusive, *step.shared))
    return f"{step.name} on {devices}" if devices else step.name


def unchanged(past: Past, works: Sequence[Work], parents: Sequence[Sequence[int]]) -> dict[int, int]:
    """Return which step of before each step is, of those that are as they were, with all that they come after.

    One that was under way is itself also when it comes after others now: it may have acted.
    """
    olds: dict[Drawn, list[int]] = {}
    for number, drawn in enumerate(drawn_before(past)):
        olds.setdefault(drawn, []).append(number)
    same: dict[int, int] = {}
    for number, drawn in enumerate(drawn_now(works)):
        candidates = olds.get(drawn, [])
        known = {same[parent] for parent in parents[number] if parent in same}
        complete = len(known) == len(set(parents[number]))
        if candidates and (
            past.was(candidates[0]) == "in_flight"
            or (complete and known == set(past.core.spec.plan.parents[candidates[0]]))
        ):
            same[number] = candidates.pop(0)
    return same
