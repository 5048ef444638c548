"""Find out whether a file is a module already, or would be one for a plain ``import``."""

from __future__ import annotations

import os
import sys
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

__all__ = ["name_at", "ordinary_name"]


def name_at(file: Path) -> str | None:
    """Return the name by which `sys.modules` has a file; links are followed, and nothing is imported."""
    wanted = real(file)
    title = os.path.basename(wanted)  # noqa: PTH119 - some thousand modules are looked at: no `Path` for each
    for name, module in list(sys.modules.items()):
        known = file_of(module)
        # Asking for the real path costs far more than looking at the name, which only a link can change.
        if known and (known.endswith(title) or os.path.islink(known)) and real(known) == wanted:  # noqa: PTH114
            return name
    return None


def file_of(module: object) -> str:
    """Return a module's file, or nothing, without running code of the module: a lazy one would load itself."""
    if not issubclass(type(module), ModuleType):
        return ""
    known = object.__getattribute__(module, "__dict__")
    file = known.get("__file__") or getattr(known.get("__spec__"), "origin", None)
    return file if type(file) is str else ""


def ordinary_name(file: Path) -> str | None:
    """Return the name by which a plain ``import`` finds a file, if it does; nothing is imported."""
    names, folder, top = [file.stem] if file.name != "__init__.py" else [], file.parent, file
    while (folder / "__init__.py").is_file():
        names.insert(0, folder.name)
        folder, top = folder.parent, folder / "__init__.py"
    if not all(name.isidentifier() for name in names):
        return None
    try:
        spec = find_spec(names[0])
    except (ImportError, AttributeError, ValueError):  # a module made by hand has no spec, and may be half made
        return None
    found = spec is not None and spec.origin is not None and real(spec.origin) == real(top)
    return ".".join(names) if found else None


def real(file: str | Path) -> str:
    """Return the one way to write a path."""
    return os.path.normcase(os.path.realpath(file))
