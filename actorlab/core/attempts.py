"""Decide how many failed attempts somebody may make in some time, and remember only so many who did."""

from __future__ import annotations

from collections import OrderedDict, deque
from typing import Final

__all__ = ["Attempts"]

KNOWN: Final = 1000
"""So many are remembered; of more, the one whose last attempt is the longest ago is forgotten."""


class Attempts:
    """Failed attempts by who made them: in any window of `seconds` each may make `limit`, and no more."""

    def __init__(self, limit: int, seconds: float, known: int = KNOWN) -> None:
        self._limit = limit
        self._seconds = seconds
        self._most = known
        self._made: OrderedDict[str, deque[float]] = OrderedDict()

    def failed(self, who: str, now: float) -> float | None:
        """Count a failed attempt; return None if it was one of those allowed, else in how many seconds the next is."""
        made = self._made.setdefault(who, deque())
        self._made.move_to_end(who)
        if len(self._made) > self._most:
            self._made.popitem(last=False)
        while made and made[0] <= now - self._seconds:
            made.popleft()
        if len(made) >= self._limit:
            return made[0] + self._seconds - now
        made.append(now)
        return None
