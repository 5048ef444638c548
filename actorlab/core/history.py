"""Keep the newest of what was told, once for all who read: each reader has nothing but its place in it."""

from __future__ import annotations

from collections import deque
from typing import Generic, NamedTuple, TypeVar

__all__ = ["History", "Kept", "Read"]

T = TypeVar("T")


class Kept(NamedTuple, Generic[T]):
    """One thing that is kept: its teller's number, and how large it is."""

    number: int
    size: int
    item: T


class Read(NamedTuple, Generic[T]):
    """What a reader gets: the items, its place after them, and how many it has missed before them."""

    items: list[Kept[T]]
    place: int
    missed: int


class History(Generic[T]):
    """The newest items of one teller, at most so many and of so much size in all; the newest one is always kept.

    The teller's numbers never fall; `floor` is the number of the last thing told before the first that is added here.
    Places count the items that were added, from 0: a reader that is slower than the bounds allow misses the oldest, and
    is told how many. Nothing in here grows with the readers. It has one caller at a time.
    """

    __slots__ = ("_floor", "_items", "_most", "_room", "_size", "end", "newest")

    def __init__(self, most: int, room: int, floor: int = 0) -> None:
        self._most = most
        self._room = room
        self._floor = floor
        self._items: deque[Kept[T]] = deque()
        self._size = 0
        self.end = 0
        """The place after the newest item."""
        self.newest = floor
        """The number of the newest item."""

    @property
    def first(self) -> int:
        """Return the place of the oldest item that is kept."""
        return self.end - len(self._items)

    @property
    def size(self) -> int:
        """Return how large all is that is kept."""
        return self._size

    def add(self, number: int, item: T, size: int) -> None:
        """Add the newest item, and let the oldest go that there is no room for."""
        self._items.append(Kept(number, size, item))
        self._size += size
        self.end += 1
        self.newest = number
        while len(self._items) > 1 and (len(self._items) > self._most or self._size > self._room):
            gone = self._items.popleft()
            self._size -= gone.size
            self._floor = gone.number

    def after(self, number: int) -> int | None:
        """Return the place after everything up to a number; None: what followed on it isn't all kept, or it never was.

        Several items may have one number: who has one of them has all.
        """
        if not self._floor <= number <= self.newest:
            return None
        place = self.end
        while place > self.first and self._at(place - 1).number > number:
            place -= 1
        return place

    def following(self, number: int) -> int | None:
        """Return the place of what follows on a number, also on one that is still to come; None: it isn't all kept."""
        return self.end if number > self.newest else self.after(number)

    def read(self, place: int, room: int, newest: int | None = None) -> Read[T]:
        """Return what follows on a place, as much as there is room for, but one item at least, if there is one.

        With `newest`, only so many of the newest are wanted, and the others are missed.
        """
        begin = max(place, self.first, 0 if newest is None else self.end - newest)
        found: list[Kept[T]] = []
        end = begin
        while end < self.end:
            kept = self._at(end)
            room -= kept.size
            if found and room < 0:
                break
            found.append(kept)
            end += 1
        return Read(found, end, begin - place)

    def _at(self, place: int) -> Kept[T]:
        return self._items[place - self.end]  # from the newer end, where most readers are
