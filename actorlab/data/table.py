"""Put rows into columns, with what they are about."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from actorlab.data.columns import Column, columns_of
from actorlab.data.rows import Row

__all__ = ["Table", "table_of"]


@dataclass(frozen=True)
class Table:
    """The columns of some rows; `times` in seconds since 1970, `steps` the names of the bodies that recorded them.

    Times and steps are exported as `time_name` and `step_name`: ``time`` and ``step``, unless something else was
    recorded under these names.
    """

    times: NDArray[np.float64]
    steps: list[str]
    columns: list[Column]
    attributes: dict[str, Any]

    def __len__(self) -> int:
        return len(self.steps)

    @property
    def time_name(self) -> str:
        """Return under which name the times are exported."""
        return self._own("time")

    @property
    def step_name(self) -> str:
        """Return under which name the steps are exported."""
        return self._own("step")

    def _own(self, name: str) -> str:
        taken = {column.name for column in self.columns}
        while name in taken:
            name = f"row_{name}"
        return name


def table_of(rows: Iterable[Row], attributes: Mapping[str, Any], names: Iterable[str] | None = None) -> Table:
    """Return the table of some rows, with all columns or those of `names`.

    Raises:
        ValueError: the units of a column can't be converted to one another, or there is no such column.

    """
    rows = list(rows)
    times = np.array([row.time for row in rows], dtype=np.float64)
    return Table(times, [row.body for row in rows], columns_of(rows, names), dict(attributes))
