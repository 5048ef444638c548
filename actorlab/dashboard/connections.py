"""Let a browser's connection speak for its own pages only: NiceGUI itself takes the number of any page as proof."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qs

from nicegui import Client, core

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.requests import HTTPConnection

    from actorlab.dashboard.sessions import Session

__all__ = ["SESSION", "Guard", "speaks_for_itself"]

SESSION: Final = "actorlab.session"
"""Under this name a request carries who has asked for the page."""
FROM_PAGES: Final = ("event", "javascript_response", "ack", "log")
"""What browsers send of a page, by its number."""
log = logging.getLogger("actorlab.dashboard")


def speaks_for_itself(connection: HTTPConnection, session: Session) -> bool:
    """Tell whether a connection is for a page that the same login has asked for, or for one that is gone."""
    named = parse_qs(connection.url.query).get("client_id", [])
    if len(named) != 1:
        return False
    client = Client.instances.get(named[0])
    return client is None or client.request.scope.get(SESSION) is session


class Guard:
    """Stands before NiceGUI's handlers of what browsers send, from `begin` to `end`."""

    def __init__(self) -> None:
        self._handlers: dict[str, Callable[[str, Any], Any]] = {}

    def begin(self) -> None:
        """Stand there."""
        for kind in FROM_PAGES:
            self._handlers[kind] = core.sio.handlers["/"][kind]
            core.sio.on(kind, self._guarded(kind, self._handlers[kind]))

    def end(self) -> None:
        """Leave the handlers as they were."""
        for kind, handler in self._handlers.items():
            core.sio.on(kind, handler)
        self._handlers.clear()

    def _guarded(self, kind: str, handler: Callable[[str, Any], Any]) -> Callable[[str, Any], None]:
        def handle(connection: str, message: Any) -> None:
            try:
                if message["client_id"] in core.sio.rooms(connection):
                    handler(connection, message)
                    return
            except (KeyError, TypeError, ValueError, AttributeError):
                pass
            log.warning("a browser has sent what no page of its own sends (%s): nothing was done", kind)

        return handle
