"""What is logged says of which run, step or device it is, as data."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from actorlab import DeviceConfig, DeviceFault, Lab, RestartPolicy, log, periodic, task, workflow

PATIENCE = 5.0


class Pump:
    """A pump whose hose comes off."""

    def run_dry(self) -> None:
        message = "the hose is off"
        raise ConnectionResetError(message)


class Watched:
    """One whose periodic method fails."""

    @periodic(0.001, restart=RestartPolicy(limit=0))
    def watch(self) -> None:
        message = "nothing to see"
        raise ValueError(message)


@task
def note() -> None:
    """Log something."""
    log("noted", value=1)


@task
def rest() -> None:
    """Log nothing."""


@workflow
def both() -> None:
    """Have a step."""
    note()
    rest()


def fields(caplog: pytest.LogCaptureFixture, begins: str) -> list[dict[str, Any]]:
    return [vars(record) for record in caplog.records if record.getMessage().startswith(begins)]


def test_what_a_body_logs_names_its_run_and_its_step(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "actorlab"), Lab() as lab:
        lab.run(both)
    found = {(told["run"], told["step"], told["value"]) for told in fields(caplog, "noted")}
    assert found == {("both#1", "both#1/note", 1)}
    assert not any("trace_id" in told for told in fields(caplog, "noted")), "nobody traces it"


def test_a_warning_about_a_device_names_it(caplog: pytest.LogCaptureFixture) -> None:
    with Lab() as lab:
        pump = lab.add("pump", DeviceConfig(restart=RestartPolicy(limit=0))(Pump))
        with pytest.raises(DeviceFault):
            pump.run_dry()
    assert [told["device"] for told in fields(caplog, "pump failed")] == ["pump"]


def test_a_warning_about_a_periodic_method_names_its_device(caplog: pytest.LogCaptureFixture) -> None:
    with Lab() as lab, lab.events.subscribe(kinds="periodic") as told:
        lab.add("watched", Watched)
        assert told.get(PATIENCE) is not None
    assert [told["device"] for told in fields(caplog, "watched.watch gave up")] == ["watched"]
