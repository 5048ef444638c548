"""Go through the rows that a run has recorded, in their order, without having all of them in memory."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import sqlalchemy as sa

from actorlab.data.rows import Row
from actorlab.encoding import decode
from actorlab.errors import EncodingError, JournalError
from actorlab.journal import schema
from actorlab.journal.chunks import Columns, rows_from

if TYPE_CHECKING:
    from actorlab.encoding import Resolve
    from actorlab.journal.database import Database

__all__ = ["KeptRows", "RowsSummary"]

AT_ONCE: Final = 16
"""So many chunks are read at a time."""


class RowsSummary(NamedTuple):
    """How many rows there are, the unit of each column ("" if it has none), and the last value of each."""

    rows: int
    columns: dict[str, str]
    last: dict[str, Any]


class KeptRows:
    """The rows of a run as they are now; each iteration begins anew, and sees what was recorded until then."""

    def __init__(self, database: Database, run: str, resolve: Resolve) -> None:
        self._database = database
        self._run = run
        self._resolve = resolve

    def __len__(self) -> int:
        table = schema.rows
        asked = sa.select(sa.func.coalesce(sa.func.sum(table.c.count), 0)).where(table.c.run == self._run)
        with self._database.transaction() as connection:
            return int(connection.scalar(asked) or 0)

    def __iter__(self) -> Iterator[Row]:
        waiting: list[tuple[int, Row]] = []  # rows of chunks that overlap with ones not read yet
        for first, chunk in self._chunks():
            waiting.sort(key=lambda numbered: numbered[0])
            ready = [row for number, row in waiting if number < first]
            yield from ready
            waiting = waiting[len(ready) :] + list(rows_of(chunk))
        waiting.sort(key=lambda numbered: numbered[0])
        for _, row in waiting:
            yield row

    def summary(self) -> RowsSummary:
        """Say what there is, without reading all of it."""
        table = schema.rows
        mine = sa.select(table.c.first, table.c["count"], table.c.columns).where(table.c.run == self._run)
        count, columns, newest = 0, dict[str, str](), dict[str, int]()
        with self._database.transaction() as connection:
            for first, rows, text in connection.execute(mine.order_by(table.c.first)):
                head = json.loads(text)
                count += rows
                columns |= {name: unit for name, (_, unit, _) in zip(head["names"], head["columns"][2:], strict=True)}
                newest |= dict.fromkeys(head["names"], first)
            asked = sa.select(table.c.columns, table.c.data).where(
                table.c.run == self._run, table.c.first.in_(set(newest.values()))
            )
            chunks = connection.execute(asked.order_by(table.c.first)).all()
        last: dict[str, Any] = {}
        for text, data in chunks:
            last |= {name: values[-1] for name, values in rows_from(text, data, self._resolve).values.items()}
        return RowsSummary(count, columns, {name: last[name] for name in columns})

    def _chunks(self) -> Iterator[tuple[int, Columns]]:
        """Yield the chunks by the numbers of their first rows; no transaction stays open between them."""
        table, after = schema.rows, -1
        while True:
            asked = sa.select(table.c.first, table.c.columns, table.c.data).where(
                table.c.run == self._run, table.c.first > after
            )
            with self._database.transaction() as connection:
                found = connection.execute(asked.order_by(table.c.first).limit(AT_ONCE)).all()
            for first, columns, data in found:
                yield first, rows_from(columns, data, self._resolve)
            if len(found) < AT_ONCE:
                return
            after = found[-1][0]


def rows_of(chunk: Columns) -> Iterator[tuple[int, Row]]:
    """Yield the rows of a chunk with their numbers, quantities with their units."""
    values = {name: with_unit(name, column, chunk.units.get(name)) for name, column in chunk.values.items()}
    for number, time, *cells in zip(chunk.numbers, chunk.times, *values.values(), strict=True):
        yield number, Row(time, chunk.body, dict(zip(values, cells, strict=True)))


def with_unit(name: str, column: list[Any], unit: str | None) -> list[Any]:
    """Make quantities of the numbers of a column that has a unit.

    Raises:
        JournalError: pint isn't installed, or doesn't know the unit: a number without its unit would be another value.

    """
    if unit is None:
        return column
    try:
        zero: Any = decode({"$": "quantity", "magnitude": 0, "unit": unit})
    except EncodingError as error:
        text = f"{name!r} was recorded in {unit}, and can't be read here: {error}"
        raise JournalError(text) from error
    return [zero.__class__(value, zero.units) for value in column]
