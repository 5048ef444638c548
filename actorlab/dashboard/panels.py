"""List the panels, in the order of their tabs."""

from __future__ import annotations

from typing import Final

from actorlab.dashboard.devices import show_devices
from actorlab.dashboard.history import show_history
from actorlab.dashboard.log_panel import show_log
from actorlab.dashboard.page import Panel
from actorlab.dashboard.plots import show_plots
from actorlab.dashboard.runs import show_runs
from actorlab.dashboard.start import show_start

__all__ = ["PANELS", "Panel"]

PANELS: Final = (
    Panel("/", "Devices", show_devices),
    Panel("/dashboard/runs", "Runs", show_runs),
    Panel("/dashboard/start", "Start", show_start),
    Panel("/dashboard/data", "Data", show_plots),
    Panel("/dashboard/history", "History", show_history),
    Panel("/dashboard/log", "Log", show_log),
)
