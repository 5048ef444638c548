"""Be told of several replies while one waits for some of them."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable
from contextlib import contextmanager
from typing import Any

from actorlab.kernel.reply import Callback, Reply

__all__ = ["watching"]


@contextmanager
def watching(replies: Iterable[Reply[Any]], told: Callable[[Reply[Any]], object]) -> Generator[None]:
    """Call `told(reply)` for each that is done, at once or from the thread that finishes it, while the block lasts.

    Afterwards nothing is left with those that aren't done.
    """
    callbacks = [(reply, Callback(reply, told)) for reply in replies]
    try:
        for reply, callback in callbacks:
            reply._listen(callback)
        yield
    finally:
        for reply, callback in callbacks:
            reply._unpark(callback)
