"""Say how states and durations look on a terminal."""

from __future__ import annotations

from typing import Final

from actorlab.core.run_state import RunState

__all__ = ["LOOKS", "seconds_in_words"]

S = RunState
LOOKS: Final = {
    S.WAITING: ("○", "dim"),
    S.RUNNING: ("◐", "cyan"),
    S.PAUSING: ("‖", "dim yellow"),
    S.PAUSED: ("‖", "yellow"),
    S.RETRYING: ("↻", "yellow"),
    S.CANCELLING: ("◌", "yellow"),
    S.SUCCEEDED: ("✔", "green"),
    S.FAILED: ("✘", "bold red"),
    S.CANCELLED: ("✘", "yellow"),
    S.TIMED_OUT: ("✘", "bold red"),
    S.SKIPPED: ("-", "dim"),
    S.INTERRUPTED: ("✘", "yellow"),
    S.ABANDONED: ("!", "bold red"),
}


def seconds_in_words(seconds: float) -> str:
    """Write a duration: 5.2 s, 1:05, 2:00:07."""
    if seconds < 60:  # noqa: PLR2004 - a minute
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
