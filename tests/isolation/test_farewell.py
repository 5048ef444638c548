"""See that a driver's process makes its instrument safe and ends when the lab dies, however it dies."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from actorlab.isolation.dying import ProcessDied
from tests.isolation.isolated_drivers import Marked, MarkedInterruptible
from tests.isolation.lab_side import PATIENCE, Made, has_ended
from tests.isolation.test_death import in_thread, wait_for

ROOT = Path(__file__).parents[2]
Launch = Callable[..., Made]


class Lab:
    """A lab in a process that can be killed; `marks` is what its driver has written."""

    def __init__(self, marks: Path, driver: str, what: str) -> None:
        self._marks = marks
        command = [sys.executable, "-m", "tests.isolation.dying_program", str(marks), driver, what]
        self.process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
        self.driver = int(self.line())

    def line(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(PATIENCE)

    @property
    def marks(self) -> list[str]:
        return self._marks.read_text().splitlines()

    def close(self) -> None:
        """End everything, also what should have ended by itself."""
        self.kill()
        with suppress(ProcessLookupError):
            os.kill(self.driver, signal.SIGKILL)
        assert self.process.stdout is not None
        self.process.stdout.close()


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Lab]]:
    labs: list[Lab] = []

    def one(what: str, driver: str = "Marked") -> Lab:
        labs.append(Lab(tmp_path / "marks", driver, what))
        return labs[-1]

    yield one
    for lab in labs:
        lab.close()


def test_an_idle_driver_is_made_safe_and_disconnected_when_the_lab_is_killed(start: Callable[..., Lab]) -> None:
    lab = start("idle")
    assert lab.line() == "idle"
    lab.kill()
    assert has_ended(lab.driver)
    assert lab.marks == ["made", "connect", "make_safe", "disconnect"]


def test_nothing_is_interrupted_where_nothing_is_in_progress(start: Callable[..., Lab]) -> None:
    lab = start("idle", "MarkedInterruptible")
    assert lab.line() == "idle"
    lab.kill()
    assert has_ended(lab.driver)
    assert lab.marks == ["made", "connect", "make_safe", "disconnect"]


def test_so_it_is_when_the_program_ends_without_closing_it(start: Callable[..., Lab]) -> None:
    lab = start("leave")
    assert lab.process.wait(PATIENCE) == 0
    assert has_ended(lab.driver)
    assert lab.marks == ["made", "connect", "make_safe", "disconnect"]


def test_a_farewell_that_prints_needs_no_reader(start: Callable[..., Lab]) -> None:
    lab = start("idle")
    assert lab.line() == "idle"
    assert lab.process.stdout is not None
    lab.process.stdout.close()
    lab.kill()
    assert has_ended(lab.driver)
    assert lab.marks == ["made", "connect", "make_safe", "disconnect"]


def test_a_call_that_waits_is_ended_first(start: Callable[..., Lab]) -> None:
    lab = start("work")
    assert lab.line() == "working"
    lab.kill()
    assert has_ended(lab.driver)
    assert lab.marks == ["made", "connect", "work ends", "make_safe", "disconnect"]


def test_the_drivers_own_hooks_end_a_call_and_bring_it_back_into_step(start: Callable[..., Lab]) -> None:
    lab = start("work", "MarkedInterruptible")
    assert lab.line() == "working"
    lab.kill()
    assert has_ended(lab.driver)
    assert lab.marks == ["made", "connect", "interrupt", "work ends", "resync", "make_safe", "disconnect"]


def test_a_sleep_is_cancelled(start: Callable[..., Lab]) -> None:
    lab = start("nap")
    assert lab.line() == "sleeping"
    lab.kill()
    assert has_ended(lab.driver)
    assert lab.marks == ["made", "connect", "cancelled", "make_safe", "disconnect"]


def test_what_the_lab_has_disconnected_is_left_alone(start: Callable[..., Lab]) -> None:
    lab = start("disconnect")
    assert lab.line() == "disconnected"
    lab.kill()
    assert has_ended(lab.driver)
    assert lab.marks == ["made", "connect", "disconnect"]


@pytest.mark.slow
def test_a_driver_that_holds_the_gil_ends_at_last_though_nobody_can_make_it_safe(start: Callable[..., Lab]) -> None:
    lab = start("hold_the_gil")
    assert lab.line() == "holding"
    lab.kill()
    assert has_ended(lab.driver, 15)
    assert lab.marks == ["made", "connect"]


def test_a_fork_of_the_lab_that_holds_its_sockets_does_not_hide_its_end(start: Callable[..., Lab]) -> None:
    lab = start("fork")
    assert lab.line() == str(lab.process.pid)
    forks = Path(f"/proc/{lab.process.pid}/task/{lab.process.pid}/children").read_text().split()
    (fork,) = [int(pid) for pid in forks if int(pid) != lab.driver]
    lab.kill()
    try:
        assert has_ended(lab.driver)
        assert not has_ended(fork, 0)
    finally:
        os.kill(fork, signal.SIGKILL)
    assert lab.marks == ["made", "connect", "make_safe", "disconnect"]


def test_sigterm_to_an_idle_driver_is_an_orderly_end(launch: Launch, tmp_path: Path) -> None:
    made = launch(Marked, str(tmp_path / "marks"))
    wait_for(lambda: made.child._listener.ready)
    made.child.hook("connect")
    os.kill(made.child.pid, signal.SIGTERM)
    assert made.ears.dead.wait(PATIENCE)
    with pytest.raises(ProcessDied, match="ended with exit code 143"):
        made.child.call("power")
    assert (tmp_path / "marks").read_text().split() == ["made", "connect", "make_safe", "disconnect"]


def test_sigterm_ends_the_call_in_progress(launch: Launch, tmp_path: Path) -> None:
    made = launch(MarkedInterruptible, str(tmp_path / "marks"))
    made.child.hook("connect")
    end = in_thread(lambda: made.child.call("work"))
    wait_for(lambda: "in work" in made.child.stack())
    os.kill(made.child.pid, signal.SIGTERM)
    (error,) = end()
    assert isinstance(error, ProcessDied)
    assert made.ears.dead.wait(PATIENCE)
    marks = (tmp_path / "marks").read_text().split()
    assert marks == ["made", "connect", "interrupt", "work", "ends", "resync", "make_safe", "disconnect"]


def test_a_second_sigterm_ends_a_call_that_has_no_hook(launch: Launch, tmp_path: Path) -> None:
    made = launch(Marked, str(tmp_path / "marks"))
    made.child.hook("connect")
    end = in_thread(lambda: made.child.call("work"))
    wait_for(lambda: "in work" in made.child.stack())
    os.kill(made.child.pid, signal.SIGTERM)
    (error,) = end()  # it is over for the caller
    assert isinstance(error, ProcessDied)
    os.kill(made.child.pid, signal.SIGTERM)
    assert made.ears.dead.wait(PATIENCE)
    marks = (tmp_path / "marks").read_text().splitlines()
    assert marks == ["made", "connect", "work ends", "make_safe", "disconnect"]
