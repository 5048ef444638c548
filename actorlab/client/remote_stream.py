"""Listen to a stream of a device in a lab elsewhere."""

from __future__ import annotations

import json
import struct
import threading
import time
from collections.abc import Generator, Iterator
from typing import TYPE_CHECKING, Any, Final, Self, cast
from weakref import WeakSet

from actorlab.client.connection import error_in
from actorlab.client.held_leases import HEADER, holder_of
from actorlab.encoding import decode, encode, loaded
from actorlab.errors import ServerUnavailable
from actorlab.streams import Item, checked_buffer

if TYPE_CHECKING:
    from types import TracebackType

    from actorlab.client.connection import Connection
    from actorlab.client.held_leases import Held
    from actorlab.client.live_connection import LiveConnection

__all__ = ["RemoteStream"]

BUFFER: Final = 16
AWAY: Final = 30.0
SILENT: Final = 120.0
"""A server pings every 30 seconds: after so many without a word the connection is lost."""
FIRST_WAIT: Final = 0.05
LONGEST_WAIT: Final = 2.0
monotonic = time.monotonic


class RemoteStream:
    """Listen to a stream by ``for``: items with `value`, `time`, `sequence` and `dropped`; arrays come as arrays.

    Each loop has a buffer of its own at the server, in which the newest win, and begins with the loop. If the
    connection is lost, it is made anew. Leaving the loop ends the listening; `close` ends all loops, from any thread.

    Raises `ServerUnavailable` in the loop when the server was away for 30 seconds, and what else ends the stream.
    """

    def __init__(
        self, connection: Connection, device: str, stream: str, args: Any, kwargs: Any, buffer: int = BUFFER,
        lease: Held | None = None,
    ) -> None:  # fmt: skip
        self._connection = connection
        self._lease = lease
        self._asked = (device, stream, args, kwargs)
        self._buffer = checked_buffer(buffer)
        self._hearing: WeakSet[Hearing] = WeakSet()

    def buffered(self, items: int) -> RemoteStream:
        """Return the same stream with a buffer of so many items, at most 1000."""
        return RemoteStream(self._connection, *self._asked, items, self._lease)

    def __iter__(self) -> Iterator[Item[Any]]:
        device, stream, args, kwargs = self._asked
        lease = self._lease or holder_of(self._connection, device)
        asked = {
            "id": 0, "subscribe": "stream", "device": device, "stream": stream, "buffer": self._buffer,
            "args": encode(list(args), "args"), "kwargs": encode(dict(kwargs), "kwargs"),
            **({} if lease is None else {"lease": lease.headers[HEADER]}),
        }  # fmt: skip
        hearing = Hearing(self._connection, json.dumps(asked))
        self._hearing.add(hearing)
        return hearing.items()

    def close(self) -> None:
        """End all loops over this object."""
        for hearing in list(self._hearing):
            hearing.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<stream {self._asked[0]}.{self._asked[1]} at {self._connection.url}>"


class Hearing:
    """One loop over a stream."""

    def __init__(self, connection: Connection, asked: str) -> None:
        self._connection = connection
        self._asked = asked
        self._closed = threading.Event()
        self._live: LiveConnection | None = None
        self._lost: float | None = None
        self._wait = FIRST_WAIT
        self._dropped = 0
        self._before = 0
        self._expected: int | None = None

    def close(self) -> None:
        """End it, from any thread."""
        self._closed.set()
        live = self._live
        if live is not None:
            live.cut()

    def items(self) -> Generator[Item[Any]]:
        """Yield the items, over one connection after the other."""
        while not self._closed.is_set():
            try:
                yield from self._heard()
            except ServerUnavailable as error:
                self._wait_for_server(error)
            else:
                return

    def _heard(self) -> Generator[Item[Any]]:
        """Yield the items that come over one connection."""
        from actorlab.client.live_connection import LiveConnection  # noqa: PLC0415 - it takes a while, as httpx does

        live = self._live = LiveConnection(self._connection, "/live")
        try:
            live.say(self._asked)
            while (item := self._next(live)) is not None:
                self._lost, self._wait = None, FIRST_WAIT
                yield item
        finally:
            live.close()

    def _wait_for_server(self, error: ServerUnavailable) -> None:
        """Wait a moment, unless there never was a server, or it was away for too long."""
        now = monotonic()
        self._lost = now if self._lost is None else self._lost
        if not self._closed.is_set() and (self._live is None or now - self._lost >= AWAY):
            raise error
        self._before = self._dropped
        self._closed.wait(self._wait)
        self._wait = min(2 * self._wait, LONGEST_WAIT)

    def _next(self, live: LiveConnection) -> Item[Any] | None:
        """Wait for the next item; None: nothing comes any more."""
        while True:
            told, body = taken_apart(live.hear(SILENT))
            if "item" in told:
                return self._item(told["item"], body)
            found = told.get("error")
            if found is not None:
                raise error_in(found, f"told by {self._connection.url}")
            if told.get("ended"):
                return None

    def _item(self, told: dict[str, Any], body: bytes | None) -> Item[Any]:
        value = decode(told["value"], resolve=loaded) if body is None else array_of(told, body)
        sequence: int = told["sequence"]
        if self._expected is not None and self._lost is not None:  # those that came while there was no connection
            self._before += max(0, sequence - self._expected)
        self._expected = sequence + 1
        self._dropped = self._before + told["dropped"]
        return Item(value, told["time"], monotonic(), sequence, self._dropped)


def array_of(told: dict[str, Any], body: bytes) -> Any:
    """Return an array, by what is said of it and its bytes; it may be changed."""
    import numpy as np  # noqa: PLC0415 - it takes longer than all else, and is there where arrays are heard

    return np.frombuffer(bytearray(body), told["dtype"]).reshape(told["shape"])


def taken_apart(message: str | bytes) -> tuple[dict[str, Any], bytes | None]:
    """Return what a message says, and the bytes of an array that come with it.

    Raises:
        ServerUnavailable: it can't be read.

    """
    try:
        if isinstance(message, str):
            return as_dict(json.loads(message)), None
        (length,) = struct.unpack_from(">I", message)
        return as_dict(json.loads(message[4 : 4 + length])), message[4 + length :]
    except (ValueError, TypeError, struct.error) as error:
        text = "the server tells an item that can't be read: is it a lab's server?"
        raise ServerUnavailable(text) from error


def as_dict(read: Any) -> dict[str, Any]:
    """Return what is a JSON object. Raise `TypeError` if it isn't."""
    if not isinstance(read, dict):
        raise TypeError
    return cast("dict[str, Any]", read)
