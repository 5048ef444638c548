"""Import the files of a folder, wherever it lies, as modules that every process finds again by their names.

The file ``/opt/tasks/scan.py`` is the module ``actorlab.folders.%2Fopt%2Ftasks.scan``: two folders may hold files of
one name, what is defined in them can be pickled, and a process that unpickles it needs nothing but the file.

Such a file imports its neighbours as it would if it were run by ``python FILE``: by ``import helpers`` or by
``from helpers import …``, at any time, and also by ``from . import helpers``. It always gets those of its own folder.
Only a call of `importlib` doesn't know neighbours by their short names.

A file that the process has imported already, or that a plain ``import`` finds, is that module, not a second one.

Importing this package adds its finder to `sys.meta_path`, as that is where Python looks up the names in a pickle.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, SourceFileLoader
from importlib.util import spec_from_file_location
from pathlib import Path
from types import CodeType, ModuleType
from typing import Final
from urllib.parse import quote, unquote_to_bytes

from actorlab.folders.known import name_at, ordinary_name
from actorlab.folders.neighbours import compiled, source_of

__all__ = ["module_name", "name_at", "ordinary_name"]

PREFIX: Final = f"{__name__}."


def module_name(file: Path) -> str:
    """Return the name under which this package imports a file; two paths to one folder make one name."""
    folder = quote(os.fsencode(os.path.realpath(file.parent)), safe="").replace(".", "%2E")
    return f"{PREFIX}{folder}.{file.stem}"


def folder_of(quoted: str) -> Path | None:
    """Return the folder that is meant by a part of a module's name, if there is one."""
    folder = Path(os.fsdecode(unquote_to_bytes(quoted)))
    return folder if folder.is_absolute() and folder.is_dir() else None


class FolderFinder(MetaPathFinder):
    """Find folders, and the modules in them."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Say how a module is loaded, if it is one of a folder."""
        del path, target
        if not fullname.startswith(PREFIX):
            return None
        quoted, *inner = fullname.removeprefix(PREFIX).split(".")
        folder = folder_of(quoted)
        if folder is None:
            return None
        if not inner:
            spec = ModuleSpec(fullname, None, is_package=True)  # as a package that has no __init__.py
            spec.submodule_search_locations = [str(folder)]
            return spec
        file = source_of(folder, inner)
        return None if file is None else spec_of_file(fullname, file, folder)


def spec_of_file(fullname: str, file: Path, folder: Path) -> ModuleSpec | None:
    """Say how a file is loaded: from where it is known already, or from its source."""
    known = name_at(file) or ordinary_name(file) or fullname
    if known != fullname:  # else it is new, or to be loaded again
        return ModuleSpec(fullname, KnownLoader(known), origin=str(file))
    level = fullname.removeprefix(PREFIX).count(".") + (file.name == "__init__.py")
    return spec_from_file_location(fullname, file, loader=NeighbourLoader(fullname, file, folder, level))


class KnownLoader(Loader):
    """Let a second name mean a module that has another one."""

    def __init__(self, name: str) -> None:
        self._name = name

    def create_module(self, spec: ModuleSpec) -> None:
        """Leave it to Python to make the module that is replaced at once."""
        del spec

    def exec_module(self, module: ModuleType) -> None:
        """Put the module that is meant in place of the new one."""
        sys.modules[module.__name__] = import_module(self._name)


class NeighbourLoader(SourceFileLoader):
    """Load a file in such a way that its imports find the files beside it first, as they do in a program."""

    def __init__(self, fullname: str, file: Path, folder: Path, level: int) -> None:
        super().__init__(fullname, str(file))
        self._folder = folder
        self._level = level

    def get_code(self, fullname: str) -> CodeType:
        """Compile the source. Python's cache of it is left alone: there the file's imports mean something else."""
        path = self.get_filename(fullname)
        return compiled(self.get_data(path), path, self._folder, self._level)


sys.meta_path.insert(0, FolderFinder())
