"""Know in whose name the present code runs: a body, a driver, a workflow being drawn, or nobody's."""

from __future__ import annotations

import logging
import time
from contextlib import AbstractContextManager, nullcontext
from contextvars import ContextVar
from typing import Any, Final

__all__ = ["PLAIN", "Scope", "current"]


class Scope:
    """What the ambient verbs (`sleep`, `progress`, …) mean here; this base is their plain meaning, without a lab."""

    __slots__ = ()

    come_by: Any = None
    """What an asynchronous body awaits at a checkpoint; no other has it."""

    def sleep(self, seconds: float) -> None:
        """Wait for some seconds."""
        time.sleep(seconds)

    def monotonic(self) -> float:
        """Return the time (s) that passes where this code runs."""
        return time.monotonic()

    def checkpoint(self) -> None:
        """Let a cancellation or a pause take effect."""

    def progress(self, done: float, total: float | None, message: str) -> None:
        """Tell how far the work is."""

    def phase(self, name: str, weight: float | None) -> AbstractContextManager[None]:
        """Work at a part of the whole, whose progress counts with its weight."""
        del name, weight
        return nullcontext()

    def emit(self, name: str, data: Any, acknowledged: float | None) -> Any:
        """Tell whoever listens; if `acknowledged` within some seconds is asked for, wait for the answer."""
        del name, data, acknowledged

    def ask_operator(self, question: str, choices: tuple[str, ...], timeout: float | None) -> str:
        """Ask whoever sits at the terminal."""
        del timeout
        shown = f"{question} [{'/'.join(choices)}] " if choices else f"{question} "
        while (answer := input(shown).strip()) not in (choices or (answer,)):
            continue
        return answer

    def log(self, event: str, fields: dict[str, Any]) -> None:
        """Log in the name of what runs here."""
        logging.getLogger("actorlab").info("%s %s", event, fields)

    def present_run(self) -> Any:
        """Return the run whose body this is; None where there is none."""

    def record(self, values: dict[str, Any]) -> None:
        """Keep a row of what was measured."""

    def parameter(self, name: str, default: Any, marks: tuple[Any, ...]) -> Any:
        """Return what a parameter is now."""
        del name, marks
        return default

    def shield(self, seconds: float) -> AbstractContextManager[None]:
        """Keep a cancellation out for at most some seconds."""
        del seconds
        return nullcontext()

    def exchange(self) -> AbstractContextManager[None]:
        """Keep other calls out between a driver's write and its read."""
        return nullcontext()

    def follow(self, generator: Any) -> Any:
        """Run a generator to its end, taking what it yields as its progress, and return its value."""
        while True:
            try:
                next(generator)
            except StopIteration as end:
                return end.value

    def publish(self, stream: str, value: object) -> None:
        """Send a value to those who listen to a stream of the driver that runs here."""

    def forbid(self, what: str) -> None:
        """Raise if `what` (a device call, a wait, …) isn't allowed here."""

    def spawn(self, function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Start a child run; None says that there is no lab."""
        del function, args, kwargs

    def step(self, task: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, ...] | None:
        """Take a call of a task, answering ``(value,)``; None says: call its function plainly."""
        del task, args, kwargs
        return None

    def each(self, function: Any, items: Any, width: int | None) -> tuple[Any, ...] | None:
        """Take a call of `each`, answering ``(value,)``; None says: it is a plain comprehension."""
        del function, items, width
        return None

    def choose(self, condition: Any, then: Any, otherwise: Any) -> tuple[Any, ...] | None:
        """Take a call of `choose`, answering ``(value,)``; None says: it is a plain conditional."""
        del condition, then, otherwise
        return None

    def cleanup(self, task: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
        """Take the registration of a clean-up; False says that nobody is there to take it."""
        del task, args, kwargs
        return False


PLAIN: Final = Scope()
current: Final[ContextVar[Scope]] = ContextVar("actorlab_scope", default=PLAIN)
