"""Show one run: how it stands, its parameters, its graph, what was done when, what it has recorded, what came out."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from nicegui import ui

from actorlab.dashboard.acting import WORDS, Acting
from actorlab.dashboard.log_panel import show_line
from actorlab.dashboard.plot_feed import Feed, rows_in, rows_of_run
from actorlab.dashboard.plot_view import TURN as PLOT_TURN
from actorlab.dashboard.plot_view import PlotView
from actorlab.dashboard.run_facts import LiveRun, PastRun, Told, find_run
from actorlab.dashboard.run_look import SIGNS, TONES, acts_for, state_words, time_words
from actorlab.dashboard.run_parameters import ParametersBox
from actorlab.dashboard.run_pictures import RunPictures
from actorlab.dashboard.run_rows import rows_of
from actorlab.dashboard.run_tree import RunTree
from actorlab.dashboard.widgets import Kind, button, heading, show_text
from actorlab.data.dataset import Dataset
from actorlab.encoding import only_ours
from actorlab.errors import ActorLabError, ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from actorlab.dashboard.news import News
    from actorlab.dashboard.page import PageContext
    from actorlab.dashboard.run_facts import Failure
    from actorlab.dashboard.run_look import RunLook
    from actorlab.dashboard.run_rows import Row
    from actorlab.runtime.lab import Lab

__all__ = ["show_run"]

KINDS: Final = frozenset({"run", "step", "progress", "log"})
TURN: Final = 1.0
LINES: Final = 100


async def show_run(page: PageContext, run_id: str) -> None:
    """Show the run of this id, or say that there is none."""
    try:
        source = await page.look(find_run, page.lab, run_id)
    except ActorLabError as error:
        with ui.element("section").classes("panel"):
            heading("No such run", 1)
            ui.label(str(error)).classes("muted")
            ui.link("All runs", "/dashboard/runs")
        return
    RunPage(page, source)


class RunPage:
    """One run in one browser."""

    def __init__(self, page: PageContext, source: LiveRun | PastRun) -> None:
        self._page = page
        self._source = source
        self._opened: dict[str, bool] = {}
        self._looking = asyncio.Lock()
        self._told: Told | None = None
        self._lines: list[Any] = []
        self._show_head()
        self._parameters = ParametersBox(page, source.id)
        self._pictures = RunPictures(page, source)
        with ui.element("div").classes("pair"):
            with ui.element("section").classes("panel") as self._parts:
                heading("Steps")
                self._tree = RunTree(self._toggle, Acting(page).act)
            self._pictures.show_graph()
        self._pictures.show_timeline()
        with ui.element("section").classes("panel") as self._data:
            heading("Recorded data")
            feed = Feed(rows_of_run(source.run) if isinstance(source, LiveRun) else rows_of_past(page.lab, source.id))
            page.every(PLOT_TURN, PlotView(page, {source.id: feed}).refresh)
        with ui.element("section").classes("panel") as self._log:
            heading("Log")
            self._log_box = ui.element("div").classes("log").props('role="log" aria-live="off"')
        page.watch(self._hear, kinds=KINDS)
        if isinstance(source, LiveRun):
            page.every(TURN, self.refresh_if_under_way)

    def _show_head(self) -> None:
        with ui.element("section").classes("panel"):
            with ui.element("div").classes("row between"):
                with ui.element("div").classes("row"):
                    ui.link("Runs", "/dashboard/runs").classes("muted")
                    ui.label("/").classes("muted")
                    heading(self._source.id, 1).mark("run-id")
                    self._state = ui.label().classes("chip").mark("run-state")
                self._buttons = ui.element("div").classes("row")
            self._bar = ui.linear_progress(0, show_value=False, size="8px").props("rounded instant-feedback")
            self._line = ui.label().classes("muted").mark("run-line")
            self._reasons = ui.label().classes("small").mark("run-reasons")
            self._wrong = ui.label().classes("error-text").props('role="alert"').mark("run-wrong")
            show_text(self._wrong, "")
            self._facts = ui.element("dl").classes("facts")
            self._failures = ui.element("div").mark("run-error")
            with ui.element("div") as self._result_box:
                ui.label("Result").classes("heading")
                self._result = ui.label().classes("traceback mono").mark("run-result")

    async def _hear(self, news: News) -> None:
        """Look again, but at a run that has ended only if it has begun anew: then this is another page."""
        if self._told is not None and self._told.look.state.terminal:
            mine = any(event.subject == self._source.id for event in news.events)
            if not (mine or news.gap):
                return
            if await self._page.look(has_begun_anew, self._page.lab, self._source):
                ui.navigate.reload()
                return
        await self.refresh()

    async def refresh_if_under_way(self) -> None:
        """Let the times go on."""
        if self._told is None or not self._told.look.state.terminal:
            await self.refresh()

    async def refresh(self) -> None:
        """Look at the run, and show how it stands."""
        async with self._looking:
            told = await self._page.look(partial(self._source.told, traces=self._page.may("admin")))
            before, self._told = self._told, told
            self._show(told, before)
            self._pictures.told = told

    def _show(self, told: Told, before: Told | None) -> None:
        look = told.look
        self._state.text = f"{SIGNS[look.state]} {state_words(look.state)}"
        self._state.classes(replace=f"chip chip-plain chip-{TONES[look.state]}")
        self._bar.set_visibility(look.under_way and look.fraction is not None)
        self._bar.value = round(look.fraction or 0.0, 3)
        self._line.text = ", ".join(filter(None, (time_words(look, look.now), look.message)))
        self._line.set_visibility(bool(self._line.text))
        reasons = () if TONES[look.state] == "bad" else look.reasons  # what failed says its error
        self._reasons.text = "\n".join(reasons)
        self._reasons.set_visibility(bool(reasons))
        if before is None or before.look.state != look.state:
            self._show_buttons(told)
        if before is None or before.facts != told.facts:
            self._show_facts(told)
        if before is None or before.failures != told.failures:
            self._show_failures(told.failures)
        self._result_box.set_visibility(told.result is not None)
        self._result.text = told.result or ""
        self._parameters.show({} if look.state.terminal else told.parameters)
        self._parts.set_visibility(look.has_parts)
        self._tree.show(parts_of(look, self._opened))
        self._data.set_visibility(told.rows > 0)
        self._show_log(told)

    def _show_buttons(self, told: Told) -> None:
        acting = Acting(self._page, partial(show_text, self._wrong))
        self._buttons.clear()
        if acting.act is None:
            return
        with self._buttons:
            for what in acts_for(told.look.state, journalled=told.look.journalled):
                kind: Kind = "danger" if what == "cancel" else "plain"
                made = button(WORDS[what][0], partial(acting.act, what, self._source.id), kind)
                made.mark(f"act-{what}")

    def _show_facts(self, told: Told) -> None:
        self._facts.clear()
        with self._facts:
            for name, text in told.facts:
                with ui.element("dt"):
                    ui.label(name)
                with ui.element("dd"):
                    ui.label(text)

    def _show_failures(self, failures: tuple[Failure, ...]) -> None:
        self._failures.clear()
        with self._failures:
            for failure in failures:
                ui.label(f"Error in {failure.where}").classes("heading")
                ui.label(failure.text).classes("error-text")
                for note in failure.notes:
                    ui.label(note).classes("muted small")
                if failure.traceback:
                    with ui.expansion("Traceback").props("dense"):
                        ui.label(failure.traceback).classes("traceback mono")

    def _show_log(self, told: Told) -> None:
        inside = f"{self._source.id}/"
        lines = {*told.log, *[line for line in self._page.newsroom.lines if f"{line.subject}/".startswith(inside)]}
        newest = sorted(lines)[-LINES:]
        self._log.set_visibility(bool(lines))
        if newest == self._lines:
            return
        self._lines = newest
        self._log_box.clear()
        with self._log_box:
            for line in reversed(self._lines):
                show_line(line)

    async def _toggle(self, key: str, is_open: bool) -> None:  # noqa: FBT001 - an arrow's one word
        self._opened[key] = is_open
        await self.refresh()


def has_begun_anew(lab: Lab, source: LiveRun | PastRun) -> bool:
    """Tell whether somebody has gone on with a run that had ended."""
    try:
        run = lab.get(source.id)
    except ConfigError:
        return False
    return isinstance(source, PastRun) or run is not source.run


def parts_of(look: RunLook, opened: Mapping[str, bool]) -> list[Row]:
    """Return the lines of what is inside a run."""
    if not look.has_parts:
        return []
    rows = rows_of([look], {f"/{look.id}": True, **opened})
    return [row._replace(depth=row.depth - 1) for row in rows if row.depth]


def rows_of_past(lab: Lab, run_id: str) -> Any:
    """Return what reads the rows that the journal has of a run."""
    journalling = lab.journalling
    assert journalling is not None  # noqa: S101 - the run came from it
    reader = journalling.journal.reader(resolve=only_ours)
    return rows_in(Dataset(reader.rows(run_id)))
