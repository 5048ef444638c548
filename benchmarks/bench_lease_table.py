"""Measure what a decision of the lease table costs while many wait, next to a heap operation of the same run.

Run it with ``python benchmarks/bench_lease_table.py [most waiters]``. Times are the process's own, so that neighbours
on the machine count only as far as they slow its cores down; the ratio shows how far that is.
"""

from __future__ import annotations

import gc
import random
import sys
import time
from collections.abc import Callable, Iterator
from heapq import heappop, heappush
from itertools import islice
from statistics import median

from actorlab.core.lease_table import LeaseTable, Mode, Request

RELEASES = 4_000
DEVICES = [f"device {number}" for number in range(200)]
X, S = Mode.EXCLUSIVE, Mode.SHARED

Devices = tuple[tuple[str, Mode], ...]
Load = Callable[[random.Random], Iterator[Request]]


def some(chance: random.Random, count: int, devices: list[str], modes: tuple[Mode, ...] = (X,)) -> Devices:
    """Draw a set of devices."""
    return tuple((device, chance.choice(modes)) for device in chance.sample(devices, count))


def requests(chance: random.Random, draw: Callable[[], Devices], slots: tuple[str, ...] = ()) -> Iterator[Request]:
    """Ask again and again, for what `draw` draws, with one of four priorities."""
    for number in range(sys.maxsize):
        yield Request(f"run#{number}", draw(), slots, priority=chance.randrange(4))


def few_sets(chance: random.Random) -> Iterator[Request]:
    """Ask for 200 sets of 3 devices, as in a lab with 200 kinds of run."""
    pool = [some(chance, 3, DEVICES) for _ in range(200)]
    return requests(chance, lambda: chance.choice(pool))


def distinct(chance: random.Random) -> Iterator[Request]:
    """Ask for sets of 3 of 200 devices, hardly two alike."""
    return requests(chance, lambda: some(chance, 3, DEVICES))


def distinct_crowded(chance: random.Random) -> Iterator[Request]:
    """Ask for sets of 3 of 50 devices."""
    return requests(chance, lambda: some(chance, 3, DEVICES[:50]))


def distinct_large(chance: random.Random) -> Iterator[Request]:
    """Ask for sets of 6 of 200 devices."""
    return requests(chance, lambda: some(chance, 6, DEVICES))


def distinct_shared(chance: random.Random) -> Iterator[Request]:
    """Ask for sets of 3 of 200 devices, three quarters of them shared."""
    return requests(chance, lambda: some(chance, 3, DEVICES, (S, S, S, X)))


def distinct_slots(chance: random.Random) -> Iterator[Request]:
    """Ask for sets of 3 of 200 devices, of which at most 4 runs at a time."""
    return requests(chance, lambda: some(chance, 3, DEVICES), ("runs",))


LOADS: tuple[Load, ...] = (few_sets, distinct, distinct_crowded, distinct_large, distinct_shared, distinct_slots)


def heap_floor(size: int) -> float:
    """Return the seconds of a heappush and a heappop on a heap of this size."""
    chance = random.Random(1)
    heap = [(chance.random(), number) for number in range(size)]
    heap.sort()
    fresh = [(chance.random(), number) for number in range(RELEASES)]
    begin = time.process_time()
    for item in fresh:
        heappush(heap, item)
        heappop(heap)
    return (time.process_time() - begin) / RELEASES


def queue_up(load: Load, waiters: int) -> tuple[LeaseTable, list[str], float]:
    """Return a table with so many waiters, its holders, and the seconds per request."""
    table = LeaseTable({"runs": 4}, ageing=50.0)
    wanted = list(islice(load(random.Random(1)), waiters))
    held: list[str] = []
    gc.collect()
    begin = time.process_time()
    for now, request in enumerate(wanted):
        held += [grant.holder for grant in table.request(request, now)]
    return table, held, (time.process_time() - begin) / waiters


def drain(table: LeaseTable, held: list[str], releases: int) -> tuple[list[float], int]:
    """Release at random until so many have gone; return the seconds of each decision, and the number of grants."""
    chance = random.Random(2)
    times: list[float] = []
    granted = 0
    for _ in range(releases):
        if not held:
            break
        position = chance.randrange(len(held))
        held[position], held[-1] = held[-1], held[position]
        leaving = held.pop()
        begin = time.process_time()
        grants = table.release(leaving, 0.0)
        while table.unfinished:
            grants += table.go_on(0.0)
        times.append(time.process_time() - begin)
        held += [grant.holder for grant in grants]
        granted += len(grants)
    return times, granted


def contended(most: int) -> None:
    """Print a row for each load and number of waiters."""
    print(f"{'load':18}{'waiting':>9}{'request':>10}{'release+grant':>15}{'median':>9}{'worst':>10}{'/ heap op':>11}")
    for size in (1_000, 10_000, 100_000):
        if size > most:
            return
        floor = heap_floor(size)
        for load in LOADS:
            table, held, request = queue_up(load, size)
            times, _ = drain(table, held, min(RELEASES, size // 2))
            mean = sum(times) / len(times)
            print(
                f"{load.__name__:18}{size:9,}{request * 1e6:7.1f} µs{mean * 1e6:12.1f} µs{median(times) * 1e6:6.1f} µs"
                f"{max(times) * 1e3:7.2f} ms{mean / floor:11.1f}",
                flush=True,
            )


def pair(request: Request, table: LeaseTable) -> tuple[float, float]:
    """Return the median seconds of a request that nobody stands in the way of, and of its release."""
    asked: list[float] = []
    ended: list[float] = []
    for _ in range(20):
        asking = ending = 0.0
        for _ in range(500):
            begin = time.perf_counter()
            table.request(request, 0.0)
            middle = time.perf_counter()
            table.release(request.holder, 0.0)
            asking += middle - begin
            ending += time.perf_counter() - middle
        asked.append(asking / 500)
        ended.append(ending / 500)
    return median(asked), median(ended)


def uncontended() -> None:
    """Print what a lease costs that nobody else wants, the clock's own time included."""
    one = (("laser", X),)
    rows = {
        "nothing": Request("run#1"),
        "one device": Request("run#1", one),
        "a slot": Request("run#1", (), ("runs",)),
        "three devices": Request("run#1", (*one, ("meter", X), ("oven", S))),
    }
    floor = heap_floor(1_000)
    print(f"\n{'uncontended':18}{'request':>10}{'release':>10}{'pair / heap op':>16}")
    for name, request in rows.items():
        asked, ended = pair(request, LeaseTable({"runs": 4}))
        print(f"{name:18}{asked * 1e6:7.2f} µs{ended * 1e6:7.2f} µs{(asked + ended) / floor:16.1f}")


if __name__ == "__main__":
    contended(int(sys.argv[1]) if len(sys.argv) > 1 else 100_000)
    uncontended()
