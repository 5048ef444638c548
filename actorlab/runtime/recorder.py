"""Keep the flight recorder of a device: its last calls with their durations, and how busy it is."""

from __future__ import annotations

import time
from collections import deque
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from actorlab.driving.travel import SCALARS
from actorlab.errors import text_of

if TYPE_CHECKING:
    from actorlab.driving.member import Member

__all__ = ["CallRecord", "Load", "Recorder"]

monotonic = time.monotonic
KEPT: Final = 64
"""So many calls are kept."""
WINDOW: Final = 1.0
"""Calls per second and the busy fraction are those of at least so many seconds."""
LONGEST: Final = 60
"""An argument is shown in so many characters at most."""
NUMBERS: Final = SCALARS - {str, bytes}
"""What is kept of an argument as it is; a text may be long."""


class CallRecord(NamedTuple):
    """One call that has ended: `time` when it began, `seconds` it took, `error` what it raised or nothing."""

    time: datetime
    call: str
    seconds: float
    error: str

    def __str__(self) -> str:
        failed = f" {self.error}" if self.error else ""
        return f"{self.time:%H:%M:%S.%f} {self.call} {1000 * self.seconds:.3f} ms{failed}"


class Load(NamedTuple):
    """How much a device does: calls per second, and the fraction of the time in which it is at one (0 to 1)."""

    calls_per_second: float
    busy: float


class Mark(NamedTuple):
    """The counts at one moment."""

    at: float
    calls: int
    busy: float


class Recorder:
    """What a device's thread notes of each call, in as few steps as possible; anybody may read it."""

    __slots__ = ("_before", "_mark", "busy", "calls", "recent")

    def __init__(self) -> None:
        self.calls = 0
        self.busy = 0.0
        self.recent: deque[tuple[Member, tuple[Any, ...], float, float, str]] = deque(maxlen=KEPT)
        self._mark = self._before = Mark(monotonic(), 0, 0.0)

    def note(
        self, member: Member, args: tuple[Any, ...], began: float, error: BaseException | None, _call: object = None
    ) -> None:
        """Note a call that has just ended; on the hot path. Only plain numbers and text are kept of its arguments."""
        ended = monotonic()
        self.calls += 1
        self.busy += ended - began
        for arg in args:
            if arg.__class__ not in NUMBERS:
                args = tuple(shown(other) for other in args)
                break
        self.recent.append((member, args, began, ended, "" if error is None else shown_error(error)))
        if ended - self._mark.at > WINDOW:
            self._begin_window(began, ended)

    def _begin_window(self, began: float, ended: float) -> None:
        """Count anew; after a rest, the time before counts no longer than a window."""
        rested = Mark(min(began, ended - WINDOW), self.calls - 1, self.busy - (ended - began))
        self._before = rested if ended - self._mark.at > 2 * WINDOW else self._mark
        self._mark = Mark(ended, self.calls, self.busy)

    def load(self, running: float = 0.0) -> Load:
        """Return the load of the last second or two; a call in progress has taken `running` seconds so far."""
        now = monotonic()
        since = self._before if now - self._mark.at < WINDOW else self._mark
        seconds = max(now - since.at, 1e-9)
        return Load((self.calls - since.calls) / seconds, min(1.0, (self.busy - since.busy + running) / seconds))

    def records(self) -> tuple[CallRecord, ...]:
        """Return the last calls, the oldest first."""
        offset = time.time() - monotonic()
        return tuple(
            CallRecord(datetime.fromtimestamp(began + offset, UTC), call_in_words(member, args), ended - began, error)
            for member, args, began, ended, error in self.recent.copy()
        )

    def told(self, count: int = 8) -> str:
        """Write the last few calls, one a line."""
        return "\n".join(f"  {record}" for record in self.records()[-count:])


class Shown(str):
    """What stands for an argument that isn't kept."""

    __slots__ = ()
    __repr__ = str.__str__


def shown(arg: Any) -> Any:
    """Return what is kept of an argument: numbers and short texts themselves, of others the class or the begin."""
    if arg.__class__ in NUMBERS or arg.__class__ is Shown:
        return arg
    if arg.__class__ in SCALARS:
        return arg if len(arg) <= LONGEST else Shown(f"{arg[:LONGEST]!r}…")
    return Shown(f"<{type(arg).__name__}>")


def shown_error(error: BaseException) -> str:
    """Write an error in one line."""
    return text_of(error).splitlines()[0].removesuffix(": ")


def call_in_words(member: Member, args: tuple[Any, ...]) -> str:
    """Write a call as it would be typed."""
    if member.path and member.path[0][0] == "hook":
        return f"{member.path[0][1]}()"
    texts = [text if len(text := repr(shown(arg))) <= LONGEST else f"{text[:LONGEST]}…" for arg in args]
    if member.name == "__getitem__":
        return f"{member.on()}[{', '.join(texts)}]"
    return f"{member.on()}({', '.join(texts)})"
