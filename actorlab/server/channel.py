"""Pass on what one thread tells to readers in event loops: kept once for all, read by each at its own pace."""

from __future__ import annotations

import asyncio
from _thread import allocate_lock
from typing import TYPE_CHECKING, Generic, TypeVar

from actorlab.core.history import History

if TYPE_CHECKING:
    from actorlab.core.history import Read

__all__ = ["Channel"]

T = TypeVar("T")


class Channel(Generic[T]):
    """What one thread tells, and who waits for more of it; the teller waits for nobody."""

    def __init__(self, most: int, room: int, floor: int = 0) -> None:
        self._history: History[T] = History(most, room, floor)
        # The teller adds while loops read: each holds it for some microseconds, and the lab's threads never do.
        self._lock = allocate_lock()
        self._bells: dict[asyncio.AbstractEventLoop, Bell] = {}
        self.over = False
        """Whether nothing comes any more."""
        self.said_all = False
        """Whether that is because there is no more to tell."""

    # -- the teller's thread

    def put(self, number: int, item: T, size: int) -> None:
        """Add an item; `wake` has it read."""
        with self._lock:
            self._history.add(number, item, size)

    def wake(self) -> None:
        """Let all look again who wait."""
        for bell in list(self._bells.values()):
            if not bell.post():
                self._bells.pop(bell.loop, None)

    @property
    def busy(self) -> float:
        """Return how many seconds it took lately until all had been sent what was new."""
        return max((bell.busy for bell in list(self._bells.values())), default=0.0)

    # -- any thread

    def end(self, *, said_all: bool = False) -> None:
        """Say that nothing comes any more, perhaps since there is no more to tell."""
        self.said_all = self.said_all or said_all
        self.over = True
        self.wake()

    def after(self, number: int) -> int | None:
        """Return the place after everything up to a number, or None: not all that followed is kept."""
        with self._lock:
            return self._history.after(number)

    def read(self, place: int, room: int, newest: int | None = None) -> Read[T]:
        """Return what follows on a place, as `History.read` does."""
        with self._lock:
            return self._history.read(place, room, newest)

    @property
    def end_place(self) -> int:
        """Return the place after the newest item."""
        return self._history.end

    @property
    def size(self) -> int:
        """Return how large all is that is kept."""
        return self._history.size

    @property
    def newest(self) -> int:
        """Return the number of the newest item."""
        return self._history.newest

    # -- readers, in an event loop

    async def news(self, place: int) -> None:
        """Wait until there is something after a place, nothing comes any more, or the teller says so."""
        loop = asyncio.get_running_loop()
        bell = self._bells.get(loop)
        if bell is None:
            bell = self._bells.setdefault(loop, Bell(loop))
        if self._history.end <= place and not self.over:  # looked at after the bell is there to be rung
            await bell.rung.wait()


class Bell:
    """Wakes the readers in one event loop, and sees how long they take."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.rung = asyncio.Event()
        self.busy = 0.0
        self._posted = False

    def post(self) -> bool:
        """Have it rung, from another thread; tell whether the loop is still there."""
        if self._posted:
            return True
        self._posted = True
        try:
            self.loop.call_soon_threadsafe(self._ring)
        except RuntimeError:
            return False
        return True

    def _ring(self) -> None:
        self._posted = False
        self.rung.set()
        self.rung.clear()  # who waits now has been woken; who comes later waits for the next time
        # They go on in the loop's next turn, and this comes after them in the turn after that.
        self.loop.call_soon(self.loop.call_soon, self._all_read, self.loop.time())

    def _all_read(self, since: float) -> None:
        self.busy = self.loop.time() - since
