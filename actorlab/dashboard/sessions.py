"""Remember who has logged in from which browser, for as long as the server lives."""

from __future__ import annotations

import logging
import secrets
import time
from http.cookies import CookieError, SimpleCookie
from typing import TYPE_CHECKING, Final

from actorlab.errors import NotAllowed
from actorlab.server.tokens import Who

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.requests import HTTPConnection

    from actorlab.server.tokens import Role

__all__ = ["COOKIE", "Session", "Sessions"]

COOKIE: Final = "actorlab_session"
LONGEST: Final = 12 * 3600.0
"""After so many seconds one has to log in again."""
MOST: Final = 1000
"""When more browsers than this log in, the oldest have to do so again."""

log = logging.getLogger("actorlab.dashboard")


class Session:
    """Somebody at a browser; it is over when he logs out, his token is revoked, or after some hours."""

    def __init__(self, who: Who, until: float, still: Callable[[], Who | None] | None = None) -> None:
        self.who = who
        self._until = until
        self._still = still

    @property
    def over(self) -> bool:
        """Tell whether it counts no more."""
        return time.monotonic() > self._until or (self._still is not None and self._still() != self.who)

    def end(self) -> None:
        """Let it count no more."""
        self._until = 0.0

    def check(self, role: Role, what: str) -> None:
        """Refuse what only others may do, or whose login is over.

        Raises:
            NotAllowed: that is so.

        """
        if self.over:
            message = "you have logged out, or logged in long ago: log in again"
            raise NotAllowed(message)
        if not self.who.may(role):
            log.warning("%s is %s and may not: %s", self.who.name, self.who.role, what)
            message = f"{self.who.name} is {self.who.role}, and this needs {role}"
            raise NotAllowed(message)


class Sessions:
    """Those who have logged in, by the random text that their browser's cookie holds."""

    def __init__(self) -> None:
        self._known: dict[str, Session] = {}

    def begin(self, who: Who, still: Callable[[], Who | None]) -> str:
        """Remember somebody for as long as he is `still` the same, and return what his browser is to keep."""
        for key in [key for key, session in self._known.items() if session.over]:
            del self._known[key]
        while len(self._known) >= MOST:
            self._known.pop(next(iter(self._known))).end()
        key = secrets.token_urlsafe(32)
        self._known[key] = Session(who, time.monotonic() + LONGEST, still)
        return key

    def of(self, connection: HTTPConnection) -> Session | None:
        """Return who asks, or None if he hasn't logged in."""
        session = self._known.get(key_in(connection))
        return None if session is None or session.over else session

    def end(self, connection: HTTPConnection) -> None:
        """Forget who asks."""
        session = self._known.pop(key_in(connection), None)
        if session is not None:
            session.end()


def key_in(connection: HTTPConnection) -> str:
    """Return what the browser keeps, or nothing."""
    try:
        found = SimpleCookie(connection.headers.get("cookie", "")).get(COOKIE)
    except CookieError:
        return ""
    return "" if found is None else found.value
