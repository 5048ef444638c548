"""Turn every error into an answer: with the status that fits, in one schema."""

from __future__ import annotations

import logging
import math
import time
from typing import TYPE_CHECKING, Any, Final

from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from actorlab.errors import (
    ActorLabError,
    CallTimeout,
    ConfigError,
    DeviceBusy,
    DeviceFault,
    DeviceQuarantined,
    DeviceUnavailable,
    EncodingError,
    JournalError,
    LeaseLost,
    LeaseTimeout,
    MailboxFull,
    NotLeased,
    NotReached,
    text_of,
)
from actorlab.server.reading import read, refuse_large
from actorlab.server.refused import Refused
from actorlab.server.telling import answer, failure

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine

    Plainly = Callable[[Request], Awaitable[Response | None]]

__all__ = ["Gate", "LabRoute", "Refused", "refusal"]

STATUSES: Final[tuple[tuple[type[Exception], int], ...]] = (
    (DeviceBusy, 409), (LeaseTimeout, 409), (LeaseLost, 409), (NotLeased, 409), (ConfigError, 422),
    (EncodingError, 422), (MailboxFull, 503), (JournalError, 503), (DeviceUnavailable, 503), (CallTimeout, 504),
    (DeviceFault, 502), (NotReached, 502), (ActorLabError, 409), (TimeoutError, 504),
)  # fmt: skip
"""The first that fits counts: what else actorlab refuses, it refuses as things
stand. 502 and 504 are a device's own failures: the server itself is well."""
LEVELS: Final = dict.fromkeys((401, 403, 411, 413, 415, 500), logging.WARNING) | {429: logging.DEBUG}
"""How loudly a refusal is logged; after many wrong tokens no more of them."""
LOGGED: Final = 1000
"""So much of an error is logged."""
log = logging.getLogger("actorlab.server")


class Gate:
    """Who may ask for a route; FastAPI has read the body when it comes to dependencies, so the route itself asks."""

    def __init__(self, admit: Callable[[Request], None], answered: Callable[[str, str, int, float], None]) -> None:
        self.admit = admit
        self.answered = answered
        """Hears of each answer: the method, the route's template, the status, and after how many seconds it began."""

    async def __call__(self) -> None:
        """Do no more: the route has asked."""


class LabRoute(APIRoute):
    """A route whose errors are answered here, also in the application of somebody else.

    Of what is sent by those whom its gate doesn't let in, nothing is read; there is no route without a gate. An
    endpoint may have a function `plainly`, which answers what needs nothing of what FastAPI does.
    """

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return the route's handler, with its errors answered."""
        handle = super().get_route_handler()
        (gate,) = [found.dependency for found in self.dependencies if isinstance(found.dependency, Gate)]
        takes_body = self.body_field is not None
        endpoint: Any = self.endpoint

        async def answered(request: Request) -> Response:
            try:
                gate.admit(request)
                refuse_large(request)
                known = await read(request) if takes_body else request
                plainly: Plainly | None = getattr(endpoint, "plainly", None)
                response = None if plainly is None else await plainly(known)
                return await handle(known) if response is None else response
            except Exception as error:  # noqa: BLE001 - the boundary: whoever asks is told
                return refusal(request, error)

        async def handled(request: Request) -> Response:
            began = time.perf_counter()
            response = await answered(request)
            gate.answered(request.method, self.path_format, response.status_code, time.perf_counter() - began)
            return response

        return handled


def refusal(request: Request, error: Exception) -> Response:
    """Return the answer that tells an error."""
    refused = error if isinstance(error, Refused) else as_refused(error)
    level = LEVELS.get(refused.status, logging.INFO)
    trace = refused.error if refused.status == 500 else None  # noqa: PLR2004 - a fault of ours
    why = text_of(refused.error)[:LOGGED]
    log.log(level, "%s %r: %s, %r", request.method, request.url.path, refused.status, why, exc_info=trace)
    who = getattr(request.state, "who", None)
    told = failure(refused.error, refused.origin, traces=who is not None and who.may("admin"))
    return answer(told | refused.details, refused.status, headers_of(refused))


def as_refused(error: Exception) -> Refused:
    """Return what an error is answered with."""
    if isinstance(error, RequestValidationError):
        return of_fields(error)
    if isinstance(error, ClientDisconnect):
        return Refused(400, ConfigError("the connection broke before all of the body had come"))
    if isinstance(error, HTTPException):
        return Refused(error.status_code, ConfigError(str(error.detail)))
    status = next((status for kind, status in STATUSES if isinstance(error, kind)), 500)
    return Refused(status, error)


def of_fields(error: RequestValidationError) -> Refused:
    """Return the refusal of a request that doesn't fit: it names each field."""
    fields = {".".join(map(str, item["loc"])): str(item["msg"]) for item in error.errors()}
    message = "; ".join(f"{field}: {said}" for field, said in fields.items())
    return Refused(422, ConfigError(message), fields=fields)


def headers_of(refused: Refused) -> dict[str, str]:
    """Return the headers of a refusal: when to try again, or how to say who asks."""
    headers = dict(refused.headers or {})
    if refused.status == 401:  # noqa: PLR2004 - it has to say how
        headers["WWW-Authenticate"] = "Bearer"
    if refused.status == 503 and not isinstance(refused.error, DeviceQuarantined):  # noqa: PLR2004 - that lasts
        at = getattr(refused.error, "retry_at", None)
        headers["Retry-After"] = str(1 if at is None else max(1, math.ceil(at - time.monotonic())))
    return headers


def of_driver(error: Exception, name: str) -> Refused:
    """Return the refusal for what a driver itself has raised."""
    if isinstance(error, ActorLabError):
        known = as_refused(error)
        return Refused(known.status, error, f"device {name}")
    return Refused(502, error, f"device {name}")
