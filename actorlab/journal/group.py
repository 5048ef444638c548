"""Sort what has gathered since the last commit by where it goes: events, rows, and what the listings say."""

from __future__ import annotations

import enum
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any, Final, TypeAlias, cast

from actorlab.core.run_state import TERMINAL
from actorlab.encoding import StandIn, StandInError, dumps
from actorlab.errors import JournalError, text_of
from actorlab.journal.chunks import RowTuple
from actorlab.journal.event_chunks import Encoder, Events
from actorlab.journal.opening import Opening

__all__ = ["FIELDS", "Group", "Mark", "Written"]

Written: TypeAlias = Callable[[JournalError | None], object]
"""Is called when all that was appended before is on disk, or with the error that keeps it from there."""


class Mark(enum.Enum):
    """What stands in the place of an event's kind where it is something else."""

    ROW = enum.auto()
    TOOK = enum.auto()
    ANSWER = enum.auto()
    WRITTEN = enum.auto()
    NOTHING = enum.auto()


FIELDS: Final = 4
"""An item is so many elements of a flat list: a run, the kind of the event, its payload, and when that was.

A tuple for each would be one more object for the garbage collector to look at.
"""
FINAL: Final = frozenset(state.value for state in TERMINAL)
LISTED: Final = frozenset(("run", "state", "device"))
COLUMNS: Final = frozenset(("name", "kind", "parent", "task", "asker", "state"))
"""What of a "run" event has a column of its own in the listing."""


class Group:
    """What is written together; `row_count` tells how many rows of a run there are already."""

    def __init__(self, opening: Opening, number: int, row_count: Callable[[str], int], encoder: Encoder) -> None:
        self.opening = opening
        self.number = number
        """Of the last event."""
        self.size = 0
        """How many items it was made of."""
        self.events: dict[str, Events] = {}
        self.rows: dict[tuple[str, str, tuple[str, ...]], list[RowTuple]] = {}
        self.row_counts: dict[str, int] = {}
        self.created: dict[str, dict[str, Any]] = {}
        self.changed: dict[str, dict[str, Any]] = {}
        self.devices: dict[str, dict[str, Any]] = {}
        self.took: dict[tuple[str, str], list[float]] = {}
        self.answers: list[dict[str, Any]] = []
        self.small: dict[str, list[int]] = {}
        """Where the small chunks of rows of each run begin."""
        self.waiting: list[Written] = []
        self._row_count = row_count
        self.encoder = encoder
        self.durations: dict[tuple[str, str], tuple[int, deque[float]]] = {}
        """What is known of durations once this is written."""

    def add(self, items: list[Any]) -> None:
        """Sort items in their order; on the hot path, where they are mostly events of one run."""
        runs, kinds, payloads, times = (items[field::FIELDS] for field in range(FIELDS))
        self.size = len(runs)
        if Mark not in set(map(type, kinds)) and len(set(runs)) == 1:
            self.events[runs[0]] = Events(range(self.number + 1, self.number + len(runs) + 1), kinds, payloads, times)
            self.number += len(runs)
        else:
            self._take_apart(zip(runs, kinds, payloads, times, strict=True))
        for run, events in self.events.items():
            if not LISTED.isdisjoint(events.kinds):
                for kind, payload, at in zip(events.kinds, events.payloads, events.times, strict=True):
                    if kind in LISTED:
                        self._list(run, kind, payload, at)

    def _take_apart(self, items: Iterable[tuple[str, str | Mark, Any, float]]) -> None:
        """Sort items of several runs, or of which some aren't events."""
        found: dict[str, list[tuple[int, str, Any, float]]] = {}
        number = self.number
        for run, kind, payload, at in items:
            if isinstance(kind, Mark):
                self._sort(run, kind, payload, at)
                continue
            number += 1
            mine = found.get(run)
            if mine is None:
                mine = found[run] = []
            mine.append((number, kind, payload, at))
        self.number = number
        for run, mine in found.items():
            self.events[run] = Events(*zip(*mine, strict=True))

    def _sort(self, run: str, kind: Mark, payload: Any, at: float) -> None:
        match kind:
            case Mark.ROW:
                self._row(run, payload, at)
            case Mark.TOOK:
                self.took.setdefault((clean(run), clean(payload)), []).append(at)
            case Mark.WRITTEN:
                self.waiting.append(payload)
            case Mark.ANSWER:
                number, well, answer = payload
                told = {"which": number, "good": well, "told": dumps(answer, lenient=True), "at": at}
                self.answers.append(told)
            case Mark.NOTHING:
                pass

    def _row(self, run: str, payload: tuple[str, dict[str, Any]], at: float) -> None:
        body, values = payload
        number = self.row_counts.get(run)
        if number is None:
            number = self._row_count(run)
        self.row_counts[run] = number + 1
        self.rows.setdefault((run, body, (*values,)), []).append((number, at, (*values.values(),)))

    # -- what the listings say

    def _list(self, run: str, kind: str, payload: Any, at: float) -> None:
        if not isinstance(payload, dict):
            return
        told = cast("dict[str, Any]", payload)
        match kind:
            case "run":
                self._create(run, told, self.opening.wall(at))
            case "state":
                self._change(run, told, self.opening.wall(at))
            case _:
                name = clean(told.get("name", run))
                about = {key: value for key, value in told.items() if key != "name"}
                told_at = self.opening.wall(at)
                self.devices[name] = {
                    "name": name, "opening": self.opening.id, "told": told_at, "about": self.encoder.text(about),
                }  # fmt: skip

    def _create(self, run: str, told: dict[str, Any], wall: float) -> None:
        name, _, number = run.rpartition("#")
        about = {key: value for key, value in told.items() if key not in COLUMNS}
        self.created[run] = {
            "id": clean(run), "name": clean(told.get("name") or name or run),
            "number": int(number) if name and number.isdecimal() else 0,
            "kind": clean(told.get("kind", "task")), "parent": clean_or_none(told.get("parent")),
            "opening": self.opening.id, "state": clean(told.get("state", "waiting")), "created": wall, "started": None,
            "ended": None, "task": clean_or_none(told.get("task")), "asker": clean_or_none(told.get("asker")),
            "error": None, "about": self.encoder.text(about),
        }  # fmt: skip

    def _change(self, run: str, told: dict[str, Any], wall: float) -> None:
        state = clean(told.get("state", "?"))
        change = self.created.get(run)
        if change is None:
            change = self.changed.setdefault(run, {"id": clean(run), "started": None})
        change["state"] = state
        change["ended"] = wall if state in FINAL else None
        change["error"] = clean_or_none(error_line(told.get("error")))
        if state == "running" and change["started"] is None:
            change["started"] = wall


def error_line(error: object) -> str | None:
    """Write an error in one line, be it an exception, encoded, or text."""
    match error:
        case None:
            return None
        case StandIn() | StandInError():
            text = str(error)
        case BaseException():
            text = text_of(error)
        case {"class": str(name), "message": str(message)}:
            text = f"{name.rpartition(':')[2].rpartition('.')[2]}: {message}".removesuffix(": ")
        case _:
            text = str(error)
    return text.strip().partition("\n")[0]


def clean(value: object) -> str:
    """Make text of which every database can keep every character."""
    text = str(value)
    return (
        text
        if text.isascii() and "\0" not in text
        else text.encode("utf-8", "backslashreplace").decode().replace("\0", "\\0")
    )


def clean_or_none(value: object) -> str | None:
    """Clean a text, if there is one."""
    return None if value is None else clean(value)
