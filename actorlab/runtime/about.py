"""Say what a run's data are about."""

from __future__ import annotations

from importlib.metadata import version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from actorlab.runtime.run import Run

__all__ = ["about"]


def about(run: Run[Any]) -> dict[str, Any]:
    """Return the names and values that stand with exported data."""
    actor = run.supervisor
    return {
        "run": run.id,
        "name": run.name,
        "state": str(run.state),
        "reason": actor.core.reason or None,
        "lab": actor.lab.name,
        "devices": list(run.devices),
        "parameters": run.parameters,
        "actorlab": version("actorlab"),
    }
