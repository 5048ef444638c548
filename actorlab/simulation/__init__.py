"""Simulate a bench of instruments, and drive it as if it were real."""

from __future__ import annotations

from actorlab.simulation.bench import STANDARD_PORTS, Bench
from actorlab.simulation.drivers import (
    Lamp,
    Laser,
    Oven,
    PowerMeter,
    SourceMeter,
    Spectrometer,
    Spectrum,
    Stage,
)

__all__ = [
    "STANDARD_PORTS",
    "Bench",
    "Lamp",
    "Laser",
    "Oven",
    "PowerMeter",
    "SourceMeter",
    "Spectrometer",
    "Spectrum",
    "Stage",
]
