"""Say what a run would do before it touches an instrument: what a rehearsal finds, and how long steps take."""

from __future__ import annotations

from actorlab.rehearsal.durations import DEFAULT_SECONDS, Durations, Estimate, History, Known
from actorlab.rehearsal.rehearsal import Conflict, DeviceUse, Entry, Link, Rehearsal, Violation

__all__ = [
    "DEFAULT_SECONDS",
    "Conflict",
    "DeviceUse",
    "Durations",
    "Entry",
    "Estimate",
    "History",
    "Known",
    "Link",
    "Rehearsal",
    "Violation",
]
