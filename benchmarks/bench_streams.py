"""Time a stream of small items to ten listeners, each in a thread of his own, next to ten bare deque appends an item.

Run it with ``python -m benchmarks.bench_streams [--quick]``.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Iterator

from actorlab import Device, Lab, Stream, stream
from benchmarks.harness import Effort, Row, main, take_turns

ITEMS = 100_000
LISTENERS = 10


class Stopwatch:
    """When the items of a round began to be made."""

    def __init__(self) -> None:
        self.all_listen = threading.Event()
        self.begin = 0.0


class Counter(Device):
    """A device whose items cost nothing."""

    def __init__(self, watch: Stopwatch) -> None:
        self._watch = watch

    @stream
    def numbers(self, below: int) -> Iterator[int]:
        """Count, when all are there to listen."""
        watch = self._watch
        watch.all_listen.wait()
        watch.begin = time.perf_counter()
        yield from range(below)


def hear(numbers: Stream[int], count: int, watch: Stopwatch) -> float:
    """Return the seconds of each item, until the last of ten listeners has heard the last one."""
    begin = threading.Barrier(LISTENERS, action=watch.all_listen.set)
    listeners = [threading.Thread(target=listen, args=(numbers, count, begin)) for _ in range(LISTENERS)]
    for listener in listeners:
        listener.start()
    for listener in listeners:
        listener.join()
    watch.all_listen.clear()
    return (time.perf_counter() - watch.begin) / count


def listen(numbers: Stream[int], count: int, begin: threading.Barrier) -> None:
    """Hear all items, and see that none was lost."""
    items = iter(numbers)
    begin.wait()
    heard = 0
    for _ in items:
        heard += 1
    if heard != count:
        message = f"{count - heard} of {count} items were lost"
        raise AssertionError(message)


def appends(count: int) -> float:
    """Append each item to ten deques, and return the seconds of each."""
    buffers: list[deque[int]] = [deque(maxlen=count) for _ in range(LISTENERS)]
    begin = time.perf_counter()
    for number in range(count):
        for buffer in buffers:
            buffer.append(number)
    return (time.perf_counter() - begin) / count


def bench(effort: Effort) -> list[Row]:
    """Time the stream and the bare loop."""
    count = effort.pieces(ITEMS)
    watch = Stopwatch()
    with Lab("streams") as lab:
        numbers = lab.add("counter", Counter, watch).numbers(count).buffered(count)
        timings = take_turns(
            {
                "item to ten listeners": lambda: hear(numbers, count, watch),
                "ten appends to deques": lambda: appends(count),
            },
            effort.rounds,
        )
    return [timings.row("item to ten listeners", "ten appends to deques", 10)]


if __name__ == "__main__":
    main(bench)
