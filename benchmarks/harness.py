"""Time things as ratios: they take turns in one process, the medians are compared, on one core and on all of them."""

from __future__ import annotations

import argparse
import gc
import os
import time
from collections.abc import Callable, Generator, Iterable, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from math import isnan, nan
from statistics import median
from typing import Final, NamedTuple

from rich.console import Console
from rich.table import Table

__all__ = ["FULL", "QUICK", "Bench", "Effort", "Row", "Timings", "absent", "main", "seconds_each", "take_turns"]


@dataclass(frozen=True, slots=True)
class Effort:
    """How much to measure: rounds that count, and the share of the usual number of pieces in each."""

    rounds: int
    share: float

    def pieces(self, usual: int) -> int:
        """Return how many pieces to do in one round."""
        return max(10, int(usual * self.share))


FULL: Final = Effort(9, 1.0)
QUICK: Final = Effort(2, 0.02)
"""Enough to see that a benchmark runs; its times mean nothing."""


class Row(NamedTuple):
    """One line of the table: how long `what` takes next to `beside` (seconds each), and the largest ratio wanted."""

    what: str
    seconds: float
    beside: str
    beside_seconds: float
    ratio: float
    target: float | None
    unit: str = "s"
    """Seconds, or bytes ("B")."""

    @property
    def verdict(self) -> str:
        """Say whether the target is reached, if there is one."""
        if self.target is None or isnan(self.ratio):
            return ""
        return "[green]✓" if self.ratio <= self.target else "[red]missed"


Bench = Callable[[Effort], Iterable[Row]]


def absent(what: str, beside: str, target: float | None) -> Row:
    """Return the line for a peer that isn't installed."""
    return Row(what, nan, beside, nan, nan, target)


class Timings(dict[str, list[float]]):
    """The seconds per piece of each thing that was timed, one number for each round."""

    def row(self, what: str, beside: str, target: float | None) -> Row:
        """Compare two things, round by round: a moment in which the machine is slow has hit both."""
        ratio = median(mine / other for mine, other in zip(self[what], self[beside], strict=True))
        return Row(what, median(self[what]), beside, median(self[beside]), ratio, target)

    def growth(self, what: str, beside: str, target: float) -> Row:
        """Compare two things whose rounds don't belong together, by their medians."""
        mine, other = median(self[what]), median(self[beside])
        return Row(what, mine, beside, other, mine / other, target)


def take_turns(timed: Mapping[str, Callable[[], float]], rounds: int) -> Timings:
    """Time several things in turns; each returns its seconds per piece. A first round warms up and isn't counted."""
    timings = Timings({name: [] for name in timed})
    for number in range(rounds + 1):
        for name, measure in timed.items():
            gc.collect()  # nobody pays for another's garbage
            seconds = measure()
            if number:
                timings[name].append(seconds)
    return timings


def seconds_each(pieces: int, do: Callable[[], object]) -> float:
    """Do something so many times, one after the other, and return the seconds of each."""
    begin = time.perf_counter()
    for _ in range(pieces):
        do()
    return (time.perf_counter() - begin) / pieces


@contextmanager
def on_cores(cores: set[int]) -> Generator[None]:
    """Keep this thread, and those which are started inside, on some cores."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def variants() -> dict[str, set[int]]:
    """Return the sets of cores to measure on; where threads can't be pinned there is one only."""
    if not hasattr(os, "sched_setaffinity"):
        return {"all cores": set()}
    cores = os.sched_getaffinity(0)
    return {"one core": {min(cores)}, f"{len(cores)} cores": cores}


def main(*benches: Bench) -> None:
    """Run benchmarks as the command line says, and print one table."""
    parser = argparse.ArgumentParser(description="Measure the speed of actorlab, as ratios.")
    parser.add_argument("--quick", action="store_true", help="only see that everything runs")
    effort = QUICK if parser.parse_args().quick else FULL
    console = Console()
    table = Table("what", "time", "next to", "time", "ratio", "target", "", title="medians; smaller is faster")
    for cores, which in variants().items():
        table.add_section()
        table.add_row(f"[bold]on {cores}")
        for bench in benches:
            with console.status(f"{bench.__module__.rpartition('.')[2]} on {cores}"):
                for row in rows_on(which, bench, effort):
                    add(table, row)
    console.print(table)


def rows_on(cores: set[int], bench: Bench, effort: Effort) -> list[Row]:
    """Run one benchmark on some cores."""
    if not cores:
        return list(bench(effort))
    with on_cores(cores):
        return list(bench(effort))


def add(table: Table, row: Row) -> None:
    """Add a line to the table."""
    wanted = "" if row.target is None else f"≤ {row.target:g}"
    if isnan(row.ratio):
        table.add_row(row.what, "", row.beside, "not installed", "", wanted, "")
        return
    values = in_words(row.seconds, row.unit), in_words(row.beside_seconds, row.unit)
    table.add_row(row.what, values[0], row.beside, values[1], f"{row.ratio:.2f}", wanted, row.verdict)


def in_words(value: float, unit: str) -> str:
    """Write a time or a size with a fitting unit."""
    if unit == "B":
        return f"{value:,.0f} B"
    seconds = value
    return f"{seconds * 1e6:.1f} µs" if seconds < 1e-3 else f"{seconds * 1e3:.0f} ms"  # noqa: PLR2004 - a millisecond
