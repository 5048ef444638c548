"""Read a YAML file as plain values, and know on which line each of them stands."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.constructor import DuplicateKeyError
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from actorlab.errors import ConfigError

__all__ = ["Location", "Mistake", "Source"]

Location: TypeAlias = tuple[int | str, ...]
"""Where something stands in the file: the keys and positions that lead to it."""


@dataclass(frozen=True)
class Mistake:
    """Something wrong at a place in the file."""

    place: Location
    message: str


@dataclass(frozen=True)
class Source:
    """A file as it was read: its values, and the line on which each of them begins."""

    path: Path
    content: dict[str, Any]
    lines: dict[Location, int]

    @classmethod
    def read(cls, path: Path) -> Source:
        """Read a file. Raise `ConfigError` with its line if it is no YAML, or names something twice."""
        reader: Any = YAML(typ="rt")
        try:
            root = reader.load(path.read_text(encoding="utf-8"))
        except OSError as error:
            message = f"{path} can't be read: {error.strerror}"
            raise ConfigError(message) from error
        except (YAMLError, UnicodeDecodeError) as error:
            raise ConfigError(unreadable(path, error)) from error
        if not issubclass(type(root), CommentedMap):
            message = f"{path}:1: a lab's file begins with a key, such as devices:"
            raise ConfigError(message)
        lines: dict[Location, int] = {}
        return cls(path, plain(root, (), lines), lines)

    def refusal(self, found: list[Mistake]) -> ConfigError:
        """Return the error that tells everything that was found, each with its line."""
        told = sorted((self.line(item.place), item.message) for item in found)
        return ConfigError("\n".join(f"{self.path}:{line}: {message}" for line, message in told))

    def line(self, place: Location) -> int:
        """Return the line of a place, or of the innermost part around it that is in the file."""
        return next((self.lines[place[:end]] for end in range(len(place), 0, -1) if place[:end] in self.lines), 1)


def unreadable(path: Path, error: Exception) -> str:
    """Say why a file is no YAML, in one line."""
    known: Any = error
    if not isinstance(error, MarkedYAMLError) or known.problem_mark is None:
        return f"{path}: this is no YAML: {error}"
    where = f"{path}:{known.problem_mark.line + 1}"
    if isinstance(error, DuplicateKeyError):
        name = str(known.problem).partition('"')[2].partition('"')[0]
        return f"{where}: the name {name!r} is there already; each can stand only once"
    return f"{where}: this is no YAML: {known.problem}"


def plain(node: Any, place: Location, lines: dict[Location, int]) -> Any:
    """Return what was read as plain values, and note their lines."""
    if issubclass(type(node), CommentedMap):
        for key in node:
            own = key in node.lc.data  # what comes from an anchor (<<) stands elsewhere
            lines[*place, key] = node.lc.key(key)[0] + 1 if own else lines.get(place, 1)
        return {key: plain(value, (*place, key), lines) for key, value in node.items()}
    if issubclass(type(node), CommentedSeq):
        for index in range(len(node)):
            lines[*place, index] = node.lc.item(index)[0] + 1
        return [plain(value, (*place, index), lines) for index, value in enumerate(node)]
    for scalar in (bool, int, float, str):
        if issubclass(type(node), scalar):
            return scalar(node)
    return node
