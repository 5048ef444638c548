"""Look at the runs of a lab for a page: how each stands, its steps and children, not too many of them.

What is here runs in a thread, and waits for no device.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from actorlab.core.run_state import RunState
from actorlab.dashboard.run_look import RunLook, StepLook
from actorlab.dashboard.run_rows import opens_by_itself
from actorlab.errors import text_of

if TYPE_CHECKING:
    from actorlab.runtime.lab import Lab
    from actorlab.runtime.run import Progress, Run
    from actorlab.runtime.steps import Steps, StepView

__all__ = ["FILTERS", "Listing", "look_as_opened", "look_at_run", "look_at_runs"]

S = RunState
monotonic = time.monotonic
PARTS: Final = 50
"""So many steps, and so many children, of a run are looked at in a list."""
DEEPEST: Final = 4
SHORT: Final = 40
"""The values of a step stand in its name if they have no more letters."""
FILTERS: Final = ("all", "under way", "waiting", "ended")


class Listing(NamedTuple):
    """The runs which nobody's body has started, those that matter most first, by what a page chooses to see."""

    under_way: tuple[Run[Any], ...]
    waiting: tuple[Run[Any], ...]
    ended: tuple[Run[Any], ...]

    def chosen(self, which: str) -> tuple[Run[Any], ...]:
        """Return those that are chosen by one of `FILTERS`."""
        match which:
            case "under way":
                return self.under_way
            case "waiting":
                return self.waiting
            case "ended":
                return self.ended
            case _:
                return (*self.under_way, *self.waiting, *self.ended)


def look_at_runs(lab: Lab) -> Listing:
    """List the runs of a lab, the newest first."""
    runs = lab.runs
    inner = {child.id for run in runs if run.supervisor.children for child in run.children}
    under_way: list[Run[Any]] = []
    waiting: list[Run[Any]] = []
    ended: list[Run[Any]] = []
    for run in reversed(runs):  # the newest first: there may be very many, so they aren't sorted again
        if "/" in run.id or run.id in inner:  # one that is a step has its parent's id before its own
            continue
        state = run.supervisor.core.state
        if state is S.WAITING and not run.done():
            waiting.append(run)
        elif state.terminal or run.done():
            ended.append(run)
        else:
            under_way.append(run)
    return Listing(tuple(under_way), tuple(waiting), tuple(ended))


def look_at_run(run: Run[Any], *, parts: int = PARTS, deep: int = DEEPEST, full: bool = False) -> RunLook:
    """Return how a run stands; its parts only if it is looked at `deep`, and in `full` why it does what it does."""
    actor = run.supervisor
    state, progress = run.state, run.progress
    notes = actor.notes
    steps = run.steps
    chosen = worth_seeing(steps, parts) if deep else ()
    children = run.children
    odd = state is not S.RUNNING and state is not S.SUCCEEDED
    ended = max(notes.ended.copy().values(), default=None) if run.done() else None
    error = run.reply.exception(0) if run.done() else None
    return RunLook(
        run.id, run.name, state, monotonic(),
        began=notes.since or None,
        ended=ended,
        fraction=None if progress is None else progress.fraction,
        message="" if progress is None else progress.message,
        left=seconds_left(progress),
        reasons=tuple(map(str, run.reasons)) if odd or full else (),
        devices=run.devices,
        service=run.service,
        steps=tuple([look_at_step(step, parts, deep) for step in chosen]),
        steps_in_all=len(steps),
        units=len(actor.units),
        children=tuple([look_at_run(child, parts=parts, deep=deep - 1) for child in children[-parts:]]) if deep else (),
        children_in_all=len(children),
        error="" if error is None else text_of(error),
        journalled=actor.lab.journalling is not None,
    )  # fmt: skip


def look_as_opened(run: Run[Any], is_open: bool | None) -> RunLook:  # noqa: FBT001 - what somebody has clicked
    """Return how a run stands, with its parts if they are shown: of very many steps not all are gone through."""
    look = look_at_run(run, deep=0)
    shown = opens_by_itself(look) if is_open is None else is_open
    return look_at_run(run) if shown and look.has_parts else look


def look_at_step(step: StepView, parts: int, deep: int) -> StepLook:
    """Return how a step stands."""
    progress = step.progress
    child = None if step.child is None else look_at_run(step.child, parts=parts, deep=deep - 1)
    values = ", ".join(map(str, step.values))
    error = step.error if step.state in (S.FAILED, S.TIMED_OUT, S.RETRYING) else None
    label = f"{step.name}({values})" if 0 < len(values) <= SHORT else step.label
    return StepLook(
        step.number, label, step.state, step.began, step.ended, step.devices, step.shared, step.attempts,
        fraction=None if progress is None else progress.fraction,
        message="" if progress is None else progress.message,
        left=seconds_left(progress),
        run=child,
        error="" if error is None else text_of(error),
    )  # fmt: skip


def seconds_left(progress: Progress | None) -> float | None:
    """Return how many seconds are left from now on, by a body's own progress."""
    left = None if progress is None else progress.seconds_left
    return None if progress is None or left is None else max(0.0, left - (monotonic() - progress.at))


def worth_seeing(steps: Steps, room: int) -> tuple[StepView, ...]:
    """Return the steps that are shown: all, or of many those which haven't ended well or are next, in their order."""
    states = steps.states
    if len(states) <= room:
        return tuple(steps)
    ranks = {S.WAITING: 1, S.SUCCEEDED: 2, S.SKIPPED: 2}
    ordered = sorted(range(len(states)), key=lambda step: (ranks.get(states[step], 0), step))
    return tuple([steps[step] for step in sorted(ordered[:room])])
