"""Decide what counts in a module: the tasks, workflows and device classes that it defines, or lists as its own."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from types import ModuleType
from typing import Any, NamedTuple

from actorlab.device import Configured, Device
from actorlab.discovery.found import Kind, made_by
from actorlab.task import Task, Workflow

__all__ = ["Item", "contents", "kind_of"]


class Item(NamedTuple):
    """Something that counts, and the name by which it is known."""

    name: str
    object: Any
    kind: Kind


def contents(module: ModuleType) -> list[Item]:
    """Return what a module has to offer, in the order of its definitions.

    That is what it defines itself, whatever it only imports: a name in its ``__all__`` counts in any case, and one that
    begins with an underscore only then. Abstract classes don't count. A task that is there a second time under the same
    name, with other options, isn't another one.
    """
    found: dict[tuple[str, int], Item] = {}
    for item in items(module):
        made = item.object.function if item.kind != "device" else item.object
        found.setdefault((item.name, id(made)), item)
    return list(found.values())


def items(module: ModuleType) -> Iterator[Item]:
    """Yield what counts under each name of a module."""
    known: dict[str, Any] = dict(getattr(module, "__dict__", {}))  # anything may pose as a module
    listed = listed_in(known)
    lazy = {name: getattr(module, name, None) for name in listed if name not in known}
    for name, value in {**known, **lazy}.items():
        kind = kind_of(value)
        if kind is not None and (name in listed or (is_own(value, module) and not is_private(name, value))):
            yield Item(name_of(name, value), value, kind)


def listed_in(known: dict[str, Any]) -> tuple[str, ...]:
    """Return the names in a module's ``__all__``."""
    listed: Any = known.get("__all__")
    return tuple([name for name in listed if isinstance(name, str)]) if issubclass(type(listed), list | tuple) else ()


def kind_of(value: object) -> Kind | None:
    """Return what a value is, if it can be discovered; values of other libraries aren't asked for their class."""
    if issubclass(type(value), Workflow):
        return "workflow"
    if issubclass(type(value), Task):
        return "task"
    made = made_by(value)
    is_device = issubclass(type(made), type) and issubclass(made, Device) and made is not Device
    return "device" if is_device and not inspect.isabstract(made) else None


def is_own(value: Any, module: ModuleType) -> bool:
    """Tell whether a module defines something, and doesn't only import it."""
    return getattr(made_by(value), "__module__", None) == getattr(module, "__name__", "")


def is_private(name: str, value: Any) -> bool:
    """Tell whether a name, or that of a class, says that something isn't for others."""
    made = made_by(value)
    return name.startswith("_") or (isinstance(made, type) and made.__name__.startswith("_"))


def name_of(name: str, value: Any) -> str:
    """Return the name by which something is known: a task has its own, a configured factory only the variable's."""
    if issubclass(type(value), Task):
        return str(value.name)
    return name if issubclass(type(value), Configured) else str(value.__name__)
