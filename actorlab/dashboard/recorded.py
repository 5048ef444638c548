"""Read off rows what can be plotted: which columns are numbers, curves or pictures, and the numbers themselves."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

import numpy as np

from actorlab.dashboard.picture import is_picture

if TYPE_CHECKING:
    from actorlab.data.rows import Row

__all__ = ["NUMBER", "TIME", "ColumnKind", "column_kind", "curve_of", "number_in", "number_of"]

ColumnKind: TypeAlias = Literal["number", "curve", "picture"]
TIME: Final = "time (s)"
"""Seconds since the first row."""
NUMBER: Final = "row"
LONGEST: Final = 100_000
"""Longer arrays are not looked through."""


def column_kind(value: Any) -> ColumnKind | None:
    """Return how a value of a column can be plotted, or None: not at all."""
    value = bare(value)
    if number_of(value) is not None:
        return "number"
    if is_picture(value):
        return "picture"
    return "curve" if curve_of(value) is not None else None


def bare(value: Any) -> Any:
    """Return the numbers of a quantity, or of what refers to a stored array, and any other value itself."""
    magnitude = getattr(value, "magnitude", value)
    return (
        np.asarray(magnitude)
        if hasattr(magnitude, "__array__") and not isinstance(magnitude, np.generic)
        else magnitude
    )


def number_of(value: Any) -> float | None:
    """Return a number that can be plotted, or None."""
    value = bare(value)
    if isinstance(value, bool | int | float | np.bool_ | np.integer | np.floating):
        try:
            return float(value)
        except OverflowError:
            return None
    is_single = isinstance(value, np.ndarray) and value.ndim == 0 and value.dtype.kind in "biuf"
    return float(value) if is_single else None


def curve_of(value: Any) -> list[float] | None:
    """Return the numbers of a list or of an array in one direction, or None if it is none."""
    value = bare(value)
    if isinstance(value, list | tuple) and 1 < len(value) <= LONGEST:
        numbers = [number_of(item) for item in value]
        return None if None in numbers else [number for number in numbers if number is not None]
    is_curve = isinstance(value, np.ndarray) and value.ndim == 1 and value.dtype.kind in "biuf"
    return [float(number) for number in value[:LONGEST]] if is_curve else None


def number_in(row: Row, column: str, number: int, begin: float) -> float | None:
    """Return what stands in a column of a row; `number` is the row's, `begin` the time of the first one."""
    match column:
        case "time (s)":
            return row.time - begin
        case "row":
            return float(number)
        case _:
            return number_of(row.values.get(column))
