"""Let one process at a time do something, by a lock on a file that the kernel frees when the process is gone."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

__all__ = ["locked", "only_one"]

PAUSE: Final = 0.05


if sys.platform == "win32":
    import msvcrt

    def locked(file: int) -> bool:
        """Try to lock an open file: a byte far behind its end, so that others can read it."""
        os.lseek(file, 1 << 30, os.SEEK_SET)
        try:
            msvcrt.locking(file, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True

else:
    import fcntl

    def locked(file: int) -> bool:
        """Try to lock an open file."""
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True


@contextmanager
def only_one(path: Path, seconds: float) -> Generator[None]:
    """Be the only process inside that names this file, which stays.

    Raises:
        OSError: the file can't be written.
        TimeoutError: another one is still inside after so many seconds.

    """
    file = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o600)
    try:
        end = time.monotonic() + seconds
        while not locked(file):
            if time.monotonic() > end:
                message = f"another process is at it for more than {seconds:g} s: {path} is locked"
                raise TimeoutError(message)
            time.sleep(PAUSE)
        yield
    finally:
        os.close(file)
