"""Keep a virtual time: what is due comes in order of its time, and nobody waits for it."""

from __future__ import annotations

from collections import deque
from heapq import heappop, heappush
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Due", "VirtualClock"]

Deed: TypeAlias = "Callable[[Any], object]"


class Due:
    """Something to be done at a time; cancelling it makes it harmless."""

    __slots__ = ("argument", "at", "deed", "number")

    def __init__(self, at: float, number: int, deed: Deed, argument: Any) -> None:
        self.at = at
        self.number = number
        self.deed: Deed | None = deed
        self.argument = argument

    def cancel(self) -> None:
        """Forget what was to be done."""
        self.deed = self.argument = None

    def __lt__(self, other: Due) -> bool:
        return (self.at, self.number) < (other.at, other.number)


class VirtualClock:
    """Do one thing after another, as the deciding thread does, and let the time (s) jump to the next of them.

    What is to be done `then` comes at once, before all else; what is due at the same time, in the order in which it was
    asked for.

    >>> clock, heard = VirtualClock(), []
    >>> _ = clock.after(60.0, heard.append, "late"), clock.after(1.0, heard.append, "soon")
    >>> clock.tick(), heard, clock.now
    (True, ['soon'], 1.0)
    """

    def __init__(self, now: float = 0.0) -> None:
        self.now = now
        self._next: deque[tuple[Deed, Any]] = deque()
        self._due: list[Due] = []
        self._number = 0

    def then(self, deed: Deed, argument: Any = None) -> None:
        """Do it next, at the present time."""
        self._next.append((deed, argument))

    def after(self, seconds: float, deed: Deed, argument: Any = None) -> Due:
        """Do it after some seconds; with 0, when everything that is due now was done."""
        self._number += 1
        due = Due(self.now + max(0.0, seconds), self._number, deed, argument)
        heappush(self._due, due)
        return due

    def tick(self) -> bool:
        """Do the next thing; False says that nothing is left."""
        if self._next:
            deed, argument = self._next.popleft()
            deed(argument)
            return True
        while self._due:
            due = heappop(self._due)
            if due.deed is not None:
                self.now = due.at
                due.deed(due.argument)
                return True
        return False
