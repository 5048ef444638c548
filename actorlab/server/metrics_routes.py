"""Offer what is counted of a lab to Prometheus."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from fastapi import APIRouter, Request, Response

from actorlab.server.error_answers import says
from actorlab.server.refusing import LabRoute

if TYPE_CHECKING:
    from actorlab.server.desk import Desk

__all__ = ["metrics_routes"]

TEXT: Final[dict[int | str, dict[str, Any]]] = {
    200: {"description": "Every figure, as Prometheus reads them.", "content": {"text/plain": {}}}
}


def metrics_routes(desk: Desk) -> APIRouter:
    """Return the route of the metrics; from now on they are counted."""
    routes = APIRouter(route_class=LabRoute, tags=["lab"])
    desk.meter.begin()

    viewer = desk.needs("viewer")

    @routes.get("/metrics", response_class=Response, dependencies=[viewer], responses=says(None) | TEXT)
    async def metrics(request: Request) -> Response:
        """Tell what was counted since the server began, in Prometheus' text format; no device is asked."""
        text, kind = await desk.look(desk.meter.text, request.headers.get("accept", ""))
        return Response(text, media_type=kind)

    return routes
