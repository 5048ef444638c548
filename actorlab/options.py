"""Say how a task is run: how often it is tried again, for how long it may run, what it holds meanwhile."""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterator
from dataclasses import dataclass, field, fields, replace
from datetime import datetime
from typing import Any, Final, Literal, TypeAlias, TypedDict, get_args

from actorlab.core.lease_span import LeaseSpan
from actorlab.core.restart import RestartPolicy
from actorlab.core.resumption import OnResume
from actorlab.errors import ConfigError

__all__ = [
    "LeaseSpan", "OnConflict", "OnFailure", "OptionChanges", "Options", "Takes", "When", "Worker", "seconds_until",
]  # fmt: skip

OnFailure: TypeAlias = Literal["fail", "pause"]
OnConflict: TypeAlias = Literal["queue", "reject", "replace"]
Worker: TypeAlias = Literal["thread", "process"]
When: TypeAlias = float | datetime
"""Seconds from the submission of a run, or a point in time; one without a time zone is local time."""
Takes: TypeAlias = float | tuple[float, float, float]
"""For how long a task probably runs: its seconds, or the least, the likely and the most."""
TAKES: Final = ("least", "likely", "most")


class OptionChanges(TypedDict, total=False):
    """What ``@task(…)`` and ``.options(…)`` take, for the type checkers."""

    retries: int
    restart: RestartPolicy | None
    timeout: float | None
    lease_timeout: float | None
    priority: float
    key: str | None
    on_conflict: OnConflict
    not_before: When | None
    deadline: When | None
    lease: LeaseSpan
    exclusive: bool
    tags: tuple[str, ...]
    after: Any
    within: float | None
    name: str | None
    idempotent: bool
    on_resume: OnResume | None
    keep_going: bool
    on_failure: OnFailure
    category: str | None
    takes: Takes | None
    worker: Worker
    hidden: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class Options:
    """How a task is run; all times are in seconds.

    `retries` says how often it may begin again after a failure, `restart` when and how fast. `timeout` bounds a run,
    `lease_timeout` the wait for its devices, `priority` (larger is more urgent) ranks that wait. Runs with the same
    `key` follow one another; an `exclusive` one runs alone in its lab. What a run does that can't have its lease at
    once says `on_conflict`: it queues, is rejected with the names of all who are in its way, or replaces those with the
    same key: they are cancelled, and it begins when they have ended. A run doesn't begin `not_before` a time, and is
    stopped at its `deadline`: seconds from its submission, or a `datetime`; paused or not.

    With ``lease="step"`` each step leases its devices for itself; with ``lease=("oven",)`` the run holds the devices of
    these names throughout, and its steps lease the others: such as were added to the lab later. `after` is what earlier
    steps of the same workflow returned: this one comes after them, and starts `within` some seconds of their end.
    `keep_going` finishes what doesn't depend on a failed step. With ``on_failure="pause"`` a failure, after its
    retries, pauses the run and asks an operator: mend things, then retry, skip, or abort. A `category` sorts tasks that
    are discovered. `takes` says how long it probably runs, for rehearsals: seconds, or ``(least, likely, most)``.

    `on_resume` says what becomes of a step that was under way when its run was interrupted: "redo", "skip", "ask" or
    "abort"; "redo" also does one again that had finished, if what is left shares its devices. Unless it is given, one
    that is `idempotent` or has retries is done again, and any other is asked about.

    With ``worker="process"`` the body runs in one of the lab's worker processes, which are warm and run one body at a
    time: for what would keep the interpreter busy, or might crash it.

    A `hidden` run is background work: it is left out of the lab's progress and of the tree on the terminal.

    Raises `ConfigError` naming the option and what it takes.
    """

    retries: int = 0
    restart: RestartPolicy | None = None
    timeout: float | None = None
    lease_timeout: float | None = None
    priority: float = 0.0
    key: str | None = None
    on_conflict: OnConflict = "queue"
    not_before: When | None = None
    deadline: When | None = None
    lease: LeaseSpan = "run"
    exclusive: bool = False
    tags: tuple[str, ...] = ()
    after: Any = field(default=(), compare=False)  # unknown values can't be compared
    within: float | None = None
    name: str | None = None
    idempotent: bool = False
    on_resume: OnResume | None = None
    keep_going: bool = False
    on_failure: OnFailure = "fail"
    category: str | None = None
    takes: Takes | None = None
    worker: Worker = "thread"
    hidden: bool = False

    def __post_init__(self) -> None:
        if type(self.after) is not tuple:
            object.__setattr__(self, "after", () if self.after is None else (self.after,))
        for wrong, wanted in _mistakes(self):
            message = f"option {wrong}={getattr(self, wrong)!r}: it takes {wanted}"
            raise ConfigError(message)

    def changed(self, changes: OptionChanges) -> Options:
        """Return these options with some of them changed."""
        known = [item.name for item in fields(self)]
        for name in changes:
            if name not in known:
                close = difflib.get_close_matches(name, known, 1)
                hint = f"did you mean {close[0]!r}?" if close else f"there are {', '.join(known)}"
                message = f"a task has no option {name!r}; {hint}"
                raise ConfigError(message)
        return replace(self, **changes)


def _mistakes(options: Options) -> Iterator[tuple[str, str]]:
    """Yield the options that are wrong, with what each takes."""
    if type(options.retries) is not int or options.retries < 0:
        yield "retries", "a whole number, 0 or more"
    if options.restart is not None and not isinstance(options.restart, RestartPolicy):
        yield "restart", "a RestartPolicy"
    for name in ("timeout", "lease_timeout", "within"):
        seconds = getattr(options, name)
        if seconds is not None and not (_is_number(seconds) and seconds > 0):
            yield name, "seconds, more than 0, or None"
    if not _is_number(options.priority) or not math.isfinite(options.priority):
        yield "priority", "a finite number; a larger one is more urgent"
    if options.lease not in ("run", "step") and not _are_names(options.lease):
        yield "lease", '"run", "step", or the names of the devices that are held throughout, such as ("oven",)'
    if options.worker not in get_args(Worker):
        yield "worker", '"thread" or "process"'
    if options.takes is not None and not _is_duration(options.takes):
        yield "takes", "seconds, 0 or more, or (least, likely, most), or None"
    yield from _mistakes_of_conflicts(options)
    yield from _mistakes_of_text(options)


def _mistakes_of_conflicts(options: Options) -> Iterator[tuple[str, str]]:
    if options.on_failure not in get_args(OnFailure):
        yield "on_failure", '"fail" or "pause"'
    if options.on_resume is not None and options.on_resume not in get_args(OnResume):
        yield "on_resume", '"redo", "skip", "ask" or "abort", or None'
    if options.on_conflict not in get_args(OnConflict):
        yield "on_conflict", '"queue", "reject" or "replace"'
    elif options.on_conflict == "replace" and options.key is None:
        yield "on_conflict", "'replace' only together with a key: it replaces the runs with the same key"
    for name in ("not_before", "deadline"):
        when = getattr(options, name)
        if when is not None and not (isinstance(when, datetime) or (_is_number(when) and when > 0)):
            yield name, "seconds from the submission, more than 0, or a datetime, or None"


def _mistakes_of_text(options: Options) -> Iterator[tuple[str, str]]:
    for name in ("key", "name", "category"):
        text = getattr(options, name)
        if text is not None and not (isinstance(text, str) and text):
            yield name, "some text, or None"
    if type(options.tags) is not tuple or not all(isinstance(tag, str) for tag in options.tags):
        yield "tags", 'a tuple of texts, such as ("night", "calibration")'
    for name in ("exclusive", "idempotent", "keep_going", "hidden"):
        if type(getattr(options, name)) is not bool:
            yield name, "True or False"


def seconds_until(when: When) -> float:
    """Return how many seconds are left until then; 0 if it has passed."""
    if isinstance(when, datetime):
        return max(0.0, (when - datetime.now(when.tzinfo)).total_seconds())
    return when


def _is_duration(takes: Any) -> bool:
    """Tell whether something says how long a task runs."""
    several: Any = takes if isinstance(takes, tuple) else (takes, takes, takes)  # pyright: ignore[reportUnknownVariableType]  looked at below
    if len(several) != len(TAKES) or not all(_is_number(seconds) and math.isfinite(seconds) for seconds in several):
        return False
    return bool(0 <= several[0] <= several[1] <= several[2])


def _are_names(span: LeaseSpan) -> bool:
    return type(span) is tuple and bool(span) and all(type(name) is str and name for name in span)


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
