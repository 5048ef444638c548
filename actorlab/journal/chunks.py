"""Put the recorded rows of a moment together as one piece to be written, and take them apart again."""

from __future__ import annotations

import itertools
import json
import sys
from array import array
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Final, NamedTuple, TypeAlias, cast

from actorlab.encoding import Resolve, decode, dumps, encode, imported, loads

__all__ = [
    "Columns",
    "Recorded",
    "RowTuple",
    "joined",
    "merged",
    "rows_chunk",
    "rows_from",
]

RowTuple: TypeAlias = tuple[int, float, tuple[Any, ...]]
"""Its number, its time in seconds since 1970, and its values."""


FLOAT: Final = float
NUMBERS: Final = {FLOAT: "d", int: "q", bool: "b"}
"""Columns of nothing but one of these are kept as their bytes in memory, little-endian."""
SWAPPED: Final = sys.byteorder == "big"


class Columns(NamedTuple):
    """Recorded rows: whose (`body`), their numbers and times, and the values of each name."""

    body: str
    numbers: list[int]
    times: list[float]
    values: dict[str, list[Any]]
    units: dict[str, str]


class Packed(NamedTuple):
    """A column as it is kept: by which kind of number, or "json"; its unit, if there is one; and its bytes."""

    kind: str
    unit: str
    data: bytes


def rows_chunk(body: str, names: tuple[str, ...], rows: list[RowTuple]) -> tuple[str, bytes]:
    """Return the head, as JSON, and the data of rows that have the same names."""
    numbers, times, values = zip(*rows, strict=True)
    columns = [packed(list(column)) for column in (numbers, times, *zip(*values, strict=True))]
    heads = [(column.kind, column.unit, len(column.data)) for column in columns]
    text = json.dumps({"body": body, "names": names, "columns": heads}, separators=(",", ":"))
    return text, b"".join(column.data for column in columns)


def packed(column: list[Any]) -> Packed:
    """Pack a column: numbers of one kind by their bytes, quantities of one unit by it, all else as JSON."""
    kinds = {
        FLOAT if kind.__name__ == "float64" and issubclass(kind, FLOAT) else kind for kind in set(map(type, column))
    }
    kind = kinds.pop() if len(kinds) == 1 else object
    if kind in NUMBERS:
        with suppress(OverflowError):  # an integer of more than 64 bits
            return Packed(NUMBERS[kind], "", little_endian(array(NUMBERS[kind], column)))
    if kind.__name__ == "Quantity" and len(units := {str(value.units) for value in column}) == 1:
        return packed([value.magnitude for value in column])._replace(unit=units.pop())
    return Packed("json", "", dumps(column, lenient=True).encode())


def little_endian(numbers: array[Any]) -> bytes:
    """Return the bytes of numbers in the order that most machines have them in memory."""
    if SWAPPED:
        numbers.byteswap()
    return numbers.tobytes()


def merged(chunks: Sequence[tuple[str, bytes]]) -> list[tuple[list[int], str, bytes]]:
    """Put chunks with the same columns together; return which they were, and the head and data of each new one.

    Values are neither read nor made: their classes may not even be there.
    """
    heads = [json.loads(head) for head, _ in chunks]
    alike: dict[str, list[int]] = {}
    for place, head in enumerate(heads):
        kinds = [column[:2] for column in head["columns"]]
        alike.setdefault(json.dumps([head["body"], head["names"], kinds]), []).append(place)
    return [(places, *one_chunk([(heads[place], chunks[place][1]) for place in places])) for places in alike.values()]


def one_chunk(parts: list[tuple[Any, bytes]]) -> tuple[str, bytes]:
    """Join chunks of the same columns."""
    head = parts[0][0]
    pieces = zip(*[views_of(each, data) for each, data in parts], strict=True)
    columns = [one_column(kind, list(piece)) for (kind, _, _), piece in zip(head["columns"], pieces, strict=True)]
    heads = [(kind, unit, len(data)) for (kind, unit, _), data in zip(head["columns"], columns, strict=True)]
    text = json.dumps({**head, "columns": heads}, separators=(",", ":"))
    return text, b"".join(columns)


def one_column(kind: str, pieces: list[memoryview]) -> bytes:
    """Join the parts of a column."""
    if kind != "json":
        return b"".join(pieces)
    values = itertools.chain.from_iterable(json.loads(bytes(piece)) for piece in pieces)
    return json.dumps(list(values), separators=(",", ":")).encode()


def views_of(head: Any, data: bytes) -> list[memoryview]:
    """Return where each column of a chunk lies."""
    ends = itertools.accumulate((column[-1] for column in head["columns"]), initial=0)
    return [memoryview(data)[begin:end] for begin, end in itertools.pairwise(ends)]


def rows_from(text: str, data: bytes, resolve: Resolve = imported) -> Columns:
    """Read recorded rows again."""
    head = json.loads(text)
    kinds, units, _ = zip(*head["columns"], strict=True)
    views = views_of(head, data)
    numbers, times, *columns = [unpacked(kind, view, resolve) for kind, view in zip(kinds, views, strict=True)]
    names = head["names"]
    told = {name: unit for name, unit in zip(names, units[2:], strict=True) if unit}
    return Columns(head["body"], numbers, times, dict(zip(names, columns, strict=True)), told)


def unpacked(kind: str, data: memoryview, resolve: Resolve) -> list[Any]:
    """Read one column."""
    if kind == "json":
        return cast("list[Any]", loads(bytes(data), resolve=resolve, lenient=True))
    numbers: array[Any] = array(kind)
    numbers.frombytes(data)
    if SWAPPED:
        numbers.byteswap()
    return list(map(bool, numbers)) if kind == "b" else numbers.tolist()


class Recorded(NamedTuple):
    """The recorded rows of a run, in their order; a value that a row hasn't got is None.

    The values of a name in `units` are magnitudes in that unit; where the unit changed on the way they are quantities.
    """

    times: list[float]
    """In seconds since 1970."""
    bodies: list[str]
    """Whose rows they are."""
    columns: dict[str, list[Any]]
    units: dict[str, str]

    def __len__(self) -> int:
        return len(self.times)


def joined(chunks: list[Columns]) -> Recorded:
    """Put the rows of several chunks together, in the order of their numbers."""
    names = dict.fromkeys(name for chunk in chunks for name in chunk.values)
    told = {name: {chunk.units.get(name, "") for chunk in chunks if name in chunk.values} for name in names}
    units = {name: next(iter(found)) for name, found in told.items() if len(found) == 1 and "" not in found}
    numbers = list(itertools.chain.from_iterable(chunk.numbers for chunk in chunks))
    times = list(itertools.chain.from_iterable(chunk.times for chunk in chunks))
    bodies = list(itertools.chain.from_iterable([chunk.body] * len(chunk.numbers) for chunk in chunks))
    columns = {
        name: list(itertools.chain.from_iterable(part(chunk, name, units) for chunk in chunks)) for name in names
    }
    if all(one < other for one, other in itertools.pairwise(numbers)):
        return Recorded(times, bodies, columns, units)
    order = sorted(range(len(numbers)), key=numbers.__getitem__)

    def sort(values: list[Any]) -> list[Any]:
        return [values[place] for place in order]

    return Recorded(sort(times), sort(bodies), {name: sort(column) for name, column in columns.items()}, units)


def part(chunk: Columns, name: str, units: dict[str, str]) -> list[Any]:
    """Return a column of a chunk: quantities, where not all chunks have them in one unit."""
    values = chunk.values.get(name) or [None] * len(chunk.numbers)
    unit = chunk.units.get(name)
    if unit is None or name in units:
        return values
    trees = [{"$": "quantity", "magnitude": encode(value), "unit": unit} for value in values]
    return [decode(tree, lenient=True) for tree in trees]
