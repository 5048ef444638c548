"""Call functions later, wherever they have to run: one thread's timers for all of them, and each can be cancelled."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeVar, TypeVarTuple

from actorlab.errors import Cancelled, ConfigError
from actorlab.kernel import FOREVER, Reply
from actorlab.runtime.subscriptions import wait_in_scope

if TYPE_CHECKING:
    from actorlab.dispatch import Dispatcher
    from actorlab.runtime.decider import Decider, Timer
    from actorlab.runtime.workers import Workers

__all__ = ["Later", "Timetable"]

R = TypeVar("R")
Ts = TypeVarTuple("Ts")
monotonic = time.monotonic
LONGEST: Final = threading.TIMEOUT_MAX


class Later(Reply[R]):
    """A call that is to come: `cancel` it before it has begun, or wait for what it gives by `result` or ``await``.

    In a body `result` is a checkpoint, which only watches; a cancelled ``await`` cancels the call.
    """

    __slots__ = ("_forget", "_function", "dispatcher", "timer")

    def __init__(
        self, function: Callable[[], R], dispatcher: Dispatcher | None, forget: Callable[[Later[Any]], object]
    ) -> None:
        super().__init__()
        self.dispatcher = dispatcher
        self.timer: Timer | None = None
        self._function: Callable[[], R] | None = function
        self._forget = forget

    def cancel(self) -> bool:
        """Keep it from ever being called: True, or False as it has begun."""
        if not super().cancel():
            return False
        self._function = self.dispatcher = None
        self._forget(self)
        return True

    def _wait_until(self, end: float | None) -> bool:
        """Wait for the outcome as it is done here: in a body a cancellation ends the wait."""
        if not self.done():
            wait_in_scope(self, FOREVER if end is None else max(0.0, end - monotonic()))
        return self.done()

    def hand_over(self) -> None:
        """Have it called where it has to run; a job of the observers' threads, so it doesn't raise."""
        dispatcher = self.dispatcher
        try:
            if dispatcher is None:
                self.call()
            else:
                dispatcher(self.call)
        except BaseException as error:  # a boundary between threads: it is the reply's
            if self.begin():
                logging.getLogger("actorlab").exception("a dispatcher, %r, failed", dispatcher)
                self.finish(None, error)

    def call(self) -> None:
        """Call it, unless it was cancelled; what it raises is logged, since maybe nobody looks at the reply."""
        function = self._function
        if function is None or not self.begin():
            return
        self._function = self.dispatcher = None
        try:
            value = function()
        except BaseException as error:
            logging.getLogger("actorlab").exception("a function called later, %r, failed", function)
            self.finish(None, error)
            if not isinstance(error, Exception):
                raise
        else:
            self.finish(value, None)


class Timetable:
    """The calls that are to come, on the deciding thread's timers."""

    def __init__(self, decider: Decider, observers: Workers) -> None:
        self._decider = decider
        self._observers = observers
        self._coming: dict[Later[Any], None] = {}
        self._closed = False

    def later(
        self, seconds: float, function: Callable[[*Ts], R], *args: *Ts, dispatcher: Dispatcher | None = None
    ) -> Later[R]:
        """Call `function(*args)` after some seconds, in a thread for that, or by a dispatcher wherever that leads.

        Raises:
            ConfigError: the seconds are negative, or no number of seconds one can wait for.

        """
        if not 0 <= seconds <= LONGEST:
            text = f"later({seconds!r}, …): the seconds must be from 0 to {LONGEST:.0f}"
            raise ConfigError(text)
        later: Later[R] = Later(partial(function, *args), dispatcher, self._cancelled)
        self._decider.post(self._set, (monotonic() + seconds, later))
        return later

    def close(self) -> None:
        """Drop what is to come; for the deciding thread."""
        self._closed = True
        for later in list(self._coming):
            self._drop(later)

    def _set(self, argument: tuple[float, Later[Any]]) -> None:
        at, later = argument
        if self._closed:
            later.drop(Cancelled("the lab has closed before its time came"))
        elif not later.done():
            self._coming[later] = None
            later.timer = self._decider.after(max(0.0, at - monotonic()), self._due, later)

    def _due(self, later: Later[Any]) -> None:
        self._coming.pop(later, None)
        if not later.done():
            self._observers.put(later.hand_over)

    def _cancelled(self, later: Later[Any]) -> None:
        self._decider.post(self._drop, later)

    def _drop(self, later: Later[Any]) -> None:
        self._coming.pop(later, None)
        if later.timer is not None:
            later.timer.cancel()
        later.drop(Cancelled("the lab has closed before its time came"))
