"""Leases hold between processes: programs that fight, die, stand still, and a server that does."""

from __future__ import annotations

import itertools
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from actorlab import Client, Lab, LeaseTimeout
from actorlab.server import Server
from tests.server import lease_programs
from tests.server.lease_programs import Instrument

pytestmark = pytest.mark.timeout(120)  # many processes start, which takes a while on a busy machine
PATIENCE = 10.0
Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def start() -> Iterator[Start]:
    """Return what starts a program; what still runs is killed at the end."""
    begun: list[subprocess.Popen[str]] = []

    def run(*arguments: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", lease_programs.__name__, *arguments]
        pipe = subprocess.PIPE
        root = Path(__file__).parents[2]
        begun.append(subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, cwd=root))
        return begun[-1]

    yield run
    for process in begun:
        process.kill()
        process.communicate()


def line(process: subprocess.Popen[str]) -> str:
    """Return what a program says next."""
    assert process.stdout is not None
    return process.stdout.readline().strip()


@pytest.fixture
def client() -> Iterator[Client]:
    """Serve two instruments here, and use them."""
    with Lab("test", cancel_grace=1.0) as lab:
        for name in ("laser", "meter"):
            lab.add(name, Instrument)
        with Server(lab, port=0) as server, Client(server.url, timeout=20) as made:
            yield made


def until(true: Callable[[], bool]) -> None:
    """Ask again and again whether something is so; each question is a request, and takes its time."""
    end = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < end


def queue(client: Client) -> list[str]:
    """Return who waits for the laser."""
    held = client.leases["devices"]["laser"]
    return held[0]["queue"] if held else []


def test_two_programs_that_fight_for_one_laser_never_command_it_in_between(client: Client, start: Start) -> None:
    url = client._connection.url
    said = [process.communicate(timeout=40)[0] for process in [start("fight", url) for _ in range(2)]]
    laser: Any = client.device("laser")
    leases = [entry.split() for entry in laser.done() if entry.startswith("lease")]
    turns = [list(turn) for _, turn in itertools.groupby(leases, key=lambda entry: entry[0])]
    for turn in turns:
        assert [entry[2] for entry in turn] == list("01234"), "nobody came in between"
    assert all(int(re.findall(r"rounds (\d+)", text)[0]) for text in said), "both had it"
    assert len({turn[0][0] for turn in turns}) == len(turns)
    inside = "".join("x" if entry.startswith("outside") else "." for entry in laser.done())
    assert not re.search(r"\.x", re.sub(r"\.{5}", "", inside)), "no command from outside within a lease"
    refusals = [text for text in "\n".join(said).split("\n") if text.startswith("refused")]
    assert refusals
    assert all(re.search(r"(held by|reserved for) lease#\d+", text) for text in refusals), refusals


def test_a_program_that_is_killed_loses_its_lease_and_the_device_is_safe_before_the_next_one_has_it(
    client: Client, start: Start
) -> None:
    holder = start("hold", client._connection.url)
    lease = line(holder)
    with pytest.raises(LeaseTimeout, match=f"held by {lease}"):
        client.lease("laser", timeout=0).__enter__()
    holder.kill()
    killed = time.monotonic()
    with client.lease("laser", timeout=PATIENCE):
        assert time.monotonic() - killed > 1.0, "its term had to pass first"
        laser: Any = client.device("laser")
        laser.use("next")
        assert laser.done() == ["held", "safe", "next"]


def test_a_program_that_is_killed_while_it_waits_waits_no_more(client: Client, start: Start) -> None:
    with client.lease("laser"):
        waiting = start("wait", client._connection.url)
        until(lambda: bool(queue(client)))
        waiting.kill()
        until(lambda: not queue(client))


def test_a_program_that_stood_still_for_too_long_is_told_so_and_does_nothing(client: Client, start: Start) -> None:
    holder = start("hold", client._connection.url)
    line(holder)
    holder.send_signal(signal.SIGSTOP)
    laser: Any = client.device("laser")
    with client.lease("laser", timeout=PATIENCE):
        laser.use("next")
        holder.send_signal(signal.SIGCONT)
        assert said(holder).startswith("lost lease#")
        assert laser.done() == ["held", "safe", "next"]


def said(holder: subprocess.Popen[str]) -> str:
    """Return what the holder says when it uses the laser."""
    assert holder.stdin is not None
    holder.stdin.write("use it\n")
    holder.stdin.flush()
    return line(holder)


def test_a_server_that_stands_still_for_longer_than_a_term_expires_nobody_who_renews(start: Start) -> None:
    server = start("serve")
    with Client(line(server), timeout=20) as client:
        holder = start("hold", client._connection.url)
        lease = line(holder)
        waiting = start("wait", client._connection.url)
        until(lambda: len(queue(client)) == 1)
        server.send_signal(signal.SIGSTOP)
        try:
            with pytest.raises(subprocess.TimeoutExpired):
                waiting.wait(3.0)  # its term is 2 s
        finally:
            server.send_signal(signal.SIGCONT)
        with pytest.raises(subprocess.TimeoutExpired):
            waiting.wait(2.3)  # it is renewed again
        (held,) = client.leases["devices"]["laser"]
        assert held["holder"] == lease
        assert said(holder) == "used"
        holder.kill()
        assert line(waiting) == "granted"
        laser: Any = client.device("laser")
        assert laser.done() == ["held", "held", "safe"]
