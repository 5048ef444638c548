"""Show one device: how it stands, in colour and in words, and the ways to bring it back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from nicegui import ui

from actorlab.dashboard.device_call import DeviceCall
from actorlab.dashboard.device_lives import DeviceLives
from actorlab.dashboard.device_values import DeviceValues
from actorlab.dashboard.widgets import fact, heading, show_text
from actorlab.runtime.cell import DeviceState

if TYPE_CHECKING:
    from actorlab.dashboard.page import PageContext
    from actorlab.runtime.status import DeviceStatus

__all__ = ["DeviceCard"]

TONES: Final = {
    DeviceState.IDLE: "good",
    DeviceState.BUSY: "busy",
    DeviceState.CONNECTING: "warn",
    DeviceState.RESTARTING: "warn",
    DeviceState.QUARANTINED: "bad",
    DeviceState.DISCONNECTING: "warn",
    DeviceState.DISCONNECTED: "off",
    DeviceState.CLOSED: "off",
}
SERVES: Final = {DeviceState.IDLE, DeviceState.BUSY}
STOPPED: Final = "there is an emergency stop"
"""So begins what a device says while there is one; each page says it already."""


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
            self._trace = self._show_trace() if page.may("admin") else None
            self._values = DeviceValues(page, name, description)
            self._lives: DeviceLives | None = None
            if page.may("operator"):
                DeviceCall(page, name, description)
                self._lives = DeviceLives(page, name)

    def refresh(self, status: DeviceStatus) -> None:
        """Show how the device stands now."""
        refuses = bool(status.vetoes) and status.state in SERVES
        self._state.text = f"{status.state.value}{', no commands' if refuses else ''}"
        self._state.classes(replace=f"chip chip-{'warn' if refuses else TONES[status.state]}")
        show_text(self._why, why_of(status, stopped=self._page.lab.stopped is not None))
        retry = "" if status.retry_in is None else f" (again in {status.retry_in:.0f} s)"
        self._holder.show(status.holder or "nobody")
        self._queue.show(", ".join(status.queue))
        self._doing.show(f"{status.in_progress}{retry}")
        self._busy.show(f"{100 * status.busy:.0f} %, {status.calls_per_second:.1f} calls/s")
        self._error.show(status.last_error)
        self._values.refresh(status)
        if self._lives is not None:
            self._lives.refresh(status)
        if self._trace is not None:
            self._trace.text = status.last_traceback

    def delete(self) -> None:
        """Take the card away: the device was removed."""
        self._card.delete()

    def _show_trace(self) -> ui.label:
        """Show where the last error comes from."""
        with ui.expansion("Traceback of the last error").props("dense").classes("fold") as folded:
            text = ui.label().classes("trace mono")
        folded.bind_visibility_from(self._error.name, "visible")
        return text


def why_of(status: DeviceStatus, *, stopped: bool) -> str:
    """Say why a device doesn't simply serve."""
    vetoes = [veto for veto in status.vetoes if not (stopped and veto.startswith(STOPPED))]
    owes = ["it isn't known to be safe"] if status.owes_safe else []
    return "; ".join(text for text in (status.why, *vetoes, *owes) if text)
