"""Count what a lab's events and calls tell: how often, how long, how it ended."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from typing import TYPE_CHECKING, Final

from actorlab.core.backlog import GAP, SNAPSHOT
from actorlab.core.run_state import RunState

if TYPE_CHECKING:
    from collections.abc import Sequence

    from actorlab.core.backlog import Event

__all__ = ["KINDS", "OTHERS", "EventTally", "Histogram", "task_of"]

KINDS: Final = ("run", "device", "emergency stop", "journal")
"""The kinds of events that are counted."""
WAITS: Final = (0.001, 0.01, 0.1, 1.0, 10.0, 60.0, 600.0, 3600.0)
NAMES: Final = 200
"""So many names of tasks are told apart; the runs of all others are counted together."""
OTHERS: Final = "(others)"


class Histogram:
    """How many durations (s) were at most as long as each bound, all of them, and their sum."""

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: Sequence[float]) -> None:
        self.bounds: Final = tuple(bounds)
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def add(self, seconds: float) -> None:
        """Count one duration."""
        self.counts[bisect_left(self.bounds, seconds)] += 1
        self.total += seconds

    @property
    def cumulated(self) -> list[tuple[str, float]]:
        """Return for each bound, and for infinity, how many were at most as long."""
        told: list[tuple[str, float]] = []
        count = 0
        for bound, more in zip((*map(str, self.bounds), "+Inf"), self.counts.copy(), strict=True):
            count += more
            told.append((bound, count))
        return told


class EventTally:
    """What the events of a lab add up to; `take` is its only writer."""

    def __init__(self) -> None:
        self.ended: Counter[tuple[str, str]] = Counter()
        """The runs that have ended, by the name of their task and their last state."""
        self.waits: dict[tuple[str, str], Histogram] = {}
        """How long runs have waited for their devices, by the name of their task and whether they were granted."""
        self.quarantines: Counter[str] = Counter()
        self.reconnects: Counter[str] = Counter()
        """How often each device has begun to serve again."""
        self.emergency_stops = 0
        self.journal_troubles = 0
        self.missed = 0
        """So many events were told too fast to be counted."""
        self._names: set[str] = set()
        self._waiting: dict[str, float] = {}
        self._connected: set[str] = set()

    def take(self, event: Event) -> None:
        """Count an event."""
        match event.kind:
            case "run":
                self._run(event)
            case "device":
                self._device(event)
            case "emergency stop":
                self.emergency_stops += 1
            case "journal" if not event.data["well"]:
                self.journal_troubles += 1
            case "gap" | "snapshot":
                self._begin(event)
            case _:
                pass

    def _begin(self, event: Event) -> None:
        """Take note of what has happened before, or meanwhile, and wasn't heard."""
        if event.kind == GAP:
            self.missed += event.data["missed"]
            self._waiting.clear()
        elif event.kind == SNAPSHOT and event.data["of"] == "device" and event.data["state"] == "idle":
            self._connected.add(event.subject)

    def _run(self, event: Event) -> None:
        state = RunState(event.data["state"])
        name = self._name_of(event.subject)
        if state is RunState.WAITING:
            if event.data["devices"]:
                self._waiting[event.subject] = event.time
            return
        since = self._waiting.pop(event.subject, None)
        if since is not None:
            key = name, "refused" if state.terminal else "granted"
            self.waits.setdefault(key, Histogram(WAITS)).add(max(0.0, event.time - since))
        if state.terminal:
            self.ended[name, state.value] += 1

    def _device(self, event: Event) -> None:
        match event.data["state"]:
            case "quarantined":
                self.quarantines[event.subject] += 1
            case "idle" if event.subject in self._connected:
                self.reconnects[event.subject] += 1
            case "idle":
                self._connected.add(event.subject)
            case "closed":  # it is removed, or the lab ends
                self._connected.discard(event.subject)
                del self.quarantines[event.subject], self.reconnects[event.subject]
            case _:
                pass

    def _name_of(self, run_id: str) -> str:
        name = task_of(run_id)
        if name not in self._names:
            if len(self._names) >= NAMES:
                return OTHERS
            self._names.add(name)
        return name


def task_of(run_id: str) -> str:
    """Return the name of a run's task by its id.

    >>> task_of("scan#1/move#4")
    'move'
    """
    return run_id.rpartition("/")[2].rpartition("#")[0]
