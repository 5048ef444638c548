"""Offer what changes the life of a device: connect, disconnect, restart, reset, its last error."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, Query, Response
from pydantic import BaseModel

from actorlab.errors import ActorLabError, DeviceBusy, NotAllowed
from actorlab.server.conflicts import conflicts_over
from actorlab.server.desk import Asker, Desk
from actorlab.server.device_routes import Name
from actorlab.server.error_answers import ErrorAnswer, says
from actorlab.server.offered import check_device
from actorlab.server.refusing import LabRoute, Refused, of_driver
from actorlab.server.run_answers import ReasonBody
from actorlab.server.run_steering import reason_of
from actorlab.server.telling import answer, failure

if TYPE_CHECKING:
    from collections.abc import Callable

    from actorlab.runtime.lab import Lab
    from actorlab.server.tokens import Who

__all__ = ["LastError", "life_routes", "lived"]

Force = Annotated[bool, Query(description="For an admin, who answers for it: also if that is in somebody's way.")]


class LastError(BaseModel):
    """The last error of a device, or null."""

    error: ErrorAnswer | None


def life_routes(desk: Desk) -> APIRouter:
    """Return the routes for the lives of devices."""
    routes = APIRouter(route_class=LabRoute, tags=["devices"])
    lab = desk.lab
    viewer, operator = desk.needs("viewer"), desk.needs("operator")
    changed: dict[str, Any] = {"status_code": 204, "dependencies": [operator], "responses": says(None, 404, 409, 504)}

    @routes.post("/devices/{name}/connect", **changed)
    async def connect(name: Name) -> Response:
        """Connect a device that was disconnected, and answer when it serves; one that serves stays so."""
        await desk.call(lived, lab, name, lab.connect)
        return Response(status_code=204)

    @routes.post("/devices/{name}/disconnect", **changed)
    async def disconnect(name: Name, who: Asker, body: ReasonBody | None = None) -> Response:
        """Make a device that nobody holds safe, and disconnect it; it stays known, and so until it is connected."""
        await desk.call(lived, lab, name, lab.disconnect, reason_of(body, who, "disconnected"))
        return Response(status_code=204)

    @routes.post("/devices/{name}/restart", **changed)
    async def restart(name: Name, who: Asker, *, force: Force = False) -> Response:
        """End a device's present life, begin a new one, and answer when it serves; not one that somebody holds."""
        await desk.call(restarted, lab, name, who, force)
        return Response(status_code=204)

    @routes.post("/devices/{name}/reset", **changed)
    async def reset(name: Name, who: Asker, *, force: Force = False) -> Response:
        """Start a quarantined device afresh, and answer when it has connected; one that serves forgets its error."""
        check_force(who, force=force)
        lab.logger.info("a device is reset", device=name, by=who.name, force=force)
        await desk.call(lived, lab, name, partial(lab.reset, force=force))
        return Response(status_code=204)

    @routes.get("/devices/{name}/error", dependencies=[viewer], responses=says(LastError, 404))
    async def last_error(name: Name, who: Asker) -> Response:
        """Tell the last error of a device, also if it serves again."""
        check_device(lab, name)
        error = lab.cells[name].fault
        return answer({"error": error and failure(error, f"device {name}", traces=who.may("admin"))})

    @routes.delete("/devices/{name}/error", **changed)
    async def clear_error(name: Name) -> Response:
        """Forget the last error of a device that serves."""
        await desk.call(lived, lab, name, partial(cleared, lab))
        return Response(status_code=204)

    return routes


def check_force(who: Who, *, force: bool) -> None:
    """Refuse what only an admin may insist on."""
    if force and not who.may("admin"):
        message = f"{who.name} is {who.role}, and force needs admin"
        raise Refused(403, NotAllowed(message))


def lived(lab: Lab, name: str, verb: Callable[..., Any], *args: Any) -> None:
    """Change the life of a device; if somebody who holds it is in the way, say who."""
    check_device(lab, name)
    try:
        verb(name, *args)
    except ActorLabError as error:
        if conflicts := conflicts_over(lab, [name]):
            raise Refused(409, error, f"device {name}", conflicts=conflicts) from error
        raise of_driver(error, name) from error


def restarted(lab: Lab, name: str, who: Who, force: bool) -> None:  # noqa: FBT001 - one call, above
    """Restart a device that nobody holds, or for somebody who insists."""
    check_force(who, force=force)
    check_device(lab, name)
    conflicts = conflicts_over(lab, [name])
    if conflicts and not force:
        holders = " and ".join(str(conflict["holder"]) for conflict in conflicts)
        message = f"{name} is held by {holders}, which would lose what was set on it: wait for the end, or cancel it"
        raise Refused(409, DeviceBusy(message), f"device {name}", conflicts=conflicts)
    lab.logger.info("a device is restarted", device=name, by=who.name)
    lived(lab, name, lab.restart)


def cleared(lab: Lab, name: str) -> None:
    """Forget the last error of a device that serves. Raise `ActorLabError` if it doesn't: it is why."""
    state = lab.status(name).state
    if state not in ("idle", "busy"):
        message = f"{name} is {state}, and its error says why: /devices/{name}/reset starts a quarantined one afresh"
        raise ActorLabError(message)
    lab.reset(name)
