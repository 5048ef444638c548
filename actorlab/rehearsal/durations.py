"""Know how long steps take: what earlier runs have taken, what their authors declare, or a guess that says so."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable
from typing import Final, Literal, NamedTuple, Protocol, TypeAlias

__all__ = ["DEFAULT_SECONDS", "Durations", "Estimate", "History", "Known", "NoHistory", "Source", "estimate"]

Source: TypeAlias = Literal["history", "declared", "default", "measured", "known"]
"""From where a duration is: earlier runs, `takes`, a guess, a simulation, or the workflow itself."""

DEFAULT_SECONDS: Final = 1.0
"""What a step is taken to last if nothing is known of it."""
NORMAL: Final = 1.4826
"""The standard deviation of a normal distribution, in its median absolute deviations."""
EDGE: Final = 1.2816
"""Between so many standard deviations below and above the mean lies 80 % of a normal distribution."""
REMEMBERED: Final = 100
"""So many of the latest durations of a step count."""


class Known(NamedTuple):
    """What earlier runs took: `median`, `spread` (a standard deviation, robustly estimated) in s, and how many."""

    median: float
    spread: float
    runs: int


class Durations(Protocol):
    """Know how long a task took on some devices: a `History`, or whoever else remembers finished runs."""

    def known(self, task: str, devices: tuple[str, ...], reference: str = "") -> Known | None:
        """Return what a task took on these devices, in any order; None if it isn't known.

        It is known by its name or, for those who keep that, by the `reference` of its function: "module:name".
        """
        ...


class NoHistory:
    """Know nothing of earlier runs."""

    def known(self, task: str, devices: tuple[str, ...], reference: str = "") -> Known | None:
        """Return None."""
        del task, devices, reference
        return None


class History:
    """The durations that tasks had, by their devices, in memory.

    >>> history = History([("sweep", ("laser", "meter"), 10.0), ("sweep", ("laser", "meter"), 12.0)])
    >>> history.known("sweep", ("laser", "meter")).median
    11.0
    """

    def __init__(self, finished: Iterable[tuple[str, tuple[str, ...], float]] = ()) -> None:
        self._seconds: dict[tuple[str, tuple[str, ...]], list[float]] = {}
        for task, devices, seconds in finished:
            self.add(task, devices, seconds)

    def add(self, task: str, devices: tuple[str, ...], seconds: float) -> None:
        """Remember that a task took so many seconds on these devices.

        Raises:
            ValueError: that is no duration.

        """
        if not (math.isfinite(seconds) and seconds >= 0):
            text = f"{task} can't have taken {seconds!r} s: a duration is 0 or more seconds"
            raise ValueError(text)
        durations = self._seconds.setdefault((task, tuple(sorted(devices))), [])
        durations.append(seconds)
        del durations[:-REMEMBERED]

    def known(self, task: str, devices: tuple[str, ...], reference: str = "") -> Known | None:
        """Return what a task took on these devices; None if it never ran on them."""
        del reference
        durations = self._seconds.get((task, tuple(sorted(devices))))
        if not durations:
            return None
        median = statistics.median(durations)
        deviation = statistics.median([abs(seconds - median) for seconds in durations])
        return Known(median, NORMAL * deviation, len(durations))


class Estimate(NamedTuple):
    """How long a step probably takes (s): eight times out of ten between `low` and `high`; and how that is known.

    With `extremes`, these are the shortest and the longest that it can take.
    """

    seconds: float
    low: float
    high: float
    source: Source
    runs: int = 0
    extremes: bool = False

    @property
    def certain(self) -> bool:
        """Tell whether it has no spread."""
        return self.low == self.high

    @property
    def why(self) -> str:
        """Say from where it is."""
        match self.source:
            case "history":
                return f"median of {self.runs} earlier run{'s' if self.runs > 1 else ''}"
            case "declared":
                return "as its takes= says"
            case "default":
                return "a guess: nothing is known of it"
            case "measured":
                return "as simulated"
            case "known":
                return "as the workflow says"


NO_TIME: Final = Estimate(0.0, 0.0, 0.0, "known")


def estimate(
    task: str,
    devices: tuple[str, ...],
    takes: float | tuple[float, float, float] | None,
    durations: Durations,
    reference: str = "",
) -> Estimate:
    """Estimate how long a task takes on some devices: by its history, else by `takes`, else by a guess."""
    known = durations.known(task, tuple(sorted(devices)), reference)
    if known is not None:
        reach = EDGE * known.spread
        return Estimate(known.median, max(0.0, known.median - reach), known.median + reach, "history", known.runs)
    if takes is None:
        return Estimate(DEFAULT_SECONDS, DEFAULT_SECONDS, DEFAULT_SECONDS, "default")
    if isinstance(takes, tuple):
        low, likely, high = takes
        return Estimate(likely, low, high, "declared", extremes=True)
    return Estimate(takes, takes, takes, "declared")
