"""Do by HTTP what users of LabDaemon's server and of pydase do, and show that what went wrong there can't happen."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Annotated, Any, NamedTuple

import httpx
import numpy as np
import pytest

from actorlab import (
    Client,
    Device,
    DeviceBusy,
    DeviceUnavailable,
    Lab,
    LeaseTimeout,
    Range,
    RunCancelled,
    RunState,
    checkpoint,
    parameter,
    query,
    sleep,
    spawn,
    task,
)
from actorlab.server import Server

PATIENCE = 5.0


class Gate:
    """What lets a device that stands still go on."""

    def __init__(self) -> None:
        self.begun = threading.Event()
        self.go = threading.Event()


class Laser(Device):
    """A tunable laser."""

    def __init__(self, gate: Gate | None = None) -> None:
        self.power = 1.0
        self.sent: list[float] = []
        self._gate = gate or Gate()

    def set_wavelength(self, nanometres: Annotated[float, Range(1400, 1600)], *, ramp: bool = False) -> float:
        """Tune it."""
        del ramp
        self.sent.append(nanometres)
        return nanometres

    @query
    def wavelength(self) -> float:
        """Tell what was set last."""
        return self.sent[-1] if self.sent else 0.0

    @query
    def spectrum(self) -> Any:
        return np.array([1.0, np.nan])

    @property
    def label(self) -> str:
        return f"laser of {self.power} mW"

    @label.setter
    def label(self, text: str) -> None:
        self.power = float(text)

    def hang(self) -> None:
        """Stand still in the driver."""
        self._gate.begun.set()
        self._gate.go.wait(PATIENCE)

    def burn(self) -> None:
        message = "too hot"
        raise ValueError(message)

    def _private(self) -> str:
        return "nobody's business"


@task(on_conflict="reject")
def tune(laser: Laser, meter: Laser, points: list[float]) -> Any:
    """Tune both."""
    return np.array([laser.set_wavelength(point) + meter.set_wavelength(point) for point in points])


@task
def follow(laser: Laser) -> float:
    """Hold it until the gain is set to more than 1."""
    while parameter("gain", 0.0) <= 1.0:
        checkpoint()
        sleep(0.01)
    return laser.set_wavelength(1500.0 + parameter("gain", 0.0))


@task
def coordinate(laser: Laser) -> float:
    """Let a child use what is held here."""
    return spawn(follow, laser).result()


@task
def fail(laser: Laser) -> None:
    """Burn it."""
    laser.burn()


class Bench(NamedTuple):
    """A lab that is served, a client of it, and what lets its lasers go on."""

    lab: Lab
    client: Client
    gate: Gate


@pytest.fixture
def served(lab: Lab) -> Iterator[Bench]:
    """Serve two lasers."""
    gate = Gate()
    lab.register(tune, follow, coordinate, fail, Laser)
    lab.add("laser", Laser, gate)
    lab.add("meter", Laser)
    with Server(lab, port=0) as server, Client(server.url, timeout=PATIENCE) as client:
        yield Bench(lab, client, gate)
        gate.go.set()


def running(client: Client, run_id: str) -> None:
    """Wait until a run works."""
    end = time.monotonic() + PATIENCE
    while client.get(run_id).state is not RunState.RUNNING:
        assert time.monotonic() < end


# -- what users do


def test_a_client_sees_health_devices_their_methods_and_calls_them(served: Bench) -> None:
    client = served.client
    health = client.health
    assert (health["lab"], health["open"], health["devices"]) == ("test", True, 2)
    told = client.status("laser")
    assert (told["state"], told["holder"], told["last_error"]) == ("idle", "", "")
    (kind, wanted) = (client.describe("laser")["members"]["set_wavelength"][key] for key in ("kind", "parameters"))
    assert kind == "method"
    assert wanted["properties"]["ramp"] == {"type": "boolean", "default": False}
    assert (wanted["properties"]["nanometres"]["minimum"], wanted["required"]) == (1400, ["nanometres"])
    assert client.describe("laser")["members"]["set_wavelength"]["doc"] == "Tune it."
    assert client.device("laser", Laser).set_wavelength(1550.0, ramp=True) == 1550.0


def test_devices_are_added_connected_and_disconnected_while_the_server_runs(served: Bench) -> None:
    client = served.client
    assert client.add("third", "Laser").set_wavelength(1500.0) == 1500.0
    client.disconnect("third")
    with pytest.raises(DeviceUnavailable):
        client.device("third").set_wavelength(1500.0)
    client.connect("third")
    client.connect("third")
    assert client.device("third").wavelength() == 0.0
    client.remove("third")
    assert set(client.devices) == {"laser", "meter"}


def test_tasks_are_listed_started_inspected_paused_set_and_cancelled(served: Bench) -> None:
    client = served.client
    assert {"tune", "follow"} <= set(client.tasks)
    run = client.start("follow", laser="laser")
    running(client, run.id)
    assert [other.id for other in client.runs] == [run.id]
    assert run.describe()["devices"] == ["laser"]
    run.pause("coffee")
    run.resume()
    run.set(gain=5.0)
    assert run.result(PATIENCE) == 1505.0
    other = client.start("follow", laser="laser")
    running(client, other.id)
    other.cancel("enough")
    with pytest.raises(RunCancelled, match="enough"):
        other.result(PATIENCE)
    assert run.result(0) == 1505.0, "a cancel or a look after the end changes nothing"
    run.cancel()
    assert (run.state, run.result(0)) == (RunState.SUCCEEDED, 1505.0)


def test_errors_of_devices_and_tasks_are_told_with_type_origin_time_and_traceback(served: Bench) -> None:
    client = served.client
    before = time.time()
    answer = httpx.post(f"{client.url}/devices/laser/call/burn", json={}).json()
    assert (answer["type"], answer["origin"]) == ("ValueError", "device laser")
    assert answer["time"] >= before - 1
    assert "in burn" in answer["traceback"]
    run = client.start("fail", "laser")
    with pytest.raises(ValueError, match="too hot"):
        run.result(PATIENCE)
    told = httpx.get(f"{client.url}/runs/{run.id.replace('#', '%23')}/result").json()["error"]
    assert (told["type"], told["origin"]) == ("ValueError", f"run {run.id}")
    assert "in burn" in told["traceback"]


def test_what_is_unknown_in_the_way_or_wrong_is_404_409_422_and_says_what_there_is(served: Bench) -> None:
    client = served.client
    holding = [client.start("follow", name) for name in ("laser", "meter")]
    for run in holding:
        running(client, run.id)
    post = httpx.post(f"{client.url}/runs", json={"task": "tune", "args": ["laser", "meter", [1500]]})
    assert post.status_code == 409
    conflicts = {item["device"]: item["holder"] for item in post.json()["conflicts"]}
    assert conflicts == {"laser": holding[0].id, "meter": holding[1].id}
    with pytest.raises(LeaseTimeout, match=holding[0].id):
        client.start("tune", "laser", "meter", [1500.0])
    for path, body, status, said in (
        ("/devices/oven/call/heat", {}, 404, "laser, meter"),
        ("/devices/laser/call/heat", {}, 404, "set_wavelength"),
        ("/devices/laser/call/_private", {}, 404, "set_wavelength"),
        ("/devices/laser/call/set_wavelength", {"args": [1]}, 422, "1400"),
        ("/devices/laser/call/set_wavelength", {"argz": [1]}, 422, "argz"),
        ("/devices/laser/call/set_wavelength", {"args": [1500]}, 409, holding[0].id),
        ("/runs", {"task": "heat"}, 404, "tune"),
    ):
        answer = httpx.post(f"{client.url}{path}", json=body)
        assert (answer.status_code, said in answer.text) == (status, True), answer.text
    assert served.lab.device("laser").sent == []
    for run in holding:
        run.cancel()


def test_all_of_it_is_in_an_openapi_document(served: Bench) -> None:
    paths = httpx.get(f"{served.client.url}/openapi.json").json()["paths"]
    assert {"/health", "/devices", "/devices/{name}/call/{member}", "/tasks", "/runs", "/events"} <= set(paths)
    assert httpx.get(f"{served.client.url}/docs").status_code == 200


def test_attributes_properties_and_methods_are_those_of_the_service(served: Bench) -> None:
    laser: Any = served.client.device("laser")
    laser.power = 2.5
    assert (laser.power, laser.label) == (2.5, "laser of 2.5 mW")
    laser.label = "4"
    assert served.lab.device("laser").power == 4.0
    assert {"power", "label", "set_wavelength", "wavelength"} <= set(dir(laser))
    assert not [name for name in dir(laser) if name.startswith("_")]


def test_a_client_goes_on_when_its_server_was_started_again(lab: Lab) -> None:
    lab.add("laser", Laser)
    server = Server(lab, port=0).start()
    with Client(server.url, reconnect=PATIENCE) as client, ThreadPoolExecutor(1) as elsewhere:
        laser = client.device("laser", Laser)
        assert laser.set_wavelength(1500.0) == 1500.0
        server.stop()
        asked = elsewhere.submit(laser.wavelength)
        with Server(lab, port=int(server.url.rpartition(":")[2])):
            assert asked.result(PATIENCE) == 1500.0


# -- what went wrong there


def test_nothing_waits_for_a_device_that_hangs_or_a_task_that_holds_one(served: Bench) -> None:
    client, gate = served.client, served.gate
    with ThreadPoolExecutor(1) as elsewhere:
        hanging = elsewhere.submit(client.device("laser").hang)
        assert gate.begun.wait(PATIENCE)
        began = time.monotonic()
        assert client.health["open"]
        assert client.status("laser")["state"] == "busy"
        assert client.device("meter", Laser).set_wavelength(1500.0) == 1500.0
        assert client.start("follow", "meter").state is not RunState.FAILED
        assert time.monotonic() - began < PATIENCE / 2, "the health check waited for 1.4 s there"
        assert not hanging.done()
        gate.go.set()
        assert hanging.result(PATIENCE) is None
    for run in client.runs:
        run.cancel()


def test_reading_a_device_that_a_task_owns_is_answered_and_commands_name_the_owner(served: Bench) -> None:
    client = served.client
    run = client.start("coordinate", laser="laser")
    running(client, run.id)
    laser = client.device("laser", Laser)
    assert laser.wavelength() == 0.0
    with pytest.raises(DeviceBusy, match=r"is held by (coordinate|follow)#"):
        laser.set_wavelength(1500.0)
    with pytest.raises(DeviceBusy, match=r"is held by (coordinate|follow)#"):
        served.lab.device("laser").set_wavelength(1500.0)  # local code can't go around it
    run.cancel()
    with pytest.raises(RunCancelled):
        run.result(PATIENCE)
    assert laser.set_wavelength(1500.0) == 1500.0


def test_results_of_numpy_are_answered_now_and_when_they_are_asked_for_again(served: Bench) -> None:
    client = served.client
    run = client.start("tune", "laser", "meter", [1500.0, 1510.0])
    for _ in range(2):
        np.testing.assert_array_equal(run.result(PATIENCE), [3000.0, 3020.0])
    np.testing.assert_array_equal(client.device("laser").spectrum(), [1.0, np.nan])


def test_an_answer_without_a_body_keeps_the_connection(served: Bench) -> None:
    host, port = served.client.url.removeprefix("http://").split(":")
    body = json.dumps({"value": 3.0})
    with socket.create_connection((host, int(port)), PATIENCE) as connection, connection.makefile("rb") as answers:
        for _ in range(3):
            head = f"PUT /devices/laser/attributes/power HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n"
            connection.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n{body}".encode())
            assert answers.readline() == b"HTTP/1.1 204 No Content\r\n"
            headers = [line.lower() for line in iter(answers.readline, b"\r\n")]
            assert not any(line.startswith((b"content-length: ", b"transfer-encoding")) for line in headers)
        connection.sendall(f"GET /health HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
        assert answers.readline() == b"HTTP/1.1 200 OK\r\n"


def test_a_value_that_is_set_already_reaches_the_instrument_again(served: Bench) -> None:
    laser = served.client.device("laser", Laser)
    for _ in range(3):
        laser.set_wavelength(1500.0)
    assert served.lab.device("laser").sent == [1500.0] * 3


def test_private_members_can_not_be_reached_by_any_route(served: Bench) -> None:
    url = served.client.url
    answers = [
        httpx.post(f"{url}/devices/laser/call/_private", json={}),
        httpx.post(f"{url}/devices/laser/call/__init__", json={}),
        httpx.get(f"{url}/devices/laser/attributes/_gate"),
        httpx.put(f"{url}/devices/laser/attributes/_gate", json={"value": 1}),
        httpx.get(f"{url}/devices/laser/attributes/__dict__"),
        httpx.get(f"{url}/devices/laser/attributes/sent.__class__"),
    ]
    assert [answer.status_code for answer in answers] == [404] * len(answers)
