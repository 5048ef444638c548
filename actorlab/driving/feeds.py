"""Open, advance and close what a stream's values come from, where the driver's object lives."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from typing import Any, Protocol

from actorlab.scope import current
from actorlab.streams import Pushing

__all__ = ["Pulling", "Taker", "advance_for", "close_feed", "open_feed"]


class Taker(Protocol):
    """Who takes the items of a generator in its own thread."""

    def begin_turn(self) -> Callable[[Any], bool]:
        """Return what takes one item, and tells whether the next one may be made at once."""
        ...


class Pulling:
    """A generator whose items are taken one after another; of a class that both sides of a process's wall know."""

    __slots__ = ("_items",)

    def __init__(self, items: Iterator[Any]) -> None:
        self._items = items

    def __iter__(self) -> Iterator[Any]:
        return self._items

    def stop(self) -> None:
        """Close the generator, if it is one; once more does no harm."""
        items: Any = self._items
        if hasattr(items, "close"):
            items.close()


def open_feed(target: Any, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Pulling | Pushing:
    """Call a stream method: `args` are whom to tell of what it publishes, and the method's own arguments.

    Where the lab is in another process, whom to tell is the name by which the lab knows the stream.
    """
    outlet, given = args
    if isinstance(outlet, str):
        outlet = functools.partial(current.get().publish, outlet)
    made: Iterator[Any] | Pushing = getattr(target, name).open(outlet, given, kwargs)
    return made if isinstance(made, Pushing) else Pulling(made)


def advance_for(target: Pulling, name: str, args: tuple[Taker], kwargs: dict[str, Any]) -> bool:
    """Take items of a generator for a `Taker`, as long as he wants; True says that it has ended."""
    del name, kwargs
    return all(map(args[0].begin_turn(), target))


def close_feed(target: Pulling | Pushing, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    """Close a generator, or stop what pushes."""
    del name, args, kwargs
    target.stop()
