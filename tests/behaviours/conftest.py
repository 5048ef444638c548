"""Give the scenarios a lab, a bench whose physics is fast, and a way to wait for a run's state without sleeping."""

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
    made = Lab("test", cancel_grace=2.0)
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
        end = time.monotonic() + PATIENCE
        with lab.events.subscribe() as events:
            while run.state is not state:
                assert time.monotonic() < end, f"{run!r} isn't {state} after {PATIENCE} s"
                events.get(timeout=0.5)

    return wait


@pytest.fixture
def eventually() -> Callable[[Callable[[], object]], None]:
    """Wait until a condition holds that no event tells."""

    def wait(condition: Callable[[], object]) -> None:
        end = time.monotonic() + PATIENCE
        while not condition():
            assert time.monotonic() < end, f"it doesn't hold after {PATIENCE} s"
            threading.Event().wait(0.001)

    return wait
