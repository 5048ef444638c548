"""Serve one client's WebSocket: what it has subscribed to is sent by a task for each, at the client's own pace."""

from __future__ import annotations

import asyncio
import json
import logging
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, assert_never

from starlette.websockets import WebSocketDisconnect

from actorlab.encoding import text_of_tree
from actorlab.errors import ConfigError, NotAllowed, text_of
from actorlab.server.asked import EventsAsked, LogAsked, StreamAsked, TokenSaid, Unsubscribed, said
from actorlab.server.following import Following
from actorlab.server.hearing import Hearing
from actorlab.server.refusing import Refused, as_refused
from actorlab.server.run_log import RunLog
from actorlab.server.stream_items import frame, item_json
from actorlab.server.telling import answer, failure

if TYPE_CHECKING:
    from starlette.websockets import WebSocket

    from actorlab.server.desk import Desk
    from actorlab.server.following import Part
    from actorlab.server.tokens import Who

__all__ = ["LiveSocket"]

MOST: Final = 100
"""So many subscriptions one client may have."""
PATIENCE: Final = 10.0
"""Within so many seconds a client has to say who it is."""
POLICY: Final = 1008
"""The WebSocket code for one who isn't let in."""
log = logging.getLogger("actorlab.server")


class LiveSocket:
    """One client's WebSocket. What isn't read in time is told to be missing, and waits nowhere in here."""

    def __init__(self, desk: Desk, socket: WebSocket) -> None:
        self._desk = desk
        self._socket = socket
        self._who: Who | None = None
        self._token = socket.headers.get("authorization", "").partition(" ")[2].strip()
        self._out = False
        self._tasks: dict[int | str, asyncio.Task[None]] = {}

    async def serve(self) -> None:
        """Let the client in, and do what it says, until it leaves."""
        try:
            self._desk.refuse_strange_pages(self._socket)
            silent = self._desk.asks_who and "authorization" not in self._socket.headers
            self._who = None if silent else self._desk.who(self._socket)
        except Refused as refused:
            log.warning("WebSocket %r: %s, %r", self._socket.url.path, refused.status, text_of(refused.error))
            await self._socket.send_denial_response(answer(self._written(refused), refused.status))
            return
        await self._socket.accept()
        try:
            if self._who is None:
                self._who = await self._introduced()
            while True:
                await self._take(await self._heard())
        except WebSocketDisconnect:
            return
        finally:
            for task in list(self._tasks.values()):
                task.cancel()
            await asyncio.gather(*self._tasks.values(), return_exceptions=True)

    async def _heard(self) -> str | bytes:
        message = await self._socket.receive()
        if message["type"] == "websocket.disconnect":
            raise WebSocketDisconnect(message.get("code", 1000))
        text: str | bytes = message.get("text") or message.get("bytes") or ""
        return text

    async def _introduced(self) -> Who:
        """Return who asks, by the token in the first message; whoever has none is sent away."""
        with suppress(TimeoutError, ConfigError):
            async with asyncio.timeout(PATIENCE):
                message = said(await self._heard())
            who = self._desk.whose(message.token.strip()) if isinstance(message, TokenSaid) else None
            if who is not None and isinstance(message, TokenSaid):
                self._token = message.token.strip()
                return who
        why = 'say who asks, by a header, or first of all by {"token": "…"} with a token that is known'
        log.warning("WebSocket %r: nobody is let in: %s", self._socket.url.path, why)
        await self._say({"error": failure(NotAllowed(why), "server", traces=False)})
        await self._socket.close(POLICY, "not allowed")
        raise WebSocketDisconnect(POLICY)

    async def _check(self) -> None:
        """Send away whoever isn't let in any more: the token was revoked."""
        if not self._out:
            if self._desk.whose(self._token) == self._who:
                return
            self._out = True
            await self._socket.close(POLICY, "not allowed any more")
        raise WebSocketDisconnect(POLICY)

    async def _take(self, text: str | bytes) -> None:
        """Do what one message says."""
        await self._check()
        try:
            match said(text):
                case TokenSaid():
                    pass  # who asks is known already
                case Unsubscribed(id=which):
                    await self._unsubscribe(which)
                case EventsAsked() | StreamAsked() | LogAsked() as asked:
                    self._subscribe(asked)
        except ConfigError as error:
            await self._say({"error": self._written(error)})

    def _subscribe(self, asked: EventsAsked | StreamAsked | LogAsked) -> None:
        if asked.id in self._tasks or len(self._tasks) >= MOST:
            why = f"there is {asked.id!r} already" if asked.id in self._tasks else f"{MOST} at a time are enough"
            message = f"subscription {asked.id!r} isn't begun: {why}"
            raise ConfigError(message)
        task = asyncio.create_task(self._send(asked))
        self._tasks[asked.id] = task
        task.add_done_callback(lambda _: self._tasks.pop(asked.id, None))

    async def _unsubscribe(self, which: int | str) -> None:
        task = self._tasks.get(which)
        if task is None:
            message = f"there is no subscription {which!r}"
            raise ConfigError(message)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await self._say({"id": which, "ended": True, "error": None})

    async def _send(self, asked: EventsAsked | StreamAsked | LogAsked) -> None:
        """Send what one subscription is for, and how it ended."""
        with suppress(WebSocketDisconnect):
            error: Exception | None = None
            try:
                await self._send_all(asked)
            except WebSocketDisconnect:
                raise
            except Exception as caught:  # noqa: BLE001 - the boundary: whoever asks is told
                error = caught
            told = None if error is None else self._written(error)
            await self._say({"id": asked.id, "ended": True, "error": told})

    async def _send_all(self, asked: EventsAsked | StreamAsked | LogAsked) -> None:
        match asked:
            case StreamAsked():
                await self._send_items(asked)
            case EventsAsked(kinds=kinds, subjects=subjects):
                await self._send_parts(asked.id, Following(self._desk, kinds, subjects), asked.last_event_id)
            case LogAsked():
                await self._send_parts(asked.id, RunLog(self._desk, asked.run, asked.newest), None)
            case _:
                assert_never(asked)

    async def _send_parts(self, which: int | str, source: Following | RunLog, last_id: str | None) -> None:
        try:
            await source.begin(last_id)
            while (part := await source.more()) is not None:
                await self._check()
                if part.told or part.event_id is not None:
                    await self._socket.send_text(self._part_text(which, part))
        finally:
            source.leave()

    def _part_text(self, which: int | str, part: Part) -> str:
        return f'{{"id":{json.dumps(which)},"events":{part.json},"last_event_id":{json.dumps(part.event_id)}}}'

    async def _send_items(self, asked: StreamAsked) -> None:
        """Send the items of a stream: arrays as binary frames, all else as text."""
        assert self._who is not None  # noqa: S101 - it is known before anything is taken
        which = json.dumps(asked.id)
        hearing = Hearing(self._desk, asked.buffer)
        try:
            lease = self._desk.leases.used(asked.lease, self._who)
            await hearing.begin(self._who, asked.device, asked.stream, asked.args, asked.kwargs, "binary", lease)
            await self._say({"id": asked.id, "begun": True})
            while True:
                try:
                    found = await hearing.more()
                except TimeoutError:
                    await self._check()
                    continue  # uvicorn's own pings find out who has vanished
                if found is None:
                    return
                await self._check()
                sent, dropped = found
                text = f'{{"id":{which},"item":{item_json(sent, dropped)}}}'
                if sent.body is None:
                    await self._socket.send_text(text)
                else:
                    await self._socket.send_bytes(frame(text, sent.body))
        finally:
            hearing.leave()

    def _written(self, error: Exception) -> Any:
        refused = error if isinstance(error, Refused) else as_refused(error)
        traces = self._who is not None and self._who.may("admin")
        return failure(refused.error, refused.origin, traces=traces) | refused.details

    async def _say(self, told: dict[str, Any]) -> None:
        await self._socket.send_text(text_of_tree(told))
