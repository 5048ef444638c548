"""Show the graph of a run in the colours of its states, and what was done when; drawn anew when that has changed."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from nicegui import ui

from actorlab.dashboard.run_graph import MOST_BOXES, coloured_gantt, coloured_graph, counted, mosaic
from actorlab.dashboard.run_look import SIGNS, TONES, state_words
from actorlab.dashboard.widgets import heading
from actorlab.errors import MailboxFull

if TYPE_CHECKING:
    from collections.abc import Sequence

    from actorlab.core.run_state import RunState
    from actorlab.dashboard.page import PageContext
    from actorlab.dashboard.run_facts import LiveRun, PastRun, Told

__all__ = ["RunPictures"]

TURN: Final = 1.0
"""The timeline moves on every so many seconds, if it is quickly drawn; else as much more seldom."""
QUICK: Final = 0.5
"""So it is for the graph, of which at most that many squares or boxes are drawn …"""
LATEST: Final = 2.0
"""… so that this is seldom enough."""
SHARE: Final = 20
"""Drawing takes this part of the time at most."""


class RunPictures:
    """The pictures of one run in one browser."""

    def __init__(self, page: PageContext, source: LiveRun | PastRun) -> None:
        self._page = page
        self._source = source
        self._states: Sequence[RunState] | None = None
        self._next = 0.0
        self._next_graph = 0.0
        self._over = False
        self.told: Told | None = None
        """How the run stood when it was looked at last."""

    def show_graph(self) -> None:
        """Make the place of the graph."""
        with ui.element("section").classes("panel") as self._graph_box:
            heading("Graph")
            self._legend = ui.element("div").classes("legend")
            self._graph = ui.html("", sanitize=False).classes("picture").mark("run-graph")

    def show_timeline(self) -> None:
        """Make the place of the timeline, and begin to draw."""
        with ui.element("section").classes("panel") as self._gantt_box:
            self._title = heading("Timeline")
            self._gantt = ui.html("", sanitize=False).classes("picture").mark("run-gantt")
            self._unknown = ui.label().classes("small muted")
        self._graph_box.set_visibility(False)
        self._gantt_box.set_visibility(False)
        self._page.every(QUICK, self._refresh)

    async def _refresh(self) -> None:
        """Draw what has changed."""
        told = self.told
        if told is None:
            return
        self._graph_box.set_visibility(len(told.states) > 1)
        if told.states != self._states and len(told.states) > 1:
            await self._refresh_graph(told)
        await self._refresh_timeline(told)

    async def _refresh_graph(self, told: Told) -> None:
        now = time.monotonic()
        if now < self._next_graph and not told.look.state.terminal:
            return
        self._states = told.states
        self._graph.content = await self._page.look(self._drawn, told.states)
        self._show_legend(told.states)
        self._next_graph = now + min(LATEST, max(QUICK, SHARE * (time.monotonic() - now)))

    def _drawn(self, states: Sequence[RunState]) -> str:
        graph = self._source.graph() if len(states) <= MOST_BOXES else None
        return mosaic(states) if graph is None else coloured_graph(graph, dict(enumerate(states)))

    def _show_legend(self, states: Sequence[RunState]) -> None:
        self._legend.clear()
        with self._legend:
            for state, count in counted(states):
                text = f"{SIGNS[state]} {count:,} {state_words(state)}"
                ui.label(text).classes(f"chip chip-plain chip-{TONES[state]}")

    async def _refresh_timeline(self, told: Told) -> None:
        self._gantt_box.set_visibility(told.look.began is not None)
        now = time.monotonic()
        over = told.look.state.terminal
        if told.look.began is None or (self._over and over) or (now < self._next and not over):
            return
        try:
            timeline = await self._page.desk.reckon(self._source.timeline)
        except MailboxFull:  # others have something reckoned
            self._next = now + TURN
            return
        self._gantt.content = await self._page.look(coloured_gantt, timeline)
        self._title.text = "What was done, and what is planned" if timeline.now is not None else "What was done"
        self._unknown.text = "; ".join(timeline.unknown)
        self._unknown.set_visibility(bool(timeline.unknown))
        self._over = over
        self._next = now + max(TURN, SHARE * (time.monotonic() - now))
