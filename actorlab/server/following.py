"""Follow what happens in a lab for one client: from where it was, or from a snapshot, on and on."""

from __future__ import annotations

import time
from collections import deque
from functools import cached_property
from typing import TYPE_CHECKING, Final, NamedTuple

from actorlab.core.backlog import GAP, SNAPSHOT
from actorlab.runtime.feed import choice
from actorlab.server.broadcast import BEAT, Told, own_told

if TYPE_CHECKING:
    from actorlab.server.channel import Channel
    from actorlab.server.desk import Desk

__all__ = ["END", "Following", "Part"]

CHUNK: Final = 64 * 1024
"""So many bytes of events are sent at one time."""
END: Final = "end"
"""The kind of the last event: the lab has closed."""
UNKNOWN: Final = "this id is none of this server's: it was started anew since, or another one gave the id"
TOO_OLD: Final = "more has happened since than is kept"
monotonic = time.monotonic


class Part:
    """Some events to be sent together, and the id after which one can go on.

    Where it `stands`, that is no event's own id: all that happened up to it has been told, or isn't wanted.
    """

    def __init__(self, told: list[Told], event_id: str | None = None, *, stands: bool = False) -> None:
        self.told = told
        self.event_id = event_id
        self.stands = stands

    @cached_property
    def text(self) -> bytes:
        """Return them as server-sent events, and an id alone after a snapshot, or when nothing happens."""
        text = b"".join([told.text for told in self.told])
        return text if not self.stands else b"%s: so far\nid: %s\n\n" % (text, (self.event_id or "").encode())

    @cached_property
    def json(self) -> str:
        """Return them as a JSON array."""
        return f"[{b','.join([told.json for told in self.told]).decode()}]"


class News(NamedTuple):
    """What follows on a place: a part, if something of it is wanted, the place after it, and how many were missed."""

    part: Part | None
    place: int
    missed: int


class Following:
    """One client's place in what happens, and what it wants of it; `begin` it, ask for `more`, and `leave`."""

    def __init__(self, desk: Desk, kinds: list[str] | None, subjects: list[str] | None) -> None:
        self._desk = desk
        self._wanted = choice(kinds, subjects)
        self._wants = (frozenset(kinds or ()), kinds is None, frozenset(subjects or ()), subjects is None)
        self._channel: Channel[Told]
        self._place = 0
        self._known = 0
        """What has a number up to this one was in the snapshot."""
        self._parts: deque[Part] = deque()
        self._sent = monotonic()
        self._ended = False
        self.left = False

    async def begin(self, last_id: str | None = None) -> None:
        """Begin after the event with an id, if all that followed on it is kept, or else with a snapshot."""
        broadcast = self._desk.broadcast
        self._channel = await self._desk.look(broadcast.join, self)
        place = None if last_id is None else broadcast.place_after(self._channel, last_id)
        if place is not None:
            self._place = place
            return
        ours = last_id is not None and last_id.startswith(f"{broadcast.life}-")
        await self._stand("" if last_id is None else TOO_OLD if ours else UNKNOWN)

    def leave(self) -> None:
        """Want no more."""
        self._desk.broadcast.leave(self)

    async def more(self) -> Part | None:
        """Wait for what is to be sent next; None: nothing comes any more."""
        while not self._parts:
            if self._ended:
                return None
            await self._channel.news(self._place)
            await self._look()
        self._sent = monotonic()
        return self._parts.popleft()

    async def _look(self) -> None:
        """See what is new."""
        channel = self._channel
        news = channel.alike((self._place, self._known, self._wants), self._news)
        if news.missed:
            await self._stand(TOO_OLD, news.missed)
            return
        ended = channel.over and news.place == self._place
        self._place = news.place
        if news.part is not None:
            self._parts.append(news.part)
        elif ended:
            self._ended = True
            if channel.said_all:
                self._parts.append(Part([own_told(END, why="the lab has closed")]))
        elif self._sent + BEAT <= monotonic():
            self._parts.append(Part([], self._desk.broadcast.id_of(channel.newest), stands=True))

    def _news(self) -> News:
        read = self._channel.read(self._place, CHUNK)
        wanted = self._wanted
        told = [kept.item for kept in read.items if kept.number > self._known]
        if wanted is not None:
            told = [one for one in told if one.kind == GAP or wanted(one.subject, one.kind)]
        part = Part(told, self._desk.broadcast.id_of(told[-1].number)) if told else None
        return News(part, read.place, read.missed)

    async def _stand(self, why: str, missed: int | None = None) -> None:
        """Tell how all stands, and go on from there; if something is missing before it, a gap says so, and why."""
        self._place, stood = await self._desk.look(self._desk.broadcast.snapshot, self._channel)
        self._known = stood.number
        if why:
            self._parts.append(Part([own_told(GAP, why=why, missed=missed)]))
        wanted = self._wanted
        told = [
            one for one in stood.told
            if wanted is None or wanted(one.subject, one.kind) or wanted(one.subject, SNAPSHOT)
        ]  # fmt: skip
        self._parts.append(Part(told, self._desk.broadcast.id_of(stood.number), stands=True))
