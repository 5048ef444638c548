"""Put the events of a moment together as one text, and take them apart again."""

from __future__ import annotations

import base64
import itertools
import json
import sys
from array import array
from collections.abc import Iterator, Sequence
from typing import Any, Final, NamedTuple

from actorlab.journal.freezing import Blob, freeze

__all__ = ["Encoder", "EventTuple", "Events", "events_from"]

SWAPPED: Final = sys.byteorder == "big"
UNFIT: Final = (ValueError, TypeError, RecursionError, RuntimeError)
"""What is raised for values that JSON hasn't got, and for dicts that were changed meanwhile."""


class EventTuple(NamedTuple):
    """One event: its number, when it was on the monotonic clock of its opening, its kind, and its payload as a tree."""

    number: int
    at: float
    kind: str
    payload: Any


class Events(NamedTuple):
    """The events of one run: what each of them has, side by side."""

    numbers: Sequence[int]
    kinds: Sequence[str]
    payloads: Sequence[Any]
    times: Sequence[float]


class Encoder:
    """Write payloads as JSON; what JSON doesn't know is encoded, and large values gather in `blobs`."""

    def __init__(self) -> None:
        self.blobs: dict[str, Blob] = {}
        self._encode = json.JSONEncoder(
            separators=(",", ":"), allow_nan=False, check_circular=False, default=self._default
        ).encode

    def _default(self, value: object) -> Any:
        if not isinstance(value, Blob):
            value = freeze(value, lenient=True)
        if not isinstance(value, Blob):
            return value
        self.blobs[value.sha256] = value
        return value.tree

    def events(self, events: Events) -> str:
        """Write events; a payload that isn't as JSON has it is written as well as it can be.

        It is on the hot path: the pieces are as few and as short as they can be, and made by no loop of Python's.
        """
        numbers, kinds, payloads, times = events
        told = "" if numbers[-1] - numbers[0] == len(numbers) - 1 else f'"numbers":{self._encode(numbers)},'
        counted = [(str(kind), sum(1 for _ in same)) for kind, same in itertools.groupby(kinds)]
        pieces = [told, '"kinds":', self._encode(counted), ',"times":"', packed_times(times), '","payloads":']
        return f"{{{''.join(pieces)}{self._payloads(payloads)}}}"

    def _payloads(self, payloads: Sequence[Any]) -> str:
        try:
            return self._encode(payloads)
        except UNFIT:
            return f"[{','.join(map(self.text, payloads))}]"

    def text(self, payload: Any) -> str:
        """Write a payload, as well as it can be."""
        try:
            return self._encode(payload)
        except UNFIT:
            return self._encode(self._default(payload))


def packed_times(times: Sequence[float]) -> str:
    """Write times as their bytes in memory, little-endian, in base64."""
    numbers = array("d", times)
    if SWAPPED:
        numbers.byteswap()
    return base64.b64encode(numbers.tobytes()).decode()


def events_from(first: int, text: str) -> Iterator[EventTuple]:
    """Read the events of a chunk, the first of which has this number."""
    body = json.loads(text)
    times = array("d", base64.b64decode(body["times"]))
    if SWAPPED:
        times.byteswap()
    numbers = body.get("numbers") or itertools.count(first)
    kinds = itertools.chain.from_iterable(itertools.repeat(kind, count) for kind, count in body["kinds"])
    return map(EventTuple, numbers, times, kinds, body["payloads"])
