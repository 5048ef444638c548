"""Offer what is watched over a lab as a whole: how far it is, and its interlocks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, Response
from pydantic import BaseModel, Field

from actorlab.server.error_answers import says
from actorlab.server.refusing import LabRoute
from actorlab.server.run_answers import ProgressAnswer
from actorlab.server.run_telling import progress_told
from actorlab.server.telling import answer, plain

if TYPE_CHECKING:
    from actorlab.runtime.interlocks import Interlock
    from actorlab.server.desk import Desk

__all__ = ["overview_routes"]


class OverallAnswer(BaseModel):
    """How far the lab is with its runs, or null if there were none."""

    progress: ProgressAnswer | None


class InterlockAnswer(BaseModel):
    """How an interlock stands."""

    number: int
    message: str
    then: str = Field(description="What is done when it trips.")
    devices: list[str] | None = Field(description="For which devices it is; null: for all.")
    tripped: bool
    since: float | None = Field(description="Since when it has tripped, in seconds since 1970.")
    reason: str
    last: str = Field(description="What was read last, in words.")


def overview_routes(desk: Desk) -> APIRouter:
    """Return the routes that tell of the lab as a whole."""
    routes = APIRouter(route_class=LabRoute, tags=["lab"])
    lab = desk.lab
    viewer = desk.needs("viewer")

    @routes.get("/progress", dependencies=[viewer], responses=says(OverallAnswer))
    async def progress() -> Response:
        """Tell how far the lab is with its runs."""
        return answer({"progress": progress_told(await desk.look(lambda: lab.progress))})

    @routes.get("/interlocks", dependencies=[viewer], responses=says(list[InterlockAnswer]))
    async def interlocks() -> Response:
        """Tell how the interlocks stand."""
        return answer([interlock_told(one) for one in lab.interlocks])

    return routes


def interlock_told(interlock: Interlock) -> dict[str, Any]:
    """Tell how an interlock stands."""
    told = {
        "number": interlock.number, "message": interlock.message, "then": interlock.then, "devices": interlock.devices,
        "tripped": interlock.tripped, "since": interlock.since, "reason": interlock.reason,
        "last": "" if interlock.last is None else str(interlock.last),
    }  # fmt: skip
    return dict(plain(told))
