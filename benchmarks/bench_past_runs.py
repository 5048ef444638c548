"""Time what the command line asks of a journal of 100,000 runs, one of them with 1,000,000 rows: of a second each.

Run it with ``python -m benchmarks.bench_past_runs [--quick]``.
"""

from __future__ import annotations

import io
import json
import tempfile
import time
import tracemalloc
from collections.abc import Callable
from contextlib import redirect_stdout
from functools import partial
from pathlib import Path
from statistics import median
from typing import Final

import sqlalchemy as sa

from actorlab.cli.kept import find_run
from actorlab.cli.runs_table import Wanted, list_runs
from actorlab.cli.showing import show_run
from actorlab.journal import Journal, JournalReader, schema
from actorlab.journal.chunks import rows_chunk
from benchmarks.harness import Effort, Row, Timings, main, take_turns

RUNS: Final = 100_000
ROWS: Final = 1_000_000
CHUNK: Final = 5_000
NAMES: Final = ("wavelength", "power", "current", "voltage", "temperature")
LATELY: Final = 1_700_000_000.0
MEMORY: Final = 20_000_000
"""So many bytes showing a run may take beyond what the reader has."""


def batched(numbers: range, size: int) -> list[range]:
    """Cut numbers into pieces."""
    return [numbers[place : place + size] for place in range(0, len(numbers), size)]


def fill(path: Path, runs: int, rows: int) -> None:
    """Make a journal in which runs have ended; the first has recorded rows."""
    with Journal.open(path) as journal:
        for kind, payload in (("run", {"name": "sweep", "kind": "task"}), ("state", {"state": "succeeded"})):
            journal.append("sweep#1", kind, payload, 0.0)
    engine = sa.create_engine(f"sqlite:///{path}")
    about = json.dumps({"name": "sweep", "args": ["x" * 200]})
    with engine.begin() as connection:
        for numbers in batched(range(2, runs + 1), CHUNK):
            connection.execute(sa.insert(schema.runs), [
                {
                    "id": f"sweep#{number}", "name": "sweep", "number": number, "kind": "task", "opening": 1,
                    "state": "failed" if number % 1000 == 0 else "succeeded", "created": LATELY + number,
                    "started": LATELY + number, "ended": LATELY + number + 0.5, "task": "lab:sweep", "about": about,
                }
                for number in numbers
            ])  # fmt: skip
        for numbers in batched(range(rows), CHUNK):
            told = [(number, LATELY, tuple(number * 0.1 + place for place in range(len(NAMES)))) for number in numbers]
            head, data = rows_chunk("sweep", NAMES, told)
            values = {"run": "sweep#1", "first": numbers[0], "last": numbers[-1], "count": len(numbers)}
            connection.execute(sa.insert(schema.rows), {**values, "columns": head, "data": data})
    engine.dispose()


def seconds(work: Callable[[JournalReader], object], path: Path) -> float:
    """Open the journal, as each command does, and do something with it; what it prints is thrown away."""
    begin = time.perf_counter()
    with JournalReader.open(path) as reader, redirect_stdout(io.StringIO()):
        work(reader)
    return time.perf_counter() - begin


def listed(reader: JournalReader, *states: str, name: str | None = None) -> None:
    """List the latest runs."""
    list_runs(reader, Wanted(states, None, name, 20, children=False), as_json=False)


def shown(reader: JournalReader, run: str = "sweep#1") -> None:
    """Show a run."""
    show_run(reader, find_run(reader, run), None, as_json=False)


def memory(path: Path) -> Row:
    """Measure how much memory it takes to show a run with many rows."""
    seconds(shown, path)  # what is loaded for it stays
    tracemalloc.start()
    seconds(shown, path)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return Row("show a run with many rows", peak, "20 MB", MEMORY, peak / MEMORY, 1.0, "B")


def bench(effort: Effort) -> list[Row]:
    """Time all of it in turns."""
    things: dict[str, Callable[[JournalReader], object]] = {
        "runs": listed,
        "runs --state failed": lambda reader: listed(reader, "failed"),
        "runs --name sweep": lambda reader: listed(reader, name="sweep"),
        "show a run with many rows": shown,
    }
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "journal.db"
        fill(path, effort.pieces(RUNS), effort.pieces(ROWS))
        found = take_turns({what: partial(seconds, work, path) for what, work in things.items()}, effort.rounds)
        return [*(of_a_second(found, what) for what in things), memory(path)]


def of_a_second(found: Timings, what: str) -> Row:
    """Compare what something takes with a second, of which the rest is for starting Python."""
    took = median(found[what])
    return Row(what, took, "1 s", 1.0, took, 0.3)


if __name__ == "__main__":
    main(bench)
