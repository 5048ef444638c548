"""A journal that can't be written ends what uses devices, safely, and says so to whoever waits."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from actorlab import Lab, RunState, sleep, task, workflow
from actorlab.errors import JournalError
from actorlab.journal import JournalReader

BOUND = 10
FULL = JournalError("the disk is full")


class Stage:
    """A device."""

    def __init__(self) -> None:
        self.moves = 0
        self.safe = threading.Event()

    def move(self) -> int:
        self.moves += 1
        return self.moves

    def make_safe(self) -> None:
        made_safe.set()


made_safe = threading.Event()


@pytest.fixture(autouse=True)
def forget() -> None:
    made_safe.clear()


class Disk:
    """The disk below a lab's journal, which can be full for a while."""

    def __init__(self, lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
        assert lab.journalling is not None
        journal = lab.journalling.journal
        self._store = journal._kept.store
        self._write: Callable[[Any], Any] = self._store.write
        self._patch = monkeypatch

    def fill(self) -> None:
        def refuse(_: Any) -> None:
            raise FULL

        self._patch.setattr(self._store, "write", refuse)

    def empty(self) -> None:
        self._patch.setattr(self._store, "write", self._write)


@task
def move(stage: Stage) -> int:
    return stage.move()


@workflow
def twice(stage: Stage) -> int:
    move(stage)
    return move(stage)


def wait_for(lab: Lab, *, well: bool) -> None:
    with lab.events.subscribe(kinds=["journal"]) as news:
        next(event for event in news if event.data["well"] is well)


def test_what_uses_a_device_ends_safely_with_the_error_and_the_rest_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = threading.Event()

    def hold(stage: Stage) -> None:
        stage.move()
        held.set()
        sleep(BOUND)

    def think() -> None:
        sleep(BOUND)

    with Lab(journal=tmp_path / "journal.db") as lab:
        stage = lab.add("stage", Stage)
        disk = Disk(lab, monkeypatch)
        run, other = lab.start(hold, stage), lab.start(think)
        assert held.wait(BOUND)
        disk.fill()
        lab.run(sum, [1, 2])  # of which there is something to write
        with pytest.raises(JournalError, match="the disk is full") as caught:
            run.result(BOUND)
        assert run.state is RunState.FAILED
        assert made_safe.is_set()
        assert any("the end of hold#1 isn't in the journal" in note for note in caught.value.__notes__)
        assert other.state is RunState.RUNNING
        disk.empty()
        wait_for(lab, well=True)
        assert lab.run(move, stage) == 2
        other.cancel()
    with JournalReader.open(tmp_path / "journal.db") as reader:
        kept = {run.id: run.state for run in reader.runs()}
    assert kept == {"hold#1": "failed", "think#2": "cancelled", "sum#3": "succeeded", "move#4": "succeeded"}


def test_each_run_that_ends_by_it_has_an_error_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ready = threading.Barrier(3)

    def hold(stage: Stage) -> None:
        stage.move()
        ready.wait(BOUND)
        sleep(BOUND)

    with Lab(journal=tmp_path / "journal.db") as lab:
        disk = Disk(lab, monkeypatch)
        runs = [lab.start(hold, lab.add(name, Stage)) for name in ("stage", "other")]
        ready.wait(BOUND)
        disk.fill()
        lab.run(sum, [1, 2])
        first, second = (run.exception(BOUND) for run in runs)
        assert isinstance(first, JournalError)
        assert isinstance(second, JournalError)
        assert "in hold#1" in first.__notes__
        assert not any("hold#1" in note for note in second.__notes__)
        disk.empty()
        wait_for(lab, well=True)


def test_no_step_commands_a_device_while_nothing_can_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Lab(journal=tmp_path / "journal.db") as lab:
        stage = lab.add("stage", Stage)
        disk = Disk(lab, monkeypatch)
        disk.fill()
        with pytest.raises(JournalError, match="the disk is full"):
            lab.run(twice, stage)
        with pytest.raises(JournalError, match="the disk is full"):
            lab.run(move, stage)
        disk.empty()
        wait_for(lab, well=True)
        assert lab.run(move, stage) == 1


def test_a_run_without_devices_tells_its_value_and_that_it_is_not_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with Lab(journal=tmp_path / "journal.db") as lab:
        disk = Disk(lab, monkeypatch)
        disk.fill()
        run = lab.start(sum, [1, 2])
        assert run.result(BOUND) == 3
        assert run.unwritten == "the end of sum#1 isn't in the journal: the disk is full"
        assert "the end of sum#1 isn't in the journal" in caplog.text
        disk.empty()
        wait_for(lab, well=True)


def test_what_could_not_be_written_at_the_end_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("actorlab.runtime.closing.JOURNAL", 0.2)
    with Lab(journal=tmp_path / "journal.db") as lab:
        Disk(lab, monkeypatch).fill()
        lab.run(sum, [1, 2])
    assert "couldn't be written" in caplog.text
