"""Pickle what travels between the lab and a driver's process; what only one of them can import goes by cloudpickle."""

from __future__ import annotations

import importlib
import io
import pickle
from collections.abc import Callable
from contextlib import suppress
from types import FunctionType
from typing import Any, Final

from actorlab.errors import ConfigError

__all__ = ["as_class", "pack", "travelling_class"]

LARGE: Final = 1 << 16
"""Buffers of so many bytes travel through shared memory."""
MAIN: Final = b"__main__"


def pack(value: Any, large: list[pickle.PickleBuffer] | None = None) -> bytes:
    """Pickle a value; its large buffers are put into the list, if there is one, instead of the pickle.

    Raises:
        ConfigError: a class or function in it can't be imported elsewhere, and cloudpickle isn't installed.
        Exception: whatever its own pickling raises.

    """
    try:
        packed = pickle.dumps(value, 5, buffer_callback=sorting(large))
    except Exception as error:  # noqa: BLE001 - the boundary: it is the value's own code
        return by_value(value, large, error)
    return packed if MAIN not in packed else by_value(value, large, packed)


def sorting(large: list[pickle.PickleBuffer] | None) -> Callable[[pickle.PickleBuffer], bool] | None:
    """Return what tells pickle whether a buffer stays in its place in the pickle."""
    if large is None:
        return None

    def stays(buffer: pickle.PickleBuffer) -> bool:
        if buffer.raw().nbytes < LARGE:
            return True
        large.append(buffer)
        return False

    return stays


def by_value(value: Any, large: list[pickle.PickleBuffer] | None, plainly: bytes | Exception) -> bytes:
    """Pickle a value together with those of its classes and functions that another process can't import.

    `plainly` is how it went without that.
    """
    if large:
        large.clear()
    try:
        cloudpickle: Any = importlib.import_module("cloudpickle")
    except ImportError:
        return if_importable(value, plainly)
    try:
        return cloudpickle.dumps(value, protocol=5, buffer_callback=sorting(large))  # type: ignore[no-any-return]  # untyped
    except Exception as error:
        raise (plainly if isinstance(plainly, Exception) else error) from error


def if_importable(value: Any, plainly: bytes | Exception) -> bytes:
    """Do without cloudpickle, if it isn't a class or function that stands in the way."""
    culprits = Culprits.of(value)
    if culprits:
        text = f"{culprits[0]}, where no other process can import it"
        message = f"{text}: put it into a module of its own, or `pip install cloudpickle`"
        raise ConfigError(message) from (plainly if isinstance(plainly, Exception) else None)
    if isinstance(plainly, Exception):
        raise plainly
    return plainly


class Culprits(pickle.Pickler):
    """Find the classes and functions in a value that another process can't import."""

    def __init__(self) -> None:
        super().__init__(io.BytesIO(), 5)
        self.found: list[str] = []

    @classmethod
    def of(cls, value: Any) -> list[str]:
        """Describe them; the first one is found in any case."""
        finder = cls()
        with suppress(Exception):  # the boundary: it is the value's own code, and what was found until then counts
            finder.dump(value)
        return finder.found

    def reducer_override(self, obj: Any) -> Any:
        """Look at each class and function before it is pickled."""
        where = unimportable(obj) if isinstance(obj, type | FunctionType) else ""
        if where:
            self.found.append(f"{obj.__qualname__} is defined {where}")
        return NotImplemented


def unimportable(obj: type | FunctionType) -> str:
    """Say where a class or function is defined, if another process can't import it from there."""
    if obj.__module__ == "__main__":
        return "in the program itself (__main__)"
    if "<locals>" in obj.__qualname__ or "<lambda>" in obj.__qualname__:
        return "inside a function or expression"
    return ""


def travelling_class(cls: type) -> bytes:
    """Pickle a class, or the nearest of its bases that can be pickled."""
    for base in cls.__mro__[:-1]:
        with suppress(Exception):  # the boundary: whatever the reason, its base may do
            return pack(base)
    return pickle.dumps(object)


def as_class(packed: bytes) -> type:
    """Return a class that another process named; `object` if this one can't import it."""
    found: Any = None
    with suppress(Exception):  # the boundary: importing runs any code
        found = pickle.loads(packed)  # noqa: S301 - from the other side of our own socket
    return found if isinstance(found, type) else object
