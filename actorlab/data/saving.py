"""Save data with what they are about, as JSON or HDF5, and load them again as they were."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, NamedTuple

from actorlab.data.writing import replacing
from actorlab.encoding import Resolve, decode, encode, imported
from actorlab.errors import ConfigError, EncodingError

__all__ = ["FORMAT", "VERSION", "Saved", "is_dict", "load", "not_ours", "refuse_others", "save"]

FORMAT: Final = "actorlab data"
VERSION: Final = 1
PathLike = str | os.PathLike[str]


class Saved(NamedTuple):
    """What a file holds: ``data, metadata = load(path)``."""

    data: Any
    metadata: dict[str, Any]


def save(path: PathLike, data: Any, *, overwrite: bool = False, **metadata: Any) -> None:
    """Save data as JSON (``.json``) or HDF5 (``.h5``, ``.hdf5``), with metadata: those given, and the surroundings.

    Numbers, texts, times, numpy arrays, pint quantities, containers, enums, dataclasses and pydantic models come back
    equal from `load`. In HDF5 dictionaries are groups, and arrays datasets that any program reads; JSON is for what is
    small. The surroundings are time, host, user, program, versions and git commit. The file is written whole or not
    at all.

    Raises:
        ConfigError: the name has no such ending, or HDF5 is asked for and the extra `data` isn't installed.
        EncodingError: something in it isn't data; the message says where.
        FileExistsError: there is such a file, and `overwrite` isn't said.

    """
    from actorlab.data.surroundings import surroundings  # noqa: PLC0415 - looking for versions takes long to import

    path = Path(path)
    write, _ = format_of(path)
    about = {**surroundings(), **metadata}
    with replacing(path, overwrite=overwrite) as partial:
        write(partial, data, about)


def load(path: PathLike, *, resolve: Resolve = imported) -> Saved:
    """Return the data and metadata that `save` has saved.

    Dataclasses and the like are found by importing their modules, or by `resolve`: for a file of somebody you don't
    know choose ``actorlab.encoding.loaded``, which imports nothing.

    Raises:
        ConfigError: the name has no such ending, or it is HDF5 and the extra `data` isn't installed.
        EncodingError: `save` didn't write this file, or a newer version did, or a class isn't found.
        FileNotFoundError: there is no such file.

    """
    path = Path(path)
    _, read = format_of(path)
    return read(path, resolve)


Write = Callable[[Path, Any, dict[str, Any]], None]
Read = Callable[[Path, Resolve], Saved]


def format_of(path: Path) -> tuple[Write, Read]:
    """Return how to write and read files with such a name."""
    match path.suffix.lower():
        case ".json":
            return write_json, read_json
        case ".h5" | ".hdf5":
            from actorlab.data.saving_hdf5 import read_hdf5, write_hdf5  # noqa: PLC0415 - numpy takes long to import

            return write_hdf5, read_hdf5
        case _:
            text = f"{path}: data are saved as .json, .h5 or .hdf5"
            raise ConfigError(text)


def write_json(path: Path, data: Any, metadata: dict[str, Any]) -> None:
    """Write JSON, with the metadata first, for people to read."""
    about = json.dumps(encode(metadata, "metadata"), indent=2, allow_nan=False)
    text = json.dumps(encode(data, "data"), separators=(",", ":"), allow_nan=False)
    head = f'"format": "{FORMAT}",\n"version": {VERSION}'
    path.write_text(f'{{\n{head},\n"metadata": {about},\n"data": {text}\n}}\n', encoding="ascii")


def read_json(path: Path, resolve: Resolve) -> Saved:
    """Read what `write_json` has written."""
    try:
        held: Any = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        text = f"{path} isn't JSON that was saved here: {error}"
        raise EncodingError(text) from error
    if not is_dict(held):
        raise not_ours(path)
    refuse_others(path, held.get("format"), held.get("version"))
    return decoded(path, held.get("data"), held.get("metadata"), resolve)


def is_dict(value: object) -> bool:
    """Tell whether a value is a plain dict."""
    return type(value) is dict


def decoded(path: Path, data: Any, metadata: Any, resolve: Resolve) -> Saved:
    """Return data and metadata of what was encoded."""
    try:
        return Saved(decode(data, resolve=resolve), decode(metadata, resolve=resolve))
    except EncodingError as error:
        text = f"{path}: {error}"
        raise EncodingError(text) from error


def refuse_others(path: Path, name: Any, version: Any) -> None:
    """Refuse a file that isn't ours, or that a newer version wrote."""
    if name != FORMAT:
        raise not_ours(path)
    if not isinstance(version, int) or version > VERSION:
        text = f"{path} has format version {version}, and this actorlab reads up to {VERSION}: upgrade it"
        raise EncodingError(text)


def not_ours(path: Path) -> EncodingError:
    """Say that a file was made by something else."""
    return EncodingError(f"{path} wasn't made by actorlab.data.save: open it with what made it")
