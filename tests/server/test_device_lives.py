"""Devices are connected, disconnected, restarted, reset, added and removed through a server."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import pytest

from actorlab import (
    Client,
    ConfigError,
    DeviceBusy,
    DeviceConfig,
    DeviceUnavailable,
    Lab,
    NotAllowed,
    RestartPolicy,
    RunCancelled,
)
from actorlab.config import lab_from_yaml
from actorlab.server import Role, Server, Tokens, create_token

from .conftest import Served
from .test_server import until

PATIENCE = 5.0


class Meter:
    """A meter that some addresses lead to."""

    def __init__(self, address: str, gain: float = 1.0) -> None:
        if address != "here":
            message = f"nobody answers at {address}"
            raise ConnectionError(message)
        self._gain = gain

    def read(self) -> float:
        """Read it."""
        return 2 * self._gain


def test_a_device_is_disconnected_and_connected_again(client: Client) -> None:
    laser: Any = client.device("laser")
    client.disconnect("laser", "the cover is open")
    status = client.status("laser")
    assert (status["state"], status["why"]) == ("disconnected", "the cover is open (somebody on this machine)")
    with pytest.raises(DeviceUnavailable, match="connects it again"):
        laser.set_wavelength(1500)
    client.disconnect("laser")
    client.connect("laser")
    client.connect("laser")
    assert laser.set_wavelength(1500) == 1500


def test_nobody_changes_the_life_of_a_device_that_somebody_holds(served: Served, client: Client) -> None:
    run = client.start("wait_for_gain", "laser")
    until(lambda: client.status("laser")["holder"] == run.id)
    for path in ("disconnect", "restart"):
        answer = httpx.post(f"{served.url}/devices/laser/{path}")
        assert answer.status_code == 409, answer.text
        (conflict,) = answer.json()["conflicts"]
        assert (conflict["device"], conflict["holder"], conflict["run"]) == ("laser", run.id, run.id)
    answer = httpx.delete(f"{served.url}/devices/laser")
    assert (answer.status_code, answer.json()["conflicts"][0]["run"]) == (409, run.id)
    with pytest.raises(DeviceBusy, match=run.id):
        client.restart("laser")
    run.cancel()
    with pytest.raises(RunCancelled):
        run.result(PATIENCE)


def test_a_device_is_restarted_and_reset(client: Client) -> None:
    laser: Any = client.device("laser")
    laser.gain = 7.0
    client.restart("laser")
    assert laser.gain == 1.0
    assert client.status("laser")["restarts"] == 1
    client.reset("laser", force=True)
    assert laser.set_wavelength(1500) == 1500


class Flaky:
    """A device whose connection breaks."""

    def ping(self) -> None:
        message = "the cable is out"
        raise ConnectionError(message)


def test_the_last_error_is_told_and_cleared(lab: Lab) -> None:
    config = DeviceConfig(restart=RestartPolicy(delay=0.01, max_delay=0.01))
    lab.add("flaky", config(Flaky))
    with Server(lab, port=0) as server, Client(server.url) as client:
        assert client.last_error("flaky") is None
        flaky: Any = client.device("flaky")
        with pytest.raises(Exception, match="cable"):
            flaky.ping()
        until(lambda: client.status("flaky")["state"] == "idle")
        error = client.last_error("flaky")
        assert isinstance(error, ConnectionError)
        assert "the cable is out" in str(error)
        told = httpx.get(f"{server.url}/devices/flaky/error").json()["error"]
        assert (told["type"], told["origin"]) == ("ConnectionError", "device flaky")
        assert "test_device_lives.py" in told["traceback"]  # without tokens everybody is an admin
        client.clear_error("flaky")
        assert client.last_error("flaky") is None


@pytest.fixture
def stock(lab: Lab, client: Client) -> Client:
    """Let the lab know a type of devices."""
    lab.register(Meter)
    return client


def test_a_device_of_a_known_type_is_added_and_removed(stock: Client) -> None:
    (told,) = [known for known in stock.device_types if known["name"] == "Meter"]
    assert told["type"].endswith("test_device_lives:Meter")
    assert set(told["parameters"]["properties"]) == {"address", "gain"}
    meter: Any = stock.add("meter", "Meter", "here", gain=3.0)
    assert meter.read() == 6.0
    again: Any = stock.add("meter2", told["type"], "here")
    assert again.read() == 2.0
    stock.remove("meter")
    with pytest.raises(ConfigError, match="no device 'meter'; it has laser, meter2"):
        stock.status("meter")


REFUSED: list[tuple[dict[str, Any], int, str]] = [
    ({"name": "m", "type": "Metre"}, 404, "it knows Meter"),
    ({"name": "m", "type": "os:system", "args": ["true"]}, 404, "no type of device"),
    ({"name": "m", "type": "subprocess:Popen", "args": [["true"]]}, 404, "no type of device"),
    ({"name": "laser", "type": "Meter", "args": ["here"]}, 409, "already"),
    ({"name": "m", "type": "Meter"}, 422, "missing a required argument: 'address'"),
    ({"name": "m", "type": "Meter", "args": ["here"], "kwargs": {"volts": 1}}, 422, "volts"),
    ({"name": "m", "type": "Meter", "args": ["there"]}, 502, "nobody answers at there"),
    ({"name": "m"}, 404, "the lab's file has no device 'm'"),
    ({"name": "../m", "type": "Meter"}, 422, "name"),
]


def test_what_can_not_be_added_is_said_and_nothing_is_added(served: Served, stock: Client) -> None:
    for body, status, said in REFUSED:
        answer = httpx.post(f"{served.url}/devices", json=body)
        assert (answer.status_code, said in answer.json()["message"]) == (status, True), answer.text
    assert list(stock.status()) == ["laser"]


def test_only_an_admin_adds_removes_and_insists(lab: Lab, tmp_path: Path) -> None:
    roles: tuple[Role, ...] = ("operator", "admin")
    tokens = {role: create_token(tmp_path / "tokens.json", f"an {role}", role) for role in roles}
    lab.register(Meter)
    with Server(lab, port=0, tokens=Tokens.read(tmp_path / "tokens.json")) as server:
        with Client(server.url, token=tokens["admin"]) as admin:
            admin.add("meter", "Meter", "here")
        with Client(server.url, token=tokens["operator"]) as operator:
            for refused in (
                lambda: operator.add("more", "Meter", "here"), lambda: operator.remove("meter"),
                lambda: operator.reset("meter", force=True), lambda: operator.restart("meter", force=True),
            ):  # fmt: skip
                with pytest.raises(NotAllowed, match="needs admin"):
                    refused()
            assert list(operator.status()) == ["meter"]


def test_a_device_of_the_labs_file_is_removed_and_added_by_its_name(tmp_path: Path) -> None:
    file = tmp_path / "lab.yaml"
    file.write_text("devices:\n  laser:\n    class: actorlab.simulation:Laser\n    address: bench:laser\n")
    lab = lab_from_yaml(file)
    with Server(lab, port=0) as server, Client(server.url) as client:
        name = next(iter(client.status()))
        client.remove(name)
        client.add(name)
        assert list(client.status()) == [name]
    lab.close()
