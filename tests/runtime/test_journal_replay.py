"""What a journal has of a lab rebuilds in another process what each core of the lab knew, at any moment."""

from __future__ import annotations

import importlib.util
import json
import random
import subprocess
import sys
import time
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from actorlab import DeviceConfig, Lab, RestartPolicy, Shared, cleanup, sleep, spawn, task, workflow
from actorlab.runtime.run import Run

PROGRAM = Path(__file__).parent / "replaying.py"


def load() -> ModuleType:
    spec = importlib.util.spec_from_file_location("replaying", PROGRAM)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


replaying = load()
chance = random.Random()


class Stage:
    """A device that breaks now and then."""

    def move(self) -> int:
        if chance.random() < 0.1:
            text = "unplugged"
            raise ConnectionError(text)
        return 1

    def make_safe(self) -> None:
        pass


@task(retries=2, restart=RestartPolicy(delay=0.001))
def move(stage: Stage) -> int:
    sleep(chance.random() * 0.005)
    return stage.move()


@task
def look(stage: Shared[Stage]) -> int:
    del stage
    if chance.random() < 0.1:
        text = "nothing to be seen"
        raise ValueError(text)
    return 1


@task
def total(*numbers: int) -> int:
    return sum(numbers)


def off(stage: Stage) -> None:
    stage.move()


@workflow
def scan(one: Stage, other: Stage) -> int:
    cleanup(off, one)
    return total(move(one), look(one), move(other), move(one))


@workflow(lease="step", keep_going=True)
def step_by_step(one: Stage, other: Stage) -> int:
    return total(move(one), look(other), scan(one, other))


@task
def search(one: Stage, other: Stage) -> int:
    return sum(spawn(move, chance.choice((one, other))).result() for _ in range(3))


def watch() -> None:
    sleep(0.005)
    if chance.random() < 0.5:
        text = "it broke"
        raise ValueError(text)


class Marks:
    """The state of a lab at some moments, as the lab itself has it."""

    def __init__(self, lab: Lab) -> None:
        self._lab = lab
        self.states: list[dict[str, Any]] = []
        self.known: dict[str, Any] = {}

    def take(self) -> None:
        self._lab.ask(self._take)

    def _take(self) -> None:
        lab = self._lab
        journalling = lab.journalling
        assert journalling is not None
        for run in (*lab.book.runs, *(actor.run for actor in lab.book.under_way)):
            self.known[run.id] = run.supervisor.core
        actor = lab.lab_actor
        groups = dict(enumerate(group.core for group in actor.services._groups))
        state = replaying.state_of(self.known, actor.leases._table, actor.lives._devices, groups)
        journalling.append("", "mark", len(self.states), time.monotonic())
        self.states.append(json.loads(json.dumps(state)))


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_another_process_rebuilds_a_random_lab_at_any_moment(tmp_path: Path, seed: int) -> None:
    chance.seed(seed)
    where = tmp_path / "journal.db"
    with Lab(journal=where, durable=seed != 2, max_runs=4, limits={"hot": 1}, cancel_grace=2) as lab:
        policy = RestartPolicy(limit=None, delay=0.001)
        stages = [lab.add(f"stage{number}", DeviceConfig(restart=policy)(Stage)) for number in range(3)]
        lab.serve(task(restart=RestartPolicy(limit=5, delay=0.01))(watch))
        group = lab.group("night", strategy="one_for_all")
        group.serve(task(restart=RestartPolicy(limit=5, delay=0.01), name="guard")(watch))
        marks, runs = Marks(lab), list[Run[Any]]()
        for _ in range(15):
            function: Any = chance.choice((scan, step_by_step, search))
            wanted = function.options(priority=chance.randint(0, 3), tags=chance.choice(((), ("hot",))))
            runs.append(lab.start(wanted, *chance.sample(stages, 2)))
            if chance.random() < 0.3:
                chance.choice(runs).cancel("not now")
            if chance.random() < 0.2:
                chance.choice(runs).pause("lunch")
            marks.take()
        for run in runs:  # all of them first: who stands still has devices that others wait for
            run.resume()
        for run in runs:
            run.exception(10)
            marks.take()
    command = [sys.executable, str(PROGRAM), str(where)]
    told = subprocess.run(command, capture_output=True, text=True, check=False, timeout=50)
    assert told.returncode == 0, told.stderr
    rebuilt = dict(json.loads(line) for line in told.stdout.splitlines())
    assert len(rebuilt) == len(marks.states)
    for number, state in enumerate(marks.states):
        assert {run: rebuilt[number]["runs"][run] for run in state["runs"]} == state["runs"]
        assert {key: rebuilt[number][key] for key in ("waiting", "holders", "devices", "services")} == {
            key: state[key] for key in ("waiting", "holders", "devices", "services")
        }
