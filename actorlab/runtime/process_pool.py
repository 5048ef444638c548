"""Keep worker processes warm, one body in each at a time: who gets one, and when no more are started."""

from __future__ import annotations

import os
import time
from collections import Counter, deque
from itertools import count
from typing import TYPE_CHECKING, Any, Final

from actorlab.core.restart import GiveUp, RestartLimiter, RestartPolicy
from actorlab.errors import ConfigError, WorkerDied
from actorlab.kernel import Reply
from actorlab.runtime.process_worker import WorkerProcess

if TYPE_CHECKING:
    from collections.abc import Callable

    from actorlab.runtime.decider import Decider
    from actorlab.runtime.workers import Workers

__all__ = ["Claim", "ProcessPool"]

monotonic = time.monotonic
REPLACING: Final = RestartPolicy(limit=5, period=60.0, delay=0.0)
"""How often worker processes that have ended by themselves are replaced."""
TO_END: Final = 2.0
"""So many seconds a process has to end by itself, when the lab ends or there are too many."""


class Claim:
    """A body's claim to a process: its reply is a process, or None, which means: start one."""

    __slots__ = ("level", "reply")

    def __init__(self, level: int) -> None:
        self.level = level
        self.reply: Reply[WorkerProcess | None] = Reply()


class ProcessPool:
    """The worker processes of a lab. The deciding thread alone changes who has which; none is started before a claim.

    A body that waits for its children keeps its process, so those mustn't wait for it: each level of children may have
    as many processes as the bodies that nobody has spawned. Idle ones are used by all; no more than `size` are kept.
    """

    def __init__(
        self, name: str, decider: Decider, workers: Workers, size: int | None, initializer: Callable[[], object] | None
    ) -> None:
        if size is not None and (type(size) is not int or size < 1):
            text = f"Lab(processes={size!r}): it takes a whole number of processes, 1 or more, or None for one per CPU"
            raise ConfigError(text)
        if initializer is not None and not callable(initializer):
            text = f"Lab(process_initializer={initializer!r}): it takes a function without arguments"
            raise ConfigError(text)
        self._name = name
        self._decider = decider
        self._workers = workers
        self._size = size or usable_cpus()
        self._initializer = initializer
        self._idle: list[WorkerProcess] = []
        self._busy: Counter[int] = Counter()
        self._waiting: deque[Claim] = deque()
        self._limiter = RestartLimiter(REPLACING)
        self._refused_until = 0.0
        self._why = ""
        self._numbers = count(1)
        self._all: dict[WorkerProcess, None] = {}
        """Those that aren't closed; written by whoever starts or closes one."""
        self._closed = False

    # -- for the deciding thread

    def claim(self, level: int) -> Claim:
        """Claim a process for a body; it is granted now or later."""
        claim = Claim(level)
        if self._busy[level] < self._size:
            self._grant(claim)
        else:
            self._waiting.append(claim)
        return claim

    @property
    def told_busy(self) -> str:
        """Say how many have one."""
        return f"all {self._size} are busy" if self._size > 1 else "the only one is busy"

    def _grant(self, claim: Claim) -> None:
        while self._idle:
            worker = self._idle.pop()
            if worker.usable:
                self._busy[claim.level] += 1
                claim.reply.finish(worker, None)
                return
        if monotonic() < self._refused_until:
            left = self._refused_until - monotonic()
            text = f"no worker process is started for the next {left:.0f} s, as too many have ended: {self._why}"
            claim.reply.finish(None, WorkerDied(text))
            return
        self._busy[claim.level] += 1
        claim.reply.finish(None, None)

    def _serve(self) -> None:
        """Grant what waits and can be granted now."""
        for claim in tuple(self._waiting):
            if self._busy[claim.level] < self._size:
                self._waiting.remove(claim)
                self._grant(claim)

    def _given_back(self, argument: tuple[Claim, WorkerProcess | None]) -> None:
        claim, worker = argument
        self._busy[claim.level] -= 1
        if worker is not None:
            if len(self._idle) < self._size and worker.usable:
                self._idle.append(worker)
            else:
                self._workers.put(lambda: self._close(worker))
        self._serve()

    def _lost(self, argument: tuple[Claim, WorkerProcess | None, BaseException | None]) -> None:
        """Let go of a process that has ended, or wasn't begun; an error says that it did so by itself."""
        claim, worker, error = argument
        if error is not None:
            self._count_end(error)
        self._given_back((claim, None))
        if worker is not None:
            self._workers.put(lambda: self._close(worker))

    def _count_end(self, error: BaseException) -> None:
        decision = self._limiter.ended(monotonic(), error, 0.0)
        if isinstance(decision, GiveUp):
            self._refused_until = monotonic() + REPLACING.period
            self._why = decision.reason

    def _withdrawn(self, claim: Claim) -> None:
        if claim in self._waiting:
            self._waiting.remove(claim)
        elif claim.reply.done() and claim.reply.exception(0) is None:
            self._given_back((claim, claim.reply.outcome()))

    def _idle_died(self, worker: WorkerProcess) -> None:
        if worker in self._idle:
            self._idle.remove(worker)
            self._count_end(worker.death("nobody"))
            self._workers.put(lambda: self._close(worker))

    # -- from the thread of the body

    def start(self, take_up: Callable[[WorkerProcess], object]) -> WorkerProcess:
        """Start a process; it is told of before its initializer is called.

        Raises:
            ConfigError: none can be started here, or the initializer has failed.
            WorkerDied: it has ended meanwhile.

        """
        name = f"{self._name} worker {next(self._numbers)}"
        try:
            worker = WorkerProcess(name, lambda died: self._decider.post(self._idle_died, died))
        except OSError as error:
            text = f"no worker process could be started: {error}"
            raise WorkerDied(text) from error
        self._all[worker] = None
        try:
            if self._closed:
                text = "its lab has ended"
                raise WorkerDied(text)  # noqa: TRY301 - what was started is ended below
            take_up(worker)
            if self._initializer is not None:
                worker.initialize(self._initializer)
        except BaseException:
            worker.kill()
            self._close(worker)
            raise
        return worker

    def give_back(self, claim: Claim, worker: WorkerProcess) -> None:
        """Give a process back that has ended its body."""
        self._decider.post(self._given_back, (claim, worker))

    def lost(self, claim: Claim, worker: WorkerProcess | None, error: BaseException | None) -> None:
        """Tell that a process has ended, by itself if there is an error; it is replaced when it is needed."""
        self._decider.post(self._lost, (claim, worker, error))

    def withdraw(self, claim: Claim) -> None:
        """Take a claim back."""
        self._decider.post(self._withdrawn, claim)

    # -- the end

    def _close(self, worker: WorkerProcess, seconds: float = TO_END) -> None:
        if worker.close(seconds):
            self._all.pop(worker, None)

    def close(self, seconds: float = TO_END) -> tuple[int, ...]:
        """End all processes, by force after some seconds, and return the numbers of those that don't end."""
        self._closed = True
        for worker in list(self._all):
            worker.dismiss()
        end = monotonic() + min(seconds, TO_END)
        for worker in list(self._all):
            self._close(worker, max(0.0, end - monotonic()))
        return tuple([worker.pid for worker in self._all])

    @property
    def pids(self) -> tuple[int, ...]:
        """Return the processes that live now."""
        return tuple([worker.pid for worker in list(self._all)])


def usable_cpus() -> int:
    """Return how many CPUs this process may use."""
    known: Any = getattr(os, "sched_getaffinity", None)  # not everywhere
    return len(known(0)) if known is not None else os.cpu_count() or 1
