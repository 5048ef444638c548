"""List the runs in a journal, the latest first."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from pydantic_core import to_json
from rich.table import Table
from rich.text import Text

from actorlab.cli.kept import moment_in_words, since_when, state_named, wide_console
from actorlab.cli.looks import LOOKS, seconds_in_words
from actorlab.core.run_state import RunState
from actorlab.journal import JournalReader, KeptRun

__all__ = ["Wanted", "list_runs", "state_text", "took"]

TITLES: Final = ("run", "state", "asked", "took", "what it is, or what went wrong")
ERROR: Final = 100
"""So much of an error stands in the list."""


class Wanted(NamedTuple):
    """Which runs are to be listed; `children` are those that other runs have started."""

    states: Sequence[str]
    since: str | None
    name: str | None
    limit: int
    children: bool


def list_runs(reader: JournalReader, wanted: Wanted, *, as_json: bool) -> int:
    """Print a line for each run that is wanted; return 0. Raise `ConfigError` if the wish makes no sense."""
    now = time.time()
    limit = wanted.limit or None
    found = reader.runs(
        state=[state_named(state) for state in wanted.states] or None,
        since=None if wanted.since is None else since_when(wanted.since, now),
        name=wanted.name,
        roots=not wanted.children,
        limit=None if limit is None else limit + 1,
        brief=True,
    )
    shown = found[:limit]
    if as_json:
        for run in shown:
            print(to_json(run_as_data(run)).decode())  # noqa: T201 - a command line prints
        return 0
    console = wide_console()
    if not shown:
        console.print("there are no such runs" if any((wanted.states, wanted.since, wanted.name)) else "no runs yet")
        return 0
    console.print(table_of(shown, now, alive=reader.owner() is not None))
    if len(found) > len(shown):
        console.print(Text(f"… and older ones: --limit {2 * wanted.limit} shows more, --limit 0 all", "dim"))
    return 0


def run_as_data(run: KeptRun) -> dict[str, Any]:
    """Return what the list says of a run, for other programs; times are seconds since 1970."""
    return {name: value for name, value in run._asdict().items() if name != "about"}


def table_of(runs: Sequence[KeptRun], now: float, *, alive: bool) -> Table:
    """Return the list as a table, `alive` if there is a lab; where the window is narrow, what went wrong gives way."""
    rows = [row_of(run, now, alive=alive) for run in runs]
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    for place, title in enumerate(TITLES):
        width = None if title == TITLES[-1] else max(len(title), *(len(row[place]) for row in rows))
        table.add_column(title, no_wrap=True, min_width=width, justify="right" if title == "took" else "left")
    for row in rows:
        table.add_row(*row)
    return table


def state_text(run: KeptRun, *, alive: bool) -> Text:
    """Say how a run stands; without a lab it can't be under way."""
    if not alive and not run.terminal:
        return Text("! cut off", "yellow")
    sign, style = LOOKS[RunState(run.state)]
    return Text(f"{sign} {run.state}", style)


def row_of(run: KeptRun, now: float, *, alive: bool) -> tuple[Text, ...]:
    """Return the line of a run."""
    wrong = run.error if run.error and run.state != RunState.SUCCEEDED else ""
    if not alive and not run.terminal:
        wrong = f"its lab ended in the middle of it; actorlab resume {run.id}"
    remark = wrong or run.task or run.kind
    return (
        Text(run.id),
        state_text(run, alive=alive),
        Text(moment_in_words(run.created)),
        Text(took(run, now) if alive or run.terminal else ""),
        Text(remark if len(remark) <= ERROR else f"{remark[: ERROR - 1]}…", "" if wrong else "dim"),
    )


def took(run: KeptRun, now: float) -> str:
    """Say how long a run took, or has taken so far."""
    if run.started is None:
        return ""
    return seconds_in_words(max(0.0, (now if run.ended is None else run.ended) - run.started))
