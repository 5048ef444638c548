"""Say where and when data were saved, by whom, and by which version of what program."""

from __future__ import annotations

import datetime as dt
import getpass
import os
import platform
import socket
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from subprocess import DEVNULL
from typing import Any, Final

__all__ = ["git_state", "surroundings", "version_of"]

PACKAGES: Final = ("actorlab", "numpy", "pandas", "pint", "xarray", "h5py", "pyvisa", "qcodes", "pymeasure")
"""Their versions are told, if they are in use."""
PATIENCE: Final = 5.0
"""So many seconds git may take."""


def surroundings() -> dict[str, Any]:
    """Return the time, host, user, program, versions, and the state of the program's git repository, if it has one."""
    program = getattr(sys.modules.get("__main__"), "__file__", None)
    folder = Path(program).absolute().parent if program else Path.cwd()
    return {
        "time": dt.datetime.now().astimezone().isoformat(),
        "host": socket.gethostname(),
        "user": user(),
        "program": program,
        "git": git_state(folder),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "versions": versions(),
    }


def user() -> str:
    """Return who is logged in; a container may not know the name."""
    try:
        return getpass.getuser()
    except (ImportError, KeyError, OSError):
        return str(os.getuid()) if hasattr(os, "getuid") else "unknown"


def versions() -> dict[str, str]:
    """Return the versions of packages that are in use."""
    found: dict[str, str] = {}
    for package in PACKAGES:
        if package in sys.modules:
            found[package] = version_of(package)
    return found


def version_of(package: str) -> str:
    """Return the version of a package; one that runs from a folder, without being installed, has none."""
    try:
        return version(package)
    except PackageNotFoundError:
        return "unknown"


def git_state(folder: Path) -> dict[str, Any] | None:
    """Return the commit that is checked out, and whether anything differs from it; None outside of git's reach."""
    commit = git(folder, "rev-parse", "HEAD")
    if not commit:
        return None
    changes = git(folder, "status", "--porcelain")
    return {"commit": commit, "dirty": None if changes is None else bool(changes)}


def git(folder: Path, *words: str) -> str | None:
    """Return what git says, or None if there is no git, no repository or no answer in time."""
    environment = {**os.environ, "GIT_OPTIONAL_LOCKS": "0"}  # looking must not get in the way of a commit in progress
    command = ("git", "-C", str(folder), *words)
    try:
        ended = subprocess.run(  # noqa: S603 - git itself, with words of this file
            command, capture_output=True, text=True, timeout=PATIENCE, check=True, env=environment, stdin=DEVNULL
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError, UnicodeDecodeError):
        return None
    return ended.stdout.strip()
