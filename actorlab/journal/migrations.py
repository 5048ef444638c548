"""Bring a journal that an older actorlab has written up to date: in one transaction, after a copy was made."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final, TypeAlias

import sqlalchemy as sa

from actorlab.errors import JournalError
from actorlab.journal import schema
from actorlab.journal.database import Database, clear

__all__ = ["MIGRATIONS", "Migration", "migrate"]

Migration: TypeAlias = Callable[[sa.Connection], None]
"""Changes the tables of one version into those of the next; it must not use `schema`, which goes on changing."""
MIGRATIONS: Final[Mapping[int, Migration]] = {}
"""What leads from each version to the next one."""


def migrate(database: Database, version: int, migrations: Mapping[int, Migration] = MIGRATIONS) -> None:
    """Bring a journal from an older version to this one; if anything goes wrong, nothing has changed.

    Raises:
        JournalError: no way leads from that version, there is no room for the copy, or a step failed.

    """
    missing = [number for number in range(version, schema.VERSION) if number not in migrations]
    if missing:
        message = (
            f"{database.place} has schema {version}, and no way leads from {missing[0]} on: use the actorlab that "
            "wrote it, or another journal. Nothing was changed"
        )
        raise JournalError(message)
    path = database.place.path
    copy = None if path is None else copied(path, path.with_name(f"{path.name}.schema-{version}"))
    with database.transaction() as connection:
        for number in range(version, schema.VERSION):
            step(database, connection, number, migrations[number])
        told = sa.update(schema.meta).where(schema.meta.c.key == "schema")
        connection.execute(told.values(value=str(schema.VERSION)))
        if copy is not None:
            connection.exec_driver_sql(f"PRAGMA user_version={schema.VERSION}")


def step(database: Database, connection: sa.Connection, number: int, migration: Migration) -> None:
    """Go one step."""
    try:
        migration(connection)
    except Exception as error:
        message = f"{database.place} can't be brought from schema {number} to {number + 1} ({error}): it is as it was"
        raise JournalError(message) from error


def copied(path: Path, copy: Path) -> Path:
    """Copy a journal as it is now, what stands in its write-ahead log included.

    Raises:
        JournalError: there is no room for it.

    """
    partial = copy.with_name(copy.name + ".partial")
    try:
        with (
            contextlib.closing(sqlite3.connect(path)) as source,
            contextlib.closing(sqlite3.connect(partial)) as target,
        ):
            source.backup(target)
        partial.replace(copy)
    except (sqlite3.Error, OSError) as error:
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)
        raise clear(copy, error) from error
    return copy
