"""Run asynchronous bodies on the lab's own event loop, on which nothing of the lab ever blocks."""

from __future__ import annotations

import asyncio
import contextvars
import logging
import threading
from typing import TYPE_CHECKING, Any

from actorlab.kernel.actor import here

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

__all__ = ["LabLoop"]


class LabLoop:
    """An event loop in a thread of its own, started with the first body that needs it."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._loop: asyncio.AbstractEventLoop | None = None
        self.thread: threading.Thread | None = None

    def start(
        self,
        coroutine: Callable[[], Coroutine[Any, Any, None]],
        context: contextvars.Context,
        made: Callable[[asyncio.Task[None]], object],
    ) -> None:
        """Start a coroutine in a context; `made` is given its task, on the loop; for the deciding thread."""
        loop = self._loop or self._begin()
        loop.call_soon_threadsafe(self._start, coroutine, context, made)

    def call(self, function: Callable[..., object], *args: Any) -> None:
        """Call a function on the loop, soon; from any thread."""
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(function, *args)

    def close(self, seconds: float) -> None:
        """Cancel what still runs and end the loop; its thread goes on only if somebody's code blocks it.

        Coroutines that were given up have half of the time, once more, to end.
        """
        if self._loop is None or self.thread is None or not self.thread.is_alive():
            return
        self._loop.call_soon_threadsafe(self._stop, seconds / 2)
        self.thread.join(seconds)

    def _begin(self) -> asyncio.AbstractEventLoop:
        self._loop = loop = asyncio.new_event_loop()
        loop.set_exception_handler(log_error)
        self.thread = threading.Thread(target=self._run, args=(loop,), daemon=True, name=f"{self._name}: loop")
        self.thread.start()
        return loop

    @staticmethod
    def _run(loop: asyncio.AbstractEventLoop) -> None:
        here.loop = loop
        asyncio.set_event_loop(loop)
        try:
            loop.run_forever()
        finally:
            loop.run_until_complete(loop.shutdown_asyncgens())
            loop.close()

    @staticmethod
    def _start(
        coroutine: Callable[[], Coroutine[Any, Any, None]],
        context: contextvars.Context,
        made: Callable[[asyncio.Task[None]], object],
    ) -> None:
        made(asyncio.get_running_loop().create_task(coroutine(), context=context))

    def _stop(self, seconds: float) -> None:
        loop = asyncio.get_running_loop()
        left = [task for task in asyncio.all_tasks(loop) if not task.done()]
        for task in left:
            task.cancel()
        if left:
            loop.create_task(self._stop_after(left, seconds))  # noqa: RUF006 - the loop ends with it
        else:
            loop.stop()

    @staticmethod
    async def _stop_after(tasks: list[asyncio.Task[Any]], seconds: float) -> None:
        await asyncio.wait(tasks, timeout=seconds)
        asyncio.get_running_loop().stop()


def log_error(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Log what nobody has caught on the loop."""
    del loop
    logging.getLogger("actorlab").error("on the lab's loop: %s", context["message"], exc_info=context.get("exception"))
