from __future__ import annotations

import random
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from actorlab.journal import Journal, JournalReader

PROGRAM = Path(__file__).with_name("writing_program.py")


def write_and_kill(path: Path, run: str, mode: str, seconds: float) -> int:
    """Let a process write for a while, kill it, and return the last number that it said was written."""
    command = [sys.executable, str(PROGRAM), str(path), run, mode]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        first = writer.stdout.readline()
        killer = threading.Timer(seconds, writer.kill)
        killer.start()
        lines = [first, *writer.stdout]
        killer.join()
    assert lines[0] == "open\n"
    whole = [line.split() for line in lines[1:] if line.endswith("\n")]
    assert all(len(words) == 1 for words in whole), whole
    return int(whole[-1][0]) if whole else -1


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["durable", "relaxed"])
def test_what_was_said_to_be_written_is_there_after_kill_9(path: Path, mode: str) -> None:
    chance = random.Random(mode)
    said: dict[str, int] = {}
    for life in range(3):
        said[f"a#{life}"] = write_and_kill(path, f"a#{life}", mode, chance.uniform(0.0, 0.4))
    with Journal.open(path) as journal:
        assert journal.previous is not None
        assert not journal.previous.clean
        assert journal.opening.id == 4
    with JournalReader.open(path) as reader:
        assert [opening.clean for opening in reader.openings()] == [False] * 3 + [True]
        everything = reader.events()
        assert [event.number for event in everything] == list(range(1, len(everything) + 1))
        for run, last in said.items():
            steps = [event.payload[0] for event in reader.events(run, kinds=("step",))]
            assert steps == list(range(len(steps)))
            assert len(steps) > last
            rows = reader.recorded(run).columns.get("n", [])
            assert rows == list(range(len(rows)))
            assert len(rows) >= last  # the row of a step is appended after it
    assert any(last > 0 for last in said.values())


@pytest.mark.slow
def test_a_journal_that_was_killed_while_it_began_opens(tmp_path: Path) -> None:
    chance = random.Random(5)
    command = [sys.executable, str(PROGRAM)]
    for number in range(4):
        path = tmp_path / f"{number}.db"
        with subprocess.Popen([*command, str(path), "a#1", "durable"], stdout=subprocess.DEVNULL) as writer:
            with pytest.raises(subprocess.TimeoutExpired):
                writer.wait(chance.uniform(0.05, 0.5))
            writer.kill()
        with Journal.open(path) as journal:
            journal.append("b#1", "run", {}, 0.0)
