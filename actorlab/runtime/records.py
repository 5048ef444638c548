"""Keep what a run has recorded, row by row."""

from __future__ import annotations

import time
from _thread import allocate_lock
from collections import deque
from collections.abc import Iterator
from typing import Any

from actorlab.data.rows import Row

__all__ = ["Records", "Row"]


class Records:
    """The newest rows of a run in the order in which they came; any thread may read while it goes on."""

    __slots__ = ("_added", "_lock", "_rows")

    def __init__(self, keep: int) -> None:
        self._rows: deque[Row] = deque(maxlen=keep)
        self._added = 0
        # Between counting a row and keeping it; a mailbox would cost more than the row.
        self._lock = allocate_lock()

    def add(self, body: str, values: dict[str, Any], at: float | None = None) -> Row:
        """Keep a row, recorded now or at a time (seconds since 1970), and return it."""
        row = Row(time.time() if at is None else at, body, values)
        with self._lock:
            self._added += 1
            self._rows.append(row)
        return row

    @property
    def dropped(self) -> int:
        """Return how many rows there were before those that are kept."""
        with self._lock:
            return self._added - len(self._rows)

    @property
    def rows(self) -> tuple[Row, ...]:
        """Return the rows that are kept."""
        return tuple(self._rows)

    def column(self, name: str) -> list[Any]:
        """Return the values of one name, of the rows that have it."""
        return [row.values[name] for row in self.rows if name in row.values]

    def __len__(self) -> int:
        return len(self._rows)

    def __iter__(self) -> Iterator[Row]:
        return iter(self.rows)
