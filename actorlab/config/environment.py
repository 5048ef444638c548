"""Let environment variables say what a lab's file says: ``ACTORLAB__DEVICES__LASER__ADDRESS=GPIB0::7::INSTR``."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from actorlab.config.including import read_with_included
from actorlab.config.source import Location, Source, Spot, is_list, is_map
from actorlab.config.yaml_file import yaml_value
from actorlab.errors import ConfigError

__all__ = ["PREFIX", "overridden", "read_source"]

PREFIX: Final = "ACTORLAB__"
"""So begins the name of a variable that says something about the lab."""
BETWEEN: Final = "__"
LAST: Final = 1_000_000
"""Variables are told after all files."""


def read_source(path: Path) -> Source:
    """Return what a lab's file says, with what it includes and the environment over it; its secrets stay references.

    Raises:
        ConfigError: a file can't be read or is no YAML, or a variable means nothing.

    """
    return overridden(read_with_included(path), os.environ)


def overridden(source: Source, environ: Mapping[str, str]) -> Source:
    """Return what the files say with the environment over it, the variables with longer names last.

    Keys are compared without regard to capitals, and with ``_`` for what can't stand in a variable's name; the value is
    read as YAML, as if it stood in the file.

    Raises:
        ConfigError: a variable's name or value means nothing; the message names it.

    """
    for variable in sorted((name for name in environ if name.startswith(PREFIX)), key=depth):
        try:
            source = source.under(one(variable, environ[variable], source))
        except ValueError as error:
            message = f"{variable}: {error}"
            raise ConfigError(message) from error
    return source


def depth(variable: str) -> tuple[int, str]:
    """Return what variables are sorted by."""
    return variable.count(BETWEEN), variable


def one(variable: str, text: str, source: Source) -> Source:
    """Return what one variable says. Raise `ValueError` if it says nothing that can be understood."""
    place = place_of(variable.removeprefix(PREFIX).split(BETWEEN), source.content)
    if place[0] == "include":
        message = "files are included by files only"
        raise ValueError(message)
    spot = Spot(LAST, 0, variable, Path(source.path).parent)
    content: Any = yaml_value(text)
    for key in reversed(place):
        content = {key: content}
    new = {place[:end] for end in range(1, len(place) + 1)} - source.spots.keys()
    return Source(source.path, content, {**dict.fromkeys(new, spot), place: spot})


def place_of(parts: list[str], content: Any) -> Location:
    """Return the place which the parts of a name mean, with the keys as they stand in the file."""
    place: list[str] = []
    for part in parts:
        if not part:
            message = f"between {BETWEEN} and {BETWEEN} there has to be a key, as in {PREFIX}DEVICES__LASER__ADDRESS"
            raise ValueError(message)
        if is_list(content):
            message = f"{'.'.join(place)} is a list: set it as a whole, such as {PREFIX}…=[1, 2]"
            raise ValueError(message)
        key = key_for(part, content if is_map(content) else {})
        place.append(key)
        content = content.get(key) if is_map(content) else None
    return tuple(place)


def key_for(part: str, known: Mapping[Any, Any]) -> str:
    """Return the key that a part of a variable's name means: one that is there, else itself in small letters."""
    meant = [key for key in known if isinstance(key, str) and comparable(key) == comparable(part)]
    if len(meant) > 1:
        message = f"{part} could mean {' or '.join(map(repr, meant))}: set it in the file"
        raise ValueError(message)
    return meant[0] if meant else part.lower()


def comparable(key: str) -> str:
    """Return a key as the names of variables can say it."""
    return re.sub(r"\W", "_", key).lower()
