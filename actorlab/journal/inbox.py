"""Take the requests that other processes put into the journal, and their answers back."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

from actorlab.encoding import loads

if TYPE_CHECKING:
    from actorlab.journal.keeping import Kept

__all__ = ["Inbox", "Request"]


class Request(NamedTuple):
    """What another process asks for: `kind` says what, the payload the rest; `asker` who, `asked` when (since 1970)."""

    id: int
    kind: str
    payload: Any
    asker: str
    asked: float
    expires: float


class Inbox:
    """The requests that aren't answered; its `look` is called by the journal's thread."""

    def __init__(self, kept: Kept, told: Callable[[Request], object] | None) -> None:
        self._kept = kept
        self._told = told
        self._version: object = None
        self._last = 0
        self._pending: dict[int, Request] = {}

    def now(self) -> float:
        """Return the time that stands in the inbox."""
        return time.time()

    def pending(self) -> tuple[Request, ...]:
        """Return the requests that came and aren't answered."""
        return tuple(self._pending.copy().values())

    def forget(self, number: int) -> None:
        """Drop a request that is being answered."""
        self._pending.pop(number, None)

    def look(self) -> None:
        """Find new requests; where nothing was written by others this costs next to nothing.

        Raises:
            JournalError: the database says no.

        """
        from actorlab.journal.asking import data_version, new_requests  # noqa: PLC0415 - it brings SQLAlchemy

        version = data_version(self._kept)
        if version is not None and version == self._version:
            return
        self._version = version
        for row in new_requests(self._kept, self._last):
            request = Request(row.id, row.kind, loads(row.payload, lenient=True), row.asker, row.asked, row.expires)
            self._last = max(self._last, request.id)
            if request.expires < self.now():
                continue
            self._pending[request.id] = request
            if self._told is not None:
                self._told(request)
