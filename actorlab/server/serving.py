"""Serve a lab on a port, in a thread of its own, until it is told to stop."""

from __future__ import annotations

import asyncio
import logging
import socket
import threading
from contextlib import contextmanager, suppress
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final, Protocol, Self

import uvicorn
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from actorlab.config.model import PORT
from actorlab.errors import ConfigError, ServerUnavailable
from actorlab.server.application import app_of
from actorlab.server.desk import Desk
from actorlab.server.doors import certified, listening_at, refuse_open_door, url_of
from actorlab.server.telling import answer, failure

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence
    from pathlib import Path
    from types import TracebackType

    from starlette.types import ASGIApp, Message, Receive, Scope, Send
    from uvicorn.server import ServerState

    from actorlab.runtime.lab import Lab
    from actorlab.runtime.left_behind import LeftBehind
    from actorlab.server.tokens import Tokens

    class Dashboard(Protocol):
        """What the dashboard, which stands above this layer, does for a server."""

        def claim(self) -> None: ...
        def release(self) -> None: ...
        def in_front_of(self, routes: ASGIApp) -> ASGIApp: ...
        async def begin(self) -> None: ...
        async def end(self) -> None: ...


__all__ = ["PORT", "Server"]

STARTING: Final = 10.0
KEPT: Final = 75
"""A connection that nobody uses is closed after so many seconds: our own client has given it up by then."""
CLOSING: Final = 3.0
"""So many seconds the requests in hand have when the server stops; then they are cut off."""
TELLING: Final = 1.0
"""So many seconds those who listen have to hear that the lab has closed."""
STOPS: Final = "the server that gave it stops"
LARGEST_SAID: Final = 1024 * 1024
"""So many bytes a client's message may have on a WebSocket: it says what is wanted, and carries no data."""


class Server:
    """Serve a lab by HTTP, from `start` to `stop`, or in a ``with`` block; the lab goes on when it has stopped.

    Port 0 takes a free one; `url` tells which. With a `certificate` (a PEM file, with its `key` in it or in a file of
    its own) it is https. Pages of other sites may ask only if they are among `origins`. `listening` is a socket that
    `listening_at` has made before. With a `dashboard` browsers find it there; a process has one at a
    time.

    Raises:
        ConfigError: an address that others can reach needs `tokens`; a file can't be used; or the port is in use.

    """

    def __init__(
        self,
        lab: Lab,
        *,
        host: str = "127.0.0.1",
        port: int = PORT,
        tokens: Tokens | None = None,
        origins: Sequence[str] = (),
        certificate: str | Path | None = None,
        key: str | Path | None = None,
        listening: socket.socket | None = None,
        dashboard: bool = False,
    ) -> None:
        refuse_open_door(host, tokens, origins)
        tls = certified(certificate, key)
        self._desk = Desk(lab, tokens, local_only=tokens is None, origins=origins)
        self._socket = listening_at(host, port) if listening is None else listening
        self.url = url_of(host, self._socket.getsockname()[1], tls=bool(tls))
        self._dashboard = dashboard_of(self._desk) if dashboard else None
        routes: ASGIApp = app_of(self._desk)
        config = uvicorn.Config(
            CutOff(routes if self._dashboard is None else self._dashboard.in_front_of(routes)),
            log_config=None, access_log=False, lifespan="off",
            http=http_protocol(), ws=QuietWebSocket, ws_max_size=LARGEST_SAID, ws_per_message_deflate=False,
            timeout_keep_alive=KEPT, timeout_graceful_shutdown=int(CLOSING), **tls,
        )  # fmt: skip
        self._uvicorn = Ended(config, self._desk, self._dashboard)
        self._over = False
        self._thread = threading.Thread(target=self._serve, name="actorlab server", daemon=True)

    def start(self) -> Self:
        """Begin to answer, and return when it does.

        Raises:
            ServerUnavailable: it doesn't.
            ConfigError: this process shows another dashboard already.

        """
        if self._dashboard is not None:
            try:
                self._dashboard.claim()
            except ConfigError:
                self._socket.close()
                raise
        self._thread.start()
        if not self._uvicorn.ready.wait(STARTING) or not self._uvicorn.started:
            self.stop()
            message = f"the server at {self.url} didn't start; the log may say why"
            raise ServerUnavailable(message)
        return self

    def stop_with_lab(self) -> LeftBehind:
        """Close the lab while the server still answers, so that it tells how the runs ended; then stop.

        Return what the lab had to leave behind.
        """
        try:
            self._uvicorn.end_leases()
            return self._desk.lab.close()
        finally:
            self.stop()

    def stop(self) -> None:
        """End the streams, let what is in hand end for some seconds, and cut off the rest; a second time do nothing."""
        if self._over:
            return
        self._over = True
        self._uvicorn.should_exit = True
        if self._thread.ident is not None:
            self._thread.join(CLOSING + STARTING)
        self._socket.close()
        self._desk.meter.end()
        if self._dashboard is not None:
            self._dashboard.release()

    def _serve(self) -> None:
        try:
            self._uvicorn.run(sockets=[self._socket])
        finally:
            self._uvicorn.ready.set()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def http_protocol() -> Any:
    """Return what reads requests: quickly, if httptools is installed, else by h11, which bounds their heads itself."""
    try:
        return import_module("actorlab.server.heads").BoundedHeads
    except ImportError:
        return "h11"


class CutOff:
    """An application whose requests are answered plainly when they are cut off, which only a server that stops does."""

    def __init__(self, application: ASGIApp) -> None:
        self._application = application

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        begun = False

        async def sent(message: Message) -> None:
            nonlocal begun
            begun = True
            await send(message)

        try:
            await self._application(scope, receive, sent)
        except asyncio.CancelledError:
            if not begun and scope["type"] == "http":
                message = f"the server stops; {scope['method']} {scope['path']} was begun, and may still be carried out"
                told = failure(ServerUnavailable(message), "server", traces=False)
                await answer(told, 503)(scope, receive, send)


class QuietWebSocket(WebSocketsSansIOProtocol):
    """uvicorn's WebSocket, which logs no headers and messages, not even for debugging: there are tokens in them."""

    def __init__(
        self,
        config: uvicorn.Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self.conn.debug = False


class Ended(uvicorn.Server):
    """uvicorn's server, which says when it answers, and ends the streams of events before it waits for them."""

    def __init__(self, config: uvicorn.Config, desk: Desk, dashboard: Dashboard | None) -> None:
        super().__init__(config)
        self._desk = desk
        self._dashboard = dashboard
        self._loop: asyncio.AbstractEventLoop | None = None
        self.ready = threading.Event()

    def end_leases(self) -> None:
        """Take the leases away that nobody will be able to renew; from any thread."""
        if self._loop is not None:
            with suppress(RuntimeError):  # it has ended, and they with it
                self._loop.call_soon_threadsafe(self._desk.leases.end, STOPS)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to answer."""
        self._loop = asyncio.get_running_loop()
        if self._dashboard is not None:
            await self._dashboard.begin()
        await super().startup(sockets)
        self.ready.set()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End the streams and the dashboard, take the leases away that nobody can renew any more, then end all else.

        If the lab has closed, those who listen hear of it first. Who reads nothing is cut off.
        """
        if self._desk.lab.ending.over:
            await self._desk.broadcast.told_all(TELLING)
        self._desk.end_streams()
        self._desk.leases.end(STOPS)
        try:
            if self._dashboard is not None:
                await self._dashboard.end()
        finally:
            with in_plain_words():
                await super().shutdown(sockets)
            for connection in list(self.server_state.connections):
                connection.transport.abort()
            await asyncio.sleep(0)  # the connections hear of it in the loop's next turn


@contextmanager
def in_plain_words() -> Generator[None]:
    """Say in our words during a block what uvicorn says of requests that it cuts off."""
    logger = logging.getLogger("uvicorn.error")
    logger.addFilter(plainly)
    try:
        yield
    finally:
        logger.removeFilter(plainly)


def plainly(record: logging.LogRecord) -> bool:
    """Reword what is logged of requests that are cut off; those cut off in the middle are among them."""
    if record.msg.startswith("Cancel %s running task(s)"):
        record.msg = f"requests cut off as the server stops, since {CLOSING:g} s were not enough for them: %s"
        record.levelno, record.levelname = logging.WARNING, "WARNING"
    return not record.msg.startswith("ASGI callable returned without completing")


def dashboard_of(desk: Desk) -> Dashboard:
    """Return the dashboard of a lab: it stands above this layer, and is loaded by those who ask for it."""
    made: Dashboard = import_module("actorlab.dashboard").Dashboard(desk)
    return made
