"""Measure the I-V curve of a sample's diode at one temperature, and from it the diode's ideality.

Run it by `actorlab run workflows/iv_curve.py`, or at another temperature by adding `-p kelvin=350`.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np

from actorlab import Lab, Shared, cleanup, progress, task, track, workflow
from actorlab.simulation import Oven, SourceMeter, Stage

BOLTZMANN_EV = 8.617333262e-5
EXPONENTIAL = (1e-6, 1e-3)  # A: between these the diode's curve is exponential; above, the series resistance bends it


@dataclass(frozen=True)
class Curve:
    """The current in A at each voltage in V, at a temperature in K."""

    kelvin: float
    volts: list[float]
    amperes: list[float]


@dataclass(frozen=True)
class CurveReport:
    """The ideality of the diode (1 for an ideal one), and where the curve is saved."""

    ideality: float
    data: Path


def all_off(oven: Oven, smu: SourceMeter) -> None:
    """Leave nothing on."""
    smu.off()
    oven.off()


@task
def mount(stage: Stage, sample: str) -> None:
    """Bring a sample into place."""
    stage.mount(sample)


@task(retries=2)
def curve(stage: Shared[Stage], oven: Oven, smu: SourceMeter, kelvin: float, points: int) -> Curve:
    """Measure the curve of the sample on the stage, 0 to 0.8 V."""
    progress(0, None, f"heating to {kelvin:g} K")
    oven.heat_to(kelvin)
    smu.set_voltage(0)
    smu.on()
    volts: list[float] = []
    amperes: list[float] = []
    for volt in track(np.linspace(0, 0.8, points), f"{stage.sample()} at {kelvin:g} K"):
        smu.set_voltage(float(volt))
        volts.append(float(volt))
        amperes.append(smu.current())
    smu.off()
    return Curve(kelvin, volts, amperes)


@task
def save(measured: Curve, folder: Path) -> CurveReport:
    """Save the curve as CSV; the ideality is that of the exponential part."""
    folder /= f"{datetime.now().astimezone():%Y-%m-%d_%H-%M-%S}"
    folder.mkdir(parents=True, exist_ok=True)
    data = folder / f"iv_curve_{measured.kelvin:g}K.csv"
    volts, amperes = np.array(measured.volts), np.array(measured.amperes)
    table = np.column_stack([volts, amperes])
    np.savetxt(data, table, fmt="%.6g", delimiter=",", header="voltage_v,current_a", comments="")
    lowest, highest = EXPONENTIAL
    exponential = (amperes > lowest) & (amperes < highest)
    slope = np.polyfit(volts[exponential], np.log(amperes[exponential]), 1)[0]
    return CurveReport(round(float(1 / (slope * BOLTZMANN_EV * measured.kelvin)), 3), data)


@workflow
def iv_curve(
    stage: Stage,
    oven: Oven,
    smu: SourceMeter,
    *,
    sample: str = "sample 3",
    kelvin: float = 300.0,
    points: int = 41,
    folder: Path = Path("results/iv_curve"),
) -> CurveReport:
    """Mount a sample, measure its curve at a temperature (K), and save it."""
    cleanup(all_off, oven, smu)
    mount(stage, sample)
    return save(curve(stage, oven, smu, kelvin, points), folder)


if __name__ == "__main__":
    with Lab.from_yaml(Path(__file__).with_name("lab.yaml")) as lab:
        print(lab.run(iv_curve, lab.device("stage"), lab.device("oven"), lab.device("smu")))
