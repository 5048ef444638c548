"""Show the devices as cards: how each stands, who has it, who waits, what went wrong."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from nicegui import ui

from actorlab.dashboard.device_card import DeviceCard
from actorlab.errors import ConfigError

if TYPE_CHECKING:
    from actorlab.dashboard.page import PageContext
    from actorlab.runtime.lab import Lab

__all__ = ["show_devices"]

TURN = 1.0
"""No event tells of single calls, so how busy a device is is looked at every so many seconds."""
KINDS = ("device", "run", "step", "emergency stop", "rearmed", "interlock")


def show_devices(page: PageContext) -> None:
    """Show a card for each device."""
    empty = ui.label("The lab has no devices.").classes("muted")
    box = ui.element("div").classes("grid")
    cards: dict[str, DeviceCard] = {}
    looking = asyncio.Lock()

    async def refresh(_: object = None) -> None:
        async with looking:
            statuses = await page.newsroom.shared_look("statuses", page.lab.status)
            empty.set_visibility(not statuses)
            for name in [name for name in cards if name not in statuses]:
                cards.pop(name).delete()
            missing = [name for name in statuses if name not in cards]
            descriptions = await page.look(described, page.lab, missing) if missing else {}
            for name, status in statuses.items():
                if name in descriptions:
                    with box:
                        cards[name] = DeviceCard(page, name, descriptions[name])
                    await asyncio.sleep(0)  # many cards take their time, and others want to be answered meanwhile
                if page.gone:
                    return
                if name in cards:
                    cards[name].refresh(status)

    page.watch(refresh, kinds=KINDS)
    page.every(TURN, refresh)


def described(lab: Lab, names: list[str]) -> dict[str, dict[str, Any]]:
    """Describe some devices; one may have been removed meanwhile."""
    found: dict[str, dict[str, Any]] = {}
    for name in names:
        with suppress(ConfigError):
            found[name] = lab.describe(name)
    return found
