"""Refuse what would block an event loop, and say what to await instead."""

from __future__ import annotations

from typing import Any, ClassVar, Final, NoReturn

from actorlab.errors import AskDeadlock
from actorlab.kernel import FOREVER, Reply
from actorlab.scope import Scope

__all__ = ["LoopScope"]

INSTEAD: Final = "spawn(…) a plain function that does, and await its run"


class LoopScope(Scope):
    """The scope of a body on a loop; it stands before the class that would do what it refuses."""

    __slots__ = ()

    name: str
    place: ClassVar[str] = "on the lab's event loop"

    def wait(self, reply: Reply[Any], timeout: float = FOREVER) -> bool:
        """Refuse to block, unless there is nothing to wait for."""
        del timeout
        if not reply.done():
            self.refuse_to_block("a wait", "await what you wait for")
        return True

    def sleep(self, seconds: float) -> None:
        """Refuse to block."""
        del seconds
        self.refuse_to_block("sleep(…)", "await asyncio.sleep(…)")

    def emit(self, name: str, data: Any, acknowledged: float | None) -> Any:
        """Refuse to wait for an answer, before anybody hears of it."""
        if acknowledged is not None:
            self.refuse_to_block("emit(…, acknowledged=…)", INSTEAD)
        return super().emit(name, data, None)

    def ask_operator(self, question: str, choices: tuple[str, ...], timeout: float | None) -> str:
        """Refuse to block, before anybody is asked."""
        del question, choices, timeout
        self.refuse_to_block("ask_operator(…)", INSTEAD)

    def refuse_to_block(self, what: str, instead: str) -> NoReturn:
        """Raise for a verb that would block the loop.

        Raises:
            AskDeadlock: always.

        """
        text = f"{self.name} used {what} {self.place}, where nothing may block: {instead}"
        raise AskDeadlock(text)
