"""Say what one recorded row is, and where rows come from."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple, Protocol

__all__ = ["Row", "RowSource"]


class Row(NamedTuple):
    """What was recorded at one moment: `time` in seconds since 1970, `body` whose it is, and the values by name."""

    time: float
    body: str
    values: dict[str, Any]


class RowSource(Protocol):
    """Whatever can go through rows in the order in which they were recorded, again and again."""

    def __len__(self) -> int: ...

    def __iter__(self) -> Iterator[Row]: ...
