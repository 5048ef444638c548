"""A journal knows from which source a run comes, and what its devices said of themselves before it began."""

from __future__ import annotations

import hashlib
import threading
from pathlib import Path

import pytest

from actorlab import Device, Lab, RunCancelled, RunState, query, spawn, task
from actorlab.journal import JournalReader

BOUND = 10


class Laser(Device):
    """A device with settings."""

    def __init__(self) -> None:
        self.power = 0.0
        self.hangs = threading.Event()

    @query
    def identify(self) -> str:
        return "laser 7"

    @query
    def wavelength(self) -> float:
        return 1550.0

    @query
    def broken(self) -> float:
        text = "no such register"
        raise ValueError(text)

    @query
    def at(self, channel: int) -> int:
        return channel

    def set_power(self, power: float) -> None:
        self.power = power


def brighten(laser: Laser) -> None:
    laser.set_power(5.0)


def outer(laser: Laser) -> None:
    spawn(brighten, laser).result()


@pytest.fixture
def where(tmp_path: Path) -> Path:
    return tmp_path / "journal.db"


def test_the_settings_of_its_devices_are_those_before_the_run_began(where: Path) -> None:
    with Lab(journal=where) as lab:
        laser = lab.add("laser", Laser)
        run = lab.start(brighten, laser)
        run.result(BOUND)
    told = run.provenance["laser"]
    assert told["class"].endswith(":Laser")
    assert told["settings"]["identify"] == "laser 7"
    assert told["settings"]["wavelength"] == 1550.0
    assert told["settings"]["power"] == 0.0
    assert "at" not in told["settings"]
    assert told["settings"]["broken"] == {"error": "ValueError: no such register"}
    with JournalReader.open(where) as reader:
        (kept,) = reader.events(run.id, kinds=["devices"])
        opening = reader.openings()[0]
        assert reader.run(run.id).asker == f"{opening.user}@{opening.host}"
    assert kept.payload["laser"]["settings"]["wavelength"] == 1550.0


def test_a_child_run_uses_devices_of_which_its_parent_knows(where: Path) -> None:
    with Lab(journal=where) as lab:
        run = lab.start(outer, lab.add("laser", Laser))
        run.result(BOUND)
        assert run.provenance
        assert not run.children[0].provenance


def test_the_source_is_told_once_with_its_digest(where: Path) -> None:
    with Lab(journal=where) as lab:
        laser = lab.add("laser", Laser)
        for _ in range(3):
            lab.run(brighten, laser)
    with JournalReader.open(where) as reader:
        (kept,) = reader.events("", kinds=["source"])
    assert kept.payload["file"] == __file__
    assert kept.payload["sha256"] == hashlib.sha256(Path(__file__).read_bytes()).hexdigest()


class Slow(Laser):
    """A device one of whose queries never ends by itself."""

    @query
    def never(self) -> None:
        asked.set()
        self.hangs.wait(BOUND)

    def interrupt(self) -> None:
        self.hangs.set()

    def resync(self) -> None:
        self.hangs.clear()


asked = threading.Event()


def test_a_device_that_does_not_say_in_time_holds_nobody_up_for_long(
    where: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("actorlab.runtime.provenance.PATIENCE", 0.1)
    with Lab(journal=where) as lab:
        run = lab.start(brighten, lab.add("laser", Slow))
        run.result(BOUND)
    assert run.provenance["laser"]["settings"]["never"] == {"error": "no answer within 0.1 s"}


def test_a_run_that_is_cancelled_meanwhile_never_begins(where: Path) -> None:
    asked.clear()
    with Lab(journal=where) as lab:
        laser = lab.add("laser", Slow)
        run = lab.start(brighten, laser)
        assert asked.wait(BOUND)
        run.cancel("not now")
        with pytest.raises(RunCancelled, match="not now"):
            run.result(BOUND)
        assert run.state is RunState.CANCELLED
        assert laser.power == 0.0
        lab.run(brighten, laser)


def test_a_lease_block_begins_at_once_and_is_listed_as_such(where: Path) -> None:
    asked.clear()
    with Lab(journal=where) as lab:
        laser = lab.add("laser", Slow)
        with lab.lease(laser):
            laser.set_power(5.0)
        assert not asked.is_set()
    with JournalReader.open(where) as reader:
        assert [kept.kind for kept in reader.runs()] == ["lease"]


def test_a_lab_without_a_journal_asks_nothing() -> None:
    with Lab() as lab:
        run = lab.start(brighten, lab.add("laser", Laser))
        run.result(BOUND)
        assert run.provenance == {}


class Faulty(Laser):
    """A device one of whose queries costs it its connection."""

    @query
    def temperature(self) -> float:
        text = "no answer from the sensor"
        raise ConnectionError(text)


def test_a_query_by_which_a_device_fails_costs_no_run_and_is_not_asked_again(where: Path) -> None:
    with Lab(journal=where) as lab:
        laser = lab.add("laser", Faulty)
        runs = [lab.start(brighten, laser) for _ in range(3)]
        for run in runs:
            run.result(BOUND)
        assert lab.status()["laser"].restarts == 1
    first, *_, last = [run.provenance["laser"]["settings"]["temperature"]["error"] for run in runs]
    assert "no answer from the sensor" in first
    assert last.startswith("not asked again: DeviceFault")


def test_a_query_that_takes_too_long_holds_up_only_one_run(where: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("actorlab.runtime.provenance.PATIENCE", 0.1)
    with Lab(journal=where) as lab:
        laser = lab.add("laser", Slow)
        runs = [lab.start(brighten, laser) for _ in range(2)]
        for run in runs:
            run.result(BOUND)
    settings = runs[-1].provenance["laser"]["settings"]
    assert settings["never"] == {"error": "not asked again: no answer within 0.1 s"}
    assert {name for name, told in settings.items() if isinstance(told, dict)} == {"never", "broken"}


def test_who_has_the_lease_does_not_miss_it_while_its_devices_are_asked(
    where: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("actorlab.runtime.provenance.PATIENCE", 0.5)
    asked.clear()
    with Lab(journal=where) as lab:
        laser = lab.add("laser", Slow)
        run = lab.start(task(lease_timeout=0.1)(brighten), laser)
        assert asked.wait(BOUND)
        assert any("waits for what its devices say of themselves" in reason for reason in run.reasons)
        run.result(BOUND)
