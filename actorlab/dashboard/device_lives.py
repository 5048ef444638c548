"""Begin and end the lives of a device by buttons; whom that would hit is asked about first."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import TYPE_CHECKING

from nicegui import ui

from actorlab.dashboard.widgets import button, heading
from actorlab.runtime.cell import DeviceState

if TYPE_CHECKING:
    from actorlab.dashboard.page import PageContext
    from actorlab.runtime.status import DeviceStatus

__all__ = ["DeviceLives"]


class DeviceLives:
    """The buttons on the card of one device; only those are shown that make sense as it stands."""

    def __init__(self, page: PageContext, name: str) -> None:
        self._page = page
        self._name = name
        self._holder = ""
        lab = page.lab
        with ui.element("div").classes("row"):
            self._reset = self._button("Reset", partial(lab.reset, name), "Begin a new life, or forget the last error")
            self._restart = button("Restart", self._ask_restart).tooltip("Disconnect, make anew, connect, make safe")
            self._connect = self._button("Connect", partial(lab.connect, name), "Connect, and make safe")
            self._disconnect = self._button(
                "Disconnect", partial(lab.disconnect, name, f"{page.who.name} has disconnected it"),
                "Make safe, and disconnect until somebody connects it",
            )  # fmt: skip
        self._restarting = self._acting("Restart", partial(lab.restart, name))

    def refresh(self, status: DeviceStatus) -> None:
        """Show the buttons that make sense."""
        self._holder = status.holder
        off = status.state in {DeviceState.DISCONNECTED, DeviceState.DISCONNECTING, DeviceState.CLOSED}
        self._reset.set_visibility(status.state is DeviceState.QUARANTINED or bool(status.last_error))
        self._restart.set_visibility(not off and status.state is not DeviceState.QUARANTINED)
        self._connect.set_visibility(status.state is DeviceState.DISCONNECTED)
        self._disconnect.set_visibility(not off and not status.holder)

    async def _ask_restart(self) -> None:
        if not self._holder:
            await self._restarting()
            return
        with ui.dialog(value=True) as sure, ui.card().classes("dialog"):
            heading(f"{self._name} is held by {self._holder}. Restart it?")
            ui.label("Its next command fails there: what was set on the device is gone.")
            with ui.element("div").classes("row end"):
                button("Go back", sure.close, "quiet")
                anyway = button("Restart anyway", self._restarting, "danger").mark(f"restart-anyway-{self._name}")
        anyway.on_click(sure.close)
        sure.on("hide", sure.delete)

    def _button(self, what: str, function: Callable[[], None], hint: str) -> ui.button:
        return button(what, self._acting(what, function)).tooltip(hint).mark(f"{what.lower()}-{self._name}")

    def _acting(self, what: str, function: Callable[[], None]) -> Callable[[], Awaitable[None]]:
        async def act() -> None:
            await self._page.call(function)
            self._page.tell(f"{self._name}: {what.lower()} done", "positive")

        return self._page.acts("operator", f"{what} {self._name}", act)
