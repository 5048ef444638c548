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

from actorlab.errors import (
    ActorLabError,
    CallTimeout,
    ConfigError,
    DeviceBusy,
    DeviceFault,
    DeviceQuarantined,
    DeviceUnavailable,
    EncodingError,
    LeaseLost,
    LeaseTimeout,
    MailboxFull,
    NotLeased,
    NotReached,
    text_of,
)
from actorlab.server.telling import answer, failure

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

__all__ = ["Gate", "LabRoute", "Refused", "refusal"]

STATUSES: Final[tuple[tuple[type[Exception], int], ...]] = (
    (DeviceBusy, 409), (LeaseTimeout, 409), (LeaseLost, 409), (NotLeased, 409), (ConfigError, 422),
    (EncodingError, 422), (MailboxFull, 503), (DeviceUnavailable, 503), (CallTimeout, 504), (DeviceFault, 502),
    (NotReached, 502), (ActorLabError, 409), (TimeoutError, 504),
)  # fmt: skip
"""The first that fits counts: what else actorlab refuses, it refuses as things
stand. 502 and 504 are a device's own failures: the server itself is well."""
LARGEST: Final = 64 * 1024 * 1024
LEVELS: Final = dict.fromkeys((401, 403, 411, 413, 500), logging.WARNING) | {429: logging.DEBUG}
"""How loudly a refusal is logged; after many wrong tokens no more of them."""
log = logging.getLogger("actorlab.server")


class Refused(Exception):
    """Answer with this status, and with what `error` says; `details` stand beside it."""

    def __init__(
        self,
        status: int,
        error: BaseException,
        origin: str = "server",
        headers: dict[str, str] | None = None,
        **details: Any,
    ) -> None:
        super().__init__(status)
        self.status = status
        self.error = error
        self.origin = origin
        self.headers = headers
        self.details = details


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

    Of what is sent by those whom its gate doesn't let in, nothing is read; there is no route without a gate.
    """

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return the route's handler, with its errors answered."""
        handle = super().get_route_handler()
        (gate,) = [found.dependency for found in self.dependencies if isinstance(found.dependency, Gate)]

        async def answered(request: Request) -> Response:
            try:
                gate.admit(request)
                refuse_large(request)
                return await handle(request)
            except Exception as error:  # noqa: BLE001 - the boundary: whoever asks is told
                return refusal(request, error)

        async def handled(request: Request) -> Response:
            began = time.perf_counter()
            response = await answered(request)
            gate.answered(request.method, self.path_format, response.status_code, time.perf_counter() - began)
            return response

        return handled


def refuse_large(request: Request) -> None:
    """Refuse a body that is too large, or doesn't say how large it is, before any of it is read."""
    length = request.headers.get("content-length", "0")
    if "transfer-encoding" in request.headers:
        message = "say how long the body is, by the header Content-Length"
        raise Refused(411, ConfigError(message))
    if not length.isdecimal() or int(length) > LARGEST:
        message = f"a body may have {LARGEST} bytes, and not {length}"
        raise Refused(413, ConfigError(message))


def refusal(request: Request, error: Exception) -> Response:
    """Return the answer that tells an error."""
    refused = error if isinstance(error, Refused) else as_refused(error)
    level = LEVELS.get(refused.status, logging.INFO)
    trace = refused.error if refused.status == 500 else None  # noqa: PLR2004 - a fault of ours
    why = text_of(refused.error)
    log.log(level, "%s %r: %s, %r", request.method, request.url.path, refused.status, why, exc_info=trace)
    who = getattr(request.state, "who", None)
    told = failure(refused.error, refused.origin, traces=who is not None and who.may("admin"))
    return answer(told | refused.details, refused.status, headers_of(refused))


def as_refused(error: Exception) -> Refused:
    """Return what an error is answered with."""
    if isinstance(error, RequestValidationError):
        return of_fields(error)
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
