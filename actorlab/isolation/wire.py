"""Carry requests and answers between the lab and a driver's process: one message at a time, large ones in memory."""

from __future__ import annotations

import pickle
import socket
import struct
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Final

from actorlab.isolation.memory import SLOTS, Slots, as_bytes, chunks_of, new_bytes
from actorlab.isolation.packing import LARGE, pack

__all__ = ["HEADER", "MESSAGE", "PLAIN", "Frame", "Wire"]

HEADER: Final = struct.Struct("=IB")
"""In front of what is sent: how many bytes follow, and of what kind."""
PLAIN: Final = 0
"""What is sent most: a call of a known member, and the value that it returns."""
MESSAGE: Final = 1
"""One of the classes in `messages`."""
IN_MEMORY: Final = 2
"""Added to the kind: only the sizes follow; the pickle and its large buffers go through the shared memory."""
BEGIN: Final = HEADER.size
ROOM: Final = LARGE - BEGIN
SIZE: Final = struct.Struct("=Q")
MARK: Final = b"."
"""From the sender: one more slot is full; from the receiver: one more is empty."""

Frame = tuple[bytes, Sequence[Any]]
"""What is sent: bytes, and pieces for the shared memory."""


class Wire:
    """One end of a connection on which each message waits for its answer; both ends pickle and unpickle here."""

    def __init__(self, sock: socket.socket, outgoing: Slots, incoming: Slots) -> None:
        self._sock = sock
        self._outgoing = outgoing
        self._incoming = incoming

    # -- sending

    def frame(self, kind: int, value: Any) -> Frame:
        """Pickle a value so that it can be sent; it is the last moment at which that can fail.

        Raises:
            Exception: the value can't be pickled, for whatever reason of its own.

        """
        large: list[pickle.PickleBuffer] = []
        body = pack(value, large)
        if not large and len(body) < ROOM:
            return HEADER.pack(len(body), kind) + body, ()
        self._outgoing.open()
        pieces = [as_bytes(buffer.raw()) for buffer in large]
        if len(body) >= ROOM:
            pieces.append(as_bytes(body))
            body = b""
        sizes = b"".join([SIZE.pack(size) for size in (len(pieces), *map(len, pieces))])
        return HEADER.pack(len(sizes) + len(body), kind | IN_MEMORY) + sizes + body, pieces

    def send(self, frame: Frame) -> None:
        """Send a frame.

        Raises:
            OSError: nobody is there any more.

        """
        data, pieces = frame
        self._sock.sendall(data)
        if pieces:
            self._fill_slots(pieces)

    def _fill_slots(self, pieces: Sequence[Any]) -> None:
        slots, empty = self._outgoing.open(), SLOTS
        for slot, piece, begin, end in chunks_of([len(piece) for piece in pieces]):
            if not empty:
                empty = self._marks()
            slots[slot][: end - begin] = pieces[piece][begin:end]
            self._sock.sendall(MARK)
            empty -= 1

    def _marks(self) -> int:
        """Wait for marks of the other side, and count them."""
        marks = len(self._sock.recv(SLOTS))
        if not marks:
            text = "the other side is gone"
            raise ConnectionResetError(text)
        return marks

    # -- receiving

    def receive(self) -> tuple[int, Any] | None:
        """Wait for a frame, and return its kind and what `load` needs; None: nobody is there any more."""
        try:
            data = self._sock.recv(LARGE)
            while len(data) < BEGIN or len(data) < BEGIN + HEADER.unpack_from(data)[0]:
                more = self._sock.recv(LARGE)
                if not data or not more:
                    return None
                data += more
            kind = data[4]
            if not kind & IN_MEMORY:
                return kind, data[BEGIN:]
            end = BEGIN + HEADER.unpack_from(data)[0]
            return kind, self._empty_slots(data[BEGIN:end], len(data) - end)
        except ConnectionError:
            return None

    def _empty_slots(self, told: bytes, full: int) -> list[Any] | None:
        """Return the pickle and its buffers, or None if there is no memory; so many slots are full already."""
        count = SIZE.unpack_from(told)[0]
        sizes = [SIZE.unpack_from(told, SIZE.size * number)[0] for number in range(1, count + 1)]
        pieces: list[Any] | None = None
        with suppress(MemoryError):
            pieces = [new_bytes(size) for size in sizes]
        slots, chunks = self._incoming.open(), chunks_of(sizes)
        for number, (slot, piece, begin, end) in enumerate(chunks, 1):
            if not full:
                full = self._marks()
            full -= 1
            if pieces is not None:
                pieces[piece][begin:end] = slots[slot][: end - begin]
            if number <= len(chunks) - SLOTS:  # of the last ones nobody waits to hear
                self._sock.sendall(MARK)
        body = told[SIZE.size * (count + 1) :]
        if pieces is None:
            return None
        return [body or pieces.pop(), *pieces]  # a large pickle comes last

    def load(self, kind: int, body: Any) -> Any:
        """Return the value in a frame.

        Raises:
            Exception: it can't be unpickled, for whatever reason of its own.

        """
        if not kind & IN_MEMORY:
            return pickle.loads(body)  # noqa: S301 - from the other side of our own socket
        if body is None:
            text = "there is no memory for it"
            raise MemoryError(text)
        return pickle.loads(body[0], buffers=body[1:])  # noqa: S301 - the same

    # -- its end

    def shutdown(self) -> None:
        """Wake whoever waits, on both sides; from any thread."""
        with suppress(OSError):  # it is closed already
            self._sock.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Close everything."""
        self._sock.close()
        self._outgoing.close()
        self._incoming.close()
