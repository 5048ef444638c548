"""Run an asynchronous body in virtual time: where its event loop would wait, the body sleeps instead."""

from __future__ import annotations

import asyncio
import selectors
from typing import TYPE_CHECKING, Any, Final

from actorlab.body_kinds import BodyKind, constructed, exhausted_async

if TYPE_CHECKING:
    from collections.abc import Callable

    from actorlab.scope import Scope

__all__ = ["run_in_virtual_time"]

LOOK: Final = 0.05
"""A loop that waits for another thread, or for a run, looks again after so many virtual seconds."""


class VirtualSelector(selectors.DefaultSelector):
    """Wait for files at once only, and else let virtual time pass."""

    def __init__(self, scope: Scope) -> None:
        super().__init__()
        self._scope = scope

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """Return what is ready; if nothing is, sleep first."""
        ready = super().select(0)
        if ready or (timeout is not None and timeout <= 0):
            return ready
        self._scope.sleep(LOOK if timeout is None else timeout)
        return super().select(0)


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop whose time is that of a scope."""

    def __init__(self, scope: Scope, now: Callable[[], float]) -> None:
        super().__init__(VirtualSelector(scope))
        self._now = now

    def time(self) -> float:
        """Return the virtual time."""
        return self._now()


def run_in_virtual_time(
    scope: Scope, now: Callable[[], float], function: Any, kind: BodyKind, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Any:
    """Run an asynchronous body to its end, and return its value."""
    begun = constructed(function, args, kwargs)
    with asyncio.Runner(loop_factory=lambda: VirtualLoop(scope, now)) as runner:
        return runner.run(begun if kind is BodyKind.COROUTINE else exhausted_async(begun))
