"""Orchestrate laboratory instruments: actors own them, tasks borrow them, workflows overlap what shares nothing."""

from importlib import import_module as _import_module
from typing import TYPE_CHECKING as _TYPE_CHECKING
from typing import Any as _Any
from typing import Final as _Final

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
from actorlab.streams import Item, Pushed, Stream, stream
from actorlab.task import Shared, cleanup, task, workflow

if _TYPE_CHECKING:
    from actorlab.client import Client, ensure_server
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


_LATER: _Final = {
    "actorlab.client": (
        "Client",
        "ensure_server",
    ),
    "actorlab.runtime.ambient": (
        "ask",
        "ask_operator",
        "checkpoint",
        "current_run",
        "emit",
        "exchange",
        "log",
        "parameter",
        "perform",
        "phase",
        "progress",
        "record",
        "shield",
        "sleep",
        "spawn",
        "track",
    ),
    "actorlab.runtime.interlocks": ("Interlock",),
    "actorlab.runtime.lab": ("Lab",),
    "actorlab.runtime.run": ("Run",),
    "actorlab.runtime.service": (
        "Service",
        "ServiceGroup",
        "ServiceState",
    ),
    "actorlab.runtime.waiting": ("wait",),
}
"""What is loaded when it is asked for: a lab with all that it needs, and what comes with an extra. No name of these is
that of a module of this package, as the module would take its place."""


def __getattr__(name: str) -> _Any:
    """Load what is asked for the first time: who only writes tasks, or reads a journal, needs no lab."""
    for place, names in _LATER.items():
        if name in names:
            found = globals()[name] = getattr(_import_module(place), name)
            return found
    message = f"module 'actorlab' has no attribute {name!r}"
    raise AttributeError(message)


def __dir__() -> list[str]:
    """List everything that there is, loaded or not."""
    return sorted({*globals(), *__all__})
