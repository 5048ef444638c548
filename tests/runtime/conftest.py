"""Give runtime tests a lab that ends quickly, a bench, and a way to wait for a run's state without sleeping."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from actorlab import Lab, Run, RunState
from actorlab.simulation import Bench

PATIENCE = 5.0


@pytest.fixture
def lab() -> Iterator[Lab]:
    """Make a lab which is closed, by force if it must be, when the test ends."""
    made = Lab("test", cancel_grace=0.3)
    yield made
    made.close()


@pytest.fixture
def bench() -> Iterator[Bench]:
    """Switch a bench on whose physics is fast."""
    with Bench(time_scale=20.0) as made:
        yield made


@pytest.fixture
def until(lab: Lab) -> Callable[[Run[Any], RunState], None]:
    """Wait until a run of the lab has reached a state."""

    def wait(run: Run[Any], state: RunState) -> None:
        events = lab.events.subscribe()
        end = time.monotonic() + PATIENCE
        while run.state is not state:
            left = end - time.monotonic()
            assert left > 0, f"{run!r} isn't {state} after {PATIENCE} s"
            events.get(timeout=min(left, 0.5))
        events.close()

    return wait


@pytest.fixture
def stands(lab: Lab) -> Callable[[str, str], None]:
    """Wait until a device of the lab stands as named: "idle", "quarantined", …"""

    def wait(name: str, state: str) -> None:
        events = lab.events.subscribe()
        end = time.monotonic() + PATIENCE
        while lab.states()[name].value != state:
            left = end - time.monotonic()
            assert left > 0, f"{name} is {lab.states()[name]}, and not {state}, after {PATIENCE} s"
            events.get(timeout=min(left, 0.5))
        events.close()

    return wait


@pytest.fixture
def settled(lab: Lab) -> Callable[[], None]:
    """Return when the deciding thread has handled all that was sent to it so far."""

    def wait() -> None:
        for _ in range(3):
            lab.ask(lambda: None)

    return wait


class Gate:
    """An event that says who has come, and lets them go on: bounded, and no checkpoint."""

    def __init__(self) -> None:
        self._reached = threading.Event()
        self._opened = threading.Event()

    def arrive(self) -> None:
        """Say that one is here, and go on."""
        self._reached.set()

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
def gates() -> Iterator[Callable[[], Gate]]:
    """Make gates that are open when the test ends."""
    made: list[Gate] = []

    def make() -> Gate:
        made.append(Gate())
        return made[-1]

    yield make
    for one in made:
        one.open()
