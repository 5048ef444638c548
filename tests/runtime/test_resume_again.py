"""Runs that are interrupted again and again, and their parts, keep all that they had."""

from __future__ import annotations

import functools
import threading
from typing import TYPE_CHECKING, Any

import pytest

from actorlab import Lab, spawn, task, workflow
from actorlab.errors import ActorLabError, ConfigError, RunCancelled, WorkflowError
from tests.runtime import test_resume as common
from tests.runtime.test_resume import (
    BOUND,
    GO_ON,
    Bench,
    Point,
    Stage,
    changing,
    for_each,
    move,
    night,
    optimise,
    scan,
    step_by_step,
    total,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class Nights:
    """How the workflows of this file are drawn now."""

    longer = False


nights = Nights()


@pytest.fixture(autouse=True)
def new_world() -> Iterator[None]:
    common.world = common.World()
    nights.longer = False
    yield
    common.world = common.World()


@pytest.fixture
def bench(tmp_path: Path) -> AgainAndAgain:
    return AgainAndAgain(tmp_path)


def done() -> list[str]:
    return common.world.done


class AgainAndAgain(Bench):
    """A lab that crashes while a run goes on after a crash."""

    def crash_again(self, run: str, *, at: str, **how: Any) -> None:
        left = self.folder / f"again{self.number}.db"
        self.number += 1
        with Lab(journal=self.journal) as lab:
            common.world.crash = lambda moment: self.copy(lab, left) if moment == at else None
            lab.add("stage", Stage)
            lab.resume(run, **how).result(BOUND)
        assert left.exists(), f"the moment {at!r} never came"
        self.go_back(left)


@task(retries=1)
def tell(points: list[Point]) -> int:
    common.world.crash("tell")
    return sum(point.place for point in points)


@workflow
def moves(stage: Stage) -> int:
    points = [move(stage, place) for place in ((1, 2, 3) if nights.longer else (1, 2))]
    return tell(points)


@workflow
def outer(stage: Stage) -> int:
    return total([moves(stage), 1])


@workflow(retries=1)
def retried(stage: Stage) -> int:
    return tell([move(stage, 1), move(stage, 2)])


@workflow(lease="step")
def one_by_one(stage: Stage) -> int:
    return tell([move(stage, 1)])


@task(on_resume="redo")
def search(stage: Stage) -> int:
    value = spawn(moves, stage).result()
    common.world.crash("search")
    return value


# Crashes in runs that go on after a crash


def test_what_a_nested_workflow_had_finished_is_kept_over_several_crashes(bench: AgainAndAgain) -> None:
    run = bench.crash(night, [1, 2], at="before 99")
    for _ in range(2):
        bench.crash_again(run, at="before 99", answers=GO_ON | {"1": "redo"})
    assert bench.resume(run, answers=GO_ON | {"1": "redo"}) == 4
    assert done() == ["move 99", "total"]


def test_what_a_nested_workflow_had_done_before_each_crash_is_kept(bench: AgainAndAgain) -> None:
    run = bench.crash(outer, at="before 1")
    bench.crash_again(run, at="before 2", answers={"moves/0": "redo"})
    bench.crash_again(run, at="tell", answers=GO_ON | {"moves/1": "redo"})
    assert bench.resume(run) == 4
    assert done() == ["total"]


@pytest.mark.parametrize("function", [step_by_step, for_each])
def test_steps_that_lease_for_themselves_or_are_drawn_late_are_kept(bench: AgainAndAgain, function: Any) -> None:
    run = bench.crash(function, [1, 2], at="total")
    for _ in range(2):
        bench.crash_again(run, at="total")
    assert bench.resume(run) == 3
    assert done() == ["total"]


def test_child_runs_of_all_that_went_before_are_answered(bench: AgainAndAgain) -> None:
    run = bench.crash(optimise, 4, at="before 2")
    bench.crash_again(run, at="before 3")
    bench.crash_again(run, at="found")
    assert bench.resume(run) == [0, 1, 2, 3]
    assert done() == []


def test_a_crash_before_all_child_runs_were_asked_for_again_loses_none(bench: AgainAndAgain) -> None:
    run = bench.crash(optimise, 4, at="before 3")
    left = bench.folder / "left.db"
    with Lab(journal=bench.journal) as lab:
        stage = lab.add("stage", Stage)
        with lab.lease(stage):
            resumed = lab.resume(run)
            while not resumed.reasons:
                pass
            bench.copy(lab, left)
            resumed.cancel()
            resumed.exception(BOUND)
    bench.go_back(left)
    assert bench.resume(run) == [0, 1, 2, 3]
    assert done() == ["move 3"]


def test_values_of_a_workflow_that_changed_are_kept_under_their_new_numbers(bench: AgainAndAgain) -> None:
    run = bench.crash(changing, at="total")
    common.world.drawn = 4
    again = {"6": "redo"} | GO_ON
    bench.crash_again(run, at="before 3", changed=True, answers=GO_ON)
    common.world.drawn = 4
    assert bench.resume(run, answers=again) == 6
    assert done() == ["move 3", "look 3", "total"]


def test_a_step_that_was_under_way_is_not_taken_for_one_that_never_began(bench: AgainAndAgain) -> None:
    run = bench.crash(scan, [1, 2], at="after 2")
    left = bench.folder / "left.db"
    with Lab(journal=bench.journal) as lab:
        stage = lab.add("stage", Stage)
        with lab.lease(stage):
            resumed = lab.resume(run, answers=GO_ON | {"2": "redo"})
            while not resumed.reasons:
                pass
            bench.copy(lab, left)
            resumed.cancel()
            resumed.exception(BOUND)
    bench.go_back(left)
    with Lab(journal=bench.journal) as lab:
        lab.add("stage", Stage)
        resumed = lab.resume(run, answers=GO_ON)
        while not lab.questions:
            pass
        (asked,) = lab.questions
        assert "move was under way" in asked.text
        asked.answer("redo")
        assert resumed.result(BOUND) == 3
    assert done() == ["move 2", "look 2", "total", "off"]


# Answers


def test_steps_within_others_are_answered_for_by_their_path(bench: AgainAndAgain) -> None:
    run = bench.crash(outer, at="after 2")
    assert bench.resume(run, answers=GO_ON | {"moves/1": "redo"}) == 4
    assert done() == ["move 2", "total"]


def test_steps_of_a_workflow_that_may_be_tried_again_are_its_own(bench: AgainAndAgain) -> None:
    run = bench.crash(retried, at="after 2")
    assert bench.resume(run, answers=GO_ON | {"1": "redo"}) == 3
    assert done() == ["move 2"]


def test_a_step_that_leases_for_itself_is_decided_about_beforehand(bench: AgainAndAgain) -> None:
    run = bench.crash(one_by_one, at="after 1")
    assert bench.resume(run, answers={"move": "redo"}) == 1
    assert done() == ["move 1"]


def test_a_step_that_leases_for_itself_is_left_out_with_what_needs_it(bench: AgainAndAgain) -> None:
    run = bench.crash(one_by_one, at="after 1")
    assert bench.resume(run, answers={"move": "skip"}) is None
    assert done() == []


@pytest.mark.parametrize(
    ("answers", "says"),
    [
        ({"moves": "redo"}, "moves is a workflow: answer for its steps"),
        ({"total": "rdo"}, "'rdo' is no answer about total: give one of redo, skip, abort"),
        ({"devices": "redo"}, "'redo' is no answer about devices"),
        ({"mvoes/1": "redo"}, "no step 'mvoes'"),
        ({"moves/mount": "redo"}, "no step 'mount'"),
    ],
)
def test_an_answer_that_fits_nothing_is_refused(bench: AgainAndAgain, answers: dict[str, str], says: str) -> None:
    run = bench.crash(outer, at="after 2")
    with pytest.raises(ActorLabError, match=says):
        bench.resume(run, answers=answers)
    assert done() == []
    assert bench.resume(run, answers=GO_ON | {"moves/1": "redo"}) == 4


def test_the_question_of_a_part_is_withdrawn_when_the_run_is_cancelled(bench: AgainAndAgain) -> None:
    run = bench.crash(outer, at="after 2")
    with Lab(journal=bench.journal) as lab:
        lab.add("stage", Stage)
        resumed = lab.resume(run)
        while not lab.questions:
            pass
        resumed.cancel("nobody is here")
        with pytest.raises(RunCancelled, match="nobody is here"):
            resumed.result(BOUND)
        assert lab.questions == ()
    assert bench.resume(run, answers=GO_ON | {"moves/1": "redo"}) == 4


def test_again_means_also_what_was_under_way_within_itself(bench: AgainAndAgain) -> None:
    run = bench.crash(outer, at="after 2")
    assert bench.resume(run, again_from=0) == 4
    assert done() == ["move 1", "move 2", "total"]


# Changes within


@pytest.mark.parametrize("moment", ["after 2", "total"])
def test_a_nested_workflow_that_is_drawn_otherwise_is_a_change(bench: AgainAndAgain, moment: str) -> None:
    run = bench.crash(outer, at=moment)
    nights.longer = True
    with pytest.raises(WorkflowError, match="in moves: it had 3 steps, and has 4"):
        bench.resume(run)
    assert bench.resume(run, changed=True, answers=GO_ON | {"moves/1": "redo"}) == 7


def test_a_child_run_that_would_be_drawn_otherwise_is_done_again(bench: AgainAndAgain) -> None:
    run = bench.crash(search, at="search")
    nights.longer = True
    assert bench.resume(run) == 6
    assert done() == ["move 1", "move 2", "move 3"]


# Two at once


def test_only_one_goes_on_with_a_run(bench: AgainAndAgain) -> None:
    run = bench.crash(scan, [1, 2], at="before 2")
    with Lab(journal=bench.journal) as lab:
        lab.add("stage", Stage)
        ready = threading.Barrier(4)
        told: list[object] = []

        def go_on() -> None:
            ready.wait(BOUND)
            try:
                told.append(lab.resume(run, answers=GO_ON | {"2": "redo"}))
            except ConfigError as error:
                told.append(str(error))

        callers = [threading.Thread(target=go_on) for _ in range(4)]
        for caller in callers:
            caller.start()
        for caller in callers:
            caller.join(BOUND)
        refused = [text for text in told if isinstance(text, str)]
        (resumed,) = [found for found in told if not isinstance(found, str)]
        assert all("is under way in this lab" in text or "has succeeded" in text for text in refused)
        assert resumed.result(BOUND) == 3  # type: ignore[attr-defined]  # it is a run
    assert done() == ["move 2", "look 2", "total", "off"]


# What can't be told


class Searcher:
    """A method of one of these is no function that anybody finds again."""

    def search(self, stage: Stage, place: int = 9) -> int:
        common.world.crash("method")
        return stage.move(place)


@pytest.mark.parametrize("function", [Searcher().search, functools.partial(Searcher.search, Searcher(), place=3)])
def test_a_method_of_an_object_is_not_taken_for_another_function(bench: AgainAndAgain, function: Any) -> None:
    run = bench.crash(function, at="method")
    with pytest.raises(ActorLabError, match=r"can't be found again, as nothing leads to this object"):
        bench.resume(run, answers={"0": "redo"})


def test_a_part_of_a_run_is_not_resumed_by_itself(bench: AgainAndAgain) -> None:
    run = bench.crash(outer, at="after 2")
    with pytest.raises(ConfigError, match=rf"is a part of {run}: resume that one"):
        bench.resume(f"{run}/moves#2")


@workflow
def reordered(stage: Stage) -> int:
    places = (3, 1, 2) if nights.longer else (1, 2, 3)
    return tell([move(stage, place) for place in places])


def test_what_was_under_way_is_asked_about_also_if_it_comes_after_others_now(bench: AgainAndAgain) -> None:
    run = bench.crash(reordered, at="after 3")
    nights.longer = True
    with Lab(journal=bench.journal) as lab:
        lab.add("stage", Stage)
        resumed = lab.resume(run, changed=True)
        while not lab.questions:
            pass
        assert "move was under way" in lab.questions[0].text
        lab.questions[0].answer("redo")
        assert resumed.result(BOUND) == 6
    assert done() == ["move 3", "move 1", "move 2"]


# Parts within parts


@workflow(lease="step")
def deep(stage: Stage) -> int:
    return total([outer(stage), 1])


@task
def by_children(stage: Stage) -> int:
    return sum(spawn(move, stage, place).result().place for place in range(3))


@workflow(lease="step")
def parts_with_children(stage: Stage) -> int:
    return tell([Point(by_children(stage))])


def test_workflows_within_workflows_are_kept_over_several_crashes(bench: AgainAndAgain) -> None:
    run = bench.crash(deep, at="after 2")
    bench.crash_again(run, at="tell", answers=GO_ON | {"outer/moves/1": "redo"})
    bench.crash_again(run, at="total")
    assert bench.resume(run) == 5
    assert done() == ["total"]


def test_child_runs_of_a_step_that_leases_for_itself_are_answered(bench: AgainAndAgain) -> None:
    run = bench.crash(parts_with_children, at="before 1")
    bench.crash_again(run, at="before 2", answers={"by_children": "redo"})
    assert bench.resume(run, answers={"by_children": "redo"}) == 3
    assert done() == ["move 2"]
