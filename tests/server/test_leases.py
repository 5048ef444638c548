"""Devices are leased to clients of a server, who keep them only as long as they are there."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from actorlab import Client, Device, DeviceBusy, Lab, LeaseLost, LeaseTimeout, NotLeased, query, sleep, task
from actorlab.server import Server

PATIENCE = 5.0


class Laser(Device):
    """A laser that writes down what is done to it."""

    def __init__(self) -> None:
        self.log: list[str] = []
        self.came = threading.Event()

    def set_power(self, milliwatts: float) -> float:
        self.log.append(f"power {milliwatts:g}")
        return milliwatts

    @query
    def done(self) -> list[str]:
        return list(self.log)

    def wait(self, seconds: float) -> None:
        self.came.set()
        sleep(seconds)

    def make_safe(self) -> None:
        self.log.append("safe")


@task
def ramp(laser: Laser, top: int) -> int:
    """Raise the power."""
    for power in range(top):
        laser.set_power(power)
    return top


@task
def stay(laser: Laser) -> None:
    """Hold it."""
    del laser
    sleep(60)


@pytest.fixture
def lab() -> Iterator[Lab]:
    made = Lab("test", cancel_grace=1.0)
    made.register(ramp, stay)
    made.add("laser", Laser)
    made.add("meter", Laser)
    yield made
    made.close()


@pytest.fixture
def url(lab: Lab) -> Iterator[str]:
    with Server(lab, port=0) as server:
        yield server.url


@pytest.fixture
def ada(url: str) -> Iterator[Client]:
    with Client(url, timeout=20) as client:
        yield client


@pytest.fixture
def bob(url: str) -> Iterator[Client]:
    with Client(url, timeout=20) as client:
        yield client


def device(client: Client, name: str = "laser") -> Any:
    return client.device(name)


def test_a_lease_keeps_others_from_commanding_and_names_its_holder(ada: Client, bob: Client) -> None:
    mine, others = device(ada), device(bob)
    with ada.lease("laser", label="aligning") as lease:
        assert mine.set_power(1) == 1
        with pytest.raises(DeviceBusy, match=f"held by {lease.id}"):
            others.set_power(2)
        assert others.done() == ["power 1"], "queries are answered"
        with pytest.raises(LeaseTimeout, match=f"laser, held by {lease.id}"):
            bob.lease("laser", timeout=0).__enter__()
        with pytest.raises(LeaseTimeout, match=rf"held by {lease.id}; it gave up after 0.05 s"):
            bob.lease("laser", timeout=0.05).__enter__()
    assert others.set_power(3) == 3
    assert others.done() == ["power 1", "power 3"], "it was given back well, so nothing was made safe"


def test_a_conflict_says_who_holds_it_since_when_and_who_waits(url: str, ada: Client, bob: Client) -> None:
    with ada.lease("laser") as lease:
        refused = httpx.post(f"{url}/leases", json={"devices": ["meter", "laser"]})
        (conflict,) = refused.json()["conflicts"]
        assert (refused.status_code, conflict["device"]) == (409, "laser")
        assert (conflict["holder"], conflict["run"], conflict["queue"]) == (lease.id, lease.id, [])
        since = bob.leases["devices"]["laser"][0]["since"]
        assert abs(conflict["since"] - since) < 0.01
    assert bob.leases == {"leases": [], "devices": {"laser": [], "meter": []}}


def test_a_task_in_a_lease_borrows_its_devices(ada: Client) -> None:
    laser = device(ada)
    with ada.lease("laser"):
        assert ada.run("ramp", laser="laser", top=2) == 2
        laser.set_power(5)
        with pytest.raises(NotLeased, match="meter"):
            ada.start("ramp", laser="meter", top=1)
    assert laser.done() == ["power 0", "power 1", "power 5"]


def test_who_holds_something_is_answered_at_once_if_it_asks_for_more(ada: Client, bob: Client) -> None:
    with ada.lease("laser"), bob.lease("meter"):
        with pytest.raises(LeaseTimeout, match="can't begin at once"):
            ada.lease("meter", timeout=60).__enter__()
        with pytest.raises(LeaseTimeout, match="can't begin at once"):
            bob.lease("laser", timeout=60).__enter__()
    with ada.lease("laser"), ada.lease("meter", timeout=60):
        assert device(ada, "meter").set_power(1) == 1
        assert device(ada).set_power(1) == 1


def test_a_client_that_is_silent_loses_its_lease_and_the_device_is_made_safe_before_the_next_one(
    ada: Client, bob: Client
) -> None:
    mine = device(ada)
    lost = ada.lease("laser", ttl=1.5)
    lost.__enter__()
    mine.set_power(1)
    lost._over.set()  # its program stands still
    with bob.lease("laser", timeout=PATIENCE):
        assert device(bob).set_power(2) == 2
        assert device(bob).done() == ["power 1", "safe", "power 2"]
        refused = httpx.post(
            f"{ada._connection.url}/devices/laser/call/set_power", json={"args": [9]},
            headers={"Actorlab-Lease": lost._key},
        )  # fmt: skip
        assert (refused.status_code, refused.json()["type"]) == (409, "LeaseLost")
        assert "wasn't renewed within its 1.5 s" in refused.json()["message"]
        with pytest.raises(LeaseLost, match=f"{lost.id} may have expired"):
            mine.set_power(3)
    with pytest.raises(LeaseLost):
        lost.__exit__(None, None, None)


def test_a_lease_that_is_taken_away_is_lost_at_the_next_call_and_at_the_end_of_its_block(
    ada: Client, bob: Client
) -> None:
    with pytest.raises(LeaseLost, match="somebody on this machine revoked it: I need it"):  # noqa: SIM117, PT012
        with ada.lease("laser") as lease:
            told = bob.revoke(lease.id, "I need it")
            assert (told["ended"], told["safe"]) == (True, ["laser"])
            with pytest.raises(LeaseLost, match=f"{lease.id} lost its lease at .*: somebody on this machine revoked"):
                device(ada).set_power(1)
    assert device(bob).done() == ["safe"]
