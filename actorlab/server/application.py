"""Put the routes of a lab together: a router for somebody's application, or an application of their own."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from fastapi import APIRouter, FastAPI, Request, Response
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware

from actorlab.errors import ConfigError
from actorlab.server.desk import Desk
from actorlab.server.device_lives import life_routes
from actorlab.server.device_routes import device_routes
from actorlab.server.device_stock import stock_routes
from actorlab.server.history_routes import history_routes
from actorlab.server.hosting import lifespan_of
from actorlab.server.lab_routes import lab_routes
from actorlab.server.lease_routes import lease_routes
from actorlab.server.live_routes import live_routes, stream_routes
from actorlab.server.metrics_routes import metrics_routes
from actorlab.server.overview_routes import overview_routes
from actorlab.server.refusing import Refused, refusal
from actorlab.server.rehearsal_routes import rehearsal_routes
from actorlab.server.run_resuming import resuming_routes
from actorlab.server.run_routes import run_routes
from actorlab.server.run_steering import steering_routes
from actorlab.server.service_routes import service_routes
from actorlab.server.task_routes import task_routes

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from actorlab.runtime.lab import Lab
    from actorlab.server.tokens import Tokens

__all__ = ["app", "app_of", "router", "router_of"]


def router(lab: Lab, *, tokens: Tokens | None = None) -> APIRouter:
    """Return the routes of a lab, to be mounted in any FastAPI application: ``app.include_router(router(lab))``.

    Without `tokens` everybody whom that application lets pass may ask for everything. Streams end when the server
    around it stops, if that is uvicorn, as it is for `fastapi run`.
    """
    return router_of(Desk(lab, tokens, local_only=False))


def app(lab: Lab, *, tokens: Tokens | None = None, origins: Sequence[str] = ()) -> FastAPI:
    """Return a FastAPI application that offers a lab; without `tokens` it answers to this machine's own names only.

    Pages of other sites may ask only if they are among `origins`.
    """
    return app_of(Desk(lab, tokens, local_only=tokens is None, origins=origins))


def router_of(desk: Desk) -> APIRouter:
    """Return all routes."""
    routes = APIRouter(lifespan=lifespan_of(desk))
    for part in parts_of(desk):
        routes.include_router(part)
    return routes


def parts_of(desk: Desk) -> Iterator[APIRouter]:
    """Yield all routes by subject, first those that are asked for most: each request looks through them in order."""
    for part in (
        device_routes, lab_routes, live_routes, stream_routes, overview_routes, life_routes, stock_routes, lease_routes,
        task_routes, rehearsal_routes, run_routes, steering_routes, resuming_routes, service_routes, history_routes,
        metrics_routes,
    ):  # fmt: skip
        yield part(desk)


def app_of(desk: Desk) -> FastAPI:
    """Return the application."""
    made = FastAPI(title=f"actorlab: {desk.lab.name}", redirect_slashes=False, lifespan=lifespan_of(desk))
    for part in parts_of(desk):
        made.include_router(part)
    made.add_exception_handler(HTTPException, partial(no_route, desk))
    if desk.origins:
        made.add_middleware(
            CORSMiddleware, allow_origins=desk.origins, allow_methods=["*"], allow_headers=["*"],
            expose_headers=["Retry-After"],
        )  # fmt: skip
    return made


async def no_route(desk: Desk, request: Request, error: Exception) -> Response:
    """Answer what no route is for, as routes tell their errors."""
    status = error.status_code if isinstance(error, HTTPException) else 500
    message = f"there is no {request.method} {request.url.path} here; /openapi.json lists what there is"
    headers = dict(error.headers or {}) if isinstance(error, HTTPException) else {}
    desk.meter.answered(request.method, "", status, None)
    return refusal(request, Refused(status, ConfigError(message), headers=headers))
