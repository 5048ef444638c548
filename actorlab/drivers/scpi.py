"""Read what SCPI instruments answer: where an answer ends, texts, numbers, binary blocks, the error queue.

Nothing here does I/O. Sources: IEEE 488.2-1992, §8.7.9 (definite-length blocks); SCPI-1999, volume 1, §7.2 (numbers)
and volume 2, §21.8 (error queue).
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import DTypeLike, NDArray

__all__ = [
    "ErrorEntry",
    "Frame",
    "GarbledAnswer",
    "InstrumentError",
    "block",
    "block_frame",
    "parse_array",
    "parse_error",
    "parse_number",
    "parse_text",
    "text_frame",
]

Frame: TypeAlias = Callable[[bytes | bytearray, bytes], int | None]
"""Given what was received and the terminator, say at which byte the first answer ends; None: not received whole yet."""

NOT_A_NUMBER: Final = 9.91e37
INFINITY: Final = 9.9e37
ERROR_ENTRY: Final = re.compile(r'\s*([+-]?\d+)\s*,\s*"?(.*?)"?\s*', re.DOTALL)
LONGEST_SHOWN: Final = 60


class GarbledAnswer(ConnectionError):
    """The instrument answered something that can't be an answer: nobody knows any more what state it is in."""


class Payload(NamedTuple):
    """The bytes of a block that carry its data, behind its header."""

    start: int
    stop: int


class ErrorEntry(NamedTuple):
    """One entry of an instrument's error queue; code 0 says that the queue is empty."""

    code: int
    message: str

    def __str__(self) -> str:
        return f"{self.code} {self.message}"


class InstrumentError(Exception):
    """The instrument refused a command, and says why; the connection is in order.

    `entries` is what was in its error queue, oldest first.
    """

    def __init__(self, who: str, entries: Sequence[ErrorEntry]) -> None:
        super().__init__(f"{who} reports: {'; '.join(map(str, entries))}")
        self.who = who
        self.entries = tuple(entries)

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.who, self.entries)


def text_frame(received: bytes | bytearray, terminator: bytes) -> int | None:
    """Say where a text ends: behind its terminator; without one (the interface marks ends), where the bytes end."""
    if not terminator:
        return len(received) or None
    found = received.find(terminator)
    return None if found < 0 else found + len(terminator)


def block_frame(received: bytes | bytearray, terminator: bytes) -> int | None:
    """Say where a definite-length block ends: behind its payload and terminator.

    Raise `GarbledAnswer` if it is no such block; one of indefinite length (``#0``) isn't: data could contain its end.
    """
    payload = _payload(received)
    if payload is None:
        return None
    end = payload.stop + len(terminator)
    if len(received) < end:
        return None
    if received[payload.stop : end] != terminator:
        rest = _shown(received[payload.stop :])
        message = f"after a block of {payload.stop - payload.start} bytes came {rest}, not its end"
        raise GarbledAnswer(message)
    return end


def parse_text(answer: bytes | bytearray) -> str:
    """Return an answer as text, without the white space around it. Raise `GarbledAnswer` unless it is plain ASCII."""
    try:
        return answer.decode("ascii").strip()
    except UnicodeDecodeError as error:
        message = f"{_shown(answer)} is no text"
        raise GarbledAnswer(message) from error


def parse_number(answer: bytes | bytearray) -> float:
    """Return an answer as a number; SCPI's 9.91E37 is not-a-number, ±9.9E37 infinite.

    Raise `GarbledAnswer` if it is none.

    >>> parse_number(b"+1.55000E+03")
    1550.0
    """
    try:
        value = float(answer)
    except ValueError as error:
        message = f"{_shown(answer)} is no number"
        raise GarbledAnswer(message) from error
    if value == NOT_A_NUMBER:
        return math.nan
    return math.copysign(math.inf, value) if abs(value) == INFINITY else value


def parse_array(answer: bytes | bytearray, dtype: DTypeLike) -> NDArray[Any]:
    r"""Return the payload of a definite-length block as an array of one dimension, in the byte order of this machine.

    It is copied only if `dtype` has another byte order. Raise `GarbledAnswer` if the block isn't whole, or doesn't hold
    a whole number of elements.

    >>> parse_array(b"#14\x00\x01\x00\x02", ">u2")
    array([1, 2], dtype=uint16)
    """
    given, payload = np.dtype(dtype), _payload(answer)
    length = 0 if payload is None else payload.stop - payload.start
    if payload is None or len(answer) < payload.stop or length % given.itemsize:
        message = f"{_shown(answer)} is no block of elements of {given.itemsize} bytes"
        raise GarbledAnswer(message)
    array = np.frombuffer(answer, given, count=length // given.itemsize, offset=payload.start)
    return array.astype(given.newbyteorder("="), copy=False)


def parse_error(answer: str) -> ErrorEntry:
    """Return an answer to ``SYST:ERR?`` as an entry. Raise `GarbledAnswer` if it is none.

    >>> parse_error('-113,"Undefined header"')
    ErrorEntry(code=-113, message='Undefined header')
    """
    match = ERROR_ENTRY.fullmatch(answer)
    if match is None:
        message = f"{answer!r} is no entry of an error queue"
        raise GarbledAnswer(message)
    return ErrorEntry(int(match[1]), match[2])


def block(payload: bytes) -> bytes:
    """Return the payload as a definite-length block, without terminator.

    >>> block(b"abc")
    b'#13abc'
    """
    length = b"%d" % len(payload)
    return b"#%d%b%b" % (len(length), length, payload)


def _payload(received: bytes | bytearray) -> Payload | None:
    """Say where the payload of a block lies; None: its header isn't received whole yet."""
    if received[:1] not in (b"#", b"") or received[1:2] not in (b"", *(b"%d" % digit for digit in range(1, 10))):
        message = f"{_shown(received)} is no definite-length block"
        raise GarbledAnswer(message)
    start = 2 + int(received[1:2] or b"9")
    length = received[2:start]
    if length and not length.isdigit():
        message = f"{_shown(received)} has no length that can be read"
        raise GarbledAnswer(message)
    return Payload(start, start + int(length)) if len(received) >= start else None


def _shown(received: bytes | bytearray) -> str:
    """Return bytes as a message may show them: not too many."""
    return repr(bytes(received[:LONGEST_SHOWN])) + ("…" if len(received) > LONGEST_SHOWN else "")
