"""Add up how far a body is, through phases within phases, each with its share of the whole."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

__all__ = ["Batch", "PhaseProgress", "Told", "weighed"]

NEARLY_ALL = 1.0 - 1e-9


class Told(NamedTuple):
    """What is known of a body's progress: `fraction` is None where it can't be told."""

    fraction: float | None
    message: str


class Phase:
    """One phase under way: its name, its share of the phase around it, and how far it is (0 to 1, None: unknown)."""

    __slots__ = ("finished", "fraction", "name", "share")

    def __init__(self, name: str, share: float) -> None:
        self.name = name
        self.share = share
        self.finished = 0.0
        """The shares of the phases within it that have ended."""
        self.fraction: float | None = None
        """What the body itself has told, since the last phase within it ended."""

    @property
    def done(self) -> float:
        """Return how far it is by its own word and by its finished phases."""
        return max(self.finished, self.fraction or 0.0)


class PhaseProgress:
    """Phases are entered and left as a stack; a phase that has ended counts as done, whatever it told.

    A phase with no weight gets what is left of the phase around it. Nothing ever goes back while phases nest properly.
    """

    __slots__ = ("_message", "_phases")

    def __init__(self) -> None:
        self._phases = [Phase("", 1.0)]
        self._message = ""

    @property
    def nested(self) -> bool:
        """Tell whether any phase was entered yet."""
        return len(self._phases) > 1 or self._phases[0].finished > 0.0

    def enter(self, name: str, weight: float | None) -> None:
        """Enter a phase; its weight is cut to what is left of the one around it."""
        around = self._phases[-1]
        around.finished, around.fraction = around.done, None
        left = 1.0 - around.finished
        self._phases.append(Phase(name, left if weight is None else min(weight, left)))
        self._message = ""

    def leave(self) -> None:
        """Leave the innermost phase: it is done."""
        ended = self._phases.pop()
        around = self._phases[-1]
        around.finished = min(1.0, around.finished + ended.share)
        self._message = ""

    def report(self, done: float, total: float | None, message: str) -> None:
        """Take what the body tells of its innermost phase."""
        self._phases[-1].fraction = None if not total else max(0.0, min(1.0, done / total))
        self._message = message

    def told(self) -> Told:
        """Return how far all of it is, and where."""
        fraction: float | None = 0.0
        share = 1.0
        for phase in self._phases:
            share *= phase.share
            fraction += share * phase.done  # type: ignore[operator]  # a number up to the end
        last = self._phases[-1]
        unknown = last.fraction is None and not last.finished
        if unknown and share > NEARLY_ALL:
            fraction = None
        names = [phase.name for phase in self._phases[1:]]
        return Told(fraction, ": ".join([*names, self._message] if self._message else names))


def weighed(parts: Iterable[tuple[float | None, float]]) -> tuple[float, float]:
    """Return how much is done and how much there is, of parts with a weight and a fraction each.

    Those without a weight count as the others do on average.

    >>> weighed([(2.0, 1.0), (4.0, 0.5), (None, 0.0)])
    (4.0, 9.0)
    """
    listed = list(parts)
    known = [weight for weight, _ in listed if weight is not None]
    usual = sum(known) / len(known) if any(known) else 1.0
    weights = [usual if weight is None else weight for weight, _ in listed]
    total = sum(weights)
    if not total:
        return sum(fraction for _, fraction in listed), float(len(listed))
    return sum(weight * fraction for weight, (_, fraction) in zip(weights, listed, strict=True)), total


class Batch:
    """Count the runs of one busy time: those that have ended count as 1, until a run begins when none is under way."""

    __slots__ = ("ended", "running", "since", "total")

    def __init__(self) -> None:
        self.running: dict[str, None] = {}
        self.total = 0
        self.ended = 0
        self.since = 0.0

    def begin(self, run: str, now: float) -> None:
        """Take note of a run that begins."""
        if not self.running:
            self.total, self.ended, self.since = 0, 0, now
        self.running[run] = None
        self.total += 1

    def end(self, run: str) -> None:
        """Take note of a run that has ended; one that isn't counted doesn't matter."""
        if run in self.running:
            del self.running[run]
            self.ended += 1

    def done(self, fractions: Mapping[str, float | None]) -> float | None:
        """Return how many runs are done, with the parts of those under way; None if nothing is known of them."""
        known = [fraction for run in self.running if (fraction := fractions.get(run)) is not None]
        return None if not (self.ended or known) else self.ended + sum(known)
