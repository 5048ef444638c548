"""Read a YAML file as plain values, and know on which line each of them stands."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final, NamedTuple

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq, TaggedScalar
from ruamel.yaml.constructor import DuplicateKeyError
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from actorlab.config.source import Location, Source, Spot
from actorlab.errors import ConfigError

__all__ = ["KINDS", "Reference", "plain_text", "read_yaml", "yaml_value"]

KINDS: Final = ("secret", "env", "file")
"""The tags of references: ``!secret NAME``, ``!env NAME``, ``!file path``."""
UNREADABLE: Final = (YAMLError, ValueError, TypeError, RecursionError)
"""What the reader raises: of its own, and for a number or a date that is none, a list as a key, a thousand brackets."""


class Reference(NamedTuple):
    """What stands for a text that is kept elsewhere."""

    kind: str
    name: str


def read_yaml(path: Path, order: int = 0) -> Source:
    """Read a file.

    Raises:
        ConfigError: it can't be read, is no YAML, names something twice, or doesn't begin with a key.

    """
    try:
        root = loaded(plain_text(path))
    except OSError as error:
        message = f"{path} can't be read: {error.strerror}"
        raise ConfigError(message) from error
    except UNREADABLE as error:
        raise ConfigError(unreadable(path, error)) from error
    if not issubclass(type(root), CommentedMap):
        message = f"{path}:1: a lab's file begins with a key, such as devices:"
        raise ConfigError(message)
    lines: dict[Location, int] = {}
    try:
        content = plain(root, (), lines)
    except UnknownTagError as error:
        message = f"{path}:{error.line}: {error}"
        raise ConfigError(message) from error
    spots = {place: Spot(order, line, str(path), path.parent) for place, line in lines.items()}
    return Source(path, content, spots)


def yaml_value(text: str) -> Any:
    """Return the value that a text would have in a file. Raise `ValueError` if it is no YAML."""
    try:
        return plain(loaded(text), (), {})
    except MarkedYAMLError as error:
        known: Any = error
        message = f"this is no YAML: {known.problem}; put quotes around a text with special characters"
        raise ValueError(message) from error
    except UnknownTagError:
        raise
    except UNREADABLE as error:
        message = "this is no YAML"
        raise ValueError(message) from error


def plain_text(path: Path) -> str:
    """Return what stands in a file."""
    return path.read_text(encoding="utf-8")


def loaded(text: str) -> Any:
    """Return what a YAML text says, each value knowing its line."""
    reader: Any = YAML(typ="rt")
    return reader.load(text)


class UnknownTagError(ValueError):
    """Something is marked by a tag that means nothing in a lab's file."""

    def __init__(self, tag: str, line: int) -> None:
        super().__init__(f"the tag {tag} means nothing here; texts may have {', '.join(f'!{kind}' for kind in KINDS)}")
        self.line = line


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
    if issubclass(type(node), TaggedScalar):
        return untagged(str(node.tag.value), str(node.value), lines.get(place, 1))
    if issubclass(type(node), CommentedMap | CommentedSeq):
        refuse_tag(node.tag.value, lines.get(place, 1))
    if issubclass(type(node), CommentedMap):
        for key in node:
            own = key in (node.lc.data or ())  # what comes from an anchor (<<) stands elsewhere
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


def refuse_tag(tag: str | None, line: int) -> None:
    """Raise `UnknownTagError` if a map or a list is marked by anything but YAML's own tags."""
    if tag is not None and not tag.startswith("tag:yaml.org,2002:"):
        raise UnknownTagError(tag, line)


def untagged(tag: str, text: str, line: int) -> str | Reference:
    """Return what a tag makes of a text."""
    if tag == "tag:yaml.org,2002:str":
        return text
    if tag.removeprefix("!") in KINDS:
        return Reference(tag.removeprefix("!"), text)
    raise UnknownTagError(tag, line)
