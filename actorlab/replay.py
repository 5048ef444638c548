"""Write down what the pure cores of a lab are told, and rebuild them from that, in any process.

What a core was told has a kind and a list of fields. For a run that is the event's name, and its fields. For the others
the name begins with theirs, as in "lease:request", and the random number that came with an event stands last.

As nothing but its events and the time changes a core, whoever tells a new one the same gets the same state.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable
from types import ModuleType
from typing import Any, Final, TypeAlias

from actorlab.core import run_events, service_group, supervision
from actorlab.core.lease_table import LeaseTable, Mode, Request
from actorlab.core.plan import Plan
from actorlab.core.restart import RestartPolicy
from actorlab.core.run_core import RunCore, RunSpec, Window
from actorlab.core.run_state import RunState
from actorlab.core.service_group import ServiceGroupCore
from actorlab.core.supervision import Supervision
from actorlab.encoding import decode, encode
from actorlab.errors import EncodingError

__all__ = [
    "LEASES",
    "RUN_EVENTS",
    "SERVICES",
    "SUPERVISION",
    "Cores",
    "written",
    "written_policy",
    "written_request",
    "written_spec",
]

Tree: TypeAlias = list[Any]
LEASES: Final = "lease"
SUPERVISION: Final = "device"
SERVICES: Final = "service"
PLAIN: Final = frozenset((int, bool, str, type(None)))


def written(event: tuple[Any, ...]) -> Tree:
    """Write an event of a core down; what isn't data is written as text."""
    return [type(event).__name__, *[field if field.__class__ in PLAIN else written_field(field) for field in event]]


def written_field(field: Any) -> Any:
    """Write one field of an event."""
    if isinstance(field, RestartPolicy):
        return written_policy(field)
    try:
        return encode(field)
    except EncodingError:
        return repr(field)


def read(name: str, fields: Tree, kinds: dict[str, Callable[..., Any]]) -> Any:
    """Return the event that was written; an error whose class isn't there is a stand-in that says the same."""
    return kinds[name](*[read_field(field) for field in fields])


def stopped(state: str, *fields: Any) -> run_events.Stopped:
    """Return this event with its state, which is text as JSON has it."""
    return run_events.Stopped(RunState(state), *fields)


def read_field(tree: Any) -> Any:
    """Return the value of one field, which whoever read it may have decoded already."""
    if tree.__class__ is dict and "policy" in tree:
        return read_policy(tree)
    return decode(tree, lenient=True) if tree.__class__ in (dict, list) else tree


def kinds_of(module: ModuleType) -> dict[str, Callable[..., Any]]:
    """Return the named tuples that a module defines, by name."""
    return {name: kind for name, kind in vars(module).items() if isinstance(kind, type) and issubclass(kind, tuple)}


RUN_EVENTS: Final = kinds_of(run_events) | {"Stopped": stopped}
GROUP_EVENTS: Final = kinds_of(service_group)
DEVICE_EVENTS: Final = kinds_of(supervision)


# Settings ---------------------------------------------------------------------------------------------------------


def written_policy(policy: RestartPolicy) -> dict[str, Any]:
    """Write a policy; its exceptions by their names."""
    fields = {name: value for name, value in vars(policy).items() if name != "on"}
    return {"policy": fields, "on": [f"{error.__module__}:{error.__qualname__}" for error in policy.on]}


def read_policy(tree: dict[str, Any]) -> RestartPolicy:
    """Return the policy; an exception that isn't there any more restarts nothing."""
    return RestartPolicy(**tree["policy"], on=tuple([error for name in tree["on"] for error in errors_named(name)]))


def errors_named(name: str) -> Iterable[type[BaseException]]:
    """Yield the exception of this name, if there is one."""
    module, _, path = name.partition(":")
    try:
        found: Any = importlib.import_module(module)
        for part in path.split("."):
            found = getattr(found, part)
    except (ImportError, AttributeError):
        return
    if isinstance(found, type) and issubclass(found, BaseException):
        yield found


def written_spec(spec: RunSpec) -> dict[str, Any]:
    """Write what a run's core knew before it began; what is as usual is left out."""
    usual = RunSpec(spec.plan)._asdict()
    tree = {name: value for name, value in spec._asdict().items() if value != usual[name]}
    tree["plan"] = {"parents": spec.plan.parents, "loose": spec.plan.loose}
    for name in ("units", "asking", "late"):
        if name in tree:
            tree[name] = list(tree[name])
    for name in ("step_timeouts", "passed"):
        if name in tree:
            tree[name] = list(tree[name].items())
    if "retries" in tree:
        tree["retries"] = [(step, written_policy(policy)) for step, policy in spec.retries.items()]
    if "windows" in tree:
        tree["windows"] = [(step, list(window)) for step, window in spec.windows.items()]
    return tree


def read_spec(tree: dict[str, Any]) -> RunSpec:
    """Return the settings that were written."""
    known = dict(tree)
    plan = known.pop("plan")
    known["plan"] = Plan(tuple(map(tuple, plan["parents"])), tuple(map(tuple, plan["loose"])))
    for name in ("units", "asking", "late"):
        if name in known:
            known[name] = dict.fromkeys(known[name])
    if "step_timeouts" in known:
        known["step_timeouts"] = dict(known["step_timeouts"])
    if "devices" in known:
        known["devices"] = tuple(known["devices"])
    known["passed"] = {step: RunState(state) for step, state in known.get("passed", ())}
    known["retries"] = {step: read_policy(policy) for step, policy in known.get("retries", ())}
    known["windows"] = {
        step: Window(tuple(after), seconds, text) for step, (after, seconds, text) in known.get("windows", ())
    }
    return RunSpec(**known)


def written_request(request: Request) -> Tree:
    """Write what a run needs to begin."""
    devices = [(name, mode.name) for name, mode in request.devices]
    return [request.holder, devices, request.slots, request.keys, request.exclusive, request.priority, request.nested]


def read_request(tree: Tree) -> Request:
    """Return the request that was written."""
    holder, devices, slots, keys, exclusive, priority, nested = tree
    wanted = tuple([(name, Mode[mode]) for name, mode in devices])
    return Request(holder, wanted, tuple(slots), tuple(keys), exclusive, priority, nested)


# Rebuilding -------------------------------------------------------------------------------------------------------


class Cores:
    """The pure cores of a lab, as what they were told has left them; tell them all of it in its order by `tell`."""

    def __init__(self) -> None:
        self.runs: dict[str, RunCore] = {}
        self.leases = LeaseTable()
        self.devices = Supervision()
        self.groups: dict[str, ServiceGroupCore] = {}

    def tell(self, run: str, kind: str, payload: Any, now: float) -> list[Any]:
        """Tell the core which was told this, and return what the core of a run does about it.

        What no core was told is passed over.

        Raises:
            KeyError: there is no such core, or it has no such event: what was told isn't complete, or from elsewhere.

        """
        core, _, event = kind.partition(":")
        match core:
            case "drawn":
                self.runs[run] = RunCore(read_spec(payload["spec"]))
            case "lease" if event == "limits":
                self.leases = LeaseTable(payload[0])
            case "lease":
                tell_table(self.leases, event, payload, now)
            case "device" if event:
                *fields, draw = payload
                self.devices.handle(read(event, fields, DEVICE_EVENTS), now, draw)
            case "service" if event == "group":
                key, name, strategy, intensity = payload
                shared = None if intensity is None else read_policy(intensity)
                self.groups[key] = ServiceGroupCore(name, strategy, shared)
            case "service":
                key, *fields, draw = payload
                self.groups[key].handle(read(event, fields, GROUP_EVENTS), now, draw)
            case _ if core in RUN_EVENTS:
                return self.runs[run].handle(read(core, payload, RUN_EVENTS), now)
            case _:
                pass
        return []


def tell_table(table: LeaseTable, event: str, arguments: Tree, now: float) -> None:
    """Tell a lease table what it was told."""
    match event:
        case "request":
            table.request(read_request(arguments[0]), now)
        case "go_on":
            table.go_on(now)
        case "release" | "set_permanent":
            getattr(table, event)(arguments[0], now)
        case "set_ending" | "set_available":
            getattr(table, event)(*arguments, now)
        case other:
            raise KeyError(other)
