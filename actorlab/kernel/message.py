"""Say what mailboxes carry: messages, each its own reply, and the wrapping of those that come through pykka's ref."""

from __future__ import annotations

import asyncio
import enum
from collections.abc import Generator
from typing import Any

import pykka
from pykka._envelope import Envelope
from pykka.messages import _ActorStop

from actorlab.errors import ActorStopped
from actorlab.kernel.reply import Reply

__all__ = ["HOLDER", "OTHERS", "SYSTEM", "URGENT", "Enveloped", "Lane", "Message", "PykkaFuture", "Stop", "is_stop"]


class Lane(enum.IntEnum):
    """Which messages go first."""

    SYSTEM = 0
    URGENT = 1
    HOLDER = 2
    OTHERS = 3


SYSTEM, URGENT, HOLDER, OTHERS = (int(lane) for lane in Lane)


class Message(Reply[Any]):
    """A message and its reply in one object."""

    __slots__ = ("lane", "number", "query", "target")

    query: bool | None
    """Whether a sleeping driver serves it; None says no, and that others which it serves may overtake this one."""

    def __init__(self, lane: int = HOLDER, *, query: bool = False) -> None:
        super().__init__()
        self.lane = lane
        self.number = 0
        self.query = query
        self.target: Any = None


class Stop(Message):
    """The request to end; it overtakes the backlog."""

    __slots__ = ()

    def __init__(self) -> None:
        super().__init__(SYSTEM)


class PykkaFuture(Reply[Any], pykka.Future[Any]):
    """What pykka's `ActorRef` gets from an ask: a reply that is pykka's future too, with `map`, `filter`, `join`."""

    def __init__(self) -> None:
        super().__init__()
        super(Reply, self).__init__()

    def get(self, *, timeout: float | None = None) -> Any:
        """Wait for the value; that of a converted future (`ActorRef.stop`, `map`, …) comes from the one it converts."""
        if self._get_hook is not None:
            return super(Reply, self).get(timeout=timeout)
        return super().get(timeout=timeout)

    def __await__(self) -> Generator[Any, None, Any]:
        """Wait without blocking the event loop; a converted future can only be waited for by a thread."""
        if self._get_hook is None:
            return (yield from super().__await__())
        return (yield from asyncio.get_running_loop().run_in_executor(None, self.get))


class Enveloped(Message):
    """What came through pykka's own `ActorRef`; its claim, its outcome and who waits are those of pykka's future."""

    __slots__ = ("content", "reply_to")

    def __init__(self, envelope: Envelope[Any]) -> None:
        self.content = envelope.message
        super().__init__(SYSTEM if isinstance(self.content, _ActorStop) else OTHERS)
        self.reply_to = reply_to = envelope.reply_to
        if isinstance(reply_to, Reply):
            self._claims, self._outcomes, self._parked = reply_to._claims, reply_to._outcomes, reply_to._parked

    def drop(self, error: BaseException) -> bool:
        """Tell pykka's callers in pykka's terms."""
        return super().drop(dead(error) if isinstance(error, ActorStopped) else error)


def dead(error: ActorStopped) -> pykka.ActorDeadError:
    """Translate an error for those who came through pykka's ref."""
    translated = pykka.ActorDeadError(str(error))
    translated.__cause__ = error
    return translated


def is_stop(message: Message) -> bool:
    """Tell whether a message asks the actor to end."""
    return message.__class__ is Stop or (isinstance(message, Enveloped) and isinstance(message.content, _ActorStop))
