"""Stop a request with an answer that refuses it."""

from __future__ import annotations

from typing import Any

__all__ = ["Refused"]


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
