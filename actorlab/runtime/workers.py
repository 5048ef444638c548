"""Run bodies on warm threads: as many as wait or work, few when all is quiet."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Container
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from actorlab.runtime.decider import Decider

__all__ = ["Workers"]

Report = tuple[Callable[[Any], object], Any]
"""A handler of a deciding actor and its argument."""
Job = Callable[[], Report | None]

monotonic = time.monotonic
PATIENCE: Final = 0.001
"""If all threads are busy and none has taken a job for so many seconds, some are added: one, then two, then four, …"""
AT_ONCE: Final = 64
"""… so many at most at one look."""
LATE_LOOKS: Final = 8
"""A look that comes late counts for less: where the machine is busy more threads make it only worse."""
IN_A_ROW: Final = 16
"""So many ends of jobs are looked at before other messages get a turn."""
KEPT: Final = 8
"""So many idle threads stay; others leave after `IDLE` seconds."""
IDLE: Final = 30.0


MOMENT: Final = 0.1
"""So many seconds threads have to end that were given up: they may be about to."""


class Workers:
    """Warm threads on one shared queue.

    There is no upper bound that parents which wait for their children could exhaust: a job that nobody takes gets a new
    thread. Short jobs are served by few threads without waking more.
    """

    def __init__(self, name: str, decider: Decider) -> None:
        self._name = name
        self._decider = decider
        self._jobs: SimpleQueue[Job | None] = SimpleQueue()
        self._pending: list[Job] = []
        self._unfinished = 0
        self._finished = 0
        self._reports: deque[Report | None] = deque()
        self._told = False
        self._armed = False
        self._seen = 0
        self._due = 0.0
        self._doubts = 0
        self._more = 1
        self._size = 0
        self._count = 0
        self._threads: dict[threading.Thread, None] = {}
        self._closed = False

    def put(self, job: Job) -> None:
        """Have a job run by some thread; for the deciding thread only. A job doesn't raise.

        What it returns is done by the decider: the thread tells it as the last thing before it waits again.
        """
        if not self._pending:
            self._decider.last(self._hand_out)
        self._pending.append(job)

    def _hand_out(self, _: Any) -> None:
        pending, self._pending = self._pending, []
        self._unfinished += len(pending)
        if self._closed:  # callbacks: bodies begin no more
            for job in pending:
                self._start_late(job)
            return
        if self._unfinished > self._size and not self._armed:
            self._arm()
        for job in pending:
            self._jobs.put(job)

    def _arm(self) -> None:
        """Begin to look whether jobs are taken: there are fewer threads than jobs."""
        self._armed = True
        if not self._size:
            self._add()
        self._more = 1
        self._doubts = 0
        self._look_later()

    def _spare(self, _: Any) -> None:
        """Let one of the idle threads go, if there are many."""
        if self._unfinished < self._size > KEPT:
            self._size -= 1
            self._jobs.put(None)

    def _tell(self, report: Report | None) -> None:
        """Report the end of a job, on its thread: one message to the decider is enough for many of them.

        The decider clears the flag before it looks, so whoever finds it set has his report seen.
        """
        self._reports.append(report)
        if not self._told:
            self._told = True
            self._decider.post(self._jobs_ended)

    def _jobs_ended(self, _: Any) -> None:
        """Take the reports that are there; what their threads had sent before them is handled before them."""
        self._told = False
        reports = [self._reports.popleft() for _ in range(min(len(self._reports), IN_A_ROW))]
        self._unfinished -= len(reports)
        self._finished += len(reports)
        if self._decider.has_mail:
            self._decider.post(self._end_jobs, reports)
        else:
            self._end_jobs(reports)
        if self._reports and not self._told:
            self._told = True
            self._decider.post(self._jobs_ended)

    @staticmethod
    def _end_jobs(reports: list[Report | None]) -> None:
        for report in reports:
            if report is not None:
                report[0](report[1])

    def close(self) -> None:
        """Let every thread end after its present job; what none of them has taken gets a thread for itself."""
        self._closed = True
        left: list[Job] = []
        with suppress(Empty):
            while (job := self._jobs.get_nowait()) is not None:
                left.append(job)
        for _ in range(len(self._threads)):
            self._jobs.put(None)
        for job in left:
            self._start_late(job)

    def join(self, timeout: float, given_up: Container[int | None] = ()) -> list[threading.Thread]:
        """Wait for threads to end, only a moment for those that were given up, and return all that still work."""
        me = threading.current_thread()  # a callback may close the lab
        began = monotonic()
        for thread in list(self._threads):
            if thread is not me:
                patience = min(timeout, MOMENT) if thread.ident in given_up else timeout
                thread.join(max(0.0, began + patience - monotonic()))
        return [thread for thread in list(self._threads) if thread.is_alive() and thread is not me]

    def _look(self, _: Any) -> None:
        waiting, ended = self._jobs.qsize(), len(self._reports)
        if not waiting or self._closed:
            self._armed = False
            return
        if self._finished + ended != self._seen or self._unfinished - ended - waiting < self._size:
            self._doubts = 0
        elif self._sure():
            for _new in range(min(waiting, self._more)):
                self._add()
            self._more = min(2 * self._more, AT_ONCE)
        self._look_later()

    def _look_later(self) -> None:
        self._seen = self._finished + len(self._reports)
        self._due = monotonic() + PATIENCE
        self._decider.after(PATIENCE, self._look)

    def _sure(self) -> bool:
        """Tell whether the threads are busy: one look says so if it comes in time, else the machine may be."""
        late = monotonic() - self._due > PATIENCE
        self._doubts += 1 if late else LATE_LOOKS
        return self._doubts >= LATE_LOOKS

    def _add(self) -> None:
        self._size += 1
        self._count += 1
        thread = threading.Thread(target=self._work, daemon=True, name=f"{self._name}: worker {self._count}")
        self._threads[thread] = None
        thread.start()

    def _work(self) -> None:
        while True:
            try:
                job = self._jobs.get(timeout=IDLE)
            except Empty:
                self._decider.post(self._spare)
                continue
            if job is None:
                del self._threads[threading.current_thread()]
                return
            report = job()
            del job  # an idle worker keeps no result alive, …
            self._tell(report)
            del report  # … not even that

    def _start_late(self, job: Job) -> None:
        thread = threading.Thread(target=self._run, args=(job,), daemon=True, name=f"{self._name}: late worker")
        self._threads[thread] = None
        thread.start()

    def _run(self, job: Job) -> None:
        report = job()
        del self._threads[threading.current_thread()]
        self._tell(report)
