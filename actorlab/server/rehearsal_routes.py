"""Offer rehearsals: what a task would do and when, without touching a device."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Final

from fastapi import APIRouter, Query, Response
from pydantic import BaseModel, Field

from actorlab.errors import WorkflowError
from actorlab.server.error_answers import says
from actorlab.server.refusing import LabRoute, Refused
from actorlab.server.run_answers import StartBody
from actorlab.server.starting import check_task
from actorlab.server.telling import answer, given, plain

if TYPE_CHECKING:
    from actorlab.runtime.lab import Lab
    from actorlab.server.desk import Desk

__all__ = ["rehearsal_routes"]

SECONDS: Final = 20.0
STEPS: Final = 20_000
Most = Annotated[int, Query(ge=1, le=STEPS, description="Refuse a task of more steps.")]


class PlannedStep(BaseModel):
    """A step, or clean-up, in its place; times in seconds from the submission."""

    run: str
    step: int
    name: str
    values: list[Any]
    devices: list[str]
    shared: list[str]
    begin: float
    end: float
    source: str = Field(description="Whence the duration is known: history, takes, or default.")
    low: float
    high: float
    waits: list[dict[str, Any]]
    critical: bool


class RehearsalAnswer(BaseModel):
    """What a run would do: its end, when it would begin, its steps, and the chain that makes it as long as it is."""

    name: str
    makespan: float
    interval: list[float] = Field(description="Between these it ends eight times out of ten.")
    begins: float
    state: str
    reason: str
    how: str
    steps: list[PlannedStep]
    critical_path: list[dict[str, Any]]
    devices: list[dict[str, Any]]
    conflicts: list[dict[str, Any]] = Field(description="Who has what it needs, and for how long.")
    violations: list[dict[str, Any]] = Field(description="What would be refused.")
    unknown: list[str]


def rehearsal_routes(desk: Desk) -> APIRouter:
    """Return the routes for rehearsals."""
    routes = APIRouter(route_class=LabRoute, tags=["tasks"])
    lab = desk.lab

    @routes.post("/rehearsals", dependencies=[desk.needs("operator")], responses=says(RehearsalAnswer, 404, 409, 504))
    async def rehearse(body: StartBody, steps: Most = STEPS) -> Response:
        """Say what a task would do, and when, among the runs that are in progress; no device is touched."""
        return answer(await desk.reckon(rehearsed, lab, body, steps))

    return routes


def rehearsed(lab: Lab, body: StartBody, steps: int) -> dict[str, Any]:
    """Rehearse a task that the lab knows."""
    check_task(lab, body.task)
    args: list[Any] = given(body.args)
    parameters: dict[str, Any] = given(body.parameters)
    task, bound, named = lab.catalogue.call(body.task, tuple(args), parameters)
    try:
        found = lab.rehearse.using(steps=steps, seconds=SECONDS)(task, *bound, **named)
    except WorkflowError as error:
        raise Refused(422, error, f"task {body.task}") from error
    return dict(plain(found.to_dict()))
