"""Send server-sent events for as long as a client listens."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.responses import StreamingResponse

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from starlette.types import Send

    from actorlab.server.following import Part

__all__ = ["EventStream", "part_text"]


class EventStream(StreamingResponse):
    """Send what `more` returns, until that is None or the client leaves; then `leave` is called.

    Of a client that reads slowly, no more is waiting here than what was returned at one time.
    """

    media_type = "text/event-stream"

    def __init__(self, more: Callable[[], Awaitable[bytes | None]], leave: Callable[[], None]) -> None:
        super().__init__((), headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"})
        self._more = more
        self._leave = leave

    async def stream_response(self, send: Send) -> None:
        """Send it."""
        try:
            await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
            while (text := await self._more()) is not None:
                await send({"type": "http.response.body", "body": text, "more_body": True})
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        finally:
            self._leave()


def part_text(part: Part) -> bytes:
    """Write some events as server-sent ones, and an id alone after a snapshot, or when nothing happens."""
    text = b"".join([told.text for told in part.told])
    return text if not part.stands else b"%s: so far\nid: %s\n\n" % (text, (part.event_id or "").encode())
