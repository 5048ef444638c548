"""Hear each stream of a device once for all clients of a server that want it, and write each item once."""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple, Protocol, TypeAlias

from actorlab.errors import Cancelled, LeaseLost, NotLeased, ServerUnavailable
from actorlab.server.channel import Channel
from actorlab.server.client_leases import within
from actorlab.server.refusing import Refused
from actorlab.server.stream_items import Sent, as_binary, as_json

if TYPE_CHECKING:
    from collections.abc import Iterator

    from actorlab.runtime.lab import Lab
    from actorlab.server.client_leases import ClientLease
    from actorlab.streams import Item, Stream

__all__ = ["MOST", "Form", "Relay", "Relays", "Source"]

Form: TypeAlias = Literal["json", "binary"]
MOST: Final = 1000
"""So many items of a stream are kept for slow clients."""
ROOM: Final = 64 * 1024 * 1024
"""So many bytes they may have."""
BESIDE: Final = 300
"""What an item needs beside its text."""
STREAMS: Final = 64
"""So many streams may be heard at a time: each has a thread."""
log = logging.getLogger("actorlab.server")


class Client(Protocol):
    """One who listens: where he is, and whether he has left."""

    relay: Relay | None
    place: int
    lost_before: int
    left: bool


class Source(NamedTuple):
    """What is to be heard: the stream of a device with some arguments, as text; and whether it may be started."""

    device: str
    stream: str
    arguments: str
    starts: bool
    form: Form
    lease: str = ""
    """The lease in whose name it is listened to, if that is one's."""


class Relay:
    """One stream that is heard for some clients, in a thread of its own."""

    def __init__(self, source: Source, stream: Stream[Any]) -> None:
        self.source = source
        self.channel: Channel[Sent] = Channel(MOST, ROOM)
        self.lost = 0
        """How many items the server itself has lost so far."""
        self.error: BaseException | None = None
        """What has ended it."""
        self.clients: set[object] = set()
        self._stream = stream
        self._items: Iterator[Item[Any]] = iter(stream)
        self._write = as_binary if source.form == "binary" else as_json
        name = f"actorlab server: {source.device}.{source.stream}"
        threading.Thread(target=self._hear, name=name, daemon=True).start()

    def close(self) -> None:
        """Hear no more; from any thread."""
        self._stream.close()

    def _hear(self) -> None:
        try:
            for item in self._items:
                sent = self._write(item, f"{self.source.device}.{self.source.stream}")
                self.lost = item.dropped
                self.channel.put(item.sequence, sent, sent.size + BESIDE)
                self.channel.wake()
        except (Cancelled, NotLeased) as ended:
            self.error = LeaseLost(f"the lease has ended, and with it what was listened to in its name: {ended}")
        except Exception as error:  # noqa: BLE001 - the boundary of the thread: it goes to those who listen
            self.error = error
        finally:
            self.channel.end(said_all=True)


class Relays:
    """The streams that are heard for the clients of a server: each as long as somebody wants it."""

    def __init__(self, lab: Lab) -> None:
        self._lab = lab
        # Clients come and go in several threads; it is held while a stream begins, for which no device is waited for.
        self._lock = threading.Lock()
        self._relays: dict[Source, Relay] = {}
        self._stopped = False

    @property
    def heard(self) -> int:
        """Return how many streams are heard."""
        return len(self._relays)

    def told(self, device: str, stream: str) -> int:
        """Return how many items of a stream were heard so far."""
        found = [relay for relay in list(self._relays.values()) if relay.source[:2] == (device, stream)]
        return max((relay.channel.end_place for relay in found), default=0)

    def join(
        self, client: Client, source: Source, args: list[Any], kwargs: dict[str, Any], lease: ClientLease | None = None
    ) -> None:
        """Let one more listen, and begin the stream if it isn't heard yet; in a thread that may wait.

        Raises:
            Refused: the server stops, or hears too many streams.
            Exception: as a listener in a program would get it.

        """
        with self._lock:
            relay = self._relays.get(source)
            begun = relay is not None and not relay.channel.over
            if relay is None or not begun:
                self._relays.pop(source, None)
                self._check_room()
                with within(lease):
                    relay = self._relays[source] = Relay(source, stream_of(self._lab, source, args, kwargs))
            relay.clients.add(client)
            client.place = relay.channel.end_place if begun else 0
            client.lost_before = relay.lost if begun else 0
            client.relay = relay
            gone = client.left
        if gone:  # while it was waited for
            self.leave(client)

    def leave(self, client: Client) -> None:
        """Let one go; the stream ends with the last one. It waits for no device."""
        client.left = True
        with self._lock:
            relay = client.relay
            if relay is None:
                return
            relay.clients.discard(client)
            if not relay.clients:
                relay.close()
                if self._relays.get(relay.source) is relay:
                    del self._relays[relay.source]

    def end(self) -> None:
        """End all, for good; whoever begins one just now has it ended by its client's leaving."""
        self._stopped = True
        for relay in list(self._relays.values()):
            relay.close()

    def _check_room(self) -> None:
        if self._stopped:
            message = "the server stops"
            raise Refused(503, ServerUnavailable(message))
        if len(self._relays) >= STREAMS:
            message = f"the server hears {STREAMS} streams for its clients, and takes no more: try again later"
            raise Refused(503, ServerUnavailable(message))


def stream_of(lab: Lab, source: Source, args: list[Any], kwargs: dict[str, Any]) -> Stream[Any]:
    """Return the stream; nothing begins yet.

    Raises:
        Refused: the arguments don't fit.

    """
    method = getattr(lab.device(source.device), source.stream)
    make = method if source.starts else method.if_it_runs
    try:
        found: Stream[Any] = make(*args, **kwargs)
    except (TypeError, ValueError) as error:
        where = f"{source.device}.{source.stream}"
        raise Refused(422, error, f"device {source.device}", fields={where: str(error)}) from error
    return found
