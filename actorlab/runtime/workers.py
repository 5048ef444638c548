"""Run bodies on warm threads: as many as wait or work, few when all is quiet."""

from __future__ import annotations

import threading
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable

    from actorlab.runtime.decider import Decider

__all__ = ["Workers"]

PATIENCE: Final = 0.001
"""If all threads are busy and none has taken a job for so many seconds, some are added: one, then two, then four, …"""
AT_ONCE: Final = 64
"""… so many at most at one look."""
KEPT: Final = 8
"""So many idle threads stay; others leave after `IDLE` seconds."""
IDLE: Final = 30.0


class Workers:
    """Warm threads on one shared queue.

    There is no upper bound that parents which wait for their children could exhaust: a job that nobody takes gets a new
    thread. Short jobs are served by few threads without waking more.
    """

    def __init__(self, name: str, decider: Decider) -> None:
        self._name = name
        self._decider = decider
        self._jobs: SimpleQueue[Callable[[], object] | None] = SimpleQueue()
        self._armed = False
        self._seen = 0
        self._taken = 0
        self._more = 1
        self._busy: dict[threading.Thread, None] = {}
        self._count = 0
        self._threads: set[threading.Thread] = set()
        self._closed = False

    def put(self, job: Callable[[], object]) -> None:
        """Have a job run by some thread; for the deciding thread only. A job doesn't raise."""
        if self._closed:  # a callback: bodies begin no more
            threading.Thread(target=job, daemon=True, name=f"{self._name}: late worker").start()
            return
        self._jobs.put(job)
        if not self._armed:
            self._armed = True
            if not self._threads:
                self._add()
            self._seen = self._taken
            self._more = 1
            self._decider.after(PATIENCE, self._look)

    def close(self) -> None:
        """Let every thread end after its present job."""
        self._closed = True
        for _ in range(len(self._threads)):
            self._jobs.put(None)

    def join(self, timeout: float) -> list[threading.Thread]:
        """Wait for idle threads to end, and return those that still work."""
        for thread in list(self._threads):
            thread.join(timeout)
        return [thread for thread in self._threads if thread.is_alive()]

    def _look(self, _: Any) -> None:
        if self._jobs.empty() or self._closed:
            self._armed = False
            return
        if self._taken == self._seen and len(self._busy) >= len(self._threads):
            for _new in range(min(self._jobs.qsize(), self._more)):
                self._add()
            self._more = min(2 * self._more, AT_ONCE)
        self._seen = self._taken
        self._decider.after(PATIENCE, self._look)

    def _add(self) -> None:
        self._count += 1
        thread = threading.Thread(target=self._work, daemon=True, name=f"{self._name}: worker {self._count}")
        self._threads.add(thread)
        thread.start()

    def _work(self) -> None:
        jobs, busy, me = self._jobs, self._busy, threading.current_thread()
        while True:
            try:
                job = jobs.get(timeout=IDLE)
            except Empty:
                if len(self._threads) > KEPT:
                    break
                continue
            if job is None:
                break
            busy[me] = None
            self._taken += 1  # a hint: losing a count only delays a new thread
            job()
            del job, busy[me]  # an idle worker keeps no result alive
        self._threads.discard(me)
