"""Say what the core of a run must know before it begins."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from actorlab.core.plan import Plan
from actorlab.core.run_core import RunSpec
from actorlab.runtime.work import NO_WINDOWS, retry_policy, windows_of
from actorlab.task import PLAIN_OPTIONS

if TYPE_CHECKING:
    from actorlab.core.restart import RestartPolicy
    from actorlab.runtime.run_actor import RunActor

__all__ = ["ONE", "spec_of"]

ONE: Final = Plan(((),))


def spec_of(actor: RunActor, plan: Plan) -> RunSpec:
    """Say what the core must know. A step that leases for itself sees to its own retries and timeout."""
    options = actor.options
    safe = tuple([cell.name for cell in actor.leased if cell.name not in actor.shared]) if actor.leased else ()
    if plan is ONE and options is PLAIN_OPTIONS and actor.work[0].drawing is None:
        return RunSpec(plan, actor.lab.cancel_grace, devices=safe)
    units: dict[int, None] = {}
    retries: dict[int, RestartPolicy] = {}
    timeouts: dict[int, float] = {}
    asking: dict[int, None] = {}
    late: dict[int, None] = {}
    for step, work in enumerate(actor.work):
        its = work.task.options_
        if its.on_failure == "pause":
            asking[step] = None
        if work.late is not None:
            late[step] = None
        if actor.lease_per_step or work.drawing is not None or work.late is not None:
            units[step] = None
        if actor.lease_per_step and work.drawing is None:
            continue
        if its.retries or its.restart is not None:
            retries[step] = retry_policy(its)
        if its.timeout is not None and actor.drawing is not None:
            timeouts[step] = its.timeout
    return RunSpec(
        plan, actor.lab.cancel_grace, options.timeout, retries, timeouts, units, len(actor.cleanups), safe,
        options.keep_going, NO_WINDOWS if actor.drawing is None else windows_of(actor.drawing), asking,
        late,
    )  # fmt: skip
