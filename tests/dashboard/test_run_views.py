"""What a page shows of runs: lines of a tree, graphs in the colours of states, a timeline with what is to come."""

from __future__ import annotations

import itertools
import threading
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actorlab import Lab, Run, RunState, checkpoint, sleep, spawn, task, workflow
from actorlab.core.graph import Graph, Node
from actorlab.dashboard.history import wish_of
from actorlab.dashboard.run_facts import LiveRun, PastRun, find_run
from actorlab.dashboard.run_graph import coloured_gantt, coloured_graph, counted, graph_after, mosaic
from actorlab.dashboard.run_look import SIGNS, TONES, RunLook, StepLook, acts_for, time_words
from actorlab.dashboard.run_looking import look_at_run, look_at_runs
from actorlab.dashboard.run_parameters import form_for
from actorlab.dashboard.run_rows import rows_of
from actorlab.drawing import draw
from actorlab.errors import ConfigError
from actorlab.rehearsal import DeviceUse, Entry, Estimate, Rehearsal

S = RunState


class Laser:
    """A laser."""

    def tune(self, nanometres: float) -> float:
        return nanometres


class Gate:
    """What lets a body go on."""

    def __init__(self) -> None:
        self.began = threading.Event()
        self.go_on = threading.Event()

    def wait(self) -> None:
        self.began.set()
        while not self.go_on.is_set():
            checkpoint()
            sleep(0.005)


@task(takes=2)
def tune(laser: Laser, nanometres: float) -> float:
    return laser.tune(nanometres)


@task(takes=3)
def held(laser: Laser, gate: Gate) -> None:
    del laser
    gate.wait()


@task
def breaks(laser: Laser) -> None:
    del laser
    message = "smoke"
    raise LookupError(message)


@workflow
def scan(laser: Laser, gate: Gate) -> list[float]:
    first = tune(laser, 1500.0)
    held(laser, gate)
    return [first, tune(laser, 1550.0)]


@workflow
def fails(laser: Laser) -> None:
    tune(laser, 1500.0)
    breaks(laser)
    tune(laser, 1550.0)


@task
def parent(laser: Laser) -> float:
    return float(spawn(tune, laser, 1510.0).result())


@pytest.fixture
def gate() -> Iterator[Gate]:
    made = Gate()
    yield made
    made.go_on.set()


def test_a_run_under_way_stands_open_and_tells_its_steps(gate: Gate) -> None:
    with Lab() as lab:
        laser = lab.add("laser", Laser)
        run = lab.start(scan, laser, gate)
        assert gate.began.wait(5)
        rows = rows_of([look_at_run(run)], {})
        assert [(row.depth, row.title, row.state) for row in rows] == [
            (0, run.id, S.RUNNING), (1, "tune(1500.0)", S.SUCCEEDED), (1, "held", S.RUNNING),
            (1, "tune(1550.0)", S.WAITING),
        ]  # fmt: skip
        assert rows[0].acts == ("pause", "cancel")
        assert rows[0].opened
        assert [row.title for row in rows_of([look_at_run(run)], {rows[0].key: False})] == [run.id]
        gate.go_on.set()
        run.result(5)
        assert not rows_of([look_at_run(run)], {})[0].opened


def test_children_stand_below_their_parents_and_not_beside_them() -> None:
    with Lab() as lab:
        laser = lab.add("laser", Laser)
        run = lab.start(parent, laser)
        run.result(5)
        listing = look_at_runs(lab)
        assert [found.id for found in listing.chosen("all")] == [run.id]
        rows = rows_of([look_at_run(run)], {f"/{run.id}": True})
        assert [(row.depth, row.title, row.run) for row in rows] == [
            (0, run.id, run.id), (1, run.children[0].id, run.children[0].id),
        ]  # fmt: skip


def test_those_under_way_come_first_then_the_newest(gate: Gate) -> None:
    with Lab() as lab:
        laser = lab.add("laser", Laser)
        old = lab.start(tune, laser, 1.0)
        old.result(5)
        going = lab.start(held, laser, gate)
        assert gate.began.wait(5)
        waits = lab.start(tune, laser, 2.0)
        listing = look_at_runs(lab)
        assert [run.id for run in listing.chosen("all")] == [going.id, waits.id, old.id]
        assert [run.id for run in listing.chosen("ended")] == [old.id]
        (row,) = rows_of([look_at_run(waits)], {})
        assert (row.state, row.acts) == (S.WAITING, ("cancel",))
        assert going.id in row.remark
        gate.go_on.set()


def test_a_long_workflow_shows_what_matters_and_counts_the_rest() -> None:
    @task
    def double(n: int) -> int:
        return 2 * n

    @workflow
    def many() -> list[int]:
        return [double(n) for n in range(300)]

    with Lab() as lab:
        run = lab.start(many)
        run.result(10)
        rows = rows_of([look_at_run(run, parts=20)], {f"/{run.id}": True})
        assert len(rows) == 22
        assert rows[-1].title == "… and 280 more steps"


STATES = st.sampled_from(list(RunState))
NONE: list[Any] = []
TREES: st.SearchStrategy[list[Any]] = st.recursive(
    st.just(NONE), lambda inner: st.lists(inner, max_size=3), max_leaves=12
)


def look_at(tree: list[Any], names: Iterator[int], state: RunState) -> RunLook:
    """Make a run of lists in lists: the first of each is a child, the others are steps."""
    number = next(names)
    children = tuple([look_at(part, names, state) for part in tree[:1]])
    steps = tuple([
        StepLook(place, "step", state, run=look_at(part, names, state) if part else None)
        for place, part in enumerate(tree[1:])
    ])  # fmt: skip
    return RunLook(
        f"run#{number}", "run", state, 10.0, steps=steps, steps_in_all=len(steps), units=len(steps), children=children,
        children_in_all=len(children) + number % 2,
    )  # fmt: skip


class Every(dict[str, bool]):
    """Says of every line that it is open, or that it isn't."""

    def __init__(self, *, is_open: bool) -> None:
        self._is_open = is_open

    def get(self, key: str, default: object = None) -> bool:
        del key, default
        return self._is_open


@given(st.lists(TREES, max_size=4), STATES)
def test_no_two_lines_have_the_same_key(trees: list[list[Any]], state: RunState) -> None:
    names = itertools.count()
    looks = [look_at(tree, names, state) for tree in trees]
    rows = rows_of(looks, Every(is_open=True))
    assert len({row.key for row in rows}) == len(rows)
    assert [row.title for row in rows if row.depth == 0] == [look.id for look in looks]
    assert {row.run for row in rows if row.run} == {f"run#{number}" for number in range(next(names))}
    assert len(rows_of(looks, Every(is_open=False))) == len(looks)


@pytest.mark.parametrize("state", list(RunState))
def test_what_can_be_done_follows_from_the_state(state: RunState) -> None:
    acts = acts_for(state, journalled=True)
    assert ("cancel" in acts) == (not state.terminal and state is not S.CANCELLING)
    assert ("retry" in acts) == (state.terminal and state not in (S.SUCCEEDED, S.SKIPPED))
    assert "retry" not in acts_for(state, journalled=False)
    assert state in TONES
    assert SIGNS[state]


def test_times_are_told_with_what_is_left() -> None:
    look = RunLook("a#1", "a", S.RUNNING, 12.0, began=2.0, left=5.0)
    assert time_words(look, 12.0) == "10 s, 5 s left"
    assert time_words(look._replace(state=S.FAILED, ended=4.0), 12.0) == "2 s"
    assert time_words(look._replace(began=None), 12.0) == ""


# -- pictures


def test_a_graph_has_the_colours_of_the_page_and_words_for_its_states(gate: Gate) -> None:
    with Lab() as lab:
        laser = lab.add("laser", Laser)
        graph = draw(scan, (laser, gate)).graph
    svg = coloured_graph(graph, {0: S.SUCCEEDED, 1: S.RUNNING, 2: S.WAITING})
    ET.fromstring(svg)  # noqa: S314 - our own
    assert "var(--good-soft)" in svg
    assert "var(--busy)" in svg
    assert "; running</title>" in svg
    assert '"white"' not in svg
    assert '"#1f2933"' not in svg


def test_names_in_a_graph_are_no_markup() -> None:
    svg = coloured_graph(Graph([Node(0, '<script>alert("#1f2933")</script>')]), {0: S.FAILED})
    ET.fromstring(svg)  # noqa: S314 - our own
    assert "<script" not in svg


@given(st.lists(STATES, min_size=1, max_size=5000))
def test_a_mosaic_of_any_number_of_steps_is_small(states: list[RunState]) -> None:
    svg = mosaic(states)
    ET.fromstring(svg)  # noqa: S314 - our own
    assert svg.count("M") <= min(len(states), 800)
    assert len(svg) < 30_000
    assert sum(count for _, count in counted(states)) == len(states)


def test_the_worst_state_gives_a_square_its_colour() -> None:
    states = [S.SUCCEEDED] * 5999 + [S.FAILED]
    assert mosaic(states).count("var(--bad)") == 1


def test_a_graph_can_be_drawn_of_what_a_journal_knows() -> None:
    graph = graph_after(["a", "b", "c"], [(), (0,), (0, 1)], [("laser",), ("laser",), ()], [(), (), ()])
    assert graph.edges("device") == [(0, 1)]
    assert graph.edges("value") == [(0, 2), (1, 2)]


def test_the_timeline_goes_on_with_what_is_planned(gate: Gate) -> None:
    with Lab() as lab:
        laser = lab.add("laser", Laser)
        run = lab.start(scan, laser, gate)
        assert gate.began.wait(5)
        timeline = lab.rehearse.planned(run)
        assert timeline.now is not None
        assert [entry.title for entry in timeline.entries] == ["tune(1500.0)", "held", "tune(1550.0)"]
        first, second, third = timeline.entries
        assert first.end <= timeline.now < second.end <= third.begin
        assert timeline.makespan == pytest.approx(third.end)
        assert timeline.makespan > 2.5  # of which `held` takes 3 as it says
        svg = coloured_gantt(timeline)
        ET.fromstring(svg)  # noqa: S314 - our own
        assert ">now</text>" in svg
        gate.go_on.set()
        run.result(5)
        assert lab.rehearse.planned(run).now is None


def test_the_timeline_of_very_many_steps_is_a_small_picture() -> None:
    took = Estimate(0.1, 0.1, 0.1, "measured")
    entries = [
        Entry("a#1", 0, step, 1, "tick", (), ("laser",), (), step / 10, step / 10 + 0.1, took, (), critical=False)
        for step in range(20_000)
    ]
    long = Rehearsal(
        name="a", makespan=2000.0, interval=(2000.0, 2000.0), begins=0.0, state=S.SUCCEEDED, reason="",
        critical_path=(), entries=tuple(entries), devices=(DeviceUse("laser", 2000.0, 0.0, 1.0),), how="ran",
    )  # fmt: skip
    svg = coloured_gantt(long)
    assert len(svg) < 200_000
    assert svg.count("<rect") > 500


# -- one run, in the lab and in the journal


def test_a_failed_run_tells_its_error_and_its_traceback_only_to_those_allowed() -> None:
    with Lab() as lab:
        laser = lab.add("laser", Laser)
        run = lab.start(fails, laser)
        run.exception(5)
        told = LiveRun(run).told(traces=False)
        assert [(failure.where, failure.text, failure.traceback) for failure in told.failures] == [
            ("step breaks", "LookupError: smoke", "")
        ]
        assert "Traceback" in LiveRun(run).told(traces=True).failures[0].traceback
        assert told.states == (S.SUCCEEDED, S.FAILED, S.SKIPPED)


def test_a_result_is_shown_shortly_and_may_refuse_to_be_shown() -> None:
    class Sulks:
        def __repr__(self) -> str:
            raise OSError

    with Lab() as lab:
        assert "..." in str(LiveRun(finished(lab, lambda: list(range(1000)))).told(traces=False).result)
        assert LiveRun(finished(lab, Sulks)).told(traces=False).result


def finished(lab: Lab, function: Callable[[], object]) -> Run[Any]:
    run = lab.start(function)
    run.result(5)
    return run


def test_a_run_of_the_past_is_told_by_the_journal(tmp_path: Path) -> None:
    with Lab(journal=tmp_path / "j.db") as lab:
        run = lab.start(fails, lab.add("laser", Laser))
        run.exception(5)
    with Lab(journal=tmp_path / "j.db") as lab:
        source = find_run(lab, run.id)
        assert isinstance(source, PastRun)
        told = source.told(traces=False)
        assert told.look.state is S.FAILED
        assert told.states == (S.SUCCEEDED, S.FAILED, S.SKIPPED)
        assert "smoke" in told.failures[0].text
        graph = source.graph()
        assert graph is not None
        assert len(graph.edges("device")) == 2
        assert [entry.name for entry in source.timeline().entries] == ["tune", "breaks failed"]
        assert rows_of([told.look], {f"/{run.id}": True})[2].title == "breaks"
        with pytest.raises(ConfigError, match="neither the lab nor its journal"):
            find_run(lab, "nothing#99")


def test_the_journal_is_searched_by_text_state_and_day(tmp_path: Path) -> None:
    with Lab(journal=tmp_path / "j.db") as lab:
        laser = lab.add("laser", Laser)
        run = lab.start(fails, laser)
        run.exception(5)
        lab.run(tune, laser, 1.0)
        assert lab.journalling is not None
        lab.journalling.journal.flush()
        with lab.journalling.journal.reader() as reader:
            assert [kept.id for kept in reader.runs(text="SMOKE")] == [run.id]
            assert reader.runs(text="100%_") == []
            first = reader.runs(roots=True)
            assert [kept.name for kept in first] == ["tune", "fails"]
            assert reader.runs(roots=True, before=first[0].id) == first[1:]
            assert reader.runs(until=first[1].created) == []


def test_a_search_takes_days_and_refuses_what_is_none() -> None:
    wish = wish_of(text=" smoke ", state="any state", since="2026-01-30", until="2026-01-31", with_parts=False)
    assert (wish.text, wish.state) == ("smoke", None)
    assert wish.since is not None
    assert wish.until is not None
    assert wish.until - wish.since == pytest.approx(2 * 86_400, abs=3600)
    with pytest.raises(ValueError, match="is no day"):
        wish_of(text="", state="failed", since="yesterday", until="", with_parts=True)


def test_parameters_make_a_form_of_their_own_types() -> None:
    form = form_for({"gain": 1.5, "count": 2, "on": True, "name": "a", "odd": object()})
    assert form.read({**form.initial(), "gain": "2", "on": False}).values == {"gain": 2, "on": False}
    assert "count" in form.read({**form.initial(), "count": "2.5"}).errors
