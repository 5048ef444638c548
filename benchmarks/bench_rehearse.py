"""Time the rehearsal of a large workflow, next to drawing it and to running it with bodies that do nothing.

Run it with ``python -m benchmarks.bench_rehearse [--quick]``.
"""

from __future__ import annotations

import time
from functools import partial
from statistics import median
from typing import Any

from actorlab import Lab, task, workflow
from actorlab.drawing import draw
from actorlab.task import Task
from benchmarks.bench_dag import Parents, layered
from benchmarks.harness import Effort, Row, Timings, main, take_turns

STEPS = 10_000
SECONDS = 2.0
"""In so many seconds so many steps have to be rehearsed."""
DEVICES = 20


class Thing:
    """A device that is only held."""


@task(takes=(1, 2, 4))
def alone(*values: object) -> None:
    """Do nothing with the results of some steps."""
    del values


@task(takes=(1, 2, 4))
def on_device(thing: Thing, *values: object) -> None:
    """Do nothing with a device."""
    del thing, values


@workflow
def steps(things: list[Thing], parents: Parents) -> object:
    """Call the steps in the order of their numbers; two of three use a device."""
    results: list[Any] = []
    for step, mine in enumerate(parents):
        values = [results[parent] for parent in mine]
        results.append(on_device(things[step % len(things)], *values) if step % 3 else alone(*values))
    return results[-1]


step_by_step = steps.options(lease="step")


def drawn(things: list[Thing], parents: Parents) -> float:
    """Draw the workflow and compile its plan, and return the seconds per step."""
    begin = time.perf_counter()
    draw(steps, (things, parents)).graph.plan()
    return (time.perf_counter() - begin) / len(parents)


def run(lab: Lab, things: list[Thing], parents: Parents) -> float:
    """Run the workflow, and return the seconds per step."""
    begin = time.perf_counter()
    lab.run(steps, things, parents)
    return (time.perf_counter() - begin) / len(parents)


def rehearsed(lab: Lab, what: Task[[list[Thing], Parents], object], things: list[Thing], parents: Parents) -> float:
    """Rehearse the workflow, and return the seconds per step."""
    begin = time.perf_counter()
    lab.rehearse(what, things, parents)
    return (time.perf_counter() - begin) / len(parents)


def bench(effort: Effort) -> list[Row]:
    """Time all of it in turns."""
    parents = layered(max(200, effort.pieces(STEPS)))
    with Lab("rehearsed") as lab:
        things = [lab.add(f"thing{number}", Thing) for number in range(DEVICES)]
        found = take_turns(
            {
                "rehearsing a step": partial(rehearsed, lab, steps, things, parents),
                "rehearsing a step that leases for itself": partial(rehearsed, lab, step_by_step, things, parents),
                "drawing a step": partial(drawn, things, parents),
                "running a step that does nothing": partial(run, lab, things, parents),
            },
            min(effort.rounds, 5),
        )
    return [
        within_seconds(found, "rehearsing a step", 1.0),
        found.row("rehearsing a step", "drawing a step", 4.0),
        found.row("rehearsing a step", "running a step that does nothing", None),
        within_seconds(found, "rehearsing a step that leases for itself", 1.5),
    ]


def within_seconds(found: Timings, what: str, target: float) -> Row:
    """Compare what a whole workflow takes with what it may take."""
    seconds = median(found[what]) * STEPS
    return Row(f"{what}, {STEPS:,} of them", seconds, f"{SECONDS:g} s", SECONDS, seconds / SECONDS, target)


if __name__ == "__main__":
    main(bench)
