"""Use drivers in processes of their own through a lab: as in a thread, and whatever becomes of the process."""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import os
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from actorlab import (
    ActorLabError,
    CallTimeout,
    Cancelled,
    DeviceConfig,
    DeviceFault,
    DeviceQuarantined,
    DeviceUnavailable,
    Lab,
    NotLeased,
    RestartPolicy,
    Run,
    RunCancelled,
    ask,
    perform,
)
from actorlab.isolation.dying import ProcessDied
from actorlab.runtime.isolated_actor import IsolatedDeviceActor

ROOT = Path(__file__).parents[2]
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))  # the processes get our path, and import their drivers by it

from tests.runtime.isolated_lab_drivers import (  # noqa: E402
    Dies,
    HangsInConnect,
    HangsInDisconnect,
    HangsInMakeSafe,
    HangsWhenMade,
    Rig,
    SleepsInConnect,
    SleepsInDisconnect,
    Stoppable,
    Unstoppable,
    doubled,
    nap_with,
    where_it_is,
)

PATIENCE = 20.0
"""A process has to start and to import numpy for most of what is waited for here."""
LIMIT = 0.3
MACHINE = 1.5
"""So many seconds a slow machine may add: less than the grace of an interrupted call, which is 2 s."""


def wait_for(condition: Callable[[], object], seconds: float = PATIENCE) -> None:
    """Wait until something is so."""
    end, pause = time.monotonic() + seconds, threading.Event()
    while not condition():
        assert time.monotonic() < end, "it didn't come about"
        pause.wait(0.005)


@contextlib.contextmanager
def within(seconds: float) -> Generator[None]:
    """Fail if the block takes longer, but for what the machine may add."""
    began = time.monotonic()
    yield
    took = time.monotonic() - began
    assert took < seconds + MACHINE, f"it took {took:.2f} s instead of {seconds} s"


def processes() -> set[int]:
    """Return the processes that are children of this one, zombies too."""
    found = set[int]()
    for place in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            if int(place.read_text().rpartition(")")[2].split()[1]) == os.getpid():
                found.add(int(place.parent.name))
    return found


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def has_ended(pid: int, seconds: float = PATIENCE) -> bool:
    """Wait for the end of a process that may be anybody's child."""
    try:
        end = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    waits = select.poll()
    waits.register(end, select.POLLIN)
    ended = bool(waits.poll(seconds * 1000))
    os.close(end)
    return ended


@pytest.fixture(autouse=True)
def no_process_stays_behind() -> Iterator[None]:
    """Fail the test if a driver's process outlives its lab, also as a zombie."""
    before = processes()
    yield
    left = processes() - before
    for pid in left:
        os.kill(pid, signal.SIGKILL)
    assert not left, "processes stayed behind"


class Bay:
    """A lab in which rigs live, each with a file that tells what was done to it."""

    def __init__(self, lab: Lab, folder: Path) -> None:
        self.lab = lab
        self._folder = folder

    def add(self, cls: type[Rig] = Rig, name: str = "rig", **config: Any) -> Any:
        given: dict[str, Any] = {"isolation": "process", "timeout": PATIENCE, **config}
        return self.lab.add(name, DeviceConfig(**given)(cls), str(self._folder / name))

    def done(self, name: str = "rig") -> list[str]:
        place = self._folder / name
        return place.read_text().splitlines() if place.exists() else []

    def at(self, mark: str, name: str = "rig") -> None:
        """Wait until the driver has come to a place."""
        wait_for(lambda: mark in self.done(name))

    def pid(self, name: str = "rig") -> int:
        pid = self.lab.status(name).pid
        assert pid is not None
        return pid

    def serves(self, life: int, name: str = "rig") -> None:
        """Wait until a life of the device serves."""
        wait_for(lambda: self.lab.cells[name].life >= life and self.lab.status(name).state == "idle")

    @contextlib.contextmanager
    def limit(self, seconds: float = LIMIT, name: str = "rig") -> Generator[None]:
        """Give calls a limit that would be too short for a process to start."""
        cell = self.lab.cells[name]
        usual = cell.config
        cell.config = dataclasses.replace(usual, timeout=seconds)
        try:
            yield
        finally:
            cell.config = usual


@pytest.fixture
def bay(lab: Lab, tmp_path: Path) -> Bay:
    return Bay(lab, tmp_path)


def ended(run: Run[Any]) -> BaseException | None:
    """Wait for the end of a run, and return its error."""
    assert run.reply.wait(PATIENCE), "the run hasn't ended"
    return run.reply.exception(0)


# -- as in a thread


@pytest.fixture(params=["thread", "process"])
def rig(bay: Bay, request: pytest.FixtureRequest) -> Any:
    """Give the same device twice: the tests say what holds for both."""
    return bay.add(isolation=request.param)


def test_its_members_are_used_as_in_a_thread(lab: Lab, rig: Any) -> None:
    rig.level = 3.0
    rig.channels[1].set(2.5)
    assert (rig.level, rig.serial, rig.add(1, second=2)) == (3.0, "R1", 3)
    assert (rig.first.volts(), rig.channels[2].volts(), rig.channel(1).volts()) == (2.5, 0.0, 2.5)
    assert (sorted(rig.channels), len(rig.channels)) == ([1, 2], 2)
    assert list(rig.scan(3)) == [0, 1, 2]
    assert ask(rig.add, 1, 2).result(PATIENCE) == 3
    assert perform(rig, doubled) == 6.0
    with pytest.raises(AttributeError):
        rig.levle = 2.0
    with pytest.raises(ValueError, match="no such thing"):
        rig.fail("no such thing")
    with pytest.raises(ActorLabError, match="SystemExit"):
        rig.leave()
    assert lab.status("rig").restarts == 0
    assert isinstance(rig, Rig)


def test_a_body_uses_it_as_in_a_thread(lab: Lab, rig: Any) -> None:
    def body(rig: Rig) -> list[float]:
        rig.level = 4.0
        rig.channels[2].set(1.5)
        return [rig.level, rig.first.volts(), rig.channels[2].volts(), perform(rig, doubled)]

    assert lab.run(body, rig) == [4.0, 0.0, 1.5, 8.0]


def test_queries_are_answered_while_it_sleeps_until_the_run_is_cancelled(lab: Lab, bay: Bay, rig: Any) -> None:
    run = lab.start(lambda rig: rig.nap(1000), rig)
    bay.at("nap")
    assert (rig.channels[1].volts(), "nap" in rig.done()) == (0.0, True)
    run.cancel("enough")
    assert isinstance(ended(run), RunCancelled)
    assert rig.done() == ["made", "connect", "nap", "make_safe"]
    assert lab.status("rig").restarts == 0


def test_a_function_that_sleeps_in_its_place_can_be_cancelled(lab: Lab, bay: Bay, rig: Any) -> None:
    run = lab.start(lambda rig: perform(rig, nap_with), rig)
    bay.at("nap")
    run.cancel("enough")
    assert isinstance(ended(run), RunCancelled)
    assert lab.status("rig").restarts == 0


@pytest.mark.parametrize("isolation", ["thread", "process"])
def test_an_exchange_keeps_queries_out_and_is_resynced_when_it_is_cut(lab: Lab, bay: Bay, isolation: str) -> None:
    rig = bay.add(Stoppable, isolation=isolation)
    pid = rig.pid()
    run = lab.start(lambda rig: rig.nap_in_exchange(1000), rig)
    bay.at("exchange")
    asked = ask(rig.note)
    run.cancel("enough")
    assert isinstance(ended(run), RunCancelled)
    assert asked.wait(PATIENCE)
    done = bay.done()
    assert done[:4] == ["made", "connect", "exchange", "resync"]
    assert "noted" in done, "it was answered, though afterwards"
    assert rig.pid() == pid


def test_a_failed_run_makes_it_safe(lab: Lab, rig: Any) -> None:
    def body(rig: Rig) -> None:
        rig.fail("inside")

    with pytest.raises(ValueError, match="inside"):
        lab.run(body, rig)
    assert rig.done() == ["made", "connect", "make_safe"]


def test_a_broken_connection_restarts_it(lab: Lab, bay: Bay, rig: Any) -> None:
    with pytest.raises(DeviceFault, match="the other side is gone"):
        rig.lose_the_link()
    bay.serves(2)
    assert rig.done() == ["made", "connect", "disconnect", "made", "connect", "make_safe"]
    assert lab.status("rig").restarts == 1


def test_a_handle_of_a_body_is_refused_after_its_run(lab: Lab, rig: Any) -> None:
    kept: list[Any] = []
    lab.run(kept.append, rig)
    with pytest.raises(NotLeased):
        kept[0].add(1)


def test_its_part_of_an_earlier_life_is_refused(lab: Lab, bay: Bay) -> None:
    rig = bay.add()
    part = rig.channel(1)
    lab.restart("rig")
    with pytest.raises(DeviceFault, match="before it restarted"):
        part.set(1.0)


def test_a_run_meets_the_restart_that_happened_while_it_held_the_device(lab: Lab, bay: Bay) -> None:
    rig = bay.add()
    entered, restarted = threading.Event(), threading.Event()

    def body(rig: Rig) -> None:
        rig.add(1)
        entered.set()
        assert restarted.wait(PATIENCE)
        with pytest.raises(DeviceFault, match="has restarted"):
            rig.add(1)

    run = lab.start(body, rig)
    assert entered.wait(PATIENCE)
    os.kill(bay.pid(), signal.SIGKILL)
    bay.serves(2)
    restarted.set()
    assert ended(run) is None


def test_it_has_a_process_of_its_own(lab: Lab, bay: Bay) -> None:
    rig = bay.add()
    assert rig.pid() == perform(rig, where_it_is) == lab.status("rig").pid != os.getpid()
    assert lab.status("rig").isolation == "process"
    assert lab.describe("rig")["isolation"] == "process"


def test_a_frame_belongs_to_who_gets_it(lab: Lab, bay: Bay) -> None:
    rig = bay.add()

    def body(rig: Rig) -> list[Any]:
        return [rig.frame(2) for _ in range(4)]

    frames = lab.run(body, rig)
    frames[0][:] = 1
    frames += [rig.frame(2), ask(rig.frame, 0.01).result(PATIENCE)]
    assert [int(frame[0]) for frame in frames] == [1, 7, 7, 7, 7, 7]
    assert all(frame.flags.writeable for frame in frames)
    lab.remove("rig")
    assert int(frames[1].sum()) == 7 * frames[1].size, "also when the process is gone"


def test_an_argument_stays_the_callers(bay: Bay) -> None:
    rig = bay.add()
    image = np.ones(2**20, np.uint16)
    assert rig.emptied(image) == 2**20
    assert int(image.sum()) == 2**20


def test_what_it_logs_arrives(bay: Bay, caplog: pytest.LogCaptureFixture) -> None:
    bay.add().say("the lamp is old")
    wait_for(lambda: "the lamp is old" in caplog.text)
    (record,) = [record for record in caplog.records if record.name == "rigs.mine"]
    assert (record.levelno, record.processName) == (logging.WARNING, "rig")


def test_its_status_tells_what_it_does(lab: Lab, bay: Bay) -> None:
    rig = bay.add()
    reply = ask(rig.nap, 1000)
    bay.at("nap")
    status = lab.status("rig")
    assert status.in_progress.startswith("nap(1000) for ")
    assert (status.state, status.isolation, status.pid) == ("busy", "process", rig.pid())
    reply.cancel()
    assert isinstance(reply.exception(PATIENCE), Cancelled)


# -- calls that hang


@pytest.mark.parametrize(
    "use",
    [
        lambda rig: rig.hang(),
        lambda rig: ask(rig.hang).result(PATIENCE),
        lambda rig: rig.stuck(),
    ],
    ids=["a call", "an ask", "a query"],
)
def test_who_waits_for_a_call_that_hangs_is_free_at_its_limit_and_the_process_is_killed(
    lab: Lab, bay: Bay, use: Callable[[Any], Any]
) -> None:
    rig = bay.add()
    pid = rig.pid()
    with bay.limit(), within(LIMIT), pytest.raises(CallTimeout) as caught:
        use(rig)
    assert "threading.Event().wait()" in caught.value.stack, "where it hangs"
    assert "isolated_lab_drivers.py" in str(caught.value)
    assert "2 s" not in str(caught.value), "nobody waits for a call that can't be interrupted"
    assert has_ended(pid)
    bay.serves(2)
    assert rig.pid() != pid
    assert bay.done()[2:] == [bay.done()[2], "made", "connect", "make_safe"]
    status = lab.status("rig")
    assert (status.restarts, status.abandoned, status.owes_safe) == (1, (), False)
    assert "SIGKILL" in status.last_error


def test_a_body_is_free_at_the_limit_and_its_device_restarts(lab: Lab, bay: Bay) -> None:
    rig = bay.add()
    seconds: list[float] = []

    def body(rig: Rig) -> None:
        began = time.monotonic()
        try:
            rig.hang()
        finally:
            seconds.append(time.monotonic() - began)

    with bay.limit():
        run = lab.start(body, rig)
        wait_for(lambda: seconds)
    assert isinstance(ended(run), CallTimeout)
    assert LIMIT <= seconds[0] < LIMIT + MACHINE
    bay.serves(2)
    assert rig.add(1, 1) == 2


def test_a_call_that_hangs_is_interrupted_where_it_can_be(lab: Lab, bay: Bay) -> None:
    rig = bay.add(Stoppable)
    pid = rig.pid()
    with bay.limit(), within(LIMIT), pytest.raises(CallTimeout, match=r"interrupted|told to end"):
        rig.hang()
    assert rig.done() == ["made", "connect", "hang", "interrupt", "resync"]
    assert rig.pid() == pid
    assert lab.status("rig").restarts == 0


def test_each_call_that_hangs_says_where_it_was_itself(bay: Bay, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("actorlab.runtime.call_limits.INTERRUPT_GRACE", 0.2)
    rig = bay.add(Stoppable)
    with bay.limit(), pytest.raises(CallTimeout):
        rig.hang()
    with bay.limit(), pytest.raises(CallTimeout) as caught:
        rig.stuck()
    assert "in hang" not in caught.value.stack
    bay.serves(2)


def test_an_interrupt_that_does_not_help_is_followed_by_the_kill(bay: Bay, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("actorlab.runtime.call_limits.INTERRUPT_GRACE", 0.2)
    rig = bay.add(Unstoppable)
    with bay.limit(), within(LIMIT), pytest.raises(CallTimeout):
        rig.hang()
    bay.serves(2)
    assert rig.done() == ["made", "connect", "hang", "interrupt", "made", "connect", "make_safe"]


def test_a_query_that_hangs_in_a_sleep_ends_both(bay: Bay) -> None:
    rig = bay.add()
    napping = ask(rig.nap, 1000)
    bay.at("nap")
    with bay.limit(), within(LIMIT), pytest.raises(CallTimeout):
        rig.stuck()
    assert isinstance(napping.exception(PATIENCE), (CallTimeout, DeviceFault))
    bay.serves(2)


def test_holding_the_gil_for_ever_disturbs_no_other_device(lab: Lab, bay: Bay) -> None:
    rig, other = bay.add(), bay.add(name="other")
    with bay.limit(1.0):
        reply = ask(rig.hold_the_gil)
        bay.at("hold")
        assert lab.run(lambda other: other.add(1, 1), other) == 2
        assert lab.status("rig").in_progress.startswith("hold_the_gil()")
        assert other.add(1, 2) == 3
        with within(1.0):
            error = reply.exception(PATIENCE)
    assert isinstance(error, CallTimeout)
    assert "in hold_the_gil" in error.stack
    bay.serves(2)
    assert lab.status("other").restarts == 0


def test_a_cancelled_run_in_a_call_that_can_be_interrupted_ends_with_the_same_process(lab: Lab, bay: Bay) -> None:
    rig = bay.add(Stoppable)
    pid = rig.pid()
    run = lab.start(lambda rig: rig.hang(), rig)
    bay.at("hang")
    run.cancel("enough")
    assert isinstance(ended(run), RunCancelled)
    assert rig.done() == ["made", "connect", "hang", "interrupt", "resync", "make_safe"]
    assert rig.pid() == pid


def test_a_cancelled_run_in_a_call_that_hangs_ends_when_it_cannot_be_made_safe(lab: Lab, bay: Bay) -> None:
    rig = bay.add(safe_timeout=0.5)
    run = lab.start(lambda rig: rig.hang(), rig)
    bay.at("hang")
    with within(0.3 + 0.5):
        run.cancel("enough")
        error = ended(run)
    assert error is not None
    bay.serves(2)
    assert rig.done() == ["made", "connect", "hang", "made", "connect", "make_safe"]


def test_a_make_safe_that_hangs_ends_with_its_process_and_is_done_by_the_next_life(lab: Lab, bay: Bay) -> None:
    rig = bay.add(HangsInMakeSafe, safe_timeout=0.5)
    pid = rig.pid()

    def body(rig: Rig) -> None:
        rig.fail("inside")

    with pytest.raises(ValueError, match="inside"):
        lab.run(body, rig)
    bay.serves(2)
    assert has_ended(pid)
    assert rig.done() == ["made", "connect", "make_safe", "made", "connect", "make_safe"]
    assert not lab.status("rig").owes_safe


# -- processes that end


def test_a_segmentation_fault_is_a_fault_with_the_drivers_stack(lab: Lab, bay: Bay) -> None:
    rig = bay.add()
    with pytest.raises(DeviceFault, match=r"rig failed in crash: ProcessDied: .*SIGSEGV") as caught:
        rig.crash()
    assert isinstance(caught.value.__cause__, ProcessDied)
    assert "in crash\n" in caught.value.__cause__.stack
    bay.serves(2)
    assert rig.add(1, 1) == 2
    assert "SIGSEGV" in lab.status("rig").last_error
    assert "in crash" in lab.status("rig").last_traceback


def test_a_driver_that_exits_is_restarted(bay: Bay) -> None:
    rig = bay.add()
    with pytest.raises(DeviceFault, match="exit code 5"):
        rig.exit(5)
    bay.serves(2)
    assert rig.add(1, 1) == 2


def test_a_process_that_is_killed_while_idle_is_restarted(lab: Lab, bay: Bay) -> None:
    rig = bay.add()
    pid = bay.pid()
    os.kill(pid, signal.SIGKILL)
    bay.serves(2)
    assert rig.pid() == bay.pid() != pid
    assert rig.done() == ["made", "connect", "made", "connect", "make_safe"]
    assert "SIGKILL" in lab.status("rig").last_error


@pytest.mark.parametrize("nap", ["nap", "nap_in_exchange"])
def test_a_process_that_is_killed_while_its_driver_sleeps_is_restarted_at_once(lab: Lab, bay: Bay, nap: str) -> None:
    rig = bay.add()
    run = lab.start(lambda rig: getattr(rig, nap)(1000), rig)
    bay.at({"nap": "nap", "nap_in_exchange": "exchange"}[nap])
    wait_for(lambda: lab.cells["rig"].actor.stack[0].begun > time.monotonic() + 500)  # type: ignore[union-attr]  # it has one
    os.kill(bay.pid(), signal.SIGKILL)
    error = ended(run)
    assert isinstance(error, DeviceFault)
    assert "SIGKILL" in str(error)
    bay.serves(2)
    assert rig.add(1, 1) == 2


def test_a_query_that_crashes_it_in_a_sleep_ends_both_and_is_told_once(
    lab: Lab, bay: Bay, caplog: pytest.LogCaptureFixture
) -> None:
    rig = bay.add()
    run = lab.start(lambda rig: rig.nap(1000), rig)
    bay.at("nap")
    with pytest.raises(DeviceFault, match="SIGSEGV"):
        rig.crashing()
    assert isinstance(ended(run), DeviceFault)
    bay.serves(2)
    assert lab.status("rig").restarts == 1
    assert caplog.text.count("rig failed: ") == 1


def test_its_restarts_are_bounded_by_its_policy(lab: Lab, bay: Bay) -> None:
    rig = bay.add(Dies, restart=RestartPolicy(limit=2, delay=0.0))
    os.kill(bay.pid(), signal.SIGKILL)
    wait_for(lambda: lab.status("rig").state == "quarantined")
    assert rig.__class__ is not None
    assert bay.done().count("connect") == 3
    assert "exit code 7" in lab.status("rig").last_error


def test_a_life_begun_on_purpose_has_a_new_process(lab: Lab, bay: Bay) -> None:
    rig = bay.add()
    pid = rig.pid()
    lab.restart("rig")
    assert has_ended(pid)
    assert rig.pid() == bay.pid() != pid
    assert rig.done() == ["made", "connect", "disconnect", "made", "connect", "make_safe"]


def test_a_dead_process_is_nobodys_pid(lab: Lab, bay: Bay) -> None:
    bay.add(restart=RestartPolicy(restart="never"))
    os.kill(bay.pid(), signal.SIGKILL)
    wait_for(lambda: lab.status("rig").state == "quarantined")
    assert lab.status("rig").pid is None


# -- connect and disconnect


@pytest.mark.parametrize("cls", [HangsWhenMade, HangsInConnect, SleepsInConnect])
def test_adding_one_that_hangs_takes_its_limit_and_leaves_no_process(lab: Lab, bay: Bay, cls: type[Rig]) -> None:
    before = processes()
    with within(3.0), pytest.raises(DeviceUnavailable, match="hasn't connected within 3 s") as caught:
        bay.add(cls, timeout=3.0)
    if cls is not SleepsInConnect:
        assert "threading.Event().wait()" in str(caught.value.__cause__), "where it hangs"
    wait_for(lambda: processes() == before)
    assert "it was here:;" not in str(caught.value)
    assert "rig" not in lab.cells
    assert bay.add(name="other").add(1, 1) == 2


def test_an_optional_one_that_hangs_is_tried_again(lab: Lab, bay: Bay) -> None:
    restart = RestartPolicy(delay=0.0)
    bay.add(HangsInConnect, timeout=3.0, safe_timeout=0.2, optional=True, restart=restart)
    wait_for(lambda: bay.done().count("connect") == 2)
    assert "hasn't connected within 3 s" in lab.status("rig").last_error


def test_restarting_one_that_then_hangs_in_its_connecting_is_bounded(lab: Lab, bay: Bay) -> None:
    bay.add(restart=RestartPolicy(limit=0))
    cell = lab.cells["rig"]
    cell.factory = HangsInConnect
    with bay.limit(3.0), within(3.0), pytest.raises(DeviceQuarantined, match="hasn't connected within 3 s"):
        lab.restart("rig")


@pytest.mark.parametrize("cls", [HangsInDisconnect, SleepsInDisconnect])
def test_removing_one_whose_disconnect_hangs_is_bounded(lab: Lab, bay: Bay, cls: type[Rig]) -> None:
    bay.add(cls, safe_timeout=0.5)
    pid = bay.pid()
    with within(0.5):
        lab.remove("rig")
    assert has_ended(pid)
    assert "rig" not in lab.cells


@pytest.mark.parametrize("cls", [HangsInDisconnect, SleepsInDisconnect])
def test_closing_a_lab_whose_device_hangs_in_its_disconnect_is_bounded(lab: Lab, bay: Bay, cls: type[Rig]) -> None:
    bay.add(cls, safe_timeout=0.5)
    bay.add(name="other")
    pid = bay.pid()
    with within(0.5 + 1.0):
        lab.close()
    assert has_ended(pid, 0.5)
    assert bay.done("other")[-1] == "disconnect"


def test_closing_a_lab_in_a_call_that_hangs_is_bounded(lab: Lab, bay: Bay) -> None:
    rig = bay.add()
    pid = bay.pid()
    reply = ask(rig.hang)
    bay.at("hang")
    with within(1.0):
        lab.close(timeout=1.0)
    assert has_ended(pid, 0.5)
    assert reply.exception(PATIENCE) is not None
    for thread in threading.enumerate():
        if "helper" in thread.name:  # on a busy machine it may still ask the process where it is
            thread.join(PATIENCE)


def test_a_closed_lab_leaves_no_process_no_thread_and_no_descriptor(tmp_path: Path) -> None:
    def once(number: int) -> None:
        with Lab(f"lab {number}") as lab:
            bay = Bay(lab, tmp_path)
            rig = bay.add()
            rig.frame(1)
            if number == 1:
                with contextlib.suppress(DeviceFault):
                    rig.crash()
            if number == 2:
                os.kill(bay.pid(), signal.SIGKILL)

    once(0)
    before = processes(), descriptors(), threading.active_count()
    for number in range(3):
        once(number)
    assert (processes(), descriptors(), threading.active_count()) == before


# -- the lab's safety


def test_an_interlock_reads_it_while_it_sleeps(lab: Lab, bay: Bay) -> None:
    rig, other = bay.add(), bay.add(name="other")
    run = lab.start(lambda rig: rig.nap(60), rig)
    bay.at("nap")
    lab.interlock(
        lambda: not (bay.done("other")[-1] == "nap" and rig.channels[1].volts() == 0.0),
        "cancel",
        devices=rig,
        period=0.05,
        grace=5.0,
        message="a nap is enough",
    )
    napping = ask(other.nap, 60)
    assert isinstance(ended(run), RunCancelled)
    assert bay.done()[-1] == "make_safe"
    napping.cancel()
    assert isinstance(napping.exception(PATIENCE), Cancelled)


def test_an_emergency_stop_makes_safe_what_sleeps_and_kills_what_hangs(lab: Lab, bay: Bay) -> None:
    hangs, sleeps = bay.add(safe_timeout=0.5), bay.add(name="sleeps")
    hanging, sleeping = ask(hangs.hang), ask(sleeps.nap, 1000)
    bay.at("hang")
    bay.at("nap", "sleeps")
    pid = bay.pid()
    with within(0.5):
        outcome = lab.emergency_stop("smoke").result(PATIENCE)
    assert outcome["sleeps"] is None
    assert "0.5 s" in str(outcome["rig"])
    assert bay.done("sleeps")[-1] == "make_safe"
    assert hanging.exception(PATIENCE) is not None
    assert sleeping.exception(PATIENCE) is not None
    assert has_ended(pid)
    bay.serves(2)
    assert bay.done()[-2:] == ["connect", "make_safe"]
    with pytest.raises(DeviceUnavailable, match="smoke"):
        hangs.add(1)
    lab.rearm()
    assert hangs.add(1, 1) == 2


# -- several


def test_eight_devices_work_at_once_each_in_its_own_process(lab: Lab, bay: Bay) -> None:
    rigs = [bay.add(name=f"rig {number}") for number in range(8)]
    assert len({rig.pid() for rig in rigs}) == 8
    replies = [ask(rig.nap, 0.2) for rig in rigs]
    assert [reply.result(PATIENCE) for reply in replies] == ["rested"] * 8

    def body(*rigs: Rig) -> list[int]:
        return [reply.result() for reply in [ask(rig.add, number, 1) for number, rig in enumerate(rigs)]]

    assert lab.run(body, *rigs) == list(range(1, 9))
    with pytest.raises(DeviceFault):
        rigs[3].crash()
    assert [rig.add(1, 1) for rig in rigs[:3] + rigs[4:]] == [2] * 7


def test_two_labs_share_no_process(lab: Lab, bay: Bay, tmp_path: Path) -> None:
    (tmp_path / "another").mkdir()
    rig = bay.add()
    with Lab("another") as another:
        other = Bay(another, tmp_path / "another").add()
        assert other.pid() != rig.pid()
        with pytest.raises(DeviceFault):
            other.crash()
    assert rig.add(1, 1) == 2
    assert lab.status("rig").restarts == 0


# -- programs

PROGRAM = """
import sys
{before}
from actorlab import DeviceConfig, Lab

print("ran", flush=True)

class Lamp:
    def __init__(self): self.on = False
    def shine(self): self.on = True; return 40
    def make_safe(self): self.on = False

def use(lamp):
    return lamp.shine()

with Lab("program") as lab:
    lamp = lab.add("lamp", DeviceConfig(isolation="process")(Lamp))
    print(isinstance(lamp, Lamp), lab.run(use, lamp), flush=True)
"""


def run_program(tmp_path: Path, program: str) -> subprocess.CompletedProcess[str]:
    script = tmp_path / "program.py"
    script.write_text(program)
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-W", "error", str(script)]
    return subprocess.run(command, env=environment, check=False, capture_output=True, text=True, timeout=60)


def test_an_unguarded_program_runs_once_and_isolates_a_class_of_its_own(tmp_path: Path) -> None:
    pytest.importorskip("cloudpickle")
    done = run_program(tmp_path, PROGRAM.format(before=""))
    assert done.stderr == ""
    assert done.stdout.splitlines() == ["ran", "True 40"]


def test_without_cloudpickle_a_class_of_the_program_is_refused_with_the_way_out(tmp_path: Path) -> None:
    done = run_program(tmp_path, PROGRAM.format(before="sys.modules['cloudpickle'] = None"))
    assert done.stdout == "ran\n"
    last = done.stderr.splitlines()[-1]
    assert "lamp can't be added" in last
    assert "Lamp is defined in the program itself (__main__)" in last
    assert "pip install cloudpickle" in last


KILLED = """
import sys, signal
from actorlab import DeviceConfig, Lab, ask
from tests.runtime.isolated_lab_drivers import Rig

lab = Lab("killed")
config = DeviceConfig(isolation="process", safe_timeout=2.0)
rig = lab.add("rig", config(Rig), sys.argv[1])
print(lab.status("rig").pid, flush=True)
run = lab.start(lambda rig: rig.nap(1000), rig)
signal.pause()
"""


def test_a_driver_makes_its_instrument_safe_and_ends_when_the_labs_process_is_killed(tmp_path: Path) -> None:
    marks = tmp_path / "marks"
    command = [sys.executable, "-c", KILLED, str(marks)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as program:
        try:
            assert program.stdout is not None
            pid = int(program.stdout.readline())
            wait_for(lambda: "nap" in marks.read_text())
        finally:
            program.kill()
    assert has_ended(pid)
    assert marks.read_text().splitlines() == ["made", "connect", "nap", "make_safe", "disconnect"]


def test_a_process_is_what_its_actor_says(lab: Lab, bay: Bay) -> None:
    bay.add()
    assert isinstance(lab.cells["rig"].actor, IsolatedDeviceActor)
