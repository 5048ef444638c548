"""Turn signals into messages: the handler only posts; the third signal leaves at once."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager
from types import FrameType
from typing import Final, NamedTuple

from actorlab.cli.telling import INTERRUPTED

__all__ = ["SHOW_CURSOR", "Signalled", "listening"]

NAMES: Final = ("SIGINT", "SIGTERM", "SIGHUP")
SHOW_CURSOR: Final = b"\x1b[?25h\r\n"
"""What gives a terminal its cursor back, which a live picture has hidden."""


class Signalled(NamedTuple):
    """A signal came, as the `number`-th."""

    name: str
    number: int


@contextmanager
def listening(post: Callable[[Signalled], object]) -> Generator[None]:
    """Post each SIGINT, SIGTERM and SIGHUP during a block; for the main thread. `post` must be fit for a handler."""
    count = 0

    def handle(number: int, _: FrameType | None) -> None:
        nonlocal count
        count += 1
        if count > 2:  # noqa: PLR2004 - the third
            if sys.stdout.isatty():
                os.write(sys.stdout.fileno(), SHOW_CURSOR)
            os._exit(INTERRUPTED)
        post(Signalled(signal.Signals(number).name, count))

    # SIGHUP stays ignored where a caller wants it so (nohup); Windows has no SIGHUP.
    numbers = [getattr(signal, name) for name in NAMES if hasattr(signal, name)]
    heard = [number for number in numbers if signal.getsignal(number) is not signal.SIG_IGN or number == signal.SIGINT]
    before = {number: signal.signal(number, handle) for number in heard}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
