"""Time a cancellation until the work has stopped and its caller knows, next to setting an event and joining a thread.

Nothing is said to have been cancelled earlier. Run it with ``python -m benchmarks.bench_cancel [--quick]``.
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from functools import partial
from statistics import median

from actorlab import Lab, Run, sleep
from actorlab.drivers import SocketTransport
from benchmarks.harness import Effort, Row, main, take_turns

TIMES = 50
FLOOR = "Event and join"
SLEEPING = "cancel to stopped, a sleeping body"
QUERYING = "cancel to stopped, a query that isn't answered"
LONG = 60.0


class Mute:
    """An instrument that is asked and never answers."""

    def __init__(self, port: int, asked: threading.Event) -> None:
        self._asked = asked
        self._link = SocketTransport("127.0.0.1", port, timeout=LONG)

    def connect(self) -> None:
        """Open the connection."""
        self._link.open()

    def read(self) -> bytes:
        """Wait for an answer."""
        self._link.write(b"READ?\n")
        self._asked.set()
        return self._link.read_until()

    def interrupt(self) -> None:
        """End the wait."""
        self._link.interrupt()

    def resync(self) -> None:
        """Be ready for the next call."""
        self._link.rearm()

    def disconnect(self) -> None:
        """Close the connection."""
        self._link.close()


@contextmanager
def silence() -> Generator[int]:
    """Listen on a port, and never answer."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def by_event() -> float:
    """Return the seconds from setting an event to the end of the thread that waits for it."""
    event, begun = threading.Event(), threading.Event()

    def wait() -> None:
        begun.set()
        event.wait(LONG)

    thread = threading.Thread(target=wait)
    thread.start()
    begun.wait()
    begin = time.perf_counter()
    event.set()
    thread.join()
    return time.perf_counter() - begin


def nap(begun: threading.Event) -> None:
    """Sleep, as a body should."""
    begun.set()
    sleep(LONG)


def stopped(run: Run[object], begun: threading.Event) -> float:
    """Return the seconds from the cancellation of a run to its end."""
    begun.wait()
    begin = time.perf_counter()
    run.cancel()
    run.exception()
    return time.perf_counter() - begin


def sleeping(lab: Lab) -> float:
    """Cancel a body that sleeps."""
    begun = threading.Event()
    return stopped(lab.start(nap, begun), begun)


def querying(lab: Lab, mute: Mute, asked: threading.Event) -> float:
    """Cancel a body in a call that waits for a socket."""
    asked.clear()
    return stopped(lab.start(read, mute), asked)


def read(mute: Mute) -> bytes:
    """Ask the instrument."""
    return mute.read()


def bench(effort: Effort) -> list[Row]:
    """Time the three. The targets are 1 ms and 5 ms where the floor takes 22 µs."""
    asked = threading.Event()
    with silence() as port, Lab("cancel") as lab:
        mute = lab.add("mute", Mute, port, asked)
        ways: dict[str, Callable[[], float]] = {
            FLOOR: by_event,
            SLEEPING: partial(sleeping, lab),
            QUERYING: partial(querying, lab, mute, asked),
        }
        count = effort.pieces(TIMES)
        timed = {name: partial(middle, way, count) for name, way in ways.items()}
        timings = take_turns(timed, effort.rounds)
    return [timings.row(SLEEPING, FLOOR, 45), timings.row(QUERYING, FLOOR, 225)]


def middle(way: Callable[[], float], count: int) -> float:
    """Return the median of some cancellations."""
    return median(way() for _ in range(count))


if __name__ == "__main__":
    main(bench)
