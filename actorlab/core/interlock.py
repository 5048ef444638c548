"""Decide whether an interlock has tripped: by its samples, and by the time since the last good one began."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple, TypeAlias, assert_never

from actorlab.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Action", "Clear", "Event", "InterlockCore", "Sampled", "Tick", "Trip", "Unreadable", "WakeAt"]


# What happens ---------------------------------------------------------------------------------------------------------


class Sampled(NamedTuple):
    """The condition was read: true or false, or a margin, which is well above 0 and not well at NaN."""

    began: float
    """When the reading began, which is no earlier than what it says."""
    value: float
    """`True`, `False` or a margin."""


class Unreadable(NamedTuple):
    """The condition was asked, and couldn't be read."""

    why: str


class Tick(NamedTuple):
    """A time that was asked for by `WakeAt` has come; one at the beginning starts the count."""


Event: TypeAlias = Sampled | Unreadable | Tick


# What is to be done ---------------------------------------------------------------------------------------------------


class Trip(NamedTuple):
    """It has tripped: act."""

    why: str


class Clear(NamedTuple):
    """It is well again: undo what can be undone."""


class WakeAt(NamedTuple):
    """Send `Tick` at this time; one too many does no harm."""

    at: float


Action: TypeAlias = Trip | Clear | WakeAt


class InterlockCore:
    """The state of one interlock; `handle` is its only writer.

    It trips when it is read as not well, when the first attempt to read it fails, and when `period` + `grace` seconds
    have passed since the last good reading began. It clears when it is read in time as true, or with a margin of more
    than `hysteresis`. Times are in seconds; `now` never goes back.

    Raises `ConfigError` if the numbers make no sense.

    >>> core = InterlockCore(period=1, grace=1, hysteresis=0)
    >>> core.handle(Sampled(began=0, value=True), now=0.1)
    [WakeAt(at=2)]
    >>> core.handle(Tick(), now=2)
    [Trip(why="it couldn't be read within 2 s")]
    >>> core.handle(Sampled(began=2.5, value=True), now=2.6)
    [Clear(), WakeAt(at=4.5)]
    """

    __slots__ = ("_read", "_since", "_unread", "_wake", "hysteresis", "limit", "period", "tripped")

    def __init__(self, period: float, grace: float, hysteresis: float) -> None:
        for reason in nonsense(period, grace, hysteresis):
            message = f"an interlock with {reason}"
            raise ConfigError(message)
        self.period = period
        self.limit = period + grace
        """So many seconds after a good reading began, the next one has to be there."""
        self.hysteresis = hysteresis
        self.tripped = False
        self._read = False
        """Whether it could ever be read."""
        self._since = math.inf
        """When the last good reading began, or the count; infinite: nothing has happened yet."""
        self._unread = ""
        """Why it couldn't be read since then."""
        self._wake = False
        """Whether a `Tick` is on its way."""

    @property
    def clears(self) -> str:
        """Say what clears it, once it has tripped."""
        if self.hysteresis > 0:
            return f"it clears when its margin is more than {self.hysteresis:g}"
        return "it clears when its condition is well again"

    def handle(self, event: Event, now: float) -> list[Action]:
        """Take one event and return the actions that follow from it, in order; readings come as they began.

        Longer than ten lines, since it is the table of all events.
        """
        out: list[Action] = []
        self._since = min(self._since, now)
        match event:
            case Sampled(began, value):
                self._expire(now, out)
                self._sampled(min(began, now), value, now, out)
            case Unreadable(why):
                self._unread = why
                self._expire(now, out)
                if not self._read:
                    self._trip(f"it can't be read: {why}", out)
            case Tick():
                self._wake = False
                self._expire(now, out)
            case _:
                assert_never(event)
        if not (self.tripped or self._wake):
            self._wake = True
            out.append(WakeAt(self._since + self.limit))
        return out

    def _sampled(self, began: float, value: float, now: float, out: list[Action]) -> None:
        self._read = True
        if not value > 0:
            self._trip(not_well(value), out)
        elif began + self.limit <= now:  # too old to tell how it is
            self._unread = f"a reading took {now - began:.3g} s"
            self._trip(f"it couldn't be read in time: {self._unread}", out)
        elif not self.tripped or value is True or value > self.hysteresis:
            self._good(began, out)

    def _good(self, began: float, out: list[Action]) -> None:
        self._since, self._unread = began, ""
        if self.tripped:
            self.tripped = False
            out.append(Clear())

    def _expire(self, now: float, out: list[Action]) -> None:
        if now >= self._since + self.limit:
            cause = f": {self._unread}" if self._unread else ""
            self._trip(f"it couldn't be read within {self.limit:g} s{cause}", out)

    def _trip(self, why: str, out: list[Action]) -> None:
        if not self.tripped:
            self.tripped = True
            out.append(Trip(why))


def not_well(value: float) -> str:
    """Say what is wrong with a reading."""
    if isinstance(value, bool):
        return "its condition is false"
    return "its margin is not a number (NaN)" if math.isnan(value) else f"its margin is {value:g}, and not above 0"


def nonsense(period: float, grace: float, hysteresis: float) -> Iterator[str]:
    """Yield what is wrong with the numbers; the conditions are written so that NaN meets none of them."""
    if not 0 < period < math.inf:
        yield f"period={period!r}: it is sampled every so many seconds, more than 0"
    if not 0 < grace < math.inf:
        yield f"grace={grace!r}: a sample needs some time to be taken, so it has to be more than 0 seconds"
    if not 0 <= hysteresis < math.inf:
        yield f"hysteresis={hysteresis!r}: it says how far above 0 the margin has to come back, so it is 0 or more"
