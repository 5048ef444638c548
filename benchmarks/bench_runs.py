"""Time runs that do nothing, started and waited for one by one, next to a thread pool.

Run it with ``python -m benchmarks.bench_runs [--quick]``.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from actorlab import Lab
from benchmarks.harness import Effort, Row, main, seconds_each, take_turns

RUNS = 1_500


class Stage:
    """A device with nothing to make safe."""


def nothing() -> None:
    """Do nothing."""


def nothing_on(stage: Stage) -> None:
    """Do nothing with a device."""


def bench(effort: Effort) -> list[Row]:
    """Time a run without a device, one with a device, and a job of a pool."""
    count = effort.pieces(RUNS)
    with Lab("runs") as lab, ThreadPoolExecutor(1) as pool:
        stage = lab.add("stage", Stage)
        timings = take_turns(
            {
                "run": lambda: seconds_each(count, lambda: lab.run(nothing)),
                "run with a device": lambda: seconds_each(count, lambda: lab.run(nothing_on, stage)),
                "submit().result() of a pool": lambda: seconds_each(count, lambda: pool.submit(nothing).result()),
            },
            effort.rounds,
        )
    return [
        timings.row("run", "submit().result() of a pool", 3.5),
        timings.row("run with a device", "submit().result() of a pool", 4.5),
    ]


if __name__ == "__main__":
    main(bench)
