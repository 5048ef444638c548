"""Do here what the users of OpenScan3 do with its task system, and show that its faults can't happen."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from actorlab import (
    ConfigError,
    Lab,
    Run,
    RunCancelled,
    RunState,
    checkpoint,
    cleanup,
    progress,
    sleep,
    task,
    track,
    wait,
    workflow,
)
from actorlab.discovery import discover
from actorlab.runtime.events import Event
from actorlab.simulation import Bench, Lamp, Spectrometer, Stage

Until = Callable[[Run[Any], RunState], None]
Eventually = Callable[[Callable[[], object]], None]
S = RunState
PATIENCE = 5.0


class Gate:
    """A place where a task's body stands, without looking at anything, until it is let through."""

    def __init__(self) -> None:
        self.begun, self.go = threading.Event(), threading.Event()

    def stand(self) -> None:
        self.begun.set()
        assert self.go.wait(PATIENCE)

    def reached(self) -> None:
        assert self.begun.wait(PATIENCE)


@pytest.fixture
def gates() -> Iterator[list[Gate]]:
    """Make some gates, all of which are open when the test ends."""
    made = [Gate() for _ in range(4)]
    yield made
    for gate in made:
        gate.go.set()


def hold(gate: Gate) -> str:
    gate.stand()
    return "done"


alone = task(exclusive=True)


# -- tasks as classes, bodies of all kinds


@task(name="scan", category="core", exclusive=True)
class Scan:
    """Move the stage from place to place, and take a spectrum at each."""

    def __init__(self, stage: Stage, spectrometer: Spectrometer, places: int) -> None:
        self.stage, self.spectrometer, self.places = stage, spectrometer, places

    def run(self) -> Generator[tuple[int, int, str], None, list[float]]:
        total: list[float] = []
        for place in range(self.places):
            yield place, self.places, f"place {place}"
            self.stage.move_to(place * 0.2)
            total.append(float(self.spectrometer.acquire(0.001).counts.sum()))
        yield self.places, self.places, "all places"
        return total


def test_a_task_is_a_class_with_a_name_a_category_and_its_exclusiveness(bench: Bench, lab: Lab) -> None:
    stage = lab.add("stage", Stage, bench.resources["stage"])
    spectrometer = lab.add("spectrometer", Spectrometer, bench.resources["spectrometer"])
    scan: Any = Scan  # a class for mypy, a task since it is decorated
    with lab.events.subscribe(kinds=["progress"], snapshot=False) as changes:
        run = lab.start(scan, stage, spectrometer, 3)
        assert len(run.result(PATIENCE)) == 3
        told = [changes.get(timeout=PATIENCE)]
    assert run.name == "scan"
    assert (scan.options_.category, scan.options_.exclusive) == ("core", True)
    assert run.progress is not None
    assert run.progress[:3] == (3, 3, "all places")
    assert told[0] is not None
    assert told[0].data["total"] == 3


def test_async_blocking_and_generator_bodies_report_current_total_and_message(lab: Lab) -> None:
    async def asynchronous() -> str:
        progress(1, 2, "half")
        await asyncio.sleep(0)
        progress(2, 2, "whole")
        return "asynchronous"

    def blocking() -> str:
        progress(2, 2, "whole")
        return "blocking"

    def generator() -> Generator[tuple[int, int, str], None, str]:
        yield 1, 2, "half"
        yield 2, 2, "whole"
        return "generator"

    runs: list[Run[Any]] = [lab.start(asynchronous), lab.start(blocking), lab.start(generator)]
    assert [run.result(PATIENCE) for run in runs] == ["asynchronous", "blocking", "generator"]
    assert [run.progress and run.progress[:3] for run in runs] == [(2, 2, "whole")] * 3


# -- scheduling


def test_tasks_run_up_to_a_limit_and_the_others_wait_saying_so(gates: list[Gate]) -> None:
    with Lab(max_runs=2) as lab:
        first, second = (lab.start(hold, gate) for gate in gates[:2])
        for gate in gates[:2]:
            gate.reached()
        third = lab.start(hold, gates[2])
        lab.ask(lambda: None)
        assert third.state is S.WAITING
        assert third.reasons
        gates[0].go.set()
        gates[2].reached()
        assert second.state is S.RUNNING
        for gate in gates:
            gate.go.set()
        assert [run.result(PATIENCE) for run in (first, second, third)] == ["done"] * 3


def test_an_exclusive_task_waits_for_all_others_and_holds_back_all_later_ones_first_come_first_served(
    lab: Lab, gates: list[Gate], until: Until
) -> None:
    order: list[str] = []

    def note(name: str) -> None:
        order.append(name)

    running = lab.start(hold, gates[0])
    gates[0].reached()
    exclusive = lab.start(alone(hold), gates[1])
    later = [lab.start(note, "later 1"), lab.start(alone(note), "exclusive 2"), lab.start(note, "later 3")]
    until(exclusive, S.WAITING)
    assert running.id in " ".join(exclusive.reasons)
    gates[0].go.set()
    gates[1].reached()
    assert order == [], "nobody is beside it"
    assert all(run.state is S.WAITING for run in later)
    gates[1].go.set()
    assert wait(later, PATIENCE).pending == ()
    assert order == ["later 1", "exclusive 2", "later 3"]


def test_an_exclusive_task_is_not_starved_by_those_that_keep_coming(lab: Lab) -> None:
    over = threading.Event()

    def crowd() -> None:
        while not over.is_set():
            lab.run(int)

    threads = [threading.Thread(target=crowd) for _ in range(3)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(5):
            assert lab.start(alone(lambda: "had its turn")).result(PATIENCE) == "had its turn"
    finally:
        over.set()
        for thread in threads:
            thread.join(PATIENCE)


def test_blocking_tasks_run_in_threads_and_need_not_count_against_a_limit(gates: list[Gate]) -> None:
    with Lab(limits={"light": 1}) as lab:
        light = task(hold).options(tags=("light",))
        first, second = lab.start(light, gates[0]), lab.start(light, gates[1])
        gates[0].reached()
        blocking = [lab.start(hold, gate) for gate in gates[2:]]
        for gate in gates[2:]:
            gate.reached()
        assert second.state is S.WAITING
        for gate in gates:
            gate.go.set()
        assert wait([first, second, *blocking], PATIENCE).pending == ()


# -- handling tasks


def test_tasks_are_listed_newest_first_inspected_filtered_by_type_and_waited_for(lab: Lab, gates: list[Gate]) -> None:
    crop = task(hold).options(name="crop")
    scan = task(hold).options(name="scan", tags=("core",))
    runs = [lab.start(kind, gate) for kind, gate in zip((scan, crop, scan), gates, strict=False)]
    for gate in gates[:3]:
        gate.reached()
    gates[0].go.set()
    runs[0].result(PATIENCE)
    newest_first = sorted(lab.runs, key=lambda run: int(run.id.partition("#")[2]), reverse=True)
    assert [run.id for run in newest_first] == ["scan#3", "crop#2", "scan#1"]
    assert [run.id for run in newest_first if run.name == "scan"] == ["scan#3", "scan#1"]
    assert lab.get("crop#2").state is S.RUNNING
    assert lab.get("scan#1").state is S.SUCCEEDED
    gates[1].go.set()
    gates[2].go.set()
    assert lab.get("scan#3").result(PATIENCE) == "done"


def test_a_task_that_ended_is_started_again_with_an_id_of_its_own(lab: Lab) -> None:
    tries: list[int] = []

    def once_bad() -> str:
        tries.append(1)
        if len(tries) == 1:
            message = "a slip"
            raise ValueError(message)
        return "done"

    first = lab.start(once_bad)
    assert isinstance(first.exception(PATIENCE), ValueError)
    second = lab.start(once_bad)
    assert second.result(PATIENCE) == "done"
    assert first.id != second.id
    assert first.state is S.FAILED
    tries.clear()
    again = lab.start(task(retries=1)(once_bad))
    assert again.result(PATIENCE) == "done", "with the same id: as a retry"


def test_a_paused_blocking_task_really_stands(lab: Lab, until: Until, eventually: Eventually) -> None:
    steps: list[int] = []
    gate = Gate()

    def blocking() -> int:
        for step in track(range(10**9)):
            steps.append(step)
            if step == 3:
                gate.stand()
        return len(steps)

    run = lab.start(blocking)
    gate.reached()
    run.pause("the sample has moved")
    lab.ask(lambda: None)
    assert run.state is S.PAUSING, "its thread is still at work, so nobody says that it stands"
    gate.go.set()
    until(run, S.PAUSED)
    stood = len(steps)
    lab.run(int)
    assert len(steps) == stood == 4
    run.resume()
    eventually(lambda: len(steps) > 10)
    run.cancel()
    assert isinstance(run.exception(PATIENCE), RunCancelled)


def test_tasks_and_devices_are_followed_with_a_snapshot_first_and_then_the_changes(
    bench: Bench, lab: Lab, gates: list[Gate]
) -> None:
    lab.add("stage", Stage, bench.resources["stage"])
    run = lab.start(hold, gates[0])
    gates[0].reached()
    with lab.events.subscribe() as changes:
        snapshot: dict[str, Event] = {}
        while set(snapshot) < {"stage", run.id}:
            event = changes.get(timeout=PATIENCE)
            assert event is not None
            assert event.kind == "snapshot"
            snapshot[event.subject] = event
        assert snapshot["stage"].data["state"] == "idle"
        assert snapshot[run.id].data["state"] == "running"
        gates[0].go.set()
        run.result(PATIENCE)
        numbers = [snapshot[run.id].sequence]
        while True:
            event = changes.get(timeout=PATIENCE)
            assert event is not None
            numbers.append(event.sequence)
            if event.data.get("state") == "succeeded":
                break
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers))), "none is missing"


# -- work after work, and everything off at the end


@task
def illuminate(lamp: Lamp) -> None:
    lamp.on()


@task
def photograph(lamp: Lamp, stage: Stage, place: float) -> float:
    assert lamp.is_on()
    stage.move_to(place)
    return stage.position()


@task
def evaluate(places: list[float], wrong: bool) -> int:
    if wrong:
        message = "no features"
        raise ValueError(message)
    return len(places)


def all_off(lamp: Lamp, stage: Stage) -> None:
    lamp.off()
    stage.make_safe()


@workflow
def scan_and_evaluate(lamp: Lamp, stage: Stage, *, wrong: bool) -> int:
    cleanup(all_off, lamp, stage)
    illuminate(lamp)
    return evaluate([photograph(lamp, stage, place) for place in (0.2, 0.4)], wrong)


@pytest.mark.parametrize("wrong", [False, True])
def test_work_follows_work_and_light_and_motors_are_off_at_the_end_whatever_ends_it(
    bench: Bench, lab: Lab, *, wrong: bool
) -> None:
    lamp, stage = lab.add("lamp", Lamp, bench.resources["lamp"]), lab.add("stage", Stage, bench.resources["stage"])
    run = lab.start(scan_and_evaluate, lamp, stage, wrong=wrong)
    if wrong:
        with pytest.raises(ValueError, match="no features"):
            run.result(PATIENCE)
    else:
        assert run.result(PATIENCE) == 2
    assert not lamp.is_on()
    executed = bench.executed("stage")
    assert "STOP" in executed[executed.index("MOVE:ABS 0.4") :]


# -- faults


def test_cancelling_an_exclusive_blocking_task_frees_nothing_before_its_thread_has_ended(
    lab: Lab, gates: list[Gate]
) -> None:
    inside: list[str] = []
    overlaps: list[str] = []

    def work(name: str, gate: Gate) -> None:
        overlaps.extend(inside)
        inside.append(name)
        try:
            gate.stand()  # code of a library, which knows of no cancellation
            checkpoint()
        finally:
            inside.remove(name)

    first = lab.start(alone(work), "first", gates[0])
    gates[0].reached()
    second = lab.start(alone(work), "second", gates[1])
    first.cancel()
    assert not gates[1].begun.wait(0.1)
    assert (first.state, second.state) == (S.CANCELLING, S.WAITING)
    gates[0].go.set()
    gates[1].reached()
    gates[1].go.set()
    second.result(PATIENCE)
    assert isinstance(first.exception(PATIENCE), RunCancelled)
    assert overlaps == []


def test_an_odd_result_and_a_nonsense_yield_are_contained_and_leak_no_lock(lab: Lab) -> None:
    class Odd:
        """No JSON, no pickle, no text."""

        def __repr__(self) -> str:
            raise NotImplementedError

        def __reduce__(self) -> Any:
            raise NotImplementedError

    @alone
    def odd_result() -> Odd:
        return Odd()

    @alone
    def nonsense() -> Generator[Any, None, None]:
        yield {"current": "three"}

    @alone
    def odd_yield() -> Generator[Any, None, None]:
        yield Odd()

    with lab.events.subscribe() as changes:
        assert type(lab.run(odd_result)) is Odd
        with pytest.raises(TypeError, match="three"):
            lab.run(nonsense)
        assert lab.start(odd_yield).exception(PATIENCE) is not None
        assert lab.run(alone(lambda: "the next one")) == "the next one", "it stayed pending for ever there"
        while (event := changes.get(timeout=0.05)) is not None:
            assert event.sequence >= 0
    assert len(lab.runs) == 4


def test_a_cancelled_move_stops_the_stage_and_what_is_said_of_it_is_what_it_does(lab: Lab) -> None:
    with Bench(time_scale=1) as bench:  # so that 50 mm take it a while
        stage = lab.add("stage", Stage, bench.resources["stage"])
        run = lab.start(Stage.move_to, stage, 50.0)
        bench.wait_executed("stage", lambda commands: commands.count("MOVE:DONE?") > 5)
        run.cancel("the cable is caught")
        with pytest.raises(RunCancelled) as caught:
            run.result(PATIENCE)
        assert caught.value.safe == ("stage",)
        executed = bench.executed("stage")
        assert executed.index("STOP") > executed.index("MOVE:ABS 50.0")
        stands = stage.position()
        count = len(bench.executed("stage"))
        assert 0 < stands < 50
        bench.inject("stage", "slow", seconds=0.1)  # time in which it would go on
        assert stage.position() == stands
        assert bench.executed("stage")[count:] == ["POS?"], "it went on for 1,261 steps there"


def test_an_orderly_end_is_not_taken_for_the_users_cancelling(gates: list[Gate]) -> None:
    lab = Lab(cancel_grace=2)
    by_user = lab.start(sleep, 60)
    by_user.cancel("it was cancelled by Ada")
    by_the_end = lab.start(sleep, 60)
    waiting = lab.start(alone(hold), gates[0])
    lab.close()
    told: list[str] = []
    for run in (by_user, by_the_end, waiting):
        error = run.exception(PATIENCE)
        assert isinstance(error, RunCancelled)
        told.append(error.reason)
    assert told[0] == "it was cancelled by Ada"
    assert told[1:] == ["the lab was closed"] * 2


def test_cancelled_never_turns_into_completed(lab: Lab, gates: list[Gate]) -> None:
    with lab.events.subscribe(kinds=["run"], snapshot=False) as changes:
        run = lab.start(hold, gates[0])
        gates[0].reached()
        run.cancel()
        gates[0].go.set()  # it returns as if nothing had happened
        error = run.exception(PATIENCE)
        assert isinstance(error, RunCancelled)
        assert error.partial == "done"
        lab.run(int)
        states: list[str] = []
        while (event := changes.get(timeout=0.1)) is not None:
            if event.subject == run.id:
                states.append(event.data["state"])
    assert states[-2:] == ["cancelling", "cancelled"]
    assert run.state is S.CANCELLED


def test_cancelling_the_head_of_the_queue_starts_the_next(lab: Lab, gates: list[Gate], until: Until) -> None:
    running = lab.start(hold, gates[0])
    gates[0].reached()
    head = lab.start(alone(hold), gates[1])
    behind = lab.start(hold, gates[2])
    until(behind, S.WAITING)
    head.cancel()
    gates[2].reached()
    assert running.state is S.RUNNING
    assert isinstance(head.exception(PATIENCE), RunCancelled)
    gates[2].go.set()
    assert behind.result(PATIENCE) == "done"


def test_a_slow_listener_slows_no_task(lab: Lab) -> None:
    slow = threading.Event()

    def listen(_: Event) -> None:
        slow.wait(PATIENCE)

    lab.events.subscribe(listen, buffer=10)
    with lab.events.subscribe(buffer=10):  # one who never reads
        began = time.monotonic()
        for _ in range(200):
            lab.run(lambda: progress(1, 2))
        assert time.monotonic() - began < 2.0
    slow.set()


def test_an_argument_that_cannot_be_shown_spoils_no_list(lab: Lab, gates: list[Gate]) -> None:
    class Unspeakable:
        def __repr__(self) -> str:
            message = "no"
            raise ValueError(message)

        def __eq__(self, other: object) -> bool:
            raise NotImplementedError

        __hash__ = None  # type: ignore[assignment]  # it can't even be looked up

    def body(odd: Unspeakable, gate: Gate) -> str:
        del odd
        return hold(gate)

    run = lab.start(body, Unspeakable(), gates[0])
    gates[0].reached()
    other = lab.start(hold, gates[1])
    assert {one.id for one in lab.runs} == {run.id, other.id}
    assert repr(run) == f"<{run.id}: running>"
    assert run.steps[0].name == "body"
    with lab.events.subscribe() as changes:
        found = [changes.get(timeout=PATIENCE), changes.get(timeout=PATIENCE)]
    assert {event.subject for event in found if event is not None} == {run.id, other.id}
    gates[0].go.set()
    gates[1].go.set()
    assert (run.result(PATIENCE), other.result(PATIENCE)) == ("done", "done")


# -- after a crash


SCANNER = """
    import sys
    from actorlab import Lab, task, workflow
    from actorlab.simulation import Stage

    @task(retries=1)
    def photograph(stage: Stage, place: float) -> float:
        stage.move_to(place)
        print("photographed", place, flush=True)
        return place

    @task(idempotent=True)
    def evaluate(places: list[float]) -> float:
        return sum(places)

    @workflow
    def scan(stage: Stage, places: list[float]) -> float:
        return evaluate([photograph(stage, place) for place in places])

    if __name__ == "__main__":
        with Lab(journal="lab.db") as lab:
            stage = lab.add("stage", Stage, sys.argv[1])
            print("interrupted", [kept.id for kept in lab.interrupted], flush=True)
            if not lab.interrupted:
                print(lab.run(scan, stage, [0.25, 0.5, 40.0, 39.5]))
            for kept in lab.interrupted:
                run = lab.resume(kept.id, answers={"2": "redo", "devices": "go on"})
                print(run.id, run.result(20), flush=True)
            print("interrupted", [kept.id for kept in lab.interrupted], flush=True)
"""


@pytest.mark.slow
def test_an_interrupted_task_is_known_after_a_crash_and_goes_on_with_its_id_from_where_it_stopped(
    tmp_path: Path,
) -> None:
    (tmp_path / "scanner.py").write_text(dedent(SCANNER), encoding="utf-8")
    with Bench(time_scale=5) as bench:
        command = [sys.executable, "scanner.py", bench.resources["stage"]]
        with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, text=True) as crashing:
            bench.wait_executed("stage", "MOVE:ABS 40.0", timeout=20)
            crashing.kill()  # the power fails
            assert crashing.stdout is not None
            assert crashing.stdout.read().splitlines() == ["interrupted []", "photographed 0.25", "photographed 0.5"]
        before = len(bench.executed("stage"))
        again = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=40, check=False)
        assert again.returncode == 0, again.stderr
        assert again.stdout.splitlines() == [
            "interrupted ['scan#1']",
            "photographed 40.0",
            "photographed 39.5",
            "scan#1 80.25",
            "interrupted []",
        ]
        moves = [told for told in bench.executed("stage")[before:] if told.startswith(("MOVE:ABS", "STOP"))]
    assert moves[0] == "STOP", "it is made safe before anything else"
    assert [told for told in moves if told != "STOP"] == ["MOVE:ABS 40.0", "MOVE:ABS 39.5"]


# -- discovery


TASK = """
    from actorlab import task

    @task(category={category!r})
    def {name}() -> str:
        return {answer!r}
"""


def written(folder: Path, file: str, text: str) -> None:
    folder.mkdir(exist_ok=True)
    (folder / file).write_text(dedent(text), encoding="utf-8")


def test_tasks_are_discovered_in_folders_also_of_the_environment_and_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lab: Lab
) -> None:
    written(tmp_path / "own", "focus.py", TASK.format(name="focus_stack", category="core", answer="stacked"))
    written(tmp_path / "more", "turn.py", TASK.format(name="turn_table", category="community", answer="turned"))
    monkeypatch.setenv("ACTORLAB_PATH", str(tmp_path / "more"))
    found = discover(folders=tmp_path / "own", entry_points=False)
    assert sorted(found.tasks) == ["focus_stack", "turn_table"]
    assert sorted(found.by_category()) == ["community", "core"]
    assert lab.run(found.tasks["turn_table"].object) == "turned"
    assert found.problems == ()


def test_what_is_ignored_opts_out_breaks_or_has_no_allowed_name_is_left_out_and_said(tmp_path: Path) -> None:
    folder = tmp_path / "tasks"
    marker = tmp_path / "imported"
    opted_out = f"""
        __actorlab_discover__ = False
        open({str(marker)!r}, "w").close()
        from actorlab import task

        @task
        def hidden() -> None: ...
    """
    written(folder, "opted_out.py", opted_out)
    written(folder, "broken.py", "import a_module_that_is_nowhere")
    written(folder, "_private.py", TASK.format(name="private", category="core", answer=1))
    written(folder, "old_scan.py", TASK.format(name="old", category="core", answer=1))
    written(folder, "good.py", TASK.format(name="good_task", category="core", answer=1))
    written(folder, "camel.py", TASK.format(name="BadName", category="core", answer=1))
    found = discover(folders=folder, environment=None, entry_points=False, ignore=("_*", "old_*"), names="[a-z_]+")
    assert list(found.tasks) == ["good_task"]
    assert not marker.exists(), "outside its package the opt-out was not looked at there"
    told = "\n".join(map(str, (*found.problems, *found.left_out)))
    for name in ("broken.py", "opted_out.py", "_private.py", "old_scan.py", "BadName"):
        assert name in told


def test_of_two_tasks_of_one_name_the_first_is_kept_or_the_last_on_purpose(tmp_path: Path, lab: Lab) -> None:
    for number in (1, 2):
        written(tmp_path / f"folder{number}", "focus.py", TASK.format(name="focus", category="core", answer=number))
    folders = [tmp_path / "folder1", tmp_path / "folder2"]
    kept = discover(folders=folders, environment=None, entry_points=False)
    assert lab.run(kept.tasks["focus"].object) == 1
    (problem,) = kept.problems
    assert all(str(folder) in str(problem) for folder in folders), "both places"
    overridden = discover(folders=folders, environment=None, entry_points=False, override=["focus"])
    assert lab.run(overridden.tasks["focus"].object) == 2


def test_a_required_task_that_is_missing_stops_the_start(tmp_path: Path) -> None:
    written(tmp_path / "tasks", "scan.py", TASK.format(name="scan", category="core", answer=1))
    discover(folders=tmp_path / "tasks", environment=None, entry_points=False, required=["scan"])
    with pytest.raises(ConfigError, match="focus"):
        discover(folders=tmp_path / "tasks", environment=None, entry_points=False, required=["scan", "focus"])
