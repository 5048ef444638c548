"""Read a lab's file together with the files that it includes."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from actorlab.config.source import Source, is_list
from actorlab.config.yaml_file import read_yaml
from actorlab.errors import ConfigError

__all__ = ["read_with_included"]


def read_with_included(path: Path) -> Source:
    """Read a file over those that it includes: the later of two wins, and the file itself over all of them.

    Raises:
        ConfigError: one can't be read or is no YAML, or they include one another.

    """
    return gathered(path, (), itertools.count())


def gathered(path: Path, around: tuple[Path, ...], orders: Iterator[int]) -> Source:
    """Read a file that the ones `around` it include."""
    own = read_yaml(path, next(orders))
    found = Source(path, {})
    for at, name in enumerate(included_names(own)):
        file = path.parent / Path(name).expanduser()
        place = own.spot(("include", at))
        refuse_cycle(file, (*around, path), str(place))
        if not file.is_file():
            message = f"{place}: include: there is no file {file}"
            raise ConfigError(message)
        found = found.under(gathered(file, (*around, path), orders))
    return found.under(own)


def included_names(source: Source) -> list[str]:
    """Return the files that are to be included. Raise `ConfigError` if that is no path, and no list of them."""
    said: Any = source.content.get("include", [])
    names: list[Any] = said if is_list(said) else [said]
    wrong = [name for name in names if not isinstance(name, str)]
    if wrong:
        message = f"{source.spot(('include',))}: include: write a file's path, or a list of them, not {wrong[0]!r}"
        raise ConfigError(message)
    return names


def refuse_cycle(file: Path, around: tuple[Path, ...], place: str) -> None:
    """Raise `ConfigError` if a file would include itself."""
    known = [item.resolve() for item in around]
    if file.resolve() in known:
        ring = [item.name for item in (*around[known.index(file.resolve()) :], file)]
        message = f"{place}: include: {' includes '.join(ring)}: leave one of them out"
        raise ConfigError(message)
