"""Time the journal: events next to JSON lines in a file, rows next to QCoDeS's own data set, commits next to SQLite's.

What counts as written is on its way to the disk: the time is that of the caller and the journal's thread together.
Run it with ``python -m benchmarks.bench_journal [--quick]``.
"""

from __future__ import annotations

import contextlib
import io
import json
import logging
import sqlite3
import tempfile
import time
from collections.abc import Callable
from functools import partial
from importlib import import_module
from itertools import count
from pathlib import Path
from typing import Any, Final

from actorlab.journal import Journal, JournalReader
from benchmarks.harness import Effort, Row, Timings, main, seconds_each, take_turns

EVENTS: Final = 100_000
ROWS: Final = 3_000
COMMITS: Final = 500
NAMES: Final = ("wavelength", "power", "current", "voltage", "temperature")

numbers = count()


def events(journal: Journal, pieces: int) -> float:
    """Append events of a run, and wait until they are written."""
    run, now = f"steps#{next(numbers)}", time.monotonic()
    append = journal.append
    begin = time.perf_counter()
    for number in range(pieces):
        append(run, "step", (number, 1, "running"), now)
    journal.flush()
    return (time.perf_counter() - begin) / pieces


def lines(path: Path, pieces: int) -> float:
    """Write the same as lines of JSON into a file."""
    now = time.monotonic()
    begin = time.perf_counter()
    with path.open("w") as file:
        for number in range(pieces):
            file.write(json.dumps({"at": now, "kind": "step", "step": number, "attempt": 1, "state": "running"}) + "\n")
    return (time.perf_counter() - begin) / pieces


def row(number: int) -> dict[str, float]:
    """Return a row of five floats."""
    return {name: number * 0.1 + place for place, name in enumerate(NAMES)}


def record(journal: Journal, rows: list[dict[str, float]]) -> float:
    """Record rows, and wait until they are written."""
    run = f"sweep#{next(numbers)}"
    begin = time.perf_counter()
    for values in rows:
        journal.record(run, "sweep", values, 0.0)
    journal.flush()
    return (time.perf_counter() - begin) / len(rows)


def read(reader: JournalReader, pieces: int) -> float:
    """Read rows back by columns."""
    begin = time.perf_counter()
    found = reader.recorded("kept#1")
    seconds = (time.perf_counter() - begin) / pieces
    if len(found) != pieces:
        message = f"{pieces - len(found)} of {pieces} rows are missing"
        raise AssertionError(message)
    return seconds


class QCoDeS:
    """The same rows in QCoDeS's data set, which is in SQLite, too."""

    def __init__(self, folder: Path) -> None:
        logging.disable(logging.WARNING)
        dataset: Any = import_module("qcodes.dataset")
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            dataset.initialise_or_create_database_at(str(folder / "qcodes.db"))
        self._experiment = dataset.load_or_create_experiment("speed", "sample")
        self._measurement = dataset.Measurement(exp=self._experiment)
        for name in NAMES:
            self._measurement.register_custom_parameter(name)
        self._kept: Any = None

    def record(self, rows: list[dict[str, float]]) -> float:
        """Record rows, and wait until they are written."""
        with contextlib.redirect_stdout(io.StringIO()):
            begin = time.perf_counter()
            with self._measurement.run() as saver:
                for values in rows:
                    saver.add_result(*values.items())
            seconds = time.perf_counter() - begin
        self._kept = saver.dataset
        return seconds / len(rows)

    def read(self) -> float:
        """Read the rows of the last time back by columns, from the disk."""
        dataset: Any = import_module("qcodes.dataset")
        begin = time.perf_counter()
        found = dataset.load_by_id(self._kept.run_id).get_parameter_data()
        return (time.perf_counter() - begin) / len(found[NAMES[0]][NAMES[0]])

    def close(self) -> None:
        """Close its database."""
        self._experiment.conn.close()
        logging.disable(logging.NOTSET)


def commit(connection: sqlite3.Connection) -> None:
    """Commit one short text to the disk."""
    connection.execute('INSERT INTO notes VALUES (\'[1,2,"step",[1,1,"running"]]\')')


def told(journal: Journal) -> None:
    """Append an event, and wait until it is on the disk."""
    journal.append("told#1", "step", (1, 1, "running"), time.monotonic())
    journal.flush()


def plain_database(path: Path) -> sqlite3.Connection:
    """Open a durable database of SQLite's, and nothing around it."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("CREATE TABLE notes (text TEXT)")
    return connection


def bench(effort: Effort) -> list[Row]:
    """Time all of it, in a folder that is deleted afterwards."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        return measured(Path(folder), effort)


def measured(folder: Path, effort: Effort) -> list[Row]:
    """Time events, rows and commits."""
    rows = [row(number) for number in range(effort.pieces(ROWS))]
    pieces, commits = effort.pieces(EVENTS), effort.pieces(COMMITS)
    peer, plain = QCoDeS(folder), plain_database(folder / "plain.db")
    with (
        Journal.open(folder / "relaxed.db", durable=False) as journal,
        Journal.open(folder / "durable.db") as durable,
        journal.reader() as reader,
    ):
        for values in rows:
            journal.record("kept#1", "sweep", values, 0.0)
        journal.flush()
        timed: dict[str, Callable[[], float]] = {
            "event, written": partial(events, journal, pieces),
            "line of JSON in a file": partial(lines, folder / "lines.json", pieces),
            "row of five floats, written": partial(record, journal, rows),
            "row in QCoDeS's data set": partial(peer.record, rows),
            "row, read back": partial(read, reader, len(rows)),
            "row read by QCoDeS": peer.read,
            "event, told to be on the disk": lambda: seconds_each(commits, partial(told, durable)),
            "durable commit of SQLite's": lambda: seconds_each(commits, partial(commit, plain)),
        }
        timings: Timings = take_turns(timed, effort.rounds)
    plain.close()
    peer.close()
    return [
        timings.row("event, written", "line of JSON in a file", 0.75),
        timings.row("row of five floats, written", "row in QCoDeS's data set", 0.1),
        timings.row("row, read back", "row read by QCoDeS", 0.5),
        timings.row("event, told to be on the disk", "durable commit of SQLite's", 8),
    ]


if __name__ == "__main__":
    main(bench)
