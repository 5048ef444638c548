"""Remember which commands each instrument has executed, and let others wait for one."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable

__all__ = ["CommandRecord"]


class CommandRecord:
    """The commands that were executed, by instrument, in order.

    A condition guards it: the server's thread writes, and any thread may read or wait. A mailbox wouldn't do: a waiting
    test is no actor.
    """

    def __init__(self, names: Iterable[str]) -> None:
        self._changed = threading.Condition()
        self._commands: dict[str, list[str]] = {name: [] for name in names}

    def add(self, name: str, command: str) -> None:
        """Note that an instrument executes a command now."""
        with self._changed:
            self._commands[name].append(command)
            self._changed.notify_all()

    def executed(self, name: str) -> list[str]:
        """Return what an instrument has executed."""
        with self._changed:
            return list(self._commands[name])

    def wait(self, name: str, enough: Callable[[list[str]], bool], timeout: float) -> list[str]:
        """Return what an instrument has executed, once it is enough. Raise `TimeoutError` if it isn't in time."""
        commands = self._commands[name]
        with self._changed:
            if not self._changed.wait_for(lambda: enough(list(commands)), timeout):
                message = f"{name} did not get there within {timeout:g} s; it has executed {commands}"
                raise TimeoutError(message)
            return list(commands)
