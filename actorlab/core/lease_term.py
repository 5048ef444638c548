"""Decide when a lease has expired that its holder has to renew; time in which nobody could be heard hardly counts.

Renewals come from elsewhere. While the process that hears them stands still (it was suspended, something held the
interpreter, the machine slept), they wait unread, and the clock goes on. So of the time between two looks at it only so
much counts: a stall of any length costs a holder at most that much of the term, and has the rest of it to be heard.
"""

from __future__ import annotations

from typing import Final

__all__ = ["LeaseTerm"]

LOOKS: Final = 8
"""A term is looked at so many times before it is over; …"""
SELDOM: Final = 1.0
"""… or once in so many seconds, if that is more often."""
COUNTED: Final = 2
"""Of the time between two looks, so many times their usual distance counts at most."""


class LeaseTerm:
    """The time that is left to a lease of `ttl` seconds, which each renewal begins anew.

    Look at it every `pace` seconds, each time after what waits to be heard was heard. It is over no earlier than `ttl`
    seconds after the last renewal, on any clock that doesn't go back; and if the looks come in time, at most `pace`
    later.

    >>> term = LeaseTerm(8.0, now=0.0)
    >>> term.look(now=1.0), term.look(now=100.0), term.left
    (False, False, 5.0)
    >>> term.renew(now=100.5), term.left
    (True, 8.0)
    """

    __slots__ = ("_looked", "left", "over", "pace", "ttl")

    def __init__(self, ttl: float, now: float) -> None:
        self.ttl: Final = ttl
        self.pace: Final = min(ttl / LOOKS, SELDOM)
        self.left = ttl
        """So many seconds were left at the last look."""
        self.over = False
        """Whether it has expired; that is for good."""
        self._looked = now

    def renew(self, now: float) -> bool:
        """Begin anew, and tell whether that was in time."""
        if self.over:
            return False
        self.left, self._looked = self.ttl, now
        return True

    def look(self, now: float) -> bool:
        """Count what has passed since the last look, and tell whether the term is over."""
        self.left = max(0.0, self.left - min(max(0.0, now - self._looked), COUNTED * self.pace))
        self._looked = now
        self.over = self.over or self.left <= 0.0
        return self.over
