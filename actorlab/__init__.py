"""Orchestrate laboratory instruments: actors own them, tasks borrow them, workflows overlap what shares nothing."""

from typing import TYPE_CHECKING as _TYPE_CHECKING
from typing import Any as _Any

from actorlab import dispatch
from actorlab.choosing import choose, each
from actorlab.core.overflow import MailboxPolicy
from actorlab.core.restart import RestartPolicy
from actorlab.core.run_state import RunState
from actorlab.device import Device, DeviceConfig, query
from actorlab.errors import (
    ActorLabError,
    AskDeadlock,
    CallTimeout,
    Cancelled,
    ConfigError,
    DeviceBusy,
    DeviceFault,
    DeviceQuarantined,
    DeviceUnavailable,
    LeaseLost,
    LeaseTimeout,
    MailboxFull,
    NotAllowed,
    NotLeased,
    NotReached,
    RunCancelled,
    RunTimeout,
    ServerUnavailable,
    WorkerDied,
    WorkflowError,
)
from actorlab.periodic import periodic
from actorlab.quantities import Range, ReadBack, Unit
from actorlab.runtime.ambient import (
    ask,
    ask_operator,
    checkpoint,
    current_run,
    emit,
    exchange,
    log,
    parameter,
    perform,
    phase,
    progress,
    record,
    shield,
    sleep,
    spawn,
    track,
)
from actorlab.runtime.interlocks import Interlock
from actorlab.runtime.lab import Lab
from actorlab.runtime.run import Run
from actorlab.runtime.service import Service, ServiceGroup, ServiceState
from actorlab.runtime.waiting import wait
from actorlab.streams import Item, Pushed, Stream, stream
from actorlab.task import Shared, cleanup, task, workflow

if _TYPE_CHECKING:
    from actorlab.client import Client, ensure_server

__all__ = [
    "ActorLabError",
    "AskDeadlock",
    "CallTimeout",
    "Cancelled",
    "Client",
    "ConfigError",
    "Device",
    "DeviceBusy",
    "DeviceConfig",
    "DeviceFault",
    "DeviceQuarantined",
    "DeviceUnavailable",
    "Interlock",
    "Item",
    "Lab",
    "LeaseLost",
    "LeaseTimeout",
    "MailboxFull",
    "MailboxPolicy",
    "NotAllowed",
    "NotLeased",
    "NotReached",
    "Pushed",
    "Range",
    "ReadBack",
    "RestartPolicy",
    "Run",
    "RunCancelled",
    "RunState",
    "RunTimeout",
    "ServerUnavailable",
    "Service",
    "ServiceGroup",
    "ServiceState",
    "Shared",
    "Stream",
    "Unit",
    "WorkerDied",
    "WorkflowError",
    "ask",
    "ask_operator",
    "checkpoint",
    "choose",
    "cleanup",
    "current_run",
    "dispatch",
    "each",
    "emit",
    "ensure_server",
    "exchange",
    "log",
    "parameter",
    "perform",
    "periodic",
    "phase",
    "progress",
    "query",
    "record",
    "shield",
    "sleep",
    "spawn",
    "stream",
    "task",
    "track",
    "wait",
    "workflow",
]


def __getattr__(name: str) -> _Any:
    """Load what comes with an extra when it is asked for."""
    if name in {"Client", "ensure_server"}:
        from actorlab import client  # noqa: PLC0415 - it is for those who use a lab elsewhere

        return getattr(client, name)
    message = f"module 'actorlab' has no attribute {name!r}"
    raise AttributeError(message)
