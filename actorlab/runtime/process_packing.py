"""Pickle the body of a task for another process, also where it stands in the program itself; and take it out there."""

from __future__ import annotations

import importlib
import io
import operator
import pickle
from typing import Any, NamedTuple

from actorlab.isolation.packing import pack
from actorlab.options import Options
from actorlab.task import Task, Workflow

__all__ = ["packed_function", "unpacked_function"]

MAIN = "__main__"


class Named(NamedTuple):
    """The function of a task, by where the task or the function itself is found."""

    module: str
    name: str


class Whole(NamedTuple):
    """A task, with its function pickled by itself."""

    function: bytes
    options: Options
    kind: type[Task[..., Any]]


def packed_function(function: Any) -> bytes:
    """Pickle a function, or a task with its options.

    Raises:
        ConfigError: it can't be imported elsewhere, and cloudpickle isn't installed.
        Exception: whatever its own pickling raises.

    """
    if issubclass(type(function), Task):
        return pickle.dumps(Whole(packed_function(function.function), function.options_, type(function)))
    named = name_of(function)
    if named is not None:
        return pickle.dumps(named)
    try:
        cloudpickle: Any = importlib.import_module("cloudpickle")
    except ImportError:
        return pack(function)  # which says where it is defined, if it can't
    file = io.BytesIO()

    class Pickler(cloudpickle.CloudPickler):  # type: ignore[misc]  # untyped
        """Pickle also the tasks that a function of the program mentions by their values."""

        def reducer_override(self, obj: Any) -> Any:
            if issubclass(type(obj), Task) and obj.__module__ == MAIN:
                return task_of, (obj.function, obj.options_, type(obj))
            usual: Any = cloudpickle.CloudPickler.reducer_override
            return usual(self, obj)

    Pickler(file, protocol=5).dump(function)
    return file.getvalue()


def name_of(function: Any) -> Named | None:
    """Return the name under which another process finds a function."""
    module, name = getattr(function, "__module__", ""), getattr(function, "__qualname__", "")
    if not module or not name or module == MAIN or "<" in name:
        return None
    try:
        found = operator.attrgetter(name)(importlib.import_module(module))
    except (ImportError, AttributeError):
        return None
    return Named(module, name) if function_of(found) is function else None


def function_of(found: Any) -> Any:
    """Return the function of a task, or the function itself."""
    return found.function if issubclass(type(found), Task) else found


def unpacked_function(packed: bytes) -> Any:
    """Return the function, or the task.

    Raises:
        ConfigError: a new Python can't import it.
        Exception: whatever importing its module raises.

    """
    found: Any = pickle.loads(packed)  # noqa: S301 - from the other side of our own socket
    if isinstance(found, Named):
        return function_of(operator.attrgetter(found.name)(importlib.import_module(found.module)))
    if isinstance(found, Whole):
        return task_of(unpacked_function(found.function), found.options, found.kind)
    return found


def task_of(function: Any, options: Options, kind: type[Task[..., Any]]) -> Task[..., Any]:
    """Make a task again."""
    return Workflow(function, options) if kind is Workflow else Task(function, options)
