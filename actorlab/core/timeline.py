"""Keep what was done when, and behind what: the schedule that came about, and the chain that made it so long."""

from __future__ import annotations

from typing import Final, Literal, NamedTuple, TypeAlias

__all__ = ["ALMOST", "Activity", "ActivityKind", "Timeline", "Waited"]

ActivityKind: TypeAlias = Literal["lease", "step", "cleanup", "end"]
"""The wait for a run's lease, the body of a step, a clean-up, the end of a run."""

ALMOST: Final = 1e-9
"""Seconds by which times that are the same may differ, as they were added up in another order."""


class Waited(NamedTuple):
    """For what something waited, who had it, and for how many seconds."""

    what: str
    by: str
    seconds: float


class Activity:
    """Something with a beginning and an end (s), which began `behind` the ends of others, by their numbers.

    `delay` is what it waited longer than for them: until a time, or for a delay between two attempts. It lasts at least
    `until` others end: a lease is granted when those are released that stand in its way. In the order of `rank`, each
    comes after all that it had to wait for.
    """

    __slots__ = (
        "attempt", "begin", "behind", "delay", "end", "kind", "number", "rank", "run", "step", "until", "waits",
    )  # fmt: skip

    def __init__(self, number: int, kind: ActivityKind, run: str, step: int, attempt: int, begin: float) -> None:
        self.number = number
        self.rank = number
        self.kind: ActivityKind = kind
        self.run = run
        self.step = step
        self.attempt = attempt
        self.begin = begin
        self.end = begin
        self.behind: tuple[int, ...] = ()
        self.until: tuple[int, ...] = ()
        self.delay = 0.0
        self.waits: tuple[Waited, ...] = ()

    @property
    def seconds(self) -> float:
        """How long it took."""
        return self.end - self.begin


class Timeline:
    """The activities in the order in which they began."""

    def __init__(self) -> None:
        self.activities: list[Activity] = []
        self._rank = 0

    def begin(
        self, kind: ActivityKind, run: str, step: int, behind: tuple[int, ...], now: float, *, attempt: int = 1
    ) -> Activity:
        """Note that something begins now, behind others that have ended."""
        activity = Activity(len(self.activities), kind, run, step, attempt, now)
        self.activities.append(activity)
        self._rank += 1
        activity.rank = self._rank
        activity.behind = behind
        ended = max([self.activities[other].end for other in behind], default=0.0)
        activity.delay = now - ended if now - ended > ALMOST else 0.0
        return activity

    def granted(self, activity: Activity, until: tuple[int, ...], now: float) -> None:
        """Note that a wait for a lease ends now, since others have ended."""
        self._rank += 1
        activity.rank, activity.until, activity.end = self._rank, until, now

    def chain(self, last: int) -> list[Activity]:
        """Return the activities, first to last, each of which began when the one before it ended, up to this one."""
        chain = [self.activities[last]]
        while (earlier := self._decisive(chain[-1])) is not None:
            chain.append(earlier)
        return chain[::-1]

    def _decisive(self, activity: Activity) -> Activity | None:
        """Return the last to end of those that it had to wait for."""
        others = [self.activities[other] for other in activity.behind + activity.until]
        return max(others, key=lambda other: (other.end, other.number), default=None)
