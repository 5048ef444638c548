"""What is asked for twice with one key is done once; the client asks again when its connection broke."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import httpx
import pytest

from actorlab import Client, ServerUnavailable

from .conftest import Served
from .test_server import until

PATIENCE = 5.0
BODY = {"task": "sweep", "parameters": {"laser": "laser", "points": [1500.0]}}


def start(served: Served, key: str, body: dict[str, Any] = BODY) -> httpx.Response:
    """Start a task with a key."""
    return httpx.post(f"{served.url}/runs", json=body, headers={"Idempotency-Key": key})


def test_the_same_key_gives_the_same_run(served: Served, client: Client) -> None:
    first, second, other = start(served, "a"), start(served, "a"), start(served, "b")
    assert (first.status_code, second.status_code) == (201, 201)
    assert first.json() == second.json()
    assert (first.headers.get("Idempotent-Replayed"), second.headers["Idempotent-Replayed"]) == (None, "true")
    assert other.json()["id"] != first.json()["id"]
    assert len(client.runs) == 2


def test_many_at_once_with_one_key_start_one_run(served: Served, client: Client) -> None:
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: start(served, "k").json()["id"], range(16)))
    assert len(set(answers)) == 1
    assert len(client.runs) == 1


def test_a_key_that_was_used_for_something_else_is_refused(served: Served) -> None:
    assert start(served, "a").status_code == 201
    answer = start(served, "a", BODY | {"parameters": {"laser": "laser", "points": [1510.0]}})
    assert (answer.status_code, list(answer.json()["fields"])) == (422, ["header.Idempotency-Key"])
    for key in ("", "two words", "x" * 201):
        assert start(served, key).status_code == 422


def test_what_failed_is_done_when_it_is_asked_for_again(served: Served, client: Client) -> None:
    holder = client.start("wait_for_gain", "laser")
    until(lambda: client.status("laser")["holder"] == holder.id)
    body = {"task": "only_at_once", "args": ["laser"]}
    assert start(served, "a", body).status_code == 409
    holder.cancel()
    holder.exception(PATIENCE)
    again = start(served, "a", body)
    assert again.status_code == 201
    assert "Idempotent-Replayed" not in again.headers
    client.get(again.json()["id"]).result(PATIENCE)


class Cutting:
    """Stand between a client and a server, and cut the first connection when the answer comes."""

    def __init__(self, port: int, cuts: int) -> None:
        self._port = port
        self._cuts = cuts
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listening.getsockname()[1]}"
        self.requests = 0
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                near, _ = self._listening.accept()
                near.settimeout(PATIENCE)
                with near, socket.create_connection(("127.0.0.1", self._port), PATIENCE) as far:
                    self._carry(near, far)

    def _carry(self, near: socket.socket, far: socket.socket) -> None:
        head, _, body = near.recv(100_000).partition(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0])
        while len(body) < length:
            body += near.recv(100_000)
        far.sendall(head + b"\r\n\r\n" + body)
        self.requests += 1
        answer = far.recv(100_000)
        if self.requests > self._cuts:
            near.sendall(answer.replace(b"HTTP/1.1 201 Created\r\n", b"HTTP/1.1 201 Created\r\nConnection: close\r\n"))

    def close(self) -> None:
        """End it."""
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        self._thread.join(PATIENCE)


@pytest.fixture
def cutting(served: Served) -> Iterator[Any]:
    """Make one."""
    made: list[Cutting] = []

    def make(cuts: int) -> Cutting:
        made.append(Cutting(int(served.url.rpartition(":")[2]), cuts))
        return made[-1]

    yield make
    for each in made:
        each.close()


def test_a_client_whose_connection_broke_asks_once_more_and_starts_one_run(cutting: Any, client: Client) -> None:
    between = cutting(1)
    with Client(between.url, timeout=PATIENCE) as cut:
        run = cut.start("sweep", laser="laser", points=[1500.0])
    assert between.requests == 2
    assert [known.id for known in client.runs] == [run.id]


def test_it_asks_again_as_long_as_it_looks_for_a_server_and_starts_one_run_all_the_same(
    cutting: Any, client: Client
) -> None:
    between = cutting(3)
    with Client(between.url, timeout=PATIENCE) as cut:
        run = cut.start("sweep", laser="laser", points=[1500.0])
    assert between.requests == 4
    assert [known.id for known in client.runs] == [run.id]


def test_what_has_no_key_is_not_sent_again(cutting: Any, client: Client) -> None:
    between = cutting(9)
    with Client(between.url, timeout=PATIENCE) as cut, pytest.raises(ServerUnavailable, match="may have been carried"):
        cut.disconnect("laser")
    assert between.requests == 1
    assert client.status("laser")["state"] == "disconnected"
