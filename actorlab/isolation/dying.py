"""Say how a driver's process ended, and where it was."""

from __future__ import annotations

import re
import signal
import traceback
from typing import Final

__all__ = ["ProcessDied", "frames_in", "how_it_ended", "last_words"]

FRAME: Final = re.compile(r'^  File "(.*)", line (\d+) in (.*)$', re.MULTILINE)
FATAL: Final = "Fatal Python error"
OWN: Final = (
    "/actorlab/isolation/",
    "/actorlab/driving/",
    "/actorlab/processes/",
    "/actorlab/body_kinds.py",
    "<string>",
)


class ProcessDied(ConnectionError):
    """The process of a driver has ended; `stack` is where it was then, if it crashed."""

    def __init__(self, message: str, stack: str = "") -> None:
        super().__init__(message)
        self.stack = stack


def how_it_ended(code: int | None) -> str:
    """Say in words how a process ended, by what `Popen.returncode` tells."""
    if code is None:
        return "has closed its connection and is about to end"
    if code >= 0:
        return f"ended with exit code {code}"
    try:
        return f"was killed by {signal.Signals(-code).name}"
    except ValueError:
        return f"was killed by signal {-code}"


def frames_in(dump: str) -> str:
    """Return the driver's frames in what faulthandler wrote, as a traceback: the most recent call last."""
    found = [(name, int(line), function) for name, line, function in FRAME.findall(dump)]
    own = [traceback.FrameSummary(*frame) for frame in reversed(found) if not any(part in frame[0] for part in OWN)]
    return "".join(traceback.format_list(own))


def last_words(dump: str) -> str:
    """Return what faulthandler wrote as the process crashed: the reason, and the driver's frames."""
    _, crashed, rest = dump.rpartition(FATAL)
    if not crashed:
        return ""
    reason = rest.partition("\n")[0].strip(": ")
    return f"{reason}\n{frames_in(rest)}"
