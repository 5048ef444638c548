"""Time what a journal costs a lab: the steps of a large workflow with and without one, and a recorded row.

What is still to be written when a run has ended is counted in.
Run it with ``python -m benchmarks.bench_journalling [--quick]``.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from actorlab import Lab, record
from benchmarks.bench_dag import Parents, layered, steps
from benchmarks.harness import FULL, Effort, Row, main, take_turns

SIZE = 10_000
ROWS = 20_000
PLAIN = "step without a journal"
RELAXED, DURABLE = "step with a relaxed journal", "step with a durable journal"
KEPT, APPENDED = "row of five floats, recorded by a task", "five floats appended to a list"


def graph(lab: Lab, parents: Parents) -> float:
    """Run a graph, drawing counted in, until all of it is written; return the seconds per step."""
    begin = time.perf_counter()
    lab.run(steps, parents)
    flush(lab)
    return (time.perf_counter() - begin) / len(parents)


def flush(lab: Lab) -> None:
    """Wait until all is written."""
    if lab.journalling is not None:
        lab.journalling.journal.flush()


def rows(number: int) -> float:
    """Record some rows, and return the seconds per row."""
    begin = time.perf_counter()
    for index in range(number):
        at = float(index)
        record(wavelength=at, power=at, current=at, voltage=at, temperature=at)
    return (time.perf_counter() - begin) / number


def recorded(lab: Lab, number: int) -> float:
    """Record some rows in a task; what is written after its end isn't the task's to wait for."""
    seconds = lab.run(rows, number)
    flush(lab)
    return seconds


def appended(number: int) -> float:
    """Append as many values to a list, and return the seconds per row."""
    kept: list[tuple[float, dict[str, float]]] = []
    begin = time.perf_counter()
    for index in range(number):
        at = float(index)
        values = {"wavelength": at, "power": at, "current": at, "voltage": at, "temperature": at}
        kept.append((time.time(), values))
    return (time.perf_counter() - begin) / number


def bench(effort: Effort) -> list[Row]:
    """Time three labs, in a folder that is deleted afterwards."""
    size, number = (SIZE, ROWS) if effort is FULL else (effort.pieces(SIZE), effort.pieces(ROWS))
    parents = layered(size)
    with (
        tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder,
        Lab("plain") as plain,
        Lab("relaxed", journal=Path(folder) / "relaxed.db", durable=False) as relaxed,
        Lab("durable", journal=Path(folder) / "durable.db") as durable,
    ):
        ways: dict[str, Callable[[], float]] = {
            PLAIN: partial(graph, plain, parents),
            RELAXED: partial(graph, relaxed, parents),
            DURABLE: partial(graph, durable, parents),
            KEPT: partial(recorded, durable, number),
            APPENDED: partial(appended, number),
        }
        timings = take_turns(ways, effort.rounds)
    return [
        timings.row(RELAXED, PLAIN, 1.15),
        timings.row(DURABLE, PLAIN, 2.0),
        timings.row(KEPT, APPENDED, None),
    ]


if __name__ == "__main__":
    main(bench)
