"""Make the lines of a tree of runs: runs, their steps, the runs inside them, each as far as somebody has opened it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Final, NamedTuple

from actorlab.core.run_state import RunState
from actorlab.dashboard.run_look import TONES, Act, RunLook, StepLook, acts_for, time_words

__all__ = ["OPEN_AT_FIRST", "Row", "opens_by_itself", "rows_of"]

OPEN_AT_FIRST: Final = 12
"""A run that is under way stands open if it has no more parts than that."""
WIDE: Final = 160
"""So much of a reason or an error stands in a line."""


class Row(NamedTuple):
    """One line: `key` tells it from all others, `run` is the run that a click opens, "" if there is none."""

    key: str
    depth: int
    title: str
    state: RunState | None
    fraction: float | None = None
    time: str = ""
    devices: str = ""
    remark: str = ""
    is_bad: bool = False
    run: str = ""
    acts: tuple[Act, ...] = ()
    opened: bool | None = None
    """Whether its parts are shown; None: it has none."""


def rows_of(looks: Iterable[RunLook], opened: Mapping[str, bool]) -> list[Row]:
    """Return the lines; `opened` says by keys what somebody has opened or closed."""
    return [row for look in looks for row in of_run(look, 0, "", opened)]


def of_run(look: RunLook, depth: int, above: str, opened: Mapping[str, bool], label: str = "") -> Iterator[Row]:
    """Yield the line of a run, and of what is inside it."""
    key = f"{above}/{look.id}"
    is_open = opened.get(key, opens_by_itself(look)) if look.has_parts else None
    acts = acts_for(look.state, journalled=look.journalled and depth == 0)
    remark, is_bad = remark_on(look)
    yield Row(
        key, depth, label or look.id, look.state, bar_of(look), time_words(look, look.now), ", ".join(look.devices),
        remark, is_bad, look.id, acts, is_open,
    )  # fmt: skip
    if is_open:
        yield from inside(look, depth + 1, key, opened)


def opens_by_itself(look: RunLook) -> bool:
    """Tell whether a run's parts are shown unless somebody has closed it."""
    return look.under_way and look.steps_in_all + look.children_in_all <= OPEN_AT_FIRST


def inside(look: RunLook, depth: int, key: str, opened: Mapping[str, bool]) -> Iterator[Row]:
    """Yield the lines of a run's steps and children, and how many are left out."""
    if look.steps_in_all > 1 or look.units:
        for step in look.steps:
            yield from of_step(step, look.now, depth, key, opened)
        yield from left_out(look.steps_in_all - len(look.steps), "steps", depth, key)
    for child in reversed(look.children):
        yield from of_run(child, depth, key, opened)
    yield from left_out(look.children_in_all - len(look.children), "runs inside it", depth, key)


def of_step(step: StepLook, now: float, depth: int, above: str, opened: Mapping[str, bool]) -> Iterator[Row]:
    """Yield the line of a step; one that is a run has that of the run."""
    key = f"{above}/{step.number}"
    if step.run is not None:
        yield from of_run(step.run, depth, key, opened, step.label)
        return
    devices = ", ".join([*step.devices, *(f"{name} (shared)" for name in step.shared)])
    again = f"attempt {step.attempts}" if step.attempts > 1 else ""
    remark = "; ".join(filter(None, (again, step.error or step.message)))
    fraction = step.fraction if step.state is RunState.RUNNING else None
    yield Row(
        key, depth, step.label, step.state, fraction, time_words(step, now), devices, cut(remark), bool(step.error)
    )  # fmt: skip


def left_out(count: int, what: str, depth: int, above: str) -> Iterator[Row]:
    """Say how many there are that aren't shown."""
    if count > 0:
        yield Row(f"{above}/more {what}", depth, f"… and {count:,} more {what}", None)


def bar_of(look: RunLook) -> float | None:
    """Return the part that is done of a run that is under way."""
    return look.fraction if look.under_way else None


def remark_on(look: RunLook) -> tuple[str, bool]:
    """Say why a run doesn't simply run, or what it is about; and whether that is bad."""
    if look.error:
        return cut(look.error), TONES[look.state] == "bad"
    if look.reasons:
        return cut("; ".join(look.reasons)), False
    return ("" if look.state.terminal else cut(look.message)), False


def cut(text: str) -> str:
    """Leave out the end of a text that is too long for a line."""
    text = " ".join(text.split())
    return text if len(text) <= WIDE else f"{text[: WIDE - 1]}…"
