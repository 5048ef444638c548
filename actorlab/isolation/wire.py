"""Carry requests and answers between the lab and a driver's process: one message at a time, large ones in memory."""

from __future__ import annotations

import pickle
import socket
import struct
from typing import Any, Final

from actorlab.isolation.memory import Area
from actorlab.isolation.packing import LARGE, pack

__all__ = ["HEADER", "MESSAGE", "PLAIN", "Wire"]

HEADER: Final = struct.Struct("=IB")
"""In front of what is sent: how many bytes follow, and of what kind."""
PLAIN: Final = 0
"""What is sent most: a call of a known member, and the value that it returns."""
MESSAGE: Final = 1
"""One of the classes in `messages`."""
IN_MEMORY: Final = 2
"""Added to the kind: only the sizes follow, the pickle and its large buffers lie in the shared memory."""
BEGIN: Final = HEADER.size
ROOM: Final = LARGE - BEGIN
SIZE: Final = struct.Struct("=Q")


class Wire:
    """One end of a connection on which each message waits for its answer; both ends pickle and unpickle here."""

    def __init__(self, sock: socket.socket, outgoing: Area, incoming: Area) -> None:
        self._sock = sock
        self._outgoing = outgoing
        self._incoming = incoming

    def frame(self, kind: int, value: Any) -> bytes:
        """Make the bytes to be sent for a value; it is the last moment at which it can fail.

        Raises:
            Exception: the value can't be pickled, for whatever reason of its own.

        """
        large: list[pickle.PickleBuffer] = []
        body = pack(value, large)
        if large or len(body) >= ROOM:
            sizes = self._outgoing.write([body, *(buffer.raw() for buffer in large)])
            kind |= IN_MEMORY
            body = b"".join([SIZE.pack(size) for size in sizes])
        return HEADER.pack(len(body), kind) + body

    def send(self, frame: bytes) -> None:
        """Send a frame.

        Raises:
            OSError: nobody is there any more.

        """
        self._sock.sendall(frame)

    def receive(self) -> tuple[int, bytes] | None:
        """Wait for a frame, and return its kind and body; None says that nobody is there any more."""
        try:
            data = self._sock.recv(LARGE)
            while len(data) < BEGIN or len(data) < BEGIN + HEADER.unpack_from(data)[0]:
                more = self._sock.recv(LARGE)
                if not data or not more:
                    return None
                data += more
        except ConnectionError:
            return None
        return data[4], data[BEGIN:]

    def load(self, kind: int, body: bytes) -> Any:
        """Return the value in the body of a frame.

        Raises:
            Exception: it can't be unpickled, for whatever reason of its own.

        """
        if kind & IN_MEMORY:
            return self._incoming.load([size for (size,) in SIZE.iter_unpack(body)])
        return pickle.loads(body)  # noqa: S301 - from the other side of our own socket

    def shutdown(self) -> None:
        """Wake whoever waits, on both sides; from any thread."""
        try:
            self._sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            return  # it is closed already

    def close(self) -> None:
        """Close everything."""
        self._sock.close()
        self._outgoing.close()
        self._incoming.close()
