"""Say who is in the way: for each device who holds it, in which run, since when, and who waits for it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, Field

if TYPE_CHECKING:
    from collections.abc import Iterable

    from actorlab.runtime.lab import Lab

__all__ = ["Conflict", "conflicts_over"]


class Conflict(BaseModel):
    """A device that somebody else has."""

    device: str
    holder: str = Field(description="The id of the run or lease that holds it.")
    run: str = Field(description="The run that uses it now: the same, or one inside that has borrowed it.")
    since: float = Field(description="Since when it is held, in seconds since 1970.")
    queue: list[str] = Field(description="Who waits for the device already, the first first.")


def conflicts_over(lab: Lab, devices: Iterable[str], *, but: str = "") -> list[dict[str, Any]]:
    """Return the conflicts over some devices, one for each holder; `but` is who asks, and in nobody's way."""
    return lab.ask(lambda: [conflict for device in dict.fromkeys(devices) for conflict in over(lab, device, but)])


def over(lab: Lab, device: str, but: str) -> list[dict[str, Any]]:
    """Return the conflicts over one device; for the deciding thread."""
    leases = lab.lab_actor.leases
    cell = lab.cells.get(device)
    borrower = "" if cell is None or cell.shared_by else cell.holder
    queue = [waiting for waiting in leases.queue_for(device) if waiting != but]
    epoch = time.time() - time.monotonic()
    return [
        {"device": device, "holder": holder, "run": borrower or holder, "since": epoch + since, "queue": queue}
        for holder, since in leases.holding(device) if holder != but
    ]  # fmt: skip
