"""Show the runs that were interrupted before this lab opened, with the ways on for operators."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from nicegui import ui

from actorlab.core.run_state import RunState
from actorlab.dashboard.acting import Acting
from actorlab.dashboard.history import show_kept
from actorlab.dashboard.run_look import acts_for
from actorlab.dashboard.run_tree import show_acts
from actorlab.dashboard.widgets import heading, show_text
from actorlab.errors import ActorLabError

if TYPE_CHECKING:
    from actorlab.dashboard.news import News
    from actorlab.dashboard.page import PageContext
    from actorlab.journal.reader import KeptRun
    from actorlab.runtime.lab import Lab

__all__ = ["InterruptedRuns"]

MOST: Final = 20
"""So many are listed, the latest; history has the others."""


def interrupted_before(lab: Lab) -> tuple[KeptRun, ...]:
    """Return the interrupted runs that nobody has gone on with; for a thread."""
    kept = lab.interrupted
    here = {run.id for run in lab.runs} if kept else set[str]()
    return tuple([run for run in kept if run.id not in here])


class InterruptedRuns:
    """Their section in one browser: not there while there are none."""

    def __init__(self, page: PageContext) -> None:
        self._page = page
        self._looking = asyncio.Lock()
        self._runs: tuple[KeptRun, ...] | None = None
        with ui.element("section").classes("panel") as self._section:
            heading("Interrupted before this lab opened")
            self._wrong = ui.label().classes("error-text").props('role="alert"').mark("interrupted-wrong")
            self._box = ui.element("div").classes("run-tree").props('role="list"').mark("interrupted")
            with ui.element("div") as self._more:
                self._others = ui.label().classes("small muted")
                ui.link("History", "/dashboard/history").classes("small")
        self._section.set_visibility(False)
        self._acting = Acting(page, self._refuse)
        if page.lab.journalling is not None:
            page.watch(self._hear, kinds={"run"})

    @property
    def some(self) -> bool:
        """Tell whether there are any."""
        return bool(self._runs)

    async def _hear(self, news: News) -> None:
        """Look into the journal once, and when something was told of one of them; no others can come."""
        async with self._looking:
            known = {run.id for run in self._runs or ()}
            if self._runs is None or news.gap or any(event.subject in known for event in news.events):
                await self._look()

    async def _look(self) -> None:
        try:
            runs = await self._page.look(interrupted_before, self._page.lab)
        except ActorLabError as error:
            self._refuse(str(error))
            return
        if runs != self._runs:
            self._runs = runs
            self._show(runs)

    def _show(self, runs: tuple[KeptRun, ...]) -> None:
        show_text(self._wrong, "")
        self._section.set_visibility(bool(runs))
        self._box.clear()
        with self._box:
            for run in runs[:MOST]:
                show_kept(run, self._show_acts)
        self._more.set_visibility(len(runs) > MOST)
        self._others.text = f"and {len(runs) - MOST:,} more:"

    def _show_acts(self, run: KeptRun) -> None:
        with ui.element("div").classes("run-buttons"):
            if self._acting.act is not None:
                show_acts(acts_for(RunState(run.state), journalled=True), run.id, self._acting.act)

    def _refuse(self, text: str) -> None:
        """Say here why it can't be."""
        show_text(self._wrong, text)
        if text:
            self._section.set_visibility(True)
