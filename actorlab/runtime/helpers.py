"""Call drivers' interrupt hooks from helper threads, since a hook may hang as well."""

from __future__ import annotations

import logging
import threading
import time
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Helpers"]


monotonic = time.monotonic


class Helpers:
    """Threads for short jobs that might hang; one more is started whenever all are busy."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._jobs: SimpleQueue[tuple[Callable[..., object], tuple[Any, ...]] | None] = SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._idle = 0

    def put(self, function: Callable[..., object], *args: Any) -> None:
        """Run a function soon; for the deciding thread only."""
        if self._idle <= self._jobs.qsize():
            number = len(self._threads) + 1
            thread = threading.Thread(target=self._work, daemon=True, name=f"{self._name}: helper {number}")
            self._threads.append(thread)
            self._idle += 1
            thread.start()
        self._jobs.put((function, args))

    def close(self) -> None:
        """Let every thread end after its present job."""
        for _ in self._threads:
            self._jobs.put(None)

    def join(self, timeout: float) -> list[threading.Thread]:
        """Wait for the threads to end, and return those that still work."""
        until = monotonic() + timeout
        for thread in self._threads:
            thread.join(max(0.0, until - monotonic()))
        return [thread for thread in self._threads if thread.is_alive()]

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            function, args = job
            self._idle -= 1  # a hint: a lost count only costs a thread
            try:
                function(*args)
            except Exception:
                logging.getLogger("actorlab").exception("a driver's interrupt() failed")
            self._idle += 1
            del job, function, args
