"""Find the classes of devices in type hints, wherever they stand in them, and put something else in their place."""

from __future__ import annotations

import typing
from collections.abc import Callable, Iterable
from types import EllipsisType, UnionType
from typing import Annotated, Any, Final, TypeAlias, Union

from pydantic import TypeAdapter
from pydantic_core import SchemaError

from actorlab.device import Device
from actorlab.quantities.hints import ABSENT, FOREIGN_ERRORS, Unreadable, is_of
from actorlab.runtime.describe import text_of
from actorlab.shared import SHARED

__all__ = ["Put", "is_device_class", "with_devices"]

Put: TypeAlias = Callable[[str, Any], Any]
"""What gives the hint for a class of devices: from its text, and the class if that can be read."""
UNIONS: Final = (Union, UnionType)


def with_devices(hint: Any, put: Put) -> Any:
    """Return a hint with what `put` gives in place of each class of devices."""
    origin = typing.get_origin(hint)
    if origin is Annotated:
        return marked(hint, put)
    if origin in UNIONS:
        return Union[tuple([with_devices(part, put) for part in typing.get_args(hint)])]  # noqa: UP007 - not known here
    if isinstance(origin, type) and issubclass(origin, Iterable) and typing.get_args(hint):
        inner = [part if isinstance(part, EllipsisType) else with_devices(part, put) for part in typing.get_args(hint)]
        return origin[tuple(inner)]  # type: ignore[index]  # what was subscripted once can be so again
    return put(text_of(hint), hint) if is_device_class(hint) else hint


def marked(hint: Any, put: Put) -> Any:
    """Do the same for ``Shared[Laser]``, for numbers with units, and for hints that only type checkers can read."""
    unreadable = [item.text for item in hint.__metadata__ if isinstance(item, Unreadable)]
    if SHARED not in hint.__metadata__:
        return hint if unreadable else Annotated[(with_devices(hint.__origin__, put), *hint.__metadata__)]
    inner = with_devices(hint.__origin__, put)
    if unreadable:
        return put(unreadable[0].removeprefix("Shared[").removesuffix("]"), None)
    # A mark says it of whatever class it is, also of one whose values could be written down.
    return inner if inner is not hint.__origin__ else put(text_of(inner), inner)


def is_device_class(hint: Any) -> bool:
    """Tell whether a hint is a class of devices: a `Device`, or what is neither data that JSON has, nor an array."""
    if not is_of(hint, type) or typing.get_origin(hint) is not None or hint is ABSENT or is_for_data(hint):
        return False
    if issubclass(hint, Device):
        return True
    try:
        TypeAdapter[Any](hint)
    except (SchemaError, *FOREIGN_ERRORS):
        return True
    return False


def is_for_data(kind: type) -> bool:
    """Tell whether a class is one of arrays, or a protocol of what can be converted, such as `SupportsFloat`."""
    is_protocol = getattr(kind, "_is_protocol", False)
    return hasattr(kind, "__array__") or (is_protocol and all(name.startswith("_") for name in dir(kind)))
