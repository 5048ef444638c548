"""Time calls into a driver's own process, next to a bare pipe, and frames from it, next to copies in memory.

Run it with ``python -m benchmarks.bench_isolation [--quick]``.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Generator
from contextlib import contextmanager
from multiprocessing.connection import Connection

from actorlab import DeviceConfig, Lab
from benchmarks.camera import Camera
from benchmarks.harness import Effort, Row, main, seconds_each, take_turns

CALLS = 4_000
FRAMES = 40
CALL = "call in a run into an isolated driver"
PIPE = "round trip of multiprocessing.Pipe"
FRAME = "8 MiB frame from it"
COPIES = "two copies in memory"


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


def calls(camera: Camera, count: int) -> float:
    """Ask the camera for a number again and again, and return the seconds of each call: the body of a run."""
    return seconds_each(count, camera.exposure)


def frames(camera: Camera, count: int) -> float:
    """Ask the camera for frames, and return the seconds of each: the body of a run."""
    return seconds_each(count, camera.acquire)


def bench(effort: Effort) -> list[Row]:
    """Time a small call and a large frame, through a lab."""
    count, many = effort.pieces(CALLS), effort.pieces(FRAMES)
    with Lab("isolation") as lab, pipe() as ask:
        camera = lab.add("camera", DeviceConfig(isolation="process")(Camera))
        frame = camera.acquire()

        def copy_twice() -> None:
            frame.copy()
            frame.copy()

        timings = take_turns(
            {
                CALL: lambda: lab.run(calls, camera, count),
                PIPE: lambda: seconds_each(count, ask),
                FRAME: lambda: lab.run(frames, camera, many),
                COPIES: lambda: seconds_each(many, copy_twice),
            },
            effort.rounds,
        )
    return [timings.row(CALL, PIPE, 3.0), timings.row(FRAME, COPIES, 1.5)]


if __name__ == "__main__":
    main(bench)
