"""Offer the verbs by which runs are steered: cancel, pause, revoke their lease, set parameters."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastapi import APIRouter, Response

from actorlab.server.desk import Asker, Desk
from actorlab.server.error_answers import says
from actorlab.server.refusing import LabRoute
from actorlab.server.run_answers import Begun, ReasonBody, SetBody
from actorlab.server.run_routes import Id
from actorlab.server.run_telling import begun, found
from actorlab.server.telling import answer, given

if TYPE_CHECKING:
    from actorlab.server.tokens import Who

__all__ = ["reason_of", "steering_routes"]


def steering_routes(desk: Desk) -> APIRouter:
    """Return the routes by which runs are steered."""
    routes = APIRouter(route_class=LabRoute, tags=["runs"])
    lab = desk.lab
    operator = desk.needs("operator")
    asked_for = says(Begun, 404, status=202)

    @routes.post("/runs/{run_id:path}/cancel", status_code=202, dependencies=[operator], responses=asked_for)
    async def cancel(run_id: Id, who: Asker, body: ReasonBody | None = None) -> Response:
        """Ask for the end of a run; its result tells when the work has stopped."""
        run = await desk.look(found, lab, run_id)
        run.cancel(reason_of(body, who, "cancelled"))
        return answer(begun(run), 202)

    @routes.post("/runs/{run_id:path}/pause", status_code=202, dependencies=[operator], responses=asked_for)
    async def pause(run_id: Id, who: Asker, body: ReasonBody | None = None) -> Response:
        """Let a run stand still at its next checkpoint; it keeps its devices."""
        run = await desk.look(found, lab, run_id)
        run.pause(reason_of(body, who, "paused"))
        return answer(begun(run), 202)

    @routes.post("/runs/{run_id:path}/revoke", status_code=202, dependencies=[operator], responses=asked_for)
    async def revoke(run_id: Id, who: Asker, body: ReasonBody | None = None) -> Response:
        """Take a run's lease away: it is fenced, its devices are made safe, and only then somebody else gets them."""
        run = await desk.look(found, lab, run_id)
        await desk.look(lab.revoke, run_id, reason_of(body, who, "revoked"))
        return answer(begun(run), 202)

    @routes.put("/runs/{run_id:path}/parameters", status_code=204, dependencies=[operator], responses=says(None, 404))
    async def set_parameters(run_id: Id, body: SetBody) -> Response:
        """Set parameters of a run while it goes on."""
        values = given(body.parameters)
        await desk.look(lambda: found(lab, run_id).set(**values))
        return Response(status_code=204)

    return routes


def reason_of(body: ReasonBody | None, who: Who, what: str) -> str:
    """Say why something is done: the asker's word, and who that is."""
    said = body.reason if body is not None else ""
    return f"{said} ({who.name})" if said else f"{what} by {who.name}"
