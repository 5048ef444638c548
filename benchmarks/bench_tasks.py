"""Time tasks that do nothing, one by one and a thousand at once, next to LabDaemon's and Parsl's, and to a thread pool.

LabDaemon and Parsl are no dependencies: ``pip install -e ".[bench]"`` brings them along. Both are asked as their own
documentation says, LabDaemon with its log switched off. Run it with ``python -m benchmarks.bench_tasks [--quick]``.
"""

from __future__ import annotations

import itertools
import tempfile
import time
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from typing import Any, NamedTuple

from actorlab import Lab
from benchmarks.harness import Effort, Row, absent, main, seconds_each, take_turns

ONE_BY_ONE = 300
AT_ONCE = 1_000
THREADS = 8


class System(NamedTuple):
    """How a task that does nothing is started, and how its end is waited for."""

    start: Callable[[], Any]
    wait: Callable[[Any], object]


def nothing() -> None:
    """Do nothing."""


def result_of(started: Any) -> object:
    """Wait for a run or a future."""
    return started.result()


def wait_for(handle: Any) -> object:
    """Wait for a task of LabDaemon's."""
    return handle.wait()


@contextmanager
def lab() -> Generator[System]:
    """Use a lab."""
    with Lab("tasks") as made:
        yield System(partial(made.start, nothing), result_of)


@contextmanager
def pool() -> Generator[System]:
    """Use a thread pool."""
    with ThreadPoolExecutor(THREADS) as made:
        yield System(partial(made.submit, nothing), result_of)


class Nothing:
    """A task of LabDaemon's that does nothing."""

    def __init__(self, task_id: str) -> None:
        self.task_id = task_id

    def run(self, context: object) -> None:
        """Do nothing."""


@contextmanager
def labdaemon() -> Generator[System]:
    """Use LabDaemon, without its log."""
    import_module("loguru").logger.remove()
    daemon: Any = import_module("labdaemon").LabDaemon()
    daemon.register_plugins({}, {"Nothing": Nothing})
    numbers = itertools.count()
    yield System(lambda: daemon.execute_task(f"nothing {next(numbers)}", "Nothing"), wait_for)


@contextmanager
def parsl() -> Generator[System]:
    """Use Parsl's thread apps."""
    threads: Any = import_module("parsl.executors.threads").ThreadPoolExecutor(max_threads=THREADS)
    made: Any = import_module("parsl")
    with tempfile.TemporaryDirectory() as folder:
        settings = {"run_dir": folder, "initialize_logging": False, "usage_tracking": 0}
        made.load(import_module("parsl.config").Config(executors=[threads], **settings))
        try:
            yield System(made.python_app(nothing), result_of)
        finally:
            made.dfk().cleanup()
            made.clear()


PEERS = {"LabDaemon": labdaemon, "Parsl": parsl}
SYSTEMS = {"task": lab, "pool of 8": pool, **PEERS}


def one_by_one(system: System, count: int) -> float:
    """Return the seconds of each of some tasks, one after the other."""
    return seconds_each(count, lambda: system.wait(system.start()))


def at_once(system: System, count: int) -> float:
    """Return the seconds of each of some tasks that are started together."""
    begin = time.perf_counter()
    started = [system.start() for _ in range(count)]
    for each in started:
        system.wait(each)
    return (time.perf_counter() - begin) / count


def bench(effort: Effort) -> list[Row]:
    """Time them all in turns."""
    rows: list[Row] = []
    for measure, usual in ((one_by_one, ONE_BY_ONE), (at_once, AT_ONCE)):
        rows += compared(measure, effort.pieces(usual), effort.rounds)
    return rows


def compared(measure: Callable[[System, int], float], count: int, rounds: int) -> list[Row]:
    """Time one way of using them."""
    way = f", {measure.__name__.replace('_', ' ')}"
    with ExitStack() as stack:
        systems = {
            name: stack.enter_context(made())
            for name, made in SYSTEMS.items()
            if name not in PEERS or find_spec(name.lower()) is not None
        }
        timings = take_turns({name + way: partial(measure, it, count) for name, it in systems.items()}, rounds)
    mine = "task" + way
    peers = [timings.row(mine, name + way, 1.0) if name in systems else absent(mine, name + way, 1.0) for name in PEERS]
    return [timings.row(mine, "pool of 8" + way, None), *peers]


if __name__ == "__main__":
    main(bench)
