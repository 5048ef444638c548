"""Hold what lab files say, put together, and where each value stands: on a line of a file, or in a variable."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias, TypeGuard

from actorlab.errors import ConfigError

__all__ = ["Location", "Mistake", "Source", "Spot", "is_list", "is_map"]

Location: TypeAlias = tuple[int | str, ...]
"""Where something stands among the values: the keys and positions that lead to it."""


class Spot(NamedTuple):
    """Where something was written: a line of a file; or, with line 0, an environment variable of that name."""

    order: int
    """Messages are told in this order: one file after the other, then the variables."""
    line: int
    name: str
    folder: Path
    """What relative paths that stand there are seen from."""

    def __str__(self) -> str:
        return f"{self.name}:{self.line}" if self.line else self.name


@dataclass(frozen=True)
class Mistake:
    """Something wrong at a place."""

    place: Location
    message: str


@dataclass(frozen=True)
class Source:
    """What a file says, or several put together: the values, and where each of them stands."""

    path: Path
    content: dict[str, Any]
    spots: dict[Location, Spot] = field(default_factory=dict[Location, Spot])

    def spot(self, place: Location) -> Spot:
        """Return where a place, or the innermost part around it that was written anywhere, stands."""
        known = (self.spots[place[:end]] for end in range(len(place), 0, -1) if place[:end] in self.spots)
        return next(known, Spot(0, 1, str(self.path), self.path.parent))

    def beside(self, place: Location, path: str) -> Path:
        """Return a path that stands at a place, as seen from the file in which it stands."""
        return self.spot(place).folder / Path(path).expanduser()

    def refusal(self, found: list[Mistake]) -> ConfigError:
        """Return the error that tells everything that was found, each with where it stands."""
        told = sorted((self.spot(item.place), item.message) for item in found)
        return ConfigError("\n".join(f"{spot}: {message}" for spot, message in told))

    def under(self, upper: Source) -> Source:
        """Return this with another one over it: maps are merged key by key, and anything else is replaced."""
        spots = {place: spot for place, spot in self.spots.items() if not replaces(upper.content, place)}
        return Source(self.path, merged(self.content, upper.content), spots | upper.spots)


def is_map(value: object) -> TypeGuard[dict[Any, Any]]:
    """Tell whether a value is a map."""
    return isinstance(value, dict)


def is_list(value: object) -> TypeGuard[list[Any]]:
    """Tell whether a value is a list."""
    return isinstance(value, list)


def merged(lower: dict[str, Any], upper: dict[str, Any]) -> dict[str, Any]:
    """Return two maps as one, in which the upper one wins."""
    found = dict(lower)
    for key, value in upper.items():
        known = found.get(key)
        found[key] = merged(known, value) if is_map(known) and is_map(value) else value
    return found


def replaces(upper: Any, place: Location) -> bool:
    """Tell whether an upper map has something else than a map around a place of a lower one."""
    for key in place:
        if not is_map(upper):
            return True
        if key not in upper:
            return False
        upper = upper[key]
    return False
