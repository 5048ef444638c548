"""Characterise a sample: its transmission, and its I-V curve at several temperatures, then a report with a plot.

The lamp's spectrum overlaps the curves: both only rely on the stage. The curves follow one another, since they share
the oven. Run it by `actorlab run workflows/characterise.py`; add, say, `-p kelvins=300,350`.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from actorlab import Lab, Shared, cleanup, log, progress, task, track, workflow
from actorlab.simulation import Lamp, Oven, SourceMeter, Spectrometer, Stage


@dataclass(frozen=True)
class Curve:
    """What was measured: y over x, each with its unit in its title."""

    title: str
    x_title: str
    y_title: str
    x: list[float]
    y: list[float]


@dataclass(frozen=True)
class Report:
    """What came out, and where it is saved; there is no plot if matplotlib isn't installed."""

    sample: str
    summary: str
    data: Path
    plot: Path | None


@task(takes=0.1)
def all_off(oven: Oven, lamp: Lamp) -> None:
    """Leave nothing hot."""
    lamp.off()
    oven.off()


@task(takes=2, on_resume="redo")
def mount(stage: Stage, sample: str) -> None:
    """Bring a sample into place."""
    stage.mount(sample)


@task(takes=(5, 7, 10))
def spectrum(stage: Shared[Stage], lamp: Lamp, spectrometer: Spectrometer, exposures: int) -> Curve:
    """Average some exposures of 0.1 s to the lamp's light through what is on the stage."""
    progress(0, None, "warming up the lamp")
    lamp.warm_up()
    shots = [spectrometer.acquire(0.1) for _ in track(range(exposures), f"averaging {stage.sample()}")]
    lamp.off()
    counts = np.mean([shot.counts for shot in shots], axis=0)
    return Curve(
        f"lamp through {stage.sample()}", "wavelength (nm)", "counts", shots[0].wavelengths.tolist(), counts.tolist()
    )


@task(retries=2, takes=(4, 5, 8))
def iv_curve(stage: Shared[Stage], oven: Oven, smu: SourceMeter, kelvin: float) -> Curve:
    """Measure the current through the sample on the stage, 0 to 0.8 V, at a temperature in K."""
    progress(0, None, f"heating to {kelvin:g} K")
    oven.heat_to(kelvin)
    smu.set_voltage(0)
    smu.on()
    volts = [float(volt) for volt in np.linspace(0, 0.8, 41)]
    amperes: list[float] = []
    for volt in track(volts, f"{stage.sample()} at {kelvin:g} K"):
        smu.set_voltage(volt)
        amperes.append(smu.current())
    smu.off()
    return Curve(f"{kelvin:g} K", "voltage (V)", "current (A)", volts, amperes)


@task(takes=(0.1, 2, 4))
def report(sample: str, reference: Curve, curves: list[Curve], folder: Path) -> Report:
    """Save what was measured as JSON and CSV, and plot it, in a new folder for each time."""
    folder /= f"{datetime.now().astimezone():%Y-%m-%d_%H-%M-%S}"
    folder.mkdir(parents=True, exist_ok=True)
    data = folder / "characterise.json"
    content = {"sample": sample, "spectrum": asdict(reference), "curves": [asdict(curve) for curve in curves]}
    data.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    for curve in (reference, *curves):
        table = np.column_stack([curve.x, curve.y])
        file = folder / f"{curve.title.replace(' ', '_')}.csv"
        np.savetxt(file, table, fmt="%.6g", delimiter=",", header=f"{curve.x_title},{curve.y_title}", comments="")
    ends = ", ".join(f"{1000 * curve.y[-1]:.1f} mA at {curve.title}" for curve in curves)
    return Report(sample, f"at {curves[0].x[-1]:g} V: {ends}", data, plot(sample, reference, curves, folder))


def plot(sample: str, reference: Curve, curves: list[Curve], folder: Path) -> Path | None:
    """Draw the spectrum beside the curves; return the picture's file, or None without matplotlib."""
    try:
        from matplotlib.figure import Figure  # noqa: PLC0415 - the data is measured and saved without it, too
    except ImportError:
        log("no plot, since matplotlib is missing: install it by pip install '.[plot]'")
        return None
    figure: Any = Figure(figsize=(9, 3.8), layout="constrained")
    left, right = figure.subplots(1, 2)
    draw_spectrum(left, reference)
    draw_curves(right, curves)
    figure.suptitle(sample, fontweight="bold")
    file = folder / "characterise.png"
    figure.savefig(file, dpi=120)
    return file


def draw_spectrum(axes: Any, reference: Curve) -> None:
    """Draw what the spectrometer saw."""
    axes.fill_between(reference.x, reference.y, color="#0072b2", alpha=0.15)
    axes.plot(reference.x, reference.y, color="#0072b2", linewidth=1.2)
    axes.set(xlabel=reference.x_title, ylabel=reference.y_title, title=reference.title)
    axes.margins(x=0)
    axes.set_ylim(bottom=0)
    tidy(axes)


def draw_curves(axes: Any, curves: list[Curve]) -> None:
    """Draw the I-V curves, cold to hot, on a logarithmic scale: a diode's is a straight line there."""
    for place, curve in enumerate(curves):
        colour = f"C{place}" if len(curves) > len(COLD_TO_HOT) else COLD_TO_HOT[place]
        axes.semilogy(curve.x[1:], curve.y[1:], color=colour, linewidth=1.6, label=curve.title)
    axes.set(xlabel=curves[0].x_title, ylabel=curves[0].y_title, title="diode")
    axes.margins(x=0)
    axes.legend(frameon=False, loc="lower right")
    tidy(axes)


COLD_TO_HOT = ("#0072b2", "#e69f00", "#d55e00")


def tidy(axes: Any) -> None:
    """Take away the lines that say nothing, and add those that help to read values off."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(alpha=0.25)


@workflow
def characterise(
    stage: Stage,
    oven: Oven,
    smu: SourceMeter,
    lamp: Lamp,
    spectrometer: Spectrometer,
    *,
    sample: str = "sample 3",
    kelvins: tuple[float, ...] = (300.0, 320.0, 340.0),
    exposures: int = 40,
    folder: Path = Path("results/characterise"),
) -> Report:
    """Characterise a sample at these temperatures (K)."""
    cleanup(all_off, oven, lamp)
    mount(stage, sample)
    reference = spectrum(stage, lamp, spectrometer, exposures)
    curves = [iv_curve(stage, oven, smu, kelvin) for kelvin in kelvins]
    return report(sample, reference, curves, folder)


if __name__ == "__main__":
    with Lab.from_yaml(Path(__file__).with_name("lab.yaml")) as lab:
        names = ("stage", "oven", "smu", "lamp", "spectrometer")
        print(lab.run(characterise, *(lab.device(name) for name in names)))
