"""Name members of a device, and of its parts, by patterns: the queries of a driver that can't be marked."""

from __future__ import annotations

import re
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, Final

from actorlab.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = ["Patterns"]

Steps = tuple[tuple[str, Any], ...]
Pattern = tuple[tuple[str, str], ...]

STEP: Final = re.compile(r"\.?(?P<attribute>[^.\[\]]+)|\[(?P<item>[^\[\]]+)\]")
ANY: Final = ("attribute", "**")
"""The step of a pattern that stands for any number of steps."""


class Patterns:
    """Some patterns: ``volt``, ``sense.*.range``, ``ch_*.voltage``, ``channels[*].voltage``, ``channels[A].voltage``.

    A pattern is the way to a member, as one would type it. An item is written with its key in brackets, text with or
    without quotes. ``*`` and ``?`` stand for characters of one name or one key, not for dots and brackets; ``**`` in
    the place of a name stands for any way (``**.temperature``).
    """

    def __init__(self, patterns: Iterable[str] = ()) -> None:
        self._patterns = tuple(map(steps_of, patterns))

    def name(self, way: Steps) -> bool:
        """Tell whether one of them names the member at the end of a way."""
        return any(all(step == ANY for step in rest) for rest in self._rests(way))

    def lead_through(self, way: Steps) -> bool:
        """Tell whether the way to something that is named goes through here."""
        return any(self._rests(way))

    def lead_to_items(self, way: Steps) -> bool:
        """Tell whether an item of what is here is named, or leads to something that is."""
        return any(rest and (rest[0][0] == "item" or rest[0] == ANY) for rest in self._rests(way))

    def _rests(self, way: Steps) -> Iterator[Pattern]:
        """Yield what is left of the patterns that fit a way, after it."""
        for pattern in self._patterns:
            yield from rests(pattern, way)


def steps_of(pattern: str) -> Pattern:
    """Take a pattern apart.

    Raises:
        ConfigError: it can't be read.

    """
    steps: list[tuple[str, str]] = []
    at = 0
    while at < len(pattern):
        found = STEP.match(pattern, at)
        if found is None or (found.group().startswith(".") and not steps):
            text = f"{pattern!r} names no member: write it as you would type it, as in 'sense.*.range' or 'ch[*].volt'"
            raise ConfigError(text)
        kind = str(found.lastgroup)
        steps.append((kind, found.group(kind).strip("'\"") if kind == "item" else found.group(kind)))
        at = found.end()
    return tuple(steps)


def rests(pattern: Pattern, way: Steps) -> Iterator[Pattern]:
    """Yield what is left of a pattern after its beginning has taken up a whole way, for each manner to do so."""
    if not way:
        yield pattern
    elif pattern and pattern[0] == ANY:
        yield from rests(pattern, way[1:])
        yield from rests(pattern[1:], way)
    elif pattern and fits(pattern[0], way[0]):
        yield from rests(pattern[1:], way[1:])


def fits(wanted: tuple[str, str], step: tuple[str, Any]) -> bool:
    """Tell whether one step of a pattern fits one of a way."""
    return wanted[0] == step[0] and fnmatchcase(str(step[1]), wanted[1])
