"""List what discovery finds: tasks, workflows, classes of devices, and what was skipped, and why."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from actorlab.cli.program import lab_file_for
from actorlab.config import DiscoverConfig, read_lab_file
from actorlab.discovery import Discovered, Found, discover

__all__ = ["found_for", "list_tasks"]

COLORS = {"error": "red", "warning": "yellow", "info": "dim"}


def found_for(lab_file: Path | None) -> Found:
    """Look where a lab's file says; without one, at what is installed and in the folders of ACTORLAB_PATH.

    Raises:
        ConfigError: the file is wrong, or something that it requires isn't there.

    """
    config = None if lab_file is None else read_lab_file(lab_file).discover
    return (config or DiscoverConfig()).look(discover)


def list_tasks(lab_file: Path | None, *, as_json: bool) -> int:
    """Print a line for each task, workflow and class of devices, and what was skipped; return 0."""
    found = found_for(lab_file_for(None, lab_file))
    entries = [*found.tasks.values(), *found.workflows.values(), *found.devices.values()]
    console = Console(soft_wrap=True, highlight=False)
    if as_json:
        console.print_json(json.dumps(told(found, entries)))
        return 0
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    for title in ("name", "kind", "category", "parameters", "where"):
        table.add_column(title, overflow="fold")
    for entry in entries:
        table.add_row(entry.name, entry.kind, entry.category, Text(parameters_of(entry)), Text(entry.place))
    console.print(table if entries else f"nothing was found; looked in {', '.join(found.looked_in)}")
    for problem in found.problems:
        console.print(Text(f"{problem.level}: {problem}", COLORS[problem.level]))
    for left in found.left_out:
        console.print(Text(f"left out: {left}", "dim"))
    return 0


def parameters_of(entry: Discovered) -> str:
    """Write what a task takes in a line: names, with what is needed for a device; brackets stand around defaults."""
    schema = entry.parameters()
    needed = schema.get("required", ())
    texts: list[str] = []
    for name, item in schema.get("properties", {}).items():
        text = f"{name}: {item['device']}" if "device" in item else name
        texts.append(text if name in needed else f"[{text}]")
    return ", ".join(texts)


def told(found: Found, entries: list[Discovered]) -> dict[str, Any]:
    """Return everything that was found, for other programs."""
    return {
        "found": [
            {"name": entry.name, "kind": entry.kind, "category": entry.category, "description": entry.doc}
            | {"place": entry.place, "found_in": entry.found_in, "parameters": entry.parameters()}
            for entry in entries
        ],
        "problems": [{"level": problem.level, "message": str(problem)} for problem in found.problems],
        "left_out": [str(left) for left in found.left_out],
        "looked_in": list(found.looked_in),
    }
