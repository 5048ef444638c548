"""Name one thing that can be asked of a driver's object or of a part of it, and do it there."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from actorlab.driving.travel import Stays
from actorlab.errors import DeviceFault

__all__ = [
    "Member", "Path", "advance", "current", "evaluate", "invoke", "performed", "pick", "read", "resolve", "way_of",
    "where", "write",
]  # fmt: skip

Path = tuple[tuple[str, Any], ...]
"""The way from a device to a part: ("attribute", name) and ("item", key), one after another; ("object", a `Stays`) is
the first if it begins at what a call or a property has returned."""


class Member(NamedTuple):
    """One thing that can be asked of a device or of a part of it."""

    name: str
    query: bool
    action: Callable[[Any, str, tuple[Any, ...], dict[str, Any]], Any]
    path: Path = ()
    naps: bool = False
    """A `sleep` inside serves nobody."""

    def on(self, device: str = "") -> str:
        """Write it as one would type it: "smu.channel[1].measure"; to call a part is written as the part."""
        place = where(device, self.path)
        return (place if self.name in ("__call__", "__getitem__") else f"{place}.{self.name}").removeprefix(".")


# -- what is done with a member


def invoke(target: Any, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Call a method."""
    return getattr(target, name)(*args, **kwargs)


def read(target: Any, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Read an attribute that lies in the object or its class."""
    del args, kwargs
    return getattr(target, name)


def evaluate(target: Any, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Read an attribute that the driver's code answers: a property, or what only its `__getattr__` knows."""
    del args, kwargs
    return getattr(target, name)


def pick(target: Any, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Read an item of a list, tuple or dictionary."""
    del name, kwargs
    return target[args[0]]


def write(target: Any, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    """Set an attribute."""
    del kwargs
    setattr(target, name, args[0])


def performed(target: Any, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Run a function on the object itself."""
    del name
    return args[0](target, *args[1:], **kwargs)


def advance(target: Any, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Take the next item of a generator; an empty tuple says that it has ended."""
    del name, args, kwargs
    for item in target:
        return (item,)
    return ()


# -- where it is


def resolve(target: Any, path: Path, life: int) -> Any:
    """Follow the way from a device to one of its parts.

    Raises:
        DeviceFault: the part was the result of a call in an earlier life of the device.

    """
    for kind, key in current(path, life):
        if kind == "attribute":
            target = getattr(target, key)
        elif kind == "item":
            target = target[key]
        else:
            target = key.part
    return target


def current(path: Path, life: int) -> Path:
    """Return the way to a part in this life: what was read in an earlier one is read again, by its name or key.

    Raises:
        DeviceFault: it can't be, as it was the result of a call.

    """
    if not path or path[0][0] != "object" or path[0][1].life == life:
        return path
    found: Stays = path[0][1]
    if found.origin is None:
        text = f"this {found.cls.__name__} belongs to the device before it restarted: get it from the device again"
        raise DeviceFault(text)
    return (*current(found.origin, life), *path[1:])


def way_of(path: Path) -> Path:
    """Return the way to a part by names and keys, as far as there is one."""
    if path and path[0][0] == "object" and path[0][1].origin is not None:
        return (*way_of(path[0][1].origin), *path[1:])
    return path


def where(name: str, path: Path) -> str:
    """Write the way to a part as one would type it."""
    for kind, key in way_of(path):
        if kind == "attribute":
            name += f".{key}"
        elif kind == "item":
            name += f"[{shown(key)}]"
        elif kind == "object":
            name += f".<{key.cls.__name__}>"
    return name


def shown(key: Any) -> str:
    """Write a key of an item."""
    if type(key) is not slice:
        return repr(key)
    bounds: list[Any] = [key.start, key.stop] if key.step is None else [key.start, key.stop, key.step]
    return ":".join("" if bound is None else repr(bound) for bound in bounds)
