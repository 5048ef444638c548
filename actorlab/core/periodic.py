"""Decide when a periodic method runs: on a grid that never drifts, never twice at once, after errors as agreed."""

from __future__ import annotations

import enum
import math
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias, assert_never

from actorlab.core.restart import GiveUp, Leave, Restart, RestartLimiter

if TYPE_CHECKING:
    from actorlab.core.restart import RestartPolicy

__all__ = [
    "Action", "BeatEnded", "BeatPassed", "Event", "Fire", "GaveUp", "LifeOver", "PeriodicState", "Schedule", "Start",
    "Stop", "Tick", "WakeAt",
]  # fmt: skip


class PeriodicState(enum.StrEnum):
    """How a periodic method stands."""

    STOPPED = "stopped"
    """It hasn't been started, or somebody has stopped it."""
    RUNNING = "running"
    WAITING = "waiting"
    """It has failed, and goes on when its delay is over."""
    GAVE_UP = "gave up"
    """It has failed more often than its policy allows."""
    ENDED = "ended"
    """Its device has ended, or is being restarted."""


# -- events


class Start(NamedTuple):
    """Begin, now; what runs already isn't disturbed."""


class Stop(NamedTuple):
    """Begin no further beat; one that runs goes on to its end."""


class Tick(NamedTuple):
    """Look at the clock: the time that was asked for has come."""


class BeatEnded(NamedTuple):
    """The beat in hand has ended, well or with an error; `draw` is a random number from 0 to 1."""

    error: BaseException | None = None
    draw: float = 0.0


class BeatPassed(NamedTuple):
    """The beat in hand didn't take place, as the device accepts no commands now."""


class LifeOver(NamedTuple):
    """The device has ended, and with it whatever beat was in hand."""


Event: TypeAlias = Start | Stop | Tick | BeatEnded | BeatPassed | LifeOver


# -- actions


class Fire(NamedTuple):
    """Run the method once, and tell when it has ended."""


class WakeAt(NamedTuple):
    """Send a `Tick` at this time, in place of any that was asked for before."""

    at: float


class GaveUp(NamedTuple):
    """It won't go on by itself; with `stop_lab` that is the lab's business."""

    reason: str
    stop_lab: bool


Action: TypeAlias = Fire | WakeAt | GaveUp


class Schedule:
    """When one periodic method runs.

    Beat number k is due at ``start + k * seconds``, the first one at the start. A beat that is due while another one is
    in hand, while the method waits after an error or while the device accepts no commands is skipped: since the start
    each due time was either run or is counted in `skipped`, at the latest when the beat in hand has ended.
    """

    def __init__(self, seconds: float, policy: RestartPolicy) -> None:
        self.seconds: Final = seconds
        self.policy: Final = policy
        self.state = PeriodicState.STOPPED
        self.runs = 0
        self.skipped = 0
        self.last_error: BaseException | None = None
        self.in_hand = False
        self._limiter = RestartLimiter(policy)
        self._origin = 0.0
        self._number = 0
        """The next beat."""

    @property
    def next(self) -> float | None:
        """When the next beat is due; None if there is none."""
        return self._due(self._number) if self.state in GOING else None

    def handle(self, event: Event, now: float) -> tuple[Action, ...]:
        """Take note of an event, and return what to do."""
        match event:
            case Start():
                return self._start(now)
            case Stop():
                self.state = PeriodicState.STOPPED
            case Tick():
                return self._tick(now)
            case BeatEnded(error, draw):
                self.runs += 1
                return self._ended(error, draw, now)
            case BeatPassed():
                self.skipped += 1
                return self._ended(None, 0.0, now)
            case LifeOver():
                self.in_hand = False
                self.state = PeriodicState.ENDED
            case _:
                assert_never(event)
        return ()

    def _start(self, now: float) -> tuple[Action, ...]:
        if self.state is PeriodicState.RUNNING:
            return ()
        self.state = PeriodicState.RUNNING
        self._limiter.reset()
        self._origin, self._number = now, 0
        return self._tick(now)

    def _tick(self, now: float) -> tuple[Action, ...]:
        """Run the beat that is due, the newest one if several are."""
        if self.state not in GOING or self.in_hand:
            return ()
        if now < self._due(self._number):
            return (WakeAt(self._due(self._number)),)
        self.state = PeriodicState.RUNNING
        self._skip_to(self._first_after(now) - 1)
        self._number += 1
        self.in_hand = True
        return (Fire(),)

    def _ended(self, error: BaseException | None, draw: float, now: float) -> tuple[Action, ...]:
        self.in_hand = False
        if error is not None:
            self.last_error = error
        if self.state not in GOING:
            return ()
        resume = now
        if error is not None:
            match self._limiter.ended(now, error, draw):
                case Restart(at, _):
                    self.state, resume = PeriodicState.WAITING, at
                case GiveUp(reason) | Leave(reason):
                    self.state = PeriodicState.GAVE_UP
                    return (GaveUp(reason, self.policy.then == "stop_lab"),)
        self._skip_to(self._first_from(resume))
        return (WakeAt(self._due(self._number)),)

    def _skip_to(self, number: int) -> None:
        if number > self._number:
            self.skipped += number - self._number
            self._number = number

    # -- the grid

    def _due(self, number: int) -> float:
        return self._origin + number * self.seconds

    def _first_from(self, now: float) -> int:
        """Return the first beat that is due now or later; the division may be off by a rounding."""
        number = max(0, math.floor((now - self._origin) / self.seconds) - 1)
        while self._due(number) < now:
            number += 1
        return number

    def _first_after(self, now: float) -> int:
        number = self._first_from(now)
        return number + 1 if self._due(number) <= now else number


GOING: Final = (PeriodicState.RUNNING, PeriodicState.WAITING)
