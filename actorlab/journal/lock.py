"""Let one process at a time write a journal, by a lock that the kernel frees when the process is gone."""

from __future__ import annotations

import contextlib
import json
import os
import time
import zlib
from pathlib import Path
from typing import Any, Final, NamedTuple, cast

from actorlab.errors import JournalError, JournalInUse
from actorlab.locking import locked

__all__ = ["SERVER_LOCK", "FileLock", "Holder", "holder_of", "in_use", "network_file_system"]

SERVER_LOCK: Final = zlib.crc32(b"actorlab journal") - (1 << 31)
"""The number of the lock on a server, which needs a signed one."""
TRIES: Final = 20
PAUSE: Final = 0.02
"""Who only looks whether somebody holds the lock, holds it for a moment himself."""
NETWORKED: Final = frozenset((
    "nfs", "nfs4", "cifs", "smb3", "smbfs", "smb2", "9p", "afs", "ceph", "glusterfs", "lustre", "gpfs", "beegfs",
    "davfs", "vboxsf", "prl_fs", "vmhgfs", "ncpfs", "coda", "orangefs", "webdav", "afpfs",
))  # fmt: skip


class Holder(NamedTuple):
    """Who has a journal open for writing."""

    lab: str
    host: str
    user: str
    pid: int
    since: float
    """In seconds since 1970."""

    def __str__(self) -> str:
        at = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(self.since))
        return f"the lab {self.lab!r} of {self.user} on {self.host}, process {self.pid}, since {at}"


def in_use(where: object, holder: Holder | None) -> JournalInUse:
    """Return the error that says who has a journal."""
    who = holder if holder is not None else "another process"
    way = "end that lab, or read the journal only: `actorlab runs` and `actorlab show` do"
    return JournalInUse(f"{where} is written by {who}: {way}", holder)


class FileLock:
    """A lock on a file beside the journal; the file stays, and says who had it last."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file: int | None = None

    def acquire(self, holder: Holder) -> None:
        """Take the lock and leave one's name.

        Raises:
            JournalInUse: somebody has it.
            JournalError: the file can't be written.

        """
        try:
            file = os.open(self.path, os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o644)
        except OSError as error:
            message = (
                f"{self.path} can't be written ({error.strerror}): the journal needs a folder that can be written to"
            )
            raise JournalError(message) from error
        for _ in range(TRIES):
            if locked(file):
                break
            time.sleep(PAUSE)
        else:
            os.close(file)
            raise in_use(self.path.with_suffix(""), holder_of(self.path))
        self._file = file
        with contextlib.suppress(OSError):  # a full disk: the lock holds all the same
            os.ftruncate(file, 0)
            os.pwrite(file, json.dumps(holder._asdict()).encode(), 0)

    def release(self) -> None:
        """Give the lock back; once is enough."""
        file, self._file = self._file, None
        if file is not None:
            os.close(file)


def holder_of(path: Path) -> Holder | None:
    """Say who left his name in a lock file last."""
    try:
        found = cast("dict[str, Any]", json.loads(path.read_text()))
        return Holder(**found)
    except (OSError, ValueError, TypeError):
        return None


def held(path: Path) -> bool:
    """Tell whether somebody holds a lock."""
    try:
        file = os.open(path, os.O_RDWR)
    except OSError:
        return False
    try:
        return not locked(file)
    finally:
        os.close(file)


def held_here(path: Path) -> bool:
    """Tell whether this process holds a lock."""
    holder = holder_of(path)
    return holder is not None and holder.pid == os.getpid() and held(path)


def network_file_system(path: Path, mounts: str | None = None) -> str:
    """Return the kind of the network file system on which a path lies, or nothing; only Linux says."""
    if mounts is None:
        try:
            mounts = Path("/proc/self/mounts").read_text(errors="surrogateescape")
        except OSError:
            return ""
    best, found = -1, ""
    for line in mounts.splitlines():
        _, point, kind, *_ = [*line.split(" "), "", ""]
        point = point.replace("\\040", " ")
        if (path == Path(point) or Path(point) in path.parents) and len(
            point
        ) >= best:  # the later mount hides the earlier
            best, found = len(point), kind
    return (
        found if found in NETWORKED or found.startswith("fuse.ssh") or found.removeprefix("fuse.") in NETWORKED else ""
    )
