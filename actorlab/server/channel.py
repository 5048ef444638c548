"""Pass on what one thread tells to readers in event loops: kept once for all, read by each at its own pace."""

from __future__ import annotations

import asyncio
import time
from _thread import allocate_lock
from collections import deque
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

from actorlab.core.history import History

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

    from actorlab.core.history import Read

__all__ = ["Channel"]

T = TypeVar("T")
M = TypeVar("M")
SOME: Final = 8
"""So many readers are woken at a time."""
SHARE: Final = 3.0
"""Then there is a rest, so many times as long as they took: sending takes at most a quarter of one core."""
SHORTEST: Final = 0.001
"""Not every loop can wait for less."""
LONGEST: Final = 0.005
monotonic = time.monotonic
thread_time = time.thread_time


class Channel(Generic[T]):
    """What one thread tells, and who waits for more of it; the teller waits for nobody."""

    def __init__(self, most: int, room: int, floor: int = 0) -> None:
        self._history: History[T] = History(most, room, floor)
        # The teller adds while loops read: each holds it for some microseconds, and the lab's threads never do.
        self._lock = allocate_lock()
        self._bells: dict[asyncio.AbstractEventLoop, Bell] = {}
        self._alike: dict[Hashable, Any] = {}
        self._alike_until = 0
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
            if not bell.post(self._history.end):
                self._bells.pop(bell.loop, None)

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

    def following(self, number: int) -> int | None:
        """Return the place of what follows on a number, as `History.following` does."""
        with self._lock:
            return self._history.following(number)

    def read(self, place: int, room: int, newest: int | None = None) -> Read[T]:
        """Return what follows on a place, as `History.read` does."""
        with self._lock:
            return self._history.read(place, room, newest)

    def alike(self, key: Hashable, make: Callable[[], M]) -> M:
        """Return what readers at one place, who want the same, make of it: it is made once, until more is told."""
        end = self._history.end
        if end != self._alike_until:
            self._alike, self._alike_until = {}, end
        made = self._alike
        found: M | None = made.get(key)
        if found is None:
            found = made[key] = make()
        return found

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
            bell = self._bells.setdefault(loop, Bell(loop, self._history.end))
        if place >= bell.told and not self.over:  # looked at after the bell is there to be rung
            await bell.rung()


class Bell:
    """Wakes the readers in one event loop: some at a time, with rests between them.

    Sending to hundreds of readers in a row would keep the interpreter's lock from the lab's own threads for that long.
    So it takes a share of the time only, in small pieces, and what is told meanwhile is sent with the next turn.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, told: int) -> None:
        self.loop = loop
        self.told = told
        """The place up to which readers have been, or are being woken."""
        self._posted = False
        self._turning = False
        self._not_before = 0.0
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._due: deque[asyncio.Future[None]] = deque()

    def post(self, end: int) -> bool:
        """Have it rung for what was told up to a place, from another thread; tell whether the loop is still there."""
        self.told = end
        if self._posted:
            return True
        self._posted = True
        try:
            self.loop.call_soon_threadsafe(self._ring)
        except RuntimeError:
            return False
        return True

    async def rung(self) -> None:
        """Wait until it is rung."""
        turn: asyncio.Future[None] = self.loop.create_future()
        self._waiting.append(turn)
        await turn

    def _ring(self) -> None:
        self._posted = False
        self._due.extend(self._waiting)
        self._waiting.clear()
        if not self._turning:
            self._turning = True
            self.loop.call_later(max(0.0, self._not_before - monotonic()), self._turn)

    def _turn(self) -> None:
        """Wake some; they go on in the loop's next turn, and what comes after them is done in the turn after that."""
        for _ in range(min(SOME, len(self._due))):
            turn = self._due.popleft()
            if not turn.done():
                turn.set_result(None)
        self.loop.call_soon(self.loop.call_soon, self._rest, thread_time())

    def _rest(self, since: float) -> None:
        taken = thread_time() - since  # what others do meanwhile isn't this thread's work
        rest = min(LONGEST, max(SHORTEST, SHARE * taken))
        self._not_before = monotonic() + rest
        self._turning = bool(self._due)
        if self._due:
            self.loop.call_later(rest, self._turn)
