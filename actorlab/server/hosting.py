"""End what is sent without end when somebody else's server stops, in whose application a lab's routes are mounted.

uvicorn waits for all answers before it tells the application that it stops, and streams have no end of their own.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from actorlab.server.desk import Desk

__all__ = ["lifespan_of"]

TURN: Final = 0.1


def lifespan_of(desk: Desk) -> Callable[[Any], AbstractAsyncContextManager[None]]:
    """Return the lifespan of a router: at its end, or as soon as the server around it is to stop, streams end."""

    @asynccontextmanager
    async def lifespan(_: Any) -> AsyncGenerator[None]:
        watching = asyncio.create_task(until_stopped(desk))
        try:
            yield
        finally:
            watching.cancel()
            end(desk)

    return lifespan


async def until_stopped(desk: Desk) -> None:
    """Wait until the server around is to stop, if it can be seen, and end what is sent without end."""
    server = server_around()
    if server is None:
        return
    while not server.should_exit:  # noqa: ASYNC110 - it sets no event
        await asyncio.sleep(TURN)
    end(desk)


def server_around() -> Any:
    """Return the uvicorn server that has taken SIGTERM, or None; nothing is changed in it."""
    found = getattr(signal.getsignal(signal.SIGTERM), "__self__", None)
    return found if isinstance(getattr(found, "should_exit", None), bool) else None


def end(desk: Desk) -> None:
    """End the streams, and the leases that nobody can renew any more."""
    desk.end_streams()
    desk.leases.end("the server that gave it stops")
