"""Hand large buffers to another process through shared memory, which one side writes and the other one copies from."""

from __future__ import annotations

import mmap
import os
import pickle
import sys
import tempfile
from collections.abc import Sequence
from itertools import accumulate
from typing import Any, Final

__all__ = ["Area"]

PAGE: Final = 1 << 20
ALIGNMENT: Final = 64


class Area:
    """An anonymous mapping, known by its file descriptor; its writer lets it grow, and it keeps its pages.

    What is written is read before the next is written: whoever writes waits for an answer in between.
    """

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self._map: mmap.mmap | None = None

    @classmethod
    def make(cls, name: str) -> Area:
        """Make a new one, of no size yet."""
        return cls(anonymous_file(name))

    def write(self, pieces: Sequence[Any]) -> list[int]:
        """Write bytes-like pieces from the beginning, and return their sizes.

        Raises:
            MemoryError: the system has no room for them.

        """
        sizes = [len(piece) for piece in pieces]
        offsets = offsets_of(sizes)
        with memoryview(self._at_least(offsets[-1], writable=True)) as whole:
            for piece, begin, size in zip(pieces, offsets, sizes, strict=False):
                with whole[begin : begin + size] as place:
                    copy(place, piece)
        return sizes

    def load(self, sizes: Sequence[int]) -> Any:
        """Unpickle the first piece; the others are its buffers, and are copied."""
        offsets = offsets_of(sizes)
        with memoryview(self._at_least(offsets[-1], writable=False)) as whole:
            views = [whole[begin : begin + size] for begin, size in zip(offsets, sizes, strict=False)]
            try:
                return pickle.loads(views[0], buffers=[owned(view) for view in views[1:]])  # noqa: S301 - its own kin's
            finally:
                for view in views:
                    view.release()

    def close(self) -> None:
        """Give it back; the other side may still use it."""
        if self._map is not None:
            self._map.close()
        if self.fd >= 0:
            os.close(self.fd)
        self.fd, self._map = -1, None

    def _at_least(self, size: int, *, writable: bool) -> mmap.mmap:
        """Return the mapping, made larger if it must be."""
        if self._map is not None and len(self._map) >= size:
            return self._map
        if writable:
            reserve(self.fd, -(-size * 5 // (4 * PAGE)) * PAGE)  # a quarter more: the next one may be a bit larger
        if self._map is not None:
            self._map.close()
        access = mmap.ACCESS_WRITE if writable else mmap.ACCESS_READ
        self._map = mmap.mmap(self.fd, os.fstat(self.fd).st_size, access=access)
        return self._map


def anonymous_file(name: str) -> int:
    """Return the descriptor of a file that has no name, and ends with its last user."""
    if sys.platform == "linux":
        return os.memfd_create(name, os.MFD_CLOEXEC)
    fd, path = tempfile.mkstemp(prefix="actorlab-")
    os.unlink(path)  # noqa: PTH108 - nobody needs a Path for that
    return fd


def offsets_of(sizes: Sequence[int]) -> list[int]:
    """Return where pieces of these sizes begin, and where they end."""
    return list(accumulate([-(-size // ALIGNMENT) * ALIGNMENT for size in sizes], initial=0))


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


def copy(place: memoryview, piece: Any) -> None:
    """Copy bytes; by NumPy if it is there, as it lets other threads run meanwhile."""
    numpy: Any = sys.modules.get("numpy")
    if numpy is None or not len(place):
        place[:] = piece
    else:
        numpy.copyto(numpy.frombuffer(place, numpy.uint8), numpy.frombuffer(piece, numpy.uint8))


def owned(view: memoryview) -> Any:
    """Return a writable copy, in memory of its own."""
    numpy: Any = sys.modules.get("numpy")
    if numpy is None:
        return bytearray(view)
    return numpy.frombuffer(view, numpy.uint8).copy()
