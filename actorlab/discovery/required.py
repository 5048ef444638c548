"""Stop where something required wasn't found, and say why it may be missing."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator
from pathlib import Path

from actorlab.discovery.found import Found, LeftOut, Problem
from actorlab.errors import ConfigError

__all__ = ["check_required"]


def check_required(found: Found, required: list[str]) -> None:
    """Raise `ConfigError` naming what is missing, where it was looked for, and each module that may define it."""
    have = {*found.tasks, *found.workflows, *found.devices}
    missing = [name for name in required if name not in have]
    if not missing:
        return
    lines = [f"required, but not found: {', '.join(missing)}; looked in {', '.join(found.looked_in) or 'nothing'}"]
    for name in missing:
        close = difflib.get_close_matches(name, sorted(have), 1)
        lines += [f"{name}: did you mean {close[0]!r}?"] if close else []
        lines += [f"{name}: {reason}" for reason in reasons(found, name)]
    raise ConfigError("\n".join(lines))


def reasons(found: Found, name: str) -> Iterator[str]:
    """Yield what explains that a name is missing; if nothing does, whatever went wrong may be the reason."""
    broken = [problem for problem in found.problems if problem.level == "error"]
    explaining = [problem for problem in broken if concerns(problem, name)]
    skipped = [item for item in found.left_out if defines(item, name)]
    yield from map(str, explaining)
    yield from (f"it stands in what {item}" for item in skipped)
    if not explaining and not skipped:
        yield from map(str, broken)


def concerns(problem: Problem, name: str) -> bool:
    """Tell whether a problem may be the reason why a name is missing."""
    return bool(re.search(rf"\b{re.escape(name)}\b", f"{problem.file} {problem.message}")) or (
        defined_in(Path(problem.file), name)
    )


def defines(item: LeftOut, name: str) -> bool:
    """Tell whether a module that was left out defines a name."""
    return item.file is not None and defined_in(item.file, name)


def defined_in(file: Path, name: str) -> bool:
    """Tell whether a file, which may be no Python, seems to define a name."""
    try:
        text = file.read_text(encoding="utf-8", errors="replace")
    except (OSError, ValueError):
        return False
    quoted = re.escape(name)
    return bool(
        re.search(rf"\b(?:def|class)\s+{quoted}\b|^{quoted}\s*[:=]|name\s*=\s*['\"]{quoted}['\"]", text, re.MULTILINE)
    )
