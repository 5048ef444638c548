"""Tell all that a journal knows of a run: its steps, when and by whom, its devices, its errors, its data."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from pydantic_core import to_json
from rich.table import Table
from rich.text import Text

from actorlab.cli.kept import moment_in_words, wide_console
from actorlab.cli.looks import LOOKS, seconds_in_words
from actorlab.cli.runs_table import state_text, took
from actorlab.cli.telling import paragraphs
from actorlab.core.run_state import RunState
from actorlab.errors import ConfigError
from actorlab.journal import JournalReader, KeptRun
from actorlab.journal.kept_rows import RowsSummary
from actorlab.runtime.asked import DeviceName
from actorlab.runtime.facts import Facts, trace_of
from actorlab.runtime.history import History, StepHistory, history_of
from actorlab.runtime.shown_values import argument_text, arguments_text, shortened

__all__ = ["show_run"]

ROOM: Final = 60
"""So many steps, or child runs, of one run are shown."""


def show_run(reader: JournalReader, run: KeptRun, output: Path | None, *, as_json: bool) -> int:
    """Print what is known of a run, or draw it; return 0. Raise `ConfigError` if it can't be drawn."""
    if output is not None and output.suffix.lower() != ".svg":
        message = f"-o {output}: it draws .svg; its rows are written by `actorlab export`"
        raise ConfigError(message)
    history = history_of(reader, run)
    if output is not None:
        from actorlab.runtime.run_picture import run_svg  # noqa: PLC0415 - for those who want it

        output.parent.mkdir(parents=True, exist_ok=True)
        output.write_text(run_svg(history, time.time()), encoding="utf-8")
        print(f"{output}: {len(history.steps)} steps of {run.id}")  # noqa: T201 - a command line prints
        return 0
    facts = Shown(reader, history)
    if as_json:
        print(to_json(facts.as_data(), fallback=readable, inf_nan_mode="null").decode())  # noqa: T201 - as above
        return 0
    console = wide_console()
    for part in facts.parts(time.time()):
        console.print(part)
    return 0


class Shown(Facts):
    """What is told of a run, to a person."""

    def __init__(self, reader: JournalReader, history: History) -> None:
        super().__init__(reader, history)
        self.owner = reader.owner()

    def parts(self, now: float) -> Iterator[Any]:
        """Yield it for a person, from top to bottom."""
        history, run = self.history, self.history.run
        alive = self.owner is not None
        yield Text.assemble(
            (run.id, "bold"), "  ", state_text(run, alive=alive), f"  {took(run, now)}" if alive or run.terminal else ""
        )
        yield self._facts()
        if history.incomplete:
            yield Text(f"the journal isn't complete: {history.incomplete}", "yellow")
        if len(history.steps) > 1 or history.children or any(step.run for step in history.steps):
            yield Text("\nsteps", "bold")
            yield tree_of(history, now)
        if history.devices:
            yield Text("\ndevices, before it began", "bold")
            yield from map(device_text, history.devices.items())
        if self.data.rows:
            yield Text(f"\ndata: {self.data.rows} rows", "bold")
            yield data_table(self.data)
        for title, error in errors_of(history):
            yield Text(f"\n{title}", "bold red")
            yield Text(error_text(error))

    def _facts(self) -> Table:
        table = Table.grid(padding=(0, 2, 0, 0))
        table.add_column(style="dim")
        table.add_column(overflow="fold")
        for name, value in self._told():
            if value:
                table.add_row(name, Text(value))
        return table

    def _told(self) -> Iterator[tuple[str, str]]:
        history, run, opening = self.history, self.history.run, self.opening
        yield "task", run.task or run.kind
        yield "source", source_text(history.told.get("file", ""), self.source)
        yield "arguments", arguments_text(history.told)
        options: dict[str, Any] = history.told.get("options") or {}
        yield "options", ", ".join(f"{name}={argument_text(value)}" for name, value in options.items())
        yield "part of", run.parent or ""
        yield "asked", f"{moment_in_words(run.created)}{f' by {run.asker}' if run.asker else ''}"
        yield "began", moment_in_words(run.started)
        yield "ended", moment_in_words(run.ended)
        if opening is not None:
            about = ", ".join(
                f"{name} {opening.about[name]}" for name in ("actorlab", "python") if name in opening.about
            )
            yield "lab", f"{opening.holder}; {about}"
        yield "why", "" if run.state in (RunState.SUCCEEDED, RunState.RUNNING) else history.reason or run.error or ""


def readable(value: Any) -> Any:
    """Return what JSON has for a value."""
    if isinstance(value, DeviceName):
        return {"device": argument_text(value)}
    return value.tolist() if hasattr(value, "tolist") else shortened(value)


# -- steps


def tree_of(history: History, now: float) -> Table:
    """Return the tree of steps and child runs."""
    table = Table.grid(padding=(0, 2, 0, 0))
    for justify in ("left", "right", "left", "left"):
        table.add_column(justify=justify, overflow="fold")
    for row in branches(history, "", now):
        table.add_row(*row)
    return table


def branches(history: History, below: str, now: float) -> Iterator[tuple[Text, str, str, Text]]:
    """Yield the lines below a run."""
    steps: Sequence[StepHistory] = history.steps if is_tree(history) else ()
    chosen: list[StepHistory | History] = [*steps, *history.children]
    shown = chosen if len(chosen) <= ROOM else [*worth_seeing(chosen)]
    for number, each in enumerate(shown):
        last = number == len(shown) - 1 and len(shown) == len(chosen)
        run = each.run if isinstance(each, StepHistory) else each
        yield line(each, below + ("└─ " if last else "├─ "), now)
        if isinstance(run, History):
            yield from branches(run, below + ("   " if last else "│  "), now)
    if len(shown) < len(chosen):
        yield Text(f"{below}└─ … and {len(chosen) - len(shown)} more", "dim"), "", "", Text("")


def is_tree(history: History) -> bool:
    """Tell whether a run had more than the one step that is its own body."""
    return len(history.steps) > 1 or any(step.run is not None for step in history.steps)


def worth_seeing(chosen: Sequence[StepHistory | History]) -> Iterator[StepHistory | History]:
    """Yield what is shown of many: what didn't simply go well, then the first ones, in their order."""
    odd = [each for each in chosen if state_of(each) not in (RunState.SUCCEEDED, RunState.WAITING)][:ROOM]
    known = {id(each) for each in odd}
    rest = [each for each in chosen if id(each) not in known][: ROOM - len(odd)]
    known |= {id(each) for each in rest}
    return (each for each in chosen if id(each) in known)


def state_of(each: StepHistory | History) -> RunState:
    """Return how a step or a child run stands."""
    return each.state if isinstance(each, StepHistory) else RunState(each.run.state)


def line(each: StepHistory | History, head: str, now: float) -> tuple[Text, str, str, Text]:
    """Return the line of a step or a child run."""
    sign, style = LOOKS[state_of(each)]
    if isinstance(each, StepHistory):
        name = f"{each.number} {each.name}"
        began, ended = each.began, each.ended
        devices = ", ".join([*each.devices, *(f"({name})" for name in each.shared)])
        remark = f"{each.attempts} attempts" if each.attempts > 1 else ""
        error = "" if each.error is None else f"{type(each.error).__name__}: {each.error}"
    else:
        name, began, ended, devices = each.run.id, each.run.started, each.run.ended, ""
        remark, error = "", each.run.error or ""
    seconds = "" if began is None else seconds_in_words(max(0.0, (now if ended is None else ended) - began))
    if began is not None and ended is None and state_of(each).terminal:
        seconds = ""  # nobody knows when it was cut off
    state = "" if state_of(each) is RunState.SUCCEEDED else f" {state_of(each)}"
    label = Text.assemble((head, "dim"), (sign, style), f" {name}", (state, style))
    return label, seconds, devices, Text("; ".join(filter(None, (remark, error))), "dim")


# -- the rest


def source_text(file: str, source: Mapping[str, Any] | None) -> str:
    """Say from which source a task came."""
    if not source or not source.get("sha256"):
        return file
    git: dict[str, Any] = source.get("git") or {}
    changed = " with changes that aren't committed" if git.get("dirty") else ""
    commit = f", git commit {git['commit'][:12]}{changed}" if git.get("commit") else ""
    return f"{file}, sha256 {source['sha256'][:12]}{commit}"


def device_text(item: tuple[str, Mapping[str, Any]]) -> Text:
    """Say what a device said of itself."""
    name, told = item
    settings = ", ".join(f"{key}={argument_text(value)}" for key, value in told.get("settings", {}).items())
    return Text.assemble((name, "cyan"), f"  {told.get('class', '')}  ", (settings, "dim"))


def data_table(data: RowsSummary) -> Table:
    """Return the columns of the data, with their last values."""
    table = Table.grid(padding=(0, 2, 0, 0))
    for name, unit in data.columns.items():
        table.add_row(
            Text(name), Text(f"[{unit}]" if unit else "", "dim"), Text(f"last {argument_text(data.last[name])}")
        )
    return table


def errors_of(history: History) -> Iterator[tuple[str, BaseException | str]]:
    """Yield the errors of a run and of those inside it, each with where it was, each once."""
    failed = [step for step in history.steps if step.error is not None and step.run is None]
    for step in failed:
        if step.error is not None:
            yield f"error in {step.name} (step {step.number} of {history.run.id})", step.error
    inside = [step.run for step in history.steps if step.run is not None]
    for child in [*inside, *history.children][:ROOM]:
        if child.run.state not in (RunState.SUCCEEDED, RunState.CANCELLED):
            yield from errors_of(child)
    if not failed and isinstance(history.error, BaseException) and not inside:
        yield f"error of {history.run.id}", history.error


def error_text(error: BaseException | str) -> str:
    """Write an error with its notes, causes and traceback."""
    if isinstance(error, str):
        return error
    cause = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    before = "" if cause is None else f"{error_text(cause)}\n\nwhich led to\n\n"
    return before + trace_of(error) + "\n  ".join(paragraphs(error))
