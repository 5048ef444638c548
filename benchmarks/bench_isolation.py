"""Time calls into a driver's own process, next to a bare pipe, and frames from it, next to copies in memory.

Run it with ``python -m benchmarks.bench_isolation [--quick]``.
"""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from typing import Any

from actorlab.device import DeviceConfig
from actorlab.driving.member import Member, invoke
from actorlab.isolation.child import Child
from benchmarks.camera import Camera
from benchmarks.harness import Effort, Row, main, seconds_each, take_turns

CALLS = 4_000
FRAMES = 40
EXPOSURE = Member("exposure", query=True, action=invoke)
ACQUIRE = Member("acquire", query=False, action=invoke)


class Alone:
    """A lab with nothing else to do."""

    def sleep(self, seconds: float) -> None:
        """Wait."""
        time.sleep(seconds)

    def enter_exchange(self) -> None:
        """Serve nobody: there is nobody."""

    def leave_exchange(self) -> None:
        """Serve nobody, as before."""

    def published(self, stream: str, value: Any) -> None:
        """Hear nothing: nobody publishes."""

    def died(self) -> None:
        """Let the next call say it."""


def echo(there: Connection) -> None:
    """Send back what comes: as little as a call to another process can be."""
    while (message := there.recv()) is not None:
        there.send(message)


@contextmanager
def pipe() -> Generator[Callable[[], object]]:
    """Start a process behind a pipe."""
    here, there = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=echo, args=(there,))
    process.start()

    def ask() -> None:
        here.send(1)
        here.recv()

    ask()
    yield ask
    here.send(None)
    process.join()


@contextmanager
def camera(alone: Alone) -> Generator[Child]:
    """Start a camera in its own process."""
    child = Child.launch("camera", Camera, (), {}, DeviceConfig(isolation="process"), 1, alone, alone)
    yield child
    child.close(5.0)


def bench(effort: Effort) -> list[Row]:
    """Time a small call and a large frame."""
    count, frames = effort.pieces(CALLS), effort.pieces(FRAMES)
    with camera(Alone()) as child, pipe() as ask:
        frame = child.act(ACQUIRE, (), {})

        def copy_twice() -> None:
            frame.copy()
            frame.copy()

        timings = take_turns(
            {
                "call into an isolated driver": lambda: seconds_each(count, lambda: child.act(EXPOSURE, (), {})),
                "round trip of multiprocessing.Pipe": lambda: seconds_each(count, ask),
                "8 MiB frame from it": lambda: seconds_each(frames, lambda: child.act(ACQUIRE, (), {})),
                "two copies in memory": lambda: seconds_each(frames, copy_twice),
            },
            effort.rounds,
        )
    return [
        timings.row("call into an isolated driver", "round trip of multiprocessing.Pipe", 1.6),
        timings.row("8 MiB frame from it", "two copies in memory", 1.5),
    ]


if __name__ == "__main__":
    main(bench)
