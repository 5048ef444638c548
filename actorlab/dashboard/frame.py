"""Show what every page has: the tabs, who is there, the emergency stop, what an operator is asked."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import TYPE_CHECKING, Final

from nicegui import ui

from actorlab.dashboard.login import LOGOUT
from actorlab.dashboard.questions import show_questions
from actorlab.dashboard.stopping import show_stop_button, show_stopped

if TYPE_CHECKING:
    from collections.abc import Iterable

    from actorlab.dashboard.page import PageContext, Panel

__all__ = ["show_frame"]

HERE: Final = Path(__file__).parent


async def show_frame(page: PageContext, panels: Iterable[Panel]) -> None:
    """Show a panel in its frame."""
    ui.add_css((HERE / "dashboard.css").read_text(encoding="utf-8"))
    ui.add_head_html(f"<script>{(HERE / 'theme.js').read_text(encoding='utf-8')}</script>")
    with ui.element("header").classes("top"):
        ui.link("Skip to the content", "#content").classes("skip")
        with ui.element("div").classes("top-line"):
            ui.label(page.lab.name).classes("lab-name")
            show_tabs(page, panels)
            ui.element("div").classes("grow")
            show_who(page)
            show_stop_button(page)
    with ui.element("div").classes("content").props('id="content" tabindex="-1"'):
        show_stopped(page)
        show_questions(page)
        shown = page.panel.show(page)
        if inspect.isawaitable(shown):
            await shown
    await page.settle()


def show_tabs(page: PageContext, panels: Iterable[Panel]) -> None:
    """Show the way to the other pages."""
    with ui.element("nav").classes("tabs").props('aria-label="Pages"'):
        for panel in panels:
            link = ui.link(panel.title, panel.path).classes("tab")
            if panel.path == page.panel.path:
                link.classes("tab-here").props('aria-current="page"')


def show_who(page: PageContext) -> None:
    """Show who is there, the switch between light and dark, and the way out."""
    if page.desk.tokens is not None:
        ui.label(f"{page.who.name} · {page.who.role}").classes("who muted")
    theme = ui.button(icon="contrast", color=None).props(
        'flat round dense aria-label="Light, dark, or as the system has it"'
    )
    theme.classes("top-button").on("click", js_handler="() => actorlabTheme.next()")
    if page.desk.tokens is not None:
        with ui.element("form").props(f'method="post" action="{LOGOUT}"'):
            leave = ui.button(icon="logout", color=None).props('flat round dense type="submit" aria-label="Log out"')
            leave.classes("top-button").tooltip("Log out")
