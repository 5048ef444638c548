"""Offer what is counted of a lab to Prometheus."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastapi import APIRouter, Request, Response

from actorlab.server.refusing import LabRoute

if TYPE_CHECKING:
    from actorlab.server.desk import Desk

__all__ = ["metrics_routes"]


def metrics_routes(desk: Desk) -> APIRouter:
    """Return the route of the metrics; from now on they are counted."""
    routes = APIRouter(route_class=LabRoute, tags=["lab"])
    desk.meter.begin()

    @routes.get("/metrics", dependencies=[desk.needs("viewer")])
    async def metrics(request: Request) -> Response:
        """Tell what was counted since the server began, in Prometheus' text format; no device is asked."""
        text, kind = await desk.look(desk.meter.text, request.headers.get("accept", ""))
        return Response(text, media_type=kind)

    return routes
