"""Put the dashboard in front of a lab's routes, let only those through who may look, and run NiceGUI for it."""

from __future__ import annotations

import logging
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Final

from nicegui import Client, core, run, ui
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import HTTPConnection, Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.websockets import WebSocket

from actorlab.dashboard.connections import SESSION, Guard, speaks_for_itself
from actorlab.dashboard.frame import show_frame
from actorlab.dashboard.login import LOGIN, LOGOUT, logged_in, logged_out
from actorlab.dashboard.news import Newsroom
from actorlab.dashboard.page import PageContext
from actorlab.dashboard.panels import PANELS, Panel
from actorlab.dashboard.sessions import Session, Sessions
from actorlab.errors import ConfigError, NotAllowed, text_of
from actorlab.server.desk import ANYBODY
from actorlab.server.refusing import Refused

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from actorlab.server.desk import Desk

__all__ = ["Dashboard"]

OWNER: Final = "actorlab_dashboard"
"""Under this name NiceGUI's application holds the dashboard that it serves."""
CONNECTIONS: Final = "/_nicegui_ws/"
PREFIXES: Final = ("/dashboard/", "/_nicegui/", CONNECTIONS)
AWAY: Final = 4.0
"""A browser that was gone for less than so many seconds finds its page as it was."""
ICON_PATH: Final = "/favicon.ico"
ICON: Final = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32"><rect width="32" height="32" rx="6" fill="#1d5c9e"/>'
    '<path d="M6 20h5l3-10 5 14 3-8h4" fill="none" stroke="#fff" stroke-width="2.6" stroke-linejoin="round"/></svg>'
)
CONTENT: Final = (  # Vue compiles templates in the browser; nothing comes from, or goes to, anywhere else
    b"default-src 'self' 'unsafe-inline' 'unsafe-eval' data: blob:; connect-src 'self' ws: wss:; "
    b"frame-ancestors 'none'; form-action 'self'; base-uri 'self'; object-src 'none'"
)
HEADERS: Final = (
    (b"content-security-policy", CONTENT),
    (b"x-frame-options", b"DENY"),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"same-origin"),
)
log = logging.getLogger("actorlab.dashboard")


class Dashboard:
    """The dashboard of one lab; `claim` and `release` in any thread, all else in the server's event loop."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self.newsroom = Newsroom(desk)
        self._sessions = Sessions()
        self._anybody = Session(ANYBODY, float("inf"))
        self._guard = Guard()
        self._nicegui = GZipMiddleware(core.app, minimum_size=1000)
        self._running = AsyncExitStack()
        self._open = False

    # -- one a process

    def claim(self) -> None:
        """Take NiceGUI for this dashboard.

        Raises:
            ConfigError: another one has it.

        """
        owner = vars(core.app).setdefault(OWNER, self)
        if owner is self and core.app.is_stopped:
            return
        whose = f"that of lab {owner.desk.lab.name!r}" if owner is not self else "a NiceGUI program"
        self.release()
        message = (
            f"this process shows a dashboard already, {whose}, and NiceGUI can do only one at a time: stop that server "
            "first, or serve this lab without one (Server(lab, dashboard=False), actorlab serve --no-dashboard)"
        )
        raise ConfigError(message)

    def release(self) -> None:
        """Let another dashboard have NiceGUI."""
        if vars(core.app).get(OWNER) is self:
            del vars(core.app)[OWNER]

    # -- begin and end

    async def begin(self) -> None:
        """Make the pages, and let NiceGUI begin."""
        core.app.config.add_run_config(
            reload=False, title=self.desk.lab.name, viewport="width=device-width, initial-scale=1", favicon=ICON,
            dark=None, language="en-US", binding_refresh_interval=None, reconnect_timeout=AWAY,
            message_history_length=200, tailwind=False, unocss=None, prod_js=True, show_welcome_message=False,
            markdown=False,
        )  # fmt: skip
        for panel in PANELS:
            self._add_page(panel)
        await self._running.enter_async_context(core.app.router.lifespan_context(core.app))
        self._running.push_async_callback(self.newsroom.close)
        self.newsroom.open()
        self._guard.begin()
        self._open = True

    async def end(self) -> None:
        """Let all browsers go, and leave NiceGUI as it was."""
        if not self._open:
            return
        self._open = False
        self._guard.end()
        for client in list(Client.instances.values()):
            client.delete()
        connections = core.sio.eio
        for connected in list(connections.sockets):
            await connections.disconnect(connected)
        await self._running.aclose()
        if connections.service_task_handle is not None:
            await core.sio.shutdown()
            connections.start_service_task = True  # in whichever event loop comes next
        run.reset()  # its pools are gone, and the next dashboard may want some
        for path in (ICON_PATH, *(panel.path for panel in PANELS)):
            core.app.remove_route(path)

    def _add_page(self, panel: Panel) -> None:
        async def build(request: Request) -> None:
            session: Session = request.scope[SESSION]
            await show_frame(PageContext(self.newsroom, session, panel, dict(request.query_params)), PANELS)

        ui.page(panel.path, title=f"{panel.title} · {self.desk.lab.name}")(build)

    # -- requests

    def in_front_of(self, routes: ASGIApp) -> ASGIApp:
        """Return an application that answers the dashboard's addresses itself, and leaves the others to `routes`."""

        async def application(scope: Scope, receive: Receive, send: Send) -> None:
            here = scope["type"] in {"http", "websocket"} and is_ours(scope["path"])
            await (self._answer if here else routes)(scope, receive, send)

        return application

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request for a page, a file or a connection, unless whoever asks may not have it."""
        connection = HTTPConnection(scope)
        session = self._anybody if self.desk.tokens is None else self._sessions.of(connection)
        refused = self._refusal(connection, session)
        if scope["type"] == "websocket":
            if refused is not None:
                await WebSocket(scope, receive, send).close(1008)
                return
            await core.app(scope, receive, send)
            return
        answer = refused or await self._of_login(Request(scope, receive))
        if answer is None:
            scope[SESSION] = session
            await self._nicegui(scope, receive, with_headers(send))
        else:
            await answer(scope, receive, with_headers(send))

    def _refusal(self, connection: HTTPConnection, session: Session | None) -> Response | None:
        """Say why somebody gets nothing, or send him to the login page."""
        try:
            self.desk.refuse_strange_pages(connection)
            refuse_other_pages(connection)
        except Refused as refused:
            log.warning("%r: %s", connection.scope["path"], text_of(refused.error))
            return PlainTextResponse(text_of(refused.error), refused.status)
        path = connection.scope["path"]
        if not self._open:
            return PlainTextResponse("the server ends", 503)
        if session is not None and path.startswith(CONNECTIONS):
            return None if speaks_for_itself(connection, session) else PlainTextResponse("not your page", 403)
        if session is not None or path in {LOGIN, ICON_PATH}:
            return None
        is_page = path == "/" or path.startswith("/dashboard/")
        return RedirectResponse(LOGIN, 303) if is_page else PlainTextResponse("log in first", 401)

    async def _of_login(self, request: Request) -> Response | None:
        match request.url.path:
            case str(path) if path == LOGIN:
                return await logged_in(request, self.desk, self._sessions)
            case str(path) if path == LOGOUT:
                return logged_out(request, self._sessions)
            case _:
                return None


def refuse_other_pages(connection: HTTPConnection) -> None:
    """Refuse other sites, also those whose pages may use the REST routes: they are no pages of the dashboard."""
    origin = connection.headers.get("origin")
    if origin is not None and origin.partition("://")[2] != connection.headers.get("host"):
        message = f"pages of {origin} are none of this dashboard's"
        raise Refused(403, NotAllowed(message))


def is_ours(path: str) -> bool:
    """Tell whether an address belongs to the dashboard."""
    return path in {"/", "/dashboard", ICON_PATH} or path.startswith(PREFIXES)


def with_headers(send: Send) -> Send:
    """Have a browser keep the answer to itself: in no frame of others, with nothing from elsewhere."""

    async def sent(message: Message) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [*message["headers"], *HEADERS]
        await send(message)

    return sent
