"""Keep what a run has recorded, row by row."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

from actorlab.data.rows import Row

__all__ = ["Records", "Row"]


class Records:
    """The rows of a run in the order in which they came; any thread may read while it goes on."""

    __slots__ = ("_rows",)

    def __init__(self) -> None:
        self._rows: list[Row] = []

    def add(self, body: str, values: dict[str, Any], at: float | None = None) -> Row:
        """Keep a row, recorded now or at a time (seconds since 1970), and return it."""
        row = Row(time.time() if at is None else at, body, values)
        self._rows.append(row)
        return row

    @property
    def rows(self) -> tuple[Row, ...]:
        """Return all rows so far."""
        return tuple(self._rows)

    def column(self, name: str) -> list[Any]:
        """Return the values of one name, of the rows that have it."""
        return [row.values[name] for row in self._rows if name in row.values]

    def __len__(self) -> int:
        return len(self._rows)

    def __iter__(self) -> Iterator[Row]:
        return iter(self._rows.copy())
