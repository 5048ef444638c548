"""Tell data, which travels to the caller, from everything else, which stays with its device."""

from __future__ import annotations

import dataclasses
import datetime as dt
import decimal
import enum
import fractions
import pathlib
import sys
import uuid
from typing import Any, Final

__all__ = ["SCALARS", "Stays", "is_data", "outgoing"]

SCALARS: Final = frozenset((int, float, str, bytes, bool, type(None), complex))
PLAIN_DATA: Final = (
    int, float, complex, str, bytes, bytearray, memoryview, type(None), enum.Enum, dt.date, dt.time,
    dt.timedelta, dt.tzinfo, decimal.Decimal, fractions.Fraction, uuid.UUID, range, slice, type(Ellipsis),
    pathlib.PurePath, BaseException, type,
)  # fmt: skip
CONTAINERS: Final = (list, tuple, set, frozenset)
FOREIGN_DATA: Final = (
    ("numpy", "ndarray"), ("numpy", "generic"), ("pandas", "DataFrame"), ("pandas", "Series"), ("xarray", "Dataset"),
    ("xarray", "DataArray"), ("pint", "Quantity"), ("pydantic", "BaseModel"),
)  # fmt: skip
"""Data of packages which may not be installed: looked for only once somebody has imported them."""


class Stays:
    """An object that stays with its device: the caller gets a proxy of the part instead."""

    __slots__ = ("cls", "life", "members", "part")

    def __init__(self, part: Any, life: int) -> None:
        self.part = part
        self.cls: type = type(part)
        self.life = life
        self.members = frozenset(getattr(part, "__dict__", ()))


def outgoing(value: Any, life: int) -> Any:
    """Return what the caller gets for a driver's result: the value itself if it is data."""
    return value if value.__class__ in SCALARS or is_data(value) else Stays(value, life)


def is_data(value: Any, depth: int = 0) -> bool:
    """Tell whether a value is data: numbers, text, arrays, quantities, and containers and dataclasses of them."""
    if isinstance(value, PLAIN_DATA) or depth > DEEPEST:
        return True
    if isinstance(value, CONTAINERS):
        return all_data(value, depth)
    if isinstance(value, dict):
        return all_data(value.values(), depth)
    if dataclasses.is_dataclass(value):
        return all_data([getattr(value, field.name) for field in dataclasses.fields(value)], depth)
    return is_foreign_data(value)


DEEPEST: Final = 20


def all_data(values: Any, depth: int) -> bool:
    """Tell whether all of some values are data; a long list of floats is judged by the set of its types."""
    if frozenset(map(type, values)) <= SCALARS:
        return True
    return all(is_data(value, depth + 1) for value in values)


def is_foreign_data(value: Any) -> bool:
    """Tell whether it is data of a package that is imported."""
    for package, name in FOREIGN_DATA:
        module = sys.modules.get(package)
        kind = getattr(module, name, None) if module is not None else None
        if isinstance(kind, type) and isinstance(value, kind):
            return True
    return False
