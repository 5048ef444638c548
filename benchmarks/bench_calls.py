"""Time a device call inside a run, next to a bare round trip between two threads and to pykka's own proxy.

Run it with ``python -m benchmarks.bench_calls [--quick]``.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from queue import SimpleQueue
from typing import Any

import pykka

from actorlab import Lab
from benchmarks.harness import Effort, Row, main, seconds_each, take_turns

CALLS = 4_000


class Meter:
    """A device that answers at once."""

    def power(self) -> float:
        """Return a number."""
        return 1.0


class MeterActor(pykka.ThreadingActor):
    """The same as an actor of pykka."""

    def power(self) -> float:
        """Return a number."""
        return 1.0


def calls(meter: Meter, count: int) -> float:
    """Call a device again and again, and return the seconds of each call: the body of a run."""
    return seconds_each(count, meter.power)


@contextmanager
def echo() -> Generator[Callable[[], object]]:
    """Start a thread that sends back what it gets: as little as a call to another thread can be."""
    there: SimpleQueue[Any] = SimpleQueue()
    back: SimpleQueue[Any] = SimpleQueue()

    def answer() -> None:
        while (message := there.get()) is not None:
            back.put(message)

    thread = threading.Thread(target=answer, daemon=True)
    thread.start()

    def ask() -> None:
        there.put(1)
        back.get()

    yield ask
    there.put(None)
    thread.join()


def bench(effort: Effort) -> list[Row]:
    """Time the three kinds of call."""
    count = effort.pieces(CALLS)
    ref: Any = MeterActor.start()
    proxy = ref.proxy()

    def ask_by_pykka() -> None:
        proxy.power().get()

    with Lab("calls") as lab, echo() as ask:
        meter = lab.add("meter", Meter)
        timings = take_turns(
            {
                "device call in a run": lambda: lab.run(calls, meter, count),
                "round trip of two SimpleQueues": lambda: seconds_each(count, ask),
                "call by pykka's proxy": lambda: seconds_each(count, ask_by_pykka),
            },
            effort.rounds,
        )
    ref.stop()
    return [
        timings.row("device call in a run", "round trip of two SimpleQueues", 1.7),
        timings.row("device call in a run", "call by pykka's proxy", 0.65),
    ]


if __name__ == "__main__":
    main(bench)
