"""Draw how a run stands: a tree of its steps, each with its state, progress, time left, devices, and why it waits."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from heapq import nlargest
from typing import Any, Final, NamedTuple

from rich.console import RenderableType
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from actorlab.cli.looks import LOOKS, seconds_in_words
from actorlab.core.run_state import RunState
from actorlab.runtime.run import Progress, Run, Steps, StepView

__all__ = ["live_tree", "values", "waits_for"]

S = RunState
SPINNER: Final = "◐◓◑◒"
TURNS: Final = 5.0  # pictures of the spinner in a second
BAR: Final = 16
ROOM: Final = 24
"""So many steps are shown one by one; of more, those that matter now."""


class Row(NamedTuple):
    """One line of the picture, from left to right."""

    name: Text
    bar: RenderableType
    time: str
    devices: Text
    remark: str


def live_tree(run: Run[Any], began: float, now: float) -> Table:
    """Return the picture of a run that began at a time, as it is now (monotonic seconds)."""
    table = Table.grid(padding=(0, 2, 0, 0))
    for justify in ("left", "left", "right", "left"):
        table.add_column(no_wrap=True, justify=justify)
    table.add_column(
        style="dim"
    )  # it gives way where the window is narrow, since its text and not the column says no_wrap
    for row in run_rows(run, "", "", now, began):
        table.add_row(
            row.name, row.bar, Text(row.time, "dim"), row.devices, Text(row.remark, no_wrap=True, overflow="ellipsis")
        )
    return table


def run_rows(run: Run[Any], head: str, below: str, now: float, began: float | None = None) -> Iterator[Row]:
    """Yield a run's own line, then those of its steps and children; `head` and `below` are the branches before them."""
    state = run.state
    steps = run.steps
    progress = run.progress
    time = "" if began is None else seconds_in_words(now - began)
    remark = "; ".join(run.reasons) or message_of(run, progress)
    label = Text.assemble(
        (head, "dim"), mark(state, now), " ", (run.id, "bold"), ("" if state is S.RUNNING else f" {state}", "dim")
    )
    yield Row(label, bar(state, progress), time, Text(", ".join(run.devices) if len(steps) == 1 else ""), remark)
    inside: Sequence[StepView] = steps if len(steps) > 1 else ()
    units = dict.fromkeys(steps.children)
    children = [child for child in run.children if child not in units and not child.hidden][-ROOM:]
    shown = chosen(inside)
    left_out = len(inside) - len(shown)
    entries: list[StepView | Run[Any] | str] = [*shown, *([others(inside, shown)] if left_out else []), *children]
    for number, entry in enumerate(entries):
        last = number == len(entries) - 1
        branch, deeper = below + ("└─ " if last else "├─ "), below + ("   " if last else "│  ")
        if isinstance(entry, str):
            yield Row(Text(branch + entry, "dim"), "", "", Text(), "")
        elif isinstance(entry, Run):
            yield from run_rows(entry, branch, deeper, now)
        elif entry.child is not None:
            yield from run_rows(entry.child, branch, deeper, now, entry.began)
        else:
            yield step_row(entry, inside, branch, now)


def message_of(run: Run[Any], progress: Progress | None) -> str:
    """Say what a run does."""
    if progress is None or run.state.terminal:
        return ""
    return progress.message or f"{progress.done:g} of {progress.total:g} steps"


def step_row(step: StepView, steps: Sequence[StepView], branch: str, now: float) -> Row:
    """Return a step's line."""
    style = "dim" if step.state in (S.WAITING, S.SKIPPED) else ""
    name = Text.assemble((branch, "dim"), mark(step.state, now), " ", (step.name, style), (values(step), "dim"))
    shared = f" ({', '.join(step.shared)})" if step.shared else ""
    devices = Text.assemble((", ".join(step.devices), style), (shared, "dim"))
    return Row(name, bar(step.state, step.progress), time_of(step, now), devices, remark_of(step, steps))


def mark(state: RunState, now: float) -> tuple[str, str]:
    """Return the sign of a state, and its style; that of a running one turns."""
    sign, style = LOOKS[state]
    return (SPINNER[int(now * TURNS) % len(SPINNER)] if state is S.RUNNING else sign), style


def bar(state: RunState, progress: Progress | None) -> RenderableType:
    """Return a bar while there is progress to be seen."""
    if progress is None or progress.total is None or state.terminal or state is S.WAITING:
        return ""
    return ProgressBar(total=progress.total, completed=progress.done, width=BAR, complete_style="cyan")


def time_of(step: StepView, now: float) -> str:
    """Say how long a step took, or how long it will still take, or for how long it runs."""
    if step.began is None:
        return ""
    if step.state.terminal:
        return seconds_in_words((step.ended or now) - step.began)
    left = step.progress.seconds_left if step.progress is not None else None
    if left is not None and step.progress is not None:
        return f"{seconds_in_words(max(0.0, left - (now - step.progress.at)))} left"
    return seconds_in_words(now - step.began)


def remark_of(step: StepView, steps: Sequence[StepView]) -> str:
    """Say what a step does now, or why it doesn't."""
    match step.state:
        case S.WAITING:
            return waits_for(step, steps)
        case S.RETRYING:
            return f"attempt {step.attempts} failed; it will be tried again"
        case S.RUNNING:
            said = step.progress.message if step.progress is not None else ""
            return f"{said} (attempt {step.attempts})".strip() if step.attempts > 1 else said
        case S.SUCCEEDED:
            return f"at attempt {step.attempts}" if step.attempts > 1 else ""
        case _:
            return str(step.state).replace("_", " ")


def waits_for(step: StepView, steps: Sequence[StepView]) -> str:
    """Say which steps one waits for, and because of which devices."""
    reasons: list[str] = []
    for index in step.after[:2]:
        other = steps[index]
        common = [name for name in step.devices if name in (*other.devices, *other.shared)]
        common += [name for name in step.shared if name in other.devices]
        after = f"{other.name}{values(other)}"
        reasons.append(f"{', '.join(common)} after {after}" if common else after)
    more = len(step.after) - len(reasons)
    return f"waits for {'; '.join(reasons)}{f' and {more} more' if more else ''}" if reasons else ""


def values(step: StepView) -> str:
    """Return the short values among a step's arguments, which tell it from others of its name."""
    short = [f"{value:g}" if isinstance(value, float) else str(value) for value in step.values]
    shown = [text for text in short if len(text) < 16][:3]  # noqa: PLR2004 - what fits in a line
    return f" {' '.join(shown)}" if shown else ""


def chosen(steps: Sequence[StepView]) -> list[StepView]:
    """Return the steps that are shown, in written order: what runs or failed, what is next, what ended last."""
    if len(steps) <= ROOM:
        return list(steps)
    quiet = (S.WAITING, S.SUCCEEDED, S.SKIPPED)
    states = list(enumerate(states_of(steps)))
    busy = [step for step, state in states if state not in quiet][:ROOM]
    coming = [step for step, state in states if state is S.WAITING][: max(0, (ROOM - len(busy)) // 2)]
    done = [step for step, state in states if state is S.SUCCEEDED]
    ended = nlargest(ROOM - len(busy) - len(coming), done, key=lambda step: ended_at(steps, step))
    return [steps[step] for step in sorted([*busy, *coming, *ended])]


def states_of(steps: Sequence[StepView]) -> list[RunState]:
    """Return the states of the steps; of a run's own without looking at each."""
    return steps.states if isinstance(steps, Steps) else [step.state for step in steps]


def ended_at(steps: Sequence[StepView], step: int) -> float:
    """Return when a step has ended."""
    return steps.ended(step) if isinstance(steps, Steps) else steps[step].ended or 0.0


def others(steps: Sequence[StepView], shown: Sequence[StepView]) -> str:
    """Count the steps that aren't shown, by their states."""
    counts = Counter(states_of(steps))
    counts.subtract(step.state for step in shown)
    return "… and " + ", ".join(f"{count} {state}" for state, count in counts.items() if count)
