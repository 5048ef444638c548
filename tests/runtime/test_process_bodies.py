"""See that a body in a worker process means what it means in a thread, and what becomes of it when its process ends."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from actorlab import (
    ConfigError,
    DeviceFault,
    Lab,
    NotLeased,
    RestartPolicy,
    Run,
    RunCancelled,
    RunState,
    RunTimeout,
    WorkerDied,
    WorkflowError,
    task,
    workflow,
)
from actorlab.core.restart import RestartLimiter

ROOT = Path(__file__).parents[2]
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))  # the processes get our path, and import their bodies by it

from tests.runtime import process_tasks as bodies  # noqa: E402
from tests.runtime.process_tasks import Odd, Rig  # noqa: E402

PATIENCE = 20.0
"""A process has to start and to import numpy for most of what is waited for here."""
Until = Callable[[Run[Any], RunState], None]


def apart(function: Callable[..., Any], **options: Any) -> Any:
    """Return a task whose body runs in a process."""
    return task(worker="process", **options)(function)


def wait_for(condition: Callable[[], object], seconds: float = PATIENCE) -> None:
    """Wait until something is so."""
    end, pause = time.monotonic() + seconds, threading.Event()
    while not condition():
        assert time.monotonic() < end, "it didn't come about"
        pause.wait(0.005)


def has_ended(pid: int) -> bool:
    """Tell whether a process has ended; a zombie has."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return True
    return state == "Z"


@pytest.fixture
def lab() -> Iterator[Lab]:
    """Make a lab with one worker process, which is gone when the test has ended."""
    made = Lab("test", cancel_grace=0.4, processes=1)
    yield made
    pids = made.processes.pids
    made.close()
    assert made.processes.pids == ()
    assert all(map(has_ended, pids)), "a worker process stayed behind"


@pytest.fixture
def rig(lab: Lab) -> Rig:
    return lab.add("rig", Rig)


def lines(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.exists() else []


# -- bodies of every kind


def test_a_body_of_every_kind_runs_in_one_warm_process_and_uses_its_device(lab: Lab, rig: Rig) -> None:
    child = lab.run(bodies.pid)
    assert child != os.getpid()
    assert [lab.run(bodies.pid) for _ in range(3)] == [child] * 3
    for body in (bodies.function, bodies.generator, bodies.coroutine, bodies.Sweep):
        run = lab.start(body, rig, 3)
        assert run.result(PATIENCE) == [0, 1, 2], body
        assert run.progress is not None
        assert run.progress.message == "setting"
    run = lab.start(bodies.async_generator, rig, 3)
    assert run.result(PATIENCE) is None
    assert run.progress is not None
    assert run.progress.done == 2
    assert lab.processes.pids == (child,)


def test_without_a_lab_the_task_is_just_its_function() -> None:
    assert bodies.pid() == os.getpid()
    assert bodies.function(Rig(), 2) == [0, 1]


def test_many_bodies_share_the_processes_and_one_runs_in_each_at_a_time() -> None:
    with Lab("several", processes=2) as lab:
        runs = [lab.start(bodies.pid) for _ in range(40)]
        assert len({run.result(PATIENCE) for run in runs}) <= 2
        assert len(lab.processes.pids) <= 2


def test_nothing_is_started_before_it_is_needed(lab: Lab) -> None:
    lab.run(bodies.plain_pid)
    assert lab.processes.pids == ()


# -- devices


def test_a_device_is_used_from_the_process_as_from_a_thread(lab: Lab, rig: Rig) -> None:
    told = lab.run(apart(bodies.uses), rig)
    log = told.pop("log")
    assert told == {
        "pid": os.getpid(),
        "gain": 3,
        "channels": [0.0, 1.5],
        "asked": [0, 1, 2],
        "performed": 5,
        "image": pytest.approx(np.arange(1e6).sum()),
        "streamed": list(range(50)),
        "is a rig": True,
        "name": "<rig: Rig>",
    }
    assert log[-3:] == ["set 0", "set 1", "set 2"]


def test_what_a_device_refuses_is_refused_in_the_process_with_the_same_errors(lab: Lab, rig: Rig) -> None:
    body = apart(bodies.fails_with)
    with pytest.raises(ValueError, match=r"rig\.set"):
        lab.run(body, rig, "range")
    with pytest.raises(AttributeError, match="nothing"):
        lab.run(body, rig, "missing")
    with pytest.raises(WorkflowError, match="returned a device"):
        lab.run(body, rig, "itself")
    assert lab.run(apart(bodies.reads_shared), rig) == 0.0
    with pytest.raises(NotLeased, match=r"rig.* only shared"):
        lab.run(apart(bodies.commands_shared), rig)
    with pytest.raises(NotLeased, match="outside of its body"):
        lab.run(apart(bodies.uses_in_thread), rig)
    with pytest.raises((DeviceFault, OSError), match="smoke"):
        lab.run(body, rig, "fault")


def test_steps_of_a_workflow_and_services_may_run_in_processes(lab: Lab, rig: Rig) -> None:
    step = apart(bodies.set_rig, lease="step")

    @workflow
    def measure(rig: Rig) -> Any:
        here = bodies.pid()
        return here, apart(bodies.set_rig)(rig, 2.0)

    here, (volts, there) = lab.run(measure, rig)
    assert (volts, here) == (2.0, there)
    assert here != os.getpid()
    service = lab.serve(step.options(name="setter"), rig, 3.0)
    wait_for(lambda: "set 3.0" in rig.history())
    service.stop()


# -- the ambient verbs


def test_the_ambient_verbs_mean_in_a_process_what_they_mean_in_a_thread(
    lab: Lab, rig: Rig, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    acknowledged: list[Any] = []

    def listen(event: Any) -> None:
        if event.kind == "emit":
            acknowledged.append(event.data["data"])
            event.data["acknowledge"]("thanks")

    lab.events.subscribe(listen)
    run = lab.start(apart(bodies.ambient), rig)
    wait_for(lambda: lab.questions or run.done())
    lab.answer(lab.questions[0].id, "yes")
    told = run.result(PATIENCE)
    assert told["rows"] == [0, 1, 2]
    assert told["run"] == (run.id, "ambient", "running")
    assert (told["answered"], acknowledged, told["told"], told["gain"]) == ("thanks", [{"a": 1}], "yes", 2)
    assert told["child"] == (5.0, os.getpid())
    assert told["child's"] == ("set_rig", True, "succeeded")
    assert run.data.column("square") == [0, 1, 4]
    assert run.parameters == {"gain": 2}
    assert run.progress is not None
    assert run.progress.fraction == 0.5
    assert any("hello" in record.getMessage() for record in caplog.records)
    mine = [record for record in caplog.records if record.name == "mine"]
    assert [record.getMessage() for record in mine] == ["beware of the dog"]


def test_children_of_children_never_wait_for_the_process_that_waits_for_them(lab: Lab) -> None:
    chain = lab.start(apart(bodies.spawns), 3).result(PATIENCE)
    assert len(set(chain)) == 4
    assert lab.start(apart(bodies.spawns_async)).result(PATIENCE) == os.getpid()
    with pytest.raises(ValueError, match="child"):
        lab.run(apart(bodies.leaves_child))
    wait_for(lambda: len(lab.processes.pids) == 1)


def test_progress_is_sent_a_few_times_a_second_the_first_and_the_last_always(lab: Lab, tmp_path: Path) -> None:
    lab.run(bodies.pid)
    seen: list[float] = []
    lab.events.subscribe(lambda event: seen.append(event.data["done"]) if event.kind == "progress" else None)
    began = time.monotonic()
    run = lab.start(apart(bodies.many_steps), 200_000)
    assert run.result(PATIENCE) == 200_000
    took = time.monotonic() - began
    assert run.progress is not None
    assert (run.progress.done, run.progress.message) == (200_000, "counted")
    wait_for(lambda: seen and seen[-1] == 200_000)
    assert len(seen) <= 10 * took + 3
    word = tmp_path / "word"
    quiet = lab.start(apart(bodies.waits_for_word), str(word))
    wait_for(lambda: quiet.progress is not None and quiet.progress.message == "three", 5.0)
    word.touch()
    assert quiet.result(PATIENCE) == "seen"


# -- cancellation, pause, timeouts


@pytest.mark.parametrize("name", ["sleeps", "sleeps_async", "tracks"])
def test_a_cancellation_reaches_a_body_in_its_process_and_its_finally_runs(lab: Lab, tmp_path: Path, name: str) -> None:
    child = lab.run(bodies.pid)
    marks = tmp_path / "marks"
    run = lab.start(apart(getattr(bodies, name)), str(marks))
    wait_for(lambda: lines(marks))
    run.cancel("enough")
    with pytest.raises(RunCancelled, match="enough"):
        run.result(PATIENCE)
    assert lines(marks) == ["begun", "finally"]
    assert (run.state, lab.run(bodies.pid)) == (RunState.CANCELLED, child)


def test_a_cancellation_ends_a_device_call_of_the_process_and_the_device_is_safe(
    lab: Lab, rig: Rig, tmp_path: Path
) -> None:
    marks = tmp_path / "marks"
    run = lab.start(apart(bodies.hangs_in_call), rig, str(marks))
    wait_for(lambda: lines(marks) and str(lab.status("rig").state) == "busy")
    run.cancel()
    with pytest.raises(RunCancelled) as caught:
        run.result(PATIENCE)
    assert (lines(marks), caught.value.safe) == (["begun", "finally"], ("rig",))


def test_a_shield_keeps_a_cancellation_out_of_the_process(lab: Lab, tmp_path: Path) -> None:
    marks = tmp_path / "marks"
    run = lab.start(apart(bodies.shields), str(marks))
    wait_for(lambda: lines(marks))
    run.cancel()
    wait_for(lambda: run.state is RunState.CANCELLING)
    threading.Event().wait(0.1)
    assert lines(marks) == ["begun"]
    Path(f"{marks}.go").touch()
    with pytest.raises(RunCancelled):
        run.result(PATIENCE)
    assert lines(marks) == ["begun", "shielded", "finally"]


@pytest.mark.parametrize("name", ["spins", "swallows"])
def test_a_body_that_doesnt_end_in_time_is_killed_with_its_process_and_has_stopped(
    lab: Lab, tmp_path: Path, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    child = lab.run(bodies.pid)
    marks = tmp_path / "marks"
    run = lab.start(apart(getattr(bodies, name)), str(marks))
    wait_for(lambda: lines(marks))
    run.cancel("enough")
    with pytest.raises(RunCancelled, match="enough") as caught:
        run.result(PATIENCE)
    assert (run.state, caught.value.abandoned) == (RunState.CANCELLED, ())
    assert has_ended(child)
    assert f"in {name}" in caplog.text
    assert lab.run(bodies.pid) != child


def test_a_timeout_ends_a_body_in_its_process(lab: Lab, tmp_path: Path) -> None:
    lab.run(bodies.pid)
    with pytest.raises(RunTimeout):
        lab.run(apart(bodies.sleeps, timeout=0.2), str(tmp_path / "marks"))
    with pytest.raises(RunTimeout) as caught:
        lab.run(apart(bodies.spins, timeout=0.2), str(tmp_path / "others"))
    assert caught.value.abandoned == ()

    @workflow(keep_going=True)
    def two(where: str) -> Any:
        apart(bodies.spins, timeout=0.2)(where)
        return bodies.pid()

    with pytest.raises(ExceptionGroup) as group:
        lab.run(two, str(tmp_path / "third"))
    assert [type(error) for error in group.value.exceptions] == [RunTimeout]


@pytest.mark.parametrize("name", ["counts", "counts_async"])
def test_a_paused_body_stands_still_in_its_process(lab: Lab, tmp_path: Path, until: Until, name: str) -> None:
    word = tmp_path / "word"
    run = lab.start(apart(getattr(bodies, name)), str(word))
    wait_for(lambda: len(run.data) > 3)
    run.pause()
    until(run, RunState.PAUSED)
    before = len(run.data)
    threading.Event().wait(0.15)
    assert len(run.data) <= before + 1  # what was told and not sent yet
    run.resume()
    wait_for(lambda: len(run.data) > before + 3)
    word.touch()
    assert run.result(PATIENCE) > 3


def test_an_emergency_stop_kills_the_process_of_a_body_at_once(lab: Lab, tmp_path: Path) -> None:
    marks = tmp_path / "marks"
    run = lab.start(apart(bodies.spins), str(marks))
    wait_for(lambda: lines(marks))
    lab.emergency_stop("smoke").result(PATIENCE)
    with pytest.raises(RunCancelled, match="smoke"):
        run.result(PATIENCE)
    wait_for(lambda: lab.processes.pids == ())


def test_a_body_that_waits_for_a_process_can_be_cancelled(lab: Lab, tmp_path: Path) -> None:
    marks = tmp_path / "marks"
    first = lab.start(apart(bodies.sleeps), str(marks))
    wait_for(lambda: lines(marks))
    second = lab.start(bodies.pid)
    assert "waits for a worker process" in " ".join(second.reasons)
    second.cancel()
    with pytest.raises(RunCancelled):
        second.result(PATIENCE)
    first.cancel()
    assert lab.start(bodies.pid).result(PATIENCE)


# -- what ends by itself


@pytest.mark.parametrize(("how", "told"), [("exit", "exit code 3"), ("crash", "SIGSEGV.*ctypes"), ("kill", "SIGKILL")])
def test_a_worker_that_dies_fails_its_task_by_name_and_is_replaced(lab: Lab, how: str, told: str) -> None:
    child = lab.run(bodies.pid)
    run = lab.start(apart(bodies.dies), how)
    with pytest.raises(WorkerDied, match=rf"(?s)dies#\d+: its worker process {child} .*{told}"):
        run.result(PATIENCE)
    assert run.state is RunState.FAILED
    assert lab.run(bodies.pid) != child


def test_a_worker_that_dies_while_idle_is_replaced_unseen(lab: Lab) -> None:
    child = lab.run(bodies.pid)
    os.kill(child, signal.SIGKILL)
    wait_for(lambda: lab.processes.pids == ())
    assert lab.run(bodies.pid) != child


def test_workers_that_die_again_and_again_are_replaced_for_a_while_only(lab: Lab) -> None:
    lab.processes._limiter = RestartLimiter(RestartPolicy(limit=1, delay=0.0))
    for _ in range(2):
        with pytest.raises(WorkerDied, match="exit code 3"):
            lab.run(apart(bodies.dies), "exit")
    with pytest.raises(WorkerDied, match=r"(?s)no worker process is started for the next .* s, .*exit code 3"):
        lab.run(bodies.pid)


def test_a_body_whose_worker_died_is_tried_again_as_its_options_say(lab: Lab, tmp_path: Path) -> None:
    body = apart(bodies.fails_first, retries=2, restart=RestartPolicy(delay=0.0))
    assert lab.run(body, str(tmp_path / "marks")) == 3


# -- the initializer


def test_each_process_is_initialized_once() -> None:
    with Lab("initialized", processes=1, process_initializer=bodies.set_up) as lab:
        assert [lab.run(apart(bodies.was_set_up)) for _ in range(2)] == [True, True]


def test_an_initializer_that_fails_is_named_and_isnt_tried_for_ever() -> None:
    with Lab("initialized", processes=1, process_initializer=bodies.set_up_badly) as lab:
        lab.processes._limiter = RestartLimiter(RestartPolicy(limit=1, delay=0.0))
        for _ in range(2):
            with pytest.raises(ConfigError, match=r"initializer set_up_badly .*no licence") as caught:
                lab.run(bodies.pid)
            assert isinstance(caught.value.__cause__, RuntimeError)
        with pytest.raises(WorkerDied, match="no licence"):
            lab.run(bodies.pid)


def test_an_initializer_that_never_ends_is_killed_with_the_run() -> None:
    with Lab("initialized", processes=1, process_initializer=bodies.set_up_for_ever, cancel_grace=0.2) as lab:
        run = lab.start(bodies.pid)
        wait_for(lambda: lab.processes.pids)
        run.cancel()
        with pytest.raises(RunCancelled) as caught:
            run.result(PATIENCE)
        assert caught.value.abandoned == ()


def test_a_nonsense_pool_is_refused() -> None:
    with pytest.raises(ConfigError, match="processes=0"):
        Lab(processes=0)
    with pytest.raises(ConfigError, match="process_initializer=3"):
        Lab(process_initializer=3)  # type: ignore[arg-type]  # that is the point
    with pytest.raises(ConfigError, match='"thread" or "process"'):
        task(worker="cluster")(bodies.plain_pid)  # type: ignore[call-overload]  # that is the point
    with pytest.raises(WorkflowError, match="give it to those"):
        workflow(worker="process")(bodies.plain_pid)


# -- what travels


def test_results_and_errors_keep_their_types(lab: Lab) -> None:
    summed, doubled = lab.run(apart(bodies.total), np.ones(300_000))
    assert (summed, doubled.sum()) == (300_000.0, 600_000.0)
    with pytest.raises(Odd, match="odd 7") as caught:
        lab.run(apart(bodies.raises), "odd")
    assert caught.value.code == 7
    notes = "\n".join(caught.value.__notes__)
    assert "In worker process" in notes
    assert "raise Odd(7)" in notes
    assert "/processes/" not in notes
    with pytest.raises(Exception, match="Stubborn: can't be pickled") as stubborn:
        lab.run(apart(bodies.raises), "stubborn")
    assert "raise Stubborn" in "\n".join(stubborn.value.__notes__)
    with pytest.raises(Exception, match="SystemExit"):
        lab.run(apart(bodies.raises), "exit")
    with pytest.raises(Exception, match="returned a lock, which can't travel"):
        lab.run(apart(bodies.raises), "nothing")
    assert lab.run(bodies.pid)


def test_what_cant_travel_is_refused_at_submission_by_name(lab: Lab) -> None:
    with pytest.raises(ConfigError, match=r"argument 1 of total \(a lock\) can't travel"):
        lab.start(apart(bodies.total), threading.Lock())
    with pytest.raises(ConfigError, match=r"argument 'array' of total \(a lock\)"):
        lab.start(apart(bodies.total), array=threading.Lock())
    lock = threading.Lock()

    def closed() -> Any:
        return lock

    with pytest.raises(ConfigError, match="the function of closed can't travel"):
        lab.start(apart(closed))

    @workflow
    def steps() -> None:
        apart(bodies.total)(lock)

    with pytest.raises(ConfigError, match="argument 1 of total"):
        lab.start(steps)


def test_a_closure_travels_where_cloudpickle_is_installed(lab: Lab) -> None:
    pytest.importorskip("cloudpickle")
    factor = 3

    @task(worker="process")
    def times(number: int) -> int:
        return factor * number

    assert lab.run(times, 4) == 12


# -- programs


PROGRAM = """
import sys, os
{before}
from actorlab import Lab, task, spawn

print("ran", flush=True)

class Lamp:
    def shine(self): return 40

def helper(number): return number + 1

@task
def inner(number): return helper(number)

@task(worker="process")
def outer(lamp, number):
    print("printed by the body")
    return inner(number) + lamp.shine() + spawn(inner, 1).result(), os.getpid()

with Lab("program", processes=1) as lab:
    lamp = lab.add("lamp", Lamp)
    value, pid = lab.run(outer, lamp, 3)
    print(value, pid != os.getpid(), flush=True)
"""


def run_program(tmp_path: Path, program: str) -> subprocess.CompletedProcess[str]:
    script = tmp_path / "program.py"
    script.write_text(program)
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-W", "error", str(script)]
    return subprocess.run(command, env=environment, check=False, capture_output=True, text=True, timeout=60)


def test_an_unguarded_program_runs_once_and_its_own_tasks_run_in_processes(tmp_path: Path) -> None:
    pytest.importorskip("cloudpickle")
    done = run_program(tmp_path, PROGRAM.format(before=""))
    assert done.stderr == ""
    assert done.stdout.splitlines() == ["ran", "printed by the body", "46 True"]


def test_without_cloudpickle_a_task_of_the_program_is_refused_with_the_way_out(tmp_path: Path) -> None:
    done = run_program(tmp_path, PROGRAM.format(before="sys.modules['cloudpickle'] = None"))
    assert done.stdout == "ran\n"
    last = done.stderr.splitlines()[-1]
    assert "outer is defined in the program itself (__main__)" in done.stderr
    assert "pip install cloudpickle" in last


KILLED = """
import sys, signal
from actorlab import Lab, task
from tests.runtime import process_tasks as bodies

lab = Lab("killed", processes=2)
runs = [lab.start(task(worker="process")(getattr(bodies, name)), sys.argv[1]) for name in ("sleeps", "spins")]
signal.pause()
"""


def test_worker_processes_end_when_the_labs_process_is_killed(tmp_path: Path) -> None:
    marks = tmp_path / "marks"
    command = [sys.executable, "-c", KILLED, str(marks)]
    with subprocess.Popen(command, cwd=ROOT) as program:
        try:
            wait_for(lambda: len(lines(marks)) == 2)
            tasks = Path(f"/proc/{program.pid}/task").iterdir()
            children = [int(child) for each in tasks for child in (each / "children").read_text().split()]
            assert len(children) == 2
        finally:
            program.kill()
    wait_for(lambda: all(has_ended(child) for child in children))
    assert {"finally", "left"} <= set(lines(marks))


def test_ctrl_c_cancels_the_run_and_leaves_no_process(tmp_path: Path) -> None:
    marks = tmp_path / "marks"
    program = """
import sys
from actorlab import Lab, task
from tests.runtime import process_tasks as bodies

with Lab("interrupted", processes=1) as lab:
    lab.run(task(worker="process")(bodies.sleeps), sys.argv[1])
"""
    command = [sys.executable, "-c", program, str(marks)]
    with subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True, start_new_session=True) as running:
        wait_for(lambda: lines(marks))
        os.killpg(running.pid, signal.SIGINT)  # as a terminal does it
        _, errors = running.communicate(timeout=PATIENCE)
    assert "KeyboardInterrupt" in errors
    assert lines(marks) == ["begun", "finally"]
