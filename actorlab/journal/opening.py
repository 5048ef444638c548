"""Know each time that a lab was opened on a journal: who, where, when, and whether it ended in order."""

from __future__ import annotations

import getpass
import json
import os
import platform
import time
from importlib.metadata import PackageNotFoundError, version
from typing import Any, NamedTuple

from actorlab.journal.lock import Holder

__all__ = ["Opening", "new_opening", "opening_from", "user"]


class Opening(NamedTuple):
    """One time that a lab was opened."""

    id: int
    lab: str
    host: str
    user: str
    pid: int
    started: float
    """In seconds since 1970."""
    monotonic: float
    """What the monotonic clock said then: an event at `now` happened at ``started + now - monotonic``."""
    about: dict[str, Any]
    ended: float | None = None

    @property
    def clean(self) -> bool:
        """Tell whether it ended in order; one that is still open hasn't."""
        return self.ended is not None

    @property
    def holder(self) -> Holder:
        """Return who has the journal by it."""
        return Holder(self.lab, self.host, self.user, self.pid, self.started)

    def wall(self, now: float) -> float:
        """Convert a monotonic time of this opening into seconds since 1970."""
        return self.started + now - self.monotonic


def new_opening(lab: str, about: dict[str, Any]) -> Opening:
    """Describe this process and this moment."""
    return Opening(
        0, lab, platform.node() or "?", user(), os.getpid(), time.time(), time.monotonic(), versions() | about
    )


def opening_from(row: Any) -> Opening:
    """Read an opening."""
    values = row._mapping  # noqa: SLF001 - SQLAlchemy's public name for it
    return Opening(**{name: values[name] for name in Opening._fields} | {"about": json.loads(values["about"])})


def user() -> str:
    """Return the name of who runs this process."""
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):  # a container without a name for its number
        return str(os.getuid()) if hasattr(os, "getuid") else "?"


def versions() -> dict[str, Any]:
    """Return what an old result may depend on."""
    try:
        own = version("actorlab")
    except PackageNotFoundError:  # run from its sources, not installed
        own = "?"
    return {"actorlab": own, "python": platform.python_version(), "platform": platform.platform()}
