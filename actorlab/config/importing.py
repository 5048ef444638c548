"""Let modules be imported that lie beside a lab's file."""

from __future__ import annotations

import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["importable"]


@contextmanager
def importable(folder: Path) -> Generator[None]:
    """Let modules be imported from a folder, after all others, for the length of a block."""
    place = str(folder.resolve())
    sys.path.append(place)
    try:
        yield
    finally:
        if place in sys.path:  # else somebody has put another list there meanwhile
            sys.path.reverse()
            sys.path.remove(place)
            sys.path.reverse()
