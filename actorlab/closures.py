"""Find what a function brings along: devices and unknown values in its closure, its defaults, a partial's arguments."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from types import FunctionType, MethodType
from typing import Any, Final

from actorlab.arguments import Use, device_name, search
from actorlab.definition import Definition
from actorlab.keeping import cell_content
from actorlab.task import Task
from actorlab.unknown import Unknown

__all__ = ["Brought"]

FUNCTIONS: Final = (FunctionType, MethodType, partial, Task)


class Brought:
    """What some functions bring along, and the functions that these mention in their turn.

    A device that stands where a parameter is hinted as ``Shared[…]`` is only relied on, any other is taken. Of a task
    the defaults count alone: its body runs as a step of its own. `others` are the objects that weren't searched.
    """

    def __init__(self, functions: Iterable[Any]) -> None:
        self.uses: dict[str, Use] = {}
        self.unknown: list[Unknown] = []
        self.others: list[Any] = []
        self._functions: list[Any] = list(functions)
        seen: dict[int, object] = {}  # holds each function, so that no identity is used twice
        for function in self._functions:  # grows while it is walked
            if id(function) not in seen:
                seen[id(function)] = function
                self._add(function)

    def _add(self, function: Any) -> None:
        if issubclass(type(function), Task):
            self._add_defaults(function.definition)
        elif issubclass(type(function), partial):
            self._add_partial(function)
        elif issubclass(type(function), MethodType):
            self._take((function.__self__,), "exclusive")
            self._functions.append(function.__func__)
        elif issubclass(type(function), FunctionType):
            self._take(tuple(map(cell_content, function.__closure__ or ())), "exclusive")
            self._add_defaults(Definition(function))
        else:
            self._take((function,), "exclusive")

    def _add_partial(self, function: partial[Any]) -> None:
        inner: Any = function.func
        definition = inner.definition if issubclass(type(inner), Task) else Definition(inner)
        places: tuple[tuple[int | str, Any], ...] = (*enumerate(function.args), *function.keywords.items())
        for place, value in places:
            self._take((value,), _use(definition, place, value))
        self._functions.append(inner)

    def _add_defaults(self, definition: Definition) -> None:
        if definition.bare_defaults and _matters(definition.bare_defaults):
            for name, parameter in definition.signature.parameters.items():
                if parameter.default is not parameter.empty:
                    self._take((parameter.default,), _use(definition, name, parameter.default))

    def _take(self, values: tuple[Any, ...], use: Use) -> None:
        others: list[Any] = []
        for found in search(values, {}, others):
            if type(found) is Unknown:
                self.unknown.append(found)
            else:
                name = device_name(found)  # type: ignore[arg-type]  # the other kind of stand-in
                if self.uses.get(name) != "exclusive":
                    self.uses[name] = use
        for other in others:
            (self._functions if issubclass(type(other), FUNCTIONS) else self.others).append(other)


def _matters(values: tuple[object, ...]) -> bool:
    others: list[Any] = []
    return bool(search(values, {}, others) or others)


def _use(definition: Definition, place: int | str, value: object) -> Use:
    return "shared" if search((value,), {}) and definition.shares(place) else "exclusive"
