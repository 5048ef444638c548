"""Classes whose instances are written down and read back."""

from __future__ import annotations

import enum
import functools
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from pydantic import BaseModel, ConfigDict, PrivateAttr


class Colour(enum.Enum):
    RED = "red"
    BLUE = (0, 0, 255)


class Rights(enum.IntFlag):
    READ = 1
    WRITE = 2


class Spot(NamedTuple):
    x: int
    y: Any = 0


@dataclass(frozen=True, slots=True)
class Point:
    x: Any
    y: float = 2.0


@dataclass
class Curve:
    name: str
    points: list[Any] = field(default_factory=list)
    made: int = 0

    def __post_init__(self) -> None:
        self.made += 1

    @functools.cached_property
    def length(self) -> int:
        return len(self.points)


class Settings(BaseModel):
    model_config = ConfigDict(extra="allow")

    gain: float = 1.0
    point: Any = None
    _seen: int = PrivateAttr(default=0)


class Jammed(Exception):
    def __init__(self, device: str, seconds: float) -> None:
        super().__init__(f"{device} is jammed")
        self.device = device
        self.seconds = seconds
