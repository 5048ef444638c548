"""Gather what the markers in a type hint say, wherever they stand in it."""

from __future__ import annotations

import inspect
import typing
from collections.abc import Iterable, Iterator, Mapping
from enum import Enum
from functools import reduce
from types import NoneType, UnionType
from typing import Annotated, Any, Final, Literal, NamedTuple, Union

from actorlab.errors import ConfigError
from actorlab.quantities.hints import Missing
from actorlab.quantities.markers import Marker, Range, ReadBack, Unit

__all__ = ["Asked", "asked_in", "marked_paths", "other_types", "read_back_in"]

UNIONS: Final = (Union, UnionType)
NO_NUMBERS: Final = (NoneType, str, bytes, Enum)
Markers = tuple[Marker, ...]


class Asked(NamedTuple):
    """What a hint asks of a number."""

    unit: str | None
    range: Range | None


def asked_in(hint: Any) -> Asked | None:
    """Return what a hint asks of each number of a value; None if it asks nothing.

    Raises:
        ConfigError: it asks one thing of some numbers and another of others.

    """
    found = {asked_by(path) for path in marked_paths(hint)} - {Asked(None, None)}
    if len(found) > 1:
        text = "it has more than one unit or range: give each number a parameter of its own"
        raise ConfigError(text)
    return found.pop() if found else None


def asked_by(markers: Markers) -> Asked:
    """Add up the markers that hold for one number: it has to be in all of the ranges."""
    units = {marker.name for marker in markers if isinstance(marker, Unit)}
    ranges = [marker for marker in markers if isinstance(marker, Range)]
    if len(units) > 1:
        text = f"it has more than one unit: {', '.join(sorted(units))}"
        raise ConfigError(text)
    return Asked(units.pop() if units else None, reduce(Range.__and__, ranges) if ranges else None)


def read_back_in(hint: Any) -> ReadBack | None:
    """Return how a value is to be read back."""
    found = {marker: None for path in marked_paths(hint) for marker in path if isinstance(marker, ReadBack)}
    if len(found) > 1:
        text = f"it is read back in more than one way: {', '.join(map(str, found))}"
        raise ConfigError(text)
    return next(iter(found), None)


def marked_paths(hint: Any, above: Markers = ()) -> Iterator[Markers]:
    """Yield, for each place in a hint that markers hold for, all of these markers."""
    bare, own = without_markers(hint)
    holding = (*above, *own)
    inner = [path for part in parts_of(bare) for path in marked_paths(part, holding)]
    if inner:
        yield from inner
    elif holding:
        yield holding


def without_markers(hint: Any) -> tuple[Any, Markers]:
    """Take the markers off a hint, and look through the names that were given to it."""
    if typing.get_origin(hint) is Annotated:
        bare, inner = without_markers(hint.__origin__)
        return bare, (*inner, *(item for item in hint.__metadata__ if isinstance(item, Unit | Range | ReadBack)))
    if isinstance(hint, typing.NewType):
        return without_markers(hint.__supertype__)
    if type(hint).__name__ == "TypeAliasType":  # of Python 3.12: `type Wavelength = Annotated[…]`
        return without_markers(hint.__value__)
    return hint, ()


def parts_of(hint: Any) -> tuple[Any, ...]:
    """Return the hints of what a value consists of: the branches of a union, the items of a container."""
    origin: Any = typing.get_origin(hint)
    if origin in UNIONS:
        return typing.get_args(hint)
    if not is_container(origin):
        return ()
    return typing.get_args(hint)[-1:] if issubclass(origin, Mapping) else typing.get_args(hint)


def is_container(kind: object) -> bool:
    """Tell whether it is a type of containers or arrays."""
    return inspect.isclass(kind) and (issubclass(kind, Iterable) or hasattr(kind, "__array__"))


def choice_types(choices: tuple[object, ...]) -> tuple[type, ...]:
    """Return the types of some values."""
    return tuple({type(choice) for choice in choices})


def other_types(hint: Any, *, marked: bool = False) -> tuple[type, ...]:
    """Return the types of those branches of a union that no range speaks of: they may be no numbers."""
    bare, own = without_markers(hint)
    marked = marked or bool(own)
    if typing.get_origin(bare) in UNIONS:
        return tuple([kind for branch in typing.get_args(bare) for kind in other_types(branch, marked=marked)])
    if typing.get_origin(bare) is Literal:
        return choice_types(typing.get_args(bare))
    kind: Any = typing.get_origin(bare) or bare
    if marked or any(marked_paths(bare)):
        return (kind,) if isinstance(kind, type) and issubclass(kind, NO_NUMBERS) else ()
    return (kind,) if isinstance(kind, type) and kind not in (Any, Missing) else (object,)
