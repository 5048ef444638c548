"""Look at a driver's object without evaluating anything on it: which attributes and parts it has, and of what class."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple

from actorlab.driving.travel import is_data

__all__ = ["DELEGATES", "NO_SHAPE", "Shape", "look"]

DELEGATES: Final = "delegate_attr_dicts"
"""QCoDeS's list of the dictionaries whose entries can be used as attributes (parameters, functions, submodules)."""

Step = tuple[str, Any]


class Shape(NamedTuple):
    """What is known of an object by looking: nothing was read from the instrument for it."""

    cls: type
    names: frozenset[str]
    """The public attributes of the object itself, which its class doesn't tell of."""
    parts: Mapping[Step, type]
    """Those of its attributes ("attribute", name) and items ("item", key) that aren't data, with their classes."""


NO_SHAPE: Final = Shape(object, frozenset(), {})


def look(target: Any) -> Shape:
    """Return the shape of a driver's object, or of a part of it; no property, descriptor or `__getattr__` runs."""
    own = dict(attributes(target))
    parts: dict[Step, type] = {("attribute", name): type(value) for name, value in own.items() if not is_data(value)}
    parts.update({("item", key): type(value) for key, value in items(target) if not is_data(value)})
    return Shape(type(target), frozenset(own), parts)


def attributes(target: Any) -> Iterator[tuple[str, Any]]:
    """Yield the public attributes that lie in the object itself, and those that it delegates to."""
    own = own_dict(target)
    delegates = [own.get(name) for name in getattr(type(target), DELEGATES, ())]
    for space in [*(space for space in delegates if type(space) is dict), own]:
        for name, value in list(space.items()):
            if isinstance(name, str) and not name.startswith("_"):
                yield name, value


def own_dict(target: Any) -> dict[str, Any]:
    """Return an object's own dictionary, or an empty one: past any `__getattribute__` of its class."""
    try:
        found = object.__getattribute__(target, "__dict__")
    except AttributeError:
        return {}
    return found if type(found) is dict else {}


def items(target: Any) -> list[tuple[Any, Any]]:
    """Return the items of a plain list, tuple or dictionary."""
    if type(target) is dict:
        return list(target.items())
    return list(enumerate(target)) if type(target) in (list, tuple) else []
