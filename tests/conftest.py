"""Hold for every test: no thread stays behind, and property tests never fail for being slow."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

PATIENCE = 5.0  # seconds which threads that are about to end have for it

# Deadlines and speed checks measure the machine, not the code.
settings.register_profile("dev", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("ci", settings.get_profile("dev"), derandomize=True, database=None, print_blob=True)
settings.load_profile("ci" if "CI" in os.environ else "dev")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the checkers, which take longest, so that no core waits for them at the end."""
    items.sort(key=lambda item: item.get_closest_marker("static") is None)


@pytest.fixture(autouse=True)
def no_thread_stays_behind() -> Iterator[None]:
    """Fail the test if a thread that is ours, or that would keep the program alive, outlives it."""
    before = threading.enumerate()
    yield
    end = time.monotonic() + PATIENCE
    ours = [thread for thread in threading.enumerate() if thread not in before and counts(thread)]
    for thread in ours:
        thread.join(max(0.0, end - time.monotonic()))
    left = [thread.name for thread in ours if thread.is_alive()]
    if left:
        pytest.fail(f"threads stayed behind: {', '.join(left)}", pytrace=False)


def counts(thread: threading.Thread) -> bool:
    """Tell whether a thread is ours, by its name, or keeps the interpreter from ending."""
    return thread.name.startswith("actorlab") or not thread.daemon
