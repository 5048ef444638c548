"""Launch drivers into processes of their own, and see that none of these stays."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = str(Path(__file__).parents[2])
if ROOT not in sys.path:
    sys.path.insert(0, ROOT)  # the processes get our path, and import their drivers by it

from tests.isolation.lab_side import Made  # noqa: E402


@pytest.fixture
def launch() -> Iterator[Callable[..., Made]]:
    """Launch drivers; their processes are ended with the test."""
    made: list[Made] = []

    def one(factory: Callable[..., Any], *args: Any, **kwargs: Any) -> Made:
        made.append(Made(factory, *args, **kwargs))
        return made[-1]

    yield one
    for each in made:
        each.child.kill()
        each.child.close(1.0)
        assert each.child.exit_code is not None, "a process wasn't reaped"
