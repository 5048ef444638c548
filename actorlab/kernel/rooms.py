"""Keep those asked calls of a mailbox that give way to newer ones, and let tickets in the inbox stand for them.

A call that gives way can't be taken out of the inbox. So the calls wait in a room, and the inbox holds *tickets*: as
many as there are calls, whichever these are. When the reader comes to a ticket, it takes the call that is due. While it
hangs, both stay within their bounds, however many are asked.

No lock, as a signal handler or a finaliser may ask in the middle of an ask. Each step is one C call; senders, reader
and whoever closes may come between any two, and these laws hold all the same:

- A call is dropped (its claim is taken, its reply answered), then it is taken out: KeyboardInterrupt in between leaves
  a dropped call in the room, but nobody unanswered. The next ask, or the reader, clears it away.
- A sender puts its call into the room, then counts: it issues tickets until there are as many as calls. So one that
  KeyboardInterrupt has kept from its ticket is made up for by the next, and a ticket too many finds the room empty.
- The reader counts a ticket, then takes the call. So a sender never counts on a ticket that has looked already.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Hashable
from itertools import count
from typing import Any, TypeAlias

from actorlab.core.overflow import MailboxPolicy
from actorlab.errors import MailboxFull
from actorlab.kernel.message import Message

__all__ = ["Room", "Ticket", "room_for"]

Admit: TypeAlias = Callable[[Any], bool]


class Ticket(Message):
    """Stand in the inbox for one of the calls in a room, whichever is due when the reader comes to it."""

    __slots__ = ()


class Line:
    """Calls in the order in which they came, of which only the newest `bound` go on waiting."""

    __slots__ = ("_bound", "_calls", "_why")

    def __init__(self, bound: int, why: str) -> None:
        self._bound = bound
        self._why = why
        self._calls: deque[Message] = deque()

    def __len__(self) -> int:
        return len(self._calls)

    def join(self, call: Message, admit: Admit) -> None:
        """Stand at the end, and drop the oldest if there are too many now.

        A call that was dropped itself meanwhile, or isn't admitted any more, costs nobody his place. All this is looked
        at after the oldest: so one that came when this call had lost its right already is safe from it.
        """
        self._calls.append(call)
        while True:
            oldest = self.due()
            if oldest is None or len(self._calls) <= self._bound:
                return
            if call._claims or not admit(call):
                self.leave(call)
                return
            oldest.drop(MailboxFull(self._why))
            self.leave(oldest)

    def leave(self, call: Message) -> bool:
        """Go away, and tell whether it stood here."""
        try:
            self._calls.remove(call)
        except ValueError:  # the reader took it, or another sender took it out
            return False
        return True

    def due(self) -> Message | None:
        """Return the first."""
        try:
            return self._calls[0]
        except IndexError:
            return None

    def take(self) -> Message | None:
        """Take the first out; for the reader."""
        try:
            return self._calls.popleft()
        except IndexError:
            return None

    def calls(self) -> list[Message]:
        """Return all that stand here."""
        return list(self._calls.copy())


class Room(ABC):
    """Where asked calls wait; the tickets are counted here."""

    def __init__(self) -> None:
        self.ticket = Ticket()
        self._numbers = count(1)
        self._issued = 0
        self._seen = 0

    # -- senders

    @abstractmethod
    def has_space(self, key: Hashable) -> bool:
        """Tell whether a call with this key may come in now."""

    @abstractmethod
    def enter(self, call: Message, key: Hashable, admit: Admit) -> None:
        """Let a call in, and drop one that gives way to it."""

    def lacks_tickets(self) -> bool:
        """Tell whether more calls wait than tickets are on their way."""
        waiting = len(self)  # first: a call that is taken from now on is counted with its ticket
        return waiting > self.tickets

    @property
    def tickets(self) -> int:
        """How many tickets are on their way; less by one for each issue that KeyboardInterrupt has cut short."""
        return self._issued - self._seen

    def issued(self) -> None:
        """Count a ticket that was put into the inbox."""
        self._issued = next(self._numbers)

    # -- the reader

    def take(self) -> Message | None:
        """Take out the call that is due at a ticket; None if there is none any more."""
        self._seen += 1
        return self._take()

    @abstractmethod
    def due(self) -> Message | None:
        """Look at the call that would be taken now."""

    @abstractmethod
    def _take(self) -> Message | None: ...

    @abstractmethod
    def clear(self) -> None:
        """Let go of all calls."""

    # -- all

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def calls(self) -> list[Message]:
        """Return all calls that wait."""


class NewestRoom(Room):
    """Keep the newest calls: the oldest gives way."""

    def __init__(self, name: str, bound: int) -> None:
        super().__init__()
        self._line = Line(
            bound,
            f"{name}: dropped before it began, as {bound} newer calls wait (overflow='drop_oldest'): a newer one took "
            "its place; ask less often, or wait for the replies",
        )

    def has_space(self, key: Hashable) -> bool:
        """Let everybody in."""
        del key
        return True

    def enter(self, call: Message, key: Hashable, admit: Admit) -> None:
        """Let a call in; if there are too many now, drop the oldest."""
        del key
        self._line.join(call, admit)

    def due(self) -> Message | None:
        """Look at the oldest."""
        return self._line.due()

    def _take(self) -> Message | None:
        return self._line.take()

    def clear(self) -> None:
        """Let go of all calls."""
        while self._line.take() is not None:
            pass

    def __len__(self) -> int:
        return len(self._line)

    def calls(self) -> list[Message]:
        """Return all calls that wait."""
        return self._line.calls()


class KeyedRoom(Room):
    """Keep the newest call of each key, in the order in which the keys came: it takes over the place of the older one.

    If it lost its place to the end instead, a key that is asked for more often than the device answers would wait for
    ever behind another that is asked for just before it.
    """

    def __init__(self, name: str, bound: int) -> None:
        super().__init__()
        self._bound = bound
        self._why = (
            f"{name}: dropped before it began: a newer call with the same key replaced it (overflow='conflate'); to "
            "have each executed, wait for its reply before asking again"
        )
        self._lines: dict[Hashable, Line] = {}

    def has_space(self, key: Hashable) -> bool:
        """Let in whoever finds a place of its key, or an empty one."""
        return len(self._lines) < self._bound or key in self._lines

    def enter(self, call: Message, key: Hashable, admit: Admit) -> None:
        """Let a call in, and drop the one that it replaces."""
        lines = self._lines
        while True:
            line = lines.get(key)
            if line is None:
                line = lines.setdefault(key, Line(1, self._why))
            line.join(call, admit)
            if lines.get(key) is line or not line.leave(call):
                return
            # Else the reader had taken this place out of the room before the call stood in it.

    def due(self) -> Message | None:
        """Look at the call whose place is the oldest."""
        line = self._lines.get(self._first())
        return None if line is None else line.due()

    def _take(self) -> Message | None:
        line = self._lines.pop(self._first(), None)
        return None if line is None else line.take()

    def _first(self) -> Hashable:
        while True:
            try:
                return next(iter(self._lines), None)
            except RuntimeError:  # a sender came in between the two calls
                continue

    def clear(self) -> None:
        """Let go of all calls."""
        self._lines.clear()

    def __len__(self) -> int:
        return len(self._lines)

    def calls(self) -> list[Message]:
        """Return all calls that wait."""
        return [call for line in list(self._lines.copy().values()) for call in line.calls()]


def room_for(policy: MailboxPolicy, name: str) -> Room | None:
    """Make the room that a policy asks for; None if all calls go straight into the inbox."""
    match policy.overflow:
        case "drop_oldest":
            return NewestRoom(name, policy.bound)
        case "conflate":
            return KeyedRoom(name, policy.bound)
        case "block" | "reject":
            return None
