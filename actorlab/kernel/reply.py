"""Carry one outcome from the thread that makes it to whoever waits for it."""

from __future__ import annotations

import asyncio
import logging
import sys
import threading
import time
from _thread import LockType, allocate_lock
from collections.abc import Callable, Generator
from concurrent.futures import CancelledError
from types import TracebackType
from typing import Any, Final, Generic, TypeVar

from actorlab.errors import CallTimeout, Cancelled

__all__ = ["FOREVER", "Reply"]

R = TypeVar("R")
FOREVER: Final = -1.0
monotonic = time.monotonic
logger = logging.getLogger("actorlab")


class Reply(Generic[R]):
    """One outcome, made once; the interface is that of `concurrent.futures.Future`, and it can be awaited.

    The claim is taken exactly once: by the actor (the call begins) or by whoever drops it (it never will begin). The
    first entry of `_claims` has it, and a dropper's entry is the outcome itself: so whoever finds a drop that
    KeyboardInterrupt has cut short completes it. The first outcome appended is the truth, later ones are ignored. Each
    transition is a single C call. A waiter parks on a bare lock which it made itself.
    """

    __slots__ = ("__weakref__", "_claims", "_outcomes", "_parked", "begun")

    begun: float
    """When it began (monotonic seconds), or 0; in the future while a driver sleeps."""

    def __init__(self) -> None:
        self._claims: list[float | tuple[None, BaseException]] = []
        self._outcomes: list[tuple[Any, BaseException | None]] = []
        self._parked: list[Any] = []
        self.begun = 0.0

    # -- the side that answers

    def begin(self) -> bool:
        """Take the claim: True means that it is the caller's to execute."""
        now = monotonic()
        self._claims.append(now)
        if self._claims[0] is now:
            self.begun = now
            return True
        self._complete_drop()
        return False

    def finish(self, value: R | None, error: BaseException | None) -> None:
        """Publish the outcome, then wake who waits. Only the first outcome counts."""
        self._outcomes.append((value, error))
        for entry in self._parked.copy():  # who gives up waiting takes himself out meanwhile
            if entry.__class__ is LockType:
                try:
                    entry.release()
                except RuntimeError:  # somebody else woke him first
                    continue
            else:
                entry.tell()

    def drop(self, error: BaseException) -> bool:
        """Keep it from ever beginning and finish it with `error` (True), or do nothing as it has begun (False)."""
        if not self._claims:
            entry = (None, error)
            self._claims.append(entry)
            if self._claims[0] is entry:
                self.finish(None, error)
                return True
        self._complete_drop()
        return False

    def _complete_drop(self) -> None:
        """Do what a dropper does after its claim, as KeyboardInterrupt may have cut it short; twice does no harm."""
        claim = self._claims[0]
        if not isinstance(claim, tuple):
            return
        if not self._outcomes:
            self.finish(*claim)
            return
        self.wake()
        for entry in self._parked.copy():
            if entry.__class__ is not LockType:
                entry.tell()

    def when_done(self, callback: Callable[[Reply[R]], object]) -> Callback:
        """Call back once, from the thread that finishes it or from this one: be short. `forget` takes it back."""
        parked = Callback(self, callback)
        self._listen(parked)
        return parked

    def forget(self, parked: Callback) -> None:
        """Take out what `when_done` has returned: whoever wanted to be told has left."""
        self._unpark(parked)

    def _listen(self, callback: Callback) -> None:
        self._parked.append(callback)
        if self._outcomes:
            callback.tell()

    # -- the side that waits

    def done(self) -> bool:
        """Tell whether there is an outcome."""
        return bool(self._outcomes)

    def answered_twice(self) -> bool:
        """Tell whether two have finished it; only the first counted."""
        return len(self._outcomes) > 1

    def wait(self, timeout: float = FOREVER) -> bool:
        """Wait for the outcome or a `wake`, at most `timeout` seconds, and tell whether the outcome is there."""
        if self._outcomes:
            return True
        lock = allocate_lock()
        lock.acquire()
        self._parked.append(lock)
        if not self._outcomes:
            lock.acquire(True, timeout)
        if self._outcomes:
            return True
        self._unpark(lock)
        return bool(self._outcomes)

    def _unpark(self, entry: Any) -> None:
        try:
            self._parked.remove(entry)
        except ValueError:  # taken out already
            return

    def wake(self) -> None:
        """Wake whoever waits, without an outcome: they look again."""
        for entry in self._parked.copy():
            if entry.__class__ is LockType:
                try:
                    entry.release()
                except RuntimeError:  # somebody else woke him first
                    continue

    def outcome(self) -> R:
        """Return the value or raise the error of a reply that is done."""
        value, error = self._outcomes[0]
        if error is not None:
            try:
                raise error
            finally:
                del error, self  # the traceback would keep this frame alive, and it the error
        return value  # type: ignore[no-any-return]  # the slot holds what `finish` was given

    def result(self, timeout: float | None = None) -> R:
        """Wait for the value, or raise the error.

        Raises:
            TimeoutError: the outcome isn't there after `timeout` seconds; what was asked goes on.

        """
        self._wait_out(timeout)
        try:
            return self.outcome()
        finally:
            del self  # as in `outcome`

    def exception(self, timeout: float | None = None) -> BaseException | None:
        """Wait for the outcome and return its error, or None.

        Raises:
            TimeoutError: the outcome isn't there after `timeout` seconds; what was asked goes on.

        """
        self._wait_out(timeout)
        return self._outcomes[0][1]

    def _wait_out(self, timeout: float | None) -> None:
        if not self._wait_until(None if timeout is None else monotonic() + timeout):
            message = f"no outcome within {timeout} s; what was asked goes on"
            raise TimeoutError(message)

    def _wait_until(self, end: float | None) -> bool:
        """Wait for the outcome through any `wake`, and tell whether it is there."""
        while not self.wait(FOREVER if end is None else max(0.0, end - monotonic())):
            if end is not None and monotonic() >= end:
                return bool(self._outcomes)
        return True

    def cancel(self) -> bool:
        """Drop it, if it hasn't begun: True says that it never will."""
        return self.drop(Cancelled("dropped before it began")) or self.cancelled()

    def cancelled(self) -> bool:
        """Tell whether its outcome is that it was cancelled."""
        return bool(self._outcomes) and isinstance(self._outcomes[0][1], Cancelled)

    def running(self) -> bool:
        """Tell whether it has begun and not ended."""
        return bool(self.begun) and not self._outcomes

    def add_done_callback(self, function: Callable[[Reply[R]], object]) -> None:
        """Call `function(reply)` when it is done, on the thread that finishes it; what it raises is logged."""
        self.when_done(function)

    def __await__(self) -> Generator[Any, None, R]:
        """Wait without blocking the event loop; a cancelled wait drops a call that hasn't begun."""
        if not self._outcomes:
            loop = asyncio.get_running_loop()
            landed: asyncio.Future[None] = loop.create_future()
            callback = Callback(self, lambda _: post_to_loop(loop, landed))
            self._listen(callback)
            try:
                yield from landed
            except asyncio.CancelledError:
                self.cancel()
                raise
            finally:
                self._unpark(callback)
        return self.outcome()

    # -- what concurrent.futures' wait() and as_completed() look at

    @property
    def _condition(self) -> threading.Condition:
        observed = self._observed()
        if self._outcomes:
            observed.tell()
        return observed.condition

    @property
    def _state(self) -> str:
        return "FINISHED" if self._observed().finished else "PENDING"

    @property
    def _waiters(self) -> list[Any]:
        return self._observed().waiters

    def _observed(self) -> Observed:
        """Return the one `Observed`: of several that threads made at the same moment, the one that was parked first."""
        while True:
            for entry in self._parked.copy():
                if isinstance(entry, Observed):
                    return entry
            self._parked.append(Observed(self))

    # -- what pykka asks of a future

    def get(self, *, timeout: float | None = None) -> R:
        """Wait for the value as pykka's `Future.get` does; on expiry what hasn't begun is dropped.

        Raises:
            CallTimeout: the outcome isn't there after `timeout` seconds.

        """
        if not self._wait_until(None if timeout is None else monotonic() + timeout):
            self.drop(CallTimeout(f"not begun within {timeout} s, and now it never will"))
            if not self._outcomes:
                message = f"not finished within {timeout} s"
                raise CallTimeout(message)
        try:
            return self.outcome()
        finally:
            del self  # as in `outcome`

    def set(self, value: R | None = None) -> None:
        """Finish with a value, as pykka's `Future.set` does."""
        self.finish(value, None)

    def set_exception(
        self,
        exc_info: tuple[type[BaseException] | None, BaseException | None, TracebackType | None] | None = None,
    ) -> None:
        """Finish with the error given or being handled, as pykka's `Future.set_exception` does."""
        error = exc_info[1] if exc_info is not None else sys.exc_info()[1]
        self.finish(None, error or CancelledError())


class Callback:
    """A function to be told of an outcome, once, whoever comes first."""

    __slots__ = ("_functions", "_reply")

    def __init__(self, reply: Reply[Any], function: Callable[[Reply[Any]], object]) -> None:
        self._reply = reply
        self._functions = [function]

    def tell(self) -> None:
        """Call it; what it raises is its own affair, not that of the thread which happened to finish the reply."""
        try:
            function = self._functions.pop()
        except IndexError:  # told already
            return
        try:
            function(self._reply)
        except Exception:
            logger.exception("A callback of a reply failed: %r", function)


class Observed:
    """The face of a reply that `concurrent.futures` looks at, made only when it does.

    It changes under the condition only, as that of a `Future` does: `wait` counts what is pending under it.
    """

    __slots__ = ("_reply", "condition", "finished", "waiters")

    def __init__(self, reply: Reply[Any]) -> None:
        self._reply = reply
        self.condition = threading.Condition()
        self.finished = False
        self.waiters: list[Any] = []

    def tell(self) -> None:
        """Count the outcome, once, for each `wait` and `as_completed`."""
        with self.condition:
            if self.finished:
                return
            self.finished = True
            for waiter in self.waiters:
                if self._reply.cancelled():
                    waiter.add_cancelled(self._reply)
                elif self._reply.exception() is not None:
                    waiter.add_exception(self._reply)
                else:
                    waiter.add_result(self._reply)


def post_to_loop(loop: asyncio.AbstractEventLoop, landed: asyncio.Future[None]) -> None:
    """Resolve a loop's future from another thread; a loop that has closed meanwhile has nobody waiting."""
    try:
        loop.call_soon_threadsafe(land, landed)
    except RuntimeError:
        return


def land(landed: asyncio.Future[None]) -> None:
    """Resolve a future on its own loop, if nobody has cancelled it."""
    if not landed.done():
        landed.set_result(None)
