"""A lab that is killed at any moment goes on with what was done, and does nothing twice that nobody wants twice.

Set ``ACTORLAB_KILLS`` to try more moments than the few of a usual test run.
"""

from __future__ import annotations

import contextlib
import os
import random
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from actorlab import Lab
from actorlab.journal import JournalReader
from actorlab.runtime.past import Past, past_of
from actorlab.simulation import Bench, Laser, PowerMeter, Stage

EXPERIMENT = Path(__file__).parent / "experiment.py"
KILLS = int(os.environ.get("ACTORLAB_KILLS", "20"))
TOLD = (("laser", 30), ("stage", 26))
"""Instruments, and how many commands and queries each gets at least: the kill comes after some of them, …"""
A_LITTLE = 0.003
"""… and up to so many seconds."""
DRIVERS = {"laser": Laser, "stage": Stage, "meter": PowerMeter}
RESULT = "sample 3: 7651.0"
MARKS = {
    "tune": r"SOUR:WAV 15[0-4]\d",
    "probe": r"SOUR:WAV 158\d",
    "place": r"MOVE:ABS",
    "set_current": r"SOUR:CURR",
    "mount": r"MOVE:SAMP",
}
ALL = 13
"""So many commands there are, each sent by one step."""


@pytest.fixture
def bench() -> Iterator[Bench]:
    with Bench(time_scale=300) as bench:
        yield bench


class Killed:
    """One experiment that was killed at a moment: its journal, and what the bench had been told by then."""

    def __init__(self, bench: Bench, folder: Path, moment: Callable[[], float | None] = lambda: None) -> None:
        self.bench = bench
        self.journal = folder / "journal.db"
        self.told: str | None = None
        command = [sys.executable, str(EXPERIMENT), str(self.journal), *[bench.resources[name] for name in DRIVERS]]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as program:
            assert program.stdout is not None
            self.run = program.stdout.readline().strip()
            try:
                program.wait(moment())
            except subprocess.TimeoutExpired:
                program.kill()
            self.told = program.stdout.read().strip()
        self.before = commands(bench)

    def was_written(self) -> bool:
        with JournalReader.open(self.journal) as reader:
            return any(kept.id == self.run for kept in reader.runs())

    def past(self) -> Past:
        with JournalReader.open(self.journal) as reader:
            return past_of(reader, self.run)

    def resume(self) -> tuple[str, list[str]]:
        """Go on until it ends; answer what is asked as an operator would who looks at the bench."""
        asked: list[str] = []
        with Lab(journal=self.journal) as lab:
            for name, driver in DRIVERS.items():
                lab.add(name, driver, self.bench.resources[name])
            if not lab.interrupted:
                (run,) = lab.requeue()
                return run.result(30), asked
            with lab.events.subscribe(kinds=["question", "run"], snapshot=False) as news:
                run = lab.resume(self.run)
                for event in news:
                    if event.kind == "question":
                        asked.append(event.data["text"])
                        choices: tuple[str, ...] = event.data["choices"]
                        event.data["question"].answer("redo" if "redo" in choices else "go on")
                    elif event.subject == self.run and "error" in event.data:
                        break
            return run.result(30), asked


def cycle_power(bench: Bench) -> None:
    """Have every instrument forget what it was told; the fault comes with its next command."""
    for name, driver in DRIVERS.items():
        bench.inject(name, "power_cycle")
        with contextlib.suppress(ConnectionError), driver(bench.resources[name]) as device:
            device.identify()


def commands(bench: Bench) -> Counter[str]:
    """Count what instruments were told to do, query by query left out."""
    told = [line for name in DRIVERS for line in bench.executed(name) if "?" not in line]
    return Counter(line for line in told if any(re.match(mark, line) for mark in MARKS.values()))


def steps(past: Past) -> Iterator[tuple[str, str, Any]]:
    """Yield each step that commands an instrument: its name, how it stands, and what it was told to set."""
    works = past.told["steps"]
    for number, (name, *_) in enumerate(works):
        if number in past.units:
            yield from steps(past.units[number])
        elif number in past.spawned:  # the body of a search that had ended is done again, by its author's word
            ended = past.was(number) == "finished"
            for child in past.spawned[number]:
                yield from ((probe, "done again" if ended else was, value) for probe, was, value in steps(child))
        elif name in MARKS:
            yield name, past.was(number), past.values.get(number)


def mark_of(name: str, value: Any) -> str:
    """Return the command that a step which gave this value has sent."""
    return {
        "tune": f"SOUR:WAV {value}", "probe": f"SOUR:WAV {value}", "place": f"MOVE:ABS {value}",
        "set_current": f"SOUR:CURR {value}", "mount": 'MOVE:SAMP "sample 3"',
    }[name]  # fmt: skip


def test_the_experiment_gives_its_result_when_nobody_kills_it(bench: Bench, tmp_path: Path) -> None:
    whole = Killed(bench, tmp_path)
    assert whole.told == RESULT
    assert list(whole.before.values()) == [1] * ALL
    assert all(len(bench.executed(name)) >= number for name, number in TOLD)
    assert {was for _, was, _ in steps(whole.past())} == {"finished", "done again"}


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(KILLS))
def test_killed_at_any_moment_it_goes_on(bench: Bench, tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    name, most = chance.choice(TOLD)

    def moment() -> float:
        bench.wait_executed(name, chance.randint(1, most), timeout=30)
        return chance.uniform(0.0, A_LITTLE)

    killed = Killed(bench, tmp_path, moment)
    if killed.told:  # it was faster
        assert killed.told == RESULT
        return
    if not killed.was_written():
        assert not killed.before, "nothing is commanded before it is written"
        return
    past = killed.past()
    finished = Counter(mark_of(name, value) for name, was, value in steps(past) if was == "finished")
    begun = sum(was != "not_begun" for _, was, _ in steps(past))
    assert begun >= len(killed.before), "what was commanded counts as begun"
    if chance.random() < 0.5:
        cycle_power(bench)
    result, asked = killed.resume()
    assert result == RESULT
    after = commands(bench)
    twice = [line for line, times in after.items() if times > 1 and line in finished and "SAMP" not in line]
    assert not twice, f"these had ended, and were done again: {twice}; asked: {asked}"
    assert len(after) == ALL
