"""Start tasks by their names, and tell at once who is in the way of one that may not wait."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from actorlab.core.run_state import RunState
from actorlab.errors import ConfigError, LeaseTimeout
from actorlab.server.client_leases import within
from actorlab.server.conflicts import conflicts_over
from actorlab.server.refusing import Refused
from actorlab.server.telling import given

if TYPE_CHECKING:
    from actorlab.runtime.lab import Lab
    from actorlab.runtime.run import Run
    from actorlab.server.client_leases import ClientLease
    from actorlab.server.run_answers import StartBody

__all__ = ["check_task", "started"]

TURNS: Final = 20
"""A run that may not wait for its devices is refused within so many turns of the deciding thread."""


def check_task(lab: Lab, name: str) -> None:
    """Refuse a task that isn't known, saying which are."""
    if name not in lab.tasks:
        message = f"the lab knows no task {name!r}; it knows {', '.join(lab.tasks) or 'none'}"
        raise Refused(404, ConfigError(message))


def started(lab: Lab, body: StartBody, lease: ClientLease | None = None) -> Run[Any]:
    """Start a task, and tell at once if it may not wait for its devices and would have to."""
    check_task(lab, body.task)
    args: list[Any] = given(body.args)
    parameters: dict[str, Any] = given(body.parameters)
    with within(lease):
        run = lab.start(body.task, *args, **parameters)
    if run.supervisor.options.on_conflict != "reject":
        return run
    for _ in range(TURNS):
        if run.state is not RunState.WAITING or run.done():
            break
        lab.ask(lambda: None)  # what was posted before has been decided by then
    error = run.reply.exception(0) if run.done() else None
    if isinstance(error, LeaseTimeout):
        run.observed = True
        raise Refused(409, error, f"run {run.id}", conflicts=conflicts_over(lab, run.devices, but=run.id))
    return run
