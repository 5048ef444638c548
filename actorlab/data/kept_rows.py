"""Read rows back from where they were kept by columns, as a journal keeps them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from actorlab.data.references import ArrayRef
from actorlab.data.rows import Row
from actorlab.encoding import decode
from actorlab.errors import EncodingError

if TYPE_CHECKING:
    from actorlab.data.table import Table

__all__ = ["KeptColumns", "KeptRows"]


class KeptColumns(Protocol):
    """Rows by columns: when each was recorded, by whom, and what; None where a row has nothing.

    The values of a name in `units` are magnitudes in that unit.
    """

    @property
    def times(self) -> list[float]:
        """When each row was recorded, in seconds since 1970."""
        ...

    @property
    def bodies(self) -> list[str]:
        """Whose row it is."""
        ...

    @property
    def columns(self) -> dict[str, list[Any]]:
        """What was recorded, by name."""
        ...

    @property
    def units(self) -> dict[str, str]:
        """The units of names whose values are magnitudes."""
        ...


class KeptRows:
    """Rows that `read` returns by columns each time one looks; `count` says how many there are.

    Stores of arrays that aren't where they were are looked for in `folder`, to which they may have been moved.
    """

    def __init__(
        self, read: Callable[[], KeptColumns], count: Callable[[], int], folder: str | Path | None = None
    ) -> None:
        self._read = read
        self._count = count
        self._folder = folder

    def __len__(self) -> int:
        return self._count()

    def __iter__(self) -> Iterator[Row]:
        kept = self._read()
        values = {name: self._with_unit(column, kept.units.get(name, "")) for name, column in kept.columns.items()}
        for number, (time, body) in enumerate(zip(kept.times, kept.bodies, strict=True)):
            row = {name: column[number] for name, column in values.items() if column[number] is not None}
            yield Row(time, body, row)

    def table(self, attributes: Mapping[str, Any], names: Iterable[str] | None) -> Table:
        """Return the table of the rows, with all columns or those of `names`.

        Raises:
            ValueError: the units of a column can't be converted to one another, or there is no such column.

        """
        from actorlab.data.columns import chosen  # noqa: PLC0415 - numpy takes long to import
        from actorlab.data.table import table_of_columns  # noqa: PLC0415 - as above

        kept = self._read()
        wanted = list(kept.columns) if names is None else chosen(list(names), list(kept.columns))
        columns = {name: self._found(kept.columns[name]) for name in wanted}
        units = {name: short(unit) for name, unit in kept.units.items()}
        return table_of_columns(kept.times, kept.bodies, columns, units, attributes)

    def _with_unit(self, values: list[Any], unit: str) -> list[Any]:
        """Return values as they were recorded."""
        values = self._found(values)
        if not unit:
            return values
        one = decode({"$": "quantity", "magnitude": 1, "unit": unit})
        return [value if value is None else type(one)(value, one.units) for value in values]

    def _found(self, values: list[Any]) -> list[Any]:
        """Return values whose references lead to where the stores are now."""
        folder = self._folder
        if folder is None or not any(type(value) is ArrayRef for value in values):
            return values
        moved = {it.store for it in values if type(it) is ArrayRef and not Path(it.store).exists()}
        return [it.beside(folder) if type(it) is ArrayRef and it.store in moved else it for it in values]


def short(unit: str) -> str:
    """Return a unit as recorded quantities have it in exports; pint knows how."""
    from actorlab.data.columns import unit_text  # noqa: PLC0415 - numpy takes long to import

    try:
        return unit_text(decode({"$": "unit", "unit": unit}))
    except EncodingError:  # pint isn't installed here, or doesn't know it any more
        return unit
