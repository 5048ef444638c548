"""Offer what happens, as it happens, as server-sent events."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from fastapi import APIRouter, Header, Query
from starlette.responses import StreamingResponse

from actorlab.runtime.feed import choice
from actorlab.server.desk import Desk
from actorlab.server.error_answers import says
from actorlab.server.following import Following, Part
from actorlab.server.refusing import LabRoute

if TYPE_CHECKING:
    from starlette.types import Send

__all__ = ["live_routes"]

Kinds = Annotated[list[str] | None, Query(description="Only events of these kinds.")]
Subjects = Annotated[list[str] | None, Query(description="Only of these, such as sweep#3/*.")]
LastId = Annotated[str | None, Query(max_length=100, description="Go on after the event with this id.")]
LastIdHeader = Annotated[str | None, Header(alias="Last-Event-ID", max_length=100)]


class EventStream(StreamingResponse):
    """Send server-sent events until they end or the client leaves."""

    media_type = "text/event-stream"

    def __init__(self, following: Following) -> None:
        super().__init__((), headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"})
        self._following = following

    async def stream_response(self, send: Send) -> None:
        """Send them; of a client that reads slowly, no more is waiting here than one part."""
        try:
            await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
            while (part := await self._following.more()) is not None:
                await send({"type": "http.response.body", "body": text_of(part), "more_body": True})
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        finally:
            self._following.leave()


def live_routes(desk: Desk) -> APIRouter:
    """Return the routes for what happens."""
    routes = APIRouter(route_class=LabRoute, tags=["live"])
    viewer = desk.needs("viewer")

    @routes.get("/events", dependencies=[viewer], status_code=200, response_class=EventStream, responses=says(None))
    async def events(
        kinds: Kinds = None,
        subjects: Subjects = None,
        last_event_id: LastId = None,
        last_event_id_header: LastIdHeader = None,
    ) -> EventStream:
        """Send a snapshot of how all stands, and then every change, as server-sent events.

        After the id of an event, only what followed on it is sent. If that isn't all kept any more, or the server was
        started anew, an event of the kind "gap" says so, and a snapshot follows.
        """
        following = Following(desk, choice(kinds, subjects))
        await following.begin(last_event_id_header or last_event_id)
        return EventStream(following)

    return routes


def text_of(part: Part) -> bytes:
    """Write some events as server-sent ones, and an id alone after a snapshot, or when nothing happens."""
    text = b"".join([told.text for told in part.told])
    return text if part.event_id is None else b"%s: so far\nid: %s\n\n" % (text, part.event_id.encode())
