"""Write a group of events and rows into the tables, in one transaction."""

from __future__ import annotations

import json
import sqlite3
import zlib
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql
from sqlalchemy.dialects import sqlite as sqlite_dialect
from sqlalchemy.exc import SQLAlchemyError

from actorlab.encoding import dumps
from actorlab.journal import schema
from actorlab.journal.chunks import Encoder, rows_chunk
from actorlab.journal.database import Database, clear
from actorlab.journal.group import Group, Item
from actorlab.journal.lock import in_use
from actorlab.journal.opening import Opening

__all__ = ["Store"]

REMEMBERED: Final = 64
"""So many of the latest durations are kept of each task on each devices."""
LOCK: Final = zlib.crc32(b"actorlab journal")


class Store:
    """The one connection that writes; used by one thread at a time."""

    def __init__(self, database: Database, opening: Opening) -> None:
        self.database = database
        self.opening = opening
        self.number = 0
        self._connection: sa.Connection | None = None
        self._row_counts: dict[str, int] = {}
        self._durations: dict[tuple[str, str], tuple[int, deque[float]]] = {}
        self._written_blobs: set[str] = set()

    # -- the connection

    def connect(self) -> sa.Connection:
        """Return the connection; on a server it carries the lock that makes it the only one.

        Raises:
            JournalInUse: another process has the lock.

        """
        if self._connection is None:
            connection = self.database.engine.connect()
            try:
                if not self.database.is_file:
                    take_lock(self.database, connection)
            except BaseException:
                connection.close()
                raise
            self._connection = connection
        return self._connection

    def disconnect(self) -> None:
        """Let the connection go, whatever its state."""
        connection, self._connection = self._connection, None
        if connection is not None:
            try:
                connection.close()
            except (SQLAlchemyError, sqlite3.Error):
                connection.invalidate()

    def do(self, work: Callable[[sa.Connection], None]) -> None:
        """Do some work in a transaction.

        Raises:
            JournalError: the database says no; nothing of it is done.

        """
        try:
            connection = self.connect()
            with connection.begin():
                work(connection)
        except (SQLAlchemyError, sqlite3.Error) as error:
            self.disconnect()
            raise clear(self.database.place, error) from error

    # -- a group

    def write(self, items: Iterable[Item]) -> Group:
        """Write items in one transaction.

        Raises:
            JournalError: the database says no; nothing of it is written.

        """
        encoder = Encoder()
        group = Group(self.opening, self.number, self._row_count, encoder)
        durations: dict[tuple[str, str], tuple[int, deque[float]]] = {}

        def work(connection: sa.Connection) -> None:
            group.add(items)
            durations.update(self._put_durations(connection, group))
            self._put(connection, group, encoder)

        self.do(work)
        self.number = group.number
        self._row_counts |= group.row_counts
        self._durations |= durations
        self._written_blobs |= encoder.blobs.keys()
        for run, change in group.changed.items():
            if change["ended"] is not None:
                self._row_counts.pop(run, None)
        return group

    def _put(self, connection: sa.Connection, group: Group, encoder: Encoder) -> None:
        """Put a group into the tables."""
        chunks = [
            {
                "run": run,
                "first": mine[0][0],
                "last": mine[-1][0],
                "opening": self.opening.id,
                "body": encoder.events(mine),
            }
            for run, mine in group.events.items()
        ]
        if chunks:
            connection.execute(sa.insert(schema.events), chunks)
        self._put_blobs(connection, encoder)
        if group.created:
            self._upsert(connection, schema.runs, list(group.created.values()))
        if group.changed:
            connection.execute(CHANGE, [renamed(change) for change in group.changed.values()])
        for (run, body, names), mine in group.rows.items():
            columns, data = rows_chunk(body, names, mine)
            connection.execute(sa.insert(schema.rows), {
                "run": run, "first": mine[0][0], "last": mine[-1][0], "count": len(mine), "columns": columns,
                "data": data,
            })  # fmt: skip
        if group.devices:
            self._upsert(connection, schema.devices, list(group.devices.values()))
        if group.answers:
            connection.execute(ANSWER, group.answers)

    def _put_blobs(self, connection: sa.Connection, encoder: Encoder) -> None:
        blobs = [blob for key, blob in encoder.blobs.items() if key not in self._written_blobs]
        if blobs:
            values = [{"sha256": blob.sha256, "size": len(blob.text), "data": blob.text} for blob in blobs]
            connection.execute(self._insert(schema.blobs).on_conflict_do_nothing(), values)

    def _insert(self, table: sa.Table) -> Any:
        """Return an INSERT that knows what to do where a row is there already."""
        return sqlite_dialect.insert(table) if self.database.is_file else postgresql.insert(table)

    def _upsert(self, connection: sa.Connection, table: sa.Table, values: list[dict[str, Any]]) -> None:
        """Insert rows, or write over those of the same key."""
        insert = self._insert(table)
        keys = [column.name for column in table.primary_key]
        others = {column.name: insert.excluded[column.name] for column in table.c if column.name not in keys}
        connection.execute(insert.on_conflict_do_update(index_elements=keys, set_=others), values)

    def _row_count(self, run: str) -> int:
        """Return how many rows a run has; one that was begun in an earlier opening has some on disk."""
        count = self._row_counts.get(run)
        if count is None:
            found = self.connect().scalar(sa.select(sa.func.max(schema.rows.c.last)).where(schema.rows.c.run == run))
            count = self._row_counts[run] = 0 if found is None else found + 1
        return count

    def _put_durations(
        self, connection: sa.Connection, group: Group
    ) -> dict[tuple[str, str], tuple[int, deque[float]]]:
        """Write the latest durations anew, and return what is known now."""
        known: dict[tuple[str, str], tuple[int, deque[float]]] = {}
        for key, seconds in group.took.items():
            count, latest = self._durations.get(key) or latest_of(connection, key)
            known[key] = (count + len(seconds), deque((*latest, *seconds), REMEMBERED))
        if known:
            self._upsert(connection, schema.durations, [
                {"task": task, "devices": names, "count": count, "seconds": dumps([round(each, 6) for each in latest])}
                for (task, names), (count, latest) in known.items()
            ])  # fmt: skip
        return known


def latest_of(connection: sa.Connection, key: tuple[str, str]) -> tuple[int, deque[float]]:
    """Read the durations that earlier openings have left."""
    table = schema.durations
    asked = sa.select(table.c.count, table.c.seconds).where(table.c.task == key[0], table.c.devices == key[1])
    found = connection.execute(asked).first()
    return (0, deque(maxlen=REMEMBERED)) if found is None else (found[0], deque(json.loads(found[1]), REMEMBERED))


def take_lock(database: Database, connection: sa.Connection) -> None:
    """Take a lock on a server, which it frees when this connection ends.

    Raises:
        JournalInUse: another connection has it.

    """
    lock = sa.text("SELECT pg_try_advisory_lock(:lock, hashtext(current_schema()))")
    got = connection.scalar(lock, {"lock": LOCK - (1 << 31)})
    connection.commit()  # which ends a transaction, and not the lock
    if not got:
        raise in_use(database.place, None)


def renamed(change: dict[str, Any]) -> dict[str, Any]:
    """Return the parameters of `CHANGE`."""
    return {f"new_{name}": value for name, value in change.items()}


CHANGE: Final = (
    sa.update(schema.runs)
    .where(schema.runs.c.id == sa.bindparam("new_id"))
    .values(
        state=sa.bindparam("new_state"),
        started=sa.func.coalesce(schema.runs.c.started, sa.bindparam("new_started", type_=sa.Double)),
        ended=sa.bindparam("new_ended"),
        error=sa.bindparam("new_error"),
    )
)
ANSWER: Final = (
    sa.update(schema.inbox)
    .where(schema.inbox.c.id == sa.bindparam("which"), schema.inbox.c.answered.is_(None))
    .values(answered=sa.bindparam("at"), well=sa.bindparam("good"), answer=sa.bindparam("told"))
)
