"""Look where another thread is."""

from __future__ import annotations

import sys
import threading
import traceback
from pathlib import Path
from types import FrameType
from typing import Final

__all__ = ["frame_of", "stack_of"]

OURS: Final = str(Path(__file__).parents[1])
THREADS: Final = threading.__file__


def frame_of(thread: int | None) -> FrameType | None:
    """Return the innermost frame of a thread, by its identity; None if it has ended."""
    return None if thread is None else sys._current_frames().get(thread)


def stack_of(thread: int | None) -> str:
    """Return the stack of a thread as text, from where somebody else's code begins; empty if it has ended."""
    frame = frame_of(thread)
    if frame is None:
        return ""
    stack = traceback.extract_stack(frame)
    first = next((i for i, place in enumerate(stack) if not place.filename.startswith((OURS, THREADS))), 0)
    return "".join(traceback.format_list(stack[first:]))
