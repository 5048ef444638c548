"""Describe the one schema of all errors, and say in the OpenAPI document which of them a route may answer with."""

from __future__ import annotations

from typing import Any, Final

from pydantic import BaseModel, Field

from actorlab.server.conflicts import Conflict

__all__ = ["ErrorAnswer", "says"]


class ErrorAnswer(BaseModel):
    """An error: what it is, where it comes from, and when it was told."""

    type: str = Field(description="The name of its class.")
    message: str = Field(description="Who, what, why, and the way out.")
    origin: str = Field(description="`server`, `device NAME`, `run ID` or `step LABEL`.")
    time: float = Field(description="When it was told, in seconds since 1970.")
    error: Any = Field(description="All of it, as `actorlab.encoding` writes it: a client makes the exception of it.")
    traceback: str | None = Field(default=None, description="Where it was raised; for an admin only.")
    fields: dict[str, str] | None = Field(default=None, description="422: what is wrong with which field.")
    conflicts: list[Conflict] | None = Field(default=None, description="409: who has which device, and who waits.")


REFUSALS: Final = {
    400: "The request can't be read.",
    401: "Nobody knows who asks.",
    403: "The role of who asks isn't enough, or a page of another site asks.",
    404: "There is no such thing; the message lists what there is.",
    409: "It can't be done as things stand; `conflicts` names who is in the way.",
    411: "The body doesn't say how long it is.",
    413: "The body is too large.",
    415: "The body isn't JSON.",
    422: "Something given doesn't fit; `fields` names it, and nothing was done.",
    429: "Too many wrong tokens from this address: try again after the seconds in `Retry-After`.",
    500: "A fault of the server's own.",
    502: "The device itself failed, or what it returns is no data.",
    503: "Not now: try again after the seconds in `Retry-After`.",
    504: "The device took too long.",
}
ALWAYS: Final = (401, 403, 411, 413, 422, 429, 500, 503)
"""What every route may answer with."""


CONTENT: Final = {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/ErrorAnswer"}}}}
"""Named, as a model for each error of each route would take a second when a server starts; the answers about runs have
brought it into the document."""


def says(answer: Any, *refusals: int, status: int = 200) -> dict[int | str, dict[str, Any]]:
    """Return the `responses` of a route: its answer (None: it has no body), and the errors beyond those of all."""
    told: dict[int | str, dict[str, Any]] = {} if answer is None else {status: {"model": answer}}
    return told | {code: {"description": REFUSALS[code], **CONTENT} for code in sorted({*ALWAYS, *refusals})}
