"""Hold what `actorlab rehearse` prints and writes, and how it exits."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import Result

Command = Callable[..., Result]
Write = Callable[[str], Path]

HEATING = """
    from typing import Annotated
    from actorlab import Range, sleep, task, workflow
    from actorlab.simulation import Laser, Oven, PowerMeter

    @task(takes=(60, 100, 200))
    def heat(oven: Oven, kelvin: float) -> float:
        oven.heat_to(kelvin)
        sleep(100)
        return oven.temperature()

    @task(takes=5)
    def read(laser: Laser, meter: PowerMeter, current: Annotated[float, Range(0, 150)]) -> float:
        laser.set_current(current)
        return meter.power()

    @workflow
    def heating(laser: Laser, meter: PowerMeter, oven: Oven, current: float = 20.0) -> list[float]:
        return [heat(oven, 300.0), read(laser, meter, current)]
"""


def test_it_tells_what_would_be_done_and_when(actorlab: Command, experiment: Write) -> None:
    told = actorlab("rehearse", experiment(HEATING))
    assert told.exit_code == 0
    assert "heating rehearsed: 1 min 40 s" in told.output
    assert "heat and read" in told.output  # may overlap


def test_it_needs_no_lab(actorlab: Command, program: Write) -> None:
    assert "heating rehearsed: 1 min 40 s" in actorlab("rehearse", program(HEATING)).output


def test_it_simulates_the_devices_of_the_labs_file(actorlab: Command, experiment: Write) -> None:
    told = actorlab("rehearse", experiment(HEATING), "--simulate")
    assert "heating simulated: 1 min 44 s" in told.output
    assert told.exit_code == 0


def test_what_would_be_refused_is_told_and_exits_with_1(actorlab: Command, experiment: Write) -> None:
    told = actorlab("rehearse", experiment(HEATING), "-p", "current=500")
    assert "would be refused" in told.output
    assert "read: current = 500.0" in told.output
    assert told.exit_code == 1
    simulated = actorlab("rehearse", experiment(HEATING), "-p", "current=500", "--simulate")
    assert "it would end failed" in simulated.output
    assert simulated.exit_code == 1


@pytest.mark.parametrize(("name", "begins"), [("r.svg", "<svg"), ("r.mmd", "gantt"), ("r.json", "{")])
def test_it_writes_pictures(actorlab: Command, experiment: Write, tmp_path: Path, name: str, begins: str) -> None:
    told = actorlab("rehearse", experiment(HEATING), "-o", tmp_path / name)
    assert told.exit_code == 0
    assert "2 steps of heating" in told.output
    assert (tmp_path / name).read_text(encoding="utf-8").startswith(begins)


def test_json_has_all_of_it(actorlab: Command, experiment: Write, tmp_path: Path) -> None:
    actorlab("rehearse", experiment(HEATING), "-o", tmp_path / "r.json")
    told = json.loads((tmp_path / "r.json").read_text(encoding="utf-8"))
    assert told["makespan"] == 100
    assert told["interval"][0] < 100 < told["interval"][1]
    assert {step["source"] for step in told["steps"]} == {"declared"}


def test_another_kind_of_file_is_wrong_use(actorlab: Command, experiment: Write, tmp_path: Path) -> None:
    told = actorlab("rehearse", experiment(HEATING), "-o", tmp_path / "r.png")
    assert told.exit_code == 2
    assert ".svg" in told.output


OWN = """
    from actorlab import task

    class Keithley:
        def __init__(self, address: str) -> None:
            raise RuntimeError("nothing may be connected")

        def read(self) -> float:
            return 0.0

    class Fake:
        def read(self) -> float:
            return 42.0

    @task
    def look(smu: Keithley) -> None:
        reading = smu.read()
        if reading != 42.0:
            raise ValueError(f"it was {reading}")
"""


@pytest.mark.parametrize("twin", [True, False])
def test_it_simulates_devices_by_the_twins_that_the_labs_file_names(
    actorlab: Command, program: Write, tmp_path: Path, twin: bool
) -> None:
    file = program(OWN)
    lab = tmp_path / "own.yaml"
    said = f'twin: "{file.stem}:Fake"' if twin else ""
    lab.write_text(
        f'journal: null\ndevices:\n  smu:\n    class: "{file.stem}:Keithley"\n    address: "GPIB0::24"\n    {said}\n'
    )
    told = actorlab("rehearse", file, "--lab", lab, "--simulate")
    assert told.exit_code == (0 if twin else 2), told.output
    if twin:
        assert "look simulated" in told.output
    else:
        assert "smu has no simulated twin" in told.stderr
        assert "twin: module:function in lab.yaml" in " ".join(told.stderr.split())
