"""Show the steps, the progress and the rows of a run elsewhere as those of a run here are shown."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from actorlab.core.run_state import RunState
from actorlab.data.rows import Row

if TYPE_CHECKING:
    from actorlab.client.remote_run import RemoteRun

__all__ = ["RemoteProgress", "RemoteRows", "RemoteStep"]


class RemoteProgress(NamedTuple):
    """How far a run elsewhere is; `fraction` (0 to 1) is None where the total isn't known."""

    done: float
    total: float | None
    message: str
    fraction: float | None

    @classmethod
    def of(cls, told: Mapping[str, Any] | None) -> RemoteProgress | None:
        """Read what a server tells."""
        return None if told is None else cls(*[told[name] for name in cls._fields])


class RemoteStep(NamedTuple):
    """One step of a workflow's run elsewhere, as it stood when it was looked at; `after`: those it still waits for."""

    number: int
    name: str
    label: str
    state: RunState
    attempts: int
    devices: tuple[str, ...]
    after: tuple[int, ...]
    child: RemoteRun | None
    error: BaseException | None


class RemoteRows:
    """The rows that a run elsewhere has recorded; those that are known are kept, and only newer ones asked for."""

    def __init__(self, page: Callable[[int], tuple[list[Row], int, int]]) -> None:
        self._page = page
        """Returns some rows after the first so many, how many are known then, and how many were let go."""
        self._lock = threading.Lock()  # several threads may look at one run's rows
        self._rows: list[Row] = []
        self._next = 0
        self.dropped = 0

    def _look(self) -> list[Row]:
        with self._lock:
            while True:
                rows, self._next, self.dropped = self._page(self._next)
                self._rows += rows
                if not rows:
                    return list(self._rows)

    def __len__(self) -> int:
        return len(self._look())

    def __iter__(self) -> Iterator[Row]:
        return iter(self._look())
