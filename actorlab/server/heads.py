"""Bound the head of a request: before it has ended, nobody knows who asks, and httptools would keep all of it."""

from __future__ import annotations

from typing import Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

__all__ = ["BoundedHeads"]

LONGEST: Final = 65_536


class BoundedHeads(HttpToolsProtocol):
    """uvicorn's connection by httptools, which refuses a request whose head goes on and on."""

    _head = 0
    """So many bytes have come since the last head was complete, or the last body had ended."""

    def data_received(self, data: bytes) -> None:
        """Read what has come."""
        self._head += len(data)
        super().data_received(data)
        if self._head > LONGEST and not self.transport.is_closing():
            self._head = 0
            self.send_400_response("the head of a request may have 64 KiB")

    def on_headers_complete(self) -> None:
        """Begin to answer."""
        super().on_headers_complete()
        self._head = -(1 << 62)  # what follows is the body, which says how long it is

    def on_message_complete(self) -> None:
        """Take note that the body has ended, and another head may follow."""
        super().on_message_complete()
        self._head = 0
