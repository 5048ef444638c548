"""Serve a small lab at a free port, and give tests a client for it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Annotated, Any, NamedTuple

import numpy as np
import pytest

import actorlab
from actorlab import Client, Device, Lab, Range, ask_operator, checkpoint, parameter, query, record, task, workflow
from actorlab.server import Server

Array = np.ndarray[Any, np.dtype[np.float64]]


class Gates:
    """What a test and a driver tell each other."""

    def __init__(self) -> None:
        self.began = threading.Event()
        self.go_on = threading.Event()


class Laser(Device):
    """A laser of nobody's."""

    def __init__(self, gates: Gates) -> None:
        self.gain = 1.0
        self.wavelength = 1500.0
        self._gates = gates
        self.off = False

    def set_wavelength(self, nanometres: Annotated[float, Range(1400, 1600)]) -> float:
        """Tune it."""
        self.wavelength = nanometres
        return nanometres

    @query
    def spectrum(self, points: int = 3) -> Array:
        """Measure it."""
        return np.linspace(0.0, 1.0, points)

    def break_down(self) -> None:
        """Fail."""
        message = "smoke"
        raise RuntimeError(message)

    def hold(self) -> str:
        """Wait until it is let go."""
        self._gates.began.set()
        self._gates.go_on.wait(20)
        return "let go"

    def opaque(self) -> object:
        """Return what isn't data."""
        return threading.Lock()

    def safe(self) -> None:
        """Switch it off."""
        self.off = True

    def _secret(self) -> str:
        return "secret"


@task
def sweep(laser: Laser, points: list[float]) -> Array:
    """Tune it here and there."""
    for point in points:
        record(wavelength=laser.set_wavelength(point))
    return np.array(points)


@task
def wait_for_gain(laser: Laser) -> float:
    """Hold a laser until its gain is set."""
    del laser
    while not parameter("gain", 0.0):
        checkpoint()
        actorlab.sleep(0.01)
    return parameter("gain", 0.0)


@task(on_conflict="reject")
def only_at_once(laser: Laser) -> None:
    """Use it, or not at all."""


@task
def asks(laser: Laser) -> str:
    """Ask somebody."""
    del laser
    return ask_operator("sample in?", choices=("yes", "no"))


@task
def fails() -> None:
    """Fail."""
    checkpoint()
    message = "no luck"
    raise LookupError(message)


@workflow
def twice(laser: Laser) -> None:
    """Sweep twice."""
    sweep(laser, [1500.0])
    sweep(laser, [1510.0])


class Served(NamedTuple):
    """A lab that is served, and the gates of its laser."""

    lab: Lab
    server: Server
    gates: Gates

    @property
    def url(self) -> str:
        """Return where it is."""
        return self.server.url


@pytest.fixture
def lab() -> Iterator[Lab]:
    """Make a lab that ends quickly."""
    made = Lab("test", cancel_grace=1.0)
    made.register(sweep, wait_for_gain, only_at_once, asks, fails, twice)
    yield made
    made.close()


@pytest.fixture
def served(lab: Lab) -> Iterator[Served]:
    """Serve it."""
    gates = Gates()
    lab.add("laser", Laser, gates)
    with Server(lab, port=0) as server:
        yield Served(lab, server, gates)
        gates.go_on.set()


@pytest.fixture
def client(served: Served) -> Iterator[Client]:
    """Use it."""
    with Client(served.url, timeout=20) as made:
        yield made
