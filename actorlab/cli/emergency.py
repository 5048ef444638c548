"""Stop a lab in an emergency, and leave the process: for whoever has asked twice to end."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable
from typing import Final

from actorlab.cli.displays import Display
from actorlab.cli.telling import INTERRUPTED
from actorlab.runtime.events import Event
from actorlab.runtime.lab import Lab

__all__ = ["leave_at_once"]

EMERGENCY: Final = 2.0
"""An emergency stop waits at most so many seconds for the devices."""


def leave_at_once(lab: Lab | None, name: str, display: Display, hear: Callable[[], Iterable[Event]]) -> None:
    """Stop in an emergency: wait a little, say what isn't known to be safe, and leave the process.

    `name` is the signal that came twice, and `hear` returns the lab's events that have come.
    """
    unsafe: dict[str, str] = {}
    if lab is not None:
        display.say(f"{name}: emergency stop")
        unsafe = dict.fromkeys(lab.cells, f"it didn't answer within {EMERGENCY:g} s")
        lab.emergency_stop(f"{name} came twice").wait(EMERGENCY)
        for event in hear():
            if event.kind == "emergency":
                unsafe[event.subject] = event.data["why"]
    display.leave([cell for cell, why in unsafe.items() if not why], {k: v for k, v in unsafe.items() if v})
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(INTERRUPTED)
