"""Offer a lab's devices: how they stand, what can be asked of them, and asking it."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, Path, Response

from actorlab.server.client_leases import LeaseKey
from actorlab.server.desk import Asker, Desk
from actorlab.server.device_answers import CallBody, DescriptionAnswer, DeviceAnswer, ValueAnswer, WriteBody
from actorlab.server.device_use import answer_of, read_from, written_to
from actorlab.server.error_answers import says
from actorlab.server.offered import check_device
from actorlab.server.plain_calls import plain_calls
from actorlab.server.refusing import LabRoute
from actorlab.server.telling import answer, plain

if TYPE_CHECKING:
    from actorlab.runtime.status import DeviceStatus
    from actorlab.server.tokens import Who

__all__ = ["Name", "device_routes"]

Name = Annotated[str, Path(description="The name of a device.")]
Member = Annotated[str, Path(description="The name of a method or attribute, as the description lists it.")]


def device_routes(desk: Desk) -> APIRouter:
    """Return the routes for devices."""
    routes = APIRouter(route_class=LabRoute, tags=["devices"])
    lab = desk.lab
    viewer, operator = desk.needs("viewer"), desk.needs("operator")
    used, failing = (says(what, 404, 409, 502, 504) for what in (ValueAnswer, None))

    @routes.get("/devices", dependencies=[viewer], responses=says(dict[str, DeviceAnswer]))
    async def statuses(who: Asker) -> Response:
        """Tell how all devices stand; none is asked."""
        found = await desk.look(lab.status)
        return answer({name: status_told(status, who) for name, status in found.items()})

    @routes.get("/devices/{name}", dependencies=[viewer], responses=says(DeviceAnswer, 404))
    async def status(name: Name, who: Asker) -> Response:
        """Tell how a device stands; it isn't asked."""
        check_device(lab, name)
        return answer(status_told(await desk.look(lab.status, name), who))

    @routes.get("/devices/{name}/description", dependencies=[viewer], responses=says(DescriptionAnswer, 404))
    async def description(name: Name) -> Response:
        """Tell what can be asked of a device, with JSON Schemas; it isn't asked."""
        check_device(lab, name)
        return answer(plain(await desk.look(lab.describe, name)))

    @routes.post("/devices/{name}/call/{member}", dependencies=[operator], responses=used)
    async def call(name: Name, member: Member, body: CallBody, who: Asker, key: LeaseKey = None) -> Response:
        """Call a method of a device, and answer with what it returns."""
        await desk.offers(name, member, "method")
        return answer(await answer_of(desk, name, member, body, desk.leases.used(key, who)))

    call.plainly = plain_calls(desk)  # type: ignore[attr-defined]  # `LabRoute` looks for it

    @routes.get("/devices/{name}/attributes/{member}", dependencies=[operator], responses=used)
    async def read(name: Name, member: Member, who: Asker, key: LeaseKey = None) -> Response:
        """Read an attribute of a device."""
        await desk.offers(name, member, "attribute")
        return answer(await desk.call(read_from, lab, name, member, desk.leases.used(key, who)))

    @routes.put("/devices/{name}/attributes/{member}", dependencies=[operator], status_code=204, responses=failing)
    async def write(name: Name, member: Member, body: WriteBody, who: Asker, key: LeaseKey = None) -> Response:
        """Set an attribute of a device."""
        await desk.offers(name, member, "attribute")
        await desk.call(written_to, desk, name, member, body.value, desk.leases.used(key, who))
        return Response(status_code=204)

    return routes


def status_told(status: DeviceStatus, who: Who) -> dict[str, Any]:
    """Tell how a device stands; an admin also sees tracebacks."""
    told: dict[str, Any] = plain({field.name: getattr(status, field.name) for field in fields(status)})
    told["recent"] = [plain(call._asdict()) for call in status.recent]
    told["periodics"] = {name: plain(periodic._asdict()) for name, periodic in status.periodics.items()}
    if not who.may("admin"):
        told["last_traceback"] = ""
        told["abandoned"] = [{**lost, "stack": ""} for lost in told["abandoned"]]
    return told
