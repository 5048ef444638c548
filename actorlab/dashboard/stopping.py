"""Stop everything from any page, say who did so, when and why, and let operators arm the lab again."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from nicegui import ui

from actorlab.dashboard.widgets import button, heading, show_text
from actorlab.errors import text_of
from actorlab.server.desk import ended

if TYPE_CHECKING:
    from actorlab.dashboard.page import PageContext
    from actorlab.runtime.status import DeviceStatus

__all__ = ["show_stop_button", "show_stopped"]

LONGEST: Final = 30.0
"""So many seconds the page waits to hear that all is safe; the stop itself has its own bounds."""
KINDS: Final = ("emergency stop", "emergency", "rearmed", "device")


def show_stop_button(page: PageContext) -> None:
    """Show the button that stops everything, and what it asks."""
    if not page.may("operator"):
        return
    with ui.dialog() as dialog, ui.card().classes("dialog"):
        heading("Emergency stop")
        ui.label(
            "All runs are stopped, all devices are made safe, and no command is accepted until the lab is armed again."
        )
        why = ui.input("Why? (everybody will see it)").props("outlined autofocus maxlength=200").classes("wide")
        with ui.element("div").classes("row end"):
            button("Go back", dialog.close, "quiet")

            async def stop() -> None:
                reason = (why.value or "").strip() or "no reason was given"
                dialog.close()
                why.value = ""
                await stop_everything(page, reason)

            act = page.acts("operator", "Emergency stop", stop)
            button("Stop everything", act, "danger").mark("stop-now")
            why.on("keydown.enter", act)
    button("STOP", dialog.open, "danger").classes("stop").props('aria-label="Emergency stop"').mark("stop")


async def stop_everything(page: PageContext, reason: str) -> None:
    """Stop everything, and tell what isn't known to be safe."""
    reply = page.lab.emergency_stop(f"{reason} ({page.who.name})")
    if not await ended(reply, LONGEST):
        page.tell(f"after {LONGEST:g} s it isn't known yet whether all devices are safe", "negative")
        return
    unsafe = [f"{name}: {text_of(why)}" for name, why in reply.result(0).items() if why is not None]
    if unsafe:
        page.tell(f"not known to be safe: {'; '.join(unsafe)}", "negative")
    else:
        page.tell("all devices are safe", "positive")


def show_stopped(page: PageContext) -> None:
    """Show, while there is an emergency stop, since when and why, and the button that ends it."""
    with ui.element("section").classes("panel stopped").props('role="alert"') as box:
        heading("Emergency stop")
        said = ui.label().mark("stopped")
        unsafe = ui.label().classes("error-text")
        if page.may("operator"):
            show_rearm(page)
    box.set_visibility(False)

    async def refresh(_: object) -> None:
        stop = page.lab.stopped
        box.set_visibility(stop is not None)
        if stop is not None:
            said.text = f"Since {time.strftime('%H:%M:%S', time.localtime(stop.time))}: {stop.reason}"
            owing = owing_safe(await page.newsroom.shared_look("statuses", page.lab.status))
            show_text(unsafe, f"Not known to be safe yet: {', '.join(owing)}" if owing else "")

    page.watch(refresh, kinds=KINDS)


def show_rearm(page: PageContext) -> None:
    """Show the button that lets devices accept commands again; it asks once more."""
    with ui.dialog() as dialog, ui.card().classes("dialog"):
        heading("Arm the lab again?")
        ui.label("Devices accept commands again. Nothing starts by itself.")
        with ui.element("div").classes("row end"):
            button("Go back", dialog.close, "quiet")

            async def rearm() -> None:
                dialog.close()
                page.lab.logger.info("the lab is armed again", by=page.who.name)
                await page.look(page.lab.rearm)

            act = page.acts("operator", "Arm the lab again", rearm)
            button("Arm again", act, "main").mark("rearm-now")
    button("Arm the lab again …", dialog.open).classes("self-start").mark("rearm")


def owing_safe(statuses: dict[str, DeviceStatus]) -> list[str]:
    """Return the devices that still have to be made safe."""
    return [name for name, status in statuses.items() if status.owes_safe]
