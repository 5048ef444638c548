"""Show what runs record, several side by side, and the streams of devices."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from nicegui import ui

from actorlab.dashboard.plot_feed import Feed, rows_of_run
from actorlab.dashboard.plot_view import TURN, PlotView
from actorlab.dashboard.run_looking import look_at_runs
from actorlab.dashboard.run_style import add_style
from actorlab.dashboard.stream_view import show_streams
from actorlab.dashboard.widgets import heading

if TYPE_CHECKING:
    from actorlab.dashboard.page import PageContext
    from actorlab.runtime.lab import Lab

__all__ = ["show_plots"]

OFFERED: Final = 100
MOST: Final = 6
"""So many runs are drawn side by side."""
LOOKED_FOR: Final = 2.0


async def show_plots(page: PageContext) -> None:
    """Show the plots of chosen runs; the newest that records is chosen by itself."""
    add_style()
    with ui.element("section").classes("panel"):
        heading("Recorded data", 1)
        PlotPanel(page)
    await show_streams(page)


def with_rows(lab: Lab) -> list[str]:
    """Return the newest runs that have recorded something; for a thread."""
    runs = look_at_runs(lab).chosen("all")
    return [run.id for run in runs if run.supervisor.notes.records][:OFFERED]


class PlotPanel:
    """The choice of runs in one browser, and their curves."""

    def __init__(self, page: PageContext) -> None:
        self._page = page
        self._drawn: list[str] = []
        self._view: PlotView | None = None
        self._choice = ui.select([], label="Runs", multiple=True, value=[]).classes("wide").mark("plotted-runs")
        self._choice.props("dense outlined options-dense use-chips")
        self._none = ui.label("No run has recorded anything yet; a task does by record(name=value).").classes("muted")
        self._box = ui.element("div").classes("form")
        self._choice.on_value_change(self._draw)
        page.watch(lambda _: self._look(), kinds={"run"})
        page.every(LOOKED_FOR, self._look)
        page.every(TURN, self._grow)

    async def _look(self) -> None:
        """Offer the runs there are."""
        there = await self._page.look(with_rows, self._page.lab)
        chosen: list[str] = list(self._choice.value or [])
        offered = [*there, *(run for run in chosen if run not in there)]
        self._none.set_visibility(not offered)
        if self._choice.options != offered:
            self._choice.set_options(offered, value=chosen or offered[:1])

    async def _grow(self) -> None:
        """Let the curves grow."""
        if self._view is not None:
            await self._view.refresh()

    async def _draw(self) -> None:
        chosen = list(self._choice.value or [])[:MOST]
        if chosen == self._drawn:
            return
        self._drawn = chosen
        runs = await self._page.look(lambda: [run for run in self._page.lab.runs if run.id in chosen])
        self._box.clear()
        self._view = None
        if runs:
            with self._box:
                self._view = PlotView(self._page, {run.id: Feed(rows_of_run(run)) for run in runs})
