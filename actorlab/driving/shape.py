"""Look at a driver's object without evaluating anything on it: which attributes and parts it has, and of what class."""

from __future__ import annotations

import inspect
from collections import OrderedDict
from collections.abc import Collection, Mapping
from typing import Any, Final, Literal, NamedTuple

from actorlab.driving.presets import comes_from
from actorlab.driving.travel import class_of, is_data, own_values

__all__ = ["NO_SHAPE", "Shape", "container_kind", "look", "looked"]

DELEGATES: Final = "delegate_attr_dicts"
"""QCoDeS's list of the dictionaries whose entries can be used as attributes (parameters, functions, submodules)."""
CHANNELS: Final = "_channels"
"""Where QCoDeS's `ChannelTuple` keeps its channels, …"""
CHANNEL_NAMES: Final = "_channel_mapping"
"""… and where by their names, which are attributes of it, unless a channel has an attribute of that name itself."""
CHANGED_BY: Final = "_special_names"
"""PyMeasure's list of the names by which an instrument's properties are changed: they can be set, and not be read."""

Step = tuple[str, Any]


class Shape(NamedTuple):
    """What is known of an object by looking: nothing was read from the instrument for it."""

    cls: type
    names: frozenset[str]
    """The public attributes of the object itself, which its class doesn't tell of."""
    parts: Mapping[Step, type]
    """Those of its attributes ("attribute", name) and items ("item", key) that aren't data, with their classes."""
    keys: tuple[Any, ...] = ()
    """The keys of a mapping or the indices of a sequence, in their order."""
    settable: frozenset[str] = frozenset()
    """Names that can be set, and not be read."""

    @property
    def data(self) -> frozenset[str]:
        """The public attributes of the object itself that aren't parts."""
        return frozenset([name for name in self.names if ("attribute", name) not in self.parts])


NO_SHAPE: Final = Shape(object, frozenset(), {})


def look(target: Any) -> Shape:
    """Return the shape of a driver's object, or of a part of it; no property, descriptor or `__getattr__` runs."""
    kind = class_of(target)
    own = own_values(target)
    public = {name: value for name, value in (delegated(kind, own) | own).items() if is_public(name)}
    items = items_of(target, own)
    parts: dict[Step, type] = {
        ("attribute", name): class_of(value)
        for name, value in (constants(kind) | public).items()
        if not is_data(value) and not is_data_descriptor(inspect.getattr_static(kind, name, None))
    }
    parts.update({("item", key): class_of(value) for key, value in items if not is_data(value)})
    changed_by: list[str] = own.get(CHANGED_BY, []) if comes_from(kind, "pymeasure", "CommonBase") else []
    return Shape(kind, frozenset(public), parts, tuple([key for key, _ in items]), frozenset(changed_by))


def looked(target: Any, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Shape:
    """Look at a part: what a member does that only looks."""
    del name, args, kwargs
    return look(target)


def is_public(name: object) -> bool:
    """Tell whether it is the name of an attribute that isn't private to the driver."""
    return isinstance(name, str) and not name.startswith("_")


def is_data_descriptor(static: object) -> bool:
    """Tell whether a class's attribute goes before one of the object itself: a property, but not a method or a slot."""
    cls = class_of(static)
    return (hasattr(cls, "__set__") or hasattr(cls, "__delete__")) and not inspect.ismemberdescriptor(static)


def constants(cls: type) -> dict[str, Any]:
    """Return the public attributes of a class that are plain objects."""
    found: dict[str, Any] = {}
    for base in reversed(cls.__mro__):
        for name, static in vars(base).items():
            plain = is_public(name) and not callable(static) and not hasattr(class_of(static), "__get__")
            found.pop(name, None)
            if plain:
                found[name] = static
    return found


def delegated(cls: type, own: Mapping[str, Any]) -> dict[str, Any]:
    """Return what can be used as an attribute and lies in one of the object's dictionaries; its class goes before."""
    if comes_from(cls, "qcodes", "ChannelTuple"):
        return named_channels(own)
    if not comes_from(cls, "qcodes", "DelegateAttributes"):
        return {}
    spaces: list[Any] = [own.get(name) for name in reversed(getattr(cls, DELEGATES, ()))]
    merged: dict[str, Any] = {}
    for space in filter(None, spaces):
        merged.update(space)
    return {name: value for name, value in merged.items() if inspect.getattr_static(cls, str(name), None) is None}


def named_channels(own: Mapping[str, Any]) -> dict[str, Any]:
    """Return a channel tuple's channels by name, without those that are hidden by an attribute of a channel."""
    channels = list(own.get(CHANNELS, ()))
    first = look(channels[0]) if channels else NO_SHAPE
    return {
        name: channel
        for name, channel in own.get(CHANNEL_NAMES, {}).items()
        if name not in first.names and inspect.getattr_static(first.cls, name, None) is None
    }


def container_kind(cls: type) -> Literal["mapping", "sequence"] | None:
    """Tell whether a class's items can be known by looking: it is a list, tuple or dictionary, or uses their ways."""
    base = container_base(cls)
    if base is not None:
        return "mapping" if issubclass(base, dict) else "sequence"
    return "sequence" if comes_from(cls, "qcodes", "ChannelTuple") else None


def container_base(cls: type) -> Any:
    """Return the class of Python's own by whose ways a container holds its items, or None."""
    kind: Any = cls
    base: Any
    for base in (list, tuple, OrderedDict, dict):
        if issubclass(kind, base):
            return base if kind.__getitem__ is base.__getitem__ and kind.__iter__ is base.__iter__ else None
    return None


def items_of(target: Any, own: Mapping[str, Any]) -> Collection[tuple[Any, Any]]:
    """Return the items of a container with their keys or indices."""
    base = container_base(class_of(target))
    if base is None:
        channels = own.get(CHANNELS, ()) if container_kind(class_of(target)) else ()
        return list(enumerate(channels))
    found: Collection[tuple[Any, Any]] = (
        base.items(target) if "items" in vars(base) else [*enumerate([*base.__iter__(target)])]
    )
    return list(found)
