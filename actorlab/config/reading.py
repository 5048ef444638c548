"""Read and check a lab's file."""

from __future__ import annotations

import sys
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

from pydantic import ValidationError

from actorlab.config.mistakes import missing_folders, mistake_of, mistaken_addresses, mistaken_calls
from actorlab.config.model import LabConfig
from actorlab.config.source import Location, Source

__all__ = ["read_lab_file"]


def read_lab_file(path: str | Path) -> LabConfig:
    """Read and check a lab's file, and touch no device.

    Raises:
        ConfigError: the file is wrong; the message names it and the line.

    """
    source = Source.read(Path(path))
    with importable(source.path.parent):
        try:
            config = LabConfig.model_validate(source.content)
        except ValidationError as error:
            raise source.refusal([mistake_of(cast("Mapping[str, Any]", item)) for item in error.errors()]) from None
    mistakes = [*mistaken_calls(config), *mistaken_addresses(config), *missing_folders(config, source.path.parent)]
    if mistakes:
        raise source.refusal(mistakes)
    if config.discover is None:
        return config
    place: Location = ("discover", "required") if config.discover.required else ("discover",)
    return config.model_copy(update={"discover": config.discover.beside(source.path, source.line(place))})


@contextmanager
def importable(folder: Path) -> Generator[None]:
    """Let classes be imported from files beside the lab's file, for the length of a block."""
    place = str(folder.resolve())
    sys.path.append(place)
    try:
        yield
    finally:
        sys.path.remove(place)
