"""Run every decision of a lab on one thread, in one total order."""

from __future__ import annotations

import heapq
import threading
import time
from _thread import allocate_lock
from collections import deque
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Decider", "Timer"]

monotonic = time.monotonic
MANY: Final = 1000
LONGEST: Final = threading.TIMEOUT_MAX
Deed = tuple["Callable[[Any], object]", Any]


class Timer:
    """Something to do at a time; cancelling it makes it harmless."""

    __slots__ = ("argument", "at", "function")

    def __init__(self, at: float, function: Callable[[Any], object], argument: Any) -> None:
        self.at = at
        self.function: Callable[[Any], object] | None = function
        self.argument = argument

    def cancel(self) -> None:
        """Forget what was to be done."""
        self.function = self.argument = None

    def __lt__(self, other: Timer) -> bool:
        return self.at < other.at


class Decider:
    """The deciding thread: its mailbox, what it does next, and its timers.

    Deciding actors have an address but no thread; a message to one is its handler and the argument, published by one
    `put`. A handler never waits and never runs user code. If one raises, that is our bug: `panic` is called with the
    error.
    """

    def __init__(self, name: str, panic: Callable[[BaseException], object]) -> None:
        self._inbox: SimpleQueue[Deed] = SimpleQueue()
        self._next: deque[Deed] = deque()
        self._last: deque[Deed] = deque()
        self._timers: list[Timer] = []
        self._panic = panic
        self._open = True
        self._ended = False
        # Whose turn it is to do what comes after the thread's end; never waited for, so that a handler may come again.
        self._turn = allocate_lock()
        self.thread = threading.Thread(target=self._loop, daemon=True, name=f"{name}: decisions")

    def start(self) -> None:
        """Start the thread."""
        self.thread.start()

    def post(self, function: Callable[[Any], object], argument: Any = None) -> None:
        """Publish a message, from any thread, signal handler or finaliser."""
        self._inbox.put((function, argument))
        if self._ended:
            self._do_late()

    def then(self, function: Callable[[Any], object], argument: Any = None) -> None:
        """Do it next, before the mailbox is looked at; for the deciding thread only."""
        self._next.append((function, argument))

    def last(self, function: Callable[[Any], object], argument: Any = None) -> None:
        """Do it when nothing is left to do next, before the mailbox is looked at; for the deciding thread only.

        It is for what wakes another thread: woken earlier, that thread would only fight this one for the interpreter's
        lock.
        """
        self._last.append((function, argument))

    def after(self, seconds: float, function: Callable[[Any], object], argument: Any = None) -> Timer:
        """Do it after some seconds; for the deciding thread only."""
        timer = Timer(monotonic() + seconds, function, argument)
        heapq.heappush(self._timers, timer)
        if len(self._timers) > MANY and self._timers[-1].function is None:
            self._sweep()
        return timer

    def close(self) -> None:
        """End the thread after what it does now."""
        self.post(self._stop)

    @property
    def here(self) -> bool:
        """Tell whether this is the deciding thread."""
        return threading.current_thread() is self.thread

    @property
    def has_mail(self) -> bool:
        """Tell whether messages wait."""
        return not self._inbox.empty()

    def _stop(self, _: Any) -> None:
        self._open = False

    def _sweep(self) -> None:
        """Throw out cancelled timers, when the heap has grown by them."""
        self._timers = [timer for timer in self._timers if timer.function is not None]
        heapq.heapify(self._timers)

    def _loop(self) -> None:
        while self._open:
            self._do(self._take())
        self._ended = True
        self._do_late()

    def _do(self, deed: Deed) -> None:
        function, argument = deed
        try:
            function(argument)
        except BaseException as error:  # noqa: BLE001 - the thread boundary: law 5
            self._panic(error)

    def _do_late(self) -> None:
        """Do what came when the thread had ended, in its sender's thread: so nobody waits for an answer for ever."""
        while (self._next or self._last or not self._inbox.empty()) and self._turn.acquire(False):
            try:
                self._do(self._next_deed() or self._inbox.get_nowait())
            finally:
                self._turn.release()

    def _next_deed(self) -> Deed | None:
        if self._next:
            return self._next.popleft()
        return self._last.popleft() if self._last else None

    def _take(self) -> Deed:
        if self._next:
            return self._next.popleft()
        if self._last:
            return self._last.popleft()
        while True:
            while self._timers and self._timers[0].function is None:
                heapq.heappop(self._timers)  # a wait that has a limit costs more than one that has none
            if not self._timers:
                return self._inbox.get()
            left = self._timers[0].at - monotonic()
            if left > 0:
                try:
                    return self._inbox.get(timeout=min(left, LONGEST))
                except Empty:
                    continue
            timer = heapq.heappop(self._timers)
            if timer.function is not None:
                return timer.function, timer.argument
