"""Do once what is asked for several times with one key: a client whose connection broke asks again without fear."""

from __future__ import annotations

import asyncio
import hashlib
import json
import time
from typing import TYPE_CHECKING, Annotated, Any, Final

from fastapi import Header

from actorlab.core.idempotency import Asked, Begin, Differs, Done, Full, InHand
from actorlab.errors import ConfigError, MailboxFull
from actorlab.server.refusing import Refused

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from pydantic import BaseModel

    from actorlab.server.tokens import Who

__all__ = ["Once", "OnceKey"]

MOST: Final = 1000
SECONDS: Final = 3600.0
monotonic = time.monotonic
OnceKey = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key", min_length=1, max_length=200, pattern=r"^[\x21-\x7e]+$",
        description="Your own word for this request: sent again with it, within an hour, it isn't done again.",
    ),
]  # fmt: skip
"""A parameter of a route whose deed is done once for each key."""


class Once:
    """What was asked for with a key; used in the event loop only."""

    def __init__(self) -> None:
        self._asked: Asked[dict[str, Any]] = Asked(MOST, SECONDS)
        self._deeds: dict[tuple[str, str], asyncio.Task[dict[str, Any]]] = {}

    async def do(
        self, who: Who, key: str | None, what: str, body: BaseModel, deed: Callable[[], Awaitable[dict[str, Any]]]
    ) -> tuple[dict[str, Any], dict[str, str]]:
        """Do it, or return what came of it before; with the headers that say so. What has begun goes on by itself."""
        if key is None:
            return await deed(), {}
        mine = who.name, key
        match self._asked.ask(*mine, digest_of(what, body), monotonic()):
            case Begin():
                self._deeds[mine] = asyncio.create_task(self._begun(mine, deed))
                return await asyncio.shield(self._deeds[mine]), {}
            case InHand():
                return await asyncio.shield(self._deeds[mine]), REPLAYED
            case Done(answer):
                return answer, REPLAYED
            case Differs():
                message = f"the Idempotency-Key {key!r} was used for another request: take a new one for each"
                raise Refused(422, ConfigError(message), fields={"header.Idempotency-Key": "was used before"})
            case Full():
                message = f"the server has {MOST} requests with keys in hand, and takes no more: try again soon"
                raise MailboxFull(message)

    async def _begun(self, mine: tuple[str, str], deed: Callable[[], Awaitable[dict[str, Any]]]) -> dict[str, Any]:
        try:
            answer = await deed()
        except BaseException:
            self._asked.failed(*mine)
            raise
        else:
            self._asked.done(*mine, answer, monotonic())
            return answer
        finally:
            task = self._deeds.pop(mine)
            task.add_done_callback(heard)


REPLAYED: Final = {"Idempotent-Replayed": "true"}


def heard(task: asyncio.Task[Any]) -> None:
    """Take an error that nobody may wait for any more; those who do have it as well."""
    if not task.cancelled():
        task.exception()


def digest_of(what: str, body: BaseModel) -> str:
    """Return what tells a request from others."""
    text = json.dumps([what, body.model_dump()], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()
