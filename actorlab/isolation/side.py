"""Name what is said next to the calls, waiting for no answer: interrupts to a driver, its log and streams from it."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Final

from actorlab.isolation.wire import HEADER

__all__ = ["DROPPED", "INTERRUPT", "INTERRUPTED", "LOGGED", "NUMBER", "PUBLISHED", "READY", "Frames"]

READY: Final = 0
"""From the driver: signals are handled."""
INTERRUPT: Final = 1
"""To the driver: run the hook that ends the call in progress; with a number."""
INTERRUPTED: Final = 2
"""From the driver: that has been done; the number, then what the hook raised, pickled, if it did."""
LOGGED: Final = 3
"""From the driver: a log record."""
PUBLISHED: Final = 4
"""From the driver: the name of a stream, and a value for those who listen to it."""
DROPPED: Final = 5
"""From the driver: so many log records and published values were dropped, as the lab didn't take them in time."""
NUMBER: Final = struct.Struct("=Q")


class Frames:
    """Take a stream of bytes apart into its frames."""

    def __init__(self) -> None:
        self._rest = bytearray()

    def feed(self, data: bytes) -> Iterator[tuple[int, bytes]]:
        """Yield the kind and body of each frame that is complete with these bytes."""
        rest = self._rest
        rest += data
        begin = 0
        while len(rest) >= begin + HEADER.size:
            size, kind = HEADER.unpack_from(rest, begin)
            end = begin + HEADER.size + size
            if len(rest) < end:
                break
            with memoryview(rest) as whole:
                body = bytes(whole[begin + HEADER.size : end])
            begin = end
            yield kind, body
        del rest[:begin]
