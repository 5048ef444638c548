"""Tell what a rehearsal has found: when what would be done, for whom it would wait, and what can't be known."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from actorlab.core.run_state import RunState
from actorlab.core.timeline import Waited
from actorlab.rehearsal.durations import Estimate

if TYPE_CHECKING:
    from rich.console import RenderableType

__all__ = ["Conflict", "DeviceUse", "Entry", "Link", "Rehearsal", "Violation"]


class Entry(NamedTuple):
    """One step, or clean-up, in its place: from `begin` to `end`, in seconds from the submission.

    `run` is the run it belongs to: that of the workflow, or one `depth` runs inside it; `step` its number there,
    negative for a clean-up. `waits` say for what it waited although its values were known.
    """

    run: str
    depth: int
    step: int
    attempt: int
    name: str
    values: tuple[Any, ...]
    devices: tuple[str, ...]
    shared: tuple[str, ...]
    begin: float
    end: float
    estimate: Estimate
    waits: tuple[Waited, ...]
    critical: bool

    @property
    def seconds(self) -> float:
        """How long it takes."""
        return self.end - self.begin

    @property
    def title(self) -> str:
        """How it is shown: its name, with the numbers and texts among its arguments."""
        return f"{self.name}({', '.join(map(str, self.values))})" if self.values else self.name


class Link(NamedTuple):
    """One part of the chain that makes a run as long as it is: a step, or a wait."""

    what: str
    begin: float
    end: float

    @property
    def seconds(self) -> float:
        """How long it takes."""
        return self.end - self.begin


class DeviceUse(NamedTuple):
    """For how many seconds a device is used, by all steps together, and for how many steps wait for it."""

    device: str
    busy: float
    waited: float
    utilisation: float
    """The part of the time from the first step's begin to the end, 0 to 1, in which it is used."""


class Conflict(NamedTuple):
    """A device that a run in progress has, and in how many seconds it probably gives it back; None: who knows."""

    device: str
    by: str
    seconds: float | None


class Violation(NamedTuple):
    """What would be refused: by a step, or by the lab as such."""

    step: str
    why: str


def no_pairs() -> Iterable[tuple[str, str]]:
    """Return no pairs."""
    return ()


@dataclass(frozen=True, kw_only=True)
class Rehearsal:
    """What a run would do, and when; times are seconds from its submission.

    `makespan` is when it has ended, `interval` between which times that is eight times out of ten, by what is known of
    the steps' durations. `begins` is when it has its devices. `state` is how it ends, with its `reason`: not every run
    that is rehearsed succeeds. `critical_path` is the chain of steps and waits that determines the makespan; who wants
    to be faster begins there. `unknown` says what can't be known. Print it, or draw it by `to_svg` or `to_mermaid`.
    """

    name: str
    makespan: float
    interval: tuple[float, float]
    begins: float
    state: RunState
    reason: str
    entries: tuple[Entry, ...]
    critical_path: tuple[Link, ...]
    devices: tuple[DeviceUse, ...]
    conflicts: tuple[Conflict, ...] = ()
    violations: tuple[Violation, ...] = ()
    unknown: tuple[str, ...] = ()
    how: Literal["rehearsed", "simulated", "ran", "planned"] = "rehearsed"
    """By known durations, on simulated devices, or in earnest, as `lab.rehearse.timeline` tells it.

    What is "planned" has been done until `now`, and the rest is rehearsed.
    """
    now: float | None = None
    value: Any = field(default=None, compare=False)
    """What it returned, if it was simulated."""
    pairs: Callable[[], Iterable[tuple[str, str]]] = field(default=no_pairs, repr=False, compare=False)

    def may_overlap(self) -> Iterator[tuple[str, str]]:
        """Yield the pairs of steps that may run at the same time, as they share no value and no device.

        It takes time in proportion to the square of their number.
        """
        yield from self.pairs()

    def find(self, name: str) -> tuple[Entry, ...]:
        """Return the entries of the steps of this name."""
        return tuple(entry for entry in self.entries if entry.name == name)

    def to_dict(self) -> dict[str, Any]:
        """Return all of it as plain data, ready for JSON."""
        return {
            "name": self.name,
            "makespan": self.makespan,
            "interval": list(self.interval),
            "begins": self.begins,
            "state": str(self.state),
            "reason": self.reason,
            "how": self.how,
            "steps": [as_dict(entry) for entry in self.entries],
            "critical_path": [link._asdict() for link in self.critical_path],
            "devices": [use._asdict() for use in self.devices],
            "conflicts": [conflict._asdict() for conflict in self.conflicts],
            "violations": [violation._asdict() for violation in self.violations],
            "unknown": list(self.unknown),
        }

    def to_json(self) -> str:
        """Return all of it as JSON."""
        return json.dumps(self.to_dict(), indent=1, default=str)

    def to_svg(self) -> str:
        """Return a Gantt picture: a bar for each step, and a lane for each device."""
        from actorlab.rehearsal.gantt_svg import gantt_svg  # noqa: PLC0415 - loaded by those who ask for it

        return gantt_svg(self)

    def to_mermaid(self) -> str:
        """Return a Gantt chart for Mermaid."""
        from actorlab.rehearsal.mermaid import gantt_mermaid  # noqa: PLC0415 - as above

        return gantt_mermaid(self)

    def __rich__(self) -> RenderableType:
        from actorlab.rehearsal.text import report  # noqa: PLC0415 - rich takes a while to load

        return report(self)

    def __str__(self) -> str:
        from actorlab.rehearsal.text import in_text  # noqa: PLC0415 - as above

        return in_text(self)


def as_dict(entry: Entry) -> dict[str, Any]:
    """Return an entry as plain data."""
    estimate = entry.estimate
    return {
        "run": entry.run,
        "step": entry.step,
        "name": entry.name,
        "values": list(entry.values),
        "devices": list(entry.devices),
        "shared": list(entry.shared),
        "begin": entry.begin,
        "end": entry.end,
        "source": estimate.source,
        "low": estimate.low,
        "high": estimate.high,
        "waits": [wait._asdict() for wait in entry.waits],
        "critical": entry.critical,
    }
