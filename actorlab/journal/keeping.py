"""Open a journal for writing: take its lock, look what it is, and note the opening."""

from __future__ import annotations

import contextlib
import json
import time
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from actorlab.encoding import dumps
from actorlab.errors import JournalError
from actorlab.journal import schema
from actorlab.journal.database import Database, Place, begin_or_check, look_at_file, place_of
from actorlab.journal.lock import FileLock
from actorlab.journal.opening import Opening, new_opening
from actorlab.journal.store import Store

__all__ = ["Kept", "keep", "opening_from"]


class Kept:
    """What is open: the database with its lock."""

    def __init__(self, place: Place, database: Database, lock: FileLock | None, opening: Opening) -> None:
        self.place = place
        self.database = database
        self.opening = opening
        self.previous: Opening | None = None
        self.last_numbers: dict[str, int] = {}
        self.store = Store(database, opening)
        self.closed = False
        self._lock = lock

    def begin(self) -> None:
        """Read where the last opening has ended, and note this one."""
        version = begin_or_check(self.database)
        del version
        self.store.do(self._begin)

    def _begin(self, connection: sa.Connection) -> None:
        table = schema.openings
        found = connection.execute(sa.select(table).order_by(table.c.id.desc()).limit(1)).first()
        self.previous = None if found is None else opening_from(found)
        number = 1 if self.previous is None else self.previous.id + 1
        self.opening = self.store.opening = self.opening._replace(id=number)
        values = self.opening._asdict() | {"about": dumps(self.opening.about)}
        connection.execute(sa.insert(table), [values])
        last = connection.scalar(sa.select(sa.func.max(schema.events.c.last)))
        self.store.number = last or 0
        runs = schema.runs
        largest = connection.execute(sa.select(runs.c.name, sa.func.max(runs.c.number)).group_by(runs.c.name))
        self.last_numbers = {str(name): int(number) for name, number in largest}

    def close(self, *, clean: bool) -> None:
        """Note the end, if it was in order, and give the lock back; nothing is raised."""
        self.closed = True
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


def opening_from(row: Any) -> Opening:
    """Read an opening."""
    values = row._mapping  # noqa: SLF001 - SQLAlchemy's public name for it
    return Opening(**{name: values[name] for name in Opening._fields} | {"about": json.loads(values["about"])})


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
            kept.close(clean=False)
        elif lock is not None:
            lock.release()
        raise
    return kept
