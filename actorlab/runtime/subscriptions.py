"""Be one subscription to a lab's events, as its user sees it: waited for, iterated over, awaited, closed."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Self

from actorlab.kernel import FOREVER, Reply
from actorlab.scope import current

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import TracebackType

    from actorlab.core.backlog import Event
    from actorlab.runtime.feed import Feed

__all__ = ["AsyncEvents", "Subscription"]

monotonic = time.monotonic


class Subscription:
    """One observer's own buffer of events: a snapshot first, then every change that it asked for.

    Iterate over it, in threads or event loops, or `get` one after another; several readers share the events among them.
    It ends with the lab, by `close`, or when it is forgotten; one with a callback isn't ended by being forgotten.
    """

    __slots__ = ("__weakref__", "_feed", "_forgotten", "_left")

    def __init__(self, feed: Feed, left: Callable[[], object], *, forgotten: bool) -> None:
        self._feed = feed
        self._left = left
        self._forgotten = forgotten

    @property
    def dropped(self) -> int:
        """How many events are missing, since too many were unread; an event of the kind "gap" stood in their place."""
        return self._feed.missed

    @property
    def closed(self) -> bool:
        """Tell whether it has ended, though some events may be unread."""
        return self._feed.over

    def get(self, timeout: float | None = None) -> Event | None:
        """Wait at most `timeout` seconds for the next event; None says that there is none, or that none comes any more.

        In a body it is a checkpoint.
        """
        end = None if timeout is None else monotonic() + timeout
        while True:
            over = self._feed.over
            event = self._feed.take()
            left = FOREVER if end is None else end - monotonic()
            if event is not None or over or (end is not None and left <= 0):
                self._check()
                return event
            self._wait(left)

    def __iter__(self) -> Iterator[Event]:
        """Yield the events; after the end of the lab the last ones, after `close` none, unless it begins after that."""
        return self._events(leftover=self._feed.closed)

    def _events(self, *, leftover: bool) -> Iterator[Event]:
        feed = self._feed
        while leftover or not feed.closed:
            over = feed.over
            event = feed.take()
            if event is not None:
                yield event
            elif over:
                break
            else:
                self._wait(FOREVER)
        self._check()

    def __aiter__(self) -> AsyncEvents:
        """Yield the events without blocking the event loop; any number of loops and tasks may do so."""
        return AsyncEvents(self, self._feed)

    def close(self) -> None:
        """End it at once, from any thread; what was buffered can still be read by `get` or by iterating anew.

        No callback begins after this, but for one that is about to be called by another thread.
        """
        self._feed.close(self._feed.error)
        self._left()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __del__(self) -> None:
        if self._forgotten and not self._feed.closed:
            self.close()

    def _wait(self, seconds: float) -> None:
        news = self._feed.news()
        try:
            wait_in_scope(news, seconds)
        finally:
            self._feed.forget(news)

    def _check(self) -> None:
        """Raise what kept it from beginning."""
        if self._feed.error is not None:
            raise self._feed.error


class AsyncEvents:
    """The events of a subscription in an event loop; a cancelled wait takes none with it."""

    __slots__ = ("_feed", "_leftover", "_subscription")

    def __init__(self, subscription: Subscription, feed: Feed) -> None:
        self._subscription = subscription
        self._feed = feed
        self._leftover = feed.closed

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Event:
        """Return the next event.

        Raises:
            StopAsyncIteration: none comes any more.

        """
        feed = self._feed
        while self._leftover or not feed.closed:
            over = feed.over
            event = feed.take()
            if event is not None:
                return event
            if over:
                break
            news = feed.news()
            try:
                await news
            finally:
                feed.forget(news)
        if feed.error is not None:
            raise feed.error
        raise StopAsyncIteration


def wait_in_scope(reply: Reply[Any], seconds: float) -> None:
    """Wait for a reply as it is done here: in a body as a checkpoint, on the lab's loop and in drivers not at all."""
    scope = current.get()
    waits = getattr(scope, "wait", None)
    if waits is not None:
        waits(reply, seconds)
    else:
        scope.forbid("a wait for events")
        reply.wait(seconds)
