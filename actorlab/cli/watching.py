"""Watch a lab's devices until somebody ends it: a live table on a terminal, else a line for each change."""

from __future__ import annotations

from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Final

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from actorlab.cli.listing import lab_config
from actorlab.cli.signals import Signalled, listening
from actorlab.config import ConfiguredLab, LabConfig
from actorlab.core.backlog import GAP
from actorlab.runtime.events import Subscription
from actorlab.runtime.status import DeviceStatus

__all__ = ["table_of", "watch_devices"]

REFRESH: Final = 0.5
"""The table is drawn anew after so many seconds."""
COLOURS: Final = {"idle": "green", "busy": "cyan", "quarantined": "bold red", "closed": "dim"}
COLUMNS: Final = ("device", "state", "holder", "doing", "calls/s", "busy", "restarts", "what is wrong")


def watch_devices(lab_file: Path | None) -> int:
    """Connect the devices of a lab, each as soon as it can be, and show how they stand until Ctrl-C."""
    config = all_optional(lab_config(lab_file))
    console = Console(highlight=False, soft_wrap=True)
    signals: SimpleQueue[Signalled] = SimpleQueue()
    with listening(signals.put), ConfiguredLab(config) as lab:
        events = lab.events.subscribe(kinds="device", snapshot=False)
        lab.tried(config.devices)
        if console.is_terminal:
            watch_on_terminal(lab, console, signals)
        else:
            watch_in_lines(events, console, signals)
    return 0


def all_optional(config: LabConfig) -> LabConfig:
    """Return the configuration with all devices optional: whoever watches wants to see them come and go."""
    entries = {name: entry.model_copy(update={"optional": True}) for name, entry in config.devices.items()}
    return config.model_copy(update={"devices": entries})


def watch_on_terminal(lab: ConfiguredLab, console: Console, signals: SimpleQueue[Signalled]) -> None:
    """Draw the table again and again."""
    with Live(table_of(lab.status()), console=console, auto_refresh=False) as live:
        while not heard(signals, REFRESH):
            live.update(table_of(lab.status()), refresh=True)


def watch_in_lines(events: Subscription, console: Console, signals: SimpleQueue[Signalled]) -> None:
    """Print a line for each change of a device."""
    while not heard(signals, 0):
        event = events.get(timeout=REFRESH)
        if event is None:
            continue
        if event.kind == GAP:
            console.print(Text(f"… {event.data['missed']} changes went by too fast to be shown"))
        else:
            why = event.data["why"]
            console.print(Text(f"{event.subject} {event.data['state']}{f': {why}' if why else ''}"))


def heard(signals: SimpleQueue[Signalled], seconds: float) -> bool:
    """Wait at most some seconds for a signal."""
    try:
        signals.get(timeout=seconds) if seconds else signals.get_nowait()
    except Empty:
        return False
    return True


def table_of(statuses: dict[str, DeviceStatus]) -> Table:
    """Return how the devices stand as a table."""
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    for title in COLUMNS:
        table.add_column(
            title, overflow="fold", justify="right" if title in ("calls/s", "busy", "restarts") else "left"
        )
    for status in statuses.values():
        table.add_row(
            status.name,
            Text(status.state.value, COLOURS.get(status.state.value, "yellow")),
            status.holder,
            status.in_progress,
            f"{status.calls_per_second:.1f}",
            f"{100 * status.busy:.0f} %",
            str(status.restarts),
            what_is_wrong(status),
        )
    return table


def what_is_wrong(status: DeviceStatus) -> str:
    """Say why a device doesn't serve, and what it owes."""
    if status.state.value in ("idle", "busy"):
        return "; ".join(status.vetoes)
    retry = "" if status.retry_in is None else f"; again in {status.retry_in:.1f} s"
    owes = "; not known to be safe" if status.owes_safe else ""
    hung = "".join(f"; {lost.thread} hangs on" for lost in status.abandoned)
    return f"{status.why or status.last_error}{retry}{owes}{hung}"
