"""Lay a table out as the variables that files hold: arrays with named axes and attributes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from actorlab.data.columns import Column, storable
from actorlab.data.names import Names, safe
from actorlab.data.references import ArrayRef, read_all
from actorlab.data.table import Table
from actorlab.encoding import dumps
from actorlab.errors import EncodingError

__all__ = ["ROW", "Stack", "Variable", "as_json", "flat", "texts_for_files", "variables_of"]

ROW: Final = "row"
EPOCH: Final = "seconds since 1970-01-01T00:00:00"
BLOCK: Final = 1 << 20
"""So many bytes of arrays are written at a time."""
EXACT: Final = 2**53
"""Up to here floats are exact integers."""


@dataclass(frozen=True)
class Stack:
    """Arrays of one shape and dtype, one behind the other; those in a store are read when they are gone through.

    `part` is what is taken of complex ones.
    """

    values: list[Any]
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    part: Literal["whole", "real", "imag"] = "whole"

    def __iter__(self) -> Iterator[NDArray[Any]]:
        for stored, values in groupby(self.values, lambda value: isinstance(value, ArrayRef)):
            for array in read_all(values) if stored else values:
                yield np.asarray(array if self.part == "whole" else getattr(array, self.part), dtype=self.dtype)

    @property
    def block(self) -> int:
        """Return how many arrays are written at a time, and stand in one chunk."""
        size = self.dtype.itemsize * int(np.prod(self.shape))
        return max(1, min(len(self.values), BLOCK // max(1, size)))

    def blocks(self) -> Iterator[tuple[int, NDArray[Any]]]:
        """Yield the arrays in blocks, each with the place of its first one."""
        arrays = iter(self)
        for start in range(0, len(self.values), self.block):
            count = min(self.block, len(self.values) - start)
            yield start, np.stack([next(arrays) for _ in range(count)])

    def whole(self) -> NDArray[Any]:
        """Return all of them as one array."""
        found = np.empty((len(self.values), *self.shape), self.dtype)
        for number, array in enumerate(self):
            found[number] = array
        return found


@dataclass(frozen=True)
class Variable:
    """What a file holds under a name: `data` has the axes `dims`; it is text or whatever was recorded if ``object``."""

    name: str
    dims: tuple[str, ...]
    data: NDArray[Any] | Stack
    attributes: dict[str, Any]


def variables_of(table: Table) -> list[Variable]:
    """Return the variables of a table: its times and steps, then its columns.

    Numbers that are missing are NaN (and integers then floats, if these are exact), other values None. Arrays have
    axes of their own; those that not every row has, or that differ in shape, say in ``<name>_row`` which rows they
    are of.
    """
    names = Names()
    names.new(ROW)
    time = Variable(names.new(table.time_name), (ROW,), table.times, {"units": EPOCH, "calendar": "standard"})
    step = Variable(names.new(table.step_name), (ROW,), objects(table.steps), {})
    found = [time, step]
    named = [(column, names.new(column.name)) for column in table.columns]
    for column, name in named:
        one = column.kind != "array"
        found += [scalars(column, name, len(table))] if one else arrays(column, name, names, len(table))
    return found


def attributes_of(column: Column, name: str) -> dict[str, Any]:
    """Return what stands with a variable: its unit, and its column's name if that couldn't be its own."""
    found: dict[str, Any] = {"units": column.unit} if column.unit else {}
    return found if name == column.name else {**found, "column": safe(column.name)}


# -- one value a row


def scalars(column: Column, name: str, count: int) -> Variable:
    """Return the variable of a column with one value a row."""
    attributes = attributes_of(column, name)
    missing = len(column.rows) < count
    match column.kind:
        case "boolean" if not missing:
            data: NDArray[Any] = np.array(column.values, dtype=np.bool_)
        case "integer" if not missing and (dtype := integer_type(column.values)) is not None:
            data = np.array(column.values, dtype=dtype)
        case "boolean" | "number":
            data = filled(column, count, np.float64)
        case "integer" if all(-EXACT <= value <= EXACT for value in column.values):
            data = filled(column, count, np.float64)
        case "complex":
            data = filled(column, count, np.complex128)
        case _:
            data = objects(column.values) if not missing else scattered(column, count)
    if missing and column.kind in ("boolean", "integer"):
        attributes["type"] = column.kind
    return Variable(name, (ROW,), data, attributes)


def integer_type(values: list[int]) -> type[np.integer[Any]] | None:
    """Return the type that holds some integers, if there is one."""
    least, most = min(values, default=0), max(values, default=0)
    for kind in (np.int64, np.uint64):
        if np.iinfo(kind).min <= least and most <= np.iinfo(kind).max:
            return kind
    return None


def filled(column: Column, count: int, dtype: Any) -> NDArray[Any]:
    """Return numbers with NaN where there are none."""
    data = np.full(count, np.nan, dtype=dtype)
    data[column.rows] = column.values
    return data


def scattered(column: Column, count: int) -> NDArray[Any]:
    """Return values with None where there are none."""
    data = np.full(count, None, dtype=object)
    data[column.rows] = objects(column.values)
    return data


def objects(values: list[Any]) -> NDArray[Any]:
    """Return an array of objects; numpy would look into those that are lists."""
    data = np.empty(len(values), dtype=object)
    for number, value in enumerate(values):
        data[number] = value
    return data


# -- arrays


def arrays(column: Column, name: str, names: Names, count: int) -> list[Variable]:
    """Return the variables of a column of arrays: one for each shape."""
    shapes: dict[tuple[int, ...], list[int]] = {}
    for place, value in enumerate(column.values):
        shapes.setdefault(tuple(value.shape), []).append(place)
    found: list[Variable] = []
    for number, (shape, places) in enumerate(shapes.items()):
        own = name if not number else names.new(f"{name}_{number + 1}")
        values = [column.values[place] for place in places]
        dtype = np.result_type(*{np.dtype(value.dtype) for value in values})
        rows = [column.rows[place] for place in places]
        axis, where = (ROW, []) if len(rows) == count else sparse(own, names, rows)
        dims = (axis, *(names.new(f"{own}_{number}") for number in range(len(shape))))
        found += [*where, Variable(own, dims, Stack(values, shape, dtype), attributes_of(column, own))]
    return found


def sparse(name: str, names: Names, rows: list[int]) -> tuple[str, list[Variable]]:
    """Return an axis for arrays that only some rows have, and the variable that says which."""
    axis = names.new(f"{name}_{ROW}")
    return axis, [Variable(axis, (axis,), np.array(rows, dtype=np.int64), {})]


# -- texts and attributes


def texts_for_files(variable: Variable) -> Variable:
    """Return a variable of objects as one of texts: text as it is, anything else, and text no file holds, as JSON.

    ``encoding`` says so then; where a text is missing stands what ``missing`` says.
    """
    data = variable.data
    if isinstance(data, Stack) or data.dtype != object:
        return variable
    attributes = dict(variable.attributes)
    values = data.tolist()
    present = [value for value in values if value is not None]
    if not is_text(present):
        attributes["encoding"] = "json"
        texts = [None if value is None else as_json(value) for value in values]
    else:
        texts = values
    if len(present) < len(values):
        attributes["missing"] = marker(set(texts))
        texts = [attributes["missing"] if text is None else text for text in texts]
    return Variable(variable.name, variable.dims, objects(texts), attributes)


def is_text(values: list[Any]) -> bool:
    """Tell whether there are only texts that every format holds."""
    return all(isinstance(value, str) and storable(value) for value in values)


def marker(texts: set[str | None]) -> str:
    """Return a text that stands for none: it is empty, unless there are empty ones."""
    text = ""
    while text in texts:
        text = f"({text or 'missing'})"
    return text


def as_json(value: Any) -> str:
    """Write a value as JSON in ASCII, as `actorlab.encoding` does; what isn't data as Python shows it."""
    try:
        return dumps(value)
    except EncodingError:
        return json.dumps(repr(value))


def flat(attributes: dict[str, Any]) -> dict[str, str | int | float]:
    """Return attributes that every format holds: texts and numbers as they are, anything else as JSON."""
    return {safe(name): flat_value(value) for name, value in attributes.items() if value is not None}


def flat_value(value: Any) -> str | int | float:
    """Return one attribute that every format holds."""
    if type(value) is float or (type(value) is int and integer_type([value]) is not None):
        return value
    if isinstance(value, str):
        return safe(str(value)).replace("\0", "\\x00")
    return as_json(value)
