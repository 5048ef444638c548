"""Put the texts that are kept elsewhere, such as passwords, where a lab's file refers to them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from actorlab.config.naming import did_you_mean
from actorlab.config.source import Location, Mistake, Source, is_list, is_map
from actorlab.config.yaml_file import Reference, plain_text
from actorlab.errors import ConfigError
from actorlab.hidden import HiddenText

__all__ = ["FOLDER", "with_secrets"]

FOLDER: Final = "secrets"
"""The folder beside the lab's file with a file for each secret, if the file names no other."""


def with_secrets(source: Source, environ: Mapping[str, str]) -> Source:
    """Return what the files say with the texts that they refer to.

    Raises:
        ConfigError: some aren't there, or stand where they would be shown; the message has the name, never the text.

    """
    mistakes: list[Mistake] = []

    def resolved(value: Any, place: Location) -> Any:
        if isinstance(value, Reference):
            try:
                return text_for(value, place, source, environ)
            except ValueError as error:
                mistakes.append(Mistake(place, f"{'.'.join(map(str, place))}: {error}"))
                return HiddenText()
        if is_map(value):
            return {key: resolved(item, (*place, key)) for key, item in value.items()}
        if is_list(value):
            return [resolved(item, (*place, at)) for at, item in enumerate(value)]
        return value

    content = resolved(source.content, ())
    if mistakes:
        raise source.refusal(mistakes)
    return replace(source, content=content)


def text_for(reference: Reference, place: Location, source: Source, environ: Mapping[str, str]) -> HiddenText:
    """Return the text that is meant. Raise `ValueError` if it isn't there, or is nothing."""
    if not may_stand(place):
        message = "a secret may stand under a device's args and kwargs, or as the journal's URL: elsewhere it is shown"
        raise ValueError(message)
    if reference.kind == "env":
        text = from_environment(reference.name, environ)
    elif reference.kind == "file":
        text = from_file(source.beside(place, reference.name))
    else:
        text = from_folder(reference.name, folder_of(source))
    if not text:
        message = f"!{reference.kind} {reference.name} is empty"
        raise ValueError(message)
    return HiddenText(text)


def may_stand(place: Location) -> bool:
    """Tell whether a secret may stand at a place."""
    match place:
        case ("journal",) | ("devices", _, "args" | "kwargs", _, *_):
            return True
        case _:
            return False


def from_environment(name: str, environ: Mapping[str, str]) -> str:
    """Return what a variable says."""
    if name not in environ:
        message = f"there is no environment variable {name!r}"
        raise ValueError(message)
    return environ[name]


def from_file(path: Path) -> str:
    """Return what stands in a file, without the end of its last line."""
    try:
        return plain_text(path).rstrip("\r\n")
    except OSError as error:
        message = f"{path} can't be read: {error.strerror}"
        raise ValueError(message) from error
    except UnicodeDecodeError as error:
        message = f"{path} is no text"
        raise ValueError(message) from error.with_traceback(None)


def from_folder(name: str, folder: Path) -> str:
    """Return the secret of a name: each has a file of its own."""
    if Path(name).name != name or name in {"", ".", ".."}:
        message = f"!secret {name}: write a name, without a folder; or !file and a path"
        raise ValueError(message)
    if not (folder / name).is_file():
        known = sorted(item.name for item in folder.iterdir()) if folder.is_dir() else []
        message = f"there is no secret {name!r}: no file {folder / name}{did_you_mean(name, known)}"
        raise ValueError(message)
    return from_file(folder / name)


def folder_of(source: Source) -> Path:
    """Return the folder of the secrets."""
    said = source.content.get("secrets", FOLDER)
    if not isinstance(said, str) or not said:
        message = f"{source.spot(('secrets',))}: secrets: write the path of a folder, not {said!r}"
        raise ConfigError(message)
    return source.beside(("secrets",), said)
