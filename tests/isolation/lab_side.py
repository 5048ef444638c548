"""Be the lab for a driver's process: what an actor does meanwhile, and what it hears."""

from __future__ import annotations

import os
import select
from collections.abc import Callable
from queue import SimpleQueue
from threading import Event
from typing import Any

from actorlab.device import DeviceConfig
from actorlab.driving.member import Member, Path, invoke, performed
from actorlab.isolation.child import Child

PATIENCE = 5.0


class Meantime:
    """Do at once what is asked for in a sleep, and note how long that sleep was."""

    def __init__(self) -> None:
        self.slept: list[float] = []
        self.exchanges = 0
        self.seen: list[int] = []
        self.during: Callable[[float], object] = lambda _: None

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.seen.append(self.exchanges)
        self.during(seconds)

    def enter_exchange(self) -> None:
        self.exchanges += 1

    def leave_exchange(self) -> None:
        self.exchanges -= 1


class Ears:
    """Keep what was heard."""

    def __init__(self) -> None:
        self.values: SimpleQueue[tuple[str, Any]] = SimpleQueue()
        self.deaths: list[int] = []
        self.dead = Event()
        self.up = Event()

    def published(self, stream: str, value: Any) -> None:
        self.values.put((stream, value))

    def came_up(self) -> None:
        self.up.set()

    def died(self) -> None:
        self.deaths.append(1)
        self.dead.set()


class Tried(Child):
    """A child that is used by the names of its members."""

    def call(self, name: str, *args: Any, **kwargs: Any) -> Any:
        return self.act(Member(name, query=False, action=invoke), args, kwargs)

    def perform(self, function: Callable[..., Any], *args: Any) -> Any:
        return self.act(Member("perform", query=False, action=performed, naps=True), (function, *args), {})

    def call_part(self, path: Path, name: str, *args: Any) -> Any:
        return self.act(Member(name, query=False, action=invoke, path=path), args, {})

    @property
    def exit_code(self) -> int | None:
        return self._process._popen.returncode


class Made:
    """A child with its surroundings."""

    def __init__(
        self,
        factory: Callable[..., Any],
        *args: Any,
        config: DeviceConfig | None = None,
        life: int = 1,
        **kwargs: Any,
    ) -> None:
        self.meantime, self.ears = Meantime(), Ears()
        config = config or DeviceConfig()
        self.child = Tried.launch("meter", factory, args, kwargs, config, life, self.meantime, self.ears)


def has_ended(pid: int, seconds: float = PATIENCE) -> bool:
    """Wait for the end of a process that may be anybody's child."""
    try:
        end = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    waits = select.poll()
    waits.register(end, select.POLLIN)
    ended = bool(waits.poll(seconds * 1000))
    os.close(end)
    return ended
