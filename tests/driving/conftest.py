"""Give tests of what is done with a driver's object a lab that ends quickly, and a gate."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

import pytest

from actorlab import Lab

PATIENCE = 5.0


@pytest.fixture
def lab() -> Iterator[Lab]:
    """Make a lab which is closed, by force if it must be, when the test ends."""
    made = Lab("test", cancel_grace=0.3)
    yield made
    made.close()


class Gate:
    """An event that says who has come, and lets them go on: bounded, and no checkpoint."""

    def __init__(self) -> None:
        self._reached = threading.Event()
        self._opened = threading.Event()

    def stop(self) -> None:
        """Stand here until it is opened."""
        self._reached.set()
        assert self._opened.wait(PATIENCE), "nobody opened the gate"

    def reached(self) -> None:
        """Wait until somebody stands here."""
        assert self._reached.wait(PATIENCE), "nobody came to the gate"

    def open(self) -> None:
        """Let everybody through, now and later."""
        self._opened.set()


@pytest.fixture
def gate() -> Iterator[Gate]:
    """Make a gate that is open when the test ends."""
    made = Gate()
    yield made
    made.open()


@pytest.fixture
def came_back(lab: Lab) -> Callable[[str], None]:
    """Wait until a device of the lab serves again."""

    def wait(name: str) -> None:
        ready = threading.Event()
        lab.ask(lambda: lab.lab_actor.lives.when_ready([lab.cells[name]], lambda _: ready.set()))
        assert ready.wait(PATIENCE)

    return wait
