"""An interrupted run goes on with what its journal has, and begins nothing that may rely on what was lost.

A crash is a copy of the journal, taken at some moment of a run: that is what the disk has when the process is killed.
"""

from __future__ import annotations

import itertools
import shutil
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any

import pytest

from actorlab import Lab, RunState, Shared, cleanup, each, record, sleep, spawn, task, workflow
from actorlab.errors import ConfigError, JournalError, RunCancelled, WorkflowError
from actorlab.journal import Journal, JournalReader
from actorlab.runtime.run import Run

if TYPE_CHECKING:
    from actorlab.runtime.questions import Question

BOUND = 10


class Stage:
    """A device that tells what was done with it."""

    def move(self, place: int) -> int:
        world.done.append(f"move {place}")
        return place

    def make_safe(self) -> None:
        world.safe += 1


class World:
    """One test: what was done, and where the crash comes."""

    def __init__(self) -> None:
        self.done: list[str] = []
        self.safe = 0
        self.crash: Callable[[str], None] = lambda _: None
        self.drawn = 3


world = World()


@pytest.fixture(autouse=True)
def new_world() -> Iterator[None]:
    global world  # noqa: PLW0603 - the tasks find it by its name, as they must stand at the top level
    world = World()
    yield
    world = World()


@dataclass(frozen=True)
class Point:
    """A value of a class of one's own."""

    place: int


@task
def move(stage: Stage, place: int) -> Point:
    world.crash(f"before {place}")
    stage.move(place)
    world.crash(f"after {place}")
    return Point(place)


@task(retries=1)
def look(_stage: Shared[Stage], point: Point) -> int:
    world.done.append(f"look {point.place}")
    return point.place


@task(on_resume="redo")
def home(stage: Stage) -> None:
    stage.move(0)


@task(idempotent=True)
def total(numbers: list[int]) -> int:
    world.crash("total")
    world.done.append("total")
    return sum(numbers)


def off(_stage: Stage) -> None:
    world.done.append("off")


@workflow
def scan(stage: Stage, places: list[int]) -> int:
    cleanup(off, stage)
    return total([look(stage, move(stage, place)) for place in places])


@workflow
def from_home(stage: Stage) -> Point:
    home(stage)
    move(stage, 1)
    return move(stage, 2)


@workflow
def changing(stage: Stage) -> int:
    return total([look(stage, move(stage, place)) for place in range(world.drawn)])


@workflow
def night(stage: Stage, places: list[int]) -> int:
    first = scan(stage, places)
    last = move(stage, 99)
    return total.options(after=last)([first, 1])


@workflow(lease="step")
def step_by_step(stage: Stage, places: list[int]) -> int:
    return total([look(stage, move(stage, place)) for place in places])


@workflow
def for_each(stage: Stage, places: list[int]) -> int:
    return total(each(lambda place: look(stage, move(stage, place)), list_of(places)))


@task(idempotent=True)
def list_of(places: list[int]) -> list[int]:
    return places


@task(on_resume="redo")
def optimise(stage: Stage, budget: int) -> list[int]:
    found = [spawn(move, stage, place).result().place for place in range(budget)]
    world.crash("found")
    return found


@workflow
def optimise_then_move(stage: Stage) -> Point:
    optimise(stage, 2)
    return move(stage, 50)


@task
def unpicklable(stage: Stage) -> object:
    stage.move(7)
    return threading.Lock()


@workflow
def with_lock(stage: Stage) -> int:
    unpicklable(stage)
    return total([1])


class Bench:
    """A lab that crashes, and the one that comes after it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.journal = folder / "journal.db"
        self.number = 0

    def crash(self, function: Any, *args: Any, at: str, time: int = 1) -> str:
        """Run something, and have the journal as it was when the crash came; return the run's id."""
        left = self.folder / f"left{self.number}.db"
        self.number += 1
        with Lab(journal=self.journal) as lab:
            times = itertools.count(1)

            def crash(moment: str) -> None:
                if moment == at and next(times) == time:
                    self.copy(lab, left)

            world.crash = crash
            stage = lab.add("stage", Stage)
            run = lab.start(function, stage, *args)
            run.result(BOUND)
        assert left.exists(), f"the moment {at!r} never came"
        self.go_back(left)
        return run.id

    def copy(self, lab: Lab, left: Path) -> None:
        journalling = lab.journalling
        assert journalling is not None
        journalling.journal.flush()
        for end in ("", "-wal"):
            if Path(f"{self.journal}{end}").exists():
                shutil.copy(f"{self.journal}{end}", f"{left}{end}")

    def go_back(self, left: Path) -> None:
        """Have what was on disk at the crash, and forget what was done."""
        world.crash = lambda _: None
        world.done.clear()
        world.safe = 0
        self.journal = left

    def resume(self, run: str, **how: Any) -> Any:
        with Lab(journal=self.journal) as lab:
            lab.add("stage", Stage)
            return lab.resume(run, **how).result(BOUND)


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


GO_ON = {"devices": "go on"}


# What is taken from the journal


def test_what_had_finished_is_taken_from_the_journal(bench: Bench) -> None:
    run = bench.crash(scan, [1, 2, 3], at="before 3")
    assert bench.resume(run, answers=GO_ON | {"4": "redo"}) == 6
    assert world.done == ["move 3", "look 3", "total", "off"]


def test_a_run_that_had_only_its_end_before_it_commands_nothing(bench: Bench) -> None:
    run = bench.crash(scan, [1, 2], at="total")
    assert bench.resume(run) == 3
    assert world.done == ["total", "off"]


def test_a_resumed_run_keeps_its_id_and_new_runs_get_new_ones(bench: Bench) -> None:
    run = bench.crash(scan, [1], at="before 1")
    with Lab(journal=bench.journal) as lab:
        stage = lab.add("stage", Stage)
        assert [kept.id for kept in lab.interrupted] == [run]
        resumed = lab.resume(run, answers={"0": "redo"})
        resumed.result(BOUND)
        other = lab.start(move, stage, 5)
        other.result(BOUND)
        assert resumed.id == run
        assert other.id not in (run, "")
        assert lab.interrupted == ()
        assert [view.state for view in resumed.steps] == [RunState.SUCCEEDED] * 3


def test_a_run_that_crashes_again_and_again_goes_on(bench: Bench) -> None:
    run = bench.crash(scan, [1, 2, 3], at="before 2")
    left = bench.folder / "again.db"
    with Lab(journal=bench.journal) as lab:
        world.crash = lambda moment: bench.copy(lab, left) if moment == "before 3" else None
        lab.add("stage", Stage)
        lab.resume(run, answers=GO_ON | {"2": "redo"}).result(BOUND)
    bench.go_back(left)
    assert bench.resume(run, answers=GO_ON | {"4": "redo"}) == 6
    assert world.done == ["move 3", "look 3", "total", "off"]


# What a person decides


def resumed_and_asked(lab: Lab, run_id: str) -> tuple[Run[Any], Question]:
    with lab.events.subscribe(kinds=["question"], snapshot=False) as news:
        run = lab.resume(run_id)
        event = next(iter(news))
    assert event.subject == run_id
    return run, event.data["question"]


def test_an_operator_is_asked_about_the_step_that_was_under_way(bench: Bench) -> None:
    run_id = bench.crash(scan, [1, 2], at="after 2")
    with Lab(journal=bench.journal) as lab:
        lab.add("stage", Stage)
        run, asked = resumed_and_asked(lab, run_id)
        assert "move was under way when the run was interrupted" in asked.text
        assert any("waits for an operator's answer" in reason for reason in run.reasons)
        assert world.done == []
        while not run.done():
            for question in lab.questions:
                lab.answer(question.id, "redo" if "redo" in question.choices else "go on")
            run.reply.wait(0.02)
        assert run.result() == 3
    assert world.done == ["move 2", "look 2", "total", "off"]


def test_a_step_that_is_left_out_leaves_out_what_needs_it(bench: Bench) -> None:
    run = bench.crash(from_home, at="before 2")
    assert bench.resume(run, answers=GO_ON | {"2": "skip"}) is None
    assert world.done == []


def test_while_nobody_answers_the_run_stays_interrupted(bench: Bench) -> None:
    run_id = bench.crash(scan, [1], at="after 1")
    with Lab(journal=bench.journal) as lab:
        lab.add("stage", Stage)
        run, _ = resumed_and_asked(lab, run_id)
        run.cancel("nobody is here")
        with pytest.raises(RunCancelled, match="nobody is here"):
            run.result(BOUND)
        assert [kept.id for kept in lab.interrupted] == [run_id]
        assert not lab.questions


def test_what_relied_on_a_device_begins_again_from_where_it_was_set_up(bench: Bench) -> None:
    run = bench.crash(scan, [1, 2], at="before 2")
    assert bench.resume(run, answers={"devices": "again", "2": "redo"}) == 3
    assert world.done == ["move 1", "look 1", "move 2", "look 2", "total", "off"]


def test_a_finished_step_marked_redo_is_done_first(bench: Bench) -> None:
    run = bench.crash(from_home, at="before 2")
    assert bench.resume(run, answers=GO_ON | {"2": "redo"}) == Point(2)
    assert world.done == ["move 0", "move 2"]


def test_again_from_a_step_does_it_and_all_that_follow_once_more(bench: Bench) -> None:
    run = bench.crash(scan, [1, 2], at="total")
    assert bench.resume(run, again_from=2) == 3
    assert world.done == ["move 2", "look 2", "total", "off"]


# Parts


def test_a_nested_workflow_goes_on_within_itself(bench: Bench) -> None:
    run = bench.crash(night, [1, 2], at="total")
    assert bench.resume(run, answers=GO_ON) == 4
    assert world.done == ["total", "off", "move 99", "total"]


def test_a_nested_workflow_and_all_after_it_are_taken_from_the_journal(bench: Bench) -> None:
    run = bench.crash(night, [1, 2], at="total", time=2)
    assert bench.resume(run) == 4
    assert world.done == ["total"]


def test_a_nested_workflow_that_had_ended_is_not_even_cleaned_up_again(bench: Bench) -> None:
    run = bench.crash(night, [1, 2], at="before 99")
    assert bench.resume(run, answers=GO_ON | {"1": "redo"}) == 4
    assert world.done == ["move 99", "total"]


@pytest.mark.parametrize("function", [step_by_step, for_each])
def test_steps_that_lease_for_themselves_or_are_drawn_late_go_on(bench: Bench, function: Any) -> None:
    run = bench.crash(function, [1, 2], at="total")
    assert bench.resume(run) == 3
    assert world.done == ["total"]


def test_child_runs_that_had_finished_are_answered_from_the_journal(bench: Bench) -> None:
    run = bench.crash(optimise, 3, at="before 2")
    assert bench.resume(run) == [0, 1, 2]
    assert world.done == ["move 2"]


def test_a_finished_step_that_is_done_again_is_done_with_all_its_child_runs(bench: Bench) -> None:
    run = bench.crash(optimise_then_move, at="before 50")
    assert bench.resume(run, answers=GO_ON | {"1": "redo"}) == Point(50)
    assert world.done == ["move 0", "move 1", "move 50"]


def test_a_child_run_that_is_asked_for_otherwise_ends_the_replay(bench: Bench) -> None:
    run = bench.crash(optimise, 2, at="found")
    with Lab(journal=bench.journal) as lab:
        lab.add("stage", Stage)
        resumed = lab.resume(run)
        assert resumed.result(BOUND) == [0, 1]
        assert world.done == []


# What has changed


def test_a_workflow_that_is_drawn_otherwise_says_what_changed(bench: Bench) -> None:
    run = bench.crash(changing, at="before 2")
    world.drawn = 4
    with Lab(journal=bench.journal) as lab:
        lab.add("stage", Stage)
        with pytest.raises(WorkflowError, match=r"it had 7 steps, and has 9; step 6 was total, and is move on stage"):
            lab.resume(run)
        assert lab.resume(run, changed=True, answers=GO_ON | {"4": "redo"}).result(BOUND) == 6
    assert world.done == ["move 2", "look 2", "move 3", "look 3", "total"]


def test_other_arguments_of_a_step_are_a_change(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    run = bench.crash(from_home, at="before 2")
    monkeypatch.setattr(from_home, "function", lambda stage: (home(stage), move(stage, 5), move(stage, 2))[2])
    with Lab(journal=bench.journal) as lab:
        lab.add("stage", Stage)
        with pytest.raises(WorkflowError, match="step 1, move, gets other arguments"):
            lab.resume(run)


def test_a_value_that_could_not_be_written_down_has_to_be_made_again(bench: Bench) -> None:
    run = bench.crash(with_lock, at="total")
    assert bench.resume(run, answers={"0": "redo"}) == 1
    assert sorted(world.done) == ["move 7", "total"]


# What the journal has lost


def lose_events(bench: Bench) -> None:
    """Have the journal say that it couldn't keep all that happened."""
    with Journal.open(bench.journal) as journal:
        journal.append("", "gap", {"lost": 3}, monotonic())


def test_a_run_of_which_events_were_lost_is_done_again_or_not_at_all(bench: Bench) -> None:
    run = bench.crash(scan, [1, 2], at="before 2")
    lose_events(bench)
    for how in ({}, {"again_from": "3"}):
        with pytest.raises(ConfigError, match=r"scan#1 can't go on where it was: the journal has lost 3 .*--from 0"):
            bench.resume(run, **how)
    assert world.done == []
    assert bench.resume(run, again_from=0) == 3
    assert world.done == ["move 1", "look 1", "move 2", "look 2", "total", "off"]


def test_what_was_lost_before_a_run_or_after_its_interruption_is_none_of_its_own(bench: Bench) -> None:
    with Lab(journal=bench.journal):
        pass
    lose_events(bench)
    run = bench.crash(scan, [1, 2], at="total")
    with Lab(journal=bench.journal):
        pass  # which takes note of the interruption
    lose_events(bench)
    assert bench.resume(run) == 3
    assert world.done == ["total", "off"]


# What was recorded


@task(on_resume="redo")
def recording(stage: Stage, numbers: int) -> None:
    del stage
    for number in range(numbers):
        record(number=number)
    world.crash("recorded")
    record(number=numbers)


def test_what_was_recorded_before_the_interruption_is_there(bench: Bench) -> None:
    run_id = bench.crash(recording, 3, at="recorded")
    with Lab(journal=bench.journal, keep_rows=2) as lab:
        lab.add("stage", Stage)
        run = lab.resume(run_id)
        run.result(BOUND)
        assert run.data.column("number") == [0, 1, 2, 0, 1, 2, 3]
        assert len(run.data) == 7


def test_with_a_journal_rows_are_not_let_go(bench: Bench) -> None:
    with Lab(journal=bench.journal, keep_rows=2) as lab:
        run = lab.start(recording, lab.add("stage", Stage), 9)
        run.result(BOUND)
        assert run.data.column("number") == list(range(10))
        assert run.data.dropped == 0


# What only waited


def test_runs_that_only_waited_are_asked_for_again(bench: Bench) -> None:
    left = bench.folder / "left.db"
    held, free = threading.Event(), threading.Event()

    def hold(_stage: Stage) -> None:
        held.set()
        free.wait(BOUND)

    with Lab(journal=bench.journal) as lab:
        stage = lab.add("stage", Stage)
        first = lab.start(hold, stage)
        assert held.wait(BOUND)
        waiting = lab.start(scan, stage, [1])
        while not waiting.reasons:
            pass
        bench.copy(lab, left)
        free.set()
        first.result(BOUND)
        waiting.result(BOUND)
    bench.go_back(left)
    with Lab(journal=bench.journal) as lab:
        lab.add("stage", Stage)
        (again,) = lab.requeue()
        assert again.id == waiting.id
        assert again.result(BOUND) == 1
    assert world.done == ["move 1", "look 1", "total", "off"]


def test_one_that_can_not_be_asked_for_again_is_named_and_keeps_none_back(bench: Bench) -> None:
    def lost(_stage: Stage) -> None:
        pass

    with Lab(journal=bench.journal) as lab:
        stage = lab.add("stage", Stage)
        with lab.lease(stage):
            outside = lab.device("stage")
            with ThreadPoolExecutor(1) as elsewhere:
                waiting = elsewhere.submit(lambda: (lab.start(lost, outside), lab.start(scan, outside, [1]))).result()
            lab.close()
        assert [run.state for run in waiting] == [RunState.INTERRUPTED] * 2
    with Lab(journal=bench.journal) as lab:
        lab.add("stage", Stage)
        with pytest.raises(ConfigError, match=r"1 of the runs that waited can't be asked for again: .*lost"):
            lab.requeue()
        assert lab.get(waiting[1].id).result(BOUND) == 1


# The devices after a crash


def test_after_a_crash_each_device_is_made_safe_before_it_serves(bench: Bench) -> None:
    bench.crash(scan, [1], at="total")
    with Lab(journal=bench.journal) as lab:
        stage = lab.add("stage", Stage)
        assert world.safe == 1
        stage.move(5)


def test_after_an_orderly_end_it_serves_as_it_was_left(bench: Bench) -> None:
    for _ in range(2):
        with Lab(journal=bench.journal) as lab:
            lab.add("stage", Stage).move(5)
    assert world.done == ["move 5", "move 5"]
    assert world.safe == 0


# How runs have ended


def test_an_orderly_end_a_person_and_a_crash_are_told_apart(bench: Bench) -> None:
    held = threading.Event()

    def hold(_stage: Stage) -> None:
        held.set()
        sleep(BOUND)

    with Lab(journal=bench.journal) as lab:
        stage = lab.add("stage", Stage)
        first = lab.start(hold, stage)
        assert held.wait(BOUND)
        first.cancel("enough")
        first.exception(BOUND)
        held.clear()
        lab.start(hold, stage)
        assert held.wait(BOUND)
        lab.close()
    with JournalReader.open(bench.journal) as reader:
        ends = [(kept.state, kept.error) for kept in reader.runs()]
    assert ends == [
        ("interrupted", "RunCancelled: hold#2 was interrupted: the lab was closed"),
        ("cancelled", "RunCancelled: hold#1 was cancelled: enough"),
    ]
    run = bench.crash(scan, [1], at="before 1")
    with Lab(journal=bench.journal) as lab:
        (crashed, closed) = lab.interrupted
        assert (crashed.id, crashed.error) == (run, "the lab ended in the middle of it")
        assert closed.id == "hold#2"


# What can't be resumed


def test_a_run_that_has_succeeded_is_not_resumed(bench: Bench) -> None:
    with Lab(journal=bench.journal) as lab:
        stage = lab.add("stage", Stage)
        run = lab.start(scan, stage, [1])
        run.result(BOUND)
        with pytest.raises(ConfigError, match="has succeeded already"):
            lab.resume(run.id)
        with pytest.raises(JournalError, match=r"no run 'scan#77'"):
            lab.resume("scan#77")


def test_a_lab_without_a_journal_resumes_nothing() -> None:
    with Lab() as lab:
        with pytest.raises(ConfigError, match=r"this lab keeps no journal, as Lab\(journal=…\) does"):
            lab.resume("scan#1")
        assert lab.interrupted == ()
        assert lab.requeue() == ()


def test_what_is_defined_inside_a_function_can_not_be_found_again(bench: Bench) -> None:
    def inner(_stage: Stage) -> int:
        world.crash("inner")
        return 1

    run = bench.crash(inner, at="inner")
    with Lab(journal=bench.journal) as lab:
        lab.add("stage", Stage)
        with pytest.raises(ConfigError, match="it is defined inside a function"):
            lab.resume(run)


def test_a_device_that_is_missing_is_named(bench: Bench) -> None:
    run = bench.crash(scan, [1], at="before 1")
    with Lab(journal=bench.journal) as lab, pytest.raises(ConfigError, match="stage"):
        lab.resume(run)


def test_the_journal_of_a_lab_rebuilds_what_its_cores_knew(bench: Bench) -> None:
    run = bench.crash(night, [1, 2], at="before 99")
    with JournalReader.open(bench.journal) as reader:
        kept = {each_run.id: each_run for each_run in reader.runs()}
    assert kept[run].state == "running"
    assert {each_run.parent for each_run in kept.values()} == {None, run}
