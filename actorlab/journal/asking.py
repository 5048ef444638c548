"""Put requests into the inbox of a journal that another process writes, and wait for the answers."""

from __future__ import annotations

import json
import sqlite3
import time
from typing import TYPE_CHECKING, Any, Final

import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError

from actorlab.encoding import decode, dumps
from actorlab.errors import JournalError
from actorlab.journal import schema
from actorlab.journal.database import Database, clear

if TYPE_CHECKING:
    from actorlab.journal.keeping import Kept

__all__ = ["data_version", "open_requests", "put_request", "wait_for_answer"]

PAUSE: Final = 0.05


def data_version(kept: Kept) -> object:
    """Return what changes when another process writes to the file; None if that can't be told."""
    if not kept.database.is_file:
        return None
    try:
        connection = kept.store.connect()
        raw: Any = connection.connection.dbapi_connection
        return raw.execute("PRAGMA data_version").fetchone()[0]
    except (SQLAlchemyError, sqlite3.Error) as error:
        kept.store.disconnect()
        raise clear(kept.place, error) from error


def open_requests(kept: Kept) -> list[Any]:
    """Return the rows of requests that aren't answered; those that have expired are answered here and now."""
    table = schema.inbox
    found: list[Any] = []

    def work(connection: sa.Connection) -> None:
        now = time.time()
        asked = sa.select(table).where(table.c.answered.is_(None)).order_by(table.c.id)
        everything = connection.execute(asked).all()
        if any(row.expires < now for row in everything):
            stale = sa.update(table).where(table.c.answered.is_(None), table.c.expires < now)
            text = dumps(JournalError("nobody answered the request before it expired"))
            connection.execute(stale.values(answered=now, well=False, answer=text))
        found.extend(row for row in everything if row.expires >= now)

    kept.store.do(work)
    return found


def put_request(database: Database, kind: str, payload: Any, asker: str, seconds: float) -> int:
    """Put a request into the inbox, and return its number.

    Raises:
        EncodingError: the payload isn't data.
        JournalError: the database says no.

    """
    now = time.time()
    values = {"kind": kind, "payload": dumps(payload), "asker": asker, "asked": now, "expires": now + seconds}
    with database.transaction() as connection:
        number: Any = connection.execute(sa.insert(schema.inbox).values(**values)).inserted_primary_key
    return int(number[0])


def wait_for_answer(database: Database, number: int, timeout: float) -> Any:
    """Return the answer to a request.

    Raises:
        JournalError: there is none within `timeout` seconds.
        Exception: what the answer says went wrong.

    """
    table = schema.inbox
    asked = sa.select(table.c.well, table.c.answer).where(table.c.id == number, table.c.answered.is_not(None))
    end = time.monotonic() + timeout
    while True:
        with database.transaction() as connection:
            found = connection.execute(asked).first()
        if found is not None:
            break
        if time.monotonic() > end:
            message = f"the lab hasn't answered within {timeout:g} s: is it still running?"
            raise JournalError(message)
        time.sleep(PAUSE)
    answer = decode(json.loads(found.answer), lenient=True)
    if found.well:
        return answer
    raise answer if isinstance(answer, BaseException) else JournalError(str(answer))
