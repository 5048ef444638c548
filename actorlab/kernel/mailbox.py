"""Hold an actor's messages in lanes: one C call publishes a message, only the reader sorts, closing is atomic."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Hashable
from itertools import count
from queue import Empty, SimpleQueue
from typing import Any, Final

from pykka._envelope import Envelope

from actorlab.core.overflow import MailboxPolicy
from actorlab.errors import ActorStopped, MailboxFull
from actorlab.kernel.message import HOLDER, OTHERS, Enveloped, Message, Stop, dead, is_stop
from actorlab.kernel.reply import Reply
from actorlab.kernel.rooms import Room, Ticket, room_for

__all__ = ["FAIR", "Mailbox"]

FAIR: Final = 8
"""After so many of the holder's messages, one of the others gets a turn."""

monotonic = time.monotonic


class Mailbox:
    """Lanes of messages, with one reader.

    Any thread, signal handler or finaliser may `put`: it publishes by one call of `SimpleQueue.put`. No sender takes a
    lock. Lanes belong to the reader. To close is to set a flag and refuse what is there; a sender that published after
    that refuses its own message, and each message's one claim makes that happen once. Both bounds are soft by as many
    as there are threads that put at the same moment.

    A policy by which older calls give way to newer ones keeps the holder's asked messages in a room; the reader gets a
    `Ticket` for each and exchanges it by `redeem`. `bound` may be such a policy; a number blocks.
    """

    def __init__(self, name: str = "actor", bound: int | MailboxPolicy = 1024, outside_bound: int = 64) -> None:
        self.name = name
        self.policy = MailboxPolicy.of(bound)
        self.closed = False
        self.admit: Callable[[Any], bool] = admit_all
        self.answer_stop: Callable[[Message], object] = answer_at_once
        self.begun = 0
        self._inbox: SimpleQueue[Any] = SimpleQueue()
        self._lanes: tuple[deque[Any], ...] = (deque(), deque(), deque(), deque())
        self._kept = 0
        self._turns = 0
        self._bound = self.policy.bound
        self._room = room_for(self.policy, name)
        self._outside_bound = outside_bound
        self._numbers = count(1)
        self._sent = 0
        self._outside: list[list[Any]] = []
        self._full: list[Reply[None]] = []

    # -- senders

    def put(self, message: Any) -> None:
        """Publish a message, from any thread, signal handler or finaliser.

        Raises:
            ActorStopped: the mailbox had closed (pykka's ActorDeadError, if it came through pykka's ref).

        """
        if self.closed:
            self._turn_away(message)
            return
        self._inbox.put(message)
        if self.closed:  # the reader may have looked for the last time before it
            self.refuse(message)

    def _turn_away(self, message: Any) -> None:
        late = ActorStopped(f"{self.name} has stopped; the message was not delivered")
        if message.__class__ is not Envelope:
            raise late
        if message.reply_to is None:
            raise dead(late)
        self.refuse(message)

    def put_asked(self, message: Message, key: Hashable = None) -> Reply[None] | None:
        """Publish a message that nobody's thread bounds; if it has to wait for space, return what to wait for instead.

        What makes space is up to the policy, which is the holder's: it concerns no other lane. The place of a number
        that is lost to KeyboardInterrupt is free again as soon as a later number begins, or when nothing waits at all.

        Raises:
            ActorStopped: the mailbox had closed.
            MailboxFull: too many wait already, and the policy is to reject.

        """
        if self._room is not None and message.lane == HOLDER:
            return self._put_in_room(self._room, message, key)
        if self._has_space():
            self._sent = message.number = next(self._numbers)
            self.put(message)
            return None
        if self.policy.overflow == "reject":
            text = f"{self.name}: {self._bound} asked calls wait already (overflow='reject'); wait for some of them"
            raise MailboxFull(text)
        return self._space(self._has_space)

    def _space(self, is_there: Callable[[], bool]) -> Reply[None]:
        space: Reply[None] = Reply()
        self._full.append(space)
        if is_there():  # it changed meanwhile: nobody may come to wake us
            space.finish(None, None)
        return space

    def _put_in_room(self, room: Room, message: Message, key: Hashable) -> Reply[None] | None:
        if self.closed:
            self._turn_away(message)
        if not room.has_space(key):
            return self._space(lambda: room.has_space(key) or self.closed)
        room.enter(message, key, self.admit)
        while room.lacks_tickets():
            self._inbox.put(room.ticket)
            room.issued()
        if self.closed:  # as in `put`
            self.refuse(message)
        return None

    def _has_space(self) -> bool:
        if self._sent - self.begun < self._bound or self.closed:
            return True
        if not self.empty():
            return False
        self.begun = self._sent  # the numbers between them were lost
        return True

    def put_from_outside(self, message: Message) -> None:
        """Publish a message of somebody who holds no lease, within their own small bound.

        Raises:
            ActorStopped: the mailbox had closed.
            MailboxFull: too many of them wait already.

        """
        if len(self._outside) >= self._outside_bound:
            self._outside = [claims for claims in self._outside.copy() if not claims]
            if len(self._outside) >= self._outside_bound:
                waiting = len(self._outside)
                text = f"{self.name}: {waiting} calls from outside wait already; wait for some of them to be answered"
                raise MailboxFull(text)
        self.put(message)
        self._outside.append(message._claims)  # not the message: that would keep its result alive

    @property
    def waiting(self) -> int:
        """How many messages wait, roughly."""
        waiting = self._inbox.qsize() + self._kept
        return waiting if self._room is None else max(0, waiting - self._room.tickets) + len(self._room)

    # -- the reader

    def get(self) -> Any:
        """Wait for the next message, the most urgent lane first; OTHERS get a turn after `FAIR` of the holder's.

        `admit` is asked of those which have to wait. One that comes alone begins at once, and its actor decides then.
        """
        inbox = self._inbox
        while True:
            while not self._kept:
                message = inbox.get()
                if not inbox.empty() or message.__class__ is Envelope:
                    self._sort(message)
                else:
                    return message
            if not inbox.empty():
                self._sort_all()
            if self._kept:
                return self._pick()

    def get_while_sleeping(self, timeout: float, serves: Callable[[Any], bool]) -> Any:
        """Wait at most `timeout` seconds for a message that `serves` accepts: the first of any lane, in their order."""
        end = monotonic() + timeout
        while True:
            self._sort_all()
            for lane in self._lanes:
                if lane and (message := self._take_served(lane, serves)) is not None:
                    return message
            left = end - monotonic()
            if left <= 0:
                return None
            try:
                self._sort(self._inbox.get(timeout=left))
            except Empty:
                return None

    def _take_served(self, lane: deque[Any], serves: Callable[[Any], bool]) -> Any:
        """Take the first message out if it is served; what an actor sends to itself may be overtaken."""
        own = next((place for place, message in enumerate(lane) if message.query is not None), 0)
        lane.rotate(-own)  # all of them stay in the lane, where whoever closes the mailbox finds them
        message = None
        if self._serves_first(lane, serves):
            self._kept -= 1
            message = lane.popleft()
        lane.rotate(own)
        return message

    def _serves_first(self, lane: deque[Any], serves: Callable[[Any], bool]) -> bool:
        """Ask about the first of a lane; a ticket is exchanged only if the call that is due may be served."""
        while lane and lane[0].__class__ is Ticket and self._room is not None:
            due = self._room.due()
            if due is not None and not serves(due):
                return False  # it may give way to another until the sleep ends
            call = self.redeem()
            if call is not None:
                lane[0] = call
            else:
                lane.popleft()
                self._kept -= 1
        return bool(lane) and serves(lane[0])

    def redeem(self) -> Message | None:
        """Exchange a ticket for the call that is due; None if none is any more."""
        call = None if self._room is None else self._room.take()
        self._wake_senders()
        return call

    def put_back(self, message: Any) -> None:
        """Put a message that the reader took but didn't serve to the front of its lane."""
        lane: int = message.lane
        self._lanes[lane].appendleft(message)
        self._kept += 1

    def take_equal(self, same: Callable[[Any], bool]) -> list[Any]:
        """Take out those of the OTHERS for which `same` is true: one execution answers them all."""
        lane = self._lanes[OTHERS]
        if not lane:
            return []
        taken: list[Any] = []
        kept: list[Any] = []
        for message in lane.copy():  # `same` is asked once: its answer may change
            (taken if same(message) else kept).append(message)
        if taken:
            lane.clear()
            lane.extend(kept)
            self._kept -= len(taken)
        return taken

    def count_begun(self, number: int) -> None:
        """Free the place of an asked message that begins or never will, and wake who waits for one."""
        if number > self.begun:  # noqa: PLR1730 - on the hot path: `max` costs three times as much
            self.begun = number
        if self._full:
            self._wake_senders()

    def _wake_senders(self) -> None:
        for _ in range(len(self._full)):  # not those who find it full again meanwhile
            try:
                space = self._full.pop(0)
            except IndexError:  # whoever closes wakes them too
                return
            space.finish(None, None)

    def _pick(self) -> Any:
        self._kept -= 1
        system, urgent, holder, others = self._lanes
        if system:
            return system.popleft()
        if urgent:
            return urgent.popleft()
        if others and (not holder or self._turns >= FAIR):
            self._turns = 0
            return others.popleft()
        self._turns += 1
        return holder.popleft()

    def _sort(self, message: Any) -> None:
        if message.__class__ is Envelope:
            message = Enveloped(message)
        if message.__class__ is Ticket or self.admit(message):
            lane: int = message.lane
            self._lanes[lane].append(message)
            self._kept += 1
        else:
            self.count_begun(message.number)

    def _sort_all(self) -> None:
        inbox = self._inbox
        while not inbox.empty():
            try:
                message = inbox.get_nowait()
            except Empty:  # somebody else has closed it
                return
            self._sort(message)

    # -- the end

    def close(self) -> None:
        """Accept nothing more, and refuse all that waits; a reader which goes on finds the request to stop.

        Not for the main thread while a KeyboardInterrupt may come: it could lose a message on its way out.
        """
        first = not self.closed
        self.closed = True
        self.drain()
        if first:
            self._inbox.put(Stop())

    def drain(self) -> None:
        """Refuse what waits. The lanes are left as they are: the reader, if it is another thread, may be using them."""
        while True:
            try:
                message = self._inbox.get_nowait()
            except Empty:
                break
            self.refuse(message)
        for lane in self._lanes:
            for message in lane.copy():
                self.refuse(message)
        if self._room is not None:
            for message in self._room.calls():
                self.refuse(message)
        self.count_begun(self._sent)

    def forget(self) -> None:
        """Let go of what was refused; for the reader, at its end."""
        for lane in self._lanes:
            lane.clear()
        self._kept = 0
        if self._room is not None:
            self._room.clear()

    def refuse(self, message: Any) -> None:
        """Finish a message that will never be executed."""
        if message.__class__ is Envelope:
            message = Enveloped(message)
        if is_stop(message):
            self.answer_stop(message)
        elif message.__class__ is not Ticket:  # the calls are refused in their room
            message.drop(ActorStopped(f"{self.name} stopped before it came to this message; it was not executed"))

    def empty(self) -> bool:
        """Tell whether nothing waits (pykka asks for it)."""
        return self._inbox.empty() and not self._kept


def admit_all(message: Any) -> bool:
    """Keep every message."""
    del message
    return True


def answer_at_once(stop: Message) -> None:
    """Answer a request to stop that comes when it is over."""
    stop.finish(None, None)
