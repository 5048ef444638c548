"""Hold runs to their structure: children, pauses, retries, callbacks, several labs, and how a lab ends."""

from __future__ import annotations

import asyncio
import logging
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pykka
import pytest

from actorlab import (
    ActorLabError,
    AskDeadlock,
    Cancelled,
    ConfigError,
    DeviceBusy,
    DeviceFault,
    DeviceUnavailable,
    Lab,
    NotLeased,
    RestartPolicy,
    Run,
    RunCancelled,
    RunState,
    RunTimeout,
    ask,
    checkpoint,
    current_run,
    log,
    progress,
    query,
    sleep,
    spawn,
    task,
    track,
)
from actorlab.core.run_core import RunCore
from actorlab.core.run_events import BodyEnded

if TYPE_CHECKING:
    from tests.runtime.conftest import Gate

Until = Callable[[Run[Any], RunState], None]


class Lamp:
    """A device that writes down what it does."""

    def __init__(self, entries: list[str] | None = None) -> None:
        self.entries = [] if entries is None else entries

    def set(self, level: int) -> int:
        self.entries.append(f"set {level}")
        return level

    @query
    def level(self) -> int:
        return len(self.entries)

    def make_safe(self) -> None:
        self.entries.append("safe")

    def close(self) -> None:
        self.entries.append("closed")


def light(lamp: Lamp, level: int) -> int:
    return lamp.set(level)


def breaks(*_: Any) -> int:
    message = "it broke"
    raise ValueError(message)


# -- looking at a run


def test_a_run_has_a_name_a_state_a_result_and_a_repr(lab: Lab, gate: Gate) -> None:
    def sweep() -> int:
        gate.stop()
        return 3

    run = lab.start(sweep)
    gate.reached()
    assert (run.name, run.id) == ("sweep", "sweep#1")
    assert repr(run) == "<sweep#1: running>"
    assert lab.get("sweep#1") is run
    assert not run.done()
    gate.open()
    assert run.result(5) == 3
    assert repr(run) == "<sweep#1: succeeded>"
    assert run.exception() is None
    assert lab.runs == (run,)
    with pytest.raises(ConfigError, match="no run 'sweep#9'"):
        lab.get("sweep#9")


def test_an_error_of_the_body_is_raised_as_itself_with_a_note_that_names_the_run(lab: Lab) -> None:
    run = lab.start(breaks)
    with pytest.raises(ValueError, match="it broke") as caught:
        run.result(5)
    assert f"in {run.id}" in caught.value.__notes__
    assert run.state is RunState.FAILED


def test_progress_is_told_by_track_and_by_progress(lab: Lab, gates: Any) -> None:
    tracked, told = gates(), gates()

    def body() -> None:
        for number in track(range(4), "sweeping"):
            if number == 2:
                tracked.stop()
        progress(3, 10, "measuring")
        told.stop()

    run = lab.start(body)
    tracked.reached()
    assert run.progress is not None
    assert run.progress[:3] == (2, 4, "sweeping")
    assert run.progress.fraction == 0.5
    tracked.open()
    told.reached()
    assert run.progress is not None
    assert run.progress[:3] == (3, 10, "measuring")
    told.open()
    run.result(5)


def test_current_run_is_the_run_in_whose_body_it_is_asked(lab: Lab) -> None:
    found: list[Any] = []
    run = lab.start(lambda: found.append(current_run()))
    run.result(5)
    assert found == [run]
    assert current_run() is None


def test_what_a_body_logs_is_an_event_in_its_name(lab: Lab) -> None:
    events = lab.events.subscribe()
    run = lab.start(lambda: log("settled", kelvin=300))
    run.result(5)
    lab.ask(events.close)
    (event,) = [event for event in events if event.kind == "log"]
    assert (event.subject, event.data) == (run.id, {"message": "settled", "kelvin": 300})


def test_bodies_see_the_context_of_their_starter(lab: Lab) -> None:
    import contextvars  # noqa: PLC0415 - only here

    operator = contextvars.ContextVar("operator", default="nobody")
    operator.set("Ada")
    assert lab.run(operator.get) == "Ada"


# -- children


def test_a_child_borrows_and_the_lenders_own_calls_are_refused_meanwhile(lab: Lab, gate: Gate) -> None:
    entries: list[str] = []
    lamp = lab.add("lamp", Lamp, entries)
    errors: list[BaseException] = []

    def child(lamp: Lamp) -> int:
        gate.stop()
        return lamp.set(1)

    def body(lamp: Lamp) -> int:
        run = spawn(child, lamp)
        gate.reached()
        try:
            lamp.set(9)
        except ActorLabError as error:
            errors.append(error)
        gate.open()
        return run.result() + lamp.set(2)

    assert lab.run(body, lamp) == 3
    assert isinstance(errors[0], NotLeased | DeviceBusy)
    assert "child#" in str(errors[0])
    assert entries == ["set 1", "set 2"]


def test_children_that_want_the_same_device_follow_one_another(lab: Lab) -> None:
    entries: list[str] = []
    lamp = lab.add("lamp", Lamp, entries)

    def child(lamp: Lamp, number: int) -> None:
        lamp.set(number)
        lamp.set(number)

    def body(lamp: Lamp) -> None:
        for run in [spawn(child, lamp, number) for number in range(20)]:
            run.result()

    lab.run(body, lamp)
    assert entries == [f"set {number}" for number in range(20) for _ in range(2)]


def test_a_waiting_child_says_for_what_it_waits(lab: Lab, gate: Gate) -> None:
    lamp = lab.add("lamp", Lamp)
    seen: list[Any] = []

    def body(lamp: Lamp) -> None:
        first = spawn(lambda _: gate.stop(), lamp)
        gate.reached()
        second = spawn(light, lamp, 1)
        seen.append((second.reasons, second.id, first.id))
        gate.open()

    lab.run(body, lamp)
    ((reasons, second, first),) = seen
    assert reasons == (f"{second} waits for lamp, held by {first}",)


def test_children_that_share_nothing_run_at_the_same_time(lab: Lab) -> None:
    together = threading.Barrier(8, timeout=5)

    def body() -> list[int]:
        return [run.result() for run in [spawn(together.wait) for _ in range(8)]]

    assert sorted(lab.run(body)) == list(range(8))


def test_a_grandchild_borrows_through_its_parents(lab: Lab) -> None:
    def depth(lamp: Lamp, levels: int) -> int:
        return lamp.set(0) if not levels else 1 + spawn(depth, lamp, levels - 1).result()

    assert lab.run(depth, lab.add("lamp", Lamp), 15) == 15


def test_lab_run_and_lab_start_in_a_body_start_a_child(lab: Lab) -> None:
    lamp = lab.add("lamp", Lamp)
    run = lab.start(lambda lamp: lab.run(light, lamp, 1) + lab.start(light, lamp, 2).result(), lamp)
    assert run.result(5) == 3
    assert [child.name for child in run.children] == ["light", "light"]


def test_a_childs_failure_reaches_whoever_asks_for_its_result(lab: Lab) -> None:
    def body() -> str:
        try:
            spawn(breaks).result()
        except ValueError as error:
            return str(error)
        return "nothing"

    assert lab.run(body) == "it broke"


def test_a_childs_failure_that_nobody_looks_at_fails_the_parent(lab: Lab) -> None:
    def body() -> int:
        spawn(breaks)
        return 1

    with pytest.raises(ValueError, match="it broke"):
        lab.run(body)


def test_a_run_ends_after_its_children_even_if_its_body_failed(lab: Lab, gate: Gate) -> None:
    ended: list[str] = []
    children: list[Run[Any]] = []

    def child() -> None:
        try:
            gate.arrive()
            sleep(60)
        finally:
            ended.append("child")

    def body() -> None:
        children.append(spawn(child))
        gate.reached()
        breaks()

    with pytest.raises(ValueError, match="it broke"):
        lab.run(body)
    assert ended == ["child"]
    assert children[0].state is RunState.CANCELLED


def test_waiting_for_ones_own_parent_is_refused_at_once(lab: Lab) -> None:
    parents: list[Run[Any]] = []

    def child() -> None:
        parents[0].result()

    def body() -> None:
        run = current_run()
        assert run is not None
        parents.append(run)
        spawn(child).result()

    with pytest.raises(AskDeadlock, match=r"child#\d+ -> body#\d+.*could never end"):
        lab.run(body)


def test_two_runs_that_would_wait_for_one_another_are_refused(lab: Lab) -> None:
    runs: list[Run[Any]] = []
    both = threading.Barrier(2, timeout=5)

    def body(other: int) -> str:
        both.wait()
        try:
            runs[other].result()
        except AskDeadlock:
            return "refused"
        return "waited"

    gate = threading.Event()

    def late(other: int) -> str:
        gate.wait(5)
        return body(other)

    runs.extend(lab.start(late, other) for other in (1, 0))
    gate.set()
    assert sorted(run.result(5) for run in runs) in (["refused", "waited"], ["refused", "refused"])


def test_a_child_may_take_no_device_which_its_parent_was_not_given(lab: Lab) -> None:
    entries: list[str] = []
    lamp, other = lab.add("lamp", Lamp), lab.add("other", Lamp, entries)
    with pytest.raises(NotLeased, match="can't lend 'other'"):
        lab.run(lambda _: spawn(light, other, 1).result(), lamp)
    assert entries == []


def test_a_failed_child_leaves_the_device_to_its_lender_who_makes_it_safe_only_if_he_fails(lab: Lab) -> None:
    entries: list[str] = []
    lamp = lab.add("lamp", Lamp, entries)

    def child(lamp: Lamp) -> None:
        lamp.set(1)
        breaks()

    def body(lamp: Lamp) -> int:
        with pytest.raises(ValueError, match="it broke"):
            spawn(child, lamp).result()
        return lamp.set(2)

    assert lab.run(body, lamp) == 2
    assert entries == ["set 1", "set 2"]


# -- pause


def test_a_paused_run_stands_at_its_next_track_and_keeps_its_devices(lab: Lab, gate: Gate, until: Until) -> None:
    entries: list[str] = []
    lamp = lab.add("lamp", Lamp, entries)

    def body(lamp: Lamp) -> int:
        for number in track(range(4)):
            lamp.set(number)
            if number == 1:
                gate.stop()
        return 4

    run = lab.start(body, lamp)
    gate.reached()
    run.pause("lunch")
    until(run, RunState.PAUSING)
    gate.open()
    until(run, RunState.PAUSED)
    assert entries == ["set 0", "set 1"]
    assert run.reasons == (f"{run.id} is paused: lunch",)
    with pytest.raises(DeviceBusy, match=run.id):
        lamp.set(9)
    run.resume()
    assert run.result(5) == 4
    assert entries == [f"set {number}" for number in range(4)]


def test_a_paused_run_can_be_cancelled(lab: Lab, gate: Gate, until: Until) -> None:
    def body() -> None:
        gate.arrive()
        while True:
            checkpoint()

    run = lab.start(body)
    gate.reached()
    run.pause()
    until(run, RunState.PAUSED)
    run.cancel()
    with pytest.raises(RunCancelled):
        run.result(5)


def test_a_pause_takes_the_children_along(lab: Lab, gate: Gate, until: Until) -> None:
    children: list[Run[Any]] = []
    go_on = threading.Event()

    def child() -> int:
        gate.arrive()
        while not go_on.is_set():
            checkpoint()
        return 1

    def body() -> int:
        run = spawn(child)
        children.append(run)
        return run.result()

    run = lab.start(body)
    gate.reached()
    run.pause()
    until(run, RunState.PAUSED)
    assert children[0].state is RunState.PAUSED
    go_on.set()
    run.resume()
    assert run.result(5) == 1


def test_a_timeout_stands_still_while_the_run_is_paused(lab: Lab, gate: Gate, until: Until) -> None:
    go_on = threading.Event()

    def body() -> int:
        gate.arrive()
        while not go_on.is_set():
            checkpoint()
        return 1

    run = lab.start(task(body).options(timeout=0.4))
    gate.reached()
    run.pause()
    until(run, RunState.PAUSED)
    with pytest.raises(TimeoutError, match="it goes on"):
        run.result(0.6)
    assert run.state is RunState.PAUSED
    go_on.set()
    run.resume()
    assert run.result(5) == 1


def test_a_timeout_goes_on_counting_after_the_pause(lab: Lab, gate: Gate, until: Until) -> None:
    def body() -> None:
        gate.arrive()
        while True:
            checkpoint()

    run = lab.start(task(body).options(timeout=0.1))
    gate.reached()
    run.pause()
    until(run, RunState.PAUSED)
    run.resume()
    with pytest.raises(RunTimeout):
        run.result(5)


def test_a_lab_goes_on_while_many_pauses_come_and_go(lab: Lab) -> None:
    go_on = threading.Event()
    begun = threading.Event()

    def body() -> int:
        begun.set()
        while not go_on.is_set():
            checkpoint()
        return 1

    run = lab.start(body)
    assert begun.wait(5)
    for _ in range(200):
        run.pause()
        run.resume()
    go_on.set()
    assert run.result(5) == 1


# -- retries


def test_retries_begin_again_as_often_as_they_say_and_raise_the_last_error(lab: Lab) -> None:
    attempts: list[int] = []

    def flaky() -> None:
        attempts.append(1)
        message = f"attempt {len(attempts)}"
        raise ValueError(message)

    run = lab.start(task(flaky).options(retries=2, restart=RestartPolicy(delay=0.01)))
    with pytest.raises(ValueError, match="attempt 3"):
        run.result(5)
    assert len(attempts) == 3
    assert run.steps[0].attempts == 3


def test_a_retry_keeps_the_lease_and_finds_the_devices_as_they_are(lab: Lab) -> None:
    entries: list[str] = []
    lamp = lab.add("lamp", Lamp, entries)

    def flaky(lamp: Lamp) -> int:
        lamp.set(len(entries))
        return 1 if len(entries) > 1 else breaks()

    assert lab.run(task(flaky).options(retries=1, restart=RestartPolicy(delay=0.01)), lamp) == 1
    assert entries == ["set 0", "set 1"]


def test_mistakes_in_the_program_are_not_tried_again(lab: Lab) -> None:
    attempts: list[int] = []
    lamp, other = lab.add("lamp", Lamp), lab.add("other", Lamp)

    def wrong(_: Lamp) -> None:
        attempts.append(1)
        other.set(1)

    with pytest.raises(NotLeased):
        lab.run(task(wrong).options(retries=5), lamp)
    assert attempts == [1]


# -- callbacks


def test_callbacks_come_after_the_end_and_one_that_raises_hurts_nobody(
    lab: Lab, caplog: pytest.LogCaptureFixture
) -> None:
    told = threading.Event()
    seen: list[RunState] = []

    def wrong(_: Run[Any]) -> None:
        raise ZeroDivisionError

    def right(run: Run[Any]) -> None:
        seen.append(run.state)
        told.set()

    with caplog.at_level(logging.ERROR):
        run = lab.start(sum, [1, 2])
        run.add_done_callback(wrong)
        run.add_done_callback(right)
        assert told.wait(5)
    assert seen == [RunState.SUCCEEDED]
    assert lab.run(sum, [1]) == 1
    told.clear()
    run.add_done_callback(right)
    assert told.wait(5), "also after the end"


def test_a_callback_that_blocks_does_not_hold_the_lab_back(lab: Lab, gate: Gate) -> None:
    run = lab.start(sum, [1])
    run.add_done_callback(lambda _: gate.stop())
    gate.reached()
    assert [lab.run(sum, [number]) for number in range(20)] == list(range(20))
    gate.open()


# -- asked calls


def test_an_asked_call_that_fails_after_the_body_returned_is_logged_and_fails_nothing(
    lab: Lab, caplog: pytest.LogCaptureFixture
) -> None:
    class Wrong(Lamp):
        def wrong(self) -> None:
            raise ZeroDivisionError

    lamp = lab.add("lamp", Wrong)

    def body(lamp: Wrong) -> int:
        ask(lamp.wrong)
        return 1

    with caplog.at_level(logging.INFO, "actorlab"):
        assert lab.run(body, lamp) == 1
    assert "an asked call failed" in caplog.text


# -- labs


def test_several_labs_live_in_one_process_and_share_nothing() -> None:
    with Lab("one", cancel_grace=0.3) as one, Lab("two", cancel_grace=0.3) as two:
        first, second = one.add("lamp", Lamp), two.add("lamp", Lamp)
        assert one.run(light, first, 1) == two.run(light, second, 1) == 1
        assert one.run(light, first, 2) == 2
        two.close()
        with pytest.raises(DeviceUnavailable, match="closed"):
            second.set(3)
        assert first.set(3) == 3
        with pytest.raises(ConfigError, match="lab 'two' is closed"):
            two.run(sum, [1])


def test_nothing_enters_a_module_level_registry() -> None:
    with Lab(cancel_grace=0.3) as lab:
        lab.run(light, lab.add("lamp", Lamp), 1)
        assert pykka.ActorRegistry.get_all() == []


def test_no_thread_is_left_after_a_lab_has_closed() -> None:
    before = set(threading.enumerate())
    with Lab(cancel_grace=0.3) as lab:
        lamps = [lab.add(f"lamp{number}", Lamp) for number in range(3)]
        for run in [lab.start(light, lamp, 1) for lamp in lamps * 5]:
            run.result(5)
    assert set(threading.enumerate()) <= before


def test_leaving_the_block_normally_waits_for_the_runs(gate: Gate) -> None:
    entries: list[str] = []

    def open_later() -> None:
        gate.reached()
        gate.open()

    def body(lamp: Lamp) -> int:
        gate.stop()
        return lamp.set(1)

    opener = threading.Thread(target=open_later)
    with Lab(cancel_grace=0.3) as lab:
        run = lab.start(body, lab.add("lamp", Lamp, entries))
        opener.start()
    opener.join(5)
    assert run.result() == 1
    assert entries == ["set 1", "closed"]


def test_leaving_the_block_by_an_exception_cancels_the_runs(gate: Gate) -> None:
    entries: list[str] = []

    def body(lamp: Lamp) -> None:
        lamp.set(1)
        gate.arrive()
        sleep(60)

    runs: list[Run[Any]] = []
    with pytest.raises(ZeroDivisionError), Lab(cancel_grace=0.3) as lab:  # noqa: PT012 - the block is the subject
        runs.append(lab.start(body, lab.add("lamp", Lamp, entries)))
        gate.reached()
        raise ZeroDivisionError
    assert entries == ["set 1", "safe", "closed"]
    with pytest.raises(RunCancelled, match="left by ZeroDivisionError"):
        runs[0].result()


def test_a_lab_is_an_asynchronous_context_manager_too() -> None:
    async def main() -> int:
        async with Lab(cancel_grace=0.3) as lab:
            lamp = await asyncio.to_thread(lab.add, "lamp", Lamp)
            return await lab.start(light, lamp, 1)

    assert asyncio.run(main()) == 1


def test_a_lab_closes_within_its_bound_although_a_body_never_ends(gate: Gate) -> None:
    entries: list[str] = []
    runs: list[Run[Any]] = []
    began = time.monotonic()
    with pytest.raises(ZeroDivisionError), Lab(cancel_grace=0.2) as lab:  # noqa: PT012 - the block is the subject
        runs.append(lab.start(lambda _: gate.stop(), lab.add("lamp", Lamp, entries)))
        gate.reached()
        raise ZeroDivisionError
    assert time.monotonic() - began < 3
    assert runs[0].state is RunState.ABANDONED
    assert entries == ["safe", "closed"]
    gate.open()


def test_a_closed_lab_takes_nothing_more(lab: Lab) -> None:
    lamp = lab.add("lamp", Lamp)
    lab.close()
    lab.close()
    for verb in (lambda: lab.run(sum, [1]), lambda: lab.add("b", Lamp), lambda: lab.lease(lamp).__enter__()):
        with pytest.raises(ConfigError, match="closed"):
            verb()
    with pytest.raises(DeviceUnavailable, match="closed"):
        lamp.set(1)


def test_runs_that_are_posted_while_the_lab_closes_end_all_the_same() -> None:
    for _ in range(10):
        lab = Lab(cancel_grace=0.3)
        runs: list[Run[int]] = []
        begun = threading.Event()

        def flood(lab: Lab = lab, runs: list[Run[int]] = runs, begun: threading.Event = begun) -> None:
            try:
                while True:
                    runs.append(lab.start(sum, [1]))
                    if len(runs) == 5:
                        begun.set()
            except ConfigError:
                return

        thread = threading.Thread(target=flood)
        thread.start()
        assert begun.wait(5)
        lab.close()
        thread.join(5)
        for run in runs:
            assert run.exception(5) is None or isinstance(run.exception(), ActorLabError)


FORK = """
import os, sys
from actorlab import Lab, ActorLabError

class Lamp:
    def set(self, level): return level
    def close(self): print("closed in", "child" if os.getpid() != parent else "parent", flush=True)

parent = os.getpid()
with Lab(cancel_grace=1) as lab:
    lamp = lab.add("lamp", Lamp)
    child = os.fork()
    if not child:
        for verb in (lambda: lamp.set(1), lambda: lab.run(sum, [1]), lambda: lab.start(sum, [1]),
                     lambda: lab.add("b", Lamp), lambda: lab.lease(lamp).__enter__()):
            try:
                verb()
            except ActorLabError as error:
                print("refused" if "process that made it" in str(error) else repr(error), flush=True)
            else:
                print("done", flush=True)
        sys.exit(0)
    os.waitpid(child, 0)
    print(lamp.set(2), flush=True)
"""


def test_in_a_forked_child_every_verb_refuses_and_nothing_runs_at_its_exit() -> None:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", FORK], capture_output=True, text=True, timeout=20, check=False
    )
    assert done.stderr == ""
    assert done.stdout.split("\n") == ["refused"] * 5 + ["2", "closed in parent", ""]


# -- our own faults


def test_a_decision_that_raises_ends_all_runs_fences_all_devices_makes_them_safe_and_closes_the_lab(
    gate: Gate, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    entries: list[str] = []
    others: list[str] = []
    refused: list[BaseException] = []
    after = threading.Event()
    handle = RunCore.handle

    def wrong(self: RunCore, event: Any, now: float, told: bool) -> Any:
        if type(event) is BodyEnded:
            message = "planted"
            raise AssertionError(message)
        return handle(self, event, now, told)

    def body(lamp: Lamp) -> None:
        lamp.set(1)
        gate.stop()
        try:
            lamp.set(2)
        except BaseException as error:  # noqa: BLE001 - whatever it is
            refused.append(error)
        after.set()

    with (  # noqa: PT012 - the block is what is tested
        pytest.raises(ActorLabError, match="failed by a fault of its own"),
        caplog.at_level(logging.CRITICAL),
        Lab(cancel_grace=0.3) as lab,
    ):
        lamp, other = lab.add("lamp", Lamp, entries), lab.add("other", Lamp, others)
        run = lab.start(body, lamp)
        gate.reached()
        monkeypatch.setattr(RunCore, "handle", wrong)
        ended = lab.start(sum, [1])
        with pytest.raises(ActorLabError, match="planted"):
            ended.result(5)
        with pytest.raises(ActorLabError, match="planted"):
            run.result(5)
        gate.open()
        assert after.wait(5)
        assert isinstance(refused[0], Cancelled | ActorLabError)
        with pytest.raises(ActorLabError):
            other.set(3)
        with pytest.raises(ConfigError, match="failed by a fault of its own"):
            lab.run(sum, [1])
    assert entries[:2] == ["set 1", "safe"]
    assert others[:1] == ["safe"]
    assert not {"set 2", "set 3"} & {*entries, *others}
    assert "a decision failed" in caplog.text
    assert not lab.close(), "both devices are safe, and nothing was left behind"


def test_a_run_that_needs_a_device_that_faults_says_so_and_others_go_on(lab: Lab) -> None:
    class Breaking(Lamp):
        def break_down(self) -> None:
            raise ConnectionResetError

    bad, good = lab.add("bad", Breaking), lab.add("good", Lamp)
    run = lab.start(lambda bad: bad.break_down(), bad)
    assert lab.run(light, good, 1) == 1
    with pytest.raises(DeviceFault, match="bad failed in break_down"):
        run.result(5)


def test_the_pid_of_a_lab_is_that_of_its_maker(lab: Lab) -> None:
    assert lab.lab_actor.pid == os.getpid()
