"""A lab is used through its server: by the real client, over a real connection."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from fastapi import FastAPI

from actorlab import (
    Client,
    ConfigError,
    DeviceBusy,
    DeviceConfig,
    Lab,
    LeaseTimeout,
    NotAllowed,
    RestartPolicy,
    RunCancelled,
    RunState,
    ServerUnavailable,
    query,
)
from actorlab.server import Role, Server, Tokens, create_token, router
from actorlab.server.telling import plain

PATIENCE = 5.0


def until(true: Callable[[], bool]) -> None:
    """Ask again and again whether something is so; each question is a request, and takes its time."""
    end = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < end


class Lamp:
    """A lamp whose answers no other program knows."""

    @query
    def level(self) -> int:
        return 7


# -- devices


def test_a_device_is_called_read_and_set_as_if_it_were_here(client: Client) -> None:
    laser: Any = client.device("laser")
    assert laser.set_wavelength(1550) == 1550
    assert laser.set_wavelength(nanometres=1551.0) == 1551.0
    laser.gain = 4.5
    assert laser.gain == 4.5
    assert laser.set_wavelength.__doc__ == "Tune it."
    assert {"set_wavelength", "spectrum", "gain"} <= set(dir(laser))


def test_an_array_comes_back_as_the_same_array(client: Client) -> None:
    laser: Any = client.device("laser")
    spectrum = laser.spectrum(points=5)
    assert isinstance(spectrum, np.ndarray)
    assert np.array_equal(spectrum, np.linspace(0, 1, 5))


def test_what_is_private_or_unknown_is_refused_naming_what_there_is(served: Any, client: Client) -> None:
    laser: Any = client.device("laser")
    for name in ("_secret", "_gates", "nonsense", "__class__"):
        answer = httpx.post(f"{served.url}/devices/laser/call/{name}", json={})
        assert answer.status_code == 404
        assert "it has" in answer.json()["message"]
        assert httpx.get(f"{served.url}/devices/laser/attributes/{name}").status_code == 404
    with pytest.raises(AttributeError, match="it offers"):
        laser.nonsense()
    with pytest.raises(ConfigError, match="no device 'lazer'; it has laser"):
        client.device("lazer")


@pytest.mark.parametrize(
    "body",
    [
        {"args": [1700]}, {"args": [1500, 2]}, {"kwargs": {"nm": 2}}, {"args": 5}, {"argz": []},
        {"args": [{"$": "dataclass", "class": "os:system", "fields": {}}]},
    ],
)  # fmt: skip
def test_arguments_that_do_not_fit_are_refused_before_anything_is_sent(
    served: Any, client: Client, body: dict[str, Any]
) -> None:
    answer = httpx.post(f"{served.url}/devices/laser/call/set_wavelength", json=body)
    assert answer.status_code == 422, answer.text
    assert {"type", "message", "origin", "time"} <= set(answer.json())
    laser: Any = client.device("laser")
    assert laser.wavelength == 1500.0


def test_an_error_of_a_driver_comes_back_as_the_same_class(client: Client) -> None:
    laser: Any = client.device("laser")
    with pytest.raises(RuntimeError, match="smoke") as caught:
        laser.break_down()
    assert "answered by http" in caught.value.__notes__[-1]


def test_an_answer_that_is_no_data_is_an_error_of_that_answer_only(client: Client) -> None:
    laser: Any = client.device("laser")
    with pytest.raises(Exception, match="opaque") as caught:
        laser.opaque()
    assert any("carried out" in note for note in caught.value.__notes__)
    assert laser.set_wavelength(1500) == 1500


def test_health_status_and_cancelling_need_no_device(served: Any, client: Client) -> None:
    with ThreadPoolExecutor(1) as pool:
        laser: Any = client.device("laser")
        held = pool.submit(laser.hold)
        assert served.gates.began.wait(PATIENCE)
        assert client.health == {"lab": "test", "open": True, "devices": 1, "trouble": ""}
        assert "hold" in client.status("laser")["in_progress"]
        run = client.start("sweep", laser="laser", points=[1500.0])
        run.cancel("enough")
        assert run.state in {RunState.CANCELLING, RunState.CANCELLED}
        served.gates.go_on.set()
        with pytest.raises(RunCancelled, match="enough"):
            run.result(PATIENCE)
        assert held.exception(PATIENCE) is None or "made safe" in str(held.exception())


# -- runs


def test_a_task_is_started_by_its_name_and_its_result_and_rows_come_back(client: Client) -> None:
    run = client.start("sweep", laser="laser", points=[1500.0, 1510.0])
    assert np.array_equal(run.result(PATIENCE), np.array([1500.0, 1510.0]))
    assert run.state is RunState.SUCCEEDED
    assert [row["values"] for row in run.rows()] == [{"wavelength": 1500.0}, {"wavelength": 1510.0}]
    assert [other.id for other in client.runs] == [run.id]
    assert client.tasks["sweep"].describe()["parameters"]["properties"]["laser"]["device"].endswith("Laser")


def test_a_workflow_tells_its_steps(client: Client) -> None:
    run = client.start("twice", "laser")
    run.result(PATIENCE)
    told = client.get(run.id).describe()
    assert [(step["label"], step["state"]) for step in told["steps"]] == [
        ("sweep[0]", "succeeded"), ("sweep[1]", "succeeded"),
    ]  # fmt: skip


def test_what_can_not_be_started_is_said(served: Any, client: Client) -> None:
    with pytest.raises(ConfigError, match="no task 'swep'; it knows sweep"):
        client.start("swep")
    with pytest.raises(ConfigError, match="points"):
        client.start("sweep", laser="laser", points=["x"])
    with pytest.raises(ConfigError, match="there is no run"):
        client.get("sweep#77")
    assert httpx.post(f"{served.url}/runs", json={"task": "swep"}).status_code == 404


def test_a_run_that_fails_raises_its_own_error_here(client: Client) -> None:
    run = client.start("fails")
    with pytest.raises(LookupError, match="no luck"):
        run.result(PATIENCE)
    assert run.describe()["error"]["type"] == "LookupError"
    assert isinstance(run.exception(), LookupError)


def test_a_run_is_paused_resumed_and_its_parameters_are_set(client: Client) -> None:
    run = client.start("wait_for_gain", "laser")
    run.pause()
    until(lambda: run.state is RunState.PAUSED)
    run.resume()
    until(lambda: run.state is RunState.RUNNING and "gain" in run.describe()["parameters"])
    with pytest.raises(TimeoutError, match="it goes on"):
        run.result(0)
    with pytest.raises(ConfigError, match="gian"):
        run.set(gian=1)
    run.set(gain=2.5)
    assert run.result(PATIENCE) == 2.5


def test_a_conflict_names_the_holder(served: Any, client: Client) -> None:
    run = client.start("wait_for_gain", "laser")
    until(lambda: client.status("laser")["holder"] == run.id)
    answer = httpx.post(f"{served.url}/devices/laser/call/set_wavelength", json={"args": [1500]})
    assert answer.status_code == 409
    (conflict,) = answer.json()["conflicts"]
    assert abs(time.time() - conflict.pop("since")) < 10 * PATIENCE
    assert conflict == {"device": "laser", "holder": run.id, "run": run.id, "queue": []}
    laser: Any = client.device("laser")
    with pytest.raises(DeviceBusy, match=run.id):
        laser.set_wavelength(1500)
    with pytest.raises(LeaseTimeout, match=run.id):
        client.start("only_at_once", "laser")
    assert len(laser.spectrum()) == 3  # a query is answered all the same
    run.cancel()
    with pytest.raises(RunCancelled, match="somebody on this machine"):
        run.result(PATIENCE)


def test_an_operator_answers(client: Client) -> None:
    run = client.start("asks", "laser")
    until(lambda: bool(client.questions))
    (question,) = client.questions
    assert (question["text"], question["choices"]) == ("sample in?", ["yes", "no"])
    with pytest.raises(ConfigError, match="takes yes, no"):
        client.answer(question["id"], "perhaps")
    client.answer(question["id"], "yes")
    assert run.result(PATIENCE) == "yes"
    with pytest.raises(ConfigError, match="waits for no answer"):
        client.answer(question["id"], "yes")


def test_everything_is_stopped_and_armed_again(client: Client) -> None:
    run = client.start("wait_for_gain", "laser")
    assert client.emergency_stop("fire") == {"laser": None}
    assert isinstance(run.exception(PATIENCE), RunCancelled)
    laser: Any = client.device("laser")
    with pytest.raises(Exception, match="fire"):
        laser.set_wavelength(1500)
    client.rearm()
    assert laser.set_wavelength(1500) == 1500


# -- events


def sent(lines: Iterator[str]) -> Iterator[dict[str, Any]]:
    """Yield the events of a stream."""
    for line in lines:
        if line.startswith("data: "):
            yield json.loads(line.removeprefix("data: "))


def test_events_begin_with_a_snapshot_and_are_numbered(served: Any, client: Client) -> None:
    with httpx.stream("GET", f"{served.url}/events", timeout=PATIENCE) as stream:
        events = sent(stream.iter_lines())
        first = next(events)
        assert (first["kind"], first["subject"], first["data"]["of"]) == ("snapshot", "laser", "device")
        run = client.start("sweep", laser="laser", points=[1500.0])
        numbers: list[int] = []
        for event in events:
            numbers.append(event["sequence"])
            if event["subject"] == run.id and event["data"].get("state") == "succeeded":
                break
        assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))


def test_the_server_stops_with_streams_and_waiting_requests_open_and_the_lab_goes_on(lab: Lab) -> None:
    lab.add("lamp", Lamp)
    server = Server(lab, port=0).start()
    with httpx.stream("GET", f"{server.url}/events", timeout=PATIENCE) as stream:
        lines = stream.iter_lines()
        assert next(lines).startswith("event: snapshot")
        stopping = threading.Thread(target=server.stop)
        stopping.start()
        assert [line for line in lines if line.startswith("event: gap")] == []  # it ends
        stopping.join(PATIENCE)
        assert not stopping.is_alive()
    assert lab.device("lamp").level() == 7


# -- who may


@pytest.fixture
def tokens(tmp_path: Path) -> dict[Role, str]:
    """Make a token for each role."""
    roles: tuple[Role, ...] = ("viewer", "operator", "admin")
    return {role: create_token(tmp_path / "tokens.json", f"a {role}", role) for role in roles}


@pytest.fixture
def guarded(lab: Lab, tokens: dict[Role, str], tmp_path: Path) -> Iterator[str]:
    """Serve a lab to those who have a token."""
    assert tokens
    lab.add("lamp", Lamp)
    with Server(lab, port=0, tokens=Tokens.read(tmp_path / "tokens.json")) as server:
        yield server.url


def test_roles_say_who_may_what(guarded: str, tokens: dict[Role, str]) -> None:
    for token in (None, "wrong"):
        with Client(guarded, token=token) as nobody, pytest.raises(NotAllowed):
            _ = nobody.health
    with Client(guarded, token=tokens["viewer"]) as viewer:
        assert viewer.health["open"]
        with pytest.raises(NotAllowed, match="a viewer is viewer, and this needs operator"):
            viewer.start("fails")
        with pytest.raises(NotAllowed):
            viewer.emergency_stop("out of curiosity")
    with Client(guarded, token=tokens["operator"]) as operator:
        assert operator.start("fails").exception(PATIENCE) is not None
    answer = httpx.get(f"{guarded}/health")
    assert (answer.status_code, answer.headers["WWW-Authenticate"]) == (401, "Bearer")


def test_only_an_admin_sees_tracebacks(guarded: str, tokens: dict[Role, str]) -> None:
    seen: dict[Role, str] = {}
    roles: tuple[Role, ...] = ("operator", "admin")
    for role in roles:
        token = tokens[role]
        with Client(guarded, token=token) as client:
            run = client.start("fails")
            run.exception(PATIENCE)
        path = f"{guarded}/runs/{run.id.replace('#', '%23')}/result"
        seen[role] = httpx.get(path, headers={"Authorization": f"Bearer {token}"}).text
    assert "conftest.py" in seen["admin"]
    assert "conftest.py" not in seen["operator"]
    assert "traceback" not in seen["operator"]


def test_tokens_are_kept_as_hashes_for_their_owner_only(tmp_path: Path, tokens: dict[Role, str]) -> None:
    file = tmp_path / "tokens.json"
    text = file.read_text()
    assert not [token for token in tokens.values() if token in text]
    assert file.stat().st_mode & 0o077 == 0
    with pytest.raises(ConfigError, match="already"):
        create_token(file, "a viewer", "viewer")
    file.write_text('[{"name": "a", "role": "king", "sha256": ""}]')
    with pytest.raises(ConfigError, match="isn't a file of tokens"):
        Tokens.read(file)


def test_an_address_that_others_can_reach_needs_tokens(lab: Lab) -> None:
    for host in ("0.0.0.0", "::", "192.168.1.5"):  # noqa: S104 - they are refused
        with pytest.raises(ConfigError, match="nobody would have to say who they are"):
            Server(lab, host=host, port=0)


def test_a_page_of_another_site_is_refused(served: Any) -> None:
    for headers in ({"Origin": "http://evil.example"}, {"Host": "evil.example"}):
        answer = httpx.post(f"{served.url}/emergency_stop", headers=headers)
        assert (answer.status_code, answer.json()["type"]) == (403, "NotAllowed")
    assert httpx.post(f"{served.url}/rearm", headers={"Origin": served.url}).status_code == 204


def test_a_port_in_use_is_an_error(lab: Lab) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(ConfigError, match="is another one running"):
        Server(lab, port=taken.getsockname()[1])


def test_a_server_that_is_not_there_is_said(served: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with (
        Client(f"http://127.0.0.1:{port}") as client,
        pytest.raises(ServerUnavailable, match="does a server run there"),
    ):
        _ = client.health
    with Client(f"{served.url}/nowhere") as client, pytest.raises(ConfigError, match="there is no GET /nowhere/health"):
        _ = client.health


class Page(BaseHTTPRequestHandler):
    """Somebody else's server."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"<html>")

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - so the base names it
        """Say nothing."""


def test_a_server_of_something_else_is_told_from_that_of_a_lab() -> None:
    with HTTPServer(("127.0.0.1", 0), Page) as page, ThreadPoolExecutor(1) as elsewhere:
        answered = elsewhere.submit(page.handle_request)
        with (
            Client(f"http://127.0.0.1:{page.server_port}") as client,
            pytest.raises(ServerUnavailable, match="is it a lab's server"),
        ):
            _ = client.health
        answered.result(5)


def test_the_router_is_mounted_in_any_application_and_its_document_can_be_read(lab: Lab) -> None:
    lab.add("lamp", Lamp)
    theirs = FastAPI()
    theirs.include_router(router(lab), prefix="/lab")
    asyncio.run(looked_at(theirs))


async def looked_at(application: FastAPI) -> None:
    """Ask an application for a few things."""
    transport = httpx.ASGITransport(application)
    async with httpx.AsyncClient(transport=transport, base_url="http://somewhere") as client:
        assert (await client.get("/lab/health")).json()["lab"] == "test"
        assert (await client.get("/lab/devices/lamb")).json()["type"] == "ConfigError"
        assert "/lab/devices/{name}/call/{member}" in (await client.get("/openapi.json")).json()["paths"]


class Flaky:
    """A device whose connection breaks."""

    def ping(self) -> None:
        message = "the cable is out"
        raise ConnectionError(message)


def test_a_device_that_restarts_says_when_to_try_again(lab: Lab) -> None:
    config = DeviceConfig(restart=RestartPolicy(delay=9.0), faults=(ConnectionError,))
    lab.add("flaky", config(Flaky))
    with Server(lab, port=0) as server:
        path = f"{server.url}/devices/flaky/call/ping"
        assert httpx.post(path, json={}).status_code == 502
        until(lambda: lab.states()["flaky"].value == "restarting")
        answer = httpx.post(path, json={})
        assert (answer.status_code, answer.json()["type"]) == (503, "DeviceUnavailable")
        assert 1 <= int(answer.headers["Retry-After"]) <= 9


def test_whatever_is_looked_at_becomes_plain_json() -> None:
    endless: list[Any] = []
    endless.append(endless)
    strange = [
        {(1, 2): np.float64(3)}, np.zeros(2), float("nan"), b"\xff", endless, "\ud800",
        threading.Lock(), np.zeros(5000),
    ]  # fmt: skip
    for value in strange:
        json.dumps(plain(value), allow_nan=False).encode()
    assert plain({"a": [np.int64(3), float("inf")]}) == {"a": [3, "Infinity"]}


def test_small_answers_are_sent_at_once(lab: Lab) -> None:
    with Server(lab, port=0) as server:
        # asyncio sets TCP_NODELAY on those connections only whose socket names its protocol.
        assert server._socket.proto == socket.IPPROTO_TCP


def test_a_body_that_is_too_large_or_of_unknown_length_is_refused_unread(served: Any) -> None:
    path = f"{served.url}/devices/laser/call/set_wavelength"
    headers = {"Content-Type": "application/json"}
    for length, status in ((str(10**9), 413), (None, 411)):
        with socket.create_connection(("127.0.0.1", int(served.url.rpartition(":")[2])), PATIENCE) as connection:
            said = "Transfer-Encoding: chunked" if length is None else f"Content-Length: {length}"
            request = f"POST {httpx.URL(path).path} HTTP/1.1\r\nHost: 127.0.0.1\r\n{said}\r\n\r\n"
            connection.sendall(request.encode())
            assert f" {status} ".encode() in connection.recv(1000)
    assert httpx.post(path, json={"args": [1500]}, headers=headers).status_code == 200
