"""Open the database of a journal: find out what it is before anything is written to it."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple
from urllib.parse import quote

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.exc import DatabaseError, OperationalError, SQLAlchemyError
from sqlalchemy.pool import NullPool

from actorlab.errors import JournalError
from actorlab.journal import schema
from actorlab.journal.lock import held_here, network_file_system

__all__ = ["Database", "Place", "begin_or_check", "clear", "place_of", "said"]

PATIENCE: Final = 1.0
"""So many seconds a writer waits while another process (a request) writes."""
MAGIC: Final = b"SQLite format 3\0"
HEAD: Final = 100
"""So many bytes say of a file what it is."""


class Place(NamedTuple):
    """Where a journal is: a file, or a database server's URL."""

    path: Path | None
    url: sa.URL | None

    def __str__(self) -> str:
        return str(self.path) if self.path is not None else self.url.render_as_string() if self.url is not None else ""


def place_of(where: str | Path) -> Place:
    """Tell a path from a URL.

    Raises:
        JournalError: it is the URL of something else.

    """
    if isinstance(where, Path) or "://" not in where:
        return Place(Path(where).expanduser().absolute(), None)
    try:
        url = sa.make_url(where)
    except SQLAlchemyError as error:
        message = f"{where!r} is no database: give a path, or postgresql://user@host/database"
        raise JournalError(message) from error
    match url.get_backend_name():
        case "sqlite" if url.database:
            return Place(Path(url.database).absolute(), None)
        case "postgresql":
            return Place(None, url.set(drivername="postgresql+psycopg"))
        case other:
            message = (
                f"a journal can't be kept in {other}: give a path (for SQLite), or postgresql://user@host/database"
            )
            raise JournalError(message)


class Database:
    """An engine for a place, and what is known of it."""

    def __init__(self, place: Place, *, durable: bool = True, read_only: bool = False) -> None:
        self.place = place
        self.engine = (
            sqlite_engine(place.path, durable, read_only)
            if place.path is not None
            else server_engine(place, durable, read_only)
        )

    @property
    def is_file(self) -> bool:
        """Tell whether it is an SQLite file."""
        return self.place.path is not None

    @contextmanager
    def transaction(self) -> Generator[sa.Connection]:
        """Do several things at once, or none of them.

        Raises:
            JournalError: the database says no.

        """
        try:
            with self.engine.begin() as connection:
                yield connection
        except (SQLAlchemyError, sqlite3.Error) as error:
            raise clear(self.place, error) from error

    def close(self) -> None:
        """Close what is open."""
        self.engine.dispose()


def sqlite_engine(path: Path, durable: bool, read_only: bool) -> sa.Engine:  # noqa: FBT001 - one call, above
    """Make an engine for a file; transactions begin by our own word, so that they are what they seem."""

    def connect() -> sqlite3.Connection:
        mode = "ro" if read_only else "rwc"
        try:
            return opened(f"file:{quote(str(path))}?mode={mode}")
        except sqlite3.OperationalError:
            if not read_only or not path.exists() or path.with_name(path.name + "-wal").exists():
                raise
            return opened(f"file:{quote(str(path))}?immutable=1")  # in a folder that can't be written to

    def opened(uri: str) -> sqlite3.Connection:
        made = sqlite3.connect(uri, uri=True, timeout=PATIENCE, isolation_level=None, check_same_thread=False)
        try:
            if not read_only:
                made.execute(f"PRAGMA synchronous={'FULL' if durable else 'NORMAL'}")
            made.execute("SELECT count(*) FROM sqlite_master").fetchone()  # it opens the file only now
        except BaseException:
            made.close()
            raise
        return made

    engine = sa.create_engine("sqlite://", creator=connect, poolclass=NullPool)

    def begin(connection: sa.Connection) -> None:
        connection.exec_driver_sql("BEGIN" if read_only else "BEGIN IMMEDIATE")

    event.listen(engine, "begin", begin)
    return engine


def server_engine(place: Place, durable: bool, read_only: bool) -> sa.Engine:  # noqa: FBT001 - as above
    """Make an engine for a server.

    Raises:
        JournalError: psycopg isn't installed.

    """
    if place.url is None:
        message = "neither a path nor a URL was given"
        raise JournalError(message)
    try:
        engine = sa.create_engine(
            place.url,
            poolclass=NullPool,
            connect_args={"connect_timeout": int(5 * PATIENCE)},
            execution_options={"postgresql_readonly": read_only},
        )
    except ImportError as error:
        message = "a journal in PostgreSQL needs psycopg: `pip install 'actorlab[postgres]'`"
        raise JournalError(message) from error

    def connected(connection: Any, _: object) -> None:
        with connection.cursor() as cursor:
            cursor.execute(f"SET synchronous_commit={'on' if durable else 'off'}")
        connection.commit()

    event.listen(engine, "connect", connected)
    return engine


# -- what it is


def look_at_file(path: Path, *, read_only: bool) -> None:
    """See that a file may become, or is, an SQLite database; nothing is written.

    Raises:
        JournalError: its folder doesn't exist, it lies on a network, or it is something else.

    """
    if not path.parent.is_dir():
        message = f"{path.parent} is no folder: make it first, or put the journal elsewhere"
        raise JournalError(message)
    if path.is_dir():
        message = f"{path} is a folder: give the path of a file in it, such as {path / 'journal.db'}"
        raise JournalError(message)
    kind = "" if read_only else network_file_system(path.parent.resolve())
    if kind:
        message = (
            f"{path} lies on a network file system ({kind}), where SQLite can't keep a journal safely: "
            "put it on a disk of this machine, or use postgresql://…"
        )
        raise JournalError(message)
    if not path.exists():
        if read_only:
            message = f"there is no journal {path}"
            raise JournalError(message)
        return
    if held_here(path.with_name(path.name + ".lock")):
        return  # whoever closes a file gives up all locks of his process on it: SQLite's are needed
    with path.open("rb") as file:
        head = file.read(HEAD)
    if head and not head.startswith(MAGIC):
        message = f"{path} is no SQLite database, so no journal: it was left as it is. Give another path"
        raise JournalError(message)
    if torn(path, head):
        raise clear(path, sqlite3.DatabaseError("its end is missing: corrupt"))


def torn(path: Path, head: bytes) -> bool:
    """Tell whether the end of a file is missing, by what its head says; SQLite takes a torn last page for zeros."""
    wal = path.with_name(path.name + "-wal")
    if len(head) < HEAD or (wal.exists() and wal.stat().st_size):
        return False
    page, pages = int.from_bytes(head[16:18], "big"), int.from_bytes(head[28:32], "big")
    known = head[24:28] == head[92:96]  # an old SQLite doesn't keep the number of pages
    return known and path.stat().st_size < pages * (1 << 16 if page == 1 else page)


def begin_or_check(database: Database, *, read_only: bool = False) -> int:
    """Return the version of a journal's schema; make the tables if there is nothing at all.

    Raises:
        JournalError: it belongs to something else, to a newer actorlab, or is damaged.

    """
    place = database.place
    if place.path is not None:
        look_at_file(place.path, read_only=read_only)
    with database.transaction() as connection:
        found = sa.inspect(connection).get_table_names()
        if not found and not read_only:
            create(database, connection)
            version = schema.VERSION
        else:
            version = version_of(place, connection, found)
    if version > schema.VERSION:
        message = (
            f"{place} was written by a newer actorlab (schema {version}; this one knows {schema.VERSION}): "
            "`pip install --upgrade actorlab`, or use another journal. Nothing was changed"
        )
        raise JournalError(message)
    if database.is_file and not read_only:
        into_wal(database)
    return version


def create(database: Database, connection: sa.Connection) -> None:
    """Make the tables of a new journal."""
    schema.tables.create_all(connection)
    made = {
        "application": "actorlab",
        "schema": str(schema.VERSION),
        "created": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "commits": "0",
    }
    connection.execute(sa.insert(schema.meta), [{"key": key, "value": value} for key, value in made.items()])
    if database.is_file:
        connection.exec_driver_sql(f"PRAGMA application_id={schema.APPLICATION}")
        connection.exec_driver_sql(f"PRAGMA user_version={schema.VERSION}")


def version_of(place: Place, connection: sa.Connection, found: list[str]) -> int:
    """Read the version of the schema.

    Raises:
        JournalError: it is no journal.

    """
    told: dict[str, str] = {}
    if "meta" in found:
        try:
            told = {str(key): str(value) for key, value in connection.execute(sa.text("SELECT key, value FROM meta"))}
        except DatabaseError:
            told = {}
    if told.get("application") != "actorlab" or not told.get("schema", "").isdigit():
        names = ", ".join(sorted(found)[:5]) or "nothing"
        message = f"{place} is a database of something else (it holds {names}): it was left as it is. Give another one"
        raise JournalError(message)
    return int(told["schema"])


def into_wal(database: Database) -> None:
    """Let readers read while the writer writes.

    Raises:
        JournalError: the file system can't do that.

    """
    try:
        with database.engine.connect() as connection:
            raw: Any = connection.connection.dbapi_connection
            mode = raw.execute("PRAGMA journal_mode=WAL").fetchone()[0]
    except (SQLAlchemyError, sqlite3.Error) as error:
        raise clear(database.place, error) from error
    if mode != "wal":
        message = f"{database.place} lies on a file system where SQLite can't use a write-ahead log: put it elsewhere"
        raise JournalError(message)


# -- what went wrong


def said(error: BaseException) -> str:
    """Return what the database itself said."""
    original = getattr(error, "orig", None)
    return str(original or error).strip().splitlines()[0]


DAMAGED: Final = (
    "nothing was changed. Copy the file, and use another journal; "
    "what can be saved of this one, `sqlite3 FILE .recover` prints"
)
WAYS: Final = (
    (("malformed", "not a database", "corrupt"), "is damaged", DAMAGED),
    (("full", "no space", "disk i/o"), "can't be written", "see whether the disk is full, or broken"),
    (("locked", "busy"), "is locked by another program", "close what else has it open"),
    (("readonly", "read-only"), "can't be written", "see to the rights of the file and its folder"),
    (("unable to open",), "can't be opened", "see whether its folder is there and may be used"),
)  # fmt: skip
"""Words by which databases say what is wrong, what that means, and what to do about it."""


def clear(place: object, error: BaseException) -> JournalError:
    """Return an error which says what to do about what a database said."""
    text = said(error)
    for words, what, way in WAYS:
        if any(word in text.lower() for word in words):
            return JournalError(f"{place} {what} ({text}): {way}")
    if isinstance(error, OperationalError | sqlite3.OperationalError | OSError):
        return JournalError(f"{place} can't be reached ({text})")
    return JournalError(f"{place}: {text}")
