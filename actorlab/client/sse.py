"""Read server-sent events from bytes, however they are cut."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["Message", "Reader"]


class Message(NamedTuple):
    """One server-sent event, with the newest id so far; one without data only tells from where one can go on."""

    event: str
    data: str
    id: str


class Reader:
    """Put the events together of the pieces in which they come; what was cut off half way counts for nothing."""

    def __init__(self) -> None:
        self._rest: list[bytes] = []
        self._id = ""
        self._event = ""
        self._data: list[str] = []

    def feed(self, piece: bytes) -> list[Message]:
        """Take a piece, and return the events that are complete by it."""
        if b"\n" not in piece:
            self._rest.append(piece)  # joined only once, however long the line
            return []
        *lines, rest = b"".join((*self._rest, piece)).split(b"\n")
        self._rest = [rest]
        found = (self._take(line.removesuffix(b"\r").decode(errors="replace")) for line in lines)
        return [message for message in found if message is not None]

    def _take(self, line: str) -> Message | None:
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if not line:
            return self._complete()
        if name == "data":
            self._data.append(value)
        elif name == "event":
            self._event = value
        elif name == "id":
            self._id = value
        return None

    def _complete(self) -> Message:
        message = Message(self._event or "message", "\n".join(self._data), self._id)
        self._event, self._data = "", []
        return message
