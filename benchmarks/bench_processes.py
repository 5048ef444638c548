"""Time a body that does nothing in a worker process, next to a process pool of Python's own.

Run it with ``python -m benchmarks.bench_processes [--quick]``.
"""

from __future__ import annotations

import multiprocessing
from concurrent.futures import ProcessPoolExecutor

from actorlab import Lab, task
from benchmarks.harness import Effort, Row, main, seconds_each, take_turns
from benchmarks.no_op import nothing

RUNS = 2_000
RUN = 'no-op run with worker="process"'
POOL = "concurrent.futures.ProcessPoolExecutor, the same"


def bench(effort: Effort) -> list[Row]:
    """Time one no-op body after another, in one warm process each."""
    count = effort.pieces(RUNS)
    apart = task(worker="process")(nothing)
    spawning = multiprocessing.get_context("spawn")
    with Lab("processes", processes=1) as lab, ProcessPoolExecutor(1, spawning) as pool:
        lab.run(apart)
        pool.submit(nothing).result()
        timings = take_turns(
            {
                RUN: lambda: seconds_each(count, lambda: lab.run(apart)),
                POOL: lambda: seconds_each(count, lambda: pool.submit(nothing).result()),
            },
            effort.rounds,
        )
    return [timings.row(RUN, POOL, 2.5)]


if __name__ == "__main__":
    main(bench)
