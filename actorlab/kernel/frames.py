"""Look where another thread is."""

from __future__ import annotations

import sys
from types import FrameType

__all__ = ["frame_of"]


def frame_of(thread: int | None) -> FrameType | None:
    """Return the innermost frame of a thread, by its identity; None if it has ended."""
    return None if thread is None else sys._current_frames().get(thread)
