"""Say what a run's data are about."""

from __future__ import annotations

import datetime as dt
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from actorlab.runtime.run import Run

__all__ = ["about"]


def about(run: Run[Any]) -> dict[str, Any]:
    """Return the names and values that stand with exported data."""
    from actorlab.data.surroundings import version_of  # noqa: PLC0415 - looking for versions takes long to import

    actor = run.supervisor
    return {
        "run": run.id,
        "name": run.name,
        "state": str(run.state),
        "reason": actor.core.reason or None,
        "began": moment(min(actor.notes.began.values(), default=None)),
        "ended": moment(max(actor.notes.ended.values(), default=None)) if run.done() else None,
        "lab": actor.lab.name,
        "devices": list(run.devices),
        "settings": actor.notes.devices or None,
        "parameters": run.parameters,
        "actorlab": version_of("actorlab"),
    }


def moment(monotonic: float | None) -> str | None:
    """Write a monotonic time as a time of the clock, in UTC."""
    if monotonic is None:
        return None
    at = time.time() - (time.monotonic() - monotonic)
    return dt.datetime.fromtimestamp(at, dt.UTC).isoformat(timespec="milliseconds")
