"""Take the requests that other processes put into the journal, and their answers back."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from actorlab.encoding import loads

if TYPE_CHECKING:
    from actorlab.journal.keeping import Kept

__all__ = ["Inbox", "Request"]


AGAIN: Final = 5.0
"""So often one looks for requests that have expired."""


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
        self._again_at = 0.0
        self._seen: set[int] = set()
        self._pending: dict[int, Request] = {}

    def now(self) -> float:
        """Return the time that stands in the inbox."""
        return time.time()

    def pending(self) -> tuple[Request, ...]:
        """Return the requests that came and aren't answered."""
        now = self.now()
        return tuple([request for request in self._pending.copy().values() if request.expires > now])

    def forget(self, number: int) -> None:
        """Drop a request that is being answered."""
        self._pending.pop(number, None)

    def look(self) -> None:
        """Find new requests; where nothing was written by others this costs next to nothing, but now and then.

        Raises:
            JournalError: the database says no.

        """
        from actorlab.journal.asking import data_version, open_requests  # noqa: PLC0415 - it brings SQLAlchemy

        version = data_version(self._kept)
        now = time.monotonic()
        if version is not None and version == self._version and now < self._again_at:
            return
        self._version, self._again_at = version, now + AGAIN
        rows = open_requests(self._kept)
        new = [row for row in rows if row.id not in self._seen]
        self._seen = {row.id for row in rows}
        for number in self._pending.keys() - self._seen:  # they have expired
            self.forget(number)
        for row in new:
            request = Request(row.id, row.kind, loads(row.payload, lenient=True), row.asker, row.asked, row.expires)
            self._pending[request.id] = request
            if self._told is not None:
                self._told(request)
