"""Say how the devices and the runs of a lab stand, as the deciding thread sees it between two events."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from actorlab.errors import text_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from actorlab.runtime.cell import Cell
    from actorlab.runtime.run import Run

__all__ = ["Standing", "standings"]

STEPS: Final = 1000
"""The steps of a longer workflow aren't listed: ``run.steps`` tells them."""


class Standing(NamedTuple):
    """One thing that stands somehow: its name, what it is ("device", "run", …), and how to see how it stands."""

    subject: str
    of: str
    look: Callable[[], dict[str, Any]]


def standings(cells: Iterable[Cell], runs: Iterable[Run[Any]]) -> Iterator[Standing]:
    """Yield how devices and runs stand; for the deciding thread."""
    for cell in cells:
        yield Standing(cell.name, "device", partial(of_device, cell))
    for run in runs:
        yield Standing(run.id, "run", partial(of_run, run))


def of_device(cell: Cell) -> dict[str, Any]:
    """Return how a device stands: what its events tell, and who has it; no event tells of its single calls."""
    return {
        "state": cell.standing.value,
        "why": cell.why,
        "restarts": cell.restarts,
        "since": cell.since,
        "holder": cell.holder,
        "shared_by": list(cell.shared_by),
        "owes_safe": cell.owes_safe,
    }


def of_run(run: Run[Any]) -> dict[str, Any]:
    """Return how a run stands: what its events tell, its steps and its progress."""
    told: dict[str, Any] = {
        "state": run.state,
        "error": error_in_words(run.reply.exception(0)) if run.done() else None,
        "devices": list(run.devices),
        "children": [child.id for child in run.children],
        "progress": None,
        "steps": None,
    }
    actor = run.supervisor
    if len(actor.work) <= STEPS:
        progress = run.progress
        if progress is not None:
            told["progress"] = {
                "done": progress.done, "total": progress.total, "message": progress.message,
                "seconds_left": progress.seconds_left,
            }  # fmt: skip
        if len(actor.work) > 1:
            told["steps"] = [actor.core.step_state(step) for step in range(len(actor.work))]
    return told


def error_in_words(error: BaseException | None) -> str | None:
    """Write an error as the event of its run's end does."""
    return None if error is None else text_of(error)
