"""Offer what changes the life of a device: resetting it."""

from __future__ import annotations

from fastapi import APIRouter, Response

from actorlab.server.desk import Asker, Desk
from actorlab.server.device_routes import Name
from actorlab.server.device_use import check_device
from actorlab.server.error_answers import says
from actorlab.server.refusing import LabRoute

__all__ = ["life_routes"]


def life_routes(desk: Desk) -> APIRouter:
    """Return the routes for the lives of devices."""
    routes = APIRouter(route_class=LabRoute, tags=["devices"])
    lab = desk.lab
    operator = desk.needs("operator")

    @routes.post("/devices/{name}/reset", status_code=204, dependencies=[operator], responses=says(None, 404, 504))
    async def reset(name: Name, who: Asker) -> Response:
        """Start a quarantined device afresh, and answer when it has connected."""
        check_device(lab, name)
        lab.logger.info("a device is reset", device=name, by=who.name)
        await desk.call(lab.reset, name)
        return Response(status_code=204)

    return routes
