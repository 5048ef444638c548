"""Give the ambient verbs their meaning inside a driver that lives in a process of its own."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NoReturn

from actorlab.errors import AskDeadlock
from actorlab.isolation.packing import pack
from actorlab.isolation.side import PUBLISHED
from actorlab.scope import Scope

if TYPE_CHECKING:
    from collections.abc import Generator

    from actorlab.isolation.inside import Inside

__all__ = ["ChildScope"]


class ChildScope(Scope):
    """What the ambient verbs mean inside a driver that lives in a process of its own."""

    def __init__(self, inside: Inside) -> None:
        self._inside = inside

    def sleep(self, seconds: float) -> None:
        """Wait for physics; meanwhile queries are answered, and a cancellation ends it."""
        self._inside.sleep(seconds)

    def checkpoint(self) -> None:
        """Let a cancellation of the calling run take effect."""
        self._inside.sleep(0)

    @contextmanager
    def exchange(self) -> Generator[None]:
        """Keep other calls out between a write and its read."""
        self._inside.exchanges += 1
        try:
            yield
        finally:
            self._inside.exchanges -= 1

    def publish(self, stream: str, value: Any) -> None:
        """Send a value to those who listen to a stream, from any thread; it never waits for them."""
        self._inside.outbox.send(PUBLISHED, pack((stream, value)))

    def hold_for(self, cell: object, member: object) -> NoReturn:
        """Refuse to wait for another device."""
        del cell, member
        self.forbid("another device")

    def forbid(self, what: str) -> NoReturn:
        """Refuse waiting verbs of the lab."""
        text = f"the driver of {self._inside.name} used {what}: a driver may not wait for the lab or another device"
        raise AskDeadlock(text)
