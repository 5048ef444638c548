"""Show the runs as a live tree: those under way first, then the newest; a page of them at a time."""

from __future__ import annotations

import asyncio
import time
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from nicegui import ui

from actorlab.dashboard.acting import Acting
from actorlab.dashboard.interrupted import InterruptedRuns
from actorlab.dashboard.run_looking import FILTERS, Listing, look_as_opened, look_at_runs
from actorlab.dashboard.run_page import show_run
from actorlab.dashboard.run_rows import rows_of
from actorlab.dashboard.run_style import add_style
from actorlab.dashboard.run_tree import RunTree
from actorlab.dashboard.widgets import show_text

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from actorlab.dashboard.page import PageContext
    from actorlab.dashboard.run_look import RunLook
    from actorlab.runtime.run import Run

__all__ = ["KINDS", "show_runs"]

KINDS: Final = frozenset({"run", "step", "progress", "question", "emergency stop"})
PAGE: Final = 20
"""So many runs stand on a page: however many there are, a browser gets no more."""
SHARE: Final = 4
"""Of many runs the page is brought up to date as seldom as that takes long, so many times longer."""
TURN: Final = 1.0
"""No event tells how the time goes by."""


async def show_runs(page: PageContext) -> None:
    """Show all runs, or the one that the address names."""
    add_style()
    if "run" in page.query:
        await show_run(page, page.query["run"])
    else:
        RunsPanel(page)


def looks_at(runs: Sequence[Run[Any]], opened: Mapping[str, bool]) -> list[RunLook]:
    """Return how some runs stand, with the parts of those that stand open; for a thread."""
    return [look_as_opened(run, opened.get(f"/{run.id}")) for run in runs]


class RunsPanel:
    """The list of runs in one browser."""

    def __init__(self, page: PageContext) -> None:
        self._page = page
        self._which = "all"
        self._first = 0
        self._next = 0.0
        self._opened: dict[str, bool] = {}
        self._looking = asyncio.Lock()
        with ui.element("section").classes("panel runs"):
            with ui.element("div").classes("row between"):
                ui.label("Runs").classes("title").props('role="heading" aria-level="1"')
                self._choice = ui.toggle({name: name for name in FILTERS}, value="all", on_change=self._choose)
                self._choice.props("no-caps dense unelevated color=plain text-color=plain")
                self._choice.props("toggle-color=picked toggle-text-color=picked").classes("choice").mark("filter")
            self._empty = ui.label().classes("muted")
            self._tree = RunTree(self._toggle, Acting(page).act)
            with ui.element("div").classes("row pages") as self._pages:
                self._newer = ui.button(icon="chevron_left", on_click=partial(self._turn, -PAGE))
                self._newer.props('flat round dense aria-label="Newer runs"')
                self._where = ui.label().classes("small muted")
                self._older = ui.button(icon="chevron_right", on_click=partial(self._turn, PAGE))
                self._older.props('flat round dense aria-label="Older runs"')
        self._interrupted = InterruptedRuns(page)
        page.watch(lambda _: self.refresh(anew=False), kinds=KINDS)
        page.every(TURN, partial(self.refresh, anew=False))

    async def refresh(self, *, anew: bool = True) -> None:
        """Look at the runs that are shown, and show them; not too often where that takes long."""
        began = time.monotonic()
        if began < self._next and not anew:
            return
        async with self._looking:
            page = self._page
            listing = await page.newsroom.shared_look("runs", partial(look_at_runs, page.lab))
            chosen = listing.chosen(self._which)
            self._first = max(0, min(self._first, (len(chosen) - 1) // PAGE * PAGE))
            shown = chosen[self._first : self._first + PAGE]
            looks = await page.look(looks_at, shown, self._opened)
            rows = rows_of(looks, self._opened)
            self._tree.show(rows)
            self._show_counts(listing, len(chosen), len(shown))
            known = {row.key for row in rows}
            self._opened = {key: is_open for key, is_open in self._opened.items() if key in known}
        self._next = time.monotonic() + SHARE * (time.monotonic() - began)

    def _show_counts(self, listing: Listing, chosen: int, shown: int) -> None:
        counts = {name: len(listing.chosen(name)) for name in FILTERS}
        titles = {name: f"{name} {count:,}" for name, count in counts.items()}
        if self._choice.options != titles:
            self._choice.set_options(titles)
        since = " since this lab opened" if self._interrupted.some else ""
        show_text(self._empty, "" if shown else f"There are no runs{since}.")
        self._pages.set_visibility(chosen > PAGE)
        self._where.text = f"{self._first + 1:,} to {self._first + shown:,} of {chosen:,}"
        self._newer.set_enabled(self._first > 0)
        self._older.set_enabled(self._first + PAGE < chosen)

    async def _choose(self) -> None:
        if self._choice.value != self._which and self._choice.value in FILTERS:
            self._which, self._first = self._choice.value, 0
            await self.refresh()

    async def _turn(self, by: int) -> None:
        self._first += by
        await self.refresh()

    async def _toggle(self, key: str, is_open: bool) -> None:  # noqa: FBT001 - an arrow's one word
        self._opened[key] = is_open
        await self.refresh()
