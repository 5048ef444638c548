"""Tell what discovery has found, what went wrong meanwhile, and what it left alone."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, TypeAlias, assert_never

from actorlab.device import Configured
from actorlab.discovery.schema import schema_of, schema_of_making
from actorlab.task import Task

__all__ = ["Discovered", "Found", "Kind", "LeftOut", "Level", "Problem", "made_by"]

Kind: TypeAlias = Literal["task", "workflow", "device"]
Level: TypeAlias = Literal["error", "warning", "info"]


@dataclass(frozen=True)
class Discovered:
    """A task, a workflow or a class of devices, and where it comes from.

    `object` is what the module has under this name: a task or workflow, a device class, or a configured factory.
    `found_in` says which source led to it: a package, a folder or an entry point.
    """

    name: str
    object: Any
    kind: Kind
    category: str
    module: str
    file: Path | None
    found_in: str

    @cached_property
    def line(self) -> int | None:
        """The line on which its definition begins, with its decorators; None where there is no source."""
        try:
            return inspect.getsourcelines(self._defined)[1]
        except (OSError, TypeError):
            return None

    @cached_property
    def place(self) -> str:
        """Where it is defined: ``/opt/tasks/scan.py:12``; the module's name if there is no such file."""
        try:
            file = inspect.getsourcefile(self._defined)
        except TypeError:
            file = None
        if file is None:
            return str(self.file or self.module)
        return file if self.line is None else f"{file}:{self.line}"

    @property
    def doc(self) -> str:
        """The first line of its own documentation; a class doesn't speak for those that derive from it."""
        defined = self._defined
        doc = vars(defined).get("__doc__") if isinstance(defined, type) else defined.__doc__
        return inspect.cleandoc(doc).partition("\n")[0] if isinstance(doc, str) else ""

    def parameters(self) -> dict[str, Any]:
        """Return the JSON Schema of what it takes: the parameters of a task, or those that a device is made with."""
        return schema_of_making(made_by(self.object)) if self.kind == "device" else schema_of(self.object)

    @property
    def _defined(self) -> Any:
        """The function or class itself."""
        return inspect.unwrap(self.object.function if issubclass(type(self.object), Task) else made_by(self.object))


def made_by(factory: Any) -> Any:
    """Return the class, or whatever it is that makes a device, without what configures it."""
    while issubclass(type(factory), Configured):
        factory = factory.factory
    return factory


@dataclass(frozen=True)
class Problem:
    """Something that went wrong: what it is, where, and what can be done.

    An "error" kept something from being found, a "warning" may mean that something else was found than was meant, an
    "info" tells what was asked for. `traceback` begins in the module's own code.
    """

    level: Level
    message: str
    advice: str
    file: str
    line: int | None = None
    error: str = ""
    traceback: str = ""

    def __str__(self) -> str:
        where = self.file if self.line is None else f"{self.file}:{self.line}"
        said = f"{self.message}: {self.error}" if self.error else self.message
        return f"{where}: {said}; {self.advice}"


@dataclass(frozen=True)
class LeftOut:
    """A module that discovery has left alone, and why."""

    module: str
    file: Path | None
    why: str

    def __str__(self) -> str:
        return f"{self.file or self.module} {self.why}"


@dataclass(frozen=True)
class Found:
    """What discovery has found, by name, in the order in which it was met.

    `looked_in` are the sources that were gone through, `left_out` the modules that opted out or are to be ignored.
    """

    tasks: Mapping[str, Discovered]
    workflows: Mapping[str, Discovered]
    devices: Mapping[str, Discovered]
    problems: tuple[Problem, ...]
    left_out: tuple[LeftOut, ...]
    looked_in: tuple[str, ...]

    def named(self, kind: Kind) -> Mapping[str, Discovered]:
        """Return what a name of some kind may mean: tasks and workflows share theirs."""
        return self.devices if kind == "device" else {**self.tasks, **self.workflows}

    def having(self, entry: Discovered) -> Found:
        """Return this with one more."""
        match entry.kind:
            case "task":
                return replace(self, tasks={**self.tasks, entry.name: entry})
            case "workflow":
                return replace(self, workflows={**self.workflows, entry.name: entry})
            case "device":
                return replace(self, devices={**self.devices, entry.name: entry})
            case _:
                assert_never(entry.kind)

    def by_category(self) -> dict[str, list[Discovered]]:
        """Return everything, sorted into its categories."""
        made: dict[str, list[Discovered]] = {}
        for entries in (self.tasks, self.workflows, self.devices):
            for entry in entries.values():
                made.setdefault(entry.category, []).append(entry)
        return made
