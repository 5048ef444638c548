"""Know within how many seconds a run ends once it is stopped: its grace, its clean-ups, its devices' safe states."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from actorlab.runtime.run_actor import RunActor

__all__ = ["seconds_to_end"]


def seconds_to_end(actor: RunActor) -> float:
    """Return the bound of a run's end, counted from when it was stopped; for the deciding thread.

    Bodies have the lab's grace, or what a shield adds to it; the children have their own ends meanwhile. Then come the
    clean-ups and the safe states, one after the other, each within its bound.
    """
    lab = actor.lab
    below = [seconds_to_end(child.supervisor) for child in actor.children if not child.done()]
    cleanups = [work.task.options_.timeout or lab.cancel_grace for work in actor.cleanups]
    safe = [lab.cells[name].config.safe_timeout for name in actor.core.spec.devices if name in lab.cells]
    return max(lab.cancel_grace + actor.extra_grace, *below, 0.0) + sum(cleanups) + sum(safe)
