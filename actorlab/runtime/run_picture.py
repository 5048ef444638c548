"""Draw what a run did and when, by the picture of a rehearsal."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from actorlab.core.run_state import RunState
from actorlab.rehearsal.durations import Estimate
from actorlab.rehearsal.gantt_svg import gantt_svg
from actorlab.rehearsal.rehearsal import DeviceUse, Entry, Rehearsal
from actorlab.runtime.history import History, StepHistory

__all__ = ["run_svg", "timeline_of_history"]


class Done(NamedTuple):
    """A step that began, and in which run."""

    run: str
    step: StepHistory
    began: float
    ended: float


def run_svg(history: History, now: float) -> str:
    """Return the picture; what goes on still goes up to `now` (seconds since 1970)."""
    return gantt_svg(timeline_of_history(history, now))


def timeline_of_history(history: History, now: float) -> Rehearsal:
    """Tell a run of a journal as a rehearsal tells one to come; what goes on still goes up to `now`."""
    over = history.run.ended or (now if not history.run.terminal else None)
    done = sorted(steps_of(history, history.run.id, over), key=lambda each: each.began)
    begin = min([each.began for each in done], default=history.run.started or history.run.created)
    begin = min(begin, history.run.started or begin)
    end = max([each.ended for each in done], default=begin)
    end = max(end, over or end)
    entries = tuple([entry_of(each, begin) for each in done])
    devices = tuple(uses_of(entries, end - begin))
    state = RunState(history.run.state)
    name = history.run.id if state is RunState.SUCCEEDED else f"{history.run.id} {state}"
    return Rehearsal(
        name=name, makespan=end - begin, interval=(end - begin, end - begin), begins=0.0, state=state,
        reason=history.reason, entries=entries, critical_path=(), devices=devices,
    )  # fmt: skip


def steps_of(history: History, run: str, over: float | None) -> Iterator[Done]:
    """Yield the steps of a run, and of those inside it, that began."""
    for step in history.steps:
        if step.run is not None:
            yield from steps_of(step.run, f"{run}/{step.number}", over)
        elif step.began is not None:
            yield Done(run, step, step.began, max(step.began, step.ended or over or step.began))
    for child in history.children:
        yield from steps_of(child, f"{run}/{child.run.id}", over)


def entry_of(done: Done, begin: float) -> Entry:
    """Return the bar of a step; what didn't go well says so, and has a thick frame."""
    step, seconds = done.step, done.ended - done.began
    well = step.state is RunState.SUCCEEDED
    name = step.name if well else f"{step.name} {step.state}"
    took = Estimate(seconds, seconds, seconds, "measured")
    return Entry(
        done.run, done.run.count("/"), step.number, step.attempts, name, (), step.devices, step.shared,
        done.began - begin, done.ended - begin, took, (), not well,
    )  # fmt: skip


def uses_of(entries: tuple[Entry, ...], seconds: float) -> Iterator[DeviceUse]:
    """Yield how long each device was used."""
    names = dict.fromkeys(name for entry in entries for name in entry.devices + entry.shared)
    for name in names:
        busy = sum(entry.seconds for entry in entries if name in entry.devices + entry.shared)
        yield DeviceUse(name, busy, 0.0, min(1.0, busy / seconds) if seconds else 0.0)
