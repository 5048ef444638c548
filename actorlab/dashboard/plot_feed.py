"""Turn the rows of a run into curves that grow: only what is new is read, and only what has changed is told.

A feed belongs to one browser; what is here runs in a thread.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from actorlab.dashboard.recorded import NUMBER, TIME, ColumnKind, column_kind, number_in
from actorlab.dashboard.thinning import Patch, Thinned

if TYPE_CHECKING:
    from actorlab.data.dataset import Dataset
    from actorlab.data.rows import Row
    from actorlab.runtime.run import Run

__all__ = ["AT_ONCE", "Batch", "Feed", "Fresh", "rows_in", "rows_of_run"]

AT_ONCE: Final = 20_000
"""So many rows are read at a time."""
TRIES: Final = 5


class Batch(NamedTuple):
    """Some rows, the number of the first one, and how many there were before those that are still there."""

    begin: int
    rows: Sequence[Row]
    missing: int = 0


Source = Callable[[int], Batch]
"""Returns rows from a number on."""


class Fresh(NamedTuple):
    """What is new: of each y what has changed of its curve, and the last value of each column that is no number."""

    curves: dict[str, Patch]
    shapes: dict[str, Any]
    columns: dict[str, ColumnKind]
    rows: int
    missing: int
    is_all: bool


class Feed:
    """The curves of one run: each y over the same x."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._next = 0
        self._begin = 0.0
        self._missing = 0
        self._columns: dict[str, ColumnKind] = {}
        self._shapes: dict[str, Any] = {}
        self._curves: dict[str, Thinned] = {}
        self._x = TIME

    def choose(self, x: str, ys: Sequence[str]) -> None:
        """Begin anew with other columns."""
        self._x, self._next = x, 0
        self._curves = {y: Thinned() for y in ys}

    def read(self) -> Fresh:
        """Read what is new."""
        batch = self._source(self._next)
        self._missing = batch.missing
        for number, row in enumerate(batch.rows, batch.begin):
            self._take(number, row)
        self._next = batch.begin + len(batch.rows)
        curves = {y: curve.changes() for y, curve in self._curves.items()} if batch.rows else {}
        shapes, self._shapes = self._shapes, {}
        is_all = len(batch.rows) < AT_ONCE
        return Fresh(curves, shapes, dict(self._columns), self._next, self._missing, is_all)

    def _take(self, number: int, row: Row) -> None:
        if not self._begin:
            self._begin = row.time
        for name, value in row.values.items():
            if name not in self._columns:
                kind = column_kind(value)
                if kind is not None:
                    self._columns[name] = kind
            if self._columns.get(name, "number") != "number":
                self._shapes[name] = value
        x = number_in(row, self._x, number, self._begin)
        if x is None:
            return
        for y, curve in self._curves.items():
            if y in row.values or y in (TIME, NUMBER):
                curve.add(x, number_in(row, y, number, self._begin))


def rows_in(dataset: Dataset) -> Source:
    """Return what reads rows that don't get more: they are all gone through once."""
    kept: list[Row] = []

    def read(begin: int) -> Batch:
        if not kept:
            kept.extend(islice(dataset, 5 * AT_ONCE))
        return Batch(begin, kept[begin : begin + AT_ONCE], max(0, len(dataset) - len(kept)))

    return read


def rows_of_run(run: Run[Any]) -> Source:
    """Return what reads the rows that a lab still has of a run: older ones are in its journal, if it has one."""

    def read(begin: int) -> Batch:
        records = run.supervisor.notes.records
        if records is None or records.dropped + len(records) <= begin:
            return Batch(begin, (), 0 if records is None else records.dropped)
        missing, rows = records.dropped, records.rows
        for _ in range(TRIES):
            if records.dropped == missing:  # none was let go between the two
                begin = max(begin, missing)
                return Batch(begin, rows[begin - missing : begin - missing + AT_ONCE], missing)
            missing, rows = records.dropped, records.rows
        return Batch(begin, (), missing)

    return read
