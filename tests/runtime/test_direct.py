"""Hold direct devices to the laws of all others: their holder calls them in his own thread, and nobody notices."""

from __future__ import annotations

import random
import signal
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest

from actorlab import (
    ActorLabError,
    AskDeadlock,
    Cancelled,
    DeviceBusy,
    DeviceConfig,
    DeviceFault,
    DeviceQuarantined,
    Lab,
    NotLeased,
    RestartPolicy,
    Run,
    RunCancelled,
    RunState,
    Shared,
    ask,
    exchange,
    perform,
    query,
    sleep,
    spawn,
)
from actorlab.kernel.frames import frame_of
from actorlab.runtime.direct_actor import DirectDeviceActor
from actorlab.runtime.proxy import DeviceProxy

if TYPE_CHECKING:
    from tests.runtime.conftest import Gate

Gates = Callable[[], "Gate"]
Until = Callable[[Run[Any], RunState], None]
QUICKLY = RestartPolicy(limit=None, delay=0.01, max_delay=0.01)
SECONDS = 1.0
"""So long a test tries that looks for a bad moment."""
THREE = ["…"] * 3
"""What `directly` leaves in a log."""


class Axis:
    """A part of a stage."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.moved: list[int] = []

    def move(self, steps: int) -> list[int]:
        self.moved.append(steps)
        return self.moved


class Stage:
    """A device which writes down what it does and in which thread, and notices when it is used badly."""

    def __init__(self, log: list[Any]) -> None:
        log.append("made")
        self.log = log
        self.axes = [Axis(0), Axis(1)]
        self.threads: list[int] = []
        self.speed = 0
        self.bad: list[str] = []
        self.owner = ""
        self._inside = 0
        self._closed = False

    @contextmanager
    def _alone(self, what: str) -> Generator[None]:
        self._inside += 1
        if self._inside > 1:
            self.bad.append(f"two at once in {what}")
        if self._closed:
            self.bad.append(f"{what} when it was closed")
        yield
        self._inside -= 1

    def step(self, number: object, gate: Gate | None = None, *, fail: BaseException | None = None) -> object:
        with self._alone("step"):
            self.log.append(number)
            self.threads.append(threading.get_ident())
            if gate is not None:
                gate.stop()
        if fail is not None:
            raise fail
        return number

    def use(self, who: str) -> None:
        with self._alone("use"):
            if self.owner and who != self.owner:
                self.bad.append(f"{who} used it while {self.owner} had it")

    def take(self, who: str) -> None:
        with self._alone("take"):
            self.owner = who

    def axis(self, number: int) -> Axis:
        return self.axes[number]

    def image(self) -> dict[str, list[float]]:
        return {"pixels": [1.0, 2.0]}

    @query
    def position(self, number: int = 0) -> int:
        with self._alone("position"):
            self.log.append(f"query {number}")
            self.threads.append(threading.get_ident())
        return number

    def resync(self) -> None:
        with self._alone("resync"):
            self._inside = 1  # what Ctrl-C has cut short

    def make_safe(self) -> None:
        with self._alone("make_safe"):
            self.log.append("safe")
            self.owner = ""

    def close(self) -> None:
        with self._alone("close"):
            self.log.append("closed")
        self._closed = True


def direct(cls: type = Stage, **config: Any) -> Any:
    given: dict[str, Any] = {"direct": True, "restart": QUICKLY, **config}
    return DeviceConfig(**given)(cls)


def actor_of(lab: Lab, name: str = "stage") -> DirectDeviceActor:
    actor = lab.cells[name].actor
    assert isinstance(actor, DirectDeviceActor)
    return actor


def passes_of(lab: Lab, name: str = "stage") -> list[bool]:
    """Return what lets the holder of a device in directly, while there is something in it."""
    token: Any = lab.cells[name].token
    return list(token.passes)


def becomes(condition: Callable[[], object]) -> None:
    """Wait until something holds."""
    end = time.monotonic() + 5
    while not condition():
        assert time.monotonic() < end, "it never came to hold"


def waits_in(thread: threading.Thread, place: str) -> bool:
    """Tell whether a thread is in a function of a file, itself and not in one that this has called."""
    frame = frame_of(thread.ident)
    return frame is not None and frame.f_code.co_filename.endswith(place)


def came_back(lab: Lab, name: str = "stage") -> None:
    """Wait until a device serves again."""
    ready = threading.Event()
    lab.ask(lambda: lab.lab_actor.lives.when_ready([lab.cells[name]], lambda _: ready.set()))
    assert ready.wait(5)


def directly(stage: Stage) -> None:
    """Come to the point at which the next calls of `step` are direct ones."""
    for _ in range(2):
        stage.step("…")
    assert stage.threads[-1] == threading.get_ident()
    stage.step("…")  # that reading went through the mailbox, and so does the call after it


@pytest.fixture
def switching() -> Iterator[None]:
    """Let threads take turns much more often than usual."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(0.00001)
    yield
    sys.setswitchinterval(before)


# -- where a call runs


def test_from_the_second_call_on_a_body_calls_in_its_own_thread(lab: Lab) -> None:
    stage = lab.add("stage", direct(), [])

    def body(stage: Stage) -> tuple[list[int], int]:
        for number in range(5):
            assert stage.step(number) == number
        return stage.threads, threading.get_ident()

    threads, mine = lab.run(body, stage)
    assert threads[0] == actor_of(lab).thread.ident  # type: ignore[union-attr]  # it lives
    assert threads[1:] == [mine] * 4


def test_calls_from_outside_and_in_a_lease_block_run_in_the_devices_thread(lab: Lab) -> None:
    log: list[Any] = []
    stage = lab.add("stage", direct(), log)
    for number in range(3):
        assert stage.step(number) == number
    with lab.lease(stage):
        for number in range(3, 6):
            assert stage.step(number) == number
        stage.speed = 4
        assert stage.position(6) == 6
    assert lab.run(lambda stage: stage.step(7), stage) == 7
    assert set(stage.threads) == {actor_of(lab).thread.ident}  # type: ignore[union-attr]  # it lives
    assert log == ["made", 0, 1, 2, 3, 4, 5, "query 6", 7]


def test_a_shared_holder_does_not_call_directly(lab: Lab) -> None:
    stage = lab.add("stage", direct(), [])

    def body(stage: Shared[Stage]) -> None:
        for number in range(3):
            assert stage.position(number) == number

    lab.run(body, stage)
    assert set(stage.threads) == {actor_of(lab).thread.ident}  # type: ignore[union-attr]  # it lives


def test_all_that_can_be_done_with_a_device_can_be_done_with_a_direct_one_in_its_order(lab: Lab) -> None:
    log: list[Any] = []
    stage = lab.add("stage", direct(), log)

    def note(stage: Stage, number: int) -> None:
        stage.log.append(("performed", number))

    def body(stage: Stage) -> None:
        directly(stage)
        log.clear()
        for number in range(20):
            stage.step(("direct", number))
            stage.speed = number
            assert stage.speed == number
            stage.step(("after setting", number))
            perform(stage, note, number)
            stage.position(number)

    lab.run(body, stage)
    assert log == [
        entry
        for number in range(20)
        for entry in (("direct", number), ("after setting", number), ("performed", number), f"query {number}")
    ]


def test_a_part_comes_back_as_a_proxy_and_data_as_they_are(lab: Lab) -> None:
    stage = lab.add("stage", direct(), [])

    def body(stage: Stage) -> None:
        for number in range(4):
            axis = stage.axis(1)
            assert isinstance(axis, DeviceProxy)
            assert axis.number == 1
            assert axis.move(number) == list(range(number + 1))
            assert stage.image() == {"pixels": [1.0, 2.0]}

    lab.run(body, stage)


# -- whose turn it is


def test_an_earlier_ask_of_ones_own_comes_first(lab: Lab) -> None:
    log: list[Any] = []
    stage = lab.add("stage", direct(), log)

    def body(stage: Stage) -> None:
        directly(stage)
        log.clear()
        for number in range(0, 600, 3):
            asked = ask(stage.step, number)
            stage.step(number + 1)
            assert asked.done(), "it had to begin before the direct call"
            stage.step(number + 2)

    lab.run(body, stage)
    assert log == list(range(600))


def test_a_direct_call_waits_for_a_call_which_its_body_has_asked(lab: Lab, gate: Gate) -> None:
    log: list[Any] = []
    stage = lab.add("stage", direct(), log)

    def body(stage: Stage) -> None:
        directly(stage)
        ask(stage.step, "asked", gate)
        stage.step("direct")

    run = lab.start(body, stage)
    gate.reached()
    assert log[-1] == "asked"
    assert not run.done()
    gate.open()
    run.result(5)
    assert log[-2:] == ["asked", "direct"]


def test_an_outsiders_query_is_next_though_the_holder_calls_without_a_pause(lab: Lab, gate: Gate) -> None:
    log: list[Any] = []
    stage = lab.add("stage", direct(), log)

    def body(stage: Stage) -> list[int]:
        directly(stage)
        for number in range(20):
            stage.step(number, gate if number == 10 else None)
        return [threading.get_ident()]

    run = lab.start(body, stage)
    gate.reached()
    asked = ask(stage.position, 1)
    becomes(lambda: actor_of(lab).wants_turn)
    becomes(lambda: not passes_of(lab))
    gate.open()
    assert asked.result(5) == 1
    (holder,) = run.result(5)
    assert log[log.index(10) + 1] == "query 1"
    assert log[-9:] == list(range(11, 20))
    assert stage.threads[-1] == holder, "he calls directly again"


def test_many_queries_get_their_turns_as_on_any_device(lab: Lab, gate: Gate) -> None:
    log: list[Any] = []
    stage = lab.add("stage", direct(), log)

    def body(stage: Stage) -> None:
        directly(stage)
        for number in range(100):
            stage.step(number, gate if number == 10 else None)

    run = lab.start(body, stage)
    gate.reached()
    asked = [ask(stage.position, number) for number in range(8)]
    becomes(lambda: actor_of(lab).wants_turn)
    gate.open()
    assert [reply.result(5) for reply in asked] == list(range(8))
    run.result(5)
    served = [place for place, entry in enumerate(log) if isinstance(entry, str) and entry.startswith("query")]
    assert len(served) == 8
    assert all(after - before <= 9 for before, after in pairwise(served)), "one after eight"


def test_an_outsiders_command_is_refused_while_the_holder_calls_directly(lab: Lab, gate: Gate) -> None:
    log: list[Any] = []
    stage = lab.add("stage", direct(), log)

    def body(stage: Stage) -> None:
        directly(stage)
        stage.step("held", gate)

    run = lab.start(body, stage)
    gate.reached()
    for command in (lambda: stage.step("mine"), lambda: ask(stage.step, "mine"), lambda: setattr(stage, "speed", 3)):
        with pytest.raises(DeviceBusy, match=run.id):
            command()
    gate.open()
    run.result(5)
    assert "mine" not in log


@pytest.mark.usefixtures("switching")
def test_of_several_threads_of_a_body_and_outsiders_one_at_a_time_is_in_the_driver(lab: Lab) -> None:
    log: list[Any] = []
    stage = lab.add("stage", direct(), log)
    ended = threading.Event()

    def several(stage: Stage) -> list[str]:
        def call(name: int) -> None:
            for number in range(300):
                stage.step((name, number))

        threads = [threading.Thread(target=call, args=(name,), name=f"actorlab-{name}") for name in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(20)
        return stage.bad

    run = lab.start(several, stage)
    run.add_done_callback(lambda _: ended.set())
    while not ended.is_set():
        assert stage.position(7) == 7
    assert run.result(5) == []
    for name in range(4):
        mine = [entry[1] for entry in log if isinstance(entry, tuple) and entry[0] == name]
        assert mine == list(range(300)), "in the order of each thread"


# -- what ends a hold


def test_a_handle_is_refused_when_its_run_has_ended_and_when_somebody_else_holds_the_device(
    lab: Lab, gate: Gate
) -> None:
    log: list[Any] = []
    stage = lab.add("stage", direct(), log)
    kept: list[Any] = []

    def body(stage: Stage) -> None:
        directly(stage)
        kept.extend((stage.step, stage.use, lambda _: stage.axis(0)))

    def hold(stage: Stage) -> None:
        directly(stage)
        stage.step("held", gate)

    lab.run(body, stage)
    for call in kept:
        with pytest.raises(NotLeased):
            call("late")
    run = lab.start(hold, stage)
    gate.reached()
    for call in kept:
        with pytest.raises(NotLeased):
            call("late")
    gate.open()
    run.result(5)
    assert "late" not in log


@pytest.mark.usefixtures("switching")
def test_a_thread_that_a_body_left_behind_never_gets_between_the_calls_of_the_next_run(lab: Lab) -> None:
    stage = lab.add("stage", direct(make_safe=None), [])
    strays: list[threading.Thread] = []
    refused: list[type] = []

    def body(stage: Stage, name: str) -> None:
        begun = threading.Event()

        def stray() -> None:
            try:
                while True:
                    stage.use(name)
                    begun.set()
            except ActorLabError as error:
                refused.append(type(error))

        stage.take(name)
        strays.append(threading.Thread(target=stray, name=f"actorlab-stray-{name}"))
        strays[-1].start()
        assert begun.wait(5)
        for _ in range(20):
            stage.use(name)

    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        lab.run(body, stage, f"run {len(strays)}")
    for thread in strays:
        thread.join(5)
    assert stage.bad == []
    assert refused == [NotLeased] * len(strays)
    assert len(strays) > 3


def test_a_loan_suspends_it_and_its_return_gives_it_back(lab: Lab, gate: Gate) -> None:
    log: list[Any] = []
    stage = lab.add("stage", direct(), log)

    def child(stage: Stage) -> None:
        stage.step("the child's")
        directly(stage)
        gate.stop()

    def body(stage: Stage) -> None:
        directly(stage)
        borrowing = spawn(child, stage)
        gate.reached()
        with pytest.raises(NotLeased, match="lent out"):
            stage.step("too early")
        with pytest.raises(NotLeased, match="lent out"):
            stage.axis(0)
        gate.open()
        borrowing.result()
        stage.step("mine")
        directly(stage)

    lab.run(body, stage)
    assert "too early" not in log
    assert log.index("mine") > log.index("the child's")


@pytest.mark.usefixtures("switching")
def test_a_thread_of_the_lender_never_gets_between_the_calls_of_the_borrower(lab: Lab) -> None:
    stage = lab.add("stage", direct(make_safe=None), [])

    def child(stage: Stage) -> None:
        stage.take("the child")
        for _ in range(20):
            stage.use("the child")
        stage.take("")

    def body(stage: Stage) -> int:
        over = threading.Event()
        refused: list[ActorLabError] = []

        def use() -> None:
            while not over.is_set():
                try:
                    stage.use("the lender")
                except NotLeased as error:
                    refused.append(error)

        thread = threading.Thread(target=use, name="actorlab-lender")
        thread.start()
        try:
            end = time.monotonic() + SECONDS / 2
            while time.monotonic() < end:
                spawn(child, stage).result()
        finally:
            over.set()
            thread.join(5)
        return len(refused)

    assert lab.run(body, stage) > 0
    assert stage.bad == []


def test_a_cancellation_reaches_the_next_direct_call_and_the_device_is_made_safe_after_the_last(lab: Lab) -> None:
    log: list[Any] = []
    stage = lab.add("stage", direct(), log)
    looping = threading.Event()
    met: list[BaseException] = []

    def body(stage: Stage) -> None:
        directly(stage)
        try:
            while True:
                stage.step("on and on")
                looping.set()
        except BaseException as error:
            met.append(error)
            stage.step("clean-up")  # what met its cancellation may clean up
            raise

    run = lab.start(body, stage)
    assert looping.wait(5)
    run.cancel()
    error = run.exception(5)
    assert isinstance(error, RunCancelled)
    assert error.safe == ("stage",)
    assert isinstance(met[0], Cancelled)
    assert log[-2:] == ["clean-up", "safe"]


def test_a_body_that_ignores_its_cancellation_is_fenced_out_of_direct_calls(lab: Lab) -> None:
    log: list[Any] = []
    stage = lab.add("stage", direct(), log)
    looping = threading.Event()
    over = threading.Event()

    def body(stage: Stage) -> None:
        while not over.is_set():
            try:
                stage.step("on and on")
                looping.set()
            except (Cancelled, ActorLabError):
                continue

    run = lab.start(body, stage)
    assert looping.wait(5)
    run.cancel()
    error = run.exception(5)
    assert isinstance(error, RunCancelled)
    assert error.abandoned
    assert log[-1] == "safe"
    for _ in range(20):
        assert stage.position(1) == 1
    over.set()
    assert "on and on" not in log[log.index("safe") :]


def test_making_safe_waits_for_the_direct_call_in_progress(lab: Lab, gate: Gate, until: Until) -> None:
    log: list[Any] = []
    stage = lab.add("stage", direct(), log)

    def body(stage: Stage) -> None:
        directly(stage)
        stage.step("long", gate)
        stage.step("never")

    run = lab.start(body, stage)
    gate.reached()
    run.cancel()
    until(run, RunState.CANCELLING)
    becomes(lambda: actor_of(lab).wants_turn)
    assert log[-1] == "long"
    gate.open()
    error = run.exception(5)
    assert isinstance(error, RunCancelled)
    assert error.safe == ("stage",)
    assert log[-2:] == ["long", "safe"]
    assert stage.bad == []


def test_an_emergency_stop_ends_a_loop_of_direct_calls_and_nothing_comes_after_it(lab: Lab) -> None:
    log: list[Any] = []
    stage = lab.add("stage", direct(), log)
    looping = threading.Event()

    def body(stage: Stage) -> None:
        while True:
            try:
                stage.step("on and on")
                looping.set()
            except ActorLabError:
                return

    run = lab.start(body, stage)
    assert looping.wait(5)
    assert lab.emergency_stop("smoke").result(5) == {"stage": None}
    assert run.exception(5) is not None
    assert "on and on" not in log[log.index("safe") :]
    assert set(log[log.index("safe") :]) == {"safe"}
    lab.rearm()
    assert stage.step("again") == "again"
    lab.run(directly, stage)


def test_a_direct_call_that_hangs_in_an_emergency_stop_is_named_within_its_bound(lab: Lab, gate: Gate) -> None:
    log: list[Any] = []
    stage = lab.add("stage", direct(safe_timeout=0.2), log)
    other = lab.add("other", Stage, [])
    threads: list[threading.Thread] = []
    refused = threading.Event()

    def body(stage: Stage) -> None:
        def second() -> None:
            gate.reached()
            try:
                stage.step("second")
            except (Cancelled, ActorLabError):
                refused.set()

        directly(stage)
        threads.append(threading.Thread(target=second, name="actorlab-second"))
        threads[0].start()
        try:
            stage.step("long", gate)
        finally:
            threads[0].join(5)

    run = lab.start(body, stage)
    becomes(lambda: threads and waits_in(threads[0], "direct_calls.py"))
    began = time.monotonic()
    outcome = lab.emergency_stop("smoke").result(5)
    assert time.monotonic() - began < 2
    assert outcome["other"] is None
    assert "couldn't be made safe within 0.2 s" in str(outcome["stage"])
    assert lab.status("stage").state == "quarantined"
    assert refused.wait(4), "who waits for the turn hears of it, though the call hangs on"
    gate.open()
    assert run.exception(5) is not None
    assert "safe" not in log
    assert "second" not in log
    lab.rearm()
    assert other.step(1) == 1


# -- what a driver raises


def test_an_error_that_is_no_fault_goes_to_the_caller_as_it_is(lab: Lab) -> None:
    stage = lab.add("stage", direct(), [])
    error = ValueError("out of range")

    def body(stage: Stage) -> None:
        directly(stage)
        for number in range(3):
            with pytest.raises(ValueError, match="out of range") as caught:
                stage.step(number, fail=error)
            assert caught.value is error
        directly(stage)

    lab.run(body, stage)
    assert lab.status("stage").restarts == 0


def test_system_exit_in_a_direct_call_ends_neither_the_body_nor_the_device(lab: Lab) -> None:
    stage = lab.add("stage", direct(), [])

    def body(stage: Stage) -> str:
        directly(stage)
        with pytest.raises(ActorLabError, match=r"stage\.step raised SystemExit\(3\)") as caught:
            stage.step(1, fail=SystemExit(3))
        assert isinstance(caught.value.__cause__, SystemExit)
        directly(stage)
        return "done"

    assert lab.run(body, stage) == "done"
    assert lab.status("stage").restarts == 0


def test_a_fault_in_a_direct_call_restarts_the_device_and_the_next_command_hears_of_it(lab: Lab) -> None:
    log: list[Any] = []
    stage = lab.add("stage", direct(), log)

    def body(stage: Stage) -> None:
        directly(stage)
        with pytest.raises(DeviceFault, match=r"stage failed in step: ConnectionResetError: the plug is out") as caught:
            stage.step("broke", fail=ConnectionResetError("the plug is out"))
        assert isinstance(caught.value.__cause__, ConnectionResetError)
        came_back(lab)
        with pytest.raises(DeviceFault, match="restarted"):
            stage.step("too early")
        stage.step("again")
        directly(stage)

    lab.run(body, stage)
    assert log == ["made", *THREE, "broke", "closed", "made", "safe", "again", *THREE]
    status = lab.status("stage")
    assert status.restarts == 1
    assert status.last_error == "ConnectionResetError: the plug is out"


def test_a_restart_under_a_lease_ends_direct_calls_until_the_holder_has_heard_of_it(lab: Lab, gate: Gate) -> None:
    log: list[Any] = []
    stage = lab.add("stage", direct(), log)

    def body(stage: Stage) -> None:
        directly(stage)
        gate.stop()
        assert stage.position(1) == 1, "queries are answered"
        with pytest.raises(DeviceFault, match="restarted"):
            stage.step("too early")
        stage.step("again")
        directly(stage)

    run = lab.start(body, stage)
    gate.reached()
    lab.restart("stage")
    gate.open()
    run.result(5)
    assert log == ["made", *THREE, "closed", "made", "safe", "query 1", "again", *THREE]


@pytest.mark.usefixtures("switching")
def test_no_direct_call_ever_reaches_a_closed_object_or_one_of_an_earlier_life(lab: Lab) -> None:
    """Restarts, calls of several threads of a body, and queries of others, all at once."""
    stages: list[Stage] = []

    class Watched(Stage):
        def __init__(self) -> None:
            super().__init__([])
            stages.append(self)

        def use(self, who: str) -> None:
            super().use(who)
            if self is not stages[-1]:
                self.bad.append("an earlier life")

    stage = lab.add("stage", direct(Watched))
    over = threading.Event()

    def until_over(verb: Callable[[], object]) -> None:
        while not over.is_set():
            try:
                verb()
            except (Cancelled, ActorLabError):
                continue

    def body(stage: Stage) -> None:
        second = threading.Thread(target=until_over, args=(lambda: stage.use(""),), name="actorlab-second")
        second.start()
        until_over(lambda: stage.use(""))
        second.join(5)

    run = lab.start(body, stage)
    outsider = threading.Thread(target=until_over, args=(stage.position,), name="actorlab-outsider")
    outsider.start()
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        lab.restart("stage")
    over.set()
    outsider.join(5)
    assert run.exception(5) is None
    assert [bad for each in stages for bad in each.bad] == []
    assert len(stages) > 3
    lab.run(directly, lab.device("stage"))


# -- signals


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # it may strike in a weakref's callback
@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="this system has no interval timers")
@pytest.mark.timeout(60, method="thread")  # the alarm is ours
def test_ctrl_c_at_any_moment_of_a_direct_call_leaves_the_turn_free(lab: Lab, gate: Gate) -> None:
    """The main thread uses the handle of a body, as a thread of the body would."""
    stage = lab.add("stage", direct(), [])
    handles: list[Stage] = []

    def body(stage: Stage) -> None:
        handles.append(stage)
        gate.stop()

    armed: list[bool] = []

    def interrupt(*_: object) -> None:
        if armed:
            armed.clear()
            raise KeyboardInterrupt

    def call_until_interrupted(handle: Stage) -> None:
        """Call directly, and now and then through the mailbox, so that the way back is hit as well."""
        number = 0
        while armed:
            handle.use("")
            number += 1
            if number % 50 == 0:
                handle.speed = number

    run = lab.start(body, stage)
    gate.reached()
    handle = handles[0]
    before = signal.signal(signal.SIGALRM, interrupt)
    hits = 0
    try:
        end = time.monotonic() + SECONDS
        while time.monotonic() < end:
            try:
                armed.append(True)
                signal.setitimer(signal.ITIMER_REAL, random.uniform(0.00002, 0.0008))
                call_until_interrupted(handle)
            except (KeyboardInterrupt, ActorLabError):
                hits += 1
            finally:
                signal.setitimer(signal.ITIMER_REAL, 0)
                armed.clear()
            assert ask(stage.position, 3).result(5) == 3, f"the turn is wedged after {hits} interrupts"
            assert ask(handle.position, 4).result(5) == 4
    finally:
        signal.signal(signal.SIGALRM, before)
    assert hits > 20
    assert not actor_of(lab).turn.locked()
    gate.open()
    run.result(5)
    lab.run(directly, stage)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # it may strike in a weakref's callback
@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="this system has no interval timers")
@pytest.mark.timeout(60, method="thread")  # the alarm is ours
def test_ctrl_c_in_a_lease_block_of_a_direct_device_gives_the_lease_back(lab: Lab) -> None:
    stage = lab.add("stage", direct(), [])
    armed: list[bool] = []

    def interrupt(*_: object) -> None:
        if armed:
            armed.clear()
            raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, interrupt)
    hits = 0
    try:
        end = time.monotonic() + SECONDS / 2
        while time.monotonic() < end:
            try:
                with lab.lease(stage):
                    armed.append(True)
                    signal.setitimer(signal.ITIMER_REAL, random.uniform(0.00002, 0.0008))
                    while armed:
                        stage.use("")
            except KeyboardInterrupt:
                hits += 1
            finally:
                signal.setitimer(signal.ITIMER_REAL, 0)
                armed.clear()
    finally:
        signal.signal(signal.SIGALRM, before)
    assert hits > 5
    assert lab.start(lambda stage: stage.step(1), stage).result(5) == 1


# -- what must hold beside that


def test_nothing_more_reaches_an_object_that_broke_in_a_direct_call(lab: Lab) -> None:
    log: list[Any] = []
    stage = lab.add("stage", direct(), log)

    def body(stage: Stage) -> None:
        directly(stage)
        with pytest.raises(DeviceFault):
            stage.step("broke", fail=ConnectionResetError("the plug is out"))
        for _ in range(1000):
            try:
                stage.step("after it")
            except ActorLabError:
                return

    lab.run(body, stage)
    came_back(lab)
    assert log[: log.index("broke") + 2] == ["made", *THREE, "broke", "closed"]


def test_a_part_of_a_part_comes_back_as_a_proxy(lab: Lab) -> None:
    class Motor:
        def turn(self) -> str:
            return "turned"

    class Rail:
        def motor(self) -> Motor:
            return Motor()

    class Railed(Stage):
        def rail(self) -> Rail:
            return Rail()

    stage = lab.add("stage", direct(Railed), [])

    def body(stage: Railed) -> list[str]:
        rail = stage.rail()
        return [rail.motor().turn() for _ in range(4)]

    assert lab.run(body, stage) == ["turned"] * 4


class Sleepy(Stage):
    """A stage whose methods wait for physics, or for an answer."""

    def __init__(self, log: list[Any]) -> None:
        super().__init__(log)
        self.wire: deque[str] = deque()
        self.stopped = threading.Event()

    def wait(self, begun: Gate | None) -> None:
        if begun is not None:
            begun.arrive()
            sleep(60)

    def power(self, begun: Gate | None) -> str:
        with exchange():
            self.wire.append("power")
            self.wait(begun)
            return self.wire.popleft()

    def acquire(self, begun: Gate | None) -> None:
        if begun is not None:
            begun.arrive()
            assert self.stopped.wait(5), "nobody interrupted it"
            self.log.append("interrupted")

    @query
    def temperature(self) -> str:
        with exchange():
            self.wire.append("temperature")
            return self.wire.popleft()

    def interrupt(self) -> None:
        self.stopped.set()

    def resync(self) -> None:
        self.log.append("in step")
        self.wire.clear()
        self.stopped.clear()


def test_a_cancellation_in_a_drivers_sleep_reaches_the_body_as_that(lab: Lab, gate: Gate) -> None:
    stage = lab.add("stage", direct(Sleepy), [])
    met: list[BaseException] = []

    def body(stage: Sleepy) -> None:
        try:
            for begun in (None, None, gate):
                stage.wait(begun)
        except BaseException as error:
            met.append(error)
            raise

    run = lab.start(body, stage)
    gate.reached()
    run.cancel()
    assert isinstance(run.exception(5), RunCancelled)
    assert isinstance(met[0], Cancelled)


def test_an_exchange_that_is_cut_short_is_brought_back_into_step_before_anything_else(lab: Lab, gate: Gate) -> None:
    log: list[Any] = []
    stage = lab.add("stage", direct(Sleepy), log)

    def body(stage: Sleepy) -> None:
        for begun in (None, None, gate):
            stage.power(begun)

    run = lab.start(body, stage)
    gate.reached()
    run.cancel()
    assert isinstance(run.exception(5), RunCancelled)
    assert stage.temperature() == "temperature"
    assert log == ["made", "in step", "safe"]


def test_an_emergency_stop_interrupts_the_direct_call_in_progress(lab: Lab, gate: Gate) -> None:
    log: list[Any] = []
    stage = lab.add("stage", direct(Sleepy), log)

    def body(stage: Sleepy) -> None:
        for begun in (None, None, gate):
            stage.acquire(begun)

    run = lab.start(body, stage)
    gate.reached()
    assert lab.emergency_stop("smoke").result(5) == {"stage": None}
    assert run.exception(5) is not None
    assert log[:4] == ["made", "interrupted", "in step", "safe"]
    lab.rearm()
    assert stage.step(1) == 1


def test_a_call_from_within_a_direct_call_is_refused_at_once(lab: Lab) -> None:
    class Calling(Stage):
        def call(self, function: Callable[[], object]) -> object:
            return function()

    stage = lab.add("stage", direct(Calling), [])
    other = lab.add("other", direct(), [])

    def body(stage: Calling, other: Stage) -> object:
        for _ in range(2):
            stage.step(1)
            stage.call(lambda: None)
        assert stage.call(lambda: other.step(2)) == 2, "it is the body's own thread"
        stage.call(lambda: None)
        return stage.call(lambda: stage.step(3))

    run = lab.start(body, stage, other)
    assert isinstance(run.exception(5), AskDeadlock)


def test_a_direct_call_that_ends_when_its_device_was_given_up_says_so(lab: Lab, gate: Gate) -> None:
    stage = lab.add("stage", direct(safe_timeout=0.2), [])

    def body(stage: Stage) -> None:
        directly(stage)
        stage.step("long", gate)

    run = lab.start(body, stage)
    gate.reached()
    with pytest.raises(DeviceQuarantined):
        lab.restart("stage")
    gate.open()
    assert isinstance(run.exception(5), DeviceQuarantined)


def test_a_direct_call_never_overtakes_an_ask_whatever_another_thread_of_the_body_does(lab: Lab, gates: Gates) -> None:
    """The other thread gets a pass while the first is about to send."""
    sending, sent = gates(), gates()
    log: list[Any] = []
    stage = lab.add("stage", direct(), log)
    mailbox: Any = actor_of(lab).mailbox
    put_asked = mailbox.put_asked

    def put_slowly(*args: Any) -> Any:
        sending.stop()
        return put_asked(*args)

    def body(stage: Stage) -> None:
        def second() -> None:
            sending.reached()
            for _ in range(3):
                stage.step("other")
            sent.arrive()
            sending.open()

        thread = threading.Thread(target=second, name="actorlab-second")
        thread.start()
        directly(stage)
        mailbox.put_asked = put_slowly
        ask(stage.step, "asked")
        mailbox.put_asked = put_asked
        stage.step("direct")
        thread.join(5)

    lab.run(body, stage)
    sent.reached()
    assert log[-2:] == ["asked", "direct"]


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="this system has no interval timers")
@pytest.mark.timeout(60, method="thread")  # the alarm is ours
def test_ctrl_c_in_a_direct_call_is_ctrl_c(lab: Lab, gate: Gate) -> None:
    log: list[Any] = []
    stage = lab.add("stage", direct(Sleepy), log)
    handles: list[Sleepy] = []

    class Silent:
        """What a driver waits for that doesn't come."""

        def arrive(self) -> None:
            signal.setitimer(signal.ITIMER_REAL, 0.05)

    def body(stage: Sleepy) -> None:
        handles.append(stage)
        gate.stop()

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    run = lab.start(body, stage)
    gate.reached()
    silent: Any = Silent()
    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        with pytest.raises(KeyboardInterrupt):  # noqa: PT012 - the last of the three is the subject
            for begun in (None, None, silent):
                handles[0].acquire(begun)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert stage.temperature() == "temperature"
    assert log == ["made", "in step"], "wherever it was"
    gate.open()
    run.result(5)
