"""Know whether a lab's server runs, and where: by a file beside the lab's, which the server keeps locked."""

from __future__ import annotations

import json
import logging
import os
import socket
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final, NamedTuple

from actorlab.errors import ConfigError
from actorlab.locking import locked

__all__ = ["ServerRecord", "log_of", "record_of", "recorded"]

TRIES: Final = 20
PAUSE: Final = 0.02
log = logging.getLogger("actorlab.server")


class ServerRecord(NamedTuple):
    """A server that runs."""

    url: str
    """Where it is; empty while it begins."""
    pid: int
    host: str
    """The machine on which it runs."""
    since: float
    """In seconds since 1970."""

    def __str__(self) -> str:
        at = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(self.since))
        place = f"at {self.url}" if self.url else "soon: it begins"
        return f"is served {place}, by process {self.pid} on {self.host}, since {at}"


def path_of_record(lab_file: Path) -> Path:
    """Return where it stands that a lab is served."""
    return lab_file.with_name(f".{lab_file.stem}.server.json")


def log_of(lab_file: Path) -> Path:
    """Return where a server writes its log that was started in the background."""
    return lab_file.with_name(f"{lab_file.stem}.server.log")


def record_of(lab_file: Path) -> ServerRecord | None:
    """Return how a lab is served, or None; a server that was killed is known to be gone."""
    path = path_of_record(lab_file)
    try:
        file = os.open(path, os.O_RDWR | getattr(os, "O_CLOEXEC", 0))
    except OSError:
        return None
    try:
        free = locked(file)
    finally:
        os.close(file)
    return None if free else read(path)


def read(path: Path) -> ServerRecord:
    """Read what a server has written; one that is about to write it hasn't said more than that it begins."""
    with suppress(OSError, ValueError, TypeError):
        return ServerRecord(**json.loads(path.read_text(encoding="utf-8")))
    return ServerRecord("", 0, socket.gethostname(), time.time())


def soon_locked(file: int) -> bool:
    """Try to lock a file for a while: who only looks whether it is locked, locks it for a moment."""
    for _ in range(TRIES):
        if locked(file):
            return True
        time.sleep(PAUSE)
    return False


@contextmanager
def recorded(lab_file: Path) -> Generator[Callable[[str], None]]:
    """Say for the length of a block that a lab is served; yield what is told where, once it is.

    Raises:
        ConfigError: it is served already.

    """
    path = path_of_record(lab_file)
    try:
        file = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o644)
    except OSError as error:
        log.warning("%s can't be written (%s): other programs don't find this server by it", path, error.strerror)
        yield lambda _: None
        return
    try:
        if not soon_locked(file):
            message = f"{lab_file} {read(path)}: `actorlab server stop` ends it"
            raise ConfigError(message)

        def told(url: str) -> None:
            record = ServerRecord(url, os.getpid(), socket.gethostname(), time.time())
            content = json.dumps(record._asdict()).encode()
            os.ftruncate(file, 0)
            os.pwrite(file, content, 0)

        told("")
        yield told
        os.ftruncate(file, 0)
    finally:
        os.close(file)
