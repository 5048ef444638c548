"""Name the states of a run or a step, and which may follow which."""

from __future__ import annotations

import enum
from typing import Final

__all__ = ["LEGAL", "TERMINAL", "RunState"]


class RunState(enum.StrEnum):
    """Where a run, or one step of it, stands."""

    WAITING = "waiting"
    RUNNING = "running"
    PAUSING = "pausing"
    PAUSED = "paused"
    RETRYING = "retrying"
    CANCELLING = "cancelling"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    TIMED_OUT = "timed_out"
    SKIPPED = "skipped"
    INTERRUPTED = "interrupted"
    ABANDONED = "abandoned"

    @property
    def terminal(self) -> bool:
        """Tell whether nothing can follow."""
        return self in TERMINAL


S = RunState

TERMINAL: Final = (S.SUCCEEDED, S.FAILED, S.CANCELLED, S.TIMED_OUT, S.SKIPPED, S.INTERRUPTED, S.ABANDONED)

ENDED_BADLY: Final = (S.FAILED, S.CANCELLED, S.TIMED_OUT, S.ABANDONED)

LEGAL: Final[dict[RunState, tuple[RunState, ...]]] = {
    S.WAITING: (S.RUNNING, S.CANCELLING, S.SKIPPED, S.INTERRUPTED, *ENDED_BADLY),
    S.RUNNING: (S.PAUSING, S.PAUSED, S.RETRYING, S.CANCELLING, S.SUCCEEDED, S.FAILED, S.INTERRUPTED),
    S.PAUSING: (S.PAUSED, S.RUNNING, S.RETRYING, S.CANCELLING, S.SUCCEEDED, S.INTERRUPTED),
    S.PAUSED: (S.RUNNING, S.CANCELLING, S.FAILED, S.CANCELLED, S.INTERRUPTED),
    S.RETRYING: (S.RUNNING, S.PAUSING, S.PAUSED, S.CANCELLING, S.FAILED, S.CANCELLED, S.TIMED_OUT, S.INTERRUPTED),
    S.CANCELLING: (S.INTERRUPTED, *ENDED_BADLY),
    **dict.fromkeys(TERMINAL, ()),
}
"""From `cancelling` no way leads to `succeeded`; from a terminal state none leads anywhere."""
