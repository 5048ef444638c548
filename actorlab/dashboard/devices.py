"""Show the devices as cards: how each stands, who has it, who waits, what went wrong."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from nicegui import ui

from actorlab.dashboard.device_card import DeviceCard

if TYPE_CHECKING:
    from actorlab.dashboard.page import PageContext

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
            for name, status in statuses.items():
                if name not in cards:
                    description = await page.look(page.lab.describe, name)
                    with box:
                        cards[name] = DeviceCard(page, name, description)
                cards[name].refresh(status)

    page.watch(refresh, kinds=KINDS)
    page.every(TURN, refresh)
