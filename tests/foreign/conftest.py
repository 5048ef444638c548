"""Give tests of other packages' drivers a lab that ends quickly, and ways to wait."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

import pytest

from actorlab import Lab

collect_ignore_glob = ["programs/*"]  # looking for doctests would run them

PATIENCE = 5.0


@pytest.fixture
def lab() -> Iterator[Lab]:
    """Make a lab which is closed, by force if it must be, when the test ends."""
    made = Lab("test", cancel_grace=0.3)
    yield made
    made.close()


@pytest.fixture
def came_back(lab: Lab) -> Callable[[str], None]:
    """Wait until a device of the lab serves again."""

    def wait(name: str) -> None:
        ready = threading.Event()
        lab.ask(lambda: lab.lab_actor.lives.when_ready([lab.cells[name]], lambda _: ready.set()))
        assert ready.wait(PATIENCE)

    return wait
