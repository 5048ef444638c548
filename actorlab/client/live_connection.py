"""Speak WebSocket with a lab's server, over a connection that httpx has made."""

from __future__ import annotations

import base64
import hashlib
import os
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

import httpcore
import httpx
from websockets.exceptions import WebSocketException
from websockets.frames import Frame, Opcode
from websockets.protocol import CLIENT, OPEN, Protocol

from actorlab.client.endless import check, cut
from actorlab.errors import ServerUnavailable

if TYPE_CHECKING:
    from actorlab.client.connection import Connection

__all__ = ["LiveConnection"]

PIECE: Final = 1024 * 1024
MAGIC: Final = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455, 1.3
SWITCHING: Final = 101


class LiveConnection:
    """A WebSocket to a lab's server; one thread reads, any closes."""

    def __init__(self, connection: Connection, path: str) -> None:
        self._url = connection.url
        self._http = connection.stream()
        try:
            self._answer = self._upgraded(path)
            self._stream: Any = self._answer.extensions["network_stream"]
        except httpx.TransportError as error:
            self._http.close()
            raise self._lost(error) from error
        except BaseException:
            self._http.close()
            raise
        self._protocol = Protocol(CLIENT, state=OPEN, max_size=None)
        self._parts: list[bytes] = []
        self._is_text = False
        self._over = False
        self._messages: deque[str | bytes] = deque()

    def _upgraded(self, path: str) -> httpx.Response:
        """Ask for a WebSocket, as RFC 6455 says."""
        key = base64.b64encode(os.urandom(16)).decode()
        headers = {
            "Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Key": key, "Sec-WebSocket-Version": "13",
        }  # fmt: skip
        answer = self._http.send(self._http.build_request("GET", path, headers=headers), stream=True)
        check(answer, SWITCHING)
        expected = base64.b64encode(hashlib.sha1((key + MAGIC).encode()).digest()).decode()  # noqa: S324 - RFC 6455
        if answer.headers.get("Sec-WebSocket-Accept") != expected:
            message = f"{self._url}{path} doesn't speak WebSocket: is it a lab's server?"
            raise ServerUnavailable(message)
        return answer

    def say(self, text: str) -> None:
        """Send a message. Raise `ServerUnavailable` if the connection is lost."""
        self._protocol.send_text(text.encode())
        self._flush(10.0)

    def hear(self, timeout: float) -> str | bytes:
        """Wait for the next message.

        Raises:
            ServerUnavailable: the connection is lost, or nothing came in time.

        """
        while not self._messages:
            if self._over:
                raise self._lost(None)
            self._read(timeout)
        return self._messages.popleft()

    def cut(self) -> None:
        """Cut it, from any thread: who reads from it finds its end."""
        cut(self._answer)

    def close(self) -> None:
        """Close it."""
        with suppress(ServerUnavailable, WebSocketException):
            self._protocol.send_close(1000)
            self._flush(1.0)
        self._answer.close()
        self._http.close()

    def _read(self, timeout: float) -> None:
        try:
            data: bytes = self._stream.read(PIECE, timeout)
        except (httpcore.NetworkError, httpcore.TimeoutException, OSError) as error:
            raise self._lost(error) from error
        if not data:
            raise self._lost(None)
        self._protocol.receive_data(data)
        for frame in self._protocol.events_received():
            if isinstance(frame, Frame):
                self._take(frame)
        self._flush(10.0)  # pings are answered

    def _take(self, frame: Frame) -> None:
        self._over = self._over or frame.opcode is Opcode.CLOSE
        if frame.opcode not in {Opcode.TEXT, Opcode.BINARY, Opcode.CONT}:
            return
        if frame.opcode is not Opcode.CONT:
            self._is_text = frame.opcode is Opcode.TEXT
        self._parts.append(bytes(frame.data))
        if frame.fin:
            whole = b"".join(self._parts)
            self._parts.clear()
            self._messages.append(whole.decode() if self._is_text else whole)

    def _flush(self, timeout: float) -> None:
        try:
            for data in self._protocol.data_to_send():
                if data:
                    self._stream.write(data, timeout)
        except (httpcore.NetworkError, httpcore.TimeoutException, OSError) as error:
            raise self._lost(error) from error

    def _lost(self, error: Exception | None) -> ServerUnavailable:
        why = "it was closed" if error is None else str(error) or type(error).__name__
        return ServerUnavailable(f"the connection to {self._url} was lost: {why}")
