"""Time the steps of a large workflow, next to graphlib with a thread pool and to dask, and at several sizes.

Drawing is timed apart: `lab.start` draws and compiles in its caller's thread and returns as the run begins. Next to
dask it is counted in, as is the making of dask's graph. dask is no dependency: ``pip install -e ".[bench]"``.
Run it with ``python -m benchmarks.bench_dag [--quick]``.
"""

from __future__ import annotations

import random
import time
from concurrent.futures import Executor, ThreadPoolExecutor
from functools import partial
from graphlib import TopologicalSorter
from importlib import import_module
from importlib.util import find_spec
from queue import SimpleQueue
from typing import Any

from actorlab import Lab, task, workflow
from benchmarks.harness import FULL, Effort, Row, Timings, absent, main, take_turns

LAYER = 100
GROWTH = {10_000: 1.2, 100_000: 2.0}
"""How much longer a step of so many may take than one of the smallest."""
SIZES = (1_000, *GROWTH)
FEWER_ROUNDS = 3
PEER_SIZE = 10_000
THREADS = 8
"""So many rounds do for the largest, which takes some seconds."""

Parents = list[list[int]]


def layered(size: int) -> Parents:
    """Return, for each step, one to three parents in the layer before its own."""
    chance = random.Random(1)
    return [
        chance.sample(range((step // LAYER - 1) * LAYER, step // LAYER * LAYER), chance.randint(1, 3))
        if step >= LAYER
        else []
        for step in range(size)
    ]


def nothing(*values: object) -> object:
    """Do nothing with the results of some steps."""
    del values
    return None


step = task(nothing)


@workflow
def steps(parents: Parents) -> object:
    """Call the steps in the order of their numbers."""
    results: list[Any] = []
    for mine in parents:
        results.append(step(*[results[parent] for parent in mine]))
    return results[-1]


def by_graphlib(parents: Parents, pool: Executor) -> float:
    """Run the graph by a `TopologicalSorter` and a pool, and return the seconds per step."""
    begin = time.perf_counter()
    sorter = TopologicalSorter(dict(enumerate(parents)))
    sorter.prepare()
    values: dict[int, object] = {}
    done: SimpleQueue[tuple[int, object]] = SimpleQueue()

    def job(number: int) -> None:
        done.put((number, nothing(*[values[parent] for parent in parents[number]])))

    while sorter.is_active():
        for number in sorter.get_ready():
            pool.submit(job, number)
        number, value = done.get()
        values[number] = value
        sorter.done(number)
    return (time.perf_counter() - begin) / len(parents)


def by_dask(parents: Parents) -> float:
    """Run the graph by dask's threads, and return the seconds per step, the making of its graph counted in."""
    get: Any = import_module("dask.threaded").get
    needed = {parent for mine in parents for parent in mine}
    last = [number for number in range(len(parents)) if number not in needed]
    begin = time.perf_counter()
    get({number: (nothing, *mine) for number, mine in enumerate(parents)}, last, num_workers=THREADS)
    return (time.perf_counter() - begin) / len(parents)


def by_lab_in_all(parents: Parents, lab: Lab) -> float:
    """Run the graph in a lab, and return the seconds per step, those of drawing it counted in."""
    begin = time.perf_counter()
    lab.run(steps, parents)
    return (time.perf_counter() - begin) / len(parents)


def by_lab(parents: Parents, lab: Lab, drawing: list[float]) -> float:
    """Run the graph in a lab, and return the seconds per step; those of drawing it are added to a list."""
    begin = time.perf_counter()
    run = lab.start(steps, parents)
    drawn = time.perf_counter()
    run.result()
    end = time.perf_counter()
    drawing.append((drawn - begin) / len(parents))
    return (end - drawn) / len(parents)


def bench(effort: Effort) -> list[Row]:
    """Time graphs of several sizes, all in one run."""
    with Lab("steps") as lab, ThreadPoolExecutor(THREADS) as pool:
        sizes = SIZES if effort is FULL else SIZES[:1]
        timings = Timings()
        for size in sizes:
            rounds = effort.rounds if size < SIZES[-1] else min(effort.rounds, FEWER_ROUNDS)
            timings |= timed(size, lab, pool, rounds)
    against = [timings.row(name(size), other(size), 0.8) for size in sizes]
    drawing = [timings.row(drawn(size), name(size), None) for size in sizes]
    against.append(beside_dask(PEER_SIZE if effort is FULL else SIZES[0], effort.rounds))
    return against + drawing + [timings.growth(name(size), name(SIZES[0]), GROWTH[size]) for size in sizes[1:]]


def beside_dask(size: int, rounds: int) -> Row:
    """Time drawing and steps together, next to dask."""
    mine, theirs = f"drawing and step, 1 of {size:,}", "dask.threaded.get"
    if find_spec("dask") is None:
        return absent(mine, theirs, 1.0)
    parents = layered(size)
    with Lab("steps") as lab:
        ways = {mine: partial(by_lab_in_all, parents, lab), theirs: partial(by_dask, parents)}
        return take_turns(ways, min(rounds, FEWER_ROUNDS)).row(mine, theirs, 1.0)


def timed(size: int, lab: Lab, pool: Executor, rounds: int) -> Timings:
    """Time one size."""
    parents = layered(size)
    drawing: list[float] = []
    mine, others = partial(by_lab, parents, lab, drawing), partial(by_graphlib, parents, pool)
    found = take_turns({name(size): mine, other(size): others}, rounds)
    found[drawn(size)] = drawing[1:]
    return found


def name(size: int) -> str:
    """Name a row of the lab's."""
    return f"step, 1 of {size:,}"


def other(size: int) -> str:
    """Name a row of graphlib's."""
    return f"graphlib and a pool of 8, 1 of {size:,}"


def drawn(size: int) -> str:
    """Name the row that says what drawing and compiling cost."""
    return f"drawing a step, 1 of {size:,}"


if __name__ == "__main__":
    main(bench)
