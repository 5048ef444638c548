"""Be a text that is hidden from those who only show or record it: a password, for example."""

from __future__ import annotations

from typing import Final

__all__ = ["STARS", "HiddenText"]

STARS: Final = "**********"
"""What is shown instead."""


class HiddenText(str):
    """A text whose `repr` doesn't tell it, and which the journal doesn't keep; else it is the text itself.

    So a driver uses it as any other text. ``str(text)`` and formatting give the plain text, which is no longer hidden.

    >>> password = HiddenText("hunter2")
    >>> {"password": password}
    {'password': '**********'}
    >>> password == "hunter2"
    True
    """

    __slots__ = ()

    def __repr__(self) -> str:
        return repr(STARS)
