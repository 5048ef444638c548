"""A rehearsal tells what a run would do, and when, by the decisions that the lab itself would take."""

from __future__ import annotations

import json
import re
import threading
from typing import TYPE_CHECKING, Annotated

import pytest

from actorlab import (
    ConfigError,
    Lab,
    Range,
    Run,
    RunState,
    Shared,
    Unit,
    WorkflowError,
    choose,
    cleanup,
    each,
    sleep,
    task,
    workflow,
)
from actorlab.drawing import draw
from actorlab.drawing_svg import graph_svg
from actorlab.rehearsal import DEFAULT_SECONDS, Conflict, History
from actorlab.runtime.rehearse import eta

if TYPE_CHECKING:
    from pathlib import Path

    from tests.rehearsal.conftest import Untouched


@task(takes=2)
def tune(laser: Untouched, nm: float = 1550.0) -> float:
    laser.use()
    return nm


@task(takes=(1, 3, 8))
def read(meter: Untouched) -> float:
    meter.use()
    return 0.0


@task
def fit(*values: object) -> bool:
    del values
    return True


@task
def nap() -> None:
    sleep(0.05)


@task(takes=0.5)
def off(laser: Untouched) -> None:
    laser.use()


@workflow
def scan(laser: Untouched, meter: Untouched, count: int = 2) -> bool:
    cleanup(off, laser)
    tuned = [tune(laser, 1500.0 + place) for place in range(count)]
    values = [read(meter) for _ in range(count)]
    return fit(tuned, values)


def test_steps_that_share_a_device_follow_one_another_and_others_overlap(
    lab: Lab, laser: Untouched, meter: Untouched
) -> None:
    rehearsed = lab.rehearse(scan, laser, meter)
    assert [(entry.begin, entry.end) for entry in rehearsed.find("tune")] == [(0, 2), (2, 4)]
    assert [(entry.begin, entry.end) for entry in rehearsed.find("read")] == [(0, 3), (3, 6)]
    assert [(entry.begin, entry.end) for entry in rehearsed.find("fit")] == [(6, 7)]
    assert [(entry.begin, entry.end) for entry in rehearsed.find("off")] == [(7, 7.5)]
    assert rehearsed.makespan == 7.5
    assert rehearsed.state is RunState.SUCCEEDED


def test_a_rehearsal_leaves_no_run_behind(lab: Lab, laser: Untouched, meter: Untouched) -> None:
    lab.rehearse(scan, laser, meter)
    assert not lab.runs
    assert lab.start(fit).id == "fit#1"


def test_the_critical_path_is_the_chain_that_makes_it_so_long(lab: Lab, laser: Untouched, meter: Untouched) -> None:
    rehearsed = lab.rehearse(scan, laser, meter)
    assert [link.what for link in rehearsed.critical_path] == ["read", "read", "fit", "off"]
    assert [entry.name for entry in rehearsed.entries if entry.critical] == ["read", "read", "fit", "off"]


def test_the_interval_follows_from_the_spread_of_the_steps(lab: Lab, laser: Untouched, meter: Untouched) -> None:
    low, high = lab.rehearse(scan, laser, meter).interval
    assert 5 < low < 7.5 < high < 16  # least 1 + 1, most 8 + 8, and 1.5 s behind
    assert lab.rehearse(scan, laser, meter).interval == (low, high)
    certain = lab.rehearse(tune, laser)
    assert certain.interval == (2, 2)


def test_a_step_says_for_which_device_it_waits_and_who_has_it(lab: Lab, laser: Untouched, meter: Untouched) -> None:
    first, second = lab.rehearse(scan, laser, meter).find("tune")
    assert not first.waits
    assert [tuple(wait) for wait in second.waits] == [("laser", "tune", 2.0)]


def test_the_use_of_each_device_is_told(lab: Lab, laser: Untouched, meter: Untouched) -> None:
    uses = {use.device: use for use in lab.rehearse(scan, laser, meter).devices}
    assert uses["laser"].busy == 4.5
    assert uses["laser"].utilisation == pytest.approx(4.5 / 7.5)
    assert uses["meter"].waited == 3.0


def test_durations_are_those_of_earlier_runs_else_declared_else_a_guess(
    lab: Lab, laser: Untouched, meter: Untouched
) -> None:
    history = History([("read", ("meter",), 10.0), ("read", ("meter",), 12.0), ("tune", ("other",), 99.0)])
    rehearsed = lab.rehearse.using(durations=history)(scan, laser, meter)
    assert {entry.name: entry.estimate.source for entry in rehearsed.entries} == {
        "read": "history", "tune": "declared", "fit": "default", "off": "declared",
    }  # fmt: skip
    assert rehearsed.find("read")[0].seconds == 11.0
    assert rehearsed.find("fit")[0].seconds == DEFAULT_SECONDS
    assert any("how long it takes: fit" in line for line in rehearsed.unknown)


def test_a_lab_remembers_how_long_its_steps_took(lab: Lab) -> None:
    done = threading.Event()

    @task
    def wait() -> None:
        done.wait(0.2)

    assert lab.rehearse(wait).find("wait")[0].estimate.source == "default"
    lab.run(wait)
    entry = lab.rehearse(wait).find("wait")[0]
    assert entry.estimate.source == "history"
    assert 0.15 < entry.seconds < 5


def test_a_journal_remembers_how_long_steps_took_in_earlier_labs(tmp_path: Path) -> None:
    for expected in ("default", "history"):
        with Lab("kept", journal=tmp_path / "lab.db") as lab:
            assert lab.rehearse(nap).find("nap")[0].estimate.source == expected
            lab.run(nap)
            assert lab.rehearse(nap.options(name="other")).find("other")[0].estimate.source == "history"


@task(takes=(2, 5, 8))
def occupy(laser: Untouched, gate: tuple[threading.Event, threading.Event]) -> None:
    del laser
    gate[0].set()
    gate[1].wait(5)


def test_who_has_a_device_now_is_told_and_for_how_long(lab: Lab, laser: Untouched, meter: Untouched) -> None:
    gate = (threading.Event(), threading.Event())
    run = lab.start(occupy, laser, gate)
    gate[0].wait(5)
    rehearsed = lab.rehearse(scan, laser, meter)
    (conflict,) = rehearsed.conflicts
    assert conflict[:2] == ("laser", run.id)
    assert conflict.seconds is not None
    assert 0 < conflict.seconds <= 5
    assert rehearsed.begins == conflict.seconds
    assert rehearsed.find("read")[0].begin == conflict.seconds  # it takes all devices at once
    assert any(wait.by == run.id for entry in rehearsed.entries for wait in entry.waits)
    gate[1].set()


def test_when_an_unknown_holder_ends_can_not_be_known(lab: Lab, laser: Untouched, meter: Untouched) -> None:
    gate = (threading.Event(), threading.Event())
    run = lab.start(occupy.options(takes=None), laser, gate)
    gate[0].wait(5)
    rehearsed = lab.rehearse(scan, laser, meter)
    assert rehearsed.conflicts == (Conflict("laser", run.id, None),)
    assert run.eta() is None
    gate[1].set()


def test_what_is_left_of_a_run_is_known_by_earlier_ones(lab: Lab, laser: Untouched) -> None:
    gate = (threading.Event(), threading.Event())
    run = lab.start(occupy, laser, gate)
    gate[0].wait(5)
    left = run.eta()
    assert left is not None
    assert 0 < left < 5
    queued = lab.start(tune, laser)
    behind = queued.eta()
    assert behind is not None
    assert left < behind + 1 < 8
    longer = eta(run, History([("occupy", ("laser",), 100.0)]))
    assert longer is not None
    assert longer > 90
    gate[1].set()
    run.result()
    assert run.eta() == 0.0
    queued.exception()


def test_steps_that_lease_for_themselves_leave_devices_to_others(lab: Lab, laser: Untouched, meter: Untouched) -> None:
    @workflow
    def both(laser: Untouched, meter: Untouched) -> None:
        tune(laser, 1500.0)
        read(meter)

    gate = (threading.Event(), threading.Event())
    lab.start(occupy, laser, gate)
    gate[0].wait(5)
    rehearsed = lab.rehearse(both.options(lease="step"), laser, meter)
    assert rehearsed.find("read")[0].begin == 0
    assert rehearsed.find("tune")[0].begin > 1
    gate[1].set()


def test_steps_borrow_what_is_held_throughout_and_lease_the_rest(lab: Lab, laser: Untouched, meter: Untouched) -> None:
    @task(takes=2)
    def both(laser: Untouched, meter: Untouched) -> None: ...

    @workflow(lease=("laser",))
    def steps(laser: Untouched, meter: Untouched) -> None:
        both(laser, meter)
        both(laser, meter)

    gate = (threading.Event(), threading.Event())
    alone = lab.rehearse(steps, laser, meter)
    assert [(entry.begin, entry.end) for entry in alone.find("both")] == [(0, 2), (2, 4)]
    lab.start(occupy, meter, gate)
    gate[0].wait(5)
    assert lab.rehearse(steps, laser, meter).find("both")[0].begin > 1
    gate[1].set()


def test_a_timeout_ends_the_rehearsed_run_as_it_would_the_real_one(
    lab: Lab, laser: Untouched, meter: Untouched
) -> None:
    rehearsed = lab.rehearse(scan.options(timeout=5), laser, meter)
    assert rehearsed.state is RunState.TIMED_OUT
    assert "timeout of 5" in rehearsed.reason
    assert rehearsed.find("off")[0].begin == 5
    assert not rehearsed.find("fit")


def test_a_step_beyond_its_own_timeout_is_named(lab: Lab, laser: Untouched) -> None:
    @workflow
    def hasty(laser: Untouched) -> float:
        return tune.options(timeout=1)(laser)

    rehearsed = lab.rehearse(hasty, laser)
    assert rehearsed.state is RunState.FAILED
    assert "timeout of 1" in rehearsed.reason
    assert rehearsed.makespan == 1


def test_a_window_that_is_missed_is_told(lab: Lab, laser: Untouched, meter: Untouched) -> None:
    @workflow
    def late(laser: Untouched, meter: Untouched) -> None:
        soaked = tune(laser)
        read(meter)
        read(meter)
        read.options(after=soaked, within=3)(meter)

    rehearsed = lab.rehearse(late, laser, meter)
    assert rehearsed.state is RunState.FAILED
    assert "didn't start within 3 s" in rehearsed.reason


def test_a_run_that_waits_for_its_time_begins_then(lab: Lab, laser: Untouched) -> None:
    rehearsed = lab.rehearse(tune.options(not_before=60), laser)
    assert (rehearsed.begins, rehearsed.makespan) == (60, 62)
    assert rehearsed.critical_path[0].seconds == 60


def test_each_keeps_its_width(lab: Lab) -> None:
    @task(takes=1)
    def one(number: int) -> int:
        return number

    @workflow
    def many() -> list[int]:
        return each(one, range(6), width=2)

    rehearsed = lab.rehearse(many)
    assert rehearsed.makespan == 3
    assert [entry.begin for entry in rehearsed.find("one")] == [0, 0, 1, 1, 2, 2]
    assert rehearsed.find("one")[2].waits[0].what == "its turn"


def test_of_a_choice_the_longer_way_is_rehearsed_and_told(lab: Lab, laser: Untouched, meter: Untouched) -> None:
    @workflow
    def chooses(laser: Untouched, meter: Untouched) -> float:
        return choose(fit(), lambda: tune(laser), lambda: read(meter))

    rehearsed = lab.rehearse(chooses, laser, meter)
    assert [entry.name for entry in rehearsed.entries] == ["fit", "read"]
    assert rehearsed.makespan == 4
    assert any("'otherwise' is rehearsed" in line for line in rehearsed.unknown)


def test_how_many_items_there_are_can_not_be_known(lab: Lab, meter: Untouched) -> None:
    @task(takes=1)
    def find() -> list[int]:
        return [1, 2]

    @workflow
    def unknown_number(meter: Untouched) -> list[float]:
        return each(lambda _: read(meter), find())

    rehearsed = lab.rehearse(unknown_number, meter)
    assert rehearsed.entries[-1].name == "each of find"
    assert any("each of find" in line for line in rehearsed.unknown)


def test_nested_workflows_are_units_of_their_own(lab: Lab, laser: Untouched, meter: Untouched) -> None:
    @workflow
    def outer(laser: Untouched, meter: Untouched) -> None:
        scan(laser, meter)
        read(meter)

    rehearsed = lab.rehearse(outer, laser, meter)
    assert rehearsed.find("read")[-1].begin == 7.5  # after the inner one's clean-up
    assert {entry.depth for entry in rehearsed.entries} == {0, 1}


def test_arguments_out_of_range_are_told_with_their_step(lab: Lab, laser: Untouched) -> None:
    @task(takes=1)
    def set_power(laser: Untouched, power: Annotated[float, Unit("mW"), Range(0, 5)]) -> None:
        del laser, power

    @workflow
    def sweep(laser: Untouched) -> None:
        for power in (1.0, 7.5):
            set_power(laser, power)

    (violation,) = lab.rehearse(sweep, laser).violations
    assert violation.step == "set_power"
    assert "7.5" in violation.why
    assert "nothing was sent" not in violation.why


def test_pairs_that_may_overlap_are_listed(lab: Lab, laser: Untouched, meter: Untouched) -> None:
    pairs = list(lab.rehearse(scan, laser, meter, 1).may_overlap())
    assert pairs == [("tune (step 0)", "read (step 1)")]


def test_a_rehearsal_is_told_in_many_ways(lab: Lab, laser: Untouched, meter: Untouched) -> None:
    rehearsed = lab.rehearse(scan, laser, meter)
    text = str(rehearsed)
    assert "scan rehearsed: 7.5 s" in text
    assert "determined by read 3 s → read 3 s → fit 1 s → off 0.5 s" in text
    assert "laser" in text
    assert "may overlap" in text
    told = json.loads(rehearsed.to_json())
    assert told["makespan"] == 7.5
    assert [step["name"] for step in told["steps"]].count("tune") == 2
    svg = rehearsed.to_svg()
    assert svg.startswith("<svg")
    assert "tune(1501.0)" in svg
    mermaid = rehearsed.to_mermaid()
    assert "read :crit, s1, 0, 3000" in mermaid


def test_a_workflow_that_can_not_be_drawn_is_refused(lab: Lab, laser: Untouched) -> None:
    @workflow
    def wrong(laser: Untouched) -> None:
        laser.use()

    with pytest.raises(WorkflowError, match="put it in a task"):
        lab.rehearse(wrong, laser)


def test_a_workflow_that_is_drawn_rehearses_nothing(lab: Lab, laser: Untouched) -> None:
    @workflow
    def wrong(laser: Untouched) -> None:
        lab.rehearse(tune, laser)

    with pytest.raises(WorkflowError, match="while a workflow is drawn"):
        lab.rehearse(wrong, laser)


@pytest.mark.parametrize("takes", [-1, "long", (1, 2), (3, 2, 1), float("nan"), True])
def test_takes_is_a_duration(takes: object) -> None:
    with pytest.raises(ConfigError, match="takes"):
        tune.options(takes=takes)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]  it is wrong


def test_a_shared_device_is_used_by_two_at_once(lab: Lab, laser: Untouched) -> None:
    @task(takes=2)
    def look(laser: Shared[Untouched], place: int) -> int:
        del laser
        return place

    @workflow
    def looks(laser: Untouched) -> None:
        look(laser, 1)
        look(laser, 2)
        tune(laser)

    rehearsed = lab.rehearse(looks, laser)
    assert [entry.begin for entry in rehearsed.entries] == [0, 0, 2]
    assert rehearsed.devices[0].busy == 4


def test_a_lease_that_comes_too_late_is_refused_in_the_rehearsal_as_well(lab: Lab, laser: Untouched) -> None:
    gate = (threading.Event(), threading.Event())
    run: Run[None] = lab.start(occupy, laser, gate)
    gate[0].wait(5)
    rehearsed = lab.rehearse(tune.options(lease_timeout=0.5), laser)
    assert rehearsed.state is RunState.FAILED
    assert f"laser is taken by {run.id}" in rehearsed.reason
    rejected = lab.rehearse(tune.options(on_conflict="reject"), laser)
    assert "rejected" in rejected.reason
    gate[1].set()


def test_a_run_that_took_place_is_told_in_the_same_way(lab: Lab) -> None:
    @task
    def wait(seconds: float) -> None:
        sleep(seconds)

    @workflow
    def inner() -> None:
        wait(0.02)

    @workflow
    def three() -> None:
        after = wait(0.03)
        wait.options(after=after)(0.04)
        wait(0.01)
        inner()

    run = lab.start(three)
    run.result(5)
    ran = lab.rehearse.timeline(run)
    assert ran.how == "ran"
    assert "three ran" in str(ran)
    assert [link.what for link in ran.critical_path] == ["wait(0.03)", "wait(0.04)"]
    assert ran.makespan >= 0.07
    assert sorted(entry.depth for entry in ran.entries) == [0, 0, 0, 1]
    assert ran.to_svg().startswith("<svg")


@workflow
def first_the_meter(laser: Untouched, meter: Untouched) -> None:
    read(meter)
    tune(laser)


def test_a_device_has_the_same_colour_in_the_plan_as_in_the_graph(lab: Lab, laser: Untouched, meter: Untouched) -> None:
    graph = graph_svg(draw(first_the_meter, (laser, meter)).graph)
    drawn = dict(re.findall(r'fill="(#\w+)"/>\s*<text [^>]*>(laser|meter)<', graph))
    planned = lab.rehearse(first_the_meter, laser, meter).to_svg()
    assert drawn == dict(re.findall(r'fill="(#\w+)" [^>]*font-weight="600">\s*(laser|meter)<', planned))
    assert len(drawn) == 2
