"""Follow the log of a run for one client: its newest lines, then each as it comes, until the run has ended."""

from __future__ import annotations

import time
from collections import deque
from typing import TYPE_CHECKING, Any, Final

from actorlab.server.broadcast import BEAT, own_told
from actorlab.server.following import END, Part
from actorlab.server.run_telling import found
from actorlab.server.telling import plain

if TYPE_CHECKING:
    from actorlab.runtime.lab import Lab
    from actorlab.runtime.run import Run
    from actorlab.server.broadcast import Told
    from actorlab.server.channel import Channel
    from actorlab.server.desk import Desk

__all__ = ["NEWEST", "RunLog", "lines_of"]

NEWEST: Final = 500
"""So many lines are kept of a run's log."""
CHUNK: Final = 64 * 1024
monotonic = time.monotonic


class RunLog:
    """One client's place in the log of a run and of those it has started; `begin` it, ask for `more`, and `leave`."""

    def __init__(self, desk: Desk, run_id: str, newest: int) -> None:
        self._desk = desk
        self._id = run_id
        self._newest = newest
        self._run: Run[Any]
        self._channel: Channel[Told]
        self._place = 0
        self._last = 0
        self._parts: deque[Part] = deque()
        self._sent = monotonic()
        self._ended = False
        self.left = False

    async def begin(self, last_id: str | None = None) -> None:
        """Begin with the newest lines, or with those after the line with an id.

        Raises:
            Refused: there is no such run, or the lab has closed.

        """
        desk = self._desk
        self._run = await desk.look(found, desk.lab, self._id)
        self._channel = await desk.look(desk.broadcast.join, self)
        self._place = self._channel.end_place
        self._last = desk.broadcast.number_in(last_id or "") or 0
        await self._read_again(None if self._last else self._newest)

    def leave(self) -> None:
        """Want no more."""
        self._desk.broadcast.leave(self)

    async def more(self) -> Part | None:
        """Wait for what is to be sent next; None: the run has ended, or the server stops."""
        while not self._parts:
            if self._ended:
                return None
            await self._channel.news(self._place)
            await self._look()
        self._sent = monotonic()
        return self._parts.popleft()

    async def _look(self) -> None:
        """See what is new."""
        read = self._channel.read(self._place, CHUNK)
        self._place = read.place
        if read.missed or self._run.state.terminal:
            await self._read_again(None)
            return
        self._add([kept.item for kept in read.items if kept.number > self._last and self._is_mine(kept.item)])
        if not read.items and self._channel.over:
            self._ended = True
        elif self._sent + BEAT <= monotonic():
            self._parts.append(Part([], self._desk.broadcast.id_of(self._last), stands=True))

    def _is_mine(self, told: Told) -> bool:
        return told.kind == "log" and (told.subject == self._id or told.subject.startswith(f"{self._id}/"))

    async def _read_again(self, newest: int | None) -> None:
        """Add the lines that are kept and haven't been sent, and the end if the run has ended; then there are all."""
        ended = self._run.state.terminal
        self._add(await self._desk.look(self._lines, newest))
        if ended:
            self._ended = True
            self._parts.append(Part([own_told(END, why="the run has ended", state=str(self._run.state))]))

    def _lines(self, newest: int | None) -> list[Told]:
        lines = [line for line in self._run.log if line.sequence > self._last]
        chosen = lines if newest is None else lines[len(lines) - min(newest, len(lines)) :]
        return [self._desk.broadcast.told(line, line.kind) for line in chosen]

    def _add(self, told: list[Told]) -> None:
        if told:
            self._last = told[-1].number
            self._parts.append(Part(told, self._desk.broadcast.id_of(self._last)))


def lines_of(lab: Lab, run_id: str, newest: int) -> list[dict[str, Any]]:
    """Tell the newest lines of a run's log."""
    lines = found(lab, run_id).log
    return [{**line._asdict(), "data": plain(line.data)} for line in lines[len(lines) - min(newest, len(lines)) :]]
