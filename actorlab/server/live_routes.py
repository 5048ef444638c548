"""Offer what happens, as it happens: events, the logs of runs, the streams of devices, and all of it by WebSocket."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, Final

from fastapi import APIRouter, Header, Path, Query, Request, Response, WebSocket

from actorlab.server.client_leases import LeaseKey
from actorlab.server.desk import Asker, Desk
from actorlab.server.error_answers import says
from actorlab.server.event_stream import EventStream
from actorlab.server.following import Following
from actorlab.server.hearing import BUFFER, Hearing, named_arguments
from actorlab.server.live_socket import LiveSocket
from actorlab.server.refusing import LabRoute
from actorlab.server.relays import MOST
from actorlab.server.run_answers import LogLine
from actorlab.server.run_log import NEWEST, RunLog, lines_of
from actorlab.server.run_routes import Id
from actorlab.server.telling import answer

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["live_routes", "stream_routes"]

Kinds = Annotated[list[str] | None, Query(description="Only events of these kinds.")]
Subjects = Annotated[list[str] | None, Query(description="Only of these, such as sweep#3/*.")]
LastId = Annotated[str | None, Query(max_length=100, description="Go on after the event with this id.")]
LastIdHeader = Annotated[str | None, Header(alias="Last-Event-ID", max_length=100)]
Newest = Annotated[int, Query(ge=0, le=NEWEST, description="Begin with so many of the newest lines.")]
Accept = Annotated[str, Header(description="With text/event-stream, each line is sent as it comes.")]
Name = Annotated[str, Path(description="The name of a device.")]
StreamName = Annotated[str, Path(description="The name of a stream, as the description lists it.")]
Arguments = Annotated[str, Query(description="The stream's arguments by their names: a JSON object.")]
Buffer = Annotated[int, Query(ge=1, le=MOST, description="So many of the newest items are kept for a slow client.")]
Site = Annotated[str, Header(alias="Sec-Fetch-Site", include_in_schema=False)]
LINES: Final[dict[int | str, dict[str, Any]]] = {
    200: {"model": list[LogLine], "content": {"text/event-stream": {"schema": {"type": "string"}}}}
}


def live_routes(desk: Desk) -> APIRouter:
    """Return the routes for what happens."""
    routes = APIRouter(route_class=LabRoute, tags=["live"])
    viewer = desk.needs("viewer")

    @routes.get("/events", dependencies=[viewer], status_code=200, response_class=EventStream, responses=says(None))
    async def events(
        request: Request,
        who: Asker,
        kinds: Kinds = None,
        subjects: Subjects = None,
        last_event_id: LastId = None,
        last_event_id_header: LastIdHeader = None,
    ) -> EventStream:
        """Send a snapshot of how all stands, and then every change, as server-sent events.

        After the id of an event, only what followed on it is sent. If that isn't all kept any more, or the server was
        started anew, an event of the kind "gap" says so, and a snapshot follows.
        """
        admitted = partial(desk.admits, who, request)
        return await sent(Following(desk, kinds, subjects), last_event_id_header or last_event_id, admitted)

    @routes.get("/runs/{run_id:path}/log", dependencies=[viewer], responses=says(None, 404) | LINES)
    async def log(
        request: Request,
        who: Asker,
        run_id: Id,
        newest: Newest = NEWEST,
        accept: Accept = "",
        last_event_id_header: LastIdHeader = None,
    ) -> Response:
        """Answer with the newest lines that a run, and those which it has started, have logged.

        As server-sent events they are followed by each line as it comes, until the run has ended.
        """
        if "text/event-stream" not in accept:
            return answer(await desk.look(lines_of, desk.lab, run_id, newest))
        return await sent(RunLog(desk, run_id, newest), last_event_id_header, partial(desk.admits, who, request))

    return routes


def stream_routes(desk: Desk) -> APIRouter:
    """Return the routes for the streams of devices, and the WebSocket for everything."""
    routes = APIRouter(route_class=LabRoute, tags=["live"])

    @routes.get(
        "/devices/{name}/streams/{stream}",
        dependencies=[desk.needs("viewer")],
        status_code=200,
        response_class=EventStream,
        responses=says(None, 404, 409, 502),
    )
    async def items(
        request: Request,
        name: Name,
        stream: StreamName,
        who: Asker,
        arguments: Arguments = "{}",
        buffer: Buffer = BUFFER,
        site: Site = "",
        key: LeaseKey = None,
    ) -> EventStream:
        """Send the items of a device's stream as server-sent events; those who may only look hear one that runs."""
        hearing, lease = Hearing(desk, buffer), desk.leases.used(key, who)
        await hearing.begin(who, name, stream, [], named_arguments(arguments, site), "json", lease)
        return EventStream(hearing.text, hearing.leave, partial(desk.admits, who, request))

    @routes.websocket("/live")
    async def live(socket: WebSocket) -> None:
        """Send what is subscribed to: events, streams of devices with arrays as they are, logs of runs."""
        await LiveSocket(desk, socket).serve()

    return routes


async def sent(source: Following | RunLog, last_id: str | None, admitted: Callable[[], bool]) -> EventStream:
    """Begin to tell one client what happens."""
    try:
        await source.begin(last_id)
    except BaseException:
        source.leave()
        raise

    async def more() -> bytes | None:
        part = await source.more()
        return None if part is None else part.text

    return EventStream(more, source.leave, admitted)
