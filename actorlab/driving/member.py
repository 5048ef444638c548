"""Name one thing that can be asked of a driver's object or of a part of it, and do it there."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from actorlab.errors import DeviceFault

__all__ = ["Member", "Path", "advance", "invoke", "performed", "read", "resolve", "where", "write"]

Path = tuple[tuple[str, Any], ...]
"""The way from a device to a part: ("attribute", name), ("item", key) or ("object", a `Stays`), one after another."""


class Member(NamedTuple):
    """One thing that can be asked of a device or of a part of it."""

    name: str
    query: bool
    action: Callable[[Any, str, tuple[Any, ...], dict[str, Any]], Any]
    path: Path = ()
    naps: bool = False
    """A `sleep` inside serves nobody."""


# -- what is done with a member


def invoke(target: Any, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Call a method."""
    return getattr(target, name)(*args, **kwargs)


def read(target: Any, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Read an attribute."""
    del args, kwargs
    return getattr(target, name)


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
    for kind, key in path:
        if kind == "attribute":
            target = getattr(target, key)
        elif kind == "item":
            target = target[key]
        elif key.life == life:
            target = key.part
        else:
            text = f"this {key.cls.__name__} belongs to the device before it restarted: get it from the device again"
            raise DeviceFault(text)
    return target


def where(name: str, path: Path) -> str:
    """Write the way to a part as one would type it."""
    for kind, key in path:
        name += f".{key}" if kind == "attribute" else f"[{key!r}]" if kind == "item" else f".<{key.cls.__name__}>"
    return name
