"""Open the journal that is meant, and find the run in it that is meant."""

from __future__ import annotations

import datetime as dt
import difflib
import re
import time
from pathlib import Path
from typing import Final

from rich.console import Console

from actorlab.cli.places import journal_there
from actorlab.core.run_state import RunState
from actorlab.encoding import only_ours
from actorlab.errors import ConfigError, JournalError
from actorlab.journal import JournalReader, KeptRun

__all__ = ["find_run", "moment_in_words", "opened_journal", "since_when", "state_named", "wide_console"]

ENDLESS: Final = 10_000
LATEST: Final = 5
LOOKED_AT: Final = 2000
"""Among so many of the latest runs is looked for one whose id is close to what was typed."""
UNITS: Final = {"s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86_400.0, "w": 604_800.0}


def opened_journal(journal: str | None, lab: Path | None) -> JournalReader:
    """Open the journal that options, the environment and the lab's file name.

    Raises:
        JournalError: there is none, or it can't be read.

    """
    place = journal_there(journal, lab)
    if "://" not in place and not Path(place).expanduser().exists():
        message = (
            f"there is no journal {place}: `actorlab run` begins one; or name another by --journal, or its lab by --lab"
        )
        raise JournalError(message)
    return JournalReader.open(place, resolve=only_ours)


def find_run(reader: JournalReader, text: str) -> KeptRun:
    """Return the run of an id.

    Raises:
        ConfigError: there is none; the message names close ones, or the latest.

    """
    try:
        return reader.run(text)
    except JournalError:
        pass
    known = [run.id for run in reader.runs(limit=LOOKED_AT, brief=True)]
    close = [run.id for run in reader.runs(name=text, limit=LATEST, brief=True)]
    close = close or difflib.get_close_matches(text, known, LATEST)
    if close:
        hint = f"did you mean {', '.join(close)}?"
    elif known:
        hint = f"the latest are {', '.join(known[:LATEST])}"
    else:
        hint = "there are no runs at all"
    message = f"there is no run {text!r}; {hint}"
    raise ConfigError(message)


def state_named(text: str) -> str:
    """Return a state by its name. Raise `ConfigError` if there is none."""
    wanted = text.strip().lower().replace("-", "_")
    if wanted in {state.value for state in RunState}:
        return wanted
    close = difflib.get_close_matches(wanted, [state.value for state in RunState], 1)
    hint = f"did you mean {close[0]!r}?" if close else f"there are {', '.join(RunState)}"
    message = f"--state {text}: there is no such state; {hint}"
    raise ConfigError(message)


def since_when(text: str, now: float) -> float:
    """Return the time (seconds since 1970) that is meant by a duration, such as 2h, or by a date.

    Raises:
        ConfigError: it is neither.

    """
    told = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(s|min|m|h|d|w)", text.strip())
    if told:
        return now - float(told[1]) * UNITS[told[2]]
    try:
        return dt.datetime.fromisoformat(text.strip()).astimezone().timestamp()
    except (ValueError, OverflowError, OSError) as error:
        message = (
            f"--since {text}: say how long ago, as in 90s, 30min, 2h, 3d, 1w, or a date: 2026-11-20, 2026-11-20T18:30"
        )
        raise ConfigError(message) from error


def wide_console() -> Console:
    """Return a console whose lines are never broken where no terminal shows them: others read them line by line."""
    console = Console(soft_wrap=True, highlight=False)
    return console if console.is_terminal else Console(soft_wrap=True, highlight=False, width=ENDLESS)


def moment_in_words(at: float | None) -> str:
    """Write a time as the clock on the wall shows it."""
    return "" if at is None else time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(at))
