"""Go through packages, folders and entry points, and collect their tasks, workflows and device classes."""

from __future__ import annotations

import functools
import importlib
import inspect
import os
import pkgutil
import re
from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from importlib.metadata import EntryPoint
from importlib.metadata import entry_points as installed_entry_points
from pathlib import Path
from types import ModuleType
from typing import Any, Final

from actorlab.discovery.broken import problem_of
from actorlab.discovery.complaints import (
    dotted,
    duplicate,
    no_folder,
    no_module,
    no_object,
    not_allowed,
    of_the_wrong_kind,
    overridden,
    title_of,
)
from actorlab.discovery.contents import Item, contents, kind_of
from actorlab.discovery.found import Discovered, Found, Kind, LeftOut, Problem
from actorlab.discovery.modules import Missing, Modules, Outcome
from actorlab.discovery.required import check_required
from actorlab.errors import ConfigError
from actorlab.task import as_task

__all__ = ["IGNORED", "discover"]

IGNORED: Final = ("_*", "test_*", "conftest")
NAMES: Final = r"\w[\w .-]*"
"""What can be asked for on a command line, in an address and as the beginning of a run's id."""
TASKS: Final[frozenset[Kind]] = frozenset({"task", "workflow"})
DEVICES: Final[frozenset[Kind]] = frozenset({"device"})
GROUPS: Final = {"actorlab.tasks": TASKS, "actorlab.devices": DEVICES}
NEVER: Final = ("__init__", "__main__")
"""A package's `__main__` is a program that would run; a folder's `__init__` says that it is a package."""


def discover(
    *,
    packages: Iterable[str] = (),
    folders: Iterable[str | Path] | str | Path = (),
    entry_points: bool = True,
    environment: str | None = "ACTORLAB_PATH",
    ignore: Iterable[str] = IGNORED,
    names: str = NAMES,
    required: Iterable[str] = (),
    override: Iterable[str] = (),
    known: Found | None = None,
) -> Found:
    """Find tasks, workflows and device classes by importing the modules they may be in; nothing is kept but the result.

    The sources are gone through in this order, each sorted by name: `packages` with all that is inside of them;
    `folders` of plain ``.py`` files, without what is below them; the folders in the `environment` variable, separated
    as in PATH; and of what is installed, the `entry_points` in the groups ``actorlab.tasks`` and ``actorlab.devices``,
    each of which names an object, a module or a package.

    What has a name first keeps it, and the other is reported; but a name in `override` goes to the last. Tasks and
    workflows share their names. `names` is a regular expression for those that are allowed. What matches a pattern of
    `ignore` isn't imported: modules and files by their own or their full names, what is named outright (a package or
    an entry point) by its full name only. Nor is a module that sets ``__actorlab_discover__ = False``, or anything in
    such a package.

    What can't be imported is among the problems, and skipped. What is `known` already, from an earlier search, keeps
    its names in the same way, and is part of the result.

    Raises:
        ConfigError: something in `required` isn't there; the message tells where it was looked for, and why it may be
            missing. Or `names` is no regular expression.

    """
    importlib.invalidate_caches()  # files may have come since Python last looked
    search = Search(Rules(tuple(several(ignore)), rule_for(names), frozenset(several(override))), known)
    for package in several(packages):
        search.package(package)
    for folder in several(folders):
        search.folder(Path(folder), f"folder {folder}")
    for folder in environment_folders(environment):
        search.folder(Path(folder), f"folder {folder} of {environment}")
    if entry_points:
        search.entry_points()
    found = search.found()
    check_required(found, list(several(required)))
    return found


def several(given: Any) -> Iterable[Any]:
    """Return what was given, which is often only one."""
    return (given,) if isinstance(given, str | Path) else given


def rule_for(names: str) -> re.Pattern[str]:
    """Read the rule for names."""
    try:
        return re.compile(names)
    except re.error as error:
        message = f"names={names!r} is no regular expression: {error}"
        raise ConfigError(message) from error


def environment_folders(variable: str | None) -> list[str]:
    """Return the folders that an environment variable names."""
    return [item for item in os.environ.get(variable or "", "").split(os.pathsep) if item]


@dataclass(frozen=True)
class Rules:
    """What is looked at, and which names are allowed and given away again."""

    ignore: tuple[str, ...]
    names: re.Pattern[str]
    override: frozenset[str]

    def pattern_for(self, *names: str) -> str | None:
        """Return the pattern by which something with these names is ignored, if there is one."""
        return next((pattern for pattern in self.ignore for name in names if fnmatchcase(name, pattern)), None)


class Search:
    """One discovery on its way."""

    def __init__(self, rules: Rules, known: Found | None) -> None:
        self._rules = rules
        self._modules = Modules()
        known = known or Found({}, {}, {}, (), (), ())
        self._runs: dict[str, Discovered] = {**known.tasks, **known.workflows}
        self._devices: dict[str, Discovered] = dict(known.devices)
        self._problems: dict[Problem, None] = dict.fromkeys(known.problems)
        self._left_out: dict[LeftOut, None] = dict.fromkeys(known.left_out)
        self._looked_in: dict[str, None] = dict.fromkeys(known.looked_in)

    def found(self) -> Found:
        """Return what there is."""
        return Found(
            tasks={name: item for name, item in self._runs.items() if item.kind == "task"},
            workflows={name: item for name, item in self._runs.items() if item.kind == "workflow"},
            devices=dict(self._devices),
            problems=tuple(self._problems),
            left_out=tuple(self._left_out),
            looked_in=tuple(self._looked_in),
        )

    # -- packages

    def package(self, name: str) -> None:
        """Look into a package, or a single module, that is named."""
        found_in = f"package {name}"
        self._looked_in[found_in] = None
        if not self._ignores(name, None, name):
            self._walk(name, TASKS | DEVICES, found_in, set())

    def _walk(self, name: str, kinds: frozenset[Kind], found_in: str, seen: set[int]) -> None:
        """Look into a module and all that is inside of it; a link may lead around in a circle."""
        module = self._usable(self._modules.named(name), found_in)
        if module is None or id(module) in seen:
            return
        seen.add(id(module))
        self._take(module, kinds, category_of(module, name), found_in)
        inner = pkgutil.iter_modules(getattr(module, "__path__", ()), f"{name}.")
        for full in sorted(info.name for info in inner):
            own = full.rpartition(".")[2]
            if own not in NEVER and not self._ignores(full, None, own, full):
                self._walk(full, kinds, found_in, seen)

    # -- folders

    def folder(self, folder: Path, found_in: str) -> None:
        """Look into the files of a folder."""
        self._looked_in[found_in] = None
        try:
            place = folder.expanduser().resolve()
            files = sorted(file for file in place.iterdir() if file.suffix == ".py" and file.is_file())
        except (OSError, RuntimeError) as error:  # a RuntimeError says whose home isn't known
            self._report(no_folder(folder, error))
            return
        for file in files:
            if file.stem not in NEVER and not file.name.startswith("."):  # editors and systems leave such files
                self._file(file, place.name, found_in)

    def _file(self, file: Path, category: str, found_in: str) -> None:
        if self._ignores(file.stem, file, file.stem, file.name):
            return
        if "." in file.stem:
            self._report(dotted(file))
            return
        module = self._usable(self._modules.at(file), found_in)
        if module is not None:
            self._take(module, TASKS | DEVICES, category, found_in)

    # -- entry points

    def entry_points(self) -> None:
        """Look at what is installed."""
        for group, kinds in GROUPS.items():
            self._looked_in[f"entry points {group}"] = None
            for point in sorted(installed_entry_points(group=group), key=lambda point: (point.name, point.value)):
                self._entry_point(point, kinds)

    def _entry_point(self, point: EntryPoint, kinds: frozenset[Kind]) -> None:
        found_in = title_of(point)
        if EntryPoint.pattern.match(point.value) is None:
            self._report(no_object(found_in))
            return
        if self._ignores(point.module, None, point.module):
            return
        if not point.attr:
            self._walk(point.module, kinds, found_in, set())
            return
        module = self._usable(self._modules.named(point.module), found_in)
        if module is not None:
            self._object(point, module, kinds, found_in)

    def _object(self, point: EntryPoint, module: ModuleType, kinds: frozenset[Kind], found_in: str) -> None:
        try:
            value = functools.reduce(getattr, point.attr.split("."), module)
        except Exception as error:  # noqa: BLE001 - the boundary: a module may make its attributes by code
            self._report(problem_of(error, found_in))
            return
        item = named_item(point.name, value, kinds)
        if item is None:
            self._report(of_the_wrong_kind(value, kinds, found_in))
        else:
            self._add(item, module, category_of(module, module.__name__), found_in)

    # -- what was found

    def _usable(self, outcome: Outcome, found_in: str) -> ModuleType | None:
        """Return a module, or note why there is none."""
        match outcome:
            case Problem():
                self._report(outcome)
            case Missing(name):
                self._report(no_module(name, found_in))
            case LeftOut():
                self._left_out[outcome] = None
            case _:
                return outcome
        return None

    def _ignores(self, module: str, file: Path | None, *names: str) -> bool:
        pattern = self._rules.pattern_for(*names)
        if pattern is None:
            return False
        self._left_out[LeftOut(module, file, f"is ignored by {pattern!r}")] = None
        return True

    def _take(self, module: ModuleType, kinds: frozenset[Kind], category: str, found_in: str) -> None:
        try:
            items = contents(module)
        except Exception as error:  # noqa: BLE001 - the boundary: a module may make its attributes by code
            self._report(problem_of(error, str(file_of(module) or module)))
            return
        for item in items:
            if item.kind in kinds:
                self._add(item, module, category, found_in)

    def _add(self, item: Item, module: ModuleType, category: str, found_in: str) -> None:
        """Give something its name, if it may have it."""
        own_category = getattr(getattr(item.object, "options_", None), "category", None)
        new = Discovered(*item, own_category or category, module.__name__, file_of(module), found_in)
        if self._rules.names.fullmatch(new.name) is None:
            self._report(not_allowed(new, self._rules.names.pattern))
            return
        space = self._devices if new.kind == "device" else self._runs
        kept = space.setdefault(new.name, new)
        if kept.object is new.object:
            return
        if new.name in self._rules.override:
            space[new.name] = new
            self._report(overridden(kept, new))
        else:
            self._report(duplicate(kept, new))

    def _report(self, problem: Problem) -> None:
        self._problems[problem] = None


def file_of(module: ModuleType) -> Path | None:
    """Return a module's file, if it has one."""
    file = getattr(module, "__file__", None)
    return Path(file) if isinstance(file, str) else None


def category_of(module: ModuleType, name: str) -> str:
    """Return the name of the package that a module is, or is in; one alone has its own."""
    *outer, last = name.split(".")
    return last if hasattr(module, "__path__") or not outer else outer[-1]


def named_item(name: str, value: Any, kinds: frozenset[Kind]) -> Item | None:
    """Return what an entry point names, if its group is for that; here any function is a task, any class a device's."""
    kind = kind_of(value)
    if kind is None and kinds == TASKS and callable(value) and not isinstance(value, type):
        return Item(name, as_task(value), "task")
    if kind is None and kinds == DEVICES and callable(value) and not inspect.isabstract(value):
        return Item(name, value, "device")
    return Item(name, value, kind) if kind in kinds else None
