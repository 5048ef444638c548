"""Hand large buffers to another process through shared memory: some slots, which are filled and emptied in turns."""

from __future__ import annotations

import mmap
import os
import sys
import tempfile
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

__all__ = ["SLOTS", "Slots", "as_bytes", "chunks_of", "new_bytes"]

SLOT: Final = 1 << 20
SLOTS: Final = 4
"""So few that their pages stay in the caches, while one side fills the next and the other one empties the last."""


class Chunk(NamedTuple):
    """What goes through one slot: a part of one of the pieces that travel together."""

    slot: int
    piece: int
    begin: int
    end: int


def chunks_of(sizes: Sequence[int]) -> list[Chunk]:
    """Cut pieces of these sizes so that each part fits into a slot."""
    cuts = [(piece, begin, size) for piece, size in enumerate(sizes) for begin in range(0, size, SLOT)]
    return [
        Chunk(number % SLOTS, piece, begin, min(begin + SLOT, size)) for number, (piece, begin, size) in enumerate(cuts)
    ]


class Slots:
    """Anonymous shared memory, known by its file descriptor; it keeps its pages."""

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self._map: mmap.mmap | None = None
        self._slots: list[Any] = []

    @classmethod
    def make(cls, name: str) -> Slots:
        """Make new ones."""
        return cls(anonymous_file(name))

    def open(self) -> list[Any]:
        """Return them, writable and as bytes.

        Raises:
            MemoryError: the system has no room for them.

        """
        if not self._slots:
            reserve(self.fd, SLOT * SLOTS)
            self._map = mmap.mmap(self.fd, SLOT * SLOTS)
            whole = as_bytes(self._map)
            self._slots = [whole[begin : begin + SLOT] for begin in range(0, SLOT * SLOTS, SLOT)]
        return self._slots

    def close(self) -> None:
        """Give them back; the other side may still use them."""
        self._slots.clear()
        if self._map is not None:
            self._map.close()
        if self.fd >= 0:
            os.close(self.fd)
        self.fd, self._map = -1, None


def anonymous_file(name: str) -> int:
    """Return the descriptor of a file that has no name, and ends with its last user."""
    if sys.platform == "linux":
        return os.memfd_create(name, os.MFD_CLOEXEC)
    fd, path = tempfile.mkstemp(prefix="actorlab-")
    os.unlink(path)  # noqa: PTH108 - nobody needs a Path for that
    return fd


def reserve(fd: int, size: int) -> None:
    """Make a file so large that writing to it can't fail: without its pages a write would end the process (SIGBUS)."""
    try:
        if sys.platform == "linux":
            os.posix_fallocate(fd, 0, size)
        else:
            os.ftruncate(fd, size)
    except OSError as error:
        text = f"no room for {size} bytes of shared memory: {error}"
        raise MemoryError(text) from error


def as_bytes(buffer: Any) -> Any:
    """Look at a buffer as bytes that can be sliced and assigned; by NumPy if it is there: it copies without the GIL."""
    numpy: Any = sys.modules.get("numpy")
    return memoryview(buffer).cast("B") if numpy is None else numpy.frombuffer(buffer, numpy.uint8)


def new_bytes(size: int) -> Any:
    """Make room for so many bytes; NumPy, if it is there, gets larger pages where the system has them."""
    numpy: Any = sys.modules.get("numpy")
    return memoryview(bytearray(size)) if numpy is None else numpy.empty(size, numpy.uint8)
