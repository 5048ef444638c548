"""Keep what happens in a lab on disk: events of runs, rows they recorded, and what is needed to go on after a crash.

A journal is an SQLite file (in WAL mode) or a PostgreSQL database. One process writes it, through a `Journal`;
others read it, through a `JournalReader`, and may ask the one that writes. The tables are in `schema`.

An event is ``journal.append(run, kind, payload, now)``: `run` is the id of a run, or "" for the lab itself; `kind` any
word; the payload a dict, list or tuple of JSON's own types, whose values of users are frozen by `freeze` where they
were made. Dicts of events must not be changed afterwards. Three kinds also keep the listings up to date; besides what
is said here their payloads hold whatever else is worth keeping:

- "run", of a new run: a dict with `kind` ("task", "workflow", "service", …), and where there are any `parent` (an id),
  `task` ("module:qualname"), `asker` (who asked for it) and `state` (else "waiting"). All else of it is the `about` of
  the listing, so arguments are better frozen into it: large ones are named by their digest then.
- "state", whenever a run's state changes: a dict with `state` (a `RunState` or its text), and with `error` (an
  exception, or its text) where it failed. The listing's `started` is the first "running", `ended` the last end.
- "device", run "": a dict with the `name` of a device, and what is known of it.

Rows of ``record`` go by `Journal.record`, and durations of steps by `Journal.took`. The journal itself appends "gap"
(how many events were lost because nothing could be written for too long).
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from actorlab.journal.freezing import Blob, freeze
from actorlab.journal.group import Written
from actorlab.journal.inbox import Request
from actorlab.journal.journal import Journal
from actorlab.journal.lock import Holder
from actorlab.journal.opening import Opening

if TYPE_CHECKING:
    from actorlab.journal.reader import Durations, JournalReader, KeptDevice, KeptEvent, KeptRows, KeptRun, Recorded

__all__ = [
    "Blob",
    "Durations",
    "Holder",
    "Journal",
    "JournalReader",
    "KeptDevice",
    "KeptEvent",
    "KeptRows",
    "KeptRun",
    "Opening",
    "Recorded",
    "Request",
    "Written",
    "freeze",
]


def __getattr__(name: str) -> Any:
    """Import what needs SQLAlchemy only when it is asked for."""
    if name in __all__:
        return getattr(import_module("actorlab.journal.reader"), name)
    message = f"module {__name__!r} has no attribute {name!r}"
    raise AttributeError(message)
