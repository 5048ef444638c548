"""Tell what happens in a lab to all clients of its server: heard once, written once, and kept once for a while."""

from __future__ import annotations

import asyncio
import logging
import secrets
import threading
import time
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

from actorlab.core.backlog import Event
from actorlab.errors import ServerUnavailable
from actorlab.server.channel import Channel
from actorlab.server.refusing import Refused
from actorlab.server.telling import event_text

if TYPE_CHECKING:
    from actorlab.runtime.events import Subscription
    from actorlab.runtime.lab import Lab

__all__ = ["BEAT", "Broadcast", "Told", "own_told"]

MOST: Final = 20_000
"""So many events are kept for those who come back, and for those who are slow."""
ROOM: Final = 32 * 1024 * 1024
"""So many bytes they may have."""
BESIDE: Final = 300
"""What an event needs beside its text."""
BUFFER: Final = 10_000
CLIENTS: Final = 2000
"""So many may listen at a time."""
TURN: Final = 5000
"""So many events at most are written before all who listen are woken."""
BEAT: Final = 15.0
"""After so many seconds without an event a comment is sent, so that whoever is between doesn't close the stream."""
LINGER: Final = 60.0
"""For so many seconds it is heard on when nobody listens: who lost a connection comes back by then."""
REST: Final = 0.003
"""While much happens, what comes within so many seconds is told together: each time costs the lab some of its time."""
PATIENCE: Final = 10.0
DIGITS: Final = 20
monotonic = time.monotonic
log = logging.getLogger("actorlab.server")


class Client(Protocol):
    """One who listens, and whether he has left."""

    left: bool


class Told(NamedTuple):
    """An event as it is sent: its JSON begins at `begin` of the text of the server-sent event."""

    number: int
    subject: str
    kind: str
    text: bytes
    begin: int

    @property
    def json(self) -> bytes:
        """Return the event as JSON."""
        return self.text[self.begin : -2]


class Stood(NamedTuple):
    """A snapshot: the number of the last change that is in it, when it was asked for, and how all stood."""

    number: int
    taken: float
    told: list[Told]


class Broadcast:
    """One ear for all clients of a server; it listens while there are any, and some time longer.

    An event's id names the server's life: the numbers of another one mean nothing here.
    """

    def __init__(self, lab: Lab, most: int = MOST, room: int = ROOM) -> None:
        self._lab = lab
        self._most = most
        self._room = room
        self.life = secrets.token_hex(6)
        # Clients come and go in several loops and threads; it is held while one begins to listen, never while waiting
        # for a device.
        self._lock = threading.Lock()
        self._subscription: Subscription | None = None
        self._channel: Channel[Told] | None = None
        self._stood: Stood | None = None
        self._clients: set[Client] = set()
        self._left = 0.0
        self._stopped = threading.Event()

    @property
    def clients(self) -> int:
        """Return how many listen."""
        return len(self._clients)

    @property
    def told_so_far(self) -> int:
        """Return how many events were told since it began to listen."""
        return 0 if self._channel is None else self._channel.end_place

    @property
    def size(self) -> int:
        """Return how many bytes of events are kept."""
        return 0 if self._channel is None else self._channel.size

    # -- clients

    def join(self, client: Client) -> Channel[Told]:
        """Return what is told to one more who listens; in a thread that may wait for the deciding one.

        Raises:
            Refused: the lab has closed, the server stops, or too many listen.

        """
        with self._lock:
            if self._stopped.is_set() or self._lab.ending.over:
                message = "the server stops" if self._stopped.is_set() else "the lab has closed"
                raise Refused(503, ServerUnavailable(message))
            if len(self._clients) >= CLIENTS:
                message = f"{CLIENTS} clients listen already, and the server takes no more: try again later"
                raise Refused(503, ServerUnavailable(message))
            channel = self._channel
            if channel is None or channel.over:
                channel = self._begin()
            self._clients.add(client)
            if client.left:  # while it was waited for
                self._clients.discard(client)
            return channel

    def leave(self, client: Client) -> None:
        """Forget one who listened; from an event loop, so it waits for nobody."""
        client.left = True
        self._left = monotonic()
        self._clients.discard(client)

    async def told_all(self, seconds: float) -> None:
        """Wait at most some seconds until those who listen have all been told that a closed lab is closed."""
        until = monotonic() + seconds
        while self._clients and monotonic() < until:  # noqa: ASYNC110 - clients leave in many ways
            await asyncio.sleep(REST)

    def end(self) -> None:
        """End it for all, for good."""
        self._stopped.set()
        if self._subscription is not None:
            self._subscription.close()
        if self._channel is not None:
            self._channel.end()

    def place_after(self, channel: Channel[Told], event_id: str) -> int | None:
        """Return the place after an event, by its id; None: not all that followed is kept, or it is nobody's id."""
        number = self.number_in(event_id)
        return None if number is None else channel.after(number)

    def number_in(self, event_id: str) -> int | None:
        """Return the number of an event of this life, by its id."""
        life, _, number = event_id.rpartition("-")
        ours = life == self.life and number.isascii() and number.isdecimal() and len(number) <= DIGITS
        return int(number) if ours else None

    def snapshot(self, channel: Channel[Told]) -> tuple[int, Stood]:
        """Return how all stands, and the place of what follows; in a thread that may wait for the deciding one.

        What was decided before may still be told after that place: its number says so. Those who ask while one is
        taken share the next one: nobody gets one from before he asked.
        """
        asked = monotonic()
        with self._lock:
            while True:
                stood = self._stood
                place = None if stood is None else channel.following(stood.number)
                if stood is not None and place is not None and stood.taken >= asked:
                    return place, stood
                self._stood = self._look()

    def id_of(self, number: int) -> str:
        """Return the id of an event of this number."""
        return f"{self.life}-{number}"

    def _look(self) -> Stood:
        begun = monotonic()
        found = self._lab.events.snapshot(PATIENCE)
        told = [self.told(event, event.data["of"], numbered=False) for event in found.events]
        return Stood(found.sequence, begun, told)

    def told(self, event: Event, chosen_by: str, *, numbered: bool = True) -> Told:
        """Write an event; only those after which one can come back have an id."""
        return as_told(event, chosen_by, self.id_of(event.sequence) if numbered else "")

    # -- what happens

    def _begin(self) -> Channel[Told]:
        subscription = self._lab.events.subscribe(buffer=BUFFER, snapshot=False)
        try:
            floor = self._lab.events.snapshot(PATIENCE).sequence
        except BaseException:
            subscription.close()
            raise
        channel: Channel[Told] = Channel(self._most, self._room, floor)
        self._subscription, self._channel, self._stood = subscription, channel, None
        self._left = monotonic()
        threading.Thread(
            target=self._tell, args=(subscription, channel, floor), name="actorlab server: events", daemon=True
        ).start()
        return channel

    def _tell(self, subscription: Subscription, channel: Channel[Told], floor: int) -> None:
        """Pass on what happens, until nobody listens any more; the thread's own."""
        said_all = False
        try:
            while self._is_wanted() and not said_all:
                said_all = not self._pass_on(subscription, channel, floor)
                channel.wake()
                self._stopped.wait(REST)
        except Exception:
            log.exception("what happens in lab %s can't be told any more", self._lab.name)
        finally:
            subscription.close()
            channel.end(said_all=said_all and not self._stopped.is_set())

    def _pass_on(self, subscription: Subscription, channel: Channel[Told], floor: int) -> bool:
        """Wait for events, and write those that are there; tell whether more may come."""
        event = subscription.get(BEAT)
        if event is None:
            return not subscription.closed
        for _ in range(TURN):
            if event.sequence > floor:
                told = self.told(event, event.kind)
                channel.put(event.sequence, told, len(told.text) + BESIDE)
            event = subscription.get(0)
            if event is None:
                break
        return True

    def _is_wanted(self) -> bool:
        """Tell whether somebody listens, or may come back."""
        with self._lock:
            if self._stopped.is_set():
                return False
            if not self._clients and self._left + LINGER < monotonic():
                self._channel = self._subscription = None
                return False
            return True


def as_told(event: Event, chosen_by: str, event_id: str = "") -> Told:
    """Write an event."""
    head = f"id: {event_id}\n" if event_id else ""
    before = f"{head}event: {event.kind}\ndata: ".encode()
    return Told(event.sequence, event.subject, chosen_by, before + event_text(event) + b"\n\n", len(before))


def own_told(kind: str, **data: object) -> Told:
    """Make an event of the server itself: it has no number."""
    return as_told(Event(0, time.time(), "server", kind, data), kind)
