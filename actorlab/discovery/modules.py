"""Import modules for discovery: each at most once, none that opts out, and none inside of one that does."""

from __future__ import annotations

import sys
from importlib import import_module
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import NamedTuple, TypeAlias

from actorlab.discovery.broken import problem_of, unclear
from actorlab.discovery.found import LeftOut, Problem
from actorlab.discovery.opt_out import OPT_OUT, Unclear, opts_out
from actorlab.folders import module_name, name_at, ordinary_name

__all__ = ["Missing", "Modules", "Outcome"]


class Missing(NamedTuple):
    """There is no module of this name."""

    name: str


Outcome: TypeAlias = ModuleType | LeftOut | Problem | Missing


class Modules:
    """The modules that one discovery has come to, and what became of each: a broken one isn't tried twice."""

    def __init__(self) -> None:
        self._outcomes: dict[str, Outcome] = {}

    def named(self, name: str) -> Outcome:
        """Import a module by its name, after the packages that it is in."""
        parent = name.rpartition(".")[0]
        outside = self.named(parent) if parent else None
        if isinstance(outside, LeftOut | Problem | Missing):
            return outside
        if name not in self._outcomes:
            self._outcomes[name] = self._new(name)
        return self._outcomes[name]

    def at(self, file: Path) -> Outcome:
        """Import a file, or return the module which it is already."""
        for source in (*packages_around(file), file):
            verdict = verdict_on_file(source, source.parent.name if source.name == "__init__.py" else source.stem)
            if verdict is not None:
                return verdict
        known = name_at(file)
        return self._imported(known, str(file)) if known else self.named(ordinary_name(file) or module_name(file))

    def _new(self, name: str) -> Outcome:
        try:
            spec = find_spec(name)
        except (ImportError, ValueError, AttributeError):  # its package is no package, or it was made by hand
            spec = None
        if spec is None:
            return self._imported(name, name) if name in sys.modules else Missing(name)
        verdict = verdict_on(spec)
        if verdict is not None:
            return verdict
        known = name_at(Path(spec.origin)) if spec.origin and name not in sys.modules else None
        return self._imported(known or name, spec.origin or name)

    def _imported(self, name: str, file: str) -> Outcome:
        try:
            module = import_module(name)
        except (Exception, SystemExit) as error:  # noqa: BLE001 - the boundary: it is the module's own code
            return problem_of(error, file)
        if getattr(module, "__dict__", {}).get(OPT_OUT) is False:  # its source couldn't be read
            return opted_out(name, file)
        return module


def packages_around(file: Path) -> list[Path]:
    """Return the ``__init__.py`` of the packages that a file is in, the outermost first."""
    found: list[Path] = []
    folder = file.parent
    while (folder / "__init__.py").is_file():
        found.insert(0, folder / "__init__.py")
        folder = folder.parent
    return found


def verdict_on_file(file: Path, name: str) -> LeftOut | Problem | None:
    """Read whether a file opts out; None means that it doesn't."""
    try:
        source = file.read_bytes()
    except OSError as error:
        return problem_of(error, str(file))
    return verdict_on_source(source, name, str(file))


def verdict_on(spec: ModuleSpec) -> LeftOut | Problem | None:
    """Read whether a module opts out; None means that it doesn't, or has no source."""
    get_source = getattr(spec.loader, "get_source", None)
    try:
        source = get_source(spec.name) if get_source is not None else None
    except (ImportError, SyntaxError, OSError):  # it can't be read: importing it will tell more
        return None
    return None if source is None else verdict_on_source(source, spec.name, spec.origin or spec.name)


def verdict_on_source(source: bytes | str, name: str, file: str) -> LeftOut | Problem | None:
    """Read in a source whether the module opts out."""
    match opts_out(source):
        case Unclear(line):
            return unclear(file, line)
        case True:
            return opted_out(name, file)
        case False:
            return None


def opted_out(name: str, file: str) -> LeftOut:
    """Say that a module has opted out."""
    return LeftOut(name, Path(file) if file.endswith(".py") else None, f"opts out by {OPT_OUT} = False")
