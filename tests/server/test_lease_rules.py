"""Who may use, renew, give back and take away a lease; what is refused; and what a client can't do by accident."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from actorlab import (
    Client,
    ConfigError,
    DeviceBusy,
    Lab,
    LeaseLost,
    NotAllowed,
    ServerUnavailable,
    Shared,
    sleep,
    stream,
    task,
)
from actorlab.errors import text_of
from actorlab.server import Role, Server, Tokens, create_token
from tests.server.lease_programs import Instrument

PATIENCE = 5.0


class Gates:
    """What a test and an instrument tell each other."""

    def __init__(self) -> None:
        self.began = threading.Event()
        self.go_on = threading.Event()


class Gated(Instrument):
    """An instrument that stays at a call until it is let go."""

    def __init__(self, gates: Gates) -> None:
        super().__init__()
        self._gates = gates

    @stream
    def frames(self) -> Iterator[int]:
        """Yield pictures."""
        self.log.append("started")
        try:
            yield from range(10**9)
        finally:
            self.log.append("stopped")

    def stay(self) -> None:
        """Stay."""
        self._gates.began.set()
        self._gates.go_on.wait(PATIENCE)
        self.log.append("stayed")


@task
def look(laser: Shared[Instrument]) -> int:
    """Ask it something."""
    return len(laser.done())


@task
def rest(laser: Instrument) -> None:
    """Hold it."""
    laser.use("rest")
    sleep(60)


@pytest.fixture
def gates() -> Gates:
    return Gates()


@pytest.fixture
def lab(gates: Gates) -> Iterator[Lab]:
    made = Lab("test", cancel_grace=1.0)
    made.register(look, rest)
    made.add("laser", Gated, gates)
    made.add("meter", Instrument)
    yield made
    made.close()


@pytest.fixture
def client(lab: Lab) -> Iterator[Client]:
    with Server(lab, port=0) as server, Client(server.url, timeout=20) as made:
        yield made


@pytest.fixture
def people(lab: Lab, tmp_path: Path) -> Iterator[Callable[[str], Client]]:
    """Return what gives the client of somebody who has a token; the role is the end of the name."""
    file = tmp_path / "tokens.json"
    roles: dict[str, Role] = {"ada operator": "operator", "bob operator": "operator", "eve viewer": "viewer"}
    tokens = {name: create_token(file, name, role) for name, role in roles.items()}
    made: list[Client] = []
    with Server(lab, port=0, tokens=Tokens.read(file)) as server:

        def client_of(name: str) -> Client:
            made.append(Client(server.url, token=tokens[name], timeout=20))
            return made[-1]

        yield client_of
        for client in made:
            client.close()


def url(client: Client) -> str:
    return client._connection.url


def headers_of(client: Client, key: str) -> dict[str, str]:
    """Return what somebody says who has got hold of a key."""
    return {**client._connection._headers, "Actorlab-Lease": key}


def test_only_who_has_acquired_a_lease_uses_renews_and_gives_it_back(people: Callable[[str], Client]) -> None:
    ada, bob, eve = (people(name) for name in ("ada operator", "bob operator", "eve viewer"))
    with ada.lease("laser", label="aligning") as lease:
        assert lease.id.startswith("lease-ada-operator#")
        path = f"{url(bob)}/leases/{lease.id.replace('#', '%23')}"
        stolen, guessed = headers_of(bob, lease._key), headers_of(ada, f"{lease.id}:guessed")
        for headers in (stolen, guessed):
            for answer in (
                httpx.post(f"{path}/renew", headers=headers),
                httpx.delete(path, headers=headers),
                httpx.post(f"{url(bob)}/devices/laser/call/use", json={"args": ["?"]}, headers=headers),
                httpx.post(f"{url(bob)}/runs", json={"task": "look", "args": ["laser"]}, headers=headers),
            ):
                assert (answer.status_code, answer.json()["type"]) == (403, "NotAllowed"), answer.text
        assert httpx.post(f"{path}/renew", headers=headers_of(ada, lease._key)).json()["expires_in"] == lease.ttl
        with pytest.raises(DeviceBusy, match="held by lease-ada-operator#"):
            bob.device("laser").use("?")
        (told,) = eve.leases["leases"]
        assert (told["by"], told["label"], told["devices"]) == ("ada operator", "aligning", ["laser"])
        assert lease._key not in str(eve.leases)
        with pytest.raises(NotAllowed, match="needs operator"):
            eve.revoke(lease.id)
        with pytest.raises(NotAllowed, match="needs operator"):
            eve.lease("meter").__enter__()
    assert ada.device("laser").done() == []


def test_another_operator_takes_a_lease_away_and_it_is_said_who(people: Callable[[str], Client]) -> None:
    ada, bob = people("ada operator"), people("bob operator")
    lease = ada.lease("laser").__enter__()
    assert bob.revoke(lease.id, "fire drill")["ended"]
    laser: Any = ada.device("laser")
    with pytest.raises(LeaseLost, match="bob operator revoked it: fire drill"):
        laser.use("?")
    with pytest.raises(LeaseLost, match="fire drill"):
        lease.__exit__(None, None, None)


NONSENSE: list[tuple[dict[str, Any], int, str]] = [
    ({}, 422, "name each device once"),
    ({"devices": ["laser", "laser"]}, 422, "name each device once"),
    ({"devices": ["laser"], "shared": ["laser"]}, 422, "name each device once"),
    ({"devices": ["lase"]}, 404, "no device 'lase'; it has laser, meter"),
    ({"devices": ["laser"], "ttl": 0.1}, 422, "ttl"),
    ({"devices": ["laser"], "ttl": 1e9}, 422, "ttl"),
    ({"devices": ["laser"], "ttl": "NaN"}, 422, "ttl"),
    ({"devices": ["laser"], "timeout": -1}, 422, "timeout"),
    ({"devices": ["laser"], "timeout": 1e9}, 422, "timeout"),
    ({"devices": ["laser"], "label": "x" * 100}, 422, "label"),
    ({"devices": ["laser"] * 2000}, 422, "devices"),
    ({"devices": [["laser"]]}, 422, "devices"),
    ({"devices": ["laser"], "ttl_": 3}, 422, "ttl_"),
]


def test_nonsense_is_refused_and_changes_nothing(client: Client) -> None:
    for body, status, says in NONSENSE:
        answer = httpx.post(f"{url(client)}/leases", json=body)
        assert (answer.status_code, says in answer.json()["message"]) == (status, True), answer.text
    assert client.leases["leases"] == []


def test_a_key_that_opens_nothing_is_refused(client: Client) -> None:
    path = f"{url(client)}/devices/laser/call/use"
    with client.lease("meter"):
        for key in ("", ":", "lease#77:x", "lease#1", "../..", "x" * 5000, "lease#1:\N{SNOWMAN}"):
            answer = httpx.post(path, json={"args": ["?"]}, headers={b"Actorlab-Lease": key.encode()})
            assert answer.status_code in {403, 409}, answer.text
            assert answer.json()["type"] in {"LeaseLost", "NotAllowed"}
    assert client.device("laser").done() == []


def test_a_lease_that_is_not_there_is_said(client: Client) -> None:
    for method, path, status in (("GET", "/leases/x", 404), ("POST", "/leases/x/revoke", 404),
                                 ("POST", "/leases/x/renew", 409), ("DELETE", "/leases/x", 409)):  # fmt: skip
        assert httpx.request(method, url(client) + path).status_code == status
    with client.lease("laser") as lease:
        path = f"{url(client)}/leases/{lease.id.replace('#', '%23')}"
        assert httpx.post(f"{path}/renew").status_code == 403, "it needs its key"
        assert httpx.get(path).json()["state"] == "running"
    assert httpx.get(path).json()["state"] == "succeeded"
    again = httpx.delete(path, headers={"Actorlab-Lease": lease._key})
    assert (again.status_code, again.json()["ended"]) == (200, True), "who hasn't heard the answer may ask again"


def test_a_block_that_fails_has_its_devices_made_safe_and_its_own_error_comes_out(client: Client) -> None:
    laser: Any = client.device("laser")
    with pytest.raises(ZeroDivisionError), client.lease("laser"):
        _ = laser.use("hot") or 1 / 0
    assert laser.done() == ["hot", "safe"]


def test_a_lease_that_an_emergency_stop_has_ended_is_lost(client: Client) -> None:
    with pytest.raises(LeaseLost, match="fire"), client.lease("laser", "meter"):
        client.emergency_stop("fire")
    client.rearm()
    assert client.device("laser").done() == ["safe", "safe"]


def test_a_lease_is_entered_once(client: Client) -> None:
    lease = client.lease("laser")
    with lease, pytest.raises(ConfigError, match=f"{lease.id} was entered before"), lease:
        pass
    with pytest.raises(ConfigError, match="entered before"):
        lease.__enter__()
    assert client.leases["leases"] == []


def test_shared_devices_are_shared_and_only_asked(client: Client) -> None:
    with client.lease(shared=("laser",)), Client(url(client)) as other, other.lease(shared=("laser",)):
        assert client.device("laser").done() == []
        assert len(client.leases["devices"]["laser"]) == 2
        assert other.run("look", "laser") == 0
        with pytest.raises(Exception, match="only shared"):
            client.device("laser").use("?")
        outside = httpx.post(f"{url(client)}/leases", json={"devices": ["laser"]})
        assert [conflict["holder"] for conflict in outside.json()["conflicts"]] == ["lease#1", "lease#2"]


def test_other_threads_of_the_program_use_the_lease_only_by_its_own_devices(client: Client) -> None:
    with client.lease("laser") as lease, ThreadPoolExecutor(1) as pool:
        theirs, ours = client.device("laser"), lease.device("laser")
        with pytest.raises(DeviceBusy):
            pool.submit(theirs.use, "?").result(PATIENCE)
        pool.submit(ours.use, "mine").result(PATIENCE)
    with pytest.raises(LeaseLost):
        ours.use("too late")
    assert client.device("laser").done() == ["mine"]


def test_a_stream_that_a_lease_has_started_ends_with_it(client: Client) -> None:
    camera: Any = client.device("laser")
    with client.lease("laser"), Client(url(client)) as other:
        with pytest.raises(DeviceBusy):
            next(iter(other.device("laser").frames()))
        seen = iter(camera.frames())
        assert next(seen).value >= 0
        other_one = iter(other.device("laser").frames())
        assert next(other_one).value >= 0, "one that runs is heard by others as well"
    assert camera.done() == ["started", "stopped"]
    with pytest.raises(LeaseLost, match="given back"):
        list(seen)


def test_a_client_that_leaves_in_the_middle_of_a_call_stops_nothing(client: Client, gates: Gates) -> None:
    with client.lease("laser") as lease:
        with socket.create_connection(("127.0.0.1", int(url(client).rpartition(":")[2])), PATIENCE) as connection:
            request = (
                "POST /devices/laser/call/stay HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 2\r\n"
                f"Content-Type: application/json\r\nActorlab-Lease: {lease._key}\r\n\r\n{{}}"
            )
            connection.sendall(request.encode())
            assert gates.began.wait(PATIENCE)
        gates.go_on.set()
        assert client.device("laser").done() == ["stayed"]


def test_who_cannot_reach_the_server_for_longer_than_the_term_knows_it_without_asking(lab: Lab) -> None:
    with Server(lab, port=0) as server, Client(server.url, timeout=20, reconnect=0.0) as client:
        lease = client.lease("laser", ttl=1.5).__enter__()
        laser: Any = client.device("laser")
        server.stop()
        assert lab.device("laser").done() == ["safe"], "nobody could renew it any more"
        answers = [outcome_of(laser)]
        while answers[-1] == "ServerUnavailable":
            answers.append(outcome_of(laser))
        assert f"LeaseLost: {lease.id} may have expired: no renewal has reached http://127.0.0.1" in answers[-1]
        assert "can't be reached" in answers[-1], "it says what was in the way"
        with pytest.raises(LeaseLost):
            lease.__exit__(None, None, None)


def outcome_of(laser: Any) -> str:
    """Use a laser, and return what that raises."""
    try:
        laser.use("?")
    except ServerUnavailable:
        return "ServerUnavailable"
    except LeaseLost as lost:
        return text_of(lost)
    return "it was used"


def test_runs_in_a_lease_are_cancelled_when_it_is_lost_and_waited_for_when_it_is_given_back(client: Client) -> None:
    lease = client.lease("laser").__enter__()
    run = client.start("rest", "laser")
    client.revoke(lease.id, "enough")
    assert run.state == "cancelled"
    with pytest.raises(LeaseLost, match="enough"):
        lease.__exit__(None, None, None)
    with client.lease("laser"):
        run = client.start("rest", "laser")
        run.cancel()
    assert run.done(), "the devices are given back when the runs inside have ended"
