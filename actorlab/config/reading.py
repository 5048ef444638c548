"""Read and check a lab's file, with all that goes over it and into it."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

from pydantic import ValidationError

from actorlab.config.environment import read_source
from actorlab.config.importing import importable
from actorlab.config.journal_place import journal_in
from actorlab.config.mistakes import missing_folders, mistaken_addresses, mistaken_calls, mistaken_options, mistakes_of
from actorlab.config.model import LabConfig, ServerConfig
from actorlab.config.secret_texts import with_secrets
from actorlab.config.source import Location

__all__ = ["read_lab_file", "read_server_section"]


def read_lab_file(path: str | Path) -> LabConfig:
    """Read and check a lab's file, with what it includes and the environment over it, and touch no device.

    Raises:
        ConfigError: the file is wrong; the message names it and the line, or the variable.

    """
    source = with_secrets(read_source(Path(path)), os.environ)
    with importable(source.path.parent):
        try:
            config = LabConfig.model_validate(source.content)
        except ValidationError as error:
            raise source.refusal(mistakes_of(error.errors())) from None
    mistakes = [
        *mistaken_calls(config),
        *mistaken_options(config),
        *mistaken_addresses(config),
        *missing_folders(config, source),
    ]
    if mistakes:
        raise source.refusal(mistakes)
    config = config.beside(source.path, journal_in(source, config.journal))
    config = config.model_copy(update={"server": config.server.beside(source.beside)})
    if config.discover is None:
        return config
    place: Location = ("discover", "required") if config.discover.required else ("discover",)
    folders = [str(source.beside(("discover", "folders"), folder)) for folder in config.discover.folders]
    return config.model_copy(update={"discover": config.discover.looking_in(folders, str(source.spot(place)))})


def read_server_section(path: Path) -> ServerConfig:
    """Return how the lab of a file is served; its devices aren't looked at.

    Raises:
        ConfigError: a file can't be read or is no YAML, or the section is wrong; the message names the line.

    """
    whole = read_source(path)
    source = replace(whole, content={key: value for key, value in whole.content.items() if key == "server"})
    try:
        config = LabConfig.model_validate(source.content)
    except ValidationError as error:
        raise source.refusal(mistakes_of(error.errors())) from None
    return config.server.beside(source.beside)
