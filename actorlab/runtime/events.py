"""Tell what happens in a lab, in order, to whoever listens; a listener can't hold the lab back."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, NamedTuple

from actorlab.core.backlog import SNAPSHOT, Event
from actorlab.errors import ConfigError
from actorlab.kernel import Reply
from actorlab.runtime.delivering import Delivery
from actorlab.runtime.feed import Feed, choice
from actorlab.runtime.subscriptions import AsyncEvents, Subscription

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from actorlab.dispatch import Dispatcher
    from actorlab.runtime.decider import Decider
    from actorlab.runtime.standings import Standing
    from actorlab.runtime.workers import Workers

__all__ = ["Event", "EventLog", "Snapshot", "Subscription"]


now = time.time


class Snapshot(NamedTuple):
    """How everything stood after the change of this number, as events."""

    sequence: int
    events: list[Event]


class EventLog:
    """What happens in a lab: iterate over it, in a thread or an event loop, or `subscribe`.

    Only the deciding thread tells. Where it happens a thousand times a second, look at `heard` first: nothing is put
    together for nobody. `standings` says how all things stand; the deciding thread calls it for each new observer.
    Without a decider, whoever subscribes does so in the thread which tells, and there are no callbacks.
    """

    def __init__(
        self,
        decider: Decider | None = None,
        observers: Workers | None = None,
        standings: Callable[[], Iterable[Standing]] = tuple,
    ) -> None:
        self._decider = decider
        self._observers = observers
        self._standings = standings
        self._pid = os.getpid()
        self._sequence = 0
        self._feeds: tuple[Feed, ...] = ()
        self._closed = False
        self._dropped = 0
        self.heard = False
        """Whether anybody listens."""

    # -- the deciding thread

    def add(self, subject: str, kind: str, **data: Any) -> None:
        """Tell an event."""
        self.tell(subject, kind, data)

    def tell(self, subject: str, kind: str, data: dict[str, Any]) -> Event:
        """Tell an event whose data are in a dict that nobody changes any more, and return it."""
        self._sequence += 1
        event = Event(self._sequence, now(), subject, kind, data)
        for feed in self._feeds:
            feed.offer(event)
        return event

    def close(self) -> None:
        """Let every observer end after what it hasn't read yet."""
        self._closed = True
        self._dropped = self.dropped
        feeds, self._feeds, self.heard = self._feeds, (), False
        for feed in feeds:
            feed.end()

    # -- any thread

    def subscribe(
        self,
        callback: Callable[[Event], object] | None = None,
        *,
        kinds: Iterable[str] | None = None,
        subjects: Iterable[str] | None = None,
        buffer: int = 1000,
        dispatcher: Dispatcher | None = None,
        snapshot: bool = True,
    ) -> Subscription:
        """Listen from now on: to a snapshot first, then to every change; with a callback, it is called with each event.

        `kinds` and `subjects` choose; a subject may be a pattern, such as "sweep#3/*". Of the unread events the newest
        `buffer` survive at least; "gap" events tell where others are missing. A callback is called in a thread for
        that, or by `dispatcher` wherever that leads. When this returns one has begun to listen, but in an event loop,
        where it doesn't wait for that: what is started afterwards is heard in any case.

        Raises:
            ConfigError: the buffer is less than 1, or the callback is missing or none.

        """
        self._check(callback, buffer, dispatcher)
        feed = Feed(choice(kinds, subjects), buffer)
        if callback is not None:
            self._deliver(feed, callback, dispatcher)
        subscription = Subscription(feed, self._left, forgotten=callback is None)
        self._attach(feed, snapshot=snapshot, wait=not in_event_loop())
        if feed.error is not None:
            raise feed.error
        return subscription

    def snapshot(self, timeout: float | None = None) -> Snapshot:
        """Return how everything stands now, without listening; it never waits for a device.

        Raises:
            TimeoutError: the deciding thread hasn't answered after `timeout` seconds.

        """
        taken: Reply[Snapshot] = Reply()
        if self._decider is None or self._decider.here:
            self._take(taken)
        else:
            self._decider.post(self._take, taken)
        return taken.result(timeout)

    def __iter__(self) -> Iterator[Event]:
        """Yield a snapshot and then every change, until the lab has closed."""
        return iter(self.subscribe())

    def __aiter__(self) -> AsyncEvents:
        """Yield a snapshot and then every change, until the lab has closed, without blocking the event loop."""
        return aiter(self.subscribe())

    def _check(self, callback: object, buffer: int, dispatcher: object) -> None:
        if not isinstance(buffer, int) or buffer < 1:
            text = f"lab.events.subscribe(buffer={buffer!r}): it must be a whole number of events, at least 1"
            raise ConfigError(text)
        if callback is not None and not callable(callback):
            text = f"lab.events.subscribe({callback!r}): it must be a function that takes an event"
            raise ConfigError(text)
        if dispatcher is not None and callback is None:
            text = "lab.events.subscribe(dispatcher=…) without a callback: the dispatcher is what runs the callback"
            raise ConfigError(text)
        if os.getpid() != self._pid:
            text = "this lab belongs to the process that made it: in a forked child nobody tells events"
            raise ConfigError(text)

    def _deliver(self, feed: Feed, callback: Callable[[Event], object], dispatcher: Dispatcher | None) -> None:
        decider, observers = self._decider, self._observers
        if decider is None or observers is None:
            text = "lab.events.subscribe(callback): there is no lab which could call it"
            raise ConfigError(text)
        Delivery(feed, callback, dispatcher, lambda turn: decider.post(observers.put, turn)).await_news()

    # -- coming and going

    def _attach(self, feed: Feed, *, snapshot: bool, wait: bool) -> None:
        """Have the deciding thread add an observer, between two events."""
        if self._decider is None or self._decider.here:
            self._add((feed, snapshot, Reply()))
            return
        begun: Reply[None] = Reply()
        try:
            self._decider.post(self._add, (feed, snapshot, begun))
            if wait:
                begun.wait()
        except BaseException:
            feed.close()
            self._left()
            raise

    def _add(self, argument: tuple[Feed, bool, Reply[None]]) -> None:
        feed, snapshot, begun = argument
        try:
            if snapshot and not feed.closed:
                feed.begin(self._snapshot(feed.wanted))
        except Exception as error:  # noqa: BLE001 - a boundary between threads: it goes to whoever subscribes
            feed.close(error)
        if self._closed:
            feed.end()
        elif not feed.closed:
            self._feeds = (*self._feeds, feed)
            self.heard = True
        begun.finish(None, None)

    def _take(self, taken: Reply[Snapshot]) -> None:
        try:
            taken.finish(Snapshot(self._sequence, self._snapshot(None)), None)
        except Exception as error:  # noqa: BLE001 - a boundary between threads: it goes to whoever asks
            taken.finish(None, error)

    def _snapshot(self, wanted: Callable[[str, str], bool] | None) -> list[Event]:
        """Return how what is wanted stands, as events: all carry the number of the last change."""
        number, moment = self._sequence, now()
        return [
            Event(number, moment, subject, SNAPSHOT, {"of": of, **look()})
            for subject, of, look in self._standings()
            if wanted is None or wanted(subject, of) or wanted(subject, SNAPSHOT)
        ]

    def _left(self) -> None:
        """Hear that an observer has closed."""
        if self._decider is None:
            self._prune(None)
        else:
            self._decider.post(self._prune)

    @property
    def dropped(self) -> int:
        """How many events all observers together have missed, since too many were unread."""
        return self._dropped + sum(feed.missed for feed in self._feeds)

    def _prune(self, _: Any) -> None:
        self._dropped += sum(feed.missed for feed in self._feeds if feed.closed)
        self._feeds = tuple(feed for feed in self._feeds if not feed.closed)
        self.heard = bool(self._feeds)


def in_event_loop() -> bool:
    """Tell whether an event loop runs in this thread: then it mustn't wait."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True
