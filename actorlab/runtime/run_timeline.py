"""Tell a run that took place as a rehearsal tells one to come, so that both can be seen side by side."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from actorlab.core.run_state import RunState
from actorlab.rehearsal.durations import Estimate
from actorlab.rehearsal.rehearsal import DeviceUse, Entry, Link, Rehearsal
from actorlab.runtime.stepwise import covered

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from actorlab.runtime.run import Run
    from actorlab.runtime.steps import StepView

__all__ = ["followed_by", "timeline_of"]


def timeline_of(run: Run[Any]) -> Rehearsal:
    """Return what a run has done so far; times are seconds from the begin of its first step."""
    begins = [step.began for step in run.steps if step.began is not None]
    start = min(begins, default=time.monotonic())
    entries = sorted(entries_of(run, start, 0), key=lambda entry: (entry.begin, entry.end))
    end = max([entry.end for entry in entries], default=0.0)
    state = run.state
    return Rehearsal(
        name=run.name,
        makespan=end,
        interval=(end, end),
        begins=0.0,
        state=state,
        reason="" if state is RunState.SUCCEEDED else "; ".join(run.reasons),
        entries=tuple(entries),
        critical_path=tuple([Link(entry.title, entry.begin, entry.end) for entry in entries if entry.critical]),
        devices=uses_of(entries, end),
        how="ran",
    )


def entries_of(run: Run[Any], start: float, depth: int) -> Iterator[Entry]:
    """Yield the steps of a run that have begun, and those of the runs that steps are."""
    steps = run.steps
    decisive = chain_of(run, steps)
    for step in steps:
        if step.child is not None:
            yield from entries_of(step.child, start, depth + 1)
        elif step.began is not None:
            ended = step.ended if step.ended is not None else time.monotonic()
            seconds = ended - step.began
            yield Entry(
                run.id, depth, step.number, max(1, step.attempts), step.name, step.values, step.devices, step.shared,
                step.began - start, ended - start, Estimate(seconds, seconds, seconds, "measured"), (),
                depth == 0 and step.number in decisive,
            )  # fmt: skip


def chain_of(run: Run[Any], steps: Sequence[StepView]) -> dict[int, None]:
    """Return the steps, last to first, each of which was the last to end of those that the one before had awaited."""
    ended = {step.number: step.ended for step in steps if step.ended is not None}
    parents = run.supervisor.core.spec.plan.parents
    chain: dict[int, None] = {}
    waited: tuple[int, ...] = tuple(ended)
    while known := [step for step in waited if step in ended]:
        last = max(known, key=lambda step: ended[step])
        chain[last] = None
        waited = parents[last]
    return chain


def uses_of(entries: list[Entry], end: float) -> tuple[DeviceUse, ...]:
    """Return how much each device was used."""
    spans: dict[str, list[tuple[float, float]]] = {}
    for entry in entries:
        for device in (*entry.devices, *entry.shared):
            spans.setdefault(device, []).append((entry.begin, entry.end))
    busy = {device: covered(its) for device, its in sorted(spans.items())}
    return tuple([DeviceUse(device, seconds, 0.0, seconds / end if end else 0.0) for device, seconds in busy.items()])


def followed_by(done: Rehearsal, rest: Rehearsal) -> Rehearsal:
    """Return what a run has done, with what is planned of its rest from now on: steps under way go on until then."""
    now = done.makespan
    coming = {(entry.run, entry.step): entry for entry in rest.entries if entry.end > 0}
    so_far = [
        entry if (more := coming.pop((entry.run, entry.step), None)) is None else entry._replace(end=now + more.end)
        for entry in done.entries
    ]
    later = [entry._replace(begin=now + entry.begin, end=now + entry.end) for entry in coming.values()]
    entries = (*so_far, *later)
    end = now + rest.makespan
    interval = (now + rest.interval[0], now + rest.interval[1])
    return replace(
        done, entries=entries, makespan=end, interval=interval, devices=uses_of(list(entries), end),
        unknown=rest.unknown, conflicts=rest.conflicts, how="planned", now=now,
    )  # fmt: skip
