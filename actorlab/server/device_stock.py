"""Offer what changes which devices a lab has: the types that are known, adding, removing."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, Response
from pydantic import BaseModel, ConfigDict, Field

from actorlab.config import ConfiguredLab
from actorlab.device import Configured
from actorlab.discovery.found import Discovered
from actorlab.errors import ConfigError, DeviceUnavailable
from actorlab.server.desk import Asker, Desk
from actorlab.server.device_answers import DeviceAnswer
from actorlab.server.device_lives import lived
from actorlab.server.device_routes import Name, status_told
from actorlab.server.error_answers import says
from actorlab.server.once import OnceKey
from actorlab.server.refusing import LabRoute, Refused
from actorlab.server.telling import answer, given, plain

if TYPE_CHECKING:
    from collections.abc import Callable

    from actorlab.runtime.lab import Lab

__all__ = ["stock_routes"]


class AddBody(BaseModel):
    """A new device: its name, its type, and what that is made with.

    Without a type it is the device of this name in the lab's file.
    """

    model_config = ConfigDict(extra="forbid")
    name: str = Field(pattern=r"^[A-Za-z][A-Za-z0-9_.-]*$", max_length=100)
    type: str | None = Field(default=None, description="A name, or module:class, as /device_types lists them.")
    args: list[Any] = Field(default_factory=list)
    kwargs: dict[str, Any] = Field(default_factory=dict)


class TypeAnswer(BaseModel):
    """What devices can be made of."""

    name: str
    type: str = Field(description="module:class")
    description: str
    place: str
    found_in: str
    parameters: dict[str, Any] = Field(description="What it is made with, as JSON Schema.")


def stock_routes(desk: Desk) -> APIRouter:
    """Return the routes by which devices come and go."""
    routes = APIRouter(route_class=LabRoute, tags=["devices"])
    lab = desk.lab
    viewer, admin = desk.needs("viewer"), desk.needs("admin")

    @routes.get("/device_types", dependencies=[viewer], responses=says(list[TypeAnswer]))
    async def types() -> Response:
        """List the classes of devices that the lab knows: nothing else can be added."""
        return answer(plain(await desk.look(types_of, lab)))

    @routes.post(
        "/devices", status_code=201, dependencies=[admin], responses=says(DeviceAnswer, 404, 409, 502, 504, status=201)
    )
    async def add(body: AddBody, who: Asker, once: OnceKey = None) -> Response:
        """Add a device of a type that the lab knows, and answer when it has connected."""

        async def begin() -> dict[str, Any]:
            await desk.call(added, lab, body)
            lab.logger.info("a device is added", device=body.name, type=body.type, by=who.name)
            return status_told(await desk.look(lab.status, body.name), who)

        told, headers = await desk.once.do(who, once, "POST /devices", body, begin)
        return answer(told, 201, headers)

    @routes.delete("/devices/{name}", status_code=204, dependencies=[admin], responses=says(None, 404, 409, 504))
    async def remove(name: Name, who: Asker) -> Response:
        """Disconnect a device that nobody holds, and forget it."""
        await desk.call(lived, lab, name, lab.remove)
        lab.logger.info("a device is removed", device=name, by=who.name)
        return Response(status_code=204)

    return routes


def types_of(lab: Lab) -> list[dict[str, Any]]:
    """List the classes of devices that are known."""
    return [
        {"name": name, "type": place_of(entry.object), "description": entry.doc, "place": entry.place,
         "found_in": entry.found_in, "parameters": entry.parameters()}
        for name, entry in {**of_the_file(lab), **lab.catalogue.found.devices}.items()
    ]  # fmt: skip


def of_the_file(lab: Lab) -> dict[str, Discovered]:
    """Return the classes that the devices in the lab's file name, by their names; by place, if two have the same."""
    entries = lab.config.devices.values() if isinstance(lab, ConfiguredLab) else ()
    by_place = {place_of(entry.factory): entry.factory for entry in entries}
    names = [place.rpartition(":")[2] for place in by_place]
    found = [
        Discovered(name if names.count(name) == 1 else place, factory, "device", "", place, None, "the lab's file")
        for name, (place, factory) in zip(names, by_place.items(), strict=True)
    ]
    return {entry.name: entry for entry in found}


def place_of(factory: Any) -> str:
    """Return the module and the name of what makes a device."""
    made = factory.factory if isinstance(factory, Configured) else factory
    return f"{getattr(made, '__module__', '?')}:{getattr(made, '__qualname__', '?')}"


def known_types(lab: Lab) -> dict[str, Callable[..., Any]]:
    """Return what may be asked for, by name and by place.

    That is what was discovered, registered, named in the lab's file, or is in the lab already.
    """
    present = [cell.factory for cell in list(lab.cells.values())]
    named = {**{name: entry.object for name, entry in of_the_file(lab).items()}, **lab.device_types}
    by_place = {place_of(factory): factory for factory in (*present, *named.values())}
    return {**by_place, **named}


def added(lab: Lab, body: AddBody) -> None:
    """Add a device, if the lab knows its type; nothing is imported because somebody names it."""
    if body.name in lab.cells:
        message = f"there is a device named {body.name!r} already: choose another name, or remove it first"
        raise Refused(409, ConfigError(message))
    if body.type is None:
        connected(lambda: configured(lab, body.name), body.name)
        return
    factory = known_types(lab).get(body.type)
    if factory is None:
        there = {**of_the_file(lab), **lab.device_types}
        message = f"the lab knows no type of device {body.type!r}; it knows {', '.join(there) or 'none'}"
        raise Refused(404, ConfigError(message))
    args: list[Any] = given(body.args)
    if isinstance(lab, ConfiguredLab):
        args = lab.on_bench(args)
    kwargs: dict[str, Any] = given(body.kwargs)
    check_making(body.name, factory, args, kwargs)
    connected(lambda: lab.add(body.name, factory, *args, **kwargs), body.name)


def check_making(name: str, factory: Any, args: list[Any], kwargs: dict[str, Any]) -> None:
    """Refuse arguments that the class isn't made with."""
    made: Callable[..., Any] = factory.factory if isinstance(factory, Configured) else factory
    try:
        inspect.signature(made).bind(*args, **kwargs)
    except (TypeError, ValueError) as error:
        raise Refused(422, ConfigError(f"{name}: {error}"), fields={"args": str(error)}) from error


def configured(lab: Lab, name: str) -> Any:
    """Add a device of the lab's file, or refuse one that isn't there."""
    there = list(lab.config.devices) if isinstance(lab, ConfiguredLab) else []
    if not isinstance(lab, ConfiguredLab) or name not in there:
        message = f"the lab's file has no device {name!r}; it has {', '.join(there) or 'none'}: give its type"
        raise Refused(404, ConfigError(message))
    return lab.add_configured(name)


def connected(add: Callable[[], Any], name: str) -> None:
    """Add a device, whose own failure is told as such."""
    try:
        add()
    except DeviceUnavailable as error:
        raise Refused(502, error, f"device {name}") from error
