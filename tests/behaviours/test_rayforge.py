"""Do here what users of Rayforge's task manager do in a desktop program, and show that its faults can't happen."""

from __future__ import annotations

import asyncio
import logging
import os
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from multiprocessing.shared_memory import SharedMemory
from pathlib import Path
from textwrap import dedent
from typing import Any

import numpy as np
import pytest

from actorlab import (
    ConfigError,
    Lab,
    Run,
    RunCancelled,
    RunState,
    WorkerDied,
    checkpoint,
    emit,
    phase,
    progress,
    sleep,
    task,
    track,
    wait,
)
from actorlab.runtime.events import Event, Subscription

ROOT = Path(__file__).parents[2]
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))  # worker processes get our path, and import their work by it

from tests.behaviours import rayforge_work as work  # noqa: E402

Until = Callable[[Run[Any], RunState], None]
Eventually = Callable[[Callable[[], object]], None]
S = RunState
PATIENCE = 5.0
LONG = 20.0
"""A worker process has to start, and to import numpy, for what is waited for so long."""


class MainLoop:
    """The main thread of a program with windows: it runs what it is handed, one after another, when it comes to it."""

    def __init__(self) -> None:
        self._functions: queue.Queue[Callable[[], object]] = queue.Queue()

    def __call__(self, function: Callable[[], object]) -> None:
        """Take a function, from any thread; that is what makes it a dispatcher."""
        self._functions.put(function)

    def run_until(self, over: Callable[[], object]) -> None:
        """Run what comes until something is over, at most for the patience of a test."""
        end = time.monotonic() + PATIENCE
        while not over():
            assert time.monotonic() < end, "it isn't over"
            self.run_for(0.01)

    def run_for(self, seconds: float) -> None:
        try:
            self._functions.get(timeout=seconds)()
        except queue.Empty:
            return


def told(events: Subscription, enough: Callable[[list[Event]], bool]) -> list[Event]:
    """Return the events that have come, as soon as they are enough."""
    found: list[Event] = []
    end = time.monotonic() + PATIENCE
    while not enough(found):
        assert time.monotonic() < end, f"only {found} came"
        event = events.get(timeout=0.5)
        found += [] if event is None else [event]
    return found


def shows(run: Run[Any], fraction: float, message: str | None = None) -> bool:
    """Tell whether a run's progress is shown as this."""
    seen = run.progress
    return seen is not None and seen.fraction == pytest.approx(fraction) and message in (None, seen.message)


def events() -> tuple[threading.Event, threading.Event]:
    return threading.Event(), threading.Event()


def hold(begun: threading.Event, go: threading.Event) -> str:
    begun.set()
    while not go.is_set():
        sleep(0.001)
    return "went on"


# -- one manager, keys


def test_coroutines_and_functions_are_started_by_one_manager_and_tell_their_results_alike(lab: Lab) -> None:
    async def trace(image: str) -> str:
        await asyncio.sleep(0)
        return f"{threading.current_thread().name} traced {image}"

    def render(image: str) -> str:
        return f"{threading.current_thread().name} rendered {image}"

    runs = [lab.start(task(trace).options(key="trace"), "a"), lab.start(task(render).options(key="render"), "a")]
    traced, rendered = [run.result(PATIENCE) for run in runs]
    assert "traced a" in traced
    assert "rendered a" in rendered
    assert len({threading.current_thread().name, traced.split(" traced")[0], rendered.split(" rendered")[0]}) == 3


def test_a_task_with_the_key_of_a_running_one_replaces_it_when_that_has_ended(lab: Lab) -> None:
    order: list[str] = []
    begun, cleaning = events()
    cleaned = threading.Event()

    def old() -> None:
        try:
            begun.set()
            sleep(60)
        finally:
            cleaning.set()
            assert cleaned.wait(PATIENCE)
            order.append("the old one has cleaned up")

    def new() -> str:
        order.append("the new one begins")
        return "new"

    first = lab.start(task(old).options(key="import"))
    assert begun.wait(PATIENCE)
    second = lab.start(task(new).options(key="import", on_conflict="replace"))
    assert cleaning.wait(PATIENCE)
    assert second.state is S.WAITING
    assert first.id in " ".join(second.reasons)
    cleaned.set()
    assert second.result(PATIENCE) == "new"
    assert order == ["the old one has cleaned up", "the new one begins"], "they overlapped there"
    assert first.state is S.CANCELLED


def test_tasks_are_found_and_cancelled_by_their_key(lab: Lab) -> None:
    begun, go = events()
    lab.start(task(hold).options(key="machine 1: trace"), begun, go)
    other = lab.start(task(hold).options(key="machine 2: trace"), threading.Event(), go)
    assert begun.wait(PATIENCE)
    (found,) = [run for run in lab.runs if run.key == "machine 1: trace"]
    found.cancel("by its key")
    with pytest.raises(RunCancelled, match="by its key"):
        found.result(PATIENCE)
    assert not other.done()
    go.set()
    assert other.result(PATIENCE) == "went on"


def test_starting_work_on_one_machine_cancels_none_on_another_as_keys_are_values(lab: Lab) -> None:
    gates = [events(), events()]
    runs = [
        lab.start(task(hold).options(key=f"{machine}: home", on_conflict="replace"), *gate)
        for machine, gate in zip(("mill", "laser"), gates, strict=True)
    ]
    assert all(begun.wait(PATIENCE) for begun, _ in gates)
    for _, go in gates:
        go.set()
    assert [run.result(PATIENCE) for run in runs] == ["went on", "went on"]


# -- progress


def test_progress_is_a_fraction_or_n_of_a_total_with_a_message(lab: Lab, eventually: Eventually) -> None:
    steps = [(0.25, None), (3, 4)]
    asked: queue.Queue[int] = queue.Queue()

    def body() -> None:
        for done, total in steps:
            progress(done, total or 1.0, f"at {done}")
            assert asked.get(timeout=PATIENCE)

    run = lab.start(body)
    for fraction, message in ((0.25, "at 0.25"), (0.75, "at 3")):
        eventually(partial(shows, run, fraction, message))
        asked.put(1)
    run.result(PATIENCE)


def test_the_progress_of_stages_within_stages_is_one_figure(lab: Lab, eventually: Eventually) -> None:
    go: queue.Queue[int] = queue.Queue()

    def import_file() -> None:
        with phase("reading", weight=0.2):
            progress(1, 2)
            go.get(timeout=PATIENCE)
        with phase("tracing", weight=0.5):
            for name in ("outline", "holes"):
                with phase(name, weight=0.5):
                    progress(1, 2)
                    go.get(timeout=PATIENCE)
        with phase("sorting"):
            progress(1, 2)
            go.get(timeout=PATIENCE)

    run = lab.start(import_file)
    for expected in (0.1, 0.2 + 0.5 * 0.25, 0.2 + 0.5 * 0.75, 0.85):
        eventually(partial(shows, run, expected))
        go.put(1)
    run.result(PATIENCE)
    assert run.progress is not None
    assert run.progress.fraction == 1.0


def test_progress_is_told_at_most_ten_times_a_second_and_its_last_value_is_never_lost(lab: Lab) -> None:
    def render() -> None:
        for number in range(50_001):
            progress(number, 50_000, f"{number}")

    with lab.events.subscribe(kinds=["progress"], snapshot=False) as changes:
        began = time.monotonic()
        lab.run(render)
        took = time.monotonic() - began
        seen = told(changes, lambda events: any(event.data["done"] == 50_000 for event in events))
    assert (seen[-1].data["done"], seen[-1].data["message"]) == (50_000, "50000")
    assert len(seen) <= 10 * took + 3


def test_the_progress_of_a_hundred_tasks_costs_no_timer_thread_each(lab: Lab) -> None:
    go = asyncio.Event()
    loops: list[asyncio.AbstractEventLoop] = []

    async def body() -> None:
        loops.append(asyncio.get_running_loop())
        async for _ in track(range(100), "rendering"):
            await asyncio.sleep(0)
        await go.wait()

    before = threading.active_count()
    with lab.events.subscribe(kinds=["progress"], snapshot=False) as changes:
        runs = [lab.start(body) for _ in range(100)]
        ids = {run.id for run in runs}
        told(changes, lambda events: {event.subject for event in events if event.data["done"] == 100} == ids)
        assert threading.active_count() - before < 10
        loops[0].call_soon_threadsafe(go.set)
        assert wait(runs, PATIENCE).pending == ()


# -- events, callbacks, the main thread


def test_memory_is_handed_over_by_an_event_and_given_back_by_its_acknowledgement(lab: Lab) -> None:
    images: list[Any] = []

    def render() -> str:
        memory = SharedMemory(create=True, size=1000)
        try:
            np.ndarray(1000, np.uint8, memory.buf)[:] = 7
            return str(emit("image", memory.name, acknowledged=PATIENCE))
        finally:
            memory.close()
            memory.unlink()  # nobody looks at it any more

    def adopt(event: Event) -> None:
        if event.data["name"] == "image":
            memory = SharedMemory(event.data["data"])
            images.append(np.ndarray(1000, np.uint8, memory.buf).copy())
            memory.close()
            event.data["acknowledge"]("taken")

    lab.events.subscribe(adopt, kinds=["emit"], snapshot=False)
    assert lab.run(render) == "taken"
    assert images[0].sum() == 7000


def test_one_signal_tells_every_change_of_every_task(lab: Lab) -> None:
    with lab.events.subscribe(kinds=["run"]) as changes:
        good, bad = lab.start(int, "7"), lab.start(int, "seven")
        wait([good, bad], PATIENCE)
        ends = {S.SUCCEEDED, S.FAILED}
        seen = told(changes, lambda events: ends <= {event.data["state"] for event in events})
    for run, end in ((good, S.SUCCEEDED), (bad, S.FAILED)):
        states = [event.data["state"] for event in seen if event.subject == run.id]
        assert states[-1] == end
        assert S.RUNNING in states


def test_when_done_and_when_event_are_called_on_the_main_thread(lab: Lab) -> None:
    main = MainLoop()
    here = threading.get_ident()
    calls: list[tuple[str, int]] = []

    def render() -> int:
        emit("layer", 1)
        return 42

    def when_event(event: Event) -> None:
        calls.append((f"{event.data['name']} {event.data['data']}", threading.get_ident()))

    def when_done(run: Run[int]) -> None:
        calls.append((f"done {run.result()}", threading.get_ident()))

    lab.events.subscribe(when_event, kinds=["emit"], dispatcher=main, snapshot=False)
    run = lab.start(render)
    run.add_done_callback(lambda run: main(lambda: when_done(run)))
    main.run_until(lambda: len(calls) == 2)
    assert sorted(calls) == [("done 42", here), ("layer 1", here)]


def test_a_function_is_scheduled_on_the_main_thread_now_or_later_and_can_be_cancelled(lab: Lab) -> None:
    main = MainLoop()
    calls: list[str] = []
    later = lab.later(0.03, calls.append, "later", dispatcher=main)
    never = lab.later(0.02, calls.append, "never", dispatcher=main)
    lab.later(0, calls.append, "now", dispatcher=main)
    assert never.cancel()
    main.run_until(later.done)
    assert calls == ["now", "later"]


def test_a_task_waits_for_what_a_function_gives_on_the_main_thread(lab: Lab) -> None:
    main = MainLoop()
    here = threading.get_ident()

    def body() -> int:
        return lab.later(0, threading.get_ident, dispatcher=main).result()

    async def coroutine() -> int:
        return await lab.later(0, threading.get_ident, dispatcher=main)

    for run in (lab.start(body), lab.start(coroutine)):
        main.run_until(run.done)
        assert run.result() == here


def test_a_task_that_waits_for_a_main_thread_which_stands_still_can_be_cancelled(lab: Lab) -> None:
    waiting: queue.Queue[int] = queue.Queue()

    def body() -> int:
        answer = lab.later(0, threading.get_ident, dispatcher=lambda _: waiting.put(1))
        return answer.result()

    run = lab.start(body)
    assert waiting.get(timeout=PATIENCE)
    began = time.monotonic()
    run.cancel()
    assert isinstance(run.exception(PATIENCE), RunCancelled)
    assert run.state is S.CANCELLED
    assert time.monotonic() - began < 1.0


# -- states


def test_states_results_exceptions_and_messages_are_asked_of_each_task(lab: Lab, until: Until) -> None:
    begun, go = events()

    def fail() -> None:
        progress(1, 2, "half way")
        message = "no such file"
        raise FileNotFoundError(message)

    first = lab.start(task(hold).options(key="one"), begun, go)
    assert begun.wait(PATIENCE)
    second = lab.start(task(lambda: 42).options(key="one"))
    until(second, S.WAITING)
    assert first.state is S.RUNNING
    third = lab.start(fail)
    assert isinstance(third.exception(PATIENCE), FileNotFoundError)
    assert third.state is S.FAILED
    assert third.progress is not None
    assert third.progress.message == "half way"
    go.set()
    assert (first.result(PATIENCE), second.result(PATIENCE)) == ("went on", 42)
    assert second.state is S.SUCCEEDED


def test_tasks_are_iterated_counted_and_waited_for_until_all_have_settled(lab: Lab) -> None:
    gates = [events() for _ in range(3)]
    runs = [lab.start(hold, *gate) for gate in gates]
    assert all(begun.wait(PATIENCE) for begun, _ in gates)
    assert {run.id for run in lab.runs if not run.done()} == {run.id for run in runs}
    assert wait(runs, 0.01).done == ()
    runs[0].cancel()
    for _, go in gates[1:]:
        go.set()
    settled = wait(runs, PATIENCE)
    assert settled.pending == ()
    assert [run.state for run in runs] == [S.CANCELLED, S.SUCCEEDED, S.SUCCEEDED]


# -- faults


def test_cancelling_from_another_thread_reaches_a_sleeping_coroutine_at_once(lab: Lab) -> None:
    begun = threading.Event()
    ended: list[float] = []

    async def body() -> None:
        begun.set()
        try:
            await asyncio.sleep(60)
        finally:
            ended.append(time.monotonic())

    run = lab.start(body)
    assert begun.wait(PATIENCE)
    began = time.monotonic()
    run.cancel()
    assert isinstance(run.exception(PATIENCE), RunCancelled)
    assert ended[0] - began < 0.5, "it took 2.7 s there"


def test_a_callback_that_raises_hurts_only_itself(lab: Lab, caplog: pytest.LogCaptureFixture) -> None:
    heard: list[str] = []
    done = threading.Event()

    def wrong(*_: object) -> None:
        message = "a slip in a callback"
        raise AttributeError(message)

    def right(event: Event) -> None:
        heard.append(event.subject)

    with caplog.at_level(logging.ERROR, "actorlab"):
        lab.events.subscribe(wrong)
        lab.events.subscribe(right, kinds=["run"], snapshot=False)
        first = lab.start(lambda: 1)
        first.add_done_callback(wrong)
        first.add_done_callback(lambda _: done.set())
        assert first.result(PATIENCE) == 1
        assert done.wait(PATIENCE)
        second = lab.start(lambda: 2)
        second.add_done_callback(wrong)
        assert second.result(PATIENCE) == 2, "there it was registered and never started, or nobody heard of its end"
        lab.close()
    assert {first.id, second.id} <= set(heard)
    assert "a slip in a callback" in caplog.text


def test_a_program_that_has_shut_its_manager_down_ends(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    text = """
        import threading
        from actorlab import Lab, sleep

        def forever():
            while True:
                sleep(60)

        async def waiting():
            import asyncio
            await asyncio.sleep(3600)

        lab = Lab(cancel_grace=0.2)
        never = threading.Event()
        runs = [lab.start(forever), lab.start(waiting), lab.start(never.wait)]
        lab.later(3600, print)
        lab.events.subscribe(lambda event: None)
        lab.close()
        print([run.done() for run in runs])
    """
    program.write_text(dedent(text), encoding="utf-8")
    began = time.monotonic()
    ended = subprocess.run([sys.executable, program], capture_output=True, text=True, timeout=30, check=False)
    assert (ended.returncode, ended.stdout.strip()) == (0, "[True, True, True]"), ended.stderr
    assert time.monotonic() - began < 20


def test_a_worker_that_is_cancelled_is_not_said_to_have_stopped_while_it_goes_on(lab: Lab) -> None:
    begun, go = events()
    done: list[str] = []

    def work() -> None:
        begun.set()
        assert go.wait(PATIENCE)
        done.append("a last step")
        checkpoint()
        done.append("another step")

    run = lab.start(work)
    assert begun.wait(PATIENCE)
    run.cancel()
    with pytest.raises(TimeoutError):
        run.result(0.05)
    assert run.state is S.CANCELLING
    go.set()
    with pytest.raises(RunCancelled):
        run.result(PATIENCE)
    assert done == ["a last step"]


# -- a warm pool of processes


@pytest.fixture
def pool() -> Iterator[Lab]:
    """Make a lab with one worker process."""
    made = Lab("pool", processes=1, cancel_grace=0.5)
    yield made
    made.close()


def test_work_for_the_cpu_is_done_in_a_warm_pool_which_an_initializer_prepares() -> None:
    with Lab(processes=2, process_initializer=work.load_fonts) as lab:
        image = np.zeros((200, 300), np.uint8)
        image[:, 150:] = 200
        runs = [lab.start(work.count_dark, image) for _ in range(6)]
        assert [run.result(LONG) for run in runs] == [200 * 150] * 6
        assert runs[0].progress is not None
        assert runs[0].progress[:3] == (200, 200, "tracing")
        told = [run.result(LONG) for run in [lab.start(work.fonts_and_pid) for _ in range(6)]]
        assert all(fonts == ["sans"] for fonts, _ in told), "prepared once in each, whatever it has done before"
        assert len({pid for _, pid in told}) <= 2
        assert os.getpid() not in {pid for _, pid in told}


def test_concurrent_first_use_makes_one_pool() -> None:
    with Lab(processes=1) as lab:
        together = threading.Barrier(4, timeout=PATIENCE)
        pids: list[int] = []

        def first_use() -> None:
            together.wait()
            pids.append(lab.run(work.fonts_and_pid)[1])

        threads = [threading.Thread(target=first_use) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(LONG)
        assert len(pids) == 4
        assert len(set(pids)) == 1, "there were four pools there"


def test_a_worker_that_dies_fails_its_task_by_name_and_is_replaced(pool: Lab) -> None:
    _, before = pool.run(work.fonts_and_pid)
    run = pool.start(work.crash)
    error = run.exception(LONG)
    assert isinstance(error, WorkerDied)
    assert run.id in str(error)
    _, after = pool.run(work.fonts_and_pid)
    assert after != before


def test_results_and_functions_that_cannot_be_pickled_leave_no_task_running(pool: Lab) -> None:
    for kind in ("lock", "generator"):
        run = pool.start(work.give, kind)
        error = run.exception(LONG)
        assert error is not None
        assert kind in str(error)
        assert run.state is S.FAILED, "it was running for ever there"
    lock = threading.Lock()
    with pytest.raises(ConfigError, match="can't travel"):
        pool.start(task(worker="process")(lock.acquire))
    assert all(run.done() for run in pool.runs)


def test_the_type_of_an_error_comes_over_from_a_process(pool: Lab) -> None:
    with pytest.raises(work.TraceError) as caught:
        pool.run(work.fail)
    assert caught.value.line == 7


def test_an_initializer_that_fails_is_told_and_not_tried_for_ever(tmp_path: Path) -> None:
    log = tmp_path / "attempts"
    with Lab(processes=1, process_initializer=partial(work.no_fonts, str(log))) as lab:
        runs = [lab.start(work.fonts_and_pid) for _ in range(3)]
        errors = [run.exception(LONG) for run in runs]
        assert all("no fonts here" in str(error) for error in errors)
        assert len(log.read_text(encoding="utf-8").splitlines()) <= 1 + 3, "it was respawned without end there"


@pytest.mark.parametrize("body", [work.trace_for_ever, work.spin_for_ever], ids=lambda body: str(body.name))
def test_a_cancelled_worker_has_stopped_when_that_is_said(pool: Lab, tmp_path: Path, body: Any) -> None:
    log = tmp_path / "steps"
    run = pool.start(body, str(log))
    end = time.monotonic() + LONG
    while not log.exists() or log.stat().st_size < 100:
        assert time.monotonic() < end
        threading.Event().wait(0.005)
    run.cancel()
    assert isinstance(run.exception(LONG), RunCancelled)
    size = log.stat().st_size
    assert isinstance(pool.run(work.fonts_and_pid)[1], int), "whoever comes next gets a process"
    assert log.stat().st_size == size, "it went on unseen there"


def test_memory_is_handed_over_from_a_worker_process(pool: Lab) -> None:
    sums: list[int] = []

    def adopt(event: Event) -> None:
        memory = SharedMemory(event.data["data"])
        sums.append(int(np.ndarray(1000, np.uint8, memory.buf).sum()))
        memory.close()
        event.data["acknowledge"]("taken")

    pool.events.subscribe(adopt, kinds=["emit"], snapshot=False)
    assert pool.run(work.render, 1000) == "taken"
    assert sums == [7000]


def test_the_overall_progress_is_that_of_all_tasks_but_hidden_ones(lab: Lab, eventually: Eventually) -> None:
    go, begun = threading.Event(), threading.Event()

    def half() -> None:
        progress(1, 2)
        begun.set()
        assert go.wait(PATIENCE)

    done = lab.start(lambda: progress(1, 1))
    done.result(PATIENCE)
    hidden = lab.start(task(hold).options(hidden=True), threading.Event(), go)
    one = lab.start(half)
    assert begun.wait(PATIENCE)
    other = lab.start(lambda: 42)
    other.result(PATIENCE)
    eventually(lambda: lab.progress is not None and lab.progress.fraction == pytest.approx(0.75))
    go.set()
    assert wait([hidden, one], PATIENCE).pending == ()
