"""Find the devices of a lab that fit a class which a form asks for."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from actorlab.runtime.lab import Lab

__all__ = ["fitting_devices"]


def fitting_devices(lab: Lab, wanted: str) -> Sequence[str]:
    """Return the names of the devices of a class, "module:name"; none is asked.

    A device whose class isn't known, or may be anything, fits all; so does every device a protocol or an unknown class.
    """
    kind = class_named(wanted)
    names: list[str] = []
    for name, cell in list(lab.cells.items()):
        if kind is None or cell.cls is object or issubclass(cell.cls, kind):
            names.append(name)
    return names


def class_named(wanted: str) -> type | None:
    """Return a class that is loaded, if devices can be held against it."""
    module, _, path = wanted.partition(":")
    found: Any = sys.modules.get(module)
    for part in path.split("."):
        found = getattr(found, part, None)
    return found if isinstance(found, type) and not getattr(found, "_is_protocol", False) else None
