"""Keep what one observer hasn't read yet: bounded, the newest survive, and a gap says where events are missing."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import Any, Final, NamedTuple

__all__ = ["GAP", "SNAPSHOT", "Backlog", "Event"]

GAP: Final = "gap"
"""The kind of the event which says that some are missing here."""
SNAPSHOT: Final = "snapshot"
"""The kind of the events which say how things stood when one began to listen."""
PASSING: Final = frozenset({"progress"})
"""Kinds whose older events say nothing any more once a newer one of the same subject is there."""


class Event(NamedTuple):
    """One thing that happened: `time` is seconds since 1970, `subject` a run, a step ("run/step"), a device or the lab.

    A snapshot's events carry the number of the last change that is in them, a gap's the number of the last one missing.
    """

    sequence: int
    time: float
    subject: str
    kind: str
    data: dict[str, Any]


class Backlog:
    """The events which one observer hasn't read, oldest first, in the order of their numbers.

    The newest `bound` always survive, and never are more than twice as many kept. When they get too many, a progress
    that a newer one of its subject has made stale goes first; then the oldest go, and a gap stands in their place.

    `put` has one caller at a time, and `take` and `shrink` have one together; `put` may run beside `take`.
    """

    __slots__ = ("_events", "_gap", "_limit", "_snapshot", "bound", "missed")

    def __init__(self, bound: int) -> None:
        self.bound = bound
        self.missed = 0
        """How many events were dropped, without the stale progress."""
        self._limit = 2 * bound
        self._events: deque[Event] = deque()
        self._gap: Event | None = None
        self._snapshot: deque[Event] = deque()

    def begin(self, snapshot: Iterable[Event]) -> None:
        """Put a snapshot before everything else; it isn't counted."""
        self._snapshot = deque(snapshot)

    def put(self, event: Event) -> bool:
        """Add an event, and tell whether there are too many now: then `shrink`."""
        self._events.append(event)
        return len(self._events) > self._limit

    def shrink(self) -> None:
        """Throw out what is stale, then the oldest, until `bound` are left."""
        kept = without_stale(list(self._events))
        dropped = kept[: -self.bound]
        if dropped:
            self.missed += len(dropped)
            self._gap = gap(self._gap, dropped)
        self._events = deque(kept[-self.bound :])

    def take(self) -> Event | None:
        """Remove and return what comes next: from the snapshot, the gap, or the oldest event; None: all is read."""
        if self._snapshot:
            return self._snapshot.popleft()
        if self._gap is not None:
            found, self._gap = self._gap, None
            return found
        return self._events.popleft() if self._events else None

    def __len__(self) -> int:
        return len(self._snapshot) + (self._gap is not None) + len(self._events)


def without_stale(events: list[Event]) -> list[Event]:
    """Return the events without those which a newer one of the same subject has made stale."""
    newest = {source(event): event.sequence for event in events if event.kind in PASSING}
    if not newest:
        return events
    return [event for event in events if event.kind not in PASSING or newest[source(event)] == event.sequence]


def source(event: Event) -> tuple[str, str, Any]:
    """Return what an event tells of; steps of the same name differ by their index."""
    return event.kind, event.subject, event.data.get("index")


def gap(before: Event | None, dropped: list[Event]) -> Event:
    """Return the event for a gap of some events, which follow on an unread gap before them or on none."""
    first, missed = dropped[0].sequence, len(dropped)
    if before is not None:
        first, missed = before.data["first"], before.data["missed"] + missed
    last = dropped[-1]
    return Event(last.sequence, last.time, "lab", GAP, {"missed": missed, "first": first, "last": last.sequence})
