"""Bound a rehearsal: by the steps it goes through, and by the time it takes to reckon them."""

from __future__ import annotations

import time

from actorlab.errors import CallTimeout, WorkflowError

__all__ = ["Budget"]

monotonic = time.monotonic


class Budget:
    """So many steps, and so many seconds of the clock on the wall, from now on; None: as many as it takes."""

    def __init__(self, steps: int | None = None, seconds: float | None = None) -> None:
        self._steps = steps
        self._seconds = seconds
        self._begun = monotonic()
        self._spent = 0

    def spend(self) -> None:
        """Take one step.

        Raises:
            WorkflowError: there were too many.
            CallTimeout: it has taken too long.

        """
        self._spent += 1
        if self._steps is not None and self._spent > self._steps:
            message = f"this has more than {self._steps:,} steps, and isn't rehearsed any further"
            raise WorkflowError(message)
        if self._seconds is not None and monotonic() - self._begun > self._seconds:
            message = f"to rehearse this takes longer than {self._seconds:g} s: it was left after {self._spent:,} steps"
            raise CallTimeout(message)
