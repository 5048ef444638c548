"""Write the items of a stream for the clients of a server: as JSON, or an array as it lies in memory."""

from __future__ import annotations

import json
import struct
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from actorlab.encoding import encode, text_of_tree

if TYPE_CHECKING:
    from actorlab.streams import Item

__all__ = ["Sent", "as_binary", "as_json", "frame", "item_json"]

PLAIN: Final = frozenset("biufcSUMm")
"""The kinds of arrays which lie in memory as their type says, without pointers: numbers, text, times."""
ALIGNED: Final = 8
"""An array begins at a multiple of so many bytes, as a browser's typed arrays need it."""


class Sent(NamedTuple):
    """One item as it is sent: what is said of it, without what differs between clients, and the bytes of an array."""

    lost: int
    """How many items the server itself had lost before this one."""
    about: str
    value: str
    body: bytes | None = None

    @property
    def size(self) -> int:
        """Return how many bytes it has."""
        return len(self.value) + len(self.body or b"")


def as_json(item: Item[Any], what: str) -> Sent:
    """Write an item as JSON.

    Raises:
        EncodingError: its value isn't data.

    """
    about = f'"sequence":{item.sequence},"time":{item.time.timestamp()!r}'
    return Sent(item.dropped, about, f'"value":{text_of_tree(encode(item.value, what))}')


def as_binary(item: Item[Any], what: str) -> Sent:
    """Write an item: an array as its bytes, in C order, anything else as JSON.

    Raises:
        EncodingError: its value isn't data.

    """
    if not issubclass(type(item.value), np.ndarray):
        return as_json(item, what)
    value: np.ndarray[Any, np.dtype[Any]] = item.value
    if value.dtype.kind not in PLAIN:
        return as_json(item, what)
    about = f'"sequence":{item.sequence},"time":{item.time.timestamp()!r}'
    shape = json.dumps({"dtype": value.dtype.str, "shape": value.shape}, separators=(",", ":"))
    return Sent(item.dropped, about, shape[1:-1], value.tobytes())


def item_json(sent: Sent, dropped: int) -> str:
    """Write what is said of an item to one client, which has lost so many before it."""
    return f'{{{sent.about},"dropped":{dropped},{sent.value}}}'


def frame(header: str, body: bytes) -> bytes:
    """Put a header before the bytes of an array: the header's length in 4 bytes, the header, the array."""
    text = header.encode()
    text += b" " * (-(len(text) + 4) % ALIGNED)
    return b"".join((struct.pack(">I", len(text)), text, body))
