"""List the panels, in the order of their tabs."""

from __future__ import annotations

from typing import Final

from actorlab.dashboard.devices import show_devices
from actorlab.dashboard.log_panel import show_log
from actorlab.dashboard.page import Panel

__all__ = ["PANELS", "Panel"]

PANELS: Final = (
    Panel("/", "Devices", show_devices),
    Panel("/dashboard/log", "Log", show_log),
)
