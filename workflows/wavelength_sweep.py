"""Sweep the laser's wavelength and measure the power behind the etalon.

Run it by `actorlab run workflows/wavelength_sweep.py`, or with other values by adding, say, `-p stop=1560`.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np

from actorlab import Lab, task, track, workflow
from actorlab.simulation import Laser, PowerMeter


@dataclass(frozen=True)
class Sweep:
    """The power in mW at each wavelength in nm."""

    wavelengths: list[float]
    powers: list[float]


@dataclass(frozen=True)
class SweepReport:
    """Where the sweep has its maximum (nm), and where it is saved."""

    brightest: float
    data: Path


@task(retries=1)
def sweep(laser: Laser, meter: PowerMeter, wavelengths: list[float], milliamps: float) -> Sweep:
    """Measure the power at each wavelength; the laser is off before and after."""
    laser.set_current(milliamps)
    laser.on()
    try:
        powers: list[float] = []
        for nm in track(wavelengths, "sweeping"):
            laser.set_wavelength(nm)
            powers.append(meter.power())
    finally:
        laser.off()
    return Sweep(wavelengths, powers)


@task
def save(measured: Sweep, folder: Path) -> SweepReport:
    """Save the sweep as CSV, in a new folder for each time."""
    folder /= f"{datetime.now().astimezone():%Y-%m-%d_%H-%M-%S}"
    folder.mkdir(parents=True, exist_ok=True)
    data = folder / "wavelength_sweep.csv"
    table = np.column_stack([measured.wavelengths, measured.powers])
    np.savetxt(data, table, fmt="%.6g", delimiter=",", header="wavelength_nm,power_mw", comments="")
    return SweepReport(measured.wavelengths[int(np.argmax(measured.powers))], data)


@workflow
def wavelength_sweep(
    laser: Laser,
    meter: PowerMeter,
    *,
    start: float = 1540.0,
    stop: float = 1570.0,
    points: int = 61,
    milliamps: float = 60.0,
    folder: Path = Path("results/wavelength_sweep"),
) -> SweepReport:
    """Sweep from `start` to `stop` (nm) at a laser current of so many mA, and save the power."""
    wavelengths = [float(nm) for nm in np.linspace(start, stop, points)]
    return save(sweep(laser, meter, wavelengths, milliamps), folder)


if __name__ == "__main__":
    with Lab.from_yaml(Path(__file__).with_name("lab.yaml")) as lab:
        print(lab.run(wavelength_sweep, lab.device("laser"), lab.device("meter")))
