"""Offer the tasks and workflows that a lab knows by name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, Path, Response
from pydantic import BaseModel, Field

from actorlab.server.error_answers import says
from actorlab.server.refusing import LabRoute
from actorlab.server.starting import check_task
from actorlab.server.telling import answer, plain

if TYPE_CHECKING:
    from actorlab.runtime.lab import Lab
    from actorlab.server.desk import Desk

__all__ = ["task_routes"]

TaskName = Annotated[str, Path(description="The name of a task or workflow.")]


class TaskAnswer(BaseModel):
    """A task or workflow that is known by its name."""

    name: str
    kind: str
    category: str
    description: str
    place: str = Field(description="Where it is defined.")
    found_in: str
    parameters: dict[str, Any] = Field(description="Their JSON Schema; a device is a text that names one.")


def task_routes(desk: Desk) -> APIRouter:
    """Return the routes for tasks."""
    routes = APIRouter(route_class=LabRoute, tags=["tasks"])
    lab = desk.lab
    viewer = desk.needs("viewer")

    @routes.get("/tasks", dependencies=[viewer], responses=says(dict[str, TaskAnswer]))
    async def tasks() -> Response:
        """List the tasks and workflows that are known by name, with their parameters as JSON Schema."""
        return answer(plain(await desk.look(lambda: {name: lab.describe_task(name) for name in lab.tasks})))

    @routes.get("/tasks/{name}", dependencies=[viewer], responses=says(TaskAnswer, 404))
    async def task(name: TaskName) -> Response:
        """Describe a task."""
        return answer(plain(await desk.look(described, lab, name)))

    return routes


def described(lab: Lab, name: str) -> dict[str, Any]:
    """Describe a task, or refuse one that isn't known."""
    check_task(lab, name)
    return lab.describe_task(name)
