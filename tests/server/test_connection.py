"""A client's connections: kept open, looked for again, never trusted twice; against servers that misbehave."""

from __future__ import annotations

import os
import signal
import socket
import threading
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from typing import Any

import pytest

from actorlab import CallTimeout, Client, ConfigError, Lab, ServerUnavailable
from actorlab.client.connection import Connection
from actorlab.server import Server

PATIENCE = 5.0
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"
Talk = Callable[[socket.socket], object]


@contextmanager
def somebody(*talks: Talk) -> Generator[str]:
    """Serve each talk one connection, in turn."""
    with socket.create_server(("127.0.0.1", 0)) as server, ThreadPoolExecutor(1) as elsewhere:

        def serve() -> None:
            for talk in talks:
                made, _ = server.accept()
                made.settimeout(PATIENCE)
                with made, suppress(ConnectionError):
                    talk(made)

        served = elsewhere.submit(serve)
        yield f"http://127.0.0.1:{server.getsockname()[1]}"
        served.result(PATIENCE)


def says(answer: bytes) -> Talk:
    """Read a request, answer it, and close."""

    def talk(made: socket.socket) -> None:
        made.recv(65536)
        made.sendall(answer)

    return talk


def hangs_up(made: socket.socket) -> None:
    """Read a request, and close."""
    made.recv(65536)


@pytest.mark.parametrize(
    "answer",
    [
        OK,
        b"HTTP/1.0 200\r\n\r\n{}",
        b"HTTP/1.1 100 Continue\r\n\r\n" + OK,
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;x=1\r\n{\r\n1\r\n}\r\n0\r\nTrailer: 1\r\n\r\n",
    ],
)
def test_answers_in_every_form_of_http_are_understood(answer: bytes) -> None:
    with somebody(says(answer)) as url:
        connection = Connection(url, None, PATIENCE)
        assert connection.get("/") == {}
        connection.close()


def test_an_answer_without_a_body_leaves_the_connection_as_it_is() -> None:
    def talk(made: socket.socket) -> None:
        made.recv(65536)
        made.sendall(b"HTTP/1.1 204 No Content\r\n\r\n")
        says(OK)(made)

    with somebody(talk) as url:
        connection = Connection(url, None, PATIENCE)
        assert connection.post("/") is None
        assert connection.get("/") == {}
        connection.close()


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nContent-Length: two\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n{}",
        b"HTTP/1.1 200 OK\r\nContent-Len",
        b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 300,
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"HTTP/1.1 302 Found\r\nLocation: /x\r\nContent-Length: 0\r\n\r\n",
        b"",
    ],
)
def test_what_is_no_answer_is_said_and_a_command_is_not_sent_again(answer: bytes) -> None:
    with somebody(says(answer)) as url:
        connection = Connection(url, None, PATIENCE)
        with pytest.raises(ServerUnavailable):
            connection.post("/")
        connection.close()


def test_a_server_that_does_not_answer_is_given_up() -> None:
    over = threading.Event()
    with somebody(lambda _: over.wait(PATIENCE)) as url:
        connection = Connection(url, None, 0.1)
        with pytest.raises(CallTimeout, match="may have been carried out"):
            connection.get("/")
        over.set()
        connection.close()


def test_what_only_looks_is_asked_again_when_the_connection_breaks() -> None:
    with somebody(says(OK[:-2] + b"{}"), hangs_up, says(OK)) as url:
        connection = Connection(url, None, PATIENCE)
        assert connection.get("/") == {}
        assert connection.get("/") == {}
        connection.close()


def test_a_command_that_may_have_been_carried_out_is_not_sent_again() -> None:
    with somebody(says(OK), hangs_up) as url:
        connection = Connection(url, None, PATIENCE)
        assert connection.get("/") == {}
        with pytest.raises(ServerUnavailable, match="may have been carried out"):
            connection.post("/")
        connection.close()


def test_a_connection_that_was_closed_while_nobody_used_it_costs_a_command_nothing() -> None:
    closed = threading.Event()

    def first(made: socket.socket) -> None:
        says(OK)(made)
        made.close()
        closed.set()

    with somebody(first, says(OK)) as url:
        connection = Connection(url, None, PATIENCE)
        assert connection.get("/") == {}
        assert closed.wait(PATIENCE)
        assert connection.post("/") == {}
        connection.close()


def test_a_refusal_before_all_was_sent_is_read() -> None:
    def refuse(made: socket.socket) -> None:
        made.recv(100)
        made.sendall(b"HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}")
        made.shutdown(socket.SHUT_WR)
        with suppress(OSError):
            while made.recv(1 << 20):
                pass

    with somebody(refuse) as url:
        connection = Connection(url, None, PATIENCE)
        with pytest.raises(ServerUnavailable, match="413"):
            connection.post("/", ["x" * 1_000_000])
        connection.close()


def test_a_server_that_comes_back_is_found_again(lab: Lab) -> None:
    server = Server(lab, port=0).start()
    port = int(server.url.rpartition(":")[2])
    with Client(server.url, reconnect=PATIENCE) as client, ThreadPoolExecutor(1) as elsewhere:
        assert client.health["open"]
        server.stop()
        asked = elsewhere.submit(client.start, "fails")
        with Server(lab, port=port):
            assert isinstance(asked.result(PATIENCE).exception(PATIENCE), LookupError)


def test_a_server_that_stays_away_is_given_up_within_the_bound(lab: Lab) -> None:
    server = Server(lab, port=0).start()
    with Client(server.url, reconnect=0.2) as client:
        assert client.health["open"]
        server.stop()
        with pytest.raises(ServerUnavailable, match=r"tried for 0\.2 s"):
            client.rearm()


def test_many_threads_use_one_client(client: Client) -> None:
    laser = client.device("laser")
    points = [1500.0 + number / 10 for number in range(200)]
    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(laser.set_wavelength, points)) == points


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_forked_process_uses_no_connection_of_its_parent(client: Client) -> None:
    assert client.health["open"]
    child = os.fork()
    if child == 0:
        code = 1
        with suppress(BaseException):
            code = 0 if all(client.health["open"] for _ in range(20)) else 2
        os._exit(code)
    assert all(client.describe("laser")["name"] == "laser" for _ in range(20))
    assert os.waitpid(child, 0)[1] == 0


@pytest.mark.skipif(os.name != "posix", reason="it sends signals")
def test_after_ctrl_c_nobody_reads_the_answer_that_was_waited_for() -> None:
    def late(made: socket.socket) -> None:
        made.recv(65536)
        os.kill(os.getpid(), signal.SIGINT)
        assert made.recv(1) == b"", "the client has given it up"

    with somebody(late, says(OK)) as url:
        connection = Connection(url, None, PATIENCE)
        with pytest.raises(KeyboardInterrupt):
            connection.post("/")
        assert connection.get("/") == {}
        connection.close()


def test_a_closed_client_says_so(served: Any) -> None:
    client = Client(served.url)
    client.close()
    with pytest.raises(ServerUnavailable, match="closed"):
        _ = client.health


@pytest.mark.parametrize(
    "url",
    ["127.0.0.1:8600", "ftp://lab", "http://", "http://lab:99999", "http://lab/?x=1", "http://lab:x", "http://l\nab"],
)
def test_what_is_no_address_is_said_at_once(url: str) -> None:
    with pytest.raises(ConfigError, match="no address of a server"):
        Client(url)


def test_a_password_in_an_address_is_refused_and_not_shown() -> None:
    with pytest.raises(ConfigError) as told:
        Client("http://ada:hunter2@lab:8600")
    assert "hunter2" not in str(told.value)
