"""Hold what the live tree shows of a run."""

from __future__ import annotations

import io
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from rich.console import Console

from actorlab import Lab, Run, RunState, Shared, progress, query, spawn, task, track, workflow
from actorlab.cli.live import chosen, live_tree, others, waits_for
from actorlab.cli.looks import seconds_in_words
from actorlab.runtime.run import StepView


class Oven:
    def heat(self) -> None: ...

    @query
    def temperature(self) -> float:
        return 300.0


class Gate:
    """Stops bodies at a place; all pass when it opens."""

    def __init__(self) -> None:
        self.reached = threading.Semaphore(0)
        self.opened = threading.Event()
        self.passed: list[int] = []

    def wait(self) -> None:
        self.reached.release()
        assert self.opened.wait(20)

    def await_reached(self, times: int = 1) -> None:
        for _ in range(times):
            assert self.reached.acquire(timeout=20)


@pytest.fixture
def gate() -> Iterator[Gate]:
    made = Gate()
    yield made
    made.opened.set()


@pytest.fixture
def lab() -> Iterator[Lab]:
    with Lab() as made:
        yield made


def shown(run: Run[Any], width: int = 160) -> list[str]:
    console = Console(width=width, file=io.StringIO(), record=True, highlight=False)
    console.print(live_tree(run, 0.0, 12.0))
    return [" ".join(line.split()) for line in console.export_text().splitlines()]


def test_steps_tell_their_state_their_devices_and_why_they_wait(lab: Lab, gate: Gate) -> None:
    @task
    def look(oven: Shared[Oven]) -> int:
        return int(oven.temperature() / 300)

    @task
    def heat(oven: Oven, kelvin: float) -> float:
        oven.heat()
        progress(3, 10, "heating")
        gate.wait()
        return kelvin

    @task
    def report(first: int, kelvins: list[float]) -> int:
        return first + len(kelvins)

    @workflow
    def both(oven: Oven) -> int:
        return report(look(oven), [heat(oven, kelvin) for kelvin in (300.0, 320.0)])

    run = lab.start(both, lab.add("oven", Oven))
    gate.await_reached()
    lines = shown(run)
    assert lines[0].startswith("◐ both#1") or lines[0][0] in "◐◓◑◒"
    assert "1 of 4 steps" in lines[0]
    assert lines[1].startswith("├─ ✔ look")
    assert lines[1].endswith("(oven)")
    assert "heat 300" in lines[2]
    assert "━" in lines[2]
    assert lines[2].endswith("oven heating")
    assert lines[3] == "├─ ○ heat 320 oven waits for oven after heat 300"
    assert lines[4] == "└─ ○ report waits for heat 300; heat 320"
    gate.opened.set()
    assert run.result() == 3
    assert shown(run)[0].startswith("✔ both#1 succeeded")


def test_a_run_that_waits_for_its_lease_says_for_whom(lab: Lab, gate: Gate) -> None:
    def hold(oven: Oven) -> None:
        del oven
        gate.wait()

    oven = lab.add("oven", Oven)
    lab.start(hold, oven)
    gate.await_reached()
    second = lab.start(hold, oven)
    lab.ask(lambda: None)
    (line,) = shown(second)
    assert line.startswith("○ hold#2 waiting")
    assert line.endswith("oven hold#2 waits for oven, held by hold#1")


def test_a_task_shows_its_own_progress(lab: Lab, gate: Gate) -> None:
    def sweep() -> None:
        for _ in track(range(4), "sweeping"):
            if len(gate.passed) == 2:
                gate.wait()
            gate.passed.append(1)

    run = lab.start(sweep)
    gate.await_reached()
    (line,) = shown(run)
    assert line.endswith("sweeping")
    assert "━" in line


def test_failed_and_retried_steps_are_marked(lab: Lab) -> None:
    @task(retries=1)
    def shaky(tries: list[int]) -> None:
        tries.append(1)
        if len(tries) < 2:
            raise OSError

    @task
    def broken(after: None) -> None:
        del after
        raise ValueError

    @task
    def never(after: None) -> None:
        del after

    @workflow
    def all_three(tries: list[int]) -> None:
        never(broken(shaky(tries)))

    run = lab.start(all_three, [])
    assert isinstance(run.exception(), ValueError)
    lines = shown(run)
    assert lines[0].startswith("✘ all_three#1 failed")
    assert lines[1].startswith("├─ ✔ shaky")
    assert lines[1].endswith("at attempt 2")
    assert lines[2].startswith("├─ ✘ broken")
    assert lines[3] == "└─ - never skipped"


def test_children_stand_below_their_run(lab: Lab, gate: Gate) -> None:
    def child() -> None:
        gate.wait()

    def parent() -> None:
        spawn(child).result()

    run = lab.start(parent)
    gate.await_reached()
    lines = shown(run)
    assert lines[1][:3] == "└─ "
    assert "child#2" in lines[1]


def test_nested_workflows_show_their_steps(lab: Lab, gate: Gate) -> None:
    @task
    def one(number: int) -> int:
        gate.wait()
        return number

    @task
    def two(number: int) -> int:
        return number

    @workflow
    def inner(number: int) -> int:
        return two(one(number))

    @workflow
    def outer() -> list[int]:
        return [inner(1), inner(2)]

    run = lab.start(outer)
    gate.await_reached(2)
    lines = shown(run)
    assert [line.split(" ")[0] for line in lines[1:]] == ["├─", "│", "│", "└─", "├─", "└─"]
    assert "inner#" in lines[1]
    assert lines[3] == "│ └─ ○ two waits for one 1"
    gate.opened.set()
    assert run.result() == [1, 2]


def test_a_narrow_window_shortens_the_remarks_only(lab: Lab, gate: Gate) -> None:
    def sweep() -> None:
        progress(1, 2, "a remark that is much too long for the window in which it stands")
        gate.wait()

    run = lab.start(sweep)
    gate.await_reached()
    (line,) = shown(run, width=60)
    assert "sweep#1" in line
    assert line.endswith("…")


def step(index: int, state: RunState, ended: float | None = None) -> StepView:
    return StepView(index, f"step{index}", state, 1, (), None, None, ended, None, (), (), ())


def test_of_many_steps_those_that_matter_now_are_shown() -> None:
    states = [RunState.SUCCEEDED] * 500 + [RunState.RUNNING] * 3 + [RunState.WAITING] * 500
    steps = [step(index, state, float(index)) for index, state in enumerate(states)]
    picked = [view.number for view in chosen(steps)]
    assert len(picked) == 24
    assert {500, 501, 502} <= set(picked)
    assert picked == sorted(picked)
    assert {499, 503} <= set(picked), "the newest that ended, and the next to come"
    assert others(steps, chosen(steps)) == "… and 489 succeeded, 490 waiting"


def test_of_many_reasons_two_are_named() -> None:
    steps = [step(index, RunState.RUNNING) for index in range(5)]
    last = step(5, RunState.WAITING)._replace(after=(0, 1, 2, 3, 4))
    assert waits_for(last, steps) == "waits for step0; step1 and 3 more"


@pytest.mark.parametrize(("seconds", "text"), [(0.04, "0.0 s"), (59.9, "59.9 s"), (65, "1:05"), (7207, "2:00:07")])
def test_durations_are_short(seconds: float, text: str) -> None:
    assert seconds_in_words(seconds) == text


def test_hidden_children_are_left_out(lab: Lab, gate: Gate) -> None:
    @task(hidden=True)
    def background() -> None:
        gate.wait()

    def parent() -> None:
        spawn(background)
        spawn(lambda: None).result()

    run = lab.start(parent)
    gate.await_reached()
    lines = shown(run)
    assert not any("background" in line for line in lines)
    assert run.children[0].name == "background"
