"""Speak HTTP/1.1 over connections that are kept open, as quickly as Python can.

Most of a call's time would go into a general HTTP client; a lab's server needs no redirects, cookies or proxies.
"""

from __future__ import annotations

import os
import select
import sys
import time
from collections import deque
from typing import TYPE_CHECKING, BinaryIO, Final, NamedTuple, cast

if TYPE_CHECKING:
    import socket

    from actorlab.client.address import Address

__all__ = ["Answer", "Broken", "Wire", "Wires", "readable"]

IDLE: Final = 20.0
"""A connection that was idle for longer isn't used again: something between here and there may have closed it."""
LINE: Final = 65_536
HEADERS: Final = 256
BODILESS: Final = frozenset({204, 304})
monotonic = time.monotonic


class Answer(NamedTuple):
    """What a server has answered."""

    status: int
    headers: dict[bytes, bytes]
    """By their names in small letters."""
    content: bytes


class Broken(Exception):
    """What came isn't an answer of HTTP, or ended too early; `begun`: something of it had come."""

    def __init__(self, message: str, *, begun: bool = True) -> None:
        super().__init__(message)
        self.begun = begun


class Wire:
    """One connection; one request at a time."""

    __slots__ = ("_file", "_socket", "idle_since")

    def __init__(self, made: socket.socket) -> None:
        self._socket = made
        self._file = cast("BinaryIO", made.makefile("rb"))
        self.idle_since = 0.0

    def send(self, request: bytes) -> bool:
        """Send a request, and tell whether all of it went; who doesn't read it may have answered. Raises `OSError`."""
        try:
            self._socket.sendall(request)
        except ConnectionError:
            return False
        return True

    def limit(self, seconds: float) -> None:
        """Let each wait end after so many seconds."""
        self._socket.settimeout(seconds)

    def receive(self) -> tuple[Answer, bool]:
        """Return the answer, and whether the connection stays open. Raises `OSError` or `Broken`."""
        version, status, headers = self._head()
        while 100 <= status < 200:  # noqa: PLR2004 - "go on", before the answer itself
            version, status, headers = self._head()
        length = headers.get(b"content-length")
        said = headers.get(b"connection", b"").lower()
        if status in BODILESS:
            content = b""
        elif b"chunked" in headers.get(b"transfer-encoding", b"").lower():
            content = b"".join(self._chunks())
        elif length is not None:
            content = self._exactly(number(length, 10))
        else:
            content, said = self._file.read(), b"close"
        return Answer(status, headers, content), version != b"HTTP/1.0" and said != b"close"

    def _head(self) -> tuple[bytes, int, dict[bytes, bytes]]:
        line = self._file.readline(LINE)
        if not line:
            message = "the connection was closed without an answer"
            raise Broken(message, begun=False)
        version, _, rest = line.partition(b" ")
        if not version.startswith(b"HTTP/1.") or not rest[:3].isdigit():
            message = f"{line[:60]!r} is no HTTP"
            raise Broken(message)
        headers: dict[bytes, bytes] = {}
        for _ in range(HEADERS):
            line = self._file.readline(LINE)
            if line in {b"\r\n", b"\n"}:
                return version, int(rest[:3]), headers
            name, colon, value = line.partition(b":")
            if not colon:
                break
            headers[name.lower()] = value.strip()
        message = "the headers of the answer are cut off, or no headers"
        raise Broken(message)

    def _exactly(self, length: int) -> bytes:
        content = self._file.read(length)
        if len(content) < length:
            message = f"the answer has {len(content)} of {length} bytes"
            raise Broken(message)
        return content

    def _chunks(self) -> list[bytes]:
        found: list[bytes] = []
        while length := number(self._file.readline(LINE).partition(b";")[0].strip(), 16):
            found.append(self._exactly(length))
            self._file.readline(LINE)
        while self._file.readline(LINE) not in {b"\r\n", b"\n", b""}:
            pass
        return found

    def usable(self) -> bool:
        """Tell whether an idle connection may be used again: nobody has closed it, or sent what nobody asked for."""
        if monotonic() - self.idle_since > IDLE:
            return False
        try:
            return not readable(self._socket)
        except (OSError, ValueError):  # it is closed
            return False

    def close(self) -> None:
        """Close it."""
        self._file.close()
        self._socket.close()


def readable(made: socket.socket | int) -> bool:
    """Tell whether something has come, or the other side has closed it."""
    if sys.platform == "win32":
        return bool(select.select([made], [], [], 0)[0])
    asked = select.poll()  # select itself can't take a number above 1023
    asked.register(made, select.POLLIN)
    return bool(asked.poll(0))


def number(text: bytes, base: int) -> int:
    """Return how long something is. Raises `Broken`."""
    try:
        found = int(text, base)
    except ValueError:
        found = -1
    if found < 0:
        message = f"{text[:20]!r} is no length of an answer"
        raise Broken(message)
    return found


class Wires:
    """Connections to one server: each thread that asks has one for itself meanwhile.

    A process that was forked makes its own: two would read each other's answers.
    """

    def __init__(self, address: Address) -> None:
        self._address = address
        self._idle: deque[Wire] = deque()
        self._owner = os.getpid()
        self.closed = False

    def take(self, timeout: float) -> Wire:
        """Return a connection that nobody uses, or a new one. Raises `OSError`."""
        if self._owner != os.getpid():
            self._drop()
            self._owner = os.getpid()
        while self._idle:
            try:
                wire = self._idle.pop()
            except IndexError:  # another thread was quicker
                break
            if wire.usable():
                wire.limit(timeout)
                return wire
            wire.close()
        return Wire(self._address.connected(timeout))

    def put(self, wire: Wire) -> None:
        """Give back one that stays open."""
        wire.idle_since = monotonic()
        self._idle.append(wire)
        if self.closed:
            self.close()

    def close(self) -> None:
        """Close all that nobody uses, and those in use as they are given back."""
        self.closed = True
        self._drop()

    def _drop(self) -> None:
        while self._idle:
            try:
                self._idle.pop().close()
            except IndexError:  # another thread was quicker
                return
