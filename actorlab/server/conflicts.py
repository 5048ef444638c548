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
    holder: str = Field(description="The id of a run or a lease.")
    run: str | None = Field(description="The same, if it is a run that the lab still lists.")
    since: float | None = Field(description="Since when, in seconds since 1970, if that is known.")
    queue: list[str] = Field(description="Who waits for the device already, the first first.")


def conflicts_over(lab: Lab, devices: Iterable[str], *, but: str = "") -> list[dict[str, Any]]:
    """Return the conflicts over some devices, one for each holder; `but` is who asks, and in nobody's way."""
    return [conflict for device in dict.fromkeys(devices) for conflict in over(lab, device, but)]


def over(lab: Lab, device: str, but: str) -> list[dict[str, Any]]:
    """Return the conflicts over one device."""
    cell = lab.cells.get(device)
    holders = cell.holder.split(", ") if cell is not None and cell.holder else []
    queue = [waiting for waiting in lab.lab_actor.leases.queue_for(device) if waiting != but]
    known = {run.id: run for run in lab.runs} if holders else {}
    return [
        {"device": device, "holder": holder, "run": holder if holder in known else None,
         "since": when(known[holder].supervisor.notes.since) if holder in known else None, "queue": queue}
        for holder in holders if holder != but
    ]  # fmt: skip


def when(monotonic: float) -> float | None:
    """Return a moment of the monotonic clock in seconds since 1970; None: it hasn't come yet."""
    return time.time() - (time.monotonic() - monotonic) if monotonic else None
