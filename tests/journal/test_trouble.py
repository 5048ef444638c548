from __future__ import annotations

import contextlib
import os
import resource
import shutil
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from actorlab.errors import JournalError
from actorlab.journal import Journal, JournalReader

now = time.monotonic


class Watch:
    """What a journal has told."""

    def __init__(self) -> None:
        self.troubles: list[JournalError] = []
        self.troubled = threading.Event()
        self.recovered = threading.Event()

    def trouble(self, error: JournalError) -> None:
        self.troubles.append(error)
        self.troubled.set()

    def over(self) -> None:
        self.recovered.set()


@contextlib.contextmanager
def locked(path: Path) -> Generator[None]:
    """Hold the write lock of a database, as some other program."""
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    try:
        yield
    finally:
        other.rollback()
        other.close()


def test_a_locked_database_holds_nobody_up_and_nothing_is_lost(path: Path) -> None:
    watch = Watch()
    with Journal.open(path, on_trouble=watch.trouble, on_recovered=watch.over) as journal:
        errors: list[JournalError | None] = []
        told = threading.Event()
        with locked(path):
            for number in range(100):
                journal.append("a#1", "step", [number], now())

            def tell(error: JournalError | None) -> None:
                errors.append(error)
                told.set()

            journal.when_written(tell)
            assert told.wait(5)
            assert watch.troubled.wait(5)
            assert "locked by another program" in str(errors[0])
            assert "locked" in str(journal.trouble)
            journal.append("a#1", "step", [100], now())
        assert watch.recovered.wait(5)
        journal.flush()
        assert journal.trouble is None
        with journal.reader() as reader:
            assert [event.payload for event in reader.events("a#1")] == [[number] for number in range(101)]
    assert len(watch.troubles) == 1
    assert len(errors) == 1


def test_closing_says_what_could_not_be_written(path: Path) -> None:
    journal = Journal.open(path)
    journal.append("a#1", "step", [0], now())
    journal.flush()
    with locked(path):
        for number in range(1, 4):
            journal.append("a#1", "step", [number], now())
        with pytest.raises(JournalError, match=r"3 last events and rows couldn't be written to .*locked by another"):
            journal.close(timeout=0.1)
    journal.close()
    with Journal.open(path) as again:
        assert again.previous is not None
        assert not again.previous.clean
    with JournalReader.open(path) as reader:
        assert len(reader.events("a#1")) == 1


def test_a_file_that_was_moved_is_missed_and_found_again(path: Path) -> None:
    watch = Watch()
    with Journal.open(path, on_trouble=watch.trouble, on_recovered=watch.over) as journal:
        journal.append("a#1", "step", [0], now())
        journal.flush()
        away = path.parent / "away"
        away.mkdir()
        for file in path.parent.glob("journal.db*"):
            shutil.move(file, away / file.name)
        journal.append("a#1", "step", [1], now())
        assert watch.troubled.wait(5)
        assert "has been moved or deleted while the lab wrote it" in str(watch.troubles[0])
        for file in away.iterdir():
            shutil.move(file, path.parent / file.name)
        assert watch.recovered.wait(5)
        journal.flush()
        with journal.reader() as reader:
            assert len(reader.events("a#1")) == 2


def test_another_file_in_its_place_is_never_written(path: Path) -> None:
    journal = Journal.open(path)
    journal.append("a#1", "step", [0], now())
    journal.flush()
    path.rename(path.with_suffix(".away"))
    path.write_bytes(b"precious")
    journal.append("a#1", "step", [1], now())
    with pytest.raises(JournalError, match="replaced by another file"):
        journal.close(timeout=0.1)
    assert path.read_bytes() == b"precious"


FILLING = """
import resource, signal, sys, threading, time
from actorlab.journal import Journal, freeze
path = sys.argv[1]
troubled, recovered, errors = threading.Event(), threading.Event(), []
def trouble(error):
    errors.append(str(error)); troubled.set()
journal = Journal.open(path, on_trouble=trouble, on_recovered=recovered.set)
hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, hard))
for number in range(3000):
    journal.append("a#1", "step", [number, "x" * 200], time.monotonic())
    if number % 100 == 0 and journal.trouble is None:
        try:
            journal.flush()
        except Exception:
            pass
assert troubled.wait(10)
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, hard))
assert recovered.wait(10)
journal.close()
print(errors[0])
"""


def test_a_full_disk_loses_nothing_once_there_is_room_again(path: Path) -> None:
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    assert limit[1] == resource.RLIM_INFINITY
    command = [sys.executable, "-c", FILLING, str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=50)
    assert done.returncode == 0, done.stderr
    assert "see whether the disk is full" in done.stdout
    with JournalReader.open(path) as reader:
        assert [event.payload[0] for event in reader.events("a#1")] == list(range(3000))


@pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="only root may mount a small disk")
def test_a_disk_that_is_really_full_is_named(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", disk], capture_output=True, check=False)  # noqa: S607
    if mount.returncode:
        pytest.skip("mounting isn't allowed here")
    try:
        watch = Watch()
        path = disk / "journal.db"
        journal = Journal.open(path, on_trouble=watch.trouble, on_recovered=watch.over)
        (disk / "rubbish").write_bytes(bytes(500_000))
        for number in range(2000):
            journal.append("a#1", "step", [number, "x" * 200], now())
        assert watch.troubled.wait(5)
        assert "see whether the disk is full" in str(watch.troubles[0])
        (disk / "rubbish").unlink()
        assert watch.recovered.wait(10)
        journal.close()
        with JournalReader.open(path) as reader:
            assert [event.payload[0] for event in reader.events("a#1")] == list(range(2000))
    finally:
        subprocess.run(["umount", "-l", disk], check=True)  # noqa: S607


def test_what_is_too_much_to_keep_is_counted(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("actorlab.journal.writer.KEPT", 50)
    watch = Watch()
    with Journal.open(path, on_trouble=watch.trouble, on_recovered=watch.over) as journal:
        with locked(path):
            for number in range(80):
                journal.append("a#1", "step", [number], now())
            assert watch.troubled.wait(5)
            with pytest.raises(JournalError):
                journal.flush()
        assert watch.recovered.wait(5)
        journal.flush()
        with journal.reader() as reader:
            kept = [event.payload[0] for event in reader.events("a#1")]
            (gap,) = reader.events("", kinds=("gap",))
    assert kept == list(range(len(kept)))
    assert len(kept) + gap.payload["lost"] >= 80


def test_a_gap_stands_where_the_events_are_missing(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("actorlab.journal.writer.KEPT", 50)
    monkeypatch.setattr("actorlab.journal.writer.MOST", 10)
    watch, full = Watch(), threading.Event()
    with Journal.open(path, on_trouble=watch.trouble, on_recovered=watch.over) as journal:
        writer, write = journal._writer, journal._kept.store.write

        def refuse_or_write(batch: list[Any]) -> Any:
            if full.is_set() or not writer.dropped:
                message = "the disk is full"
                raise JournalError(message)
            monkeypatch.setattr(journal._kept.store, "write", write)
            journal.append("a#1", "step", [1000], now())  # after the last drop, and before it is known that all is well
            return write(batch)

        full.set()
        monkeypatch.setattr(journal._kept.store, "write", refuse_or_write)
        for number in range(80):
            journal.append("a#1", "step", [number], now())
        assert watch.troubled.wait(5)
        full.clear()
        assert watch.recovered.wait(5)
        journal.flush()
        with journal.reader() as reader:
            told = {event.payload[0]: event.number for event in reader.events("a#1")}
            (gap,) = reader.gaps()
    assert list(told) == [*range(50), 1000]
    assert told[49] < gap.number < told[1000]
    assert gap.payload["lost"] == 30


def test_a_callback_that_fails_is_told_and_stops_nothing(path: Path) -> None:
    watch = Watch()
    with Journal.open(path, on_trouble=watch.trouble) as journal:
        journal.when_written(lambda error: 1 / 0)  # noqa: ARG005 - it gets one
        assert watch.troubled.wait(5)
        assert "division by zero" in str(watch.troubles[0])
        journal.append("a#1", "step", [1], now())
        journal.flush()


def test_what_was_written_although_the_answer_was_lost_is_not_written_twice(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    watch = Watch()
    with Journal.open(path, on_trouble=watch.trouble, on_recovered=watch.over) as journal:
        store = journal._kept.store
        do, losses = store.do, [True]

        def do_and_lose_the_answer(work: Callable[[sa.Connection], None]) -> None:
            do(work)
            if store._doubtful is not None and losses:
                losses.clear()
                text = "the server went away while it committed"
                raise JournalError(text)

        monkeypatch.setattr(store, "do", do_and_lose_the_answer)
        for number in range(3):
            journal.append("a#1", "step", [number], now())
            journal.record("a#1", "b", {"n": number}, 0.0)
        assert watch.troubled.wait(5)
        journal.append("a#1", "step", [3], now())
        assert watch.recovered.wait(5)
        journal.flush()
        with journal.reader() as reader:
            assert [event.payload[0] for event in reader.events("a#1")] == [0, 1, 2, 3]
            assert reader.recorded("a#1").columns == {"n": [0, 1, 2]}
