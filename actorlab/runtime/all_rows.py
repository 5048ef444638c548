"""Read all rows that a run has recorded: those that its lab has let go of, or never had, are in the journal."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from actorlab.data.rows import Row
    from actorlab.journal import Journal

__all__ = ["AllRows"]


class AllRows:
    """The rows of a run as the journal has them; it is read anew each time."""

    dropped = 0
    """None is missing."""

    def __init__(self, journal: Journal, run: str) -> None:
        self._journal = journal
        self._run = run

    def __len__(self) -> int:
        self._journal.flush()
        with self._journal.reader() as reader:
            return reader.count_recorded(self._run)

    def __iter__(self) -> Iterator[Row]:
        self._journal.flush()
        with self._journal.reader() as reader:
            yield from reader.rows(self._run)
