"""Put a file or a folder in its place in one go: whole, or not at all."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["refuse", "replacing", "sync_one"]


@contextmanager
def replacing(path: Path, *, overwrite: bool) -> Generator[Path]:
    """Give the block a path beside `path` to write to; what is there when it ends becomes `path`.

    When the block raises, or the program dies in it, what stood at `path` is as it was.

    Raises:
        FileExistsError: there is something already, and it isn't to be overwritten.
        FileNotFoundError: there is no such folder.

    """
    refuse(path, overwrite=overwrite)
    partial = path.with_name(f".{path.name}.{secrets.token_hex(4)}.partial")
    try:
        yield partial
        sync(partial)
        place(partial, path, overwrite=overwrite)
        sync_one(path.parent)
    finally:
        remove(partial)


def refuse(path: Path, *, overwrite: bool) -> None:
    """Look before the work begins whether it could be for nothing."""
    if not path.parent.is_dir():
        text = f"{path} can't be written: there is no folder {path.parent}"
        raise FileNotFoundError(text)
    if not overwrite and os.path.lexists(path):
        raise exists(path)


def exists(path: Path) -> FileExistsError:
    """Say that there is something already."""
    return FileExistsError(f"{path} exists: choose another name, or say overwrite=True")


def place(partial: Path, path: Path, *, overwrite: bool) -> None:
    """Move what was written to its place."""
    if partial.is_dir() or path.is_dir():
        place_folder(partial, path, overwrite=overwrite)
    elif overwrite:
        partial.replace(path)
    else:
        place_new(partial, path)


def place_new(partial: Path, path: Path) -> None:
    """Move a file to a name that nothing may have, also not since we looked."""
    try:
        os.link(partial, path)
    except FileExistsError as error:
        raise exists(path) from error
    except OSError:  # a file system without hard links
        if os.path.lexists(path):
            raise exists(path) from None
        partial.rename(path)


def place_folder(partial: Path, path: Path, *, overwrite: bool) -> None:
    """Move a folder to its place, or a file to that of a folder: what is there steps aside first, and then goes."""
    if not os.path.lexists(path):
        partial.rename(path)
        return
    if not overwrite:
        raise exists(path)
    aside = path.with_name(f"{partial.name}.old")
    path.rename(aside)
    try:
        partial.rename(path)
    except OSError:
        aside.rename(path)
        raise
    remove(aside)


def remove(path: Path) -> None:
    """Remove a file or folder that may not be there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def sync(path: Path) -> None:
    """Wait until what was written is on the disk."""
    files = [path] if not path.is_dir() else [*path.rglob("*"), path]
    for file in files:
        sync_one(file)


def sync_one(path: Path) -> None:
    """Wait until one file, or the names in one folder, are on the disk."""
    if os.name == "nt" and path.is_dir():  # Windows has no such thing for folders
        return
    descriptor = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)  # Windows syncs what may be written
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
