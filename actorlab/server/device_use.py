"""Call a device's methods, read and set its attributes: for those who ask by HTTP."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

from actorlab.errors import ActorLabError, ConfigError, DeviceBusy, EncodingError
from actorlab.server.client_leases import within
from actorlab.server.conflicts import conflicts_over
from actorlab.server.refusing import Refused, of_driver
from actorlab.server.telling import given, value_told

if TYPE_CHECKING:
    from collections.abc import Callable

    from actorlab.runtime.lab import Lab
    from actorlab.server.client_leases import ClientLease
    from actorlab.server.device_answers import CallBody

__all__ = ["called", "check_device", "check_member", "read_from", "written_to"]


def check_device(lab: Lab, name: str) -> None:
    """Refuse a device that isn't there, saying which are."""
    if name not in lab.cells:
        message = f"the lab has no device {name!r}; it has {', '.join(lab.cells) or 'none'}"
        raise Refused(404, ConfigError(message))


def check_member(lab: Lab, name: str, member: str, kind: str) -> None:
    """Refuse what the device doesn't offer, or the driver keeps to itself, saying what there is."""
    check_device(lab, name)
    members = lab.describe(name)["members"]
    if member not in members or members[member]["kind"] != kind:
        there = ", ".join(other for other, told in members.items() if told["kind"] == kind) or "none"
        message = f"{name} has no {kind} {member!r}; it has {there}"
        raise Refused(404, ConfigError(message), f"device {name}")


def called(lab: Lab, name: str, member: str, body: CallBody, lease: ClientLease | None) -> Any:
    """Call a method, and write down what it returns."""
    args: list[Any] = given(body.args)
    kwargs: dict[str, Any] = given(body.kwargs)
    device = lab.device(name)
    bound = getattr(device, member)
    check_arguments(lab, name, member, bound, args, kwargs)
    return told(lab, name, member, lease, lambda: bound(*args, **kwargs))


def check_arguments(lab: Lab, name: str, member: str, bound: Any, args: list[Any], kwargs: dict[str, Any]) -> None:
    """Refuse arguments that the method doesn't take, before anything is sent."""
    static = inspect.getattr_static(lab.cells[name].cls, member, None)
    try:
        if inspect.isfunction(static):
            inspect.signature(static).bind(device_itself, *args, **kwargs)
        check: Callable[..., Any] | None = getattr(bound, "check", None)
        if check is not None:
            check(tuple(args), kwargs)
    except (TypeError, ValueError) as error:
        raise Refused(422, error, f"device {name}", fields={f"{name}.{member}": str(error)}) from error


device_itself = object()  # stands for `self` where arguments are bound to a function of the class


def read_from(lab: Lab, name: str, member: str, lease: ClientLease | None) -> Any:
    """Read an attribute, and write it down."""
    return told(lab, name, member, lease, lambda: getattr(lab.device(name), member))


def written_to(lab: Lab, name: str, member: str, tree: Any, lease: ClientLease | None) -> None:
    """Set an attribute."""
    value = given(tree)
    told(lab, name, member, lease, lambda: setattr(lab.device(name), member, value))


def told(lab: Lab, name: str, member: str, lease: ClientLease | None, use: Callable[[], Any]) -> dict[str, Any]:
    """Use a device, and write down what comes of it; its own errors are told as its own."""
    try:
        with within(lease):
            value = use()
    except DeviceBusy as error:
        raise Refused(409, error, f"device {name}", conflicts=conflicts_over(lab, [name])) from error
    except ActorLabError as error:
        raise of_driver(error, name) from error
    except Exception as error:  # a driver's own, whatever that is
        raise of_driver(error, name) from error
    try:
        return {"result": value_told(value, f"{name}.{member}")}
    except EncodingError as error:
        error.add_note("the call was carried out; only its answer can't be told")
        raise Refused(502, error, f"device {name}") from error
