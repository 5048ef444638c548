"""Wait for replies of a lab without blocking the event loop; who leaves stops nothing."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from actorlab.kernel.reply import post_to_loop

if TYPE_CHECKING:
    from actorlab.kernel import Reply

__all__ = ["ended", "landed"]


async def landed(reply: Reply[Any]) -> None:
    """Wait for a reply that comes within bounds of its own; if whoever waits leaves, what was asked goes on."""
    if reply.done():
        return
    loop = asyncio.get_running_loop()
    arrived: asyncio.Future[None] = loop.create_future()
    parked = reply.when_done(lambda _: post_to_loop(loop, arrived))
    try:
        await arrived
    finally:
        reply.forget(parked)  # who asks again and again leaves nothing behind


async def ended(reply: Reply[Any], seconds: float) -> bool:
    """Wait at most some seconds for a reply; tell whether it is there."""
    if not reply.done() and seconds > 0:
        with suppress(TimeoutError):
            await asyncio.wait_for(landed(reply), seconds)
    return reply.done()
