"""Tell data, which travels to the caller, from everything else, which stays with its device."""

from __future__ import annotations

import datetime as dt
import decimal
import enum
import fractions
import inspect
import pathlib
import sys
import uuid
from contextlib import suppress
from types import MemberDescriptorType
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Collection

__all__ = ["SCALARS", "Stays", "class_of", "is_data", "outgoing", "own_values"]

SCALARS: Final = frozenset((int, float, str, bytes, bool, type(None), complex))
PLAIN_DATA: Final = (
    int, float, complex, str, bytes, bytearray, memoryview, type(None), enum.Enum, dt.date, dt.time,
    dt.timedelta, dt.tzinfo, decimal.Decimal, fractions.Fraction, uuid.UUID, range, slice, type(Ellipsis),
    pathlib.PurePath, BaseException, type,
)  # fmt: skip
CONTAINERS: Final = (list, tuple, set, frozenset)
FOREIGN_DATA: Final = (
    ("numpy", "ndarray"), ("numpy", "generic"), ("pandas", "DataFrame"), ("pandas", "Series"), ("xarray", "Dataset"),
    ("xarray", "DataArray"), ("pint", "Quantity"), ("pydantic", "BaseModel"), ("qcodes.parameters", "ParamSpecBase"),
)  # fmt: skip
"""Data of packages which may not be installed: looked for only once somebody has imported them."""


class Stays:
    """An object that stays with its device: the caller gets a proxy of the part instead.

    `origin` is the way by which it was found, if that can be gone again after a restart; ``()`` is the device itself.
    `shapes` is what the caller's side knows of the object and its parts.
    """

    __slots__ = ("cls", "life", "origin", "part", "shapes")

    def __init__(self, part: Any, life: int) -> None:
        self.part = part
        self.cls: type = type(part)
        self.life = life
        self.origin: tuple[tuple[str, Any], ...] | None = None
        self.shapes: dict[Any, Any] = {}


def outgoing(value: Any, life: int) -> Any:
    """Return what the caller gets for a driver's result: the value itself if it is data."""
    return value if value.__class__ in SCALARS or is_data(value) else Stays(value, life)


def is_data(value: Any) -> bool:
    """Tell whether a value is data: numbers, text, arrays, quantities, and containers and dataclasses of them.

    Nothing of the value is evaluated: no property, no descriptor, no `__getattr__`. A container may hold itself.
    """
    groups: list[Collection[Any]] = [(value,)]
    entered: dict[int, Any] = {}
    for group in groups:  # grows while it is walked
        if frozenset(map(type, group)) <= SCALARS:  # a long list of floats is judged by the set of its types
            continue
        for item in group:
            kind = class_of(item)
            if kind in SCALARS or id(item) in entered or issubclass(kind, PLAIN_DATA):
                continue
            inner = contents(item, kind)
            if inner is None and not is_foreign_data(kind):
                return False
            entered[id(item)] = item
            groups.append(inner or ())
    return True


def class_of(value: object) -> type[Any]:
    """Return an object's true class, whatever it says of itself."""
    return type(value)


def contents(value: Any, kind: type[Any]) -> Collection[Any] | None:
    """Return what a container or a dataclass holds; None if it is something else."""
    base: Any
    for base in CONTAINERS:
        if issubclass(kind, base):
            return value if kind is base else list(base.__iter__(value))
    if issubclass(kind, dict):
        return dict[Any, Any].values(value)
    fields = getattr(kind, "__dataclass_fields__", None)
    if fields is None:
        return None
    values = own_values(value)
    # One that the object hasn't got is its class's; a descriptor there isn't data.
    return [values[name] if name in values else inspect.getattr_static(kind, name, None) for name in fields]


def own_values(value: object) -> dict[str, Any]:
    """Return what lies in an object itself, in its dictionary and its slots; its class is passed by."""
    values: dict[str, Any] = {}
    with suppress(AttributeError):  # it has only slots
        values.update(object.__getattribute__(value, "__dict__"))
    for cls in type(value).__mro__:
        for name, static in vars(cls).items() if "__slots__" in vars(cls) else ():
            if type(static) is MemberDescriptorType and name not in values:
                with suppress(AttributeError):  # it isn't set
                    values[name] = static.__get__(value)
    return values


def is_foreign_data(kind: type) -> bool:
    """Tell whether it is data of a package that is imported."""
    for package, name in FOREIGN_DATA:
        module = sys.modules.get(package)
        known = getattr(module, name, None) if module is not None else None
        if isinstance(known, type) and issubclass(kind, known):
            return True
    return False
