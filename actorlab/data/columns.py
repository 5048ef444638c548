"""Find what a column of recorded values is: its unit, its kind, and plain values of that kind."""

from __future__ import annotations

import enum
import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np

from actorlab.data.references import ArrayRef
from actorlab.data.rows import Row
from actorlab.quantities.hints import FOREIGN_ERRORS
from actorlab.quantities.limits import is_quantity, rounded

__all__ = ["Column", "Kind", "columns_of", "storable", "unit_text"]

Kind = Literal["boolean", "integer", "number", "complex", "text", "array", "mixed"]
PLAIN: Final = frozenset((bool, int, float, complex, str))
ARRAYS: Final = frozenset((np.ndarray, ArrayRef))
NUMBERS: Final = (bool, int, float, complex)
NUMERIC: Final = "biufc"
"""The kinds of arrays that every format holds."""


@dataclass(frozen=True)
class Column:
    """What was recorded under one name: `rows` are the numbers of the rows that have it, `values` their plain values.

    The values of an ``array`` are numpy's or references to stored ones, those of ``mixed`` are whatever was recorded.
    All are in `unit`, if there is one. None counts as missing.
    """

    name: str
    unit: str
    kind: Kind
    rows: list[int]
    values: list[Any]


def columns_of(rows: Iterable[Row], names: Iterable[str] | None = None) -> list[Column]:
    """Return the columns of some rows, in the order in which their names came up; only those of `names` if given.

    Raises:
        ValueError: the units of a column can't be converted to one another, or there is none of such a name.

    """
    found: dict[str, tuple[list[int], list[Any]]] = {}
    for number, row in enumerate(rows):
        for name, value in row.values.items():
            where, values = found.setdefault(name, ([], []))
            if value is not None:
                where.append(number)
                values.append(value)
    wanted = list(found) if names is None else chosen(list(names), list(found))
    return [column(name, *found[name]) for name in wanted]


def chosen(names: list[str], have: list[str]) -> list[str]:
    """Return the names that are asked for, if there are such columns."""
    unknown = [name for name in names if name not in have]
    if unknown:
        text = f"nothing was recorded as {', '.join(map(repr, unknown))}; there is {', '.join(have) or 'nothing'}"
        raise ValueError(text)
    return names


def column(name: str, rows: list[int], values: list[Any]) -> Column:
    """Return one column."""
    unit = ""
    if not set(map(type, values)) <= PLAIN:
        unit, values = magnitudes(name, rows, values)
        values = [plain(value) for value in values]
    return Column(name, unit, kind_of(values), rows, values)


# -- units


def magnitudes(name: str, rows: list[int], values: list[Any]) -> tuple[str, list[Any]]:
    """Convert quantities to the unit of the first one."""
    first = next((value for value in values if has_unit(value)), None)
    if first is None:
        return "", values
    target = first.unit if isinstance(first, ArrayRef) else first.units
    unit = unit_text(target)
    return unit, [converted(name, row, value, target, unit) for row, value in zip(rows, values, strict=True)]


def has_unit(value: Any) -> bool:
    """Tell whether a value comes with a unit."""
    return bool(value.unit) if isinstance(value, ArrayRef) else type(value) not in PLAIN and is_quantity(value)


def converted(name: str, row: int, value: Any, target: Any, unit: str) -> Any:
    """Return the magnitude of one value in the unit of its column; NaN needs none."""
    if isinstance(value, ArrayRef):
        if value.unit == unit:
            return value
        raise mixed_units(name, unit, row, value.unit or "no unit")
    if not has_unit(value):
        if isinstance(value, float) and math.isnan(value):
            return value
        raise mixed_units(name, unit, row, "no unit")
    if value.units == target:
        return value.magnitude
    try:
        return rounded(value.to(target).magnitude, value.magnitude)
    except FOREIGN_ERRORS as error:
        raise mixed_units(name, unit, row, unit_text(value.units)) from error


def mixed_units(name: str, unit: str, row: int, other: str) -> ValueError:
    """Say that a column has no one unit."""
    return ValueError(
        f"{name!r} was recorded in {unit or 'no unit'}, but row {row} has {other}, which can't be converted: "
        f"give the two kinds of values names of their own; columns=[…] exports the other columns"
    )


def unit_text(unit: Any) -> str:
    """Write a unit in its short form, as pint has it."""
    try:
        return f"{unit:~C}"
    except (TypeError, ValueError):  # it isn't of pint's
        return str(unit)


# -- plain values


def plain(value: Any) -> Any:
    """Return a value as Python has it; lists of numbers as arrays."""
    if type(value) in PLAIN or (type(value) in ARRAYS and not is_scalar(value)):
        return value
    if isinstance(value, np.generic) or is_scalar(value):
        return of_numpy(value)
    if isinstance(value, enum.Enum):
        return plain(value.value) if isinstance(value, (*NUMBERS, str)) else value.name
    if isinstance(value, (*NUMBERS, str)):
        return of_subclass(value)
    if isinstance(value, list | tuple):
        return array_of(value)
    return value


def of_subclass(value: Any) -> Any:
    """Return a value of a class made from one of Python's as one of Python's."""
    base: Any = next(kind for kind in (*NUMBERS, str) if isinstance(value, kind))
    return base.__new__(base, value)


def is_scalar(value: Any) -> bool:
    """Tell whether an array is one number."""
    return isinstance(value, np.ndarray) and value.ndim == 0


def of_numpy(value: Any) -> Any:
    """Return one of numpy's numbers as Python's; one that has more digits loses them."""
    found = value.item()
    if not isinstance(found, np.generic):
        return found
    return complex(value) if value.dtype.kind == "c" else float(value)


def array_of(value: Any) -> Any:
    """Return a list of numbers, or of such lists of the same length, as an array; any other as it is."""
    if not holds_numbers(value):
        return value
    try:
        array = np.array(value)
    except (ValueError, OverflowError):  # its lists differ in length
        return value
    return array if array.dtype.kind in NUMERIC else value


def holds_numbers(value: Any) -> bool:
    """Tell whether there are only numbers in a list, at any depth."""
    return all(
        holds_numbers(item) if isinstance(item, list | tuple) else isinstance(item, (*NUMBERS, np.number, np.bool_))
        for item in value
    )


# -- kinds


def kind_of(values: list[Any]) -> Kind:
    """Find the narrowest kind that holds all values as they are."""
    kinds = set(map(type, values))
    if not kinds <= {int, float, complex} or not kinds:
        return other_kind(kinds, values)
    if kinds == {int}:
        return "integer"
    if int in kinds and not all(exact(value) for value in values if type(value) is int):
        return "mixed"
    return "complex" if complex in kinds else "number"


def other_kind(kinds: set[type], values: list[Any]) -> Kind:
    """Find the kind of values that aren't numbers; a column that was only ever None holds numbers."""
    if not kinds:
        return "number"
    if kinds == {bool}:
        return "boolean"
    if kinds == {str} and all(map(storable, values)):
        return "text"
    if kinds <= ARRAYS and all(np.dtype(value.dtype).kind in NUMERIC for value in values):
        return "array"
    return "mixed"


def exact(value: int) -> bool:
    """Tell whether a float can be this integer."""
    try:
        return float(value) == value
    except OverflowError:
        return False


def storable(text: str) -> bool:
    """Tell whether every format holds a text: UTF-8 has no lone surrogates, and HDF5's texts end at a NUL."""
    return "\0" not in text and not any("\ud800" <= letter <= "\udfff" for letter in text)
