"""Call one observer's callback, event by event and in order; if it blocks or raises, it hurts only itself."""

from __future__ import annotations

import logging
import time
from functools import partial
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

    from actorlab.core.backlog import Event
    from actorlab.dispatch import Dispatcher
    from actorlab.kernel import Reply
    from actorlab.runtime.feed import Feed

__all__ = ["Delivery"]

monotonic = time.monotonic
IN_A_ROW: Final = 100
"""So many events at most are delivered at one turn of a dispatcher's loop, so that a window stays alive."""
SELDOM: Final = 10.0
"""What goes wrong in a callback is logged at most once in so many seconds."""


class Delivery:
    """The calls of one callback, one after another: on a thread of the observers', or where its dispatcher runs them.

    Exactly one turn is waited for, under way or handed over at a time; whoever ends one waits for the next.
    """

    __slots__ = ("_callback", "_complaints", "_dispatcher", "_feed", "_start")

    def __init__(
        self,
        feed: Feed,
        callback: Callable[[Event], object],
        dispatcher: Dispatcher | None,
        start: Callable[[Callable[[], None]], object],
    ) -> None:
        self._feed = feed
        self._callback = callback
        self._dispatcher = dispatcher
        self._start = start
        self._complaints = Complaints(f"a callback of lab.events, {callback!r},")

    def await_news(self) -> None:
        """Have a turn when there is something to deliver."""
        feed = self._feed
        if not feed.closed and (feed.unread or not feed.ended):
            self._turn_at(feed.news())

    def _turn_at(self, news: Reply[None]) -> None:
        news.when_done(lambda _: self._start(self._turn))

    def _turn(self) -> None:
        """Deliver, or have it done elsewhere; a job of the observers' threads, so it doesn't raise."""
        turn: list[Delivery] = [self]
        if self._feed.closed or not self._feed.unread:  # it is over, or was woken for nothing
            self.await_news()
            return
        if self._dispatcher is not None:
            self._hand_over(turn, self._dispatcher)
            return
        try:
            self._deliver(turn, None)
        except BaseException as error:  # noqa: BLE001 - a boundary between threads: what comes through is the user's
            self._complaints.tell(error)

    def _hand_over(self, turn: list[Delivery], dispatcher: Dispatcher) -> None:
        """Have a turn elsewhere; if the dispatcher refuses, it is tried again when more has come."""
        more = self._feed.news(unread=False)
        try:
            dispatcher(partial(self._deliver, turn, IN_A_ROW))
        except BaseException as error:  # noqa: BLE001 - as above
            self._complaints.tell(error)
            if claimed(turn) and not self._feed.over:
                self._turn_at(more)
                return
        self._feed.forget(more)

    def _deliver(self, turn: list[Delivery], most: int | None) -> None:
        """Call the callback for what is there, if this turn hasn't been taken."""
        if not claimed(turn):
            return
        feed = self._feed
        try:
            while most != 0 and not feed.closed and (event := feed.take()) is not None:
                self._call(event)
                most = None if most is None else most - 1
        finally:
            self.await_news()

    def _call(self, event: Event) -> None:
        try:
            self._callback(event)
        except Exception as error:  # noqa: BLE001 - a boundary: the callback is the user's
            self._complaints.tell(error)


class Complaints:
    """Log what goes wrong, but not too often."""

    __slots__ = ("_next", "_unsaid", "_who")

    def __init__(self, who: str) -> None:
        self._who = who
        self._next = 0.0
        self._unsaid = 0

    def tell(self, error: BaseException) -> None:
        """Log an error, or count it, if one was logged a short time ago."""
        if monotonic() < self._next:
            self._unsaid += 1
            return
        more = f" ({self._unsaid} more since the last one that was logged)" if self._unsaid else ""
        self._next, self._unsaid = monotonic() + SELDOM, 0
        logging.getLogger("actorlab").error("%s failed%s; it stays subscribed", self._who, more, exc_info=error)


def claimed(turn: list[Delivery]) -> bool:
    """Take a turn, once: a dispatcher may raise and call all the same, or call twice."""
    try:
        turn.pop()
    except IndexError:
        return False
    return True
