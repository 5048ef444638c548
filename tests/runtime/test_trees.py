"""Stop a tree of a thousand runs that wait in every way there is: all end, nothing is held, and what is told is true.

More seeds and other sizes: ``SEEDS=20 RUNS=3000 python -m pytest tests/runtime/test_trees.py``.
"""

from __future__ import annotations

import os
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from actorlab import DeviceConfig, Lab, LeaseLost, Run, RunCancelled, RunState, RunTimeout, emit, spawn
from actorlab.runtime.events import Event

ROOT = Path(__file__).parents[2]
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))  # the processes get our path, and import their drivers by it

from tests.runtime.isolated_lab_drivers import Stoppable  # noqa: E402
from tests.runtime.trees import (  # noqa: E402
    Lamp,
    Unplugged,
    World,
    beside_a_failure,
    branch,
    check_left,
    check_safe,
    check_told,
    runs_of,
)

S = RunState
SEEDS: Final = range(int(os.environ.get("SEEDS", "1")))
RUNS: Final = int(os.environ.get("RUNS", "1000"))
GRACE: Final = 15.0
"""No body needs it: whatever takes so long was abandoned."""
PATIENCE: Final = 50.0
MACHINE: Final = 5.0
"""So many seconds a slow machine may add."""


class Heard:
    """What a lab tells of its runs."""

    def __init__(self, lab: Lab) -> None:
        self._lab = lab
        self._events = lab.events.subscribe(kinds=["run", "gap"], buffer=10**6, snapshot=False)
        self._all: list[Event] = []

    def wait_until_quiet(self, seconds: float = 0.3) -> None:
        """Wait until no run has changed its state for some time."""
        while (event := self._events.get(timeout=seconds)) is not None:
            self._all.append(event)

    def all(self) -> list[Event]:
        """Return everything until now."""
        self._lab.ask(lambda: None)
        self.wait_until_quiet(0)
        return self._all


@pytest.fixture
def lab() -> Iterator[Lab]:
    made = Lab("trees", cancel_grace=GRACE)
    yield made
    made.close()


def world_of(lab: Lab, seed: int, tmp_path: Path) -> World:
    logs: list[list[str]] = [[] for _ in range(40)]
    lamps = [lab.add(f"lamp {number}", Lamp, log) for number, log in enumerate(logs)]
    configured = DeviceConfig(isolation="process", timeout=20)(Stoppable)
    rigs = [lab.add(f"rig {number}", configured, str(tmp_path / f"marks {number}")) for number in range(2)]
    return World(lamps, logs, rigs, tmp_path, seed, RUNS)


def end_of(run: Run[Any]) -> BaseException | None:
    """Wait for the end of a run that is being stopped, and see that nothing had to be abandoned."""
    began = time.monotonic()
    error = run.exception(PATIENCE)
    assert time.monotonic() - began < GRACE
    return error


@pytest.mark.slow
@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("standing", [True, False], ids=["standing", "growing"])
@pytest.mark.parametrize("stop", ["cancel", "revoke", "emergency stop"])
def test_a_tree_that_is_stopped_ends_whole(lab: Lab, tmp_path: Path, stop: str, seed: int, *, standing: bool) -> None:
    world, heard = world_of(lab, seed, tmp_path), Heard(lab)
    root = lab.start(branch, world, world.runs)
    assert world.grown.wait(PATIENCE)
    if standing:
        heard.wait_until_quiet()
    match stop:
        case "cancel":
            root.cancel("enough")
        case "revoke":
            lab.revoke(root.id, "the night is over")
        case _:
            outcome = lab.emergency_stop("smoke").result(PATIENCE)
            assert set(outcome.values()) == {None}
    error = end_of(root)
    assert isinstance(error, LeaseLost if stop == "revoke" else RunCancelled)
    states = check_told(heard.all(), root, world)
    assert states[root.id] is S.CANCELLED
    if standing:
        assert Counter(states.values()).keys() == {S.CANCELLED, S.SUCCEEDED, S.FAILED}
    if stop == "emergency stop":
        lab.rearm()
    check_left(lab, world)


@pytest.mark.slow
@pytest.mark.parametrize("seed", SEEDS)
def test_a_tree_that_takes_too_long_ends_whole(lab: Lab, tmp_path: Path, seed: int) -> None:
    world, heard = world_of(lab, seed, tmp_path), Heard(lab)
    root = lab.start(branch.options(timeout=1.5), world, world.runs)
    assert isinstance(root.exception(PATIENCE), RunTimeout)
    states = check_told(heard.all(), root, world)
    assert states.pop(root.id) is S.TIMED_OUT
    assert S.TIMED_OUT not in states.values()
    check_left(lab, world)


@pytest.mark.slow
@pytest.mark.parametrize("seed", SEEDS)
def test_a_tree_beside_a_step_that_fails_ends_whole(lab: Lab, tmp_path: Path, seed: int) -> None:
    world, heard = world_of(lab, seed, tmp_path), Heard(lab)
    root = lab.start(beside_a_failure, world)
    assert world.grown.wait(PATIENCE)
    assert isinstance(end_of(root), Unplugged)
    states = check_told(heard.all(), root, world)
    assert states[root.id] is S.FAILED
    check_left(lab, world)


@pytest.mark.slow
@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("standing", [True, False], ids=["standing", "growing"])
def test_a_tree_in_a_lab_that_is_closed_ends_whole(lab: Lab, tmp_path: Path, seed: int, *, standing: bool) -> None:
    world, heard = world_of(lab, seed, tmp_path), Heard(lab)
    root = lab.start(branch, world, world.runs)
    assert world.grown.wait(PATIENCE)
    if standing:
        heard.wait_until_quiet()
    lab.close()
    assert isinstance(root.exception(0), RunCancelled)
    check_told(heard.all(), root, world)
    check_safe(world)
    assert not lab.runs[-1].supervisor.bodies


@pytest.mark.parametrize("runs", [200])
def test_what_a_body_says_last_is_told_before_its_end(lab: Lab, runs: int) -> None:
    events = lab.events.subscribe(buffer=10**5, snapshot=False)
    ended = [lab.start(emit, "last", "words") for _ in range(runs)]
    assert all(run.exception(PATIENCE) is None for run in ended)
    lab.ask(lambda: None)
    told: dict[str, list[str]] = {}
    while (event := events.get(timeout=0)) is not None:
        told.setdefault(event.subject, []).append(str(event.data.get("state", event.kind)))
    assert {tuple(said) for said in told.values()} == {("waiting", "running", "emit", "succeeded")}


def test_a_run_that_ends_tells_within_which_time_and_keeps_to_it(gates: Callable[[], Any]) -> None:
    """Bodies that never return, at several depths, and a device whose safe state takes all its time."""
    grace, safe = 0.4, 0.3
    gate, begun = gates(), gates()
    lab = Lab("bound", cancel_grace=grace)
    lamp = lab.add("lamp", DeviceConfig(safe_timeout=safe, make_safe="hang")(Hangs), gate)

    def stubborn(lamp: Hangs, depth: int) -> None:
        if depth:
            spawn(stubborn, lamp, depth - 1).exception()
        begun.arrive()
        gate.stop()

    run = lab.start(stubborn, lamp, 3)
    begun.reached()
    began = time.monotonic()
    run.cancel("enough")
    (reason,) = run.reasons
    bound = float(reason.rsplit(" ", 2)[1])
    error = run.exception(PATIENCE)
    took = time.monotonic() - began
    assert reason.startswith(f"{run.id} is cancelling: enough; it has ended within")
    assert 0 <= bound <= grace + safe + 0.1
    assert grace <= took <= grace + safe + MACHINE
    assert [found.state for found in runs_of(run)] == [*[S.CANCELLED] * 3, S.ABANDONED]
    assert isinstance(error, RunCancelled)
    assert error.unsafe == ("lamp",)
    gate.open()
    lab.close()


class Hangs:
    """A device whose safe state is never reached in time."""

    def __init__(self, gate: Any) -> None:
        self.gate = gate

    def hang(self) -> None:
        """Hang."""
        self.gate.stop()
