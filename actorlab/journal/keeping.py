"""Open a journal for writing: take its lock, look what it is, and note the opening."""

from __future__ import annotations

import contextlib
import sqlite3
import time
from pathlib import Path
from typing import Any, Final

import sqlalchemy as sa

from actorlab.encoding import dumps
from actorlab.errors import JournalError
from actorlab.journal import schema
from actorlab.journal.database import Database, Place, begin_or_check, clear, look_at_file, place_of
from actorlab.journal.lock import FileLock
from actorlab.journal.migrations import migrate
from actorlab.journal.opening import Opening, new_opening
from actorlab.journal.store import Store, last_opening

__all__ = ["Kept", "keep"]

EXAMINED: Final = 1 << 28
"""Files up to so many bytes are examined after a crash."""


class Kept:
    """What is open: the database with its lock."""

    def __init__(self, place: Place, database: Database, lock: FileLock | None, opening: Opening) -> None:
        self.place = place
        self.database = database
        self.opening = opening
        self.previous: Opening | None = None
        self.last_numbers: dict[str, int] = {}
        self.store = Store(database, opening)
        self._lock = lock

    def begin(self) -> None:
        """Read where the last opening has ended, and note this one."""
        version = begin_or_check(self.database)
        if version < schema.VERSION:
            migrate(self.database, version)
        self.store.do(self._begin)

    def _begin(self, connection: sa.Connection) -> None:
        table = schema.openings
        self.previous = last_opening(connection)
        if self.previous is not None and not self.previous.clean and self.database.is_file:
            self._examine(connection)
        number = 1 if self.previous is None else self.previous.id + 1
        opening = self.opening._replace(id=number)
        values = opening._asdict() | {"about": dumps(opening.about)}
        connection.execute(sa.insert(table), [values])
        runs = schema.runs
        largest = connection.execute(sa.select(runs.c.name, sa.func.max(runs.c.number)).group_by(runs.c.name))
        self.last_numbers = {str(name): int(number) for name, number in largest}
        self.store.begin(connection)
        self.opening = self.store.opening = opening

    def _examine(self, connection: sa.Connection) -> None:
        """See that a file is whole after a crash; of a very large one, that would take too long.

        Raises:
            JournalError: it isn't.

        """
        path = self.place.path
        if path is not None and path.stat().st_size <= EXAMINED:
            found = connection.exec_driver_sql("PRAGMA quick_check(1)").scalar()
            if found != "ok":
                raise clear(self.place, sqlite3.DatabaseError(f"malformed: {found}"))

    def close(self, clean: bool) -> None:  # noqa: FBT001 - it is also called as a callback
        """Note the end, if it was in order, and give the lock back; nothing is raised."""
        if clean:
            ended = sa.update(schema.openings).where(schema.openings.c.id == self.opening.id)

            def end(connection: sa.Connection) -> None:
                connection.execute(ended.values(ended=time.time()))

            with contextlib.suppress(JournalError):  # it will count as an unclean end, which is the safe side
                self.store.do(end)
        self.store.disconnect()
        self.database.close()
        if self._lock is not None:
            self._lock.release()


def keep(where: str | Path, lab: str, about: dict[str, Any], *, durable: bool) -> Kept:
    """Open a journal for writing.

    Raises:
        JournalInUse: another process writes it.
        JournalError: it is something else, damaged, or can't be opened.

    """
    place = place_of(where)
    opening = new_opening(lab, about)
    lock: FileLock | None = None
    if place.path is not None:
        look_at_file(place.path, read_only=False)
        lock = FileLock(place.path.with_name(place.path.name + ".lock"))
        lock.acquire(opening.holder)
    kept: Kept | None = None
    try:
        kept = Kept(place, Database(place, durable=durable), lock, opening)
        kept.begin()
    except BaseException:
        if kept is not None:
            kept.close(False)
        elif lock is not None:
            lock.release()
        raise
    return kept
