"""See that 200 clients of a server's events, 20 of them stalled, neither slow a run down nor let memory grow.

Run it with ``python -m benchmarks.bench_events [--quick]``; ``MINUTES=10`` in the environment looks at memory
for longer.
"""

from __future__ import annotations

import gc
import json
import os
import subprocess
import sys
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from actorlab import Lab, emit, sleep
from actorlab.server import Server
from benchmarks.harness import Effort, Row, main, take_turns

CLIENTS = 200
STALLED = 0.1
"""The share of the clients that read nothing."""
RATE = 1000
"""Events a second."""
SECONDS = 5
"""So long each round is, in a full run."""
KEPT = 30_000
"""More events than a server keeps."""
CLASS = 0.010
"""An event is to reach a client in about so many seconds."""


def paced(count: int) -> float:
    """Do something a thousand times a second, tell each time, and return the seconds of each."""
    begin = time.perf_counter()
    for number in range(count):
        emit("tick", number)
        sleep(1 / RATE)
    return (time.perf_counter() - begin) / count


def filled(count: int) -> None:
    """Tell so much that nothing more is kept afterwards than before."""
    for number in range(count):
        emit("tick", number)
        if number % 100 == 0:
            sleep(0.01)


class Clients:
    """A process with clients of a server, and what it says of them in the end."""

    def __init__(self, url: str, count: int) -> None:
        parts = urlsplit(url)
        command = [sys.executable, "-m", "benchmarks.sse_clients", str(parts.hostname), str(parts.port)]
        self._process = subprocess.Popen(  # noqa: S603 - our own
            [*command, str(count), str(int(STALLED * count))], cwd=Path(__file__).parent.parent,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        if self._process.stdout is None or self._process.stdout.readline() != "ready\n":
            message = "the clients didn't come to the server"
            raise RuntimeError(message)

    def end(self) -> list[float]:
        """End them, and return how late events came to those that were looked at, in seconds."""
        told, _ = self._process.communicate(timeout=60)
        late: list[float] = json.loads(told)["late"]
        return late


@contextmanager
def served() -> Generator[tuple[Lab, Server]]:
    """Serve a lab."""
    with Lab() as lab, Server(lab, port=0) as server:
        yield lab, server


def bench(effort: Effort) -> Iterator[Row]:
    """Compare the pace of a run with clients to that without, and look at how late events come, and at memory."""
    count, many = effort.pieces(SECONDS * RATE), effort.pieces(CLIENTS)
    late: list[float] = []
    with served() as (lab, server):

        def with_clients() -> float:
            clients = Clients(server.url, many)
            try:
                return lab.run(paced, count)
            finally:
                late.extend(clients.end())

        timings = take_turns({"with": with_clients, "without": lambda: lab.run(paced, count)}, effort.rounds)
        row = timings.row("with", "without", 1.05)
        yield row._replace(what=f"an event of a run, {many} clients", beside="no clients")
        yield lateness(late, f"half of the events reached one of {many} clients", 0.5, None)
        yield lateness(late, f"99 % of the events reached one of {many} clients", 0.99, None)
        only = Clients(server.url, 1)
        lab.run(paced, count)
        yield lateness(only.end(), "half of the events reached the only client", 0.5, 1.0)
        yield growth(lab, server, effort)


def lateness(late: list[float], what: str, share: float, target: float | None) -> Row:
    """Say within which time a share of the events had come."""
    seconds = sorted(late)[int(share * (len(late) - 1))]
    return Row(what, seconds, "10 ms", CLASS, seconds / CLASS, target)


def growth(lab: Lab, server: Server, effort: Effort) -> Row:
    """Compare the memory of this process after some time with that before, when all that is kept is full."""
    seconds = float(os.environ.get("MINUTES", "0")) * 60 or effort.pieces(SECONDS * RATE) / RATE
    clients = Clients(server.url, effort.pieces(CLIENTS))
    try:
        lab.run(filled, effort.pieces(KEPT))
        before = memory()
        lab.run(paced, int(seconds * RATE))
        after = memory()
    finally:
        clients.end()
    return Row(f"memory after {seconds:g} s with clients", after, "before", before, after / before, 1.02, "B")


def memory() -> float:
    """Return how many bytes of memory this process has."""
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


if __name__ == "__main__":
    main(bench)
