"""Say what the bench's physics does at a given time: light, heat, diodes, motion. Nothing here looks at a clock.

Lengths are in nm or mm, currents of the laser in mA, of diodes in A, powers in mW, temperatures in K, times in s.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "AMBIENT",
    "SAMPLES",
    "Etalon",
    "LaserLight",
    "Motion",
    "Relaxation",
    "Sample",
    "Spectral",
    "World",
    "diode_current",
    "planck",
    "spectral_axis",
    "spectrum",
]

Spectral: TypeAlias = NDArray[np.float64]
"""One value for each wavelength of an axis."""

AMBIENT: Final = 295.0
OVEN_TIME_CONSTANT: Final = 1.0
LASER_TIME_CONSTANT: Final = 0.02
LAMP_TIME_CONSTANT: Final = 0.5
LAMP_HOT: Final = 2900.0

BOLTZMANN_EV: Final = 8.617333262e-5
SECOND_RADIATION: Final = 1.438776877e7  # hc/k in nm·K
BAND_GAP_EV: Final = 1.12
REFERENCE_KELVIN: Final = 300.0

DARK_RATE: Final = 200.0
BRIGHT_RATE: Final = 3e5
FULL_SCALE: Final = 65535.0


@dataclass(frozen=True, slots=True)
class Relaxation:
    """Something that approaches its target exponentially: a temperature, a tuned wavelength."""

    start: float
    target: float
    time_constant: float
    since: float = 0.0

    def at(self, time: float) -> float:
        """Return the value at a time."""
        decay = math.exp(-max(0.0, time - self.since) / self.time_constant)
        return self.target + (self.start - self.target) * decay

    def toward(self, target: float, time: float) -> Relaxation:
        """Return how it goes on, if it gets another target at this time."""
        return replace(self, start=self.at(time), target=target, since=time)

    def within(self, tolerance: float, time: float) -> bool:
        """Say whether it has arrived, but for the tolerance."""
        return abs(self.at(time) - self.target) <= tolerance


@dataclass(frozen=True, slots=True)
class Motion:
    """Something that goes from one position to another at a constant speed (mm/s)."""

    start: float
    target: float
    speed: float
    since: float = 0.0

    def at(self, time: float) -> float:
        """Return the position at a time."""
        way, gone = self.target - self.start, self.speed * max(0.0, time - self.since)
        return self.target if gone >= abs(way) else self.start + math.copysign(gone, way)

    def toward(self, target: float, time: float) -> Motion:
        """Return how it goes on, if it gets another target at this time."""
        return replace(self, start=self.at(time), target=target, since=time)

    def done(self, time: float) -> bool:
        """Say whether it has arrived."""
        return self.at(time) == self.target


@dataclass(frozen=True, slots=True)
class Etalon:
    """Two mirrors, through which the power meter sees the laser."""

    thickness: float = 50_000.0
    index: float = 1.5
    reflectivity: float = 0.6

    def transmission(self, wavelength: float) -> float:
        """Return the transmitted part of the power: the Airy function (Hecht, Optics, §9.6)."""
        half_phase = 2 * math.pi * self.index * self.thickness / wavelength
        contrast = 4 * self.reflectivity / (1 - self.reflectivity) ** 2
        return 1 / (1 + contrast * math.sin(half_phase) ** 2)

    def free_spectral_range(self, wavelength: float) -> float:
        """Return the distance from one maximum to the next near this wavelength, in nm."""
        return wavelength**2 / (2 * self.index * self.thickness)


@dataclass(frozen=True, slots=True)
class LaserLight:
    """A laser diode: nothing below its threshold, then in proportion to the current."""

    wavelength: Relaxation = Relaxation(1550.0, 1550.0, LASER_TIME_CONSTANT)
    current: float = 0.0
    on: bool = False
    threshold: float = 12.0
    slope: float = 0.4

    def power(self) -> float:
        """Return the emitted power in mW."""
        return self.slope * max(0.0, self.current - self.threshold) if self.on else 0.0


@dataclass(frozen=True, slots=True)
class Sample:
    """A piece on the stage: a filter that absorbs around `centre`, and a diode of this saturation current at 300 K."""

    name: str
    position: float
    centre: float
    width: float
    depth: float
    saturation_current: float


SAMPLES: Final = (
    Sample("empty", 0.0, centre=650.0, width=50.0, depth=0.0, saturation_current=0.0),
    Sample("sample 1", 10.0, centre=520.0, width=25.0, depth=0.7, saturation_current=1e-12),
    Sample("sample 2", 20.0, centre=610.0, width=40.0, depth=0.8, saturation_current=4e-12),
    Sample("sample 3", 30.0, centre=740.0, width=30.0, depth=0.9, saturation_current=2e-11),
)
HOLD: Final = 0.5  # so near to its position (mm), a sample is in the beam and in contact


@dataclass
class World:
    """What the instruments share: each changes its own part, and sees the others'."""

    laser: LaserLight = LaserLight()
    etalon: Etalon = Etalon()
    oven: Relaxation = Relaxation(AMBIENT, AMBIENT, OVEN_TIME_CONSTANT)
    lamp: Relaxation = Relaxation(AMBIENT, AMBIENT, LAMP_TIME_CONSTANT)
    stage: Motion = Motion(0.0, 0.0, speed=20.0)
    samples: tuple[Sample, ...] = field(default=SAMPLES)

    def sample(self, time: float) -> Sample | None:
        """Return the sample in the beam and in contact; None while the stage is between two."""
        position = self.stage.at(time)
        return next((sample for sample in self.samples if abs(sample.position - position) <= HOLD), None)

    def power_at_meter(self, time: float) -> float:
        """Return the power behind the etalon in mW."""
        return self.laser.power() * self.etalon.transmission(self.laser.wavelength.at(time))

    def diode_current(self, volts: float, time: float) -> float:
        """Return the current in A through the sample's diode, which has the oven's temperature."""
        sample = self.sample(time)
        return diode_current(volts, self.oven.at(time), sample.saturation_current) if sample else 0.0


def diode_current(volts: float, kelvin: float, saturation_current: float, series_resistance: float = 5.0) -> float:
    """Return the current in A through a diode and the resistance (ohm) in series with it.

    Shockley's equation, with a saturation current that goes as T³ exp(-E/kT) (Sze, Physics of Semiconductor Devices,
    chapter 2), solved by bisection on the voltage across the junction, in which the balance is monotonic.
    """
    thermal = BOLTZMANN_EV * kelvin
    gap = BAND_GAP_EV / BOLTZMANN_EV * (1 / REFERENCE_KELVIN - 1 / kelvin)
    saturation = saturation_current * (kelvin / REFERENCE_KELVIN) ** 3 * math.exp(gap)
    low, high = min(volts, 0.0), max(volts, 0.0)
    for _ in range(60):
        junction = (low + high) / 2
        # far beyond any real current the exponential would overflow
        current = saturation * math.expm1(min(junction / thermal, 200.0))
        low, high = (low, junction) if junction + current * series_resistance > volts else (junction, high)
    return saturation * math.expm1(min(low / thermal, 200.0))


def planck(wavelengths: Spectral, kelvin: float) -> Spectral:
    """Return the photon rate of a black body by Planck's law; the hot lamp gives 1 at the red end of the axis."""
    rate: Spectral = wavelengths**-4.0 / np.expm1(SECOND_RADIATION / (wavelengths * kelvin))
    brightest = spectral_axis()[-1] ** -4.0 / math.expm1(SECOND_RADIATION / (spectral_axis()[-1] * LAMP_HOT))
    relative: Spectral = rate / brightest
    return relative


def spectral_axis(pixels: int = 512) -> Spectral:
    """Return the wavelengths of the spectrometer's pixels in nm."""
    return np.linspace(400.0, 900.0, pixels)


def spectrum(world: World, seconds: float, time: float, noise: np.random.Generator) -> NDArray[np.float32]:
    """Return the counts of an exposure that ends now: dark counts, lamp through sample, shot noise, clipping."""
    axis = spectral_axis()
    light = BRIGHT_RATE * planck(axis, world.lamp.at(time)) * _transmission(world.sample(time), axis)
    expected = (DARK_RATE + light) * seconds
    counts: Spectral = np.clip(noise.normal(expected, np.sqrt(expected)), 0.0, FULL_SCALE)
    return counts.astype(np.float32)


def _transmission(sample: Sample | None, wavelengths: Spectral) -> Spectral:
    if sample is None:
        return np.ones_like(wavelengths)
    return 1.0 - sample.depth * np.exp(-(((wavelengths - sample.centre) / sample.width) ** 2))
