"""Say why a value can't be written, or not be read, and where in it that is."""

from __future__ import annotations

from typing import Any, NoReturn

__all__ = ["Refused", "Unreadable", "article", "class_of", "refuse"]


class Refused(Exception):
    """A value isn't data; on its way up it gathers where the value stands."""

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why
        self.path: list[str] = []


def refuse(why: str) -> NoReturn:
    """Say that a value can't be written down.

    Raises:
        Refused: always.

    """
    raise Refused(why)


class Unreadable(Exception):
    """What stands at one place of a tree can't be made a value again."""


def class_of(value: object) -> type[Any]:
    """Return an object's true class, whatever it says of itself."""
    return type(value)


def article(kind: type) -> str:
    """Name a class with the article that it takes."""
    name = (
        kind.__qualname__ if kind.__module__ in {"builtins", "__main__"} else f"{kind.__module__}.{kind.__qualname__}"
    )
    return f"{'an' if name[:1].lower() in 'aeiou' else 'a'} {name}"
