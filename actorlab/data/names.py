"""Give everything in a file a name that every format takes, and that nothing else there has."""

from __future__ import annotations

import re
from typing import Final

__all__ = ["Names"]

STRANGE: Final = re.compile(r"[^\w.+@ #=-]|^(?=[.\s]|__|zarr\.json$)|\s+$")
"""What some format refuses or takes for something else: ``/``, a dot or ``__`` at the begin, blanks at either end."""


class Names:
    """The names that are taken in one file."""

    def __init__(self) -> None:
        self._taken: set[str] = set()

    def take(self, name: str) -> None:
        """Take a name that something has already."""
        self._taken.add(name)

    def new(self, wanted: str) -> str:
        """Take a name: the wanted one, or one like it."""
        plain = STRANGE.sub("_", safe(wanted))[:200]
        plain = plain if plain.strip("_") else "column"
        name, number = plain, 1
        while name in self._taken:
            number += 1
            name = f"{plain}_{number}"
        self._taken.add(name)
        return name


def safe(text: str) -> str:
    """Write what UTF-8 can't hold as a backslash and its number."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")
