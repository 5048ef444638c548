"""Show one device: how it stands, in colour and in words, and the ways to bring it back."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Final

from nicegui import ui

from actorlab.dashboard.device_call import DeviceCall
from actorlab.dashboard.device_values import DeviceValues
from actorlab.dashboard.widgets import button, fact, heading, show_text
from actorlab.runtime.cell import DeviceState

if TYPE_CHECKING:
    from actorlab.dashboard.page import PageContext
    from actorlab.runtime.status import DeviceStatus

__all__ = ["DeviceCard"]

TONES: Final = {
    DeviceState.IDLE: "good", DeviceState.BUSY: "busy", DeviceState.CONNECTING: "warn", DeviceState.RESTARTING: "warn",
    DeviceState.QUARANTINED: "bad", DeviceState.CLOSED: "off",
}  # fmt: skip


class DeviceCard:
    """The card of one device in one browser."""

    def __init__(self, page: PageContext, name: str, description: dict[str, Any]) -> None:
        self._page = page
        self._name = name
        with ui.element("article").classes("panel device").mark(f"device-{name}") as self._card:
            with ui.element("div").classes("row between"):
                with ui.element("div"):
                    heading(name)
                    ui.label(description["class"]).classes("muted small").tooltip(
                        description["doc"] or description["class"]
                    )
                self._state = ui.label().classes("chip").mark(f"state-{name}")
            self._why = ui.label().classes("error-text")
            with ui.element("dl").classes("facts"):
                self._holder = fact("Held by")
                self._queue = fact("Waiting")
                self._doing = fact("Doing")
                self._busy = fact("Busy")
                self._error = fact("Last error", "error-text")
            self._values = DeviceValues(page, name, description)
            if page.may("operator"):
                DeviceCall(page, name, description)
                self._show_ways_back()

    def refresh(self, status: DeviceStatus) -> None:
        """Show how the device stands now."""
        self._state.text = status.state.value
        self._state.classes(replace=f"chip chip-{TONES[status.state]}")
        owes = ["it isn't known to be safe"] if status.owes_safe else []
        why = "; ".join(text for text in (status.why, *status.vetoes, *owes) if text)
        show_text(self._why, why)
        retry = "" if status.retry_in is None else f" (again in {status.retry_in:.0f} s)"
        self._holder.show(status.holder or "nobody")
        self._queue.show(", ".join(status.queue))
        self._doing.show(f"{status.in_progress}{retry}")
        self._busy.show(f"{100 * status.busy:.0f} %, {status.calls_per_second:.1f} calls/s")
        self._error.show(status.last_error)
        self._values.refresh()

    def delete(self) -> None:
        """Take the card away: the device was removed."""
        self._card.delete()

    def _show_ways_back(self) -> None:
        lab = self._page.lab
        with ui.element("div").classes("row"):
            self._button("Reset", partial(lab.reset, self._name), "a quarantined device begins a new life")
            self._button("Restart", partial(lab.restart, self._name), "disconnect, make it anew, connect, make it safe")

    def _button(self, what: str, function: Any, hint: str) -> None:
        async def act() -> None:
            await self._page.call(function)
            self._page.tell(f"{self._name}: {what.lower()} done", "positive")

        acts = self._page.acts("operator", f"{what} {self._name}", act)
        button(what, acts).tooltip(hint).mark(f"{what.lower()}-{self._name}")
