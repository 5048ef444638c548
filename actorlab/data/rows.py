"""Say what one recorded row is, and where rows come from."""

from __future__ import annotations

import copy
import sys
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final, NamedTuple, Protocol

__all__ = ["Row", "RowSource", "as_now"]

UNCHANGING: Final = frozenset((bool, int, float, complex, str, bytes, type(None)))


class Row(NamedTuple):
    """What was recorded at one moment: `time` in seconds since 1970, `body` whose it is, and the values by name."""

    time: float
    body: str
    values: dict[str, Any]


class RowSource(Protocol):
    """Whatever can go through rows in the order in which they were recorded, again and again."""

    def __len__(self) -> int: ...

    def __iter__(self) -> Iterator[Row]: ...


def as_now(values: dict[str, Any]) -> dict[str, Any]:
    """Return the values of a row as they are now, whatever becomes of the arrays and lists among them later."""
    if UNCHANGING.issuperset(map(type, values.values())):
        return values
    return {name: own(value) for name, value in values.items()}


def own(value: Any) -> Any:
    """Return a copy of an array, a quantity or a container, and any other value itself."""
    copier = COPIERS.get(value.__class__)
    if copier is not None:
        return copier(value)
    return copy.copy(value) if type(value) not in UNCHANGING and is_array(getattr(value, "magnitude", value)) else value


def own_items(values: Iterable[Any]) -> list[Any]:
    """Return copies of some values."""
    items = list(values)
    return items if UNCHANGING.issuperset(map(type, items)) else [own(item) for item in items]


def own_dict(values: dict[Any, Any]) -> dict[Any, Any]:
    """Return a dict with copies of its values."""
    return dict(zip(values, own_items(values.values()), strict=True))


COPIERS: Final[dict[type[Any], Callable[[Any], Any]]] = {
    list: own_items,
    tuple: lambda values: tuple(own_items(values)),
    dict: own_dict,
    set: copy.copy,
    bytearray: copy.copy,
}


def is_array(value: object) -> bool:
    """Tell whether a value is one of numpy's arrays, without importing numpy."""
    array: Any = getattr(sys.modules.get("numpy"), "ndarray", ())
    return isinstance(value, array)
