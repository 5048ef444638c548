"""Say what the steps of a run are: tasks bound to their arguments, with what is known of each before it begins."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from actorlab.core.restart import RestartPolicy
from actorlab.core.run_core import Window

if TYPE_CHECKING:
    from actorlab.choosing import Late
    from actorlab.drawing import Drawing
    from actorlab.options import Options
    from actorlab.task import Task

__all__ = ["NO_WINDOWS", "Work", "retry_policy", "windows_of"]

NEVER: Final = 1e15
"""A period of retries that never ends (seconds): they are counted over the whole run."""
NO_WINDOWS: Final[dict[int, Window]] = {}


class Work(NamedTuple):
    """What one step runs: a task with its arguments, and the devices that it needs."""

    task: Task[..., Any]
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    name: str
    exclusive: tuple[str, ...]
    shared: tuple[str, ...]
    drawing: Drawing | None = None
    inputs: tuple[int, ...] | None = None
    """The steps whose values are its arguments, one for one; None if there are other arguments."""
    late: Late | None = None
    """What draws it when its arguments are known."""


def windows_of(drawing: Drawing) -> dict[int, Window]:
    """Return the steps that must start soon after the end of others."""
    windows: dict[int, Window] = {}
    for step in drawing.steps:
        if step.within is not None:
            others = " and ".join(drawing.steps[other].name for other in step.after)
            text = f"{step.name} ({step.where}) didn't start within {step.within:g} s of the end of {others}"
            windows[step.index] = Window(step.after, step.within, text)
    return windows


def retry_policy(options: Options) -> RestartPolicy:
    """Return when and how often a step is tried again: `retries` counts over the whole run."""
    if options.restart is not None:
        return options.restart if not options.retries else dataclasses.replace(options.restart, limit=options.retries)
    return RestartPolicy(limit=options.retries, period=NEVER)
