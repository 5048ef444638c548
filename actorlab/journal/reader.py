"""Read a journal, also while another process writes it: its runs, their events and rows, openings, durations."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final, NamedTuple, Self

import sqlalchemy as sa

from actorlab.core.run_state import TERMINAL
from actorlab.encoding import Resolve, decode, imported, loads
from actorlab.encoding.refusing import class_of
from actorlab.errors import JournalError
from actorlab.journal import schema
from actorlab.journal.asking import put_request, wait_for_answer
from actorlab.journal.chunks import Recorded, joined, rows_from
from actorlab.journal.database import Database, begin_or_check, place_of
from actorlab.journal.event_chunks import events_from
from actorlab.journal.kept_rows import KeptRows
from actorlab.journal.lock import SERVER_LOCK, Holder, held, holder_of
from actorlab.journal.opening import Opening, opening_from, user

__all__ = ["Durations", "JournalReader", "KeptDevice", "KeptEvent", "KeptRows", "KeptRun", "Recorded"]


def check_version(database: Database) -> None:
    """See that it can be read.

    Raises:
        JournalError: it is no journal, or of another version.

    """
    version = begin_or_check(database, read_only=True)
    if version < schema.VERSION:
        message = (
            f"{database.place} was written by an older actorlab (schema {version}; this one knows {schema.VERSION}): "
            "open it once for writing, with a lab, which brings it up to date"
        )
        raise JournalError(message)


TAG: Final = '"$":'
"""Stands in a text that isn't plain JSON all through."""
SERVER_LOCKS: Final = sa.text(
    "SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND granted AND objsubid = 2 "
    "AND database = (SELECT oid FROM pg_database WHERE datname = current_database()) "
    "AND classid::bigint = :lock AND objid::bigint = (hashtext(current_schema())::bigint & 4294967295)"
).bindparams(lock=SERVER_LOCK % (1 << 32))
"""Who holds the lock on a server: one that has crashed doesn't any more."""
BLOB: Final = '"$":"blob"'
"""Stands in a text that names large values."""


class KeptRun(NamedTuple):
    """A run as the listing has it; times are seconds since 1970, `about` is what else its "run" event says."""

    id: str
    name: str
    number: int
    kind: str
    parent: str | None
    opening: int
    state: str
    created: float
    started: float | None
    ended: float | None
    task: str | None
    asker: str | None
    error: str | None
    about: dict[str, Any]

    @property
    def terminal(self) -> bool:
        """Tell whether it has ended."""
        return self.state in TERMINAL


class KeptEvent(NamedTuple):
    """An event: its number in the whole journal, its run (or ""), when (seconds since 1970), its kind and payload."""

    number: int
    run: str
    time: float
    kind: str
    payload: Any


class KeptDevice(NamedTuple):
    """What was told of a device last, and when."""

    name: str
    opening: int
    told: float
    about: dict[str, Any]


class Durations(NamedTuple):
    """How long a task took on some devices: `times` times in all, and the latest ones in `seconds`, the newest last."""

    task: str
    devices: tuple[str, ...]
    times: int
    seconds: list[float]


class JournalReader:
    """A journal that is open for reading: `JournalReader.open(path)`.

    Classes of values are found by `resolve`; what can't be found is read as a `StandIn`.
    """

    def __init__(self, database: Database, resolve: Resolve) -> None:
        self._database = database
        self._resolve = resolve

    @classmethod
    def open(cls, where: str | Path, *, resolve: Resolve = imported) -> Self:
        """Open a journal, at a path or a ``postgresql://`` URL; others may write it.

        Raises:
            JournalError: there is none, it is something else, damaged, or of another version.

        """
        database = Database(place_of(where), read_only=True)
        try:
            check_version(database)
        except BaseException:
            database.close()
            raise
        return cls(database, resolve)

    @property
    def version(self) -> int:
        """Return the version of its schema: that of this actorlab, else it would not be open."""
        return schema.VERSION

    @property
    def folder(self) -> Path | None:
        """Return the folder of the journal's file, if it is one."""
        path = self._database.place.path
        return None if path is None else path.parent

    # -- runs

    def runs(
        self,
        *,
        state: str | Iterable[str] | None = None,
        name: str | None = None,
        since: float | None = None,
        until: float | None = None,
        text: str | None = None,
        parent: str | None = None,
        roots: bool = False,
        before: str | None = None,
        limit: int | None = None,
        brief: bool = False,
    ) -> list[KeptRun]:
        """Return the runs that fit, the latest first: in some states, of a name, created since (seconds since 1970).

        `text` stands in the id, the task, the error or the asker, in small or capital letters. `before` is the id of a
        run: the list goes on with those that are older. A `brief` list leaves out what they are about.

        Raises:
            JournalError: there is no run `before`.

        """
        table = schema.runs
        asked = sa.select(*list(table.c)[:-1], sa.literal("{}")) if brief else sa.select(table)
        asked = asked.order_by(table.c.created.desc(), table.c.number.desc())
        if state is not None:
            asked = asked.where(table.c.state.in_([state] if isinstance(state, str) else list(state)))
        if name is not None:
            asked = asked.where(table.c.name == name)
        if since is not None:
            asked = asked.where(table.c.created >= since)
        if until is not None:
            asked = asked.where(table.c.created < until)
        if text:
            places = (table.c.id, table.c.task, table.c.error, table.c.asker)
            asked = asked.where(sa.or_(*[place.icontains(text, autoescape=True) for place in places]))
        if parent is not None:
            asked = asked.where(table.c.parent == parent)
        if roots:
            asked = asked.where(table.c.parent.is_(None))
        if before is not None:
            last = self.run(before)
            asked = asked.where(sa.tuple_(table.c.created, table.c.number) < sa.tuple_(last.created, last.number))
        return [self._run(row) for row in self._all(asked.limit(limit))]

    def unfinished(self) -> list[KeptRun]:
        """Return the runs that haven't ended, or whose end was never written; the first first."""
        table = schema.runs
        asked = sa.select(table).where(table.c.state.not_in([state.value for state in TERMINAL]))
        return [self._run(row) for row in self._all(asked.order_by(table.c.created, table.c.number))]

    def run(self, run: str) -> KeptRun:
        """Return one run.

        Raises:
            JournalError: there is none of this id.

        """
        for row in self._all(sa.select(schema.runs).where(schema.runs.c.id == run)):
            return self._run(row)
        message = f"there is no run {run!r} in {self._database.place}"
        raise JournalError(message)

    def children(self, run: str) -> list[KeptRun]:
        """Return the child runs of a run, the first first."""
        return self.runs(parent=run)[::-1]

    def _run(self, row: Any) -> KeptRun:
        return KeptRun._make((*row[:-1], self._about(row[-1])))

    # -- what happened

    def events(self, run: str | None = None, *, kinds: Iterable[str] | None = None) -> list[KeptEvent]:
        """Return the events of a run, of the lab itself (""), or of everything (None), in their order."""
        table = schema.events
        asked = sa.select(table).order_by(table.c.first)
        if run is not None:
            asked = asked.where(table.c.run == run)
        wanted = None if kinds is None else frozenset(kinds)
        openings = {opening.id: opening for opening in self.openings()}
        found: list[KeptEvent] = []
        for row in self._all(asked):
            opening = openings[row.opening]
            plain, blobs = TAG not in row.body, BLOB in row.body
            for number, at, kind, payload in events_from(row.first, row.body):
                if wanted is None or kind in wanted:
                    told = payload if plain else self._decoded(payload, blobs=blobs)
                    found.append(KeptEvent(number, row.run, opening.wall(at), kind, told))
        if run is None:
            found.sort(key=lambda event: event.number)
        return found

    def gaps(self) -> list[KeptEvent]:
        """Return where events were lost, as nothing could be written for too long, the first first."""
        table = schema.events
        asked = sa.select(sa.func.count()).where(table.c.run == "", table.c.body.contains('["gap",', autoescape=True))
        ((found,),) = self._all(asked)
        return self.events("", kinds=("gap",)) if found else []

    def recorded(self, run: str) -> Recorded:
        """Return the rows that a run has recorded so far."""
        table = schema.rows
        asked = sa.select(table.c.columns, table.c.data).where(table.c.run == run).order_by(table.c.first)
        return joined([rows_from(columns, data, self._resolve) for columns, data in self._all(asked)])

    def rows(self, run: str) -> KeptRows:
        """Return the rows that a run has recorded, one by one: few of them are in memory at a time."""
        return KeptRows(self._database, run, self._resolve)

    def count_recorded(self, run: str) -> int:
        """Return how many rows a run has recorded so far."""
        return len(self.rows(run))

    def blob(self, sha256: str) -> Any:
        """Return a large value by its digest.

        Raises:
            JournalError: there is none.

        """
        for (data,) in self._all(sa.select(schema.blobs.c.data).where(schema.blobs.c.sha256 == sha256)):
            return loads(bytes(data), resolve=self._resolve, lenient=True)
        message = f"there is no value {sha256} in {self._database.place}"
        raise JournalError(message)

    def source(self, file: str, at: float) -> dict[str, Any] | None:
        """Return what was told of a source nearest to a time (seconds since 1970): its digest, its git state."""
        table = schema.events
        asked = sa.select(table).where(table.c.run == "", table.c.body.contains('["source",', autoescape=True))
        openings = {opening.id: opening for opening in self.openings()}
        mine = [opening.id for opening in openings.values() if opening.started <= at][-1:]
        near: dict[str, Any] | None = None
        best = float("inf")
        for row in self._all(asked.where(table.c.opening.in_(mine))):
            for _, then, kind, payload in events_from(row.first, row.body):
                away = abs(openings[row.opening].wall(then) - at)
                if kind == "source" and payload["file"] == file and away < best:
                    near, best = payload, away
        return near

    # -- the rest

    def openings(self) -> list[Opening]:
        """Return all openings, the first first."""
        return [opening_from(row) for row in self._all(sa.select(schema.openings).order_by(schema.openings.c.id))]

    def durations(self, task: str | None = None) -> list[Durations]:
        """Return how long tasks took lately on which devices."""
        table = schema.durations
        asked = sa.select(table).order_by(table.c.task, table.c.devices)
        found = self._all(asked if task is None else asked.where(table.c.task == task))
        return [
            Durations(name, tuple(devices.split(",")) if devices else (), count, json.loads(seconds))
            for name, devices, count, seconds in found
        ]

    def devices(self) -> list[KeptDevice]:
        """Return what was told last of each device."""
        found = self._all(sa.select(schema.devices).order_by(schema.devices.c.name))
        return [KeptDevice._make((*row[:-1], self._about(row[-1]))) for row in found]

    def owner(self) -> Holder | None:
        """Return who has the journal open for writing now, if anybody does."""
        path = self._database.place.path
        if path is not None:
            lock = path.with_name(path.name + ".lock")
            return holder_of(lock) if held(lock) else None
        last = self.openings()[-1:]
        if not last or last[0].clean or not self._all(SERVER_LOCKS):
            return None
        return last[0].holder

    def ask(self, kind: str, payload: Any = None, *, timeout: float = 10.0) -> Any:
        """Ask the lab that writes the journal for something, and return its answer.

        Raises:
            JournalError: no lab writes it, or there is no answer within `timeout` seconds.
            Exception: what the answer says went wrong.

        """
        owner = self.owner()
        if owner is None:
            message = f"no lab has {self._database.place} open: nobody would answer"
            raise JournalError(message)
        database = Database(self._database.place)
        try:
            number = put_request(database, kind, payload, user(), timeout)
            return wait_for_answer(self._database, number, timeout)
        finally:
            database.close()

    def close(self) -> None:
        """Close it."""
        self._database.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _all(self, asked: Any) -> list[Any]:
        with self._database.transaction() as connection:
            return list(connection.execute(asked).all())

    def _decoded(self, tree: Any, *, blobs: bool) -> Any:
        """Read a payload, with the large values that it may name."""
        return decode(self._filled(tree) if blobs else tree, resolve=self._resolve, lenient=True)

    def _about(self, text: str) -> Any:
        return self._decoded(json.loads(text), blobs=BLOB in text)

    def _filled(self, tree: Any) -> Any:
        """Put the large values into the places where they are named."""
        kind = class_of(tree)
        if kind is list:
            return [self._filled(item) for item in tree]
        if kind is not dict:
            return tree
        if tree.get("$") == "blob":
            asked = sa.select(schema.blobs.c.data).where(schema.blobs.c.sha256 == tree["sha256"])
            return next((json.loads(bytes(data)) for (data,) in self._all(asked)), tree)
        return {name: self._filled(value) for name, value in tree.items()}
