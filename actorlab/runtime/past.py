"""Read from a journal what an interrupted run had done: its steps, their values, and its child runs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from actorlab.core.resumption import PastStep, Was
from actorlab.core.run_core import RunCore
from actorlab.core.run_state import RunState
from actorlab.errors import ConfigError
from actorlab.replay import Cores
from actorlab.runtime.asked import marks_of, unreadable

if TYPE_CHECKING:
    from actorlab.journal import JournalReader
    from actorlab.runtime.work import Work

__all__ = ["Past", "differences", "past_of"]

S = RunState


class Past(NamedTuple):
    """What the journal knows of a run: what was asked, where its core stood, the values of its steps, its children."""

    id: str
    told: dict[str, Any]
    core: RunCore
    values: dict[int, Any]
    units: dict[int, Past]
    """The last runs of those steps that are runs of their own."""
    spawned: dict[int, tuple[Past, ...]]
    """The child runs that the last body of each step has started, in their order."""

    @property
    def state(self) -> RunState:
        """Return how it stood."""
        return self.core.state

    @property
    def succeeded(self) -> bool:
        """Tell whether it had ended well, with values that can be read."""
        return self.core.state is S.SUCCEEDED and all(unreadable(value) is None for value in self.values.values())

    def was(self, step: int) -> Was:
        """Say how a step stood; one whose value can't be read has to be done again."""
        if self.core.spec.passed.get(step) is S.SKIPPED:
            return "left_out"
        if self.core.attempts(step) == 0 and step not in self.core.spec.passed:
            return "not_begun"
        done = self.core.step_state(step) is S.SUCCEEDED
        return "finished" if done and unreadable(self.values.get(step)) is None else "in_flight"

    def step(self, work: Work, number: int | None, *, unit: bool, soon_after: tuple[int, ...]) -> PastStep:
        """Return a step as those who decide about it see it; `number` is the one it had, None if it is new."""
        options = work.task.options_
        return PastStep(
            work.name, "not_begun" if number is None else self.was(number), (*work.exclusive, *work.shared),
            work.exclusive, options.on_resume, bool(options.idempotent or options.retries or options.restart), unit,
            soon_after,
        )  # fmt: skip


def past_of(reader: JournalReader, run: str) -> Past:
    """Read what a run had done, with its children.

    Raises:
        JournalError: there is no such run.
        ConfigError: what is there isn't complete.

    """
    reader.run(run)
    cores, told, values = Cores(), dict[str, Any](), dict[int, Any]()
    for event in reader.events(run):
        if event.kind in ("run", "drawn"):
            told |= event.payload
        elif event.kind == "value":
            step, _, value = event.payload
            values[step] = value
        cores.tell(run, event.kind, event.payload, event.time)
    if run not in cores.runs:
        text = f"the journal says nothing of how {run} began"
        raise ConfigError(text)
    children = [past_of(reader, child.id) for child in reader.children(run)]
    return Past(run, told, cores.runs[run], values, units_of(children), spawned_by(children, cores.runs[run]))


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
    return found


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
    """Return which step of before each step is, of those that are as they were, with all that they come after."""
    olds: dict[Drawn, list[int]] = {}
    for number, drawn in enumerate(drawn_before(past)):
        olds.setdefault(drawn, []).append(number)
    same: dict[int, int] = {}
    for number, drawn in enumerate(drawn_now(works)):
        candidates = olds.get(drawn, [])
        known = {same[parent] for parent in parents[number] if parent in same}
        complete = len(known) == len(set(parents[number]))
        if candidates and complete and known == set(past.core.spec.plan.parents[candidates[0]]):
            same[number] = candidates.pop(0)
    return same
