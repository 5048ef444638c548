"""Show lines of runs: an element for each, which stays the same while what it says changes."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from nicegui import ui

from actorlab.dashboard.run_look import SIGNS, TONES, Act, state_words
from actorlab.dashboard.run_rows import Row

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["RunTree", "link_to_run", "show_acts"]

ICONS: Final[dict[Act, tuple[str, str]]] = {
    "pause": ("pause", "Pause"), "resume": ("play_arrow", "Go on"), "cancel": ("close", "Cancel"),
    "retry": ("replay", "Try again"),
}  # fmt: skip


def link_to_run(run: str) -> str:
    """Return the address of a run's page."""
    return f"/dashboard/runs?run={quote(run, safe='')}"


class RunTree:
    """The lines of some runs in one browser; a button calls `act(what, run)`, an arrow `toggle(key, open)`."""

    def __init__(self, toggle: Callable[[str, bool], Any], act: Callable[[Act, str], Any] | None) -> None:
        self._toggle = toggle
        self._act = act
        self._lines: dict[str, Line] = {}
        self._box = ui.element("div").classes("run-tree").props('role="list"')

    def show(self, rows: Sequence[Row]) -> None:
        """Show these lines, and no others."""
        wanted = {row.key for row in rows}
        for key in [key for key in self._lines if key not in wanted]:
            self._lines.pop(key).delete()
        for row in rows:
            if row.key not in self._lines:
                with self._box:
                    self._lines[row.key] = Line(row, self._toggle, self._act)
            self._lines[row.key].show(row)
        in_order = [self._lines[row.key].element for row in rows]
        if self._box.default_slot.children != in_order:
            self._box.default_slot.children[:] = in_order
            self._box.update()


class Line:
    """One line."""

    def __init__(self, row: Row, toggle: Callable[[str, bool], Any], act: Callable[[Act, str], Any] | None) -> None:
        self._row = row
        self._act = act
        with ui.element("div").classes("run-line").props(f'role="listitem" data-run="{attribute(row.run)}"') as line:
            self.element = line
            with ui.element("div").classes("run-name").style(f"padding-left: {row.depth * 22}px"):
                self._arrow = ui.button(icon="chevron_right", on_click=lambda: toggle(row.key, not self._row.opened))
                self._arrow.props("flat round dense size=sm").classes("run-arrow")
                if row.run:
                    ui.link(row.title, link_to_run(row.run)).classes("run-title")
                else:
                    self._title = ui.label(row.title).classes("run-title" if row.state is not None else "muted small")
            self._state = ui.label().classes("chip")
            with ui.element("div").classes("run-progress"):
                self._bar = ui.linear_progress(0, show_value=False, size="6px").props("rounded instant-feedback")
                self._time = ui.label().classes("small muted run-time")
            self._devices = ui.label().classes("small run-devices")
            self._remark = ui.label().classes("small run-remark")
            self._buttons = ui.element("div").classes("run-buttons")
        self._shown: Row | None = None

    def show(self, row: Row) -> None:
        """Show how it stands now; what hasn't changed isn't sent again."""
        if row == self._shown:
            return
        before, self._shown, self._row = self._shown, row, row
        self._arrow.classes(replace=f"run-arrow{' run-open' if row.opened else ''}")
        self._arrow.style("visibility: hidden" if row.opened is None else "visibility: visible")
        self._arrow.props(f'aria-label="{"Close" if row.opened else "Open"} {attribute(row.title)}"')
        self._state.set_visibility(row.state is not None)
        if row.state is not None:
            self._state.text = f"{SIGNS[row.state]} {state_words(row.state)}"
            self._state.classes(replace=f"chip chip-plain chip-{TONES[row.state]}")
        self._bar.set_visibility(row.fraction is not None)
        if row.fraction is not None:
            self._bar.value = round(row.fraction, 3)
        self._time.text = row.time
        self._devices.text = row.devices
        self._remark.text = row.remark
        self._remark.classes(replace=f"small run-remark {'error-text' if row.is_bad else 'muted'}")
        if self._act is not None and (before is None or before.acts != row.acts):
            self._show_buttons(row)

    def _show_buttons(self, row: Row) -> None:
        act = self._act
        self._buttons.clear()
        if act is None:
            return
        with self._buttons:
            show_acts(row.acts, row.run, act)

    def delete(self) -> None:
        """Take it away."""
        self.element.delete()


def show_acts(acts: Sequence[Act], run: str, act: Callable[[Act, str], Any]) -> None:
    """Show a small button for each thing that can be done with a run."""
    for what in acts:
        icon, words = ICONS[what]
        made = ui.button(icon=icon, on_click=partial(act, what, run)).tooltip(words)
        made.props(f'flat round dense size=sm aria-label="{words} {attribute(run)}"')
        made.mark(f"{what}-{run}")


def attribute(text: str) -> str:
    """Return a text that may stand between quotation marks in an element's properties."""
    return text.replace('"', "'").replace("\\", "/").replace("\n", " ")
