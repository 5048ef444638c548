"""Offer a lab's devices: how they stand, what can be asked of them, and asking it."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, Path, Response
from pydantic import BaseModel, ConfigDict, Field

from actorlab.errors import ActorLabError, ConfigError, DeviceBusy, EncodingError
from actorlab.server.desk import Asker, Desk
from actorlab.server.refusing import LabRoute, Refused, of_driver
from actorlab.server.telling import answer, given, plain, value_told

if TYPE_CHECKING:
    from collections.abc import Callable

    from actorlab.runtime.lab import Lab
    from actorlab.runtime.status import DeviceStatus
    from actorlab.server.tokens import Who

__all__ = ["device_routes"]

Name = Annotated[str, Path(description="The name of a device.")]
Member = Annotated[str, Path(description="The name of a method or attribute, as the description lists it.")]


class CallBody(BaseModel):
    """The arguments of a call: JSON, or what `actorlab.encoding` makes of other data."""

    model_config = ConfigDict(extra="forbid")
    args: list[Any] = Field(default_factory=list)
    kwargs: dict[str, Any] = Field(default_factory=dict)


class WriteBody(BaseModel):
    """The value that an attribute is to have."""

    model_config = ConfigDict(extra="forbid")
    value: Any


def device_routes(desk: Desk) -> APIRouter:
    """Return the routes for devices."""
    routes = APIRouter(route_class=LabRoute, tags=["devices"])
    lab = desk.lab
    viewer, operator = desk.needs("viewer"), desk.needs("operator")

    @routes.get("/devices", dependencies=[viewer])
    async def statuses(who: Asker) -> Response:
        """Tell how all devices stand; none is asked."""
        found = await desk.look(lab.status)
        return answer({name: status_told(status, who) for name, status in found.items()})

    @routes.get("/devices/{name}", dependencies=[viewer])
    async def status(name: Name, who: Asker) -> Response:
        """Tell how a device stands; it isn't asked."""
        check_device(lab, name)
        return answer(status_told(await desk.look(lab.status, name), who))

    @routes.get("/devices/{name}/description", dependencies=[viewer])
    async def description(name: Name) -> Response:
        """Tell what can be asked of a device, with JSON Schemas; it isn't asked."""
        check_device(lab, name)
        return answer(plain(await desk.look(lab.describe, name)))

    @routes.post("/devices/{name}/call/{member}", dependencies=[operator])
    async def call(name: Name, member: Member, body: CallBody) -> Response:
        """Call a method of a device, and answer with what it returns."""
        await desk.look(check_member, lab, name, member, "method")
        return answer(await desk.call(called, lab, name, member, body))

    @routes.get("/devices/{name}/attributes/{member}", dependencies=[operator])
    async def read(name: Name, member: Member) -> Response:
        """Read an attribute of a device."""
        await desk.look(check_member, lab, name, member, "attribute")
        return answer(await desk.call(read_from, lab, name, member))

    @routes.put("/devices/{name}/attributes/{member}", dependencies=[operator], status_code=204)
    async def write(name: Name, member: Member, body: WriteBody) -> Response:
        """Set an attribute of a device."""
        await desk.look(check_member, lab, name, member, "attribute")
        await desk.call(written_to, lab, name, member, body.value)
        return Response(status_code=204)

    @routes.post("/devices/{name}/reset", status_code=204, dependencies=[operator])
    async def reset(name: Name, who: Asker) -> Response:
        """Start a quarantined device afresh, and answer when it has connected."""
        check_device(lab, name)
        lab.logger.info("a device is reset", device=name, by=who.name)
        await desk.call(lab.reset, name)
        return Response(status_code=204)

    return routes


def status_told(status: DeviceStatus, who: Who) -> dict[str, Any]:
    """Tell how a device stands; an admin also sees tracebacks."""
    told: dict[str, Any] = plain(status)
    if not who.may("admin"):
        told["last_traceback"] = ""
        told["abandoned"] = [{**lost, "stack": ""} for lost in told["abandoned"]]
    return told


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


def called(lab: Lab, name: str, member: str, body: CallBody) -> Any:
    """Call a method, and write down what it returns."""
    args: list[Any] = given(body.args)
    kwargs: dict[str, Any] = given(body.kwargs)
    device = lab.device(name)
    bound = getattr(device, member)
    check_arguments(lab, name, member, bound, args, kwargs)
    return told(lab, name, member, lambda: bound(*args, **kwargs))


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


def read_from(lab: Lab, name: str, member: str) -> Any:
    """Read an attribute, and write it down."""
    return told(lab, name, member, lambda: getattr(lab.device(name), member))


def written_to(lab: Lab, name: str, member: str, tree: Any) -> None:
    """Set an attribute."""
    value = given(tree)
    told(lab, name, member, lambda: setattr(lab.device(name), member, value))


def told(lab: Lab, name: str, member: str, use: Callable[[], Any]) -> dict[str, Any]:
    """Use a device, and write down what comes of it; its own errors are told as its own."""
    try:
        value = use()
    except DeviceBusy as error:
        status = lab.status(name)
        conflict = {"device": name, "holder": status.holder, "queue": list(status.queue)}
        raise Refused(409, error, f"device {name}", conflicts=[conflict]) from error
    except ActorLabError as error:
        raise of_driver(error, name) from error
    except Exception as error:  # a driver's own, whatever that is
        raise of_driver(error, name) from error
    try:
        return {"result": value_told(value, f"{name}.{member}")}
    except EncodingError as error:
        error.add_note("the call was carried out; only its answer can't be told")
        raise Refused(502, error, f"device {name}") from error
