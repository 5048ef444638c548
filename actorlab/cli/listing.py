"""List a lab's devices: whether each answers, and who it says it is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from actorlab.cli.program import lab_file_for
from actorlab.cli.telling import FAILED
from actorlab.config import ConfiguredLab, DeviceEntry, LabConfig, read_lab_file
from actorlab.errors import ActorLabError, ConfigError

__all__ = ["lab_config", "list_devices"]


def list_devices(lab_file: Path | None) -> int:
    """Print a line for each device of a lab; return 1 if one that isn't optional doesn't answer, else 0."""
    config = lab_config(lab_file)
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    for title in ("name", "class", "address", "state", "identity"):
        table.add_column(title, overflow="fold")
    missing = 0
    with ConfiguredLab(config) as lab:
        tried = lab.tried(config.devices)
        for name, entry in config.devices.items():
            state, identity = found(lab, name, tried[name])
            missing += state.plain != "ok" and not entry.optional
            table.add_row(name, class_name(entry), entry.address or "", state, identity)
    Console(soft_wrap=True, highlight=False).print(table)
    return FAILED if missing else 0


def lab_config(lab_file: Path | None) -> LabConfig:
    """Read the lab's file that is named, or the one that lies here.

    Raises:
        ConfigError: there is none, or it is wrong.

    """
    file = lab_file_for(None, lab_file)
    if file is None:
        message = "there is no lab.yaml here: name the lab's file by --lab FILE"
        raise ConfigError(message)
    return read_lab_file(file)


def found(lab: ConfiguredLab, name: str, error: ActorLabError | None) -> tuple[Text, str]:
    """Return how a device stands and who it says it is, or why it doesn't answer."""
    if error is not None:
        return Text("absent", "red"), str(error)
    device: Any = lab.device(name)
    state = lab.states()[name]
    if state not in ("idle", "busy"):
        return Text(str(state), "yellow"), lab.cells[name].why
    identify: str = lab.describe(name)["hooks"].get("identify", "")
    known = identify and identify in dir(device)
    return Text("ok", "green"), str(getattr(device, identify)()) if known else ""


def class_name(entry: DeviceEntry) -> str:
    """Return the name of what makes the device."""
    return str(getattr(entry.factory, "__name__", entry.factory))
