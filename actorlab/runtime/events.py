"""Tell what happens in a lab, in order, to whoever listens; a listener can't hold the lab back."""

from __future__ import annotations

import time
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Event", "EventLog", "Subscription"]


now = time.time


class Event(NamedTuple):
    """One thing that happened: `time` is seconds since 1970, `subject` a run, a step ("run/step") or a device."""

    sequence: int
    time: float
    subject: str
    kind: str
    data: dict[str, Any]


class EventLog:
    """The subscriptions; only the deciding thread tells.

    Where it happens a thousand times a second, look at `heard` first: nothing is put together for nobody.
    """

    def __init__(self) -> None:
        self._sequence = 0
        self._subscriptions: tuple[Subscription, ...] = ()
        self.heard = False
        """Whether anybody listens."""

    def add(self, subject: str, kind: str, **data: Any) -> None:
        """Tell an event."""
        self.tell(subject, kind, data)

    def tell(self, subject: str, kind: str, data: dict[str, Any]) -> None:
        """Tell an event whose data are in a dict that nobody changes any more."""
        self._sequence += 1
        event = Event(self._sequence, now(), subject, kind, data)
        for subscription in self._subscriptions:
            subscription.offer(event)

    def subscribe(self, bound: int = 100_000) -> Subscription:
        """Listen from now on, with a buffer of so many events."""
        subscription = Subscription(self, bound)
        self._subscriptions = (*self._subscriptions, subscription)
        self.heard = True
        return subscription

    def unsubscribe(self, subscription: Subscription) -> None:
        """Listen no longer."""
        self._subscriptions = tuple(other for other in self._subscriptions if other is not subscription)
        self.heard = bool(self._subscriptions)


class Subscription:
    """One listener's own buffer; when it is full new events are counted in `dropped` instead."""

    def __init__(self, log: EventLog, bound: int) -> None:
        self._log = log
        self._bound = bound
        self._queue: SimpleQueue[Event | None] = SimpleQueue()
        self.dropped = 0

    def offer(self, event: Event) -> None:
        """Buffer an event, if there is room."""
        if self._queue.qsize() < self._bound:
            self._queue.put(event)
        else:
            self.dropped += 1

    def get(self, timeout: float | None = None) -> Event | None:
        """Wait at most `timeout` seconds for the next event; None says that there is none, or that it is closed."""
        try:
            return self._queue.get(timeout=timeout)
        except Empty:
            return None

    def __iter__(self) -> Iterator[Event]:
        while (event := self.get()) is not None:
            yield event

    def close(self) -> None:
        """Listen no longer, and end the iteration."""
        self._log.unsubscribe(self)
        self._queue.put(None)
