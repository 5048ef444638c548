"""Time a device call by HTTP and our client, next to what LabDaemon, LabThings-FastAPI and pydase have for it.

Each server and each client is a process of its own, as they are on two machines. LabDaemon comes with
``pip install -e ".[bench]"``. The other two need versions of packages that don't go together with ours: make an
environment for each, and name its Python in ``LABTHINGS_PYTHON`` or ``PYDASE_PYTHON``. Run it with
``python -m benchmarks.bench_http [--quick]``.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Generator
from contextlib import ExitStack, contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Final, NamedTuple

from benchmarks.harness import Effort, Row, absent, main, take_turns

CALLS: Final = 500
SIDES: Final = Path(__file__).with_name("http_sides.py")


class Peer(NamedTuple):
    """Whom we are compared with: what it serves, where it is installed, and how long ours may take beside it."""

    name: str
    shown: str
    package: str
    target: float
    share: float = 1.0
    """Of the usual number of calls."""


PEERS: Final = (
    Peer("labdaemon", "LabDaemon", "labdaemon", 0.5),
    Peer("labthings", "an action of LabThings-FastAPI", "labthings_fastapi", 1.0, 0.04),  # its client polls
    Peer("labthings-property", "a property of LabThings-FastAPI", "labthings_fastapi", 1.0),
    Peer("pydase", "pydase", "pydase", 1.0),
)
OURS: Final = Peer("actorlab", "actorlab", "actorlab", 1.0)


def python_of(peer: Peer) -> str | None:
    """Return the Python that has a peer, or None."""
    named = os.environ.get(f"{peer.name.partition('-')[0].upper()}_PYTHON")
    return named or (sys.executable if find_spec(peer.package) is not None else None)


@contextmanager
def side(python: str, *what: str) -> Generator[subprocess.Popen[str]]:
    """Run one side; the end of its input ends it."""
    command = [python, str(SIDES), *what]
    with subprocess.Popen(  # noqa: S603 - our own program, with a Python that whoever runs this has named
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def line_of(process: subprocess.Popen[str], wanted: Callable[[str], bool]) -> str:
    """Return the next line that is wanted; what a peer says besides is passed over."""
    if process.stdout is not None:
        for line in process.stdout:
            if wanted(line.strip()):
                return line.strip()
    message = f"{' '.join(map(str, process.args))} has ended" if isinstance(process.args, list) else "it has ended"
    raise RuntimeError(message)


def timed(client: subprocess.Popen[str], pieces: int) -> Callable[[], float]:
    """Return what makes some calls, and returns the seconds of each."""
    line_of(client, lambda line: line == "ready")

    def measure() -> float:
        if client.stdin is not None:
            print(pieces, file=client.stdin, flush=True)
        return float(line_of(client, lambda line: line.startswith("seconds ")).removeprefix("seconds "))

    return measure


def bench(effort: Effort) -> list[Row]:
    """Time them all in turns."""
    count = effort.pieces(CALLS)
    with ExitStack() as stack:
        found = {peer: python for peer in (OURS, *PEERS) if (python := python_of(peer)) is not None}
        servers = {
            peer: stack.enter_context(side(python, "serve", peer.name.partition("-")[0]))
            for peer, python in found.items()
        }
        clients = {
            peer: stack.enter_context(side(python, "call", peer.name, line_of(servers[peer], str.isdigit)))
            for peer, python in found.items()
        }
        measures = {peer.shown: timed(client, max(2, int(count * peer.share))) for peer, client in clients.items()}
        timings = take_turns(measures, effort.rounds)
    return [
        (timings.row if peer in found else absent)(OURS.shown, peer.shown, peer.target)  # each has its line
        for peer in PEERS
    ]


if __name__ == "__main__":
    main(bench)
