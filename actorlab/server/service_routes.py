"""Offer the services of a lab, and their groups: how they stand, start, stop, restart."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any, Literal

from fastapi import APIRouter, Path, Response
from pydantic import BaseModel, Field

from actorlab.core.service_group import ServiceState
from actorlab.errors import ConfigError
from actorlab.server.desk import Asker, Desk
from actorlab.server.error_answers import says
from actorlab.server.refusing import LabRoute, Refused
from actorlab.server.run_answers import Why
from actorlab.server.telling import answer, plain

if TYPE_CHECKING:
    from actorlab.runtime.lab import Lab
    from actorlab.runtime.service import Service, ServiceGroup
    from actorlab.server.tokens import Who

__all__ = ["service_routes"]

ServiceName = Annotated[str, Path(description="The name of a service.")]
GroupName = Annotated[str, Path(description="The name of a group of services.")]


class ServiceAnswer(BaseModel):
    """How a service stands."""

    name: str
    group: str = Field(description="The group in which it is supervised, or nothing.")
    state: ServiceState
    since: datetime
    why: str
    run: str = Field(description="The run that is its present life, or its last one.")
    devices: list[str]
    restarts: int
    retry_in: float | None
    last_error: str
    last_traceback: str = Field(description="For an admin only.")
    reasons: list[Why]


class GroupAnswer(BaseModel):
    """How a group of services stands."""

    name: str
    strategy: str
    services: list[str]
    gave_up: str = Field(description="Why all of it is stopped, if it has given up.")


def service_routes(desk: Desk) -> APIRouter:
    """Return the routes for services."""
    routes = APIRouter(route_class=LabRoute, tags=["services"])
    lab = desk.lab
    viewer, operator = desk.needs("viewer"), desk.needs("operator")

    @routes.get("/services", dependencies=[viewer], responses=says(dict[str, ServiceAnswer]))
    async def services(who: Asker) -> Response:
        """Tell how all services stand."""
        return answer(await desk.look(lambda: {name: told(one, who) for name, one in lab.services.items()}))

    @routes.get("/services/{name}", dependencies=[viewer], responses=says(ServiceAnswer, 404))
    async def service(name: ServiceName, who: Asker) -> Response:
        """Tell how a service stands."""
        return answer(await desk.look(lambda: told(service_of(lab, name), who)))

    @routes.post(
        "/services/{name}/{verb}", status_code=202, dependencies=[operator],
        responses=says(ServiceAnswer, 404, 409, status=202),
    )  # fmt: skip
    async def steer(name: ServiceName, verb: Literal["start", "stop", "restart"], who: Asker) -> Response:
        """Start a service that rests, stop one until somebody starts it, or end its life and begin another."""
        lab.logger.info("a service is steered", service=name, verb=verb, by=who.name)
        await desk.look(lambda: steered(service_of(lab, name), verb))
        return answer(await desk.look(lambda: told(service_of(lab, name), who)), 202)

    @routes.get("/service_groups", dependencies=[viewer], responses=says(dict[str, GroupAnswer]))
    async def groups() -> Response:
        """Tell how the groups of services stand."""
        return answer(await desk.look(lambda: {name: group_told(group) for name, group in lab.groups.items()}))

    @routes.post(
        "/service_groups/{name}/{verb}", status_code=202, dependencies=[operator],
        responses=says(GroupAnswer, 404, 409, status=202),
    )  # fmt: skip
    async def steer_group(name: GroupName, verb: Literal["start", "stop"], who: Asker) -> Response:
        """Start the services of a group that rest, or stop all of them."""
        lab.logger.info("a group of services is steered", group=name, verb=verb, by=who.name)
        await desk.look(lambda: steered(group_of(lab, name), verb))
        return answer(await desk.look(lambda: group_told(group_of(lab, name))), 202)

    return routes


def service_of(lab: Lab, name: str) -> Service[Any]:
    """Return a service, or refuse one that isn't there, saying which are."""
    services = lab.services
    if name not in services:
        raise Refused(404, ConfigError(f"the lab has no service {name!r}; it has {', '.join(services) or 'none'}"))
    return services[name]


def group_of(lab: Lab, name: str) -> ServiceGroup:
    """Return a group of services, or refuse one that isn't there, saying which are."""
    groups = lab.groups
    if name not in groups:
        message = f"the lab has no group of services {name!r}; it has {', '.join(groups) or 'none'}"
        raise Refused(404, ConfigError(message))
    return groups[name]


def steered(of: Any, verb: str) -> None:
    """Start, stop or restart, or refuse what can't be done as things stand."""
    try:
        getattr(of, verb)()  # one of those that the route lists
    except ConfigError as error:
        raise Refused(409, error) from error


def told(service: Service[Any], who: Who) -> dict[str, Any]:
    """Tell how a service stands; an admin also sees the traceback."""
    status = service.status
    found: dict[str, Any] = {name: getattr(status, name) for name in ServiceAnswer.model_fields}
    found["reasons"] = [reason.data for reason in status.reasons]
    if not who.may("admin"):
        found["last_traceback"] = ""
    return dict(plain(found))


def group_told(group: ServiceGroup) -> dict[str, Any]:
    """Tell how a group stands."""
    return {
        "name": group.name, "strategy": group.strategy, "services": list(group.services), "gave_up": group.gave_up,
    }  # fmt: skip
