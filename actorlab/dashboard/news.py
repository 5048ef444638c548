"""Read a lab's events once for all browsers, and tell each what has happened at most five times a second."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeVar

from actorlab.dashboard.log_lines import KINDS, Level, Line, line_of
from actorlab.dashboard.sampling import Samples

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

    from actorlab.core.backlog import Event
    from actorlab.runtime.events import Subscription
    from actorlab.server.desk import Desk
    from actorlab.server.tokens import Who

__all__ = ["EVERYTHING", "Follower", "News", "Newsroom"]

R = TypeVar("R")
TURN: Final = 0.2
"""Browsers are told at most once in so many seconds."""
MOST: Final = 2000
"""A browser that comes along no faster is told that events are missing, rather than all of them."""
LINES: Final = 1000
log = logging.getLogger("actorlab.dashboard")


class News(NamedTuple):
    """What has happened since the last time; with a `gap` events are missing, and everything may have changed."""

    events: tuple[Event, ...]
    gap: bool = False

    def only(self, kinds: frozenset[str] | None) -> News:
        """Return what is of some kinds."""
        if kinds is None:
            return self
        return News(tuple([event for event in self.events if event.kind in kinds]), self.gap)

    def __bool__(self) -> bool:
        return bool(self.events) or self.gap


EVERYTHING: Final = News((), gap=True)


class Follower:
    """What one browser hasn't been told yet."""

    def __init__(self) -> None:
        self._events: list[Event] = []
        self._gap = False
        self._news = asyncio.Event()

    def offer(self, news: News) -> None:
        """Have it told soon."""
        self._gap |= news.gap or len(self._events) + len(news.events) > MOST
        self._events = [] if self._gap else [*self._events, *news.events]
        self._news.set()

    async def next(self) -> News:
        """Wait for news."""
        await self._news.wait()
        self._news.clear()
        told = News(tuple(self._events), self._gap)
        self._events, self._gap = [], False
        return told


class Newsroom:
    """What all browsers of a dashboard share: the desk, the news, the log, live values, looks at the lab."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self.samples = Samples(desk.lab)
        self.lines: deque[Line] = deque(maxlen=LINES)
        self._followers: set[Follower] = set()
        self._looks: dict[Hashable, tuple[float, asyncio.Future[Any]]] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self._streams: list[Subscription] = []

    def open(self) -> None:
        """Begin to listen."""
        events = self.desk.lab.events
        everything = events.subscribe(buffer=MOST, snapshot=False)
        worth_a_line = events.subscribe(buffer=MOST, snapshot=False, kinds=KINDS)
        self._streams = [everything, worth_a_line]
        self._tasks = [
            asyncio.create_task(self._tell(everything)),
            asyncio.create_task(self._keep_lines(worth_a_line)),
            asyncio.create_task(self.samples.take()),
        ]

    async def close(self) -> None:
        """Listen no more."""
        for stream in self._streams:
            stream.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    # -- news

    def follow(self) -> Follower:
        """Add a browser."""
        follower = Follower()
        self._followers.add(follower)
        return follower

    def leave(self, follower: Follower) -> None:
        """Forget a browser."""
        self._followers.discard(follower)

    async def _tell(self, stream: Subscription) -> None:
        while batch := await next_batch(stream):
            news = News(tuple(batch), gap=any(event.kind == "gap" for event in batch))
            for follower in self._followers:
                follower.offer(news)

    async def _keep_lines(self, stream: Subscription) -> None:
        while batch := await next_batch(stream):
            self.lines.extend(line for event in batch if (line := line_of(event)) is not None)

    def note(self, who: Who, what: str) -> None:
        """Write into the log what somebody does here."""
        log.info("%s: %s", who.name, what)
        self.lines.append(Line(time.time(), Level.INFO, who.name, what))

    # -- looks

    async def shared_look(self, key: Hashable, function: Callable[[], R]) -> R:
        """Return what `function` says, in a thread; what it said less than a turn ago is good enough for everybody."""
        at, found = self._looks.get(key, (0.0, None))
        if found is None or time.monotonic() - at > TURN or (found.done() and found.exception() is not None):
            found = asyncio.ensure_future(self.desk.look(function))
            self._looks[key] = (time.monotonic(), found)
        result: R = await asyncio.shield(found)
        return result


async def next_batch(stream: Subscription) -> list[Event]:
    """Wait for an event, and a moment longer for what comes with it; nothing says that the lab has ended."""
    batch: list[Event] = []
    with suppress(StopAsyncIteration):
        batch.append(await anext(aiter(stream)))
        await asyncio.sleep(TURN)  # meanwhile the subscription keeps the newest
        while len(batch) < MOST and (event := stream.get(0)) is not None:
            batch.append(event)
    return batch
