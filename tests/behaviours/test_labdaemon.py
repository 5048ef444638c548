"""Do here what users of LabDaemon do with devices and tasks, and show that what went wrong there can't happen."""

from __future__ import annotations

import asyncio
import logging
import queue
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from textwrap import dedent
from typing import Any

import h5py
import numpy as np
import pytest
from numpy.typing import NDArray

from actorlab import (
    ActorLabError,
    Cancelled,
    ConfigError,
    Device,
    DeviceBusy,
    DeviceConfig,
    DeviceUnavailable,
    Lab,
    LeaseTimeout,
    NotLeased,
    Range,
    Run,
    RunCancelled,
    RunState,
    ask,
    checkpoint,
    choose,
    current_run,
    parameter,
    progress,
    query,
    record,
    sleep,
    spawn,
    stream,
    task,
    track,
    workflow,
)
from actorlab.data import load, save
from actorlab.simulation import Bench, Laser, Oven, PowerMeter, Stage

Until = Callable[[Run[Any], RunState], None]
Eventually = Callable[[Callable[[], object]], None]
S = RunState
PATIENCE = 5.0


class Shutter:
    """A plain class: nothing is inherited, nothing imported."""

    def __init__(self, log: list[str] | None = None) -> None:
        self.log = [] if log is None else log
        self.count = 0

    def connect(self) -> None:
        self.log.append("connect")

    def disconnect(self) -> None:
        self.log.append("disconnect")

    def make_safe(self) -> None:
        self.log.append("safe")

    def click(self) -> int:
        """Count one more; two at a time would lose one."""
        count = self.count
        threading.Event().wait(0.0005)  # whoever else may run runs now
        self.count = count + 1
        return self.count

    @query
    def clicks(self) -> int:
        return self.count

    def wait(self, begun: threading.Event, go: threading.Event) -> None:
        """Wait in the driver, where nothing can be interrupted."""
        begun.set()
        assert go.wait(PATIENCE)

    def jam(self) -> None:
        message = "the blades are stuck"
        raise ValueError(message)


class Camera(Device):
    """A camera that can be armed, which tells when it is."""

    def __init__(self) -> None:
        self.log: list[str] = []

    @stream(buffer=500)
    def frames(self, count: int, go: threading.Event | None = None) -> Iterator[int]:
        self.log.append("armed")
        try:
            if go is not None:
                assert go.wait(PATIENCE)
            yield from range(count)
        finally:
            self.log.append("disarmed")

    @stream
    def endless(self) -> Iterator[int]:
        self.log.append("armed")
        try:
            number = 0
            while True:
                sleep(0.001)
                yield number
                number += 1
        finally:
            self.log.append("disarmed")

    @query
    def history(self) -> list[str]:
        return list(self.log)


def hold(shutter: Shutter, begun: threading.Event, go: threading.Event) -> str:
    """Own a shutter until somebody says go on."""
    shutter.click()
    begun.set()
    while not go.is_set():
        sleep(0.001)
    return "went on"


def events() -> tuple[threading.Event, threading.Event]:
    return threading.Event(), threading.Event()


# -- devices


def test_devices_are_plain_classes_and_calls_to_one_never_overlap(lab: Lab) -> None:
    shutter = lab.add("shutter", Shutter)
    threads = [threading.Thread(target=lambda: [shutter.click() for _ in range(20)]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    assert shutter.clicks() == 80


def test_connect_and_disconnect_happen_once_and_whether_it_is_connected_is_known_without_asking_it() -> None:
    log: list[str] = []
    with Lab() as lab:
        lab.add("shutter", Shutter, log)
        assert lab.status("shutter").state == "idle"
        assert log == ["connect"]
    lab.close()
    assert log == ["connect", "disconnect"]
    assert lab.status("shutter").state == "closed"


def test_a_limit_of_a_fifth_of_a_second_for_connecting_takes_about_that_long(lab: Lab) -> None:
    go = threading.Event()

    class Mute(Shutter):
        def connect(self) -> None:
            assert go.wait(PATIENCE)

    began = time.monotonic()
    with pytest.raises(DeviceUnavailable, match=r"0\.2 s"):
        lab.add("mute", DeviceConfig(timeout=0.2)(Mute))
    assert time.monotonic() - began < 1.0, "it took 2.2 s there"
    go.set()


def test_a_limit_for_disconnecting_bounds_the_end_of_the_lab(caplog: pytest.LogCaptureFixture) -> None:
    go = threading.Event()

    class Stuck(Shutter):
        def disconnect(self) -> None:
            assert go.wait(PATIENCE)

    lab = Lab(cancel_grace=0.2)
    lab.add("stuck", DeviceConfig(safe_timeout=0.2)(Stuck))
    began = time.monotonic()
    with caplog.at_level(logging.ERROR, "actorlab"):
        lab.close()
    assert time.monotonic() - began < 3.0
    assert "stuck" in caplog.text
    go.set()


def test_a_device_is_used_in_a_with_block_and_found_by_its_name(bench: Bench, lab: Lab) -> None:
    lab.add("laser", Laser, bench.resources["laser"])
    laser: Laser = lab.device("laser")
    with lab.lease(laser, timeout=PATIENCE):
        laser.set_current(20)
        assert laser.current() == 20
    assert list(lab.devices) == ["laser"]
    with pytest.raises(ConfigError, match="laser"):
        lab.device("lazer")


def test_devices_are_added_and_removed_while_a_task_runs(lab: Lab) -> None:
    begun, go = events()
    run = lab.start(hold, lab.add("first", Shutter), begun, go)
    assert begun.wait(PATIENCE)
    second = lab.add("second", Shutter)
    assert lab.run(Shutter.click, second) == 1
    lab.remove("second")
    assert list(lab.devices) == ["first"]
    go.set()
    assert run.result(PATIENCE) == "went on"


def test_device_types_are_named_in_a_file_with_their_arguments(tmp_path: Path) -> None:
    file = tmp_path / "lab.yaml"
    text = """
        bench: {time_scale: 20}
        devices:
          laser: {class: "actorlab.simulation:Laser", address: "bench:laser"}
    """
    file.write_text(dedent(text), encoding="utf-8")
    with Lab.from_yaml(file) as lab:
        laser: Laser = lab.device("laser")
        assert isinstance(laser, Laser)
        laser.set_current(30)
        assert laser.current() == 30


def test_device_and_task_types_are_registered_and_used_by_name(bench: Bench, lab: Lab) -> None:
    lab.register(Laser, PowerMeter, task(Sweep), heat)
    lab.add("laser", lab.device_type("Laser"), bench.resources["laser"])
    lab.add("meter", lab.device_type("PowerMeter"), bench.resources["meter"])
    assert sorted(lab.tasks) == ["Sweep", "heat"]
    schema = lab.describe_task("Sweep")["parameters"]["properties"]
    assert schema["laser"]["device"] == "Laser"
    run = lab.start("Sweep", "laser", "meter", currents=[0, 50])
    assert len(run.result(PATIENCE)) == 2
    with pytest.raises(ConfigError, match="currents"):
        lab.start("Sweep", "laser", "meter", currents="many")
    with pytest.raises(ConfigError, match="no oven"):
        lab.start("heat", "no oven", 300)
    with pytest.raises(ConfigError, match="Sweep"):
        lab.start("Swep", "laser")


# -- tasks


class Sweep:
    """A task as a class: made with what it needs, and run."""

    made = 0

    def __init__(self, laser: Laser, meter: PowerMeter, currents: list[float]) -> None:
        type(self).made += 1
        self.laser, self.meter, self.currents = laser, meter, currents

    def run(self) -> list[float]:
        self.laser.on()
        powers: list[float] = []
        for current in track(self.currents, "sweeping"):
            self.laser.set_current(current)
            assert self.laser.current() == current  # the two instruments are on two lines
            powers.append(self.meter.power())
        return powers


def test_a_task_is_a_class_that_is_constructed_once_and_its_handle_tells_everything(bench: Bench, lab: Lab) -> None:
    laser = lab.add("laser", Laser, bench.resources["laser"])
    meter = lab.add("meter", PowerMeter, bench.resources["meter"])
    before = Sweep.made
    run = lab.start(Sweep, laser, meter, [0, 50])
    dark, bright = run.result(timeout=PATIENCE)
    assert bright > dark
    assert Sweep.made == before + 1, "it was constructed twice there"
    assert (run.done(), run.exception(), run.state) == (True, None, S.SUCCEEDED)
    assert run.id.startswith("Sweep#")


def test_a_wait_for_a_result_has_a_timeout_which_ends_the_wait_and_not_the_task(lab: Lab) -> None:
    begun, go = events()
    run = lab.start(hold, lab.add("shutter", Shutter), begun, go)
    assert begun.wait(PATIENCE)
    with pytest.raises(TimeoutError, match="it goes on"):
        run.result(timeout=0.01)
    assert not run.done()
    go.set()
    assert run.result(PATIENCE) == "went on"


def test_a_task_is_paused_resumed_and_cancelled_by_its_handle(lab: Lab, until: Until, eventually: Eventually) -> None:
    shutter = lab.add("shutter", Shutter)

    def forever(shutter: Shutter) -> None:
        while True:
            shutter.click()
            checkpoint()

    run = lab.start(forever, shutter)
    until(run, S.RUNNING)
    run.pause("looking at it")
    until(run, S.PAUSED)
    stood = shutter.clicks()
    assert run.reasons == (f"{run.id} is paused: looking at it",)
    assert shutter.clicks() == stood, "it really stands"
    run.resume()
    eventually(lambda: shutter.clicks() > stood)
    run.cancel("enough")
    with pytest.raises(RunCancelled, match="enough"):
        run.result(PATIENCE)


def test_a_body_knows_its_run_and_needs_no_flag_to_be_cancelled(lab: Lab, eventually: Eventually) -> None:
    seen: list[Any] = []

    def body() -> None:
        seen.append(current_run())
        try:
            sleep(60)
        except Cancelled:
            seen.append("cancelled")
            raise

    run = lab.start(body)
    eventually(lambda: seen)
    run.cancel()
    assert isinstance(run.exception(PATIENCE), RunCancelled)
    assert seen == [run, "cancelled"]


def test_parameters_of_a_running_task_are_read_and_set(lab: Lab, eventually: Eventually) -> None:
    def servo() -> float:
        while parameter("gain", 1.0, Range(0, 10)) < 5:
            sleep(0.001)
        return parameter("gain", 1.0)

    run = lab.start(servo)
    eventually(lambda: run.parameters == {"gain": 1.0})
    with pytest.raises(ConfigError, match="10"):
        run.set(gain=50)
    run.set(gain=7)
    assert run.result(PATIENCE) == 7


# -- composing


@task
def find_peak(stage: Stage) -> float:
    stage.move_to(2)
    return stage.position()


@task
def return_to(stage: Stage, millimetres: float) -> float:
    stage.move_to(millimetres / 2)
    return stage.position()


@task
def heat(oven: Oven, kelvin: float) -> float:
    oven.heat_to(kelvin)
    return oven.temperature()


@workflow
def in_sequence(stage: Stage) -> float:
    return return_to(stage, find_peak(stage))


@workflow
def in_parallel(stage: Stage, oven: Oven) -> list[float]:
    return [find_peak(stage), heat(oven, 296)]


@task
def is_far(millimetres: float) -> bool:
    return millimetres > 1


@workflow
def with_feedback(stage: Stage) -> float:
    found = find_peak(stage)
    return choose(is_far(found), lambda: return_to(stage, found), lambda: found)


@workflow
def coordinator(stage: Stage, oven: Oven) -> list[Any]:
    return [in_sequence(stage), in_parallel(stage, oven)]


def test_tasks_are_composed_in_sequence_in_parallel_with_feedback_and_nested(bench: Bench, lab: Lab) -> None:
    stage = lab.add("stage", Stage, bench.resources["stage"])
    oven = lab.add("oven", Oven, bench.resources["oven"])
    assert lab.run(in_sequence, stage) == pytest.approx(1, abs=0.1)
    assert lab.run(in_parallel, stage, oven) == [pytest.approx(2, abs=0.1), pytest.approx(296, abs=0.5)]
    assert lab.run(with_feedback, stage) == pytest.approx(1, abs=0.1)
    sequence, parallel = lab.run(coordinator, stage, oven)
    assert sequence == pytest.approx(1, abs=0.1)
    assert parallel[0] == pytest.approx(2, abs=0.1)


def test_tasks_in_parallel_are_at_work_at_the_same_time(lab: Lab) -> None:
    one, other = lab.add("one", Shutter), lab.add("other", Shutter)
    both = threading.Barrier(2, timeout=PATIENCE)

    @task
    def meet(shutter: Shutter) -> int:
        both.wait()
        return shutter.click()

    @workflow
    def at_once(one: Shutter, other: Shutter) -> list[int]:
        return [meet(one), meet(other)]

    assert lab.run(at_once, one, other) == [1, 1]


def test_a_coordinator_is_a_body_that_starts_others_and_talks_to_them_by_queues_and_events(lab: Lab) -> None:
    shutter = lab.add("shutter", Shutter)
    values: queue.Queue[int] = queue.Queue()
    enough = threading.Event()

    def produce(shutter: Shutter) -> int:
        while not enough.is_set():
            values.put(shutter.click())
            checkpoint()
        return shutter.click()

    def coordinate(shutter: Shutter) -> tuple[list[int], int]:
        child = spawn(produce, shutter)
        seen = [values.get(timeout=PATIENCE) for _ in range(3)]
        enough.set()
        return seen, child.result()

    seen, last = lab.run(coordinate, shutter)
    assert seen == [1, 2, 3]
    assert last > 3


# -- owning devices


def test_devices_are_claimed_all_at_once_and_freed_when_the_task_crashes(lab: Lab, until: Until) -> None:
    one, other = lab.add("one", Shutter), lab.add("other", Shutter)
    begun, go = events()

    def crash(shutter: Shutter) -> None:
        hold(shutter, begun, go)
        message = "no light"
        raise ValueError(message)

    def both(one: Shutter, other: Shutter) -> int:
        return one.click() + other.click()

    first = lab.start(crash, one)
    assert begun.wait(PATIENCE)
    second = lab.start(both, one, other)
    until(second, S.WAITING)
    assert other.click() == 1, "who can't have both holds neither"
    go.set()
    with pytest.raises(ValueError, match="no light"):
        first.result(PATIENCE)
    assert second.result(PATIENCE) == 4


def test_a_second_claimant_may_be_refused_at_once_naming_every_conflict(lab: Lab) -> None:
    one, other = lab.add("one", Shutter), lab.add("other", Shutter)
    gates = [events(), events()]
    holders = [lab.start(hold, shutter, *gate) for shutter, gate in zip((one, other), gates, strict=True)]
    assert all(begun.wait(PATIENCE) for begun, _ in gates)

    @task(on_conflict="reject")
    def both(one: Shutter, other: Shutter) -> int:
        return one.click() + other.click()

    with pytest.raises(LeaseTimeout) as caught:
        lab.run(both, one, other)
    assert f"one, held by {holders[0].id}" in str(caught.value)
    assert f"other, held by {holders[1].id}" in str(caught.value)
    for _, go in gates:
        go.set()
    for holder in holders:
        holder.result(PATIENCE)
    assert lab.run(both, one, other) == 4


def test_queries_of_a_device_that_a_task_owns_are_answered_and_commands_refused_naming_it(lab: Lab) -> None:
    shutter = lab.add("shutter", Shutter)
    begun, go = events()
    run = lab.start(hold, shutter, begun, go)
    assert begun.wait(PATIENCE)
    assert shutter.clicks() == 1, "reading was refused there"
    with pytest.raises(DeviceBusy, match=run.id):
        shutter.click()  # local code went around the ownership there
    go.set()
    run.result(PATIENCE)
    assert shutter.click() == 2


def test_children_cannot_go_around_the_ownership(lab: Lab) -> None:
    mine, others = lab.add("mine", Shutter), lab.add("others", Shutter)
    begun, go = events()
    owner = lab.start(hold, others, begun, go)
    assert begun.wait(PATIENCE)
    with pytest.raises(NotLeased, match="others"):
        lab.run(lambda shutter: (shutter, others.click()), mine)
    with pytest.raises(NotLeased, match="others"):
        lab.run(lambda shutter: spawn(Shutter.click, others).result() + shutter.click(), mine)
    go.set()
    owner.result(PATIENCE)
    assert others.clicks() == 1


def test_a_handle_kept_from_an_earlier_task_commands_nothing(lab: Lab) -> None:
    shutter = lab.add("shutter", Shutter)
    kept: list[Shutter] = []
    lab.run(kept.append, shutter)
    with pytest.raises(NotLeased):
        kept[0].click()
    begun, go = events()
    owner = lab.start(hold, shutter, begun, go)
    assert begun.wait(PATIENCE)
    with pytest.raises(NotLeased):
        kept[0].click()
    go.set()
    owner.result(PATIENCE)
    assert shutter.clicks() == 1


def test_a_task_that_hangs_gives_its_devices_back() -> None:
    go = threading.Event()
    with Lab(cancel_grace=0.1) as short:
        shutter = short.add("shutter", Shutter)

        def hang(shutter: Shutter) -> None:
            shutter.click()
            assert go.wait(PATIENCE)

        hung = short.start(task(hang).options(timeout=0.1), shutter)
        assert short.run(Shutter.click, shutter) == 2, "it owned its devices for ever there"
        error = hung.exception(PATIENCE)
        assert isinstance(error, RunCancelled)
        assert "hang" in "".join(error.abandoned), "it is named with its stack"
        assert hung.state is S.ABANDONED
        go.set()


# -- ends


def test_only_the_newest_finished_runs_are_kept() -> None:
    with Lab(keep_finished=20) as lab:
        oldest = lab.start(int)
        for _ in range(30):
            lab.run(int)
        newest = lab.start(int)
        newest.result(PATIENCE)
        kept = lab.runs
        assert kept[-1] is newest
        assert len(kept) <= 20
        with pytest.raises(ConfigError, match="ended long ago"):
            lab.get(oldest.id)
        assert oldest.result() == 0, "who has kept it himself still has it"


def test_cancelling_a_parent_ends_its_children_and_the_parent_at_once(lab: Lab) -> None:
    one, other = lab.add("one", Shutter), lab.add("other", Shutter)
    all_run = threading.Barrier(3, timeout=PATIENCE)
    ended: list[str] = []

    def child(shutter: Shutter) -> None:
        shutter.click()
        all_run.wait()
        try:
            sleep(60)
        finally:
            ended.append("child")

    def parent(one: Shutter, other: Shutter) -> list[None]:
        children = [spawn(child, one), spawn(child, other)]
        return [run.result() for run in children]

    run = lab.start(parent, one, other)
    all_run.wait()
    began = time.monotonic()
    run.cancel("wrong sample")
    with pytest.raises(RunCancelled, match="wrong sample"):
        run.result(PATIENCE)
    assert time.monotonic() - began < 1.0
    assert ended == ["child", "child"]
    assert [child.state for child in run.children] == [S.CANCELLED, S.CANCELLED]
    assert one.click() == 2, "its devices are free again"


def test_a_cancel_after_the_success_leaves_the_result(lab: Lab) -> None:
    run = lab.start(lambda: 42)
    assert run.result(PATIENCE) == 42
    run.cancel("too late")
    lab.run(int)  # whatever the cancel does has been done
    assert run.result(PATIENCE) == 42
    assert run.state is S.SUCCEEDED


def test_what_a_cancelled_task_has_measured_can_be_had(lab: Lab) -> None:
    shutter = lab.add("shutter", Shutter)
    begun = threading.Event()

    def measure(shutter: Shutter) -> list[int]:
        values: list[int] = []
        try:
            while True:
                values.append(shutter.click())
                record(clicks=values[-1])
                if len(values) == 3:
                    begun.set()
                    sleep(60)
        except Cancelled:
            return values

    run = lab.start(measure, shutter)
    assert begun.wait(PATIENCE)
    assert run.data.column("clicks") == [1, 2, 3], "while it runs"
    run.cancel()
    error = run.exception(PATIENCE)
    assert isinstance(error, RunCancelled)
    assert error.partial == [1, 2, 3]
    assert run.data.column("clicks") == [1, 2, 3]
    assert run.state is S.CANCELLED


def test_system_exit_in_a_task_is_its_error_and_ends_nothing_else(lab: Lab) -> None:
    def leave() -> None:
        raise SystemExit(3)

    run = lab.start(leave)
    error = run.exception(PATIENCE)
    assert error is not None
    assert "SystemExit" in repr(error) + repr(error.__cause__)
    assert run.state is S.FAILED
    assert lab.run(lambda: "goes on") == "goes on"


def test_a_start_that_failed_burns_no_name(lab: Lab) -> None:
    class Absent(Shutter):
        def connect(self) -> None:
            raise ConnectionRefusedError

    with pytest.raises(DeviceUnavailable, match="shutter"):
        lab.add("shutter", DeviceConfig(timeout=1)(Absent))
    shutter = lab.add("shutter", Shutter)
    wrong: Any = hold  # without its other arguments, as in a program without type hints
    with pytest.raises(TypeError):
        lab.run(wrong, shutter)
    assert lab.run(task(Shutter.click).options(key="click"), shutter) == 1


def test_an_error_is_kept_with_its_message_origin_and_traceback_and_can_be_cleared(
    lab: Lab, eventually: Eventually
) -> None:
    shutter = lab.add("shutter", Shutter)
    run = lab.start(Shutter.jam, shutter)
    error = run.exception(PATIENCE)
    assert isinstance(error, ValueError)
    assert str(error) == "the blades are stuck"
    assert any(run.id in note for note in error.__notes__)
    names = []
    trace = error.__traceback__
    while trace is not None:
        names.append(trace.tb_frame.f_code.co_name)
        trace = trace.tb_next
    assert names[-1] == "jam", "it was 'NoneType: None' there"

    class Breaking(Shutter):
        def jam(self) -> None:
            raise ConnectionResetError

    breaking = lab.add("breaking", Breaking)
    with pytest.raises(ActorLabError):
        breaking.jam()
    eventually(lambda: "ConnectionResetError" in lab.status("breaking").last_error)
    assert "in jam" in lab.status("breaking").last_traceback
    eventually(lambda: lab.status("breaking").state == "idle")
    assert lab.status("breaking").last_error, "it serves again, and the error can still be seen"
    lab.reset("breaking")
    assert (lab.status("breaking").last_error, lab.status("breaking").last_traceback) == ("", "")


def test_an_array_is_a_result_as_it_is_and_hurts_nobody_who_looks(lab: Lab) -> None:
    def measure() -> NDArray[np.float64]:
        values = np.linspace(0, 1, 1000)
        record(values=values)
        progress(1, 1)
        return values

    with lab.events.subscribe() as changes:
        run = lab.start(measure)
        assert run.result(PATIENCE).shape == (1000,)
        assert [values.shape for values in run.data.column("values")] == [(1000,)]
        while changes.get(timeout=0.05) is not None:
            pass
    with lab.events.subscribe() as changes:
        assert changes.get(timeout=PATIENCE) is not None, "a snapshot with it can be had"
    assert run in lab.runs


def test_what_a_task_has_measured_is_saved_with_what_it_is_about_and_loaded_again(
    bench: Bench, lab: Lab, tmp_path: Path
) -> None:
    laser = lab.add("laser", Laser, bench.resources["laser"])

    def sweep(laser: Laser, currents: list[float]) -> list[float]:
        for current in track(currents):
            laser.set_current(current)
            record(set=current, read=laser.current())
        return currents

    run = lab.start(sweep, laser, [10.0, 20.0])
    result = run.result(PATIENCE)
    run.data.export(tmp_path / "sweep.h5")
    with h5py.File(tmp_path / "sweep.h5") as file:
        assert np.asarray(file["read"]).tolist() == [10.0, 20.0]
        assert (file.attrs["run"], file.attrs["state"]) == (run.id, "succeeded")
        assert {"began", "ended", "actorlab"} <= set(file.attrs), "when it was, and of which version"
    for name in ("all.json", "all.h5"):
        save(tmp_path / name, {"result": result, "array": np.eye(2)}, sample="sample 3")
        loaded = load(tmp_path / name)
        assert loaded.data["result"] == result
        assert np.asarray(loaded.data["array"]).tolist() == [[1, 0], [0, 1]]
        assert loaded.metadata["sample"] == "sample 3"
        assert {"time", "host", "git"} <= set(loaded.metadata), loaded.metadata


# -- while something blocks


def test_an_event_loop_goes_on_and_devices_are_listed_while_a_task_blocks_one(lab: Lab) -> None:
    shutter = lab.add("shutter", Shutter)
    begun, go = events()
    run = lab.start(Shutter.wait, shutter, begun, go)
    assert begun.wait(PATIENCE)

    async def health() -> float:
        reply = ask(shutter.clicks)  # waits for the device, and nobody for it
        began = time.monotonic()
        for _ in range(10):
            await asyncio.sleep(0)
            assert lab.status()["shutter"].holder == run.id
            assert [one.id for one in lab.runs] == [run.id]
        took = time.monotonic() - began
        go.set()
        assert await reply == 0
        return took

    assert asyncio.run(health()) < 0.5, "health waited 1.4 s there, and the list until the task ended"
    run.result(PATIENCE)


def test_devices_are_listed_with_type_state_owner_what_they_do_and_their_last_error(bench: Bench, lab: Lab) -> None:
    laser = lab.add("laser", Laser, bench.resources["laser"])
    begun, go = events()

    def own(laser: Laser) -> None:
        laser.set_current(20)
        begun.set()
        while not go.is_set():
            sleep(0.001)

    run = lab.start(own, laser)
    assert begun.wait(PATIENCE)
    status = lab.status()["laser"]
    assert (status.name, status.state, status.holder, status.last_error) == ("laser", "idle", run.id, "")
    assert [record.call for record in status.recent][-1] == "set_current(20)"
    assert lab.describe("laser")["class"] == "Laser"
    go.set()
    run.result(PATIENCE)


def test_a_devices_methods_are_listed_with_parameters_types_defaults_and_docs(lab: Lab) -> None:
    class Filter:
        def turn(self, degrees: float, speed: float = 2.0) -> None:
            """Turn the wheel."""

    lab.add("filter", Filter)
    turn = lab.describe("filter")["members"]["turn"]
    assert turn["doc"] == "Turn the wheel."
    assert turn["parameters"]["properties"]["degrees"]["type"] == "number"
    assert turn["parameters"]["properties"]["speed"]["default"] == 2.0
    assert turn["parameters"]["required"] == ["degrees"]


def test_no_property_is_evaluated_while_a_device_is_added_listed_or_described(lab: Lab) -> None:
    class Slow(Device):
        evaluated = 0

        @property
        def temperature(self) -> float:
            type(self).evaluated += 1
            return 4.2

    slow = lab.add("slow", Slow)
    lab.status()
    lab.describe("slow")
    dir(slow)
    repr(slow)
    assert Slow.evaluated == 0
    assert slow.temperature == 4.2


# -- streams


def test_a_stream_is_delivered_to_a_callback(lab: Lab) -> None:
    camera = lab.add("camera", Camera)
    seen: list[tuple[int, int]] = []

    def deliver(camera: Camera, callback: Callable[[int, int], None]) -> None:
        for item in camera.frames(5):
            callback(item.sequence, item.value)

    lab.run(deliver, camera, lambda sequence, value: seen.append((sequence, value)))
    assert seen == [(number, number) for number in range(5)]


def test_a_burst_of_two_hundred_reaches_every_listener_in_full(lab: Lab) -> None:
    camera = lab.add("camera", Camera)
    go = threading.Event()
    listening = [iter(camera.frames(200, go)) for _ in range(3)]
    heard: list[list[int]] = [[], [], []]
    threads = [
        threading.Thread(target=lambda items=items, into=into: into.extend(item.value for item in items))
        for items, into in zip(listening, heard, strict=True)
    ]
    for thread in threads:
        thread.start()
    go.set()
    for thread in threads:
        thread.join(PATIENCE)
    assert heard == [list(range(200))] * 3, "one listener a device, and ten of two hundred, there"


def test_listening_does_not_start_the_stream_of_a_device_that_somebody_else_owns(lab: Lab) -> None:
    camera = lab.add("camera", Camera)
    begun, go = events()

    def own(camera: Camera) -> None:
        camera.history()
        begun.set()
        while not go.is_set():
            sleep(0.001)

    owner = lab.start(own, camera)
    assert begun.wait(PATIENCE)
    with pytest.raises(DeviceBusy, match=owner.id):
        next(iter(camera.endless()))
    assert camera.history() == []
    go.set()
    owner.result(PATIENCE)


def test_the_lab_ends_while_somebody_listens_streams_first_then_tasks_then_devices() -> None:
    log: list[str] = []
    lab = Lab(cancel_grace=2)
    camera = lab.add("camera", Camera)
    shutter = lab.add("shutter", Shutter, log)
    heard = threading.Event()
    ended: list[str] = []

    def listen() -> None:
        try:
            for _ in camera.endless():
                heard.set()
        except ActorLabError:
            ended.append("told")
        else:
            ended.append("over")

    def work(shutter: Shutter) -> None:
        try:
            sleep(60)
        finally:
            log.append(f"task ends, {shutter.clicks()} clicks")

    thread = threading.Thread(target=listen)
    thread.start()
    assert heard.wait(PATIENCE)
    run = lab.start(work, shutter)
    began = time.monotonic()
    lab.close()
    assert time.monotonic() - began < 2.0, "it hung there while a stream was open"
    thread.join(PATIENCE)
    assert len(ended) == 1
    assert isinstance(run.exception(0), RunCancelled)
    assert log == ["connect", "task ends, 0 clicks", "safe", "disconnect"]


def test_an_end_within_a_fifth_of_a_second_takes_about_that_long_although_a_task_hangs(
    caplog: pytest.LogCaptureFixture,
) -> None:
    lab = Lab(cancel_grace=60)
    go, begun = events()

    def hang() -> None:
        begun.set()
        assert go.wait(PATIENCE)

    lab.start(hang)
    assert begun.wait(PATIENCE)
    began = time.monotonic()
    with caplog.at_level(logging.ERROR, "actorlab"):
        lab.close(timeout=0.2)
    assert time.monotonic() - began < 1.5, "it took 2.9 s there"
    go.set()
