"""Turn a value into what an event can hold: itself, a small tree, or the digest of a large text."""

from __future__ import annotations

import hashlib
import math
from typing import Any, Final

from actorlab.encoding import encode, text_of_tree

__all__ = ["LARGE", "Blob", "freeze"]

LARGE: Final = 1 << 16
"""Values whose text is longer than so many bytes are kept apart from the events, once."""
AS_THEY_ARE: Final = frozenset((str, int, bool, type(None)))
SHORT: Final = 1000
"""Numbers and texts up to so many digits need no look at their size."""


class Blob:
    """The text of a large value, which is kept by its digest."""

    __slots__ = ("sha256", "text")

    def __init__(self, text: bytes) -> None:
        self.text = text
        self.sha256 = hashlib.sha256(text).hexdigest()

    @property
    def tree(self) -> dict[str, Any]:
        """Return what stands for it in an event."""
        return {"$": "blob", "sha256": self.sha256, "size": len(self.text)}

    def __repr__(self) -> str:
        return f"Blob({self.sha256[:12]}…, {len(self.text)} bytes)"


def freeze(value: object, name: str = "value", *, lenient: bool = False) -> Any:
    """Return what an event can hold of a value as it is now, whatever becomes of the value later.

    Call it in the thread which made the value; large values cost time. With `lenient`, what isn't data is replaced
    by its class and why it can't be written.

    Raises:
        EncodingError: something in it isn't data.

    """
    kind = type(value)
    if kind is float:
        return value if math.isfinite(value) else encode(value)  # type: ignore[arg-type]  # a float, says its class
    if kind in AS_THEY_ARE and (kind is not str or len(value) < SHORT) and (kind is not int or -LARGE < value < LARGE):  # type: ignore[arg-type,operator]  # as above
        return value
    tree = encode(value, name, lenient=lenient)
    text = text_of_tree(tree)
    return tree if len(text) <= LARGE else Blob(text.encode())
