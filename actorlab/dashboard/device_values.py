"""Show live values of a device, each with its course, and let operators choose which."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from nicegui import ui

from actorlab.dashboard.sampling import numeric_queries
from actorlab.dashboard.sparkline import sparkline
from actorlab.dashboard.widgets import fold

if TYPE_CHECKING:
    from actorlab.dashboard.page import PageContext
    from actorlab.dashboard.sampling import Series
    from actorlab.runtime.status import DeviceStatus

__all__ = ["DeviceValues"]

AT_FIRST: Final = 2
"""So many values of a device are shown before anybody has chosen."""
OLD: Final = 5.0
"""A value that is older than so many seconds says when it was read."""


class Shown(NamedTuple):
    """The elements that show one value."""

    text: ui.label
    age: ui.label
    line: ui.html


class DeviceValues:
    """The live values on one device's card in one browser."""

    def __init__(self, page: PageContext, name: str, description: dict[str, Any]) -> None:
        self._page = page
        self._name = name
        self._units = {member: unit_of(told) for member, told in description["members"].items()}
        self._there = numeric_queries(description)
        self._shown: dict[str, Shown] = {}
        self._box = ui.element("div").classes("values")
        if self._there and page.may("operator"):
            fold("Choose live values", self._fill_choice)

    def refresh(self, status: DeviceStatus) -> None:
        """Show the newest values; looking at them is what has them read."""
        samples, now = self._page.newsroom.samples, time.time()
        wanted = samples.chosen(self._name, self._there[:AT_FIRST])
        if tuple(self._shown) != wanted:
            self._box.clear()
            with self._box:
                self._shown = {member: self._show(member) for member in wanted}
        for member, shown in self._shown.items():
            series = samples.look(self._name, member)
            shown.text.text = f"{series.text} {self._units.get(member, '')}".strip() if series.text else "…"
            shown.age.text = series.error or age_of(series, now, held=bool(status.holder))
            shown.age.classes(replace="small error-text" if series.error else "small muted")
            shown.line.content = sparkline(tuple(series.points), series.time)  # the same until there is a new one

    def _show(self, member: str) -> Shown:
        with ui.element("div").classes("value"):
            ui.label(member.replace("_", " ")).classes("muted small")
            text = ui.label().classes("number").mark(f"value-{self._name}-{member}")
            line = ui.html("", sanitize=False)  # numbers only
            age = ui.label()
        return Shown(text, age, line)

    def _fill_choice(self) -> None:
        """Show what there is to choose from."""
        samples = self._page.newsroom.samples
        chosen = samples.chosen(self._name, self._there[:AT_FIRST])
        ui.label("They are read while somebody looks at this page and nobody uses the device.").classes("muted small")
        boxes = {member: ui.checkbox(member, value=member in chosen).props("dense") for member in self._there}
        beside = ui.checkbox("also while a task uses it, between its calls", value=samples.beside(self._name))
        beside.props("dense").mark(f"beside-{self._name}")

        def choose() -> None:
            members = tuple([member for member, box in boxes.items() if box.value])
            samples.choose(self._name, members, beside=bool(beside.value))

        act = self._page.acts("operator", f"Choose live values of {self._name}", choose)
        for box in (*boxes.values(), beside):
            box.on_value_change(act)


def age_of(series: Series, now: float, *, held: bool) -> str:
    """Say when a value was read that isn't fresh, or why none was."""
    if not series.text:
        return "not read while the device is held" if held else ""
    return "" if now - series.time <= OLD else f"at {time.strftime('%H:%M:%S', time.localtime(series.time))}"


def unit_of(told: dict[str, Any]) -> str:
    """Return the unit of what a member gives."""
    return str((told.get("returns") or told.get("schema") or {}).get("unit", ""))
