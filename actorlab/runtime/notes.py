"""Note what those who look at a run want to know, and tell it: progress, steps, and why it doesn't simply run."""

from __future__ import annotations

import time
from collections import deque
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from actorlab.core.progress import weighed
from actorlab.core.run_state import RunState
from actorlab.errors import repr_of
from actorlab.runtime.bounds import seconds_to_end
from actorlab.runtime.reason import Reason

if TYPE_CHECKING:
    from actorlab.core.backlog import Event
    from actorlab.options import When
    from actorlab.runtime.parameters import Parameters
    from actorlab.runtime.questions import Question
    from actorlab.runtime.records import Records
    from actorlab.runtime.run_actor import RunActor
    from actorlab.runtime.work import Work

__all__ = ["Notes", "Progress", "progress_of", "reasons_of"]

S = RunState
monotonic = time.monotonic


class Progress(NamedTuple):
    """How far a body is: `done` of `total` (None: not known), and since when (monotonic seconds)."""

    done: float
    total: float | None
    message: str
    since: float
    at: float

    @property
    def fraction(self) -> float | None:
        """Return the part that is done, 0 to 1, or None if the total isn't known."""
        return None if not self.total else min(1.0, self.done / self.total)

    @property
    def seconds_left(self) -> float | None:
        """Estimate the time left from the pace so far, or None."""
        fraction = self.fraction
        elapsed = self.at - self.since
        return None if not fraction or elapsed <= 0 else elapsed * (1 - fraction) / fraction


UNASKED: Final[dict[str, Any]] = {}  # nobody writes to it: most runs ask their devices nothing


class Notes:
    """What a run's supervisor notes of its steps, by their numbers; times are monotonic seconds."""

    __slots__ = (
        "began",
        "devices",
        "ended",
        "failed_stopping",
        "log",
        "parameters",
        "progress",
        "questions",
        "records",
        "retry_waits",
        "since",
        "stopped",
        "telling",
        "tellings",
        "told",
        "waits_for",
        "waits_until",
    )  # fmt: skip

    def __init__(self, waits_until: When | None) -> None:
        self.progress: dict[int, Progress] = {}
        self.since = 0.0
        """When the run got its lease."""
        self.began: dict[int, float] = {}
        self.ended: dict[int, float] = {}
        self.retry_waits: dict[int, str] = {}
        """The devices that a step which is to be tried again waits for."""
        self.failed_stopping: tuple[tuple[str, Exception], ...] = ()
        """What bodies raised of their own as they were stopped, in a ``finally`` for example, by their names."""
        self.waits_until = waits_until
        self.devices = UNASKED
        """What its devices said of themselves before it began."""
        self.waits_for = ""
        """What it waits for before it asks for its lease."""
        self.told: dict[int, Progress] = {}
        """The progress that the lab's events have told."""
        self.stopped = 0.0
        """When it began to end."""
        self.tellings = 0
        """So many events and lines its bodies have told."""
        self.telling = False
        """It is about to be told again."""
        self.parameters: Parameters | None = None
        self.records: Records | None = None
        self.log: deque[Event] | None = None
        """The newest lines that its bodies have logged, as events; made with the first one."""
        self.questions: tuple[Question, ...] = ()
        """What was asked about steps that failed."""


def progress_of(actor: RunActor) -> Progress | None:
    """Return how far a run is; None if that isn't known."""
    if len(actor.work) == 1:
        return step_progress(actor, 0)
    core = actor.core
    running = [(step, fraction_of(step_progress(actor, step))) for step in core.active]
    if any(work.task.options_.takes is not None for work in actor.work):
        parts = dict(running)
        weights = [
            (weight_of(work), parts.get(step, float(core.step_state(step).terminal)))
            for step, work in enumerate(actor.work)
        ]
        done, total = weighed(weights)
    else:
        done, total = core.over + sum(fraction for _, fraction in running), float(len(actor.work))
    message = f"{core.over} of {len(actor.work)} steps"
    return Progress(total if core.state is S.SUCCEEDED else done, total, message, actor.notes.since, monotonic())


def step_progress(actor: RunActor, step: int) -> Progress | None:
    """Return how far a step is, by its own word or that of its run."""
    unit = actor.units.get(step)
    return actor.notes.progress.get(step) if unit is None else progress_of(unit.supervisor)


def fraction_of(progress: Progress | None) -> float:
    """Return the part that is done; what isn't known counts as nothing."""
    return 0.0 if progress is None else progress.fraction or 0.0


def weight_of(work: Work) -> float | None:
    """Return how many seconds a step is said to take."""
    takes = work.task.options_.takes
    return takes[1] if isinstance(takes, tuple) else takes


def reasons_of(actor: RunActor) -> tuple[Reason, ...]:
    """Say why a run doesn't simply run; for the deciding thread."""
    core = actor.core
    match core.state:
        case S.WAITING:
            return (*waiting_reasons(actor), *pause_to_come(actor))
        case S.RETRYING:
            return retry_reasons(actor)
        case S.PAUSING | S.PAUSED:
            return (Reason(f"{actor.id} is {core.state}: {core.pause_reason}", "paused", actor.id),)
        case S.RUNNING:
            units = [unit for unit in actor.units.values() if not unit.done()]
            waits = [Reason(body.waits_for, "worker", actor.id) for body in actor.bodies.values() if body.waits_for]
            return (*waits, *(reason for unit in units for reason in reasons_of(unit.supervisor)))
        case S.CANCELLING:
            left = max(0.0, actor.notes.stopped + seconds_to_end(actor) - monotonic())
            text = f"{actor.id} is {core.state}: {core.reason or 'it ends'}; it has ended within {left:.1f} s"
            return (Reason(text, "cancelling", actor.id),)
        case _:
            return (Reason(f"{actor.id} is {core.state}: {core.reason}", "ended", actor.id),) if core.reason else ()


def pause_to_come(actor: RunActor) -> tuple[Reason, ...]:
    """Say that a run which waits will begin paused."""
    if not actor.core.pause_reason:
        return ()
    text = f"{actor.id} will stand still when it has its devices: {actor.core.pause_reason}"
    return (Reason(text, "paused", actor.id),)


def waiting_reasons(actor: RunActor) -> tuple[Reason, ...]:
    """Say why a run hasn't begun."""
    if actor.notes.waits_for:
        return (Reason(f"{actor.id} waits for {actor.notes.waits_for}", "operator", actor.id),)
    if actor.notes.waits_until is not None:
        return (Reason(f"{actor.id} doesn't begin before {actor.notes.waits_until}", "not_before", actor.id),)
    if actor.borrows and actor.parent is not None:
        reasons = actor.parent.loan_reasons(actor)
        if reasons or not actor.leased:
            return reasons
    return actor.lab.lab_actor.leases.reasons(actor.id)


def retry_reasons(actor: RunActor) -> tuple[Reason, ...]:
    """Say why a run is to be tried again, and for what it waits until then."""
    last = repr_of(actor.core.errors[-1][1]) if actor.core.errors else "a failure"
    devices = actor.notes.retry_waits.get(0, "")
    wait = f", when its delay is over and {devices} serve{'s' if ',' not in devices else ''}" if devices else ""
    return (Reason(f"{actor.id} will be tried again{wait}, after {last}", "retry", actor.id, devices),)
