"""Keep a curve of any length in few points: of each stretch of it the lowest and the highest."""

from __future__ import annotations

import math
from typing import Final, NamedTuple

__all__ = ["Patch", "Point", "Thinned"]

MOST: Final = 1000
"""A curve has at most twice so many points."""


class Point(NamedTuple):
    """A point of a curve, and which one it is; `y` is None where the curve is interrupted."""

    number: int
    x: float
    y: float | None


class Stretch(NamedTuple):
    """The lowest and the highest point of some that follow one another, and an interruption among them."""

    low: Point
    high: Point
    gap: Point | None

    def with_(self, other: Stretch) -> Stretch:
        """Return both together."""
        low = self.low if order(self.low) <= order(other.low) else other.low
        high = self.high if height(self.high) >= height(other.high) else other.high
        return Stretch(low, high, self.gap or other.gap)

    def points(self) -> list[Point]:
        """Return its points in their order, each once."""
        found = {point.number: point for point in (self.low, self.high, self.gap) if point is not None}
        return [found[number] for number in sorted(found)]


class Patch(NamedTuple):
    """What has changed of a thinned curve: from the point `begin` on it has these points."""

    begin: int
    points: list[tuple[float, float | None]]


class Thinned:
    """A curve to which points are added; it has at most `3 * most` of them, all of its extremes among them.

    All stretches have the same length, which doubles whenever there would be too many. So what is shown changes little:
    `changes` says from where.
    """

    def __init__(self, most: int = MOST) -> None:
        self._most = max(2, most)
        self._each = 1
        self._full: list[Stretch] = []
        self._last: Stretch | None = None
        self._in_last = 0
        self._told = 0  # so many full stretches have been told …
        self._points_told = 0  # … in so many points
        self.count = 0
        """How many points were added."""

    def add(self, x: float, y: float | None) -> None:
        """Add a point; one that is no number interrupts the curve."""
        if not math.isfinite(x):
            return
        point = Point(self.count, x, y if y is not None and math.isfinite(y) else None)
        self.count += 1
        stretch = Stretch(point, point, point if point.y is None else None)
        self._last = stretch if self._last is None else self._last.with_(stretch)
        self._in_last += 1
        if self._in_last == self._each:
            self._full.append(self._last)
            self._last, self._in_last = None, 0
            if len(self._full) >= self._most:
                self._join()

    def _join(self) -> None:
        """Make of each two stretches one."""
        if len(self._full) % 2:
            self._last, self._in_last = self._full.pop(), self._each
        self._full = [one.with_(other) for one, other in zip(self._full[::2], self._full[1::2], strict=True)]
        self._each *= 2
        self._told = self._points_told = 0

    def points(self) -> list[Point]:
        """Return the curve."""
        return [point for stretch in self._all() for point in stretch.points()]

    def changes(self) -> Patch:
        """Return what is new since the last time."""
        begin = self._points_told
        fresh = [point for stretch in self._full[self._told :] for point in stretch.points()]
        self._told, self._points_told = len(self._full), begin + len(fresh)
        rest = [] if self._last is None else self._last.points()
        return Patch(begin, [(point.x, point.y) for point in (*fresh, *rest)])

    def _all(self) -> list[Stretch]:
        return [*self._full, *([] if self._last is None else [self._last])]


def order(point: Point) -> tuple[float, int]:
    """Return what puts the lowest point first; where there is none, an interruption."""
    return (math.inf if point.y is None else point.y, point.number)


def height(point: Point) -> float:
    """Return the height of a point; an interruption has none."""
    return -math.inf if point.y is None else point.y
