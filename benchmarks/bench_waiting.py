"""Measure runs that wait for one device: the memory of each, and the time of each grant while many wait.

Run it with ``python -m benchmarks.bench_waiting [--quick]``.
"""

from __future__ import annotations

import gc
import time
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from actorlab import Lab, Run
from benchmarks.harness import Effort, Row, main, seconds_each, take_turns

WAITING = 10_000
MOST = 3 * 1024
"""Bytes that one may take, beyond its arguments."""
FLOOR = "submit().result() of a pool"
JOBS = 1_000


class Stage:
    """A device with nothing to make safe."""


def nothing(stage: Stage) -> None:
    """Do nothing with a device."""


def bytes_each(count: int) -> float:
    """Return the memory of each of some runs that wait, as Python counts it."""
    with Lab("waiting") as lab:
        stage = lab.add("stage", Stage)
        with lab.lease(stage):
            outside = lab.device("stage")
            queue_up(lab, outside, 10)
            gc.collect()
            tracemalloc.start()
            before = tracemalloc.get_traced_memory()[0]
            kept = queue_up(lab, outside, count)
            gc.collect()
            after = tracemalloc.get_traced_memory()[0]
            tracemalloc.stop()
        for run in kept:
            run.result()
    return (after - before) / count


def queue_up(lab: Lab, stage: Stage, count: int) -> list[Run[None]]:
    """Start some runs, from another thread than that of the lease block, and return when all wait."""
    with ThreadPoolExecutor(1) as pool:
        runs = pool.submit(lambda: [lab.start(nothing, stage) for _ in range(count)]).result()
    lab.ask(lambda: None)
    return runs


def seconds_of_each_grant(count: int) -> float:
    """Return the seconds from one grant to the next while so many wait: each run in between does nothing."""
    with Lab("waiting") as lab:
        stage = lab.add("stage", Stage)
        with lab.lease(stage):
            runs = queue_up(lab, lab.device("stage"), count)
            begin = time.perf_counter()
        for run in reversed(runs):
            run.result()
        return (time.perf_counter() - begin) / count


def bench(effort: Effort) -> list[Row]:
    """Measure both. The target of a grant is 100 µs where the floor takes 17 µs."""
    count = effort.pieces(WAITING)
    size = bytes_each(count)
    what = f"grant and run of 1 of {count:,} that wait"
    with ThreadPoolExecutor(1) as pool:
        timed = {
            what: partial(seconds_of_each_grant, count),
            FLOOR: partial(seconds_each, effort.pieces(JOBS), lambda: pool.submit(int).result()),
        }
        timings = take_turns(timed, min(effort.rounds, 5))
    memory = Row(f"memory of 1 of {count:,} that wait", size, "3 KB", MOST, size / MOST, 1.0, "B")
    return [memory, timings.row(what, FLOOR, 6.0)]


if __name__ == "__main__":
    main(bench)
