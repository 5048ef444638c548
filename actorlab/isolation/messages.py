"""Name what the lab and a driver's process say to each other, other than plain calls and their values."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from actorlab.device import DeviceConfig
from actorlab.driving.member import Path
from actorlab.isolation.failure import Failure

__all__ = ["Act", "Asleep", "Awake", "Bye", "Failed", "Left", "Look", "Looks", "Make", "ToDriver", "ToLab"]


class Make(NamedTuple):
    """Make the driver's object."""

    factory: Callable[..., Any]
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    config: DeviceConfig
    life: int


class Look(NamedTuple):
    """Look at the driver's object, or a part of it."""

    path: Path


class Act(NamedTuple):
    """Do what a member says which wasn't known so far; from now on it is known by its number, if that is above 0."""

    number: int
    name: str
    action: Callable[[Any, str, tuple[Any, ...], dict[str, Any]], Any]
    path: Path
    """Objects that stayed are in it by their numbers."""
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    forget: tuple[int, ...]
    """Objects that stayed, and that nobody needs any more."""


class Awake(NamedTuple):
    """End a sleep, as asked for or by an exception."""

    failure: Failure | None


class Bye(NamedTuple):
    """End the process; the driver is disconnected."""


ToDriver = Make | Look | Act | Awake | Bye


class Looks(NamedTuple):
    """The shape of an object, with pickled classes."""

    cls: bytes
    names: frozenset[str]
    parts: tuple[tuple[tuple[str, Any], bytes], ...]
    keys: tuple[Any, ...]
    settable: frozenset[str]


class Left(NamedTuple):
    """The value of a call isn't data: it stays under this number."""

    number: int
    cls: bytes
    whole: bool
    """It is the driver's object itself."""


class Failed(NamedTuple):
    """The request ended with an exception; `unread`: it wasn't even begun, since it couldn't be unpickled."""

    failure: Failure
    unread: bool = False


class Asleep(NamedTuple):
    """The driver sleeps for so many seconds, maybe in an exchange; until it is told `Awake`, it may be asked others."""

    seconds: float
    exchange: bool


ToLab = Looks | Left | Failed | Asleep
