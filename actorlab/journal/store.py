"""Write a group of events and rows into the tables, in one transaction."""

from __future__ import annotations

import json
import sqlite3
from collections import deque
from collections.abc import Callable
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql
from sqlalchemy.dialects import sqlite as sqlite_dialect
from sqlalchemy.exc import SQLAlchemyError

from actorlab.encoding import dumps
from actorlab.errors import JournalError
from actorlab.journal import schema
from actorlab.journal.chunks import merged, rows_chunk
from actorlab.journal.database import Database, clear
from actorlab.journal.event_chunks import Encoder
from actorlab.journal.group import Group
from actorlab.journal.lock import SERVER_LOCK, in_use
from actorlab.journal.opening import Opening, opening_from

__all__ = ["Store"]

REMEMBERED: Final = 64
"""So many of the latest durations are kept of each task on each devices."""
MANY: Final = 10_000
"""So many digests of large values are remembered as written."""
FEW: Final = 64
"""A chunk of less rows is small."""
TOGETHER: Final = 256
"""So many small chunks of a run are put together."""
ROW_COLUMNS: Final = ("run", "first", "last", "count", "columns", "data")


class Store:
    """The one connection that writes; used by one thread at a time."""

    def __init__(self, database: Database, opening: Opening) -> None:
        self.database = database
        self.opening = opening
        self.number = 0
        """Of the last event on disk."""
        self._connection: sa.Connection | None = None
        self._row_counts: dict[str, int] = {}
        self._small: dict[str, list[int]] = {}
        """Where the small chunks of rows of each run begin."""
        self._durations: dict[tuple[str, str], tuple[int, deque[float]]] = {}
        self._written_blobs: set[str] = set()
        self._commits = 0
        self._doubtful: Group | None = None
        """A group of which it isn't known whether it was written."""
        self._file: tuple[int, int] | None = None

    def begin(self, connection: sa.Connection) -> None:
        """Read how far earlier openings have come."""
        self.number = connection.scalar(sa.select(sa.func.max(schema.events.c.last))) or 0
        told = connection.scalar(sa.select(schema.meta.c.value).where(schema.meta.c.key == "commits"))
        self._commits = int(told or 0)

    # -- the connection

    def connect(self) -> sa.Connection:
        """Return the connection; on a server it carries the lock that makes it the only one.

        Raises:
            JournalInUse: another process has the lock, or has written meanwhile.
            JournalError: the file is gone.

        """
        if self._connection is None:
            connection = self.database.engine.connect()
            try:
                if not self.database.is_file:
                    self._take_lock(connection)
            except BaseException:
                connection.close()
                raise
            self._connection = connection
        return self._connection

    def _take_lock(self, connection: sa.Connection) -> None:
        """Take a lock on a server, which it frees when this connection ends.

        Raises:
            JournalInUse: another connection has it, or had it since we lost ours.

        """
        lock = sa.text("SELECT pg_try_advisory_lock(:lock, hashtext(current_schema()))")
        got = connection.scalar(lock, {"lock": SERVER_LOCK})
        last = last_opening(connection)
        connection.commit()  # which ends a transaction, and not the lock
        if not got or (self.opening.id and last is not None and last.id != self.opening.id):
            raise in_use(self.database.place, None if last is None else last.holder)

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
        self._see_that_it_is_there()
        try:
            connection = self.connect()
            with connection.begin():
                work(connection)
        except (SQLAlchemyError, sqlite3.Error) as error:
            self.disconnect()
            raise clear(self.database.place, error) from error

    def _see_that_it_is_there(self) -> None:
        """See that the file has still its name: what is written to one without a name is lost when it is closed.

        Raises:
            JournalError: it hasn't.

        """
        path = self.database.place.path
        if path is None or not self.opening.id:
            return
        try:
            found = path.stat()
        except OSError as error:
            message = f"{path} has been moved or deleted while the lab wrote it ({error.strerror}): put it back"
            raise JournalError(message) from error
        now = (found.st_dev, found.st_ino)
        self._file = self._file or now
        if self._file != now:
            message = f"{path} has been replaced by another file while the lab wrote it: put the first one back"
            raise JournalError(message)

    # -- a group

    def write(self, items: list[Any]) -> Group:
        """Write items of the flat list in one transaction; what comes back says how many of them were written.

        Raises:
            JournalError: the database says no; nothing of it is written, or it isn't known yet whether.

        """
        doubtful = self._doubtful
        if doubtful is not None and self._was_written(doubtful):
            return self._remember(doubtful)
        self._doubtful = None
        group = Group(self.opening, self.number, self._row_count, Encoder())

        def work(connection: sa.Connection) -> None:
            group.add(items)
            self._put(connection, group)
            self._doubtful = group  # from here on, what fails may have been written all the same

        self.do(work)
        return self._remember(group)

    def _was_written(self, group: Group) -> bool:
        """Tell whether a group is there although writing it has failed, as when a server is lost while it commits."""
        found: list[object] = []

        def look(connection: sa.Connection) -> None:
            found.append(connection.scalar(sa.select(schema.meta.c.value).where(schema.meta.c.key == "commits")))

        self.do(look)
        group.waiting.clear()  # they have been told of the failure
        return found == [str(self._commits + 1)]

    def _remember(self, group: Group) -> Group:
        """Note what is on disk now."""
        self._doubtful = None
        self._commits += 1
        self.number = group.number
        self._row_counts |= group.row_counts
        self._durations |= group.durations
        self._small |= group.small
        if len(self._written_blobs) > MANY:
            self._written_blobs.clear()
        self._written_blobs |= group.encoder.blobs.keys()
        for run, change in group.changed.items():
            if change["ended"] is not None:
                self._row_counts.pop(run, None)
                self._small.pop(run, None)
        return group

    def _put(self, connection: sa.Connection, group: Group) -> None:
        """Put a group into the tables."""
        encoder = group.encoder
        group.durations = self._put_durations(connection, group)
        connection.execute(COMMITS, {"count": str(self._commits + 1)})
        chunks = [
            {
                "run": run,
                "first": mine.numbers[0],
                "last": mine.numbers[-1],
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
            values = (run, mine[0][0], mine[-1][0], len(mine), columns, data)
            connection.execute(sa.insert(schema.rows), dict(zip(ROW_COLUMNS, values, strict=True)))
            if len(mine) < FEW:
                group.small.setdefault(run, []).append(mine[0][0])
        self._put_together(connection, group)
        if group.devices:
            self._upsert(connection, schema.devices, list(group.devices.values()))
        if group.answers:
            connection.execute(ANSWER, group.answers)

    def _put_together(self, connection: sa.Connection, group: Group) -> None:
        """Make fewer chunks of the many small ones of a run that records slowly: else reading would take long."""
        table = schema.rows
        for run, new in group.small.items():
            small = [*self._small.get(run, ()), *new]
            if len(small) >= TOGETHER:
                mine = sa.and_(table.c.run == run, table.c.first.in_(small))
                asked = sa.select(table.c.first, table.c.last, table.c["count"], table.c.columns, table.c.data)
                found: list[Any] = list(connection.execute(asked.where(mine).order_by(table.c.first)))
                connection.execute(sa.delete(table).where(mine))
                for places, columns, data in merged([(head, packed) for *_, head, packed in found]):
                    firsts, lasts, counts, *_ = zip(*[found[place] for place in places], strict=True)
                    values = (run, min(firsts), max(lasts), sum(counts), columns, data)
                    connection.execute(sa.insert(table), dict(zip(ROW_COLUMNS, values, strict=True)))
                small = []
            group.small[run] = small

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


def last_opening(connection: sa.Connection) -> Opening | None:
    """Read who opened the journal last, if anybody did."""
    table = schema.openings
    if not sa.inspect(connection).has_table(table.name):
        return None
    found = connection.execute(sa.select(table).order_by(table.c.id.desc()).limit(1)).first()
    return None if found is None else opening_from(found)


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
COMMITS: Final = sa.update(schema.meta).where(schema.meta.c.key == "commits").values(value=sa.bindparam("count"))
ANSWER: Final = (
    sa.update(schema.inbox)
    .where(schema.inbox.c.id == sa.bindparam("which"), schema.inbox.c.answered.is_(None))
    .values(answered=sa.bindparam("at"), well=sa.bindparam("good"), answer=sa.bindparam("told"))
)
