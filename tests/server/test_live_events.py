"""What happens in a lab arrives at its clients: in order, without a gap after a lost connection, and harming nobody."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import closing, contextmanager
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import httpx
import pytest

from actorlab import Lab, Run, emit, sleep
from actorlab.server import Server
from actorlab.server.broadcast import CLIENTS, Broadcast

PATIENCE = 5.0
NEARLY_NOTHING = 3


class Block(NamedTuple):
    """A server-sent event: its id, its kind, and what it says."""

    id: str
    event: str
    data: dict[str, Any]


def until(true: Callable[[], bool]) -> None:
    """Ask again and again whether something is so."""
    end = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < end
        threading.Event().wait(0.005)


def chatter(count: int, word: str = "tick") -> None:
    """Tell something so many times."""
    for number in range(count):
        emit(word, number)


def pour(gate: threading.Event) -> int:
    """Tell long things until the gate is open; return how many."""
    told = 0
    while not gate.is_set():
        for _ in range(20):
            emit("pour", "x" * 1000)
        told += 20
        sleep(0.001)
    return told


@contextmanager
def blocks(url: str, last_id: str = "", **query: Any) -> Generator[Iterator[Block]]:
    """Read server-sent events, one after the other."""
    headers = {"Last-Event-ID": last_id} if last_id else {}
    with httpx.stream("GET", f"{url}/events", headers=headers, params=query, timeout=PATIENCE) as stream:
        assert stream.status_code == 200, stream.read()
        yield read(stream.iter_lines())


def read(lines: Iterator[str]) -> Iterator[Block]:
    fields: dict[str, str] = {}
    for line in lines:
        name, _, value = line.partition(": ")
        if line:
            fields[name] = value
        else:
            yield Block(fields.get("id", ""), fields.get("event", ""), json.loads(fields.get("data", "{}")))
            fields = {}


def last_of(run: Run[Any]) -> Callable[[Block], bool]:
    return lambda block: block.data.get("subject") == run.id and block.data["data"].get("state") == "succeeded"


def heard(found: Iterator[Block], is_last: Callable[[Block], bool]) -> list[Block]:
    """Read up to an event."""
    told: list[Block] = []
    for block in found:
        told.append(block)
        if is_last(block):
            return told
    pytest.fail(f"it ended: {told}")


def test_who_comes_back_with_the_last_id_hears_exactly_what_followed(served: Any, lab: Lab) -> None:
    with blocks(served.url) as found:
        assert next(found).event == "snapshot"
        run = lab.start(chatter, 20)
        ids = [block for block in heard(found, last_of(run)) if block.id]
    for by_query in (False, True):
        at = ids[7]
        again = {"last_event_id": at.id} if by_query else {}
        with blocks(served.url, "" if by_query else at.id, **again) as found:
            late = lab.start(chatter, 3)
            told = heard(found, last_of(late))
        assert [block.data for block in told[: len(ids) - 8]] == [block.data for block in ids[8:]]
        numbers = [block.data["sequence"] for block in told]
        assert numbers == list(range(at.data["sequence"] + 1, at.data["sequence"] + 1 + len(numbers)))


def test_a_snapshot_ends_with_an_id_from_which_one_can_go_on(served: Any, lab: Lab) -> None:
    with blocks(served.url) as found:
        told = heard(found, lambda block: bool(block.id))
    assert [block.event for block in told] == ["snapshot", ""]
    with blocks(served.url, told[-1].id) as found:
        run = lab.start(chatter, 1)
        assert heard(found, last_of(run))[0].event != "snapshot"


@pytest.mark.parametrize(
    "strange", ["0123456789ab-5", "nonsense", "-", "-1", "12", "²", "1" * 99, "x-99999999999999999"]
)
def test_an_id_of_another_life_is_answered_by_a_gap_and_a_snapshot(served: Any, strange: str) -> None:
    with blocks(served.url, last_event_id=strange) as found:
        gap, snapshot = next(found), next(found)
    assert (gap.event, gap.id, snapshot.event) == ("gap", "", "snapshot")
    assert "none of this server's" in gap.data["data"]["why"]


def test_the_number_of_an_event_means_nothing_in_another_life(served: Any) -> None:
    with blocks(served.url) as found:
        number = heard(found, lambda block: bool(block.id))[-1].id.rpartition("-")[2]
    with blocks(served.url, f"0123456789ab-{number}") as found:
        assert [next(found).event, next(found).event] == ["gap", "snapshot"]


def test_an_id_from_the_future_is_no_place_to_go_on_from(served: Any) -> None:
    life = served.server._desk.broadcast.life
    with blocks(served.url, f"{life}-999999") as found:
        assert [next(found).event, next(found).event] == ["gap", "snapshot"]


def test_what_is_not_kept_any_more_is_a_gap_and_a_snapshot(served: Any, lab: Lab) -> None:
    served.server._desk.broadcast = Broadcast(lab, most=NEARLY_NOTHING)
    with blocks(served.url) as found:
        first = heard(found, lambda block: bool(block.id))[-1]
        lab.run(chatter, 20)
        with blocks(served.url, first.id) as again:
            gap, snapshot = next(again), next(again)
            assert (gap.event, snapshot.event) == ("gap", "snapshot")
            assert "more has happened since than is kept" in gap.data["data"]["why"]


def test_only_what_is_wanted_is_sent(served: Any, lab: Lab) -> None:
    with blocks(served.url, kinds=["emit"], subjects=["*chatter*"]) as found:
        assert next(found).id  # nothing of the snapshot is wanted
        lab.run(pour, opened())
        lab.run(chatter, 3)
        assert [next(found).data["data"]["data"] for _ in range(3)] == [0, 1, 2]
    with blocks(served.url, kinds=["run"]) as found:
        assert {next(found).data["data"]["of"] for _ in range(2)} == {"run"}


def opened() -> threading.Event:
    gate = threading.Event()
    gate.set()
    return gate


def test_not_any_number_of_clients_is_taken(served: Any) -> None:
    broadcast = served.server._desk.broadcast
    with blocks(served.url):
        until(lambda: broadcast.clients == 1)
        broadcast._clients.update(range(CLIENTS - 1))
        answer = httpx.get(f"{served.url}/events")
        assert (answer.status_code, "Retry-After" in answer.headers) == (503, True)
        broadcast._clients.difference_update(range(CLIENTS - 1))


def test_the_end_of_the_lab_is_told(served: Any, lab: Lab) -> None:
    with blocks(served.url) as found:
        next(found)
        lab.close()
        assert heard(found, lambda block: block.event == "end")[-1].data["data"]["why"] == "the lab has closed"
        assert list(found) == []
    answer = httpx.get(f"{served.url}/events")
    assert answer.status_code == 503
    assert "closed" in answer.json()["message"]


def test_one_ear_serves_all_and_clients_that_leave_are_forgotten(served: Any, lab: Lab) -> None:
    broadcast = served.server._desk.broadcast
    with blocks(served.url) as one:
        assert next(one).event == "snapshot"
        ears = len(lab.events._feeds)
        with blocks(served.url) as other:
            assert next(other).event == "snapshot"
            assert len(lab.events._feeds) == ears
            assert broadcast.clients == 2
    until(lambda: not broadcast.clients)


class Slow:
    """It takes its time to say what it is."""

    def __init__(self, gate: threading.Event) -> None:
        self._gate = gate

    def __repr__(self) -> str:
        self._gate.wait(PATIENCE)
        return "slow"


def tell_slow(gate: threading.Event) -> None:
    emit("slow", Slow(gate))


def test_what_is_told_may_be_slow_to_write_and_the_server_answers_meanwhile(served: Any, lab: Lab) -> None:
    gate = threading.Event()
    with blocks(served.url, kinds=["emit"]) as found:
        next(found)
        lab.run(tell_slow, gate)
        assert httpx.get(f"{served.url}/health", timeout=PATIENCE).json()["open"]
        gate.set()
        assert next(found).data["data"]["data"] == "slow"


def test_who_begins_while_much_is_still_to_be_told_hears_what_follows_on_his_snapshot_once(
    served: Any, lab: Lab
) -> None:
    gate = threading.Event()
    with blocks(served.url) as early:
        next(early)
        lab.run(tell_slow, gate)  # what comes after this has to wait until it is written
        lab.run(chatter, 3)
        with blocks(served.url) as late:
            known = int(heard(late, lambda block: bool(block.id))[-1].id.rpartition("-")[2])
            gate.set()
            run = lab.start(chatter, 3)
            told = heard(late, last_of(run))
    assert [block.data["sequence"] for block in told] == list(range(known + 1, known + 1 + len(told)))


# -- slow clients


def stalled(url: str) -> socket.socket:
    """Ask for events, and read none."""
    parts = urlsplit(url)
    made = socket.socket()
    made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    made.connect((parts.hostname, parts.port))
    made.settimeout(PATIENCE)
    made.sendall(b"GET /events HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
    return made


def test_a_stalled_client_holds_nobody_up_and_is_told_what_it_missed(served: Any, lab: Lab) -> None:
    broadcast = served.server._desk.broadcast = Broadcast(lab, most=1000)
    gate = threading.Event()
    with closing(stalled(served.url)) as slow, blocks(served.url, kinds=["run"]) as found:
        until(lambda: broadcast.clients == 2)
        run = lab.start(pour, gate)
        until(lambda: broadcast.told_so_far > 8000)  # far more than what fits in between
        gate.set()
        heard(found, last_of(run))
        assert run.result(PATIENCE) >= 8000
        assert broadcast.size < 1000 * 2000
        text = b""
        while b"event: gap" not in text or b"event: snapshot" not in text.partition(b"event: gap")[2]:
            more = slow.recv(65536)
            assert more
            text = text[-100_000:] + more
    assert b'"missed":' in text


@pytest.mark.parametrize("busy", [False, True])
def test_the_server_stops_within_its_bound_with_many_clients_of_which_some_are_stalled(lab: Lab, *, busy: bool) -> None:
    server = Server(lab, port=0).start()
    clients = [stalled(server.url) for _ in range(60)]
    try:
        for client in clients[10:]:
            assert client.recv(100)
        until(lambda: server._desk.broadcast.clients == 60)
        gate = threading.Event()
        run = lab.start(pour, gate) if busy else None
        if run is not None:
            until(lambda: server._desk.broadcast.told_so_far > 4000)
        began = time.monotonic()
        server.stop()
        assert time.monotonic() - began < 8.0
        assert not [thread for thread in threading.enumerate() if thread.name.startswith("actorlab server")]
        gate.set()
        assert run is None or run.result(PATIENCE)
    finally:
        for client in clients:
            client.close()
