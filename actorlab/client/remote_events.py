"""Hear what happens in a lab elsewhere, also after the connection to it was lost for a while."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, Self

from actorlab.client.sse import Message, Reader
from actorlab.core.backlog import Event
from actorlab.errors import ServerUnavailable

if TYPE_CHECKING:
    from types import TracebackType

    from actorlab.client.connection import Connection
    from actorlab.client.endless import Endless

__all__ = ["AWAY", "RECONNECTED", "RemoteEvents", "chosen"]

RECONNECTED: Final = "reconnected"
"""The kind of the event which says that the connection was lost, and is there again."""
END: Final = "end"
AWAY: Final = 30.0
SILENT: Final = 45.0
"""A server says something every 15 seconds: after so many without a word the connection is lost."""
FIRST_WAIT: Final = 0.05
LONGEST_WAIT: Final = 2.0
monotonic = time.monotonic


class RemoteEvents:
    """What happens in a lab elsewhere: a snapshot first, then every change, until that lab has closed.

    If the connection is lost, it is made anew: an event of the kind "reconnected" says so, and what happened meanwhile
    follows. If the server doesn't keep all of that any more, an event of the kind "gap" comes, and a new snapshot.

    It listens from when it is made. Iterate over it in one thread; `close` ends it from any.

    Raises `ServerUnavailable` when the server was away for longer than `away` seconds.
    """

    def __init__(
        self,
        connection: Connection,
        path: str,
        query: dict[str, Any],
        *,
        away: float = AWAY,
        last_id: str = "",
        is_last: Callable[[Event], bool] | None = None,
    ) -> None:
        self._connection = connection
        self._path = path
        self._query = query
        self._away = away
        self._is_last = is_last
        self._closed = threading.Event()
        self._answer: Endless | None = None
        self._lost: float | None = None
        self._wait = FIRST_WAIT
        self.last_id = last_id
        """The id of the last event, from which another program could go on."""
        self._events = self._heard()
        next(self._events)  # it listens from now on

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Event:
        """Return the next event, when it is there.

        Raises:
            StopIteration: none comes any more.
            ServerUnavailable: the server was away for too long.

        """
        while True:
            event = next(self._events)
            if event is not None:
                return event

    def close(self) -> None:
        """Hear no more; who waits for an event finds that there is none."""
        self._closed.set()
        answer = self._answer
        if answer is not None:
            answer.cut()
        with suppress(ValueError):  # another thread waits for an event: it hears of it
            self._events.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _heard(self) -> Generator[Event | None]:
        """Yield what happens, over one connection after the other, and None when it listens."""
        while not self._closed.is_set():
            error: ServerUnavailable | None = None
            try:
                for event in self._once():
                    yield event
                    if event is not None and self._ends(event):
                        return
            except ServerUnavailable as caught:
                error = caught
            self._wait_for_server(error)

    def _ends(self, event: Event) -> bool:
        return event.kind == END or (self._is_last is not None and self._is_last(event))

    def _once(self) -> Generator[Event | None]:
        """Yield what happens, as long as one connection lasts, and None when it listens."""
        from actorlab.client.endless import endless  # noqa: PLC0415 - httpx takes a while, and many hear no events

        with endless(self._connection, self._path, self._query, self.last_id, SILENT) as answer:
            self._answer = answer
            if self._lost is not None:
                yield own_event(RECONNECTED, after=monotonic() - self._lost)
            self._lost, self._wait = None, FIRST_WAIT
            yield None
            yield from self._read(answer)

    def _wait_for_server(self, error: ServerUnavailable | None) -> None:
        """Wait a moment, unless there never was a server, or it was away for too long."""
        now = monotonic()
        self._lost = now if self._lost is None else self._lost
        if not self._closed.is_set() and (self._answer is None or now - self._lost >= self._away):
            raise self._unavailable(error) from error
        self._closed.wait(self._wait)
        self._wait = min(2 * self._wait, LONGEST_WAIT)

    def _read(self, answer: Endless) -> Iterator[Event]:
        reader = Reader()
        for piece in answer.pieces():
            for message in reader.feed(piece):
                self.last_id = message.id or self.last_id
                if message.data:
                    yield event_of(message)

    def _unavailable(self, error: ServerUnavailable | None) -> ServerUnavailable:
        why = f"{self._connection.url} has ended {self._path}" if error is None else str(error)
        tried = "" if self._answer is None else f"; it was tried for {self._away:g} s"
        return ServerUnavailable(f"{why}{tried}")


def chosen(what: str, names: Iterable[str] | None) -> dict[str, list[str]]:
    """Return what chooses by names, if there is a choice; a single one may stand for itself."""
    return {} if names is None else {what: [names] if isinstance(names, str) else list(names)}


def event_of(message: Message) -> Event:
    """Return the event that a message tells.

    Raises:
        ServerUnavailable: it tells none: this is no lab's server.

    """
    try:
        told = json.loads(message.data)
        return Event(told["sequence"], told["time"], told["subject"], told["kind"], told["data"])
    except (ValueError, KeyError, TypeError) as error:
        text = f"the server tells an event that can't be read: {message.data[:200]!r}"
        raise ServerUnavailable(text) from error


def own_event(kind: str, **data: Any) -> Event:
    """Make an event of the client's own."""
    return Event(0, time.time(), "client", kind, data)
