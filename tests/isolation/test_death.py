"""See what the lab learns when a driver's process dies or hangs, and that it can be ended at any time."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from actorlab.device import DeviceConfig
from actorlab.isolation.dying import ProcessDied, frames_in, how_it_ended, last_words
from tests.isolation.isolated_drivers import Interruptible, Meter
from tests.isolation.lab_side import PATIENCE, Made, has_ended

Launch = Callable[..., Made]


def in_thread(function: Callable[[], object]) -> Callable[[], list[BaseException]]:
    """Run a function in a thread; what is returned waits for its end, and tells what it raised."""
    raised: list[BaseException] = []

    def work() -> None:
        try:
            function()
        except BaseException as error:  # noqa: BLE001 - it is looked at
            raised.append(error)

    thread = threading.Thread(target=work, daemon=True, name="actorlab test call")
    thread.start()

    def end() -> list[BaseException]:
        thread.join(PATIENCE)
        assert not thread.is_alive(), "the call hasn't ended"
        return raised

    return end


def wait_for(condition: Callable[[], object], seconds: float = PATIENCE) -> None:
    """Wait until something is so."""
    end, pause = time.monotonic() + seconds, threading.Event()
    while not condition():
        assert time.monotonic() < end, "it didn't come about"
        pause.wait(0.01)


# -- crashes


def test_a_segmentation_fault_is_an_error_with_the_drivers_stack(launch: Launch) -> None:
    made = launch(Meter)
    with pytest.raises(ProcessDied, match="was killed by SIGSEGV: Segmentation fault") as caught:
        made.child.call("crash")
    assert "isolated_drivers.py" in caught.value.stack
    assert "in crash\n" in caught.value.stack
    assert "actorlab/isolation/inside" not in caught.value.stack
    assert isinstance(caught.value, ConnectionError)
    assert made.ears.dead.wait(PATIENCE)


def test_a_driver_that_exits_is_an_error_with_its_exit_code(launch: Launch) -> None:
    made = launch(Meter)
    with pytest.raises(ProcessDied, match=r"the process of meter \(pid \d+\) ended with exit code 3$"):
        made.child.call("exit", 3)
    with pytest.raises(ProcessDied, match="exit code 3"):
        made.child.call("power")


def test_the_end_of_an_idle_process_is_told_once(launch: Launch) -> None:
    made = launch(Meter)
    os.kill(made.child.pid, signal.SIGKILL)
    assert made.ears.dead.wait(PATIENCE)
    with pytest.raises(ProcessDied, match="was killed by SIGKILL"):
        made.child.call("power")
    made.child.close(1)
    assert made.ears.deaths == [1]


def test_an_orderly_end_is_told_to_nobody(launch: Launch) -> None:
    made = launch(Meter)
    made.child.hook("disconnect")
    made.child.close(PATIENCE)
    assert made.child.exit_code == 0
    assert made.ears.deaths == []
    made.child.close(1)  # once more does nothing


def test_a_process_that_will_not_end_is_killed_at_its_bound(launch: Launch) -> None:
    child = launch(Meter).child
    child.call("start_a_thread_that_stays")
    begin = time.monotonic()
    child.close(0.3)
    assert time.monotonic() - begin < 2
    assert child.exit_code == -signal.SIGKILL


def test_an_end_is_seen_also_where_no_descriptor_tells_of_it(launch: Launch, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("actorlab.isolation.launcher.end_descriptor", nothing)
    made = launch(Meter)
    pid = made.child.perform(_fork)  # which holds the sockets
    try:
        os.kill(made.child.pid, signal.SIGKILL)
        assert made.ears.dead.wait(PATIENCE)
        with pytest.raises(ProcessDied, match="was killed by SIGKILL"):
            made.child.call("power")
    finally:
        os.kill(pid, signal.SIGKILL)
    other = launch(Meter).child
    other.close(PATIENCE)
    assert other.exit_code == 0


def nothing(_: int) -> None:
    """Return no descriptor."""


# -- killing


def test_a_call_that_hangs_ends_at_once_with_its_process(launch: Launch) -> None:
    made = launch(Interruptible)
    end = in_thread(lambda: made.child.call("wait"))
    wait_for(lambda: "in wait" in made.child.stack())
    begin = time.monotonic()
    made.child.kill()
    (error,) = end()
    assert time.monotonic() - begin < 1
    assert isinstance(error, ProcessDied)
    assert "was killed by SIGKILL" in str(error)
    assert made.ears.dead.wait(PATIENCE)


def test_a_driver_that_holds_the_gil_in_c_can_be_looked_at_and_killed(launch: Launch) -> None:
    made = launch(Meter)
    end = in_thread(lambda: made.child.call("hold_the_gil"))
    wait_for(lambda: "in hold_the_gil" in made.child.stack())
    begin = time.monotonic()
    stack = made.child.stack()
    made.child._listener.interrupt(0.2)  # nobody there can run a hook
    assert time.monotonic() - begin < 2
    assert stack.splitlines()[-1].strip() == "return _compile(pattern, flags).match(string)"
    made.child.kill()
    (error,) = end()
    assert isinstance(error, ProcessDied)


def test_the_processes_that_a_driver_has_started_are_killed_with_it(launch: Launch) -> None:
    child = launch(Meter).child
    pid = child.call("start_a_process")
    child.kill()
    assert has_ended(pid)


def test_an_idle_driver_is_nowhere(launch: Launch) -> None:
    child = launch(Meter).child
    wait_for(lambda: child._listener.ready)
    begin = time.monotonic()
    assert child.stack() == ""
    assert time.monotonic() - begin < 1
    child.kill()
    assert child.stack() == ""
    child.close(1)
    assert child.stack() == ""


# -- interrupting


def test_the_interrupt_hook_runs_next_to_the_call_that_it_ends(launch: Launch) -> None:
    child = launch(Interruptible).child
    answers: list[str] = []
    end = in_thread(lambda: answers.append(child.call("wait")))
    wait_for(lambda: "in wait" in child.stack())
    child.interrupt()
    assert end() == []
    assert answers == ["interrupted"]
    assert child.stack() == ""
    assert child.call("heard") == ["actorlab interrupt"]


def test_what_the_interrupt_hook_raises_is_raised_here(launch: Launch) -> None:
    child = launch(Interruptible, "fails").child
    with pytest.raises(ValueError, match="the hook fails"):
        child.interrupt()
    assert child.call("heard")


def test_an_interrupt_hook_that_hangs_holds_nobody_up(launch: Launch) -> None:
    child = launch(Interruptible, "hangs").child
    begin = time.monotonic()
    child._listener.interrupt(0.2)
    assert time.monotonic() - begin < 1
    assert child.call("heard") == ["actorlab interrupt"]


def test_who_interrupts_is_freed_when_the_process_dies(launch: Launch) -> None:
    child = launch(Interruptible, "hangs").child
    end = in_thread(lambda: child._listener.interrupt(60))
    wait_for(lambda: child._listener._interrupts)
    child.kill()
    assert end() == []


def test_a_driver_without_the_hook_is_not_interrupted(launch: Launch) -> None:
    launch(Meter).child.interrupt()


def test_a_driver_may_take_for_ever(launch: Launch) -> None:
    child = launch(Meter, config=DeviceConfig(timeout=float("inf"))).child
    wait_for(lambda: child._listener.ready)
    child.interrupt()  # the process still listens
    assert child.call("power") == 1.0


# -- its forks


def test_a_process_that_a_driver_has_forked_does_not_hide_its_end(launch: Launch) -> None:
    made = launch(Meter)
    pid = made.child.perform(_fork)
    end = in_thread(lambda: made.child.call("exit", 4))
    try:
        (error,) = end()
    finally:
        os.kill(pid, signal.SIGKILL)
    assert "exit code 4" in str(error)
    assert made.ears.dead.is_set()


def _fork(_: Meter) -> int:
    pid = os.fork()
    if pid == 0:
        threading.Event().wait()
    return pid


# -- in words


def test_an_end_is_told_in_words() -> None:
    assert how_it_ended(None) == "has closed its connection and is about to end"
    assert how_it_ended(0) == "ended with exit code 0"
    assert how_it_ended(-11) == "was killed by SIGSEGV"
    assert how_it_ended(-63) == "was killed by signal 63"


def test_the_drivers_frames_are_found_in_what_faulthandler_writes() -> None:
    dump = "Fatal Python error: Aborted\n\nCurrent thread 0x01 (most recent call first):\n"
    dump += '  File "/lab/laser.py", line 3 in read\n  File "/lab/laser.py", line 9 in power\n'
    dump += '  File "/x/actorlab/isolation/inside.py", line 1 in _act\n  File "<string>", line 1 in <module>\n'
    dump += "\nExtension modules: numpy.core (total: 1)\n"
    frames = '  File "/lab/laser.py", line 9, in power\n  File "/lab/laser.py", line 3, in read\n'
    assert frames_in(dump) == frames
    assert last_words(dump) == f"Aborted\n{frames}"
    assert last_words("Current thread 0x01\n") == ""


def test_nothing_of_a_child_is_left_when_its_listener_cannot_start(monkeypatch: pytest.MonkeyPatch) -> None:
    before = set(Path("/proc/self/fd").iterdir())
    monkeypatch.setattr("threading.Thread.start", _no_thread)
    with pytest.raises(RuntimeError, match="no thread"):
        Made(Meter)
    monkeypatch.undo()
    assert set(Path("/proc/self/fd").iterdir()) == before


def _no_thread(_: threading.Thread) -> None:
    text = "no thread"
    raise RuntimeError(text)
