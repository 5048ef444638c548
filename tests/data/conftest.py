"""Rows as bodies record them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest
from zarr.core.sync import cleanup_resources

from actorlab.data import Dataset, Row

Make = Callable[..., Dataset]


@pytest.fixture(autouse=True)
def zarr_ends_its_threads() -> Iterator[None]:
    """End the threads that Zarr keeps for the next time."""
    yield
    cleanup_resources()


@pytest.fixture
def dataset() -> Make:
    """Make a dataset of the values of its rows, one a second."""

    def make(*rows: Mapping[str, Any], **attributes: Any) -> Dataset:
        return Dataset(
            [Row(1.7e9 + number, "sweep#1", dict(row)) for number, row in enumerate(rows)], lambda: attributes
        )

    return make
