"""Write a rehearsal as a Gantt chart for Mermaid: a section for each run, critical steps marked."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from actorlab.rehearsal.rehearsal import Rehearsal

__all__ = ["gantt_mermaid"]

SPECIAL: Final = re.compile(r"[:;#,\n]+")
HOUR, DAY = 3600.0, 86_400.0


def gantt_mermaid(rehearsal: Rehearsal) -> str:
    """Return the chart; its times are milliseconds from the submission."""
    lines = [
        "gantt",
        f"    title {plain(rehearsal.name)}",
        "    dateFormat x",
        f"    axisFormat {axis(rehearsal.makespan)}",
    ]
    section = ""
    for number, entry in enumerate(rehearsal.entries):
        name = re.sub(r"~\d+", "", entry.run)
        if name != section:
            section = name
            lines.append(f"    section {plain(name)}")
        mark = "crit, " if entry.critical else ""
        begin, end = round(1000 * entry.begin), round(1000 * entry.end)
        lines.append(f"    {plain(entry.title)} :{mark}s{number}, {begin}, {max(end, begin + 1)}")
    return "\n".join(lines) + "\n"


def plain(text: str) -> str:
    """Take out what means something to Mermaid."""
    return SPECIAL.sub(" ", text).strip() or "step"


def axis(seconds: float) -> str:
    """Choose how times are written."""
    if seconds < HOUR:
        return "%M:%S"
    return "%H:%M" if seconds < DAY else "%j %H:%M"
