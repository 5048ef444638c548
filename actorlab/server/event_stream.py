"""Send server-sent events for as long as a client listens."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.responses import StreamingResponse

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from starlette.types import Send

__all__ = ["EventStream"]


class EventStream(StreamingResponse):
    """Send what `more` returns, until that is None or the client leaves; then `leave` is called.

    Of a client that reads slowly, no more is waiting here than what was returned at one time. Nothing is sent to
    one who isn't `admitted` any more.
    """

    media_type = "text/event-stream"

    def __init__(
        self, more: Callable[[], Awaitable[bytes | None]], leave: Callable[[], None], admitted: Callable[[], bool]
    ) -> None:
        super().__init__((), headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"})
        self._more = more
        self._leave = leave
        self._admitted = admitted

    async def stream_response(self, send: Send) -> None:
        """Send it."""
        try:
            await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
            while (text := await self._more()) is not None and self._admitted():
                await send({"type": "http.response.body", "body": text, "more_body": True})
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        finally:
            self._leave()
