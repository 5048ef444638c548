"""Clients hear the streams of a lab's devices: arrays as arrays, each at its own pace, as far as they may."""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from actorlab import (
    ActorLabError,
    Client,
    ConfigError,
    Device,
    DeviceBusy,
    Lab,
    LeaseLost,
    NotAllowed,
    query,
    sleep,
    stream,
)
from actorlab.server import Role, Server, Tokens, create_token

PATIENCE = 5.0
Array = np.ndarray[Any, np.dtype[np.int64]]


class Camera(Device):
    """A camera that counts how often it was started and stopped."""

    def __init__(self) -> None:
        self.started = 0
        self.stopped = 0

    @stream
    def frames(self, side: int, count: int = 10**9) -> Iterator[Array]:
        """Yield pictures, each of the number it has."""
        self.started += 1
        try:
            for number in range(count):
                yield np.full((side, side), number)
                sleep(0.001)
        finally:
            self.stopped += 1

    @query
    @stream
    def levels(self) -> Iterator[float]:
        """Yield what isn't an array."""
        while True:
            yield 0.5
            sleep(0.001)

    @query
    @stream
    def odd(self) -> Iterator[object]:
        """Yield what is no data."""
        yield 1
        sleep(0.01)
        yield {"lock": [threading.Lock]}

    @query
    @stream
    def broken(self) -> Iterator[int]:
        """Fail soon."""
        yield 1
        message = "no light"
        raise LookupError(message)


def until(true: Callable[[], bool]) -> None:
    """Ask again and again whether something is so."""
    end = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < end
        threading.Event().wait(0.005)


def hold(camera: Camera, gate: threading.Event) -> None:
    """Hold a camera."""
    del camera
    while not gate.is_set():
        sleep(0.01)


def take(camera: Camera, gate: threading.Event) -> int:
    """Hold a camera, and have its stream run."""
    for item in camera.frames(2):
        if gate.is_set():
            return item.sequence
    return 0


@pytest.fixture
def camera(lab: Lab) -> Camera:
    return lab.add("camera", Camera)


def test_arrays_arrive_as_arrays_and_the_stream_ends_with_the_last_who_listens(
    served: Any, camera: Camera, client: Client
) -> None:
    del served
    for frames in (client.stream("camera", "frames", 3), client.device("camera").frames(side=3)):
        heard: list[Any] = []
        items = iter(frames)
        heard.extend(next(items) for _ in range(5))
        close(items)
        assert [np.array_equal(item.value, np.full((3, 3), item.sequence)) for item in heard] == [True] * 5
        assert heard[0].value.dtype == np.int64
        heard[0].value[0, 0] = 7  # it is one's own
        assert [item.dropped - heard[0].dropped for item in heard] == [
            item.sequence - heard[0].sequence - at for at, item in enumerate(heard)
        ]
        assert abs(heard[0].time.timestamp() - time.time()) < 60
        del frames
        until(lambda: camera.stopped == camera.started)
    assert camera.started == 2
    assert [item.value for item, _ in zip(client.stream("camera", "levels"), range(3), strict=False)] == [0.5] * 3
    assert [item.sequence for item in client.stream("camera", "frames", 2, count=4)][-1] == 3  # it ends


def test_all_clients_share_what_is_heard_of_a_stream(served: Any, camera: Camera, client: Client) -> None:
    one, other = iter(client.stream("camera", "frames", 2)), iter(client.stream("camera", "frames", 2))
    assert next(one).value.shape == next(other).value.shape == (2, 2)
    assert served.server._desk.relays.heard == 1
    assert camera.started == 1
    close(one)
    assert next(other).value.shape == (2, 2)
    assert camera.stopped == 0
    close(other)
    until(lambda: camera.stopped == 1)


def close(items: Any) -> None:
    items.close()


def test_a_slow_client_gets_the_newest_and_hears_how_many_it_has_lost(
    served: Any, camera: Camera, client: Client
) -> None:
    del camera
    items = iter(client.stream("camera", "frames", 300).buffered(2))
    first = next(items)
    until(lambda: served.server._desk.relays.told("camera", "frames") > 100)  # more than what fits in between
    heard = [first] + [next(items) for _ in range(100)]
    close(items)
    last = heard[-1]
    assert last.dropped > 0
    assert last.sequence - first.sequence == len(heard) - 1 + last.dropped - first.dropped


def test_a_lost_connection_is_made_anew_and_what_was_missed_is_counted(
    served: Any, camera: Camera, client: Client
) -> None:
    keeping = iter(client.stream("camera", "frames", 2))  # so that the stream goes on
    next(keeping)
    frames = client.stream("camera", "frames", 2)
    items = iter(frames)
    first = next(items)
    last = first
    for _ in range(3):
        for hearing in list(frames._hearing):
            assert hearing._live is not None
            hearing._live.cut()
        last = [next(items) for _ in range(20)][-1]
    assert last.sequence > first.sequence
    assert camera.started == 1
    assert served.server._desk.relays.heard == 1
    close(items)
    close(keeping)


def test_a_held_device_is_not_started_by_a_client_and_the_holder_is_named(
    served: Any, lab: Lab, camera: Camera, client: Client
) -> None:
    gate = threading.Event()
    run = lab.start(hold, camera, gate)
    until(lambda: bool(lab.status("camera").holder))
    with pytest.raises(DeviceBusy, match="hold#1"):
        next(iter(client.stream("camera", "frames", 2)))
    url = f"{served.url}/devices/camera/streams/frames"
    answer = httpx.get(url, params={"arguments": '{"side": 2}'})
    assert (answer.status_code, answer.json()["conflicts"][0]["holder"]) == (409, run.id)
    assert next(iter(client.stream("camera", "levels"))).value == 0.5  # a query is for everybody
    gate.set()
    run.result(PATIENCE)
    assert camera.started == 0
    gate.clear()
    taking = lab.start(take, camera, gate)
    until(lambda: camera.started == 1)
    assert next(iter(client.stream("camera", "frames", 2))).value.shape == (2, 2)  # what runs is heard by all
    gate.set()
    taking.result(PATIENCE)


def hear_in_a_lease(lab: Lab, camera: Camera, client: Client, other: Client) -> None:
    """Hear a camera in the name of a lease, which is revoked in the end."""
    with client.lease("camera") as lease:
        items = iter(client.device("camera").frames(2))
        assert next(items).value.shape == (2, 2)
        assert next(iter(other.stream("camera", "frames", 2))).value.shape == (2, 2)  # what runs is heard by all
        close(items)
        until(lambda: camera.stopped == 1)
        with pytest.raises(DeviceBusy):
            next(iter(other.stream("camera", "frames", 2)))
        items = iter(client.stream("camera", "frames", 2))
        next(items)
        lab.revoke(lease.id, "enough")
        with pytest.raises(LeaseLost):
            list(items)


def test_who_holds_a_lease_starts_the_streams_of_its_devices_and_they_end_with_it(
    served: Any, lab: Lab, camera: Camera, client: Client
) -> None:
    with Client(served.url) as other, pytest.raises(LeaseLost, match="enough"):  # as the block ends
        hear_in_a_lease(lab, camera, client, other)
    until(lambda: camera.stopped == 2)


def hear_to_the_end_of_the_lab(lab: Lab, client: Client) -> None:
    with client.lease("camera"):
        items = iter(client.device("camera").frames(2))
        next(items)
        lab.close()
        list(items)


def test_the_end_of_the_lab_ends_the_streams_of_leases(served: Any, lab: Lab, camera: Camera, client: Client) -> None:
    del camera
    with pytest.raises(ActorLabError):
        hear_to_the_end_of_the_lab(lab, client)
    until(lambda: served.server._desk.relays.heard == 0)


def test_what_ends_a_stream_is_told(served: Any, camera: Camera, client: Client) -> None:
    del served, camera
    with pytest.raises(LookupError, match="no light"):
        list(client.stream("camera", "broken"))
    with pytest.raises(Exception, match="odd"):
        list(client.stream("camera", "odd"))
    for wrong in (client.stream("camera", "nonsense"), client.stream("camera", "_frames"), client.stream("lamp", "x")):
        with pytest.raises(ConfigError, match="has no"):
            list(wrong)
    with pytest.raises(TypeError):
        list(client.stream("camera", "frames", colour="red"))


def test_streams_are_server_sent_events_too(served: Any, camera: Camera) -> None:
    url = f"{served.url}/devices/camera/streams"
    with httpx.stream(
        "GET", f"{url}/frames", params={"arguments": '{"side": 2, "count": 3}'}, timeout=PATIENCE
    ) as found:
        text = found.read().decode()
    items = [json.loads(line.removeprefix("data: ")) for line in text.splitlines() if line.startswith("data: ")]
    assert [item.get("sequence") for item in items] == [0, 1, 2, None]
    assert items[0]["value"]["shape"] == [2, 2]
    assert items[-1] == {"error": None}
    with httpx.stream("GET", f"{url}/broken", timeout=PATIENCE) as found:
        assert "no light" in found.read().decode()
    assert httpx.get(f"{url}/nonsense").status_code == 404
    for wrong in ("[]", "{", '{"side": {}, "colour": 1}', "5"):
        assert httpx.get(f"{url}/frames", params={"arguments": wrong}).status_code == 422
    stranger = httpx.get(f"{url}/levels", headers={"Sec-Fetch-Site": "cross-site"})
    assert stranger.status_code == 403
    assert camera.started == 1


# -- what is said on the WebSocket


def live(url: str, **more: Any) -> ClientConnection:
    made: ClientConnection = connect(f"{url.replace('http', 'ws', 1)}/live", open_timeout=PATIENCE, **more)
    return made


def said(socket: ClientConnection, told: Any = None) -> dict[str, Any]:
    """Say something, and hear the next message."""
    if told is not None:
        socket.send(told if isinstance(told, (str, bytes)) else json.dumps(told))
    found: dict[str, Any] = json.loads(socket.recv(PATIENCE))
    return found


def test_events_are_subscribed_to_and_unsubscribed_from(served: Any, lab: Lab) -> None:
    with live(served.url) as socket:
        first = said(socket, {"id": "a", "subscribe": "events", "kinds": ["device", "emit"]})
        assert (first["id"], first["events"][0]["kind"]) == ("a", "snapshot")
        assert said(socket, {"id": "a", "unsubscribe": True}) == {"id": "a", "ended": True, "error": None}
        assert "no subscription" in said(socket, {"id": "a", "unsubscribe": True})["error"]["message"]
        lab.run(sum, [1])
        again = {"id": "b", "subscribe": "events", "subjects": ["sum*"], "last_event_id": first["last_event_id"]}
        told = said(socket, again)
        while told["events"][-1]["data"]["state"] != "succeeded":
            told = said(socket)
        assert told["last_event_id"].rpartition("-")[0] == first["last_event_id"].rpartition("-")[0]
        assert said(socket, {"id": "c", "subscribe": "log", "run": "nonsense#1"})["error"]["type"] == "ConfigError"


@pytest.mark.parametrize(
    "nonsense",
    [
        "", "x", "[]", "5", "null", "{}", b"\xff\xfe", "[" * 100_000, {"id": 1, "subscribe": "nonsense"},
        {"id": [], "subscribe": "events"}, {"id": 1, "subscribe": "events", "more": 1},
        {"id": 1, "subscribe": "stream", "device": "x"}, {"id": 1, "subscribe": "log", "run": "x", "newest": 10**30},
        {"id": "x" * 101, "subscribe": "events"},
    ],
)  # fmt: skip
def test_what_is_not_understood_is_answered_and_nothing_ends(served: Any, nonsense: Any) -> None:
    with live(served.url) as socket:
        assert "isn't understood" in said(socket, nonsense)["error"]["message"]
        assert said(socket, {"id": 1, "subscribe": "events"})["id"] == 1
        assert "already" in said(socket, {"id": 1, "subscribe": "events"})["error"]["message"]


def test_one_client_may_not_subscribe_for_ever(served: Any) -> None:
    with live(served.url) as socket:
        for number in range(100):
            socket.send(json.dumps({"id": number, "subscribe": "events", "kinds": ["nothing"]}))
        told = [said(socket) for _ in range(100)]
        assert "enough" in said(socket, {"id": "more", "subscribe": "events"})["error"]["message"]
        assert {one["id"] for one in told} == set(range(100))
    until(lambda: served.server._desk.broadcast.clients == 0)


def test_messages_of_great_size_end_the_connection_only(served: Any) -> None:
    with live(served.url) as socket:
        socket.send("x" * 3_000_000)
        with pytest.raises(ConnectionClosed):
            socket.recv(PATIENCE)
    assert httpx.get(f"{served.url}/health").status_code == 200


# -- who may


@pytest.fixture
def guarded(lab: Lab, camera: Camera, tmp_path: Path) -> Iterator[tuple[str, dict[Role, str]]]:
    """Serve a lab to those who have a token."""
    del camera
    roles: tuple[Role, ...] = ("viewer", "operator")
    tokens: dict[Role, str] = {role: create_token(tmp_path / "tokens.json", role, role) for role in roles}
    with Server(lab, port=0, tokens=Tokens.read(tmp_path / "tokens.json")) as server:
        yield server.url, tokens


def test_who_asks_is_said_by_a_header_or_first_of_all(
    guarded: tuple[str, dict[Role, str]], caplog: pytest.LogCaptureFixture
) -> None:
    url, tokens = guarded
    asked = {"id": 1, "subscribe": "events"}
    with caplog.at_level(logging.DEBUG):
        with live(url, additional_headers={"Authorization": f"Bearer {tokens['viewer']}"}) as socket:
            assert said(socket, asked)["id"] == 1
        with live(url) as socket:
            socket.send(json.dumps({"token": tokens["viewer"]}))
            assert said(socket, asked)["id"] == 1
        for nobody in (asked, {"token": "wrong-secret"}, {"token": 5}, {"token": tokens["viewer"], "more": 1}, "x"):
            with live(url) as socket:
                assert said(socket, nobody)["error"]["type"] == "NotAllowed"
                with pytest.raises(ConnectionClosed) as caught:
                    said(socket, asked)
                assert caught.value.rcvd is not None
                assert caught.value.rcvd.code == 1008
        for headers in ({"Authorization": "Bearer wrong-secret"}, {"Origin": "http://elsewhere"}):
            with pytest.raises(InvalidStatus) as refused:
                live(url, additional_headers=headers)
            assert refused.value.response.status_code in {401, 403}
    logged = "".join(
        record.getMessage() for record in caplog.records if not record.name.startswith("websockets.client")
    )
    assert "nobody is let in" in logged
    assert tokens["viewer"] not in logged
    assert "wrong-secret" not in logged


def test_who_may_only_look_starts_no_stream_and_keeps_none(
    guarded: tuple[str, dict[Role, str]], lab: Lab, camera: Camera
) -> None:
    url, tokens = guarded
    with Client(url, token=tokens["viewer"]) as viewer, Client(url, token=tokens["operator"]) as operator:
        for name in ("frames", "levels"):
            args = [2] if name == "frames" else []
            with pytest.raises(ActorLabError, match="may not start it"):
                list(viewer.stream("camera", name, *args))
        assert camera.started == 0
        running = iter(operator.stream("camera", "frames", 2))
        next(running)
        looking = iter(viewer.stream("camera", "frames", 2))
        assert next(looking).value.shape == (2, 2)
        close(running)
        until(lambda: camera.stopped == 1)
        assert list(looking)[-1:] is not None  # it ends
    with Client(url) as nobody, pytest.raises(NotAllowed):
        list(nobody.stream("camera", "frames", 2))
    assert not lab.status("camera").holder


def test_the_server_stops_with_streams_open(lab: Lab, camera: Camera) -> None:
    server = Server(lab, port=0).start()
    with live(server.url) as socket, Client(server.url) as client, client.stream("camera", "frames", 300) as frames:
        items = iter(frames)
        next(items)
        said(socket, {"id": 1, "subscribe": "events"})
        began = time.monotonic()
        server.stop()
        assert time.monotonic() - began < 8.0
        close(items)
    until(lambda: camera.stopped == camera.started == 1)
