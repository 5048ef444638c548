"""Say how a device stands: from what its threads have left to be read, without waiting for any of them."""

from __future__ import annotations

import time
import traceback
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from actorlab.runtime.recorder import CallRecord, Load, call_in_words, shown_error

if TYPE_CHECKING:
    from actorlab.periodic import PeriodicStatus
    from actorlab.runtime.cell import Cell, DeviceState
    from actorlab.runtime.device_actor import DeviceActor

__all__ = ["Abandoned", "DeviceStatus", "status_of"]

monotonic = time.monotonic


@dataclass(frozen=True, slots=True)
class Abandoned:
    """A thread of a device that was given up and lives on: it can do nothing more through the framework."""

    thread: str
    stack: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceStatus:
    """How a device stands; times are in seconds, points in time in UTC.

    `code` is SECoP's. `in_progress` names the call in hand, and since how many seconds; `busy` is the fraction (0 to 1)
    of the last second or two in which it was at a call. `retry_in` is when it is started again, if it waits for that.
    `vetoes` say why commands are refused, by interlocks or an emergency stop.
    `periodics` are its periodic methods, by name. `recent` is the flight recorder: the last calls, the oldest first.
    """

    name: str
    state: DeviceState
    code: int
    since: datetime
    why: str
    holder: str
    queue: tuple[str, ...]
    waiting_calls: int
    in_progress: str
    calls: int
    calls_per_second: float
    busy: float
    restarts: int
    retry_in: float | None
    last_error: str
    last_traceback: str
    owes_safe: bool
    vetoes: tuple[str, ...]
    isolation: str
    pid: int | None
    abandoned: tuple[Abandoned, ...]
    recent: tuple[CallRecord, ...]
    periodics: dict[str, PeriodicStatus]


def status_of(cell: Cell) -> DeviceStatus:
    """Return how a device stands; from any thread, without waiting."""
    actor = cell.actor
    in_progress, running = progress_of(actor)
    load: Load = cell.recorder.load(running)
    error = cell.fault
    retry_at = cell.retry_at
    state = cell.state
    return DeviceStatus(
        name=cell.name,
        state=state,
        code=state.code,
        since=datetime.fromtimestamp(cell.since, UTC),
        why=cell.why,
        holder=cell.holder,
        queue=cell.lab_actor.leases.queue_for(cell.name),
        waiting_calls=0 if cell.mailbox.closed else cell.mailbox.waiting,
        in_progress=in_progress,
        calls=cell.recorder.calls,
        calls_per_second=load.calls_per_second,
        busy=load.busy,
        restarts=cell.restarts,
        retry_in=None if retry_at is None else max(0.0, retry_at - monotonic()),
        last_error="" if error is None else shown_error(error),
        last_traceback="" if error is None else "".join(traceback.format_exception(error)),
        owes_safe=cell.owes_safe,
        vetoes=tuple(cell.vetoes.values()),
        isolation=cell.config.isolation,
        pid=actor.pid if actor is not None else None,
        abandoned=tuple(Abandoned(lost.name, lost.where()) for lost in cell.abandoned if not lost.down.done()),
        recent=cell.recorder.records(),
        periodics=cell.periodics.statuses(),
    )


def progress_of(actor: DeviceActor | None) -> tuple[str, float]:
    """Return the outermost call in progress in words, and for how many seconds it has run; it may end meanwhile."""
    stack = list(actor.stack) if actor is not None else []
    if not stack:
        return "", 0.0
    call = stack[0]
    seconds = max(0.0, monotonic() - call.began)
    return f"{call_in_words(call.member, call.args)} for {seconds:.1f} s", seconds
