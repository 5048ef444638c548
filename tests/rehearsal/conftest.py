"""Give the tests of rehearsals a lab with two devices that must not be touched."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NoReturn

import pytest

from actorlab import Lab


class Untouched:
    """A device of which every use is a failure of the test."""

    def use(self) -> NoReturn:
        message = "a rehearsal has touched an instrument"
        raise AssertionError(message)

    make_safe = use


@pytest.fixture
def lab() -> Iterator[Lab]:
    """Make a lab which is closed, by force if it must be, when the test ends."""
    made = Lab("test", cancel_grace=2)
    yield made
    made.close()


@pytest.fixture
def laser(lab: Lab) -> Untouched:
    """Add a device."""
    return lab.add("laser", Untouched)


@pytest.fixture
def meter(lab: Lab) -> Untouched:
    """Add another one."""
    return lab.add("meter", Untouched)
