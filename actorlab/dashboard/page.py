"""Be the page that one browser shows: who looks, what he may do, and how it stays up to date."""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import Awaitable, Callable, Iterable
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple, TypeAlias, TypeVar, TypeVarTuple

from nicegui import background_tasks, ui

from actorlab.dashboard.news import EVERYTHING, News, Newsroom
from actorlab.errors import ActorLabError, text_of
from actorlab.server.refusing import Refused

if TYPE_CHECKING:
    from actorlab.dashboard.sessions import Session
    from actorlab.server.tokens import Role

__all__ = ["PageContext", "Panel", "Show", "Tone"]

R = TypeVar("R")
Ts = TypeVarTuple("Ts")
Tone: TypeAlias = Literal["positive", "negative", "warning", "info"]
Refresh: TypeAlias = Callable[[News], Awaitable[None] | None]
SETTLING: Final = 1.5
log = logging.getLogger("actorlab.dashboard")


class PageContext:
    """One page in one browser; all of it lives in the server's event loop."""

    def __init__(self, newsroom: Newsroom, session: Session, panel: Panel, query: dict[str, str]) -> None:
        self.newsroom = newsroom
        self.desk = newsroom.desk
        self.lab = newsroom.desk.lab
        self.who = session.who
        self.panel = panel
        self.query = query
        self._session = session
        self._client = ui.context.client
        self._watching: list[tuple[Refresh, frozenset[str] | None]] = []
        self._follower = newsroom.follow()
        self._first_looks: list[asyncio.Task[Any]] = []
        self._turns: list[tuple[float, Callable[[], Awaitable[None]]]] | None = []
        """What is to be called again and again, once the page has been sent; None: it has."""
        self._client.on_delete(self._left)

    # -- who looks

    def may(self, role: Role) -> bool:
        """Tell whether who looks may do what a role is needed for."""
        return self.who.may(role)

    def acts(self, role: Role, what: str, handler: Callable[..., Any]) -> Callable[[], Awaitable[None]]:
        """Return a handler for a button that does something: only for this role, whatever the browser sends.

        What goes wrong is told to whoever clicked.
        """

        async def handle() -> None:
            try:
                self._session.check(role, what)
                self.newsroom.note(self.who, what)
                done = handler()
                if inspect.isawaitable(done):
                    await done
            except Refused as refused:
                self.tell(f"{what}: {text_of(refused.error)}", "negative")
            except ActorLabError as error:
                self.tell(f"{what}: {text_of(error)}", "negative")
            except Exception as error:  # the boundary to whoever clicked
                log.exception("%s failed", what)
                self.tell(f"{what} failed: {text_of(error)}", "negative")

        return handle

    def tell(self, text: str, tone: Tone = "info") -> None:
        """Show a short notice in this browser."""
        with self._client.content:
            long = tone in {"negative", "warning"}
            ui.notify(text, type=tone, position="bottom", timeout=10_000 if long else 4_000, close_button=long)

    @property
    def gone(self) -> bool:
        """Tell whether the browser has left: nothing needs to be shown any more."""
        return self._client.is_deleted

    # -- looks and calls

    async def look(self, function: Callable[[*Ts], R], *args: *Ts) -> R:
        """Ask the lab for something that needs no device, in a thread."""
        return await self.desk.look(function, *args)

    async def call(self, function: Callable[[*Ts], R], *args: *Ts) -> R:
        """Do something that may wait for a device, in a thread."""
        return await self.desk.call_for(self.who, function, *args)

    # -- staying up to date

    def watch(self, refresh: Refresh, *, kinds: Iterable[str] | None = None) -> None:
        """Call `refresh(news)` now, and when something has happened; `kinds` chooses."""
        wanted = None if kinds is None else frozenset(kinds)
        self._watching.append((refresh, wanted))
        first = background_tasks.create(self._refresh(refresh, EVERYTHING), name=f"first look of {self.panel.path}")
        self._first_looks.append(first)

    def every(self, seconds: float, refresh: Callable[[], Awaitable[None] | None]) -> None:
        """Call `refresh()` now and then every so many seconds, while the browser is connected."""

        async def turn() -> None:
            if not self._session.over:
                await self._refresh(lambda _: refresh(), EVERYTHING)

        if self._turns is None:
            self._begin_turns(seconds, turn)
        else:
            self._turns.append((seconds, turn))

    def _begin_turns(self, seconds: float, turn: Callable[[], Awaitable[None]]) -> None:
        with self._client.content:
            ui.timer(seconds, turn, immediate=False)

    async def settle(self) -> None:
        """Wait a moment for the first looks, so that the page comes with what they find; then keep it up to date.

        Who waits for the browser's connection, as timers do, has NiceGUI send the page as it is: none may before.
        """
        if self._first_looks:
            await asyncio.wait(self._first_looks, timeout=SETTLING)
        background_tasks.create(self._keep_up_to_date(), name=f"page {self.panel.path}")
        for seconds, turn in self._turns or ():
            self._begin_turns(seconds, turn)
        self._turns = None

    def _left(self) -> None:
        self.newsroom.leave(self._follower)
        self._follower.offer(EVERYTHING)  # whoever waits for news sees that the page is gone

    async def _keep_up_to_date(self) -> None:
        await self._client.connected()
        while not self._client.is_deleted:
            news = await self._follower.next()
            if self._session.over and not self._client.is_deleted:
                self._client.open("/dashboard/login")
                return
            if not self._client.has_socket_connection:
                await self._client.connected()
                news = EVERYTHING
            for refresh, kinds in list(self._watching):
                if chosen := news.only(kinds):
                    await self._refresh(refresh, chosen)

    async def _refresh(self, refresh: Refresh, news: News) -> None:
        """Let a panel refresh itself; one that fails is in the log, and the others go on."""
        if self._client.is_deleted:
            return
        try:
            with self._client.content:
                done = refresh(news)
                if inspect.isawaitable(done):
                    await done
        except asyncio.CancelledError:
            raise
        except Exception:  # the boundary to a panel
            log.exception("%s couldn't be brought up to date", self.panel.path)


Show: TypeAlias = Callable[[PageContext], Awaitable[None] | None]


class Panel(NamedTuple):
    """A page with a tab: its address, its title, and what shows it."""

    path: str
    title: str
    show: Show
