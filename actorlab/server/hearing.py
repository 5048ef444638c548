"""Hear a stream of a device for one client of a server: the newest items, and how many it has lost."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any, Final, cast

from actorlab.encoding import text_of_tree
from actorlab.errors import ConfigError, DeviceBusy, NotAllowed
from actorlab.server.broadcast import BEAT
from actorlab.server.conflicts import conflicts_over
from actorlab.server.refusing import Refused
from actorlab.server.relays import MOST, Source
from actorlab.server.stream_items import item_json
from actorlab.server.telling import failure, given

if TYPE_CHECKING:
    from actorlab.server.client_leases import ClientLease
    from actorlab.server.desk import Desk
    from actorlab.server.relays import Form, Relay
    from actorlab.server.stream_items import Sent
    from actorlab.server.tokens import Who

__all__ = ["BUFFER", "Hearing", "named_arguments"]

BUFFER: Final = 16
"""So many items are kept for a client that doesn't say how many."""


class Hearing:
    """One client's place in a stream; `begin` it, ask for `more`, and `leave`."""

    def __init__(self, desk: Desk, buffer: int) -> None:
        self._desk = desk
        self._buffer = min(buffer, MOST)
        self._missed = 0
        self._origin = ""
        self._ended = False
        self.relay: Relay | None = None
        self.place = 0
        self.lost_before = 0
        """How many items the server had lost before this client came."""
        self.left = False

    async def begin(
        self, who: Who, device: str, stream: str, args: list[Any], kwargs: dict[str, Any], form: Form,
        lease: ClientLease | None = None,
    ) -> None:  # fmt: skip
        """Begin to listen; who may command devices also starts the stream, others hear it if it runs.

        In the name of a lease that holds the device, it is the lease's, and ends with it.

        Raises:
            Refused: there is no such stream, the arguments don't fit, or somebody holds the device.
            Exception: as a listener in a program would get it.

        """
        self._origin = f"device {device}"
        await self._desk.offers(device, stream, "stream")
        held = "" if lease is None else lease.lease.id
        source = Source(device, stream, json.dumps([args, kwargs], sort_keys=True), who.may("operator"), form, held)
        try:
            await self._desk.look(self._desk.relays.join, self, source, given(args), given(kwargs), lease)
        except DeviceBusy as error:
            conflicts = conflicts_over(self._desk.lab, [device])
            raise Refused(409, error, self._origin, conflicts=conflicts) from error
        finally:
            if self.relay is None:
                self.leave()

    def leave(self) -> None:
        """Listen no longer."""
        self._desk.relays.leave(self)

    async def more(self) -> tuple[Sent, int] | None:
        """Wait for the next item, and return it with how many were lost so far; None: nothing comes any more.

        Raises:
            TimeoutError: nothing has come for some seconds; it goes on.
            Exception: what has ended the stream.

        """
        relay = self.relay
        assert relay is not None  # noqa: S101 - it has begun
        while True:
            read = relay.channel.read(self.place, 0, self._buffer)
            self.place = read.place
            self._missed += read.missed
            if read.items:
                sent = read.items[0].item
                return sent, self._missed + sent.lost - self.lost_before
            if relay.channel.over:
                if relay.error is not None:
                    raise relay.error
                return None
            async with asyncio.timeout(BEAT):
                await relay.channel.news(self.place)

    async def text(self) -> bytes | None:
        """Wait for the next item, and write it as a server-sent event; what has ended the stream is told as one."""
        if self._ended:
            return None
        told: dict[str, Any] | None = None
        try:
            found = await self.more()
            if found is not None:
                return b"event: item\ndata: %s\n\n" % item_json(*found).encode()
        except TimeoutError:
            return b": nothing new\n\n"
        except Exception as error:  # noqa: BLE001 - the boundary: whoever listens is told
            told = failure(error, self._origin, traces=False)
        self._ended = True
        return b"event: end\ndata: %s\n\n" % text_of_tree({"error": told}).encode()


def named_arguments(text: str, site: str) -> dict[str, Any]:
    """Read arguments from a path; a page of another site may give none, as it could so start a device.

    Raises:
        Refused: they aren't a JSON object, or come from a page of another site.

    """
    if site in {"cross-site", "same-site"}:
        message = "pages of other sites may not listen to devices"
        raise Refused(403, NotAllowed(message))
    try:
        read: Any = json.loads(text)
    except (ValueError, RecursionError) as error:
        message = f"arguments has to be a JSON object: {error}"
        raise Refused(422, ConfigError(message), fields={"query.arguments": message}) from error
    if not isinstance(read, dict):
        message = "arguments has to be a JSON object"
        raise Refused(422, ConfigError(message), fields={"query.arguments": message})
    return cast("dict[str, Any]", read)
