"""An experiment to be killed in the middle of: run it by ``python experiment.py JOURNAL LASER STAGE METER``.

Each step tells an instrument a number that no other step tells it, so the bench knows which were carried out.
"""

from __future__ import annotations

import sys
from pathlib import Path

from actorlab import Lab, Run, Shared, cleanup, record, spawn, task, workflow
from actorlab.simulation import Laser, PowerMeter, Stage


@task(on_resume="redo")
def mount(stage: Stage, sample: str) -> str:
    stage.mount(sample)
    return stage.sample()


@task
def place(stage: Stage, millimetres: float) -> float:
    stage.move_to(millimetres)
    return stage.position()


@task(retries=1)
def tune(laser: Laser, stage: Shared[Stage], nm: float) -> float:
    laser.set_wavelength(nm)
    record(nm=nm, at=stage.sample())
    return laser.wavelength()


@task
def set_current(laser: Laser, milliamps: float) -> float:
    laser.set_current(milliamps)
    return laser.current()


@task(idempotent=True)
def measure(laser: Shared[Laser], meter: PowerMeter) -> float:
    return 0.0 * laser.current() * meter.power()


@task(on_resume="redo")
def search(laser: Laser, numbers: int) -> float:
    found = 0.0
    for number in range(numbers):
        found = max(found, spawn(probe, laser, 1580.0 + number).result())
    return found


@task
def probe(laser: Laser, nm: float) -> float:
    laser.set_wavelength(nm)
    return laser.wavelength()


@workflow
def line(stage: Stage, first: int) -> list[float]:
    return [place(stage, float(first + number)) for number in range(3)]


@task(idempotent=True)
def total(numbers: list[float], lists: list[float], sample: str) -> str:
    return f"{sample}: {sum(numbers) + sum(lists):.1f}"


def off(laser: Laser) -> None:
    laser.off()


@workflow
def experiment(laser: Laser, stage: Stage, meter: PowerMeter) -> str:
    cleanup(off, laser)
    sample = mount(stage, "sample 3")
    tuned = [tune(laser, stage, 1500.0 + number) for number in range(4)]
    tuned.append(search(laser, 3))
    places = line(stage, 10)
    tuned.append(set_current(laser, 25.0))
    tuned.append(measure(laser, meter))
    tuned.append(place(stage, 5.0))
    return total(tuned, places, sample)


def add_devices(lab: Lab, laser: str, stage: str, meter: str) -> tuple[Laser, Stage, PowerMeter]:
    return lab.add("laser", Laser, laser), lab.add("stage", Stage, stage), lab.add("meter", PowerMeter, meter)


def main(journal: str, *resources: str) -> None:
    with Lab(journal=Path(journal)) as lab:
        devices = add_devices(lab, *resources)
        run: Run[str] = lab.start(experiment, *devices)
        print(run.id, flush=True)
        print(run.result(), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
