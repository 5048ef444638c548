"""Answer plain calls of devices before FastAPI takes the request apart: that takes longer than the call itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, cast

from actorlab.server.device_answers import CallBody
from actorlab.server.device_use import answer_of
from actorlab.server.telling import answer

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from fastapi import Request, Response

    from actorlab.server.desk import Desk

__all__ = ["plain_calls"]

KEYS: Final = ("args", "kwargs")


def plain_calls(desk: Desk) -> Callable[[Request], Awaitable[Response | None]]:
    """Return what answers a call that is right by form; None leaves it to FastAPI, which also says what is wrong."""

    async def plainly(request: Request) -> Response | None:
        body = body_in(getattr(request, "tree", None))
        if body is None:
            return None
        name, member = request.path_params["name"], request.path_params["member"]
        await desk.offers(name, member, "method")
        lease = desk.leases.used(request.headers.get("actorlab-lease"), request.state.who)
        return answer(await answer_of(desk, name, member, body, lease))

    return plainly


def body_in(tree: Any) -> CallBody | None:
    """Return the arguments of a call that were read; None if they aren't what they should be."""
    if type(tree) is not dict:
        return None
    said: dict[str, Any] = {"args": [], "kwargs": {}, **cast("dict[str, Any]", tree)}
    if len(said) > len(KEYS) or type(said["args"]) is not list or type(said["kwargs"]) is not dict:
        return None
    return CallBody.model_construct(**said)
