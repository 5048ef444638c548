"""Show the newest lines of the lab's log, those that are serious enough."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from nicegui import ui

from actorlab.dashboard.log_lines import Level, Line
from actorlab.dashboard.widgets import heading

if TYPE_CHECKING:
    from actorlab.dashboard.news import News
    from actorlab.dashboard.page import PageContext

__all__ = ["show_log"]

SHOWN: Final = 200
LEVELS: Final = {Level.INFO: "everything", Level.WARNING: "warnings and errors", Level.ERROR: "errors only"}


def show_log(page: PageContext) -> None:
    """Show the log, the newest line first."""
    with ui.element("section").classes("panel"):
        with ui.row().classes("row between"):
            heading("Log")
            level = ui.select(LEVELS, value=Level.INFO, label="Show").props("dense outlined").classes("w-select")
        box = ui.element("div").classes("log").props('role="log" aria-live="off"')
    shown: list[Line] = []

    def refresh(news: News | None) -> None:
        del news
        wanted = [line for line in page.newsroom.lines if line.level >= level.value][-SHOWN:]
        if wanted == shown:
            return
        shown[:] = wanted
        box.clear()
        with box:
            for line in reversed(wanted):
                show_line(line)
            if not wanted:
                ui.label("Nothing yet.").classes("muted")

    level.on_value_change(lambda: refresh(None))
    page.watch(refresh)


def show_line(line: Line) -> None:
    """Show one line."""
    with ui.element("div").classes(f"log-line log-{line.level.name.lower()}"):
        ui.label(time.strftime("%H:%M:%S", time.localtime(line.time))).classes("mono muted")
        ui.label(line.level.name.lower()).classes("log-level")
        ui.label(line.subject).classes("mono log-subject")
        ui.label(line.text).classes("log-text")
