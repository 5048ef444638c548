"""A value of a wrong kind reaches no device; what Python's callers may give passes; a file's types are known."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import Any, Literal, cast

import httpx
import pytest

from actorlab import Client, ConfigError, Device, Lab
from actorlab.config import lab_from_yaml
from actorlab.server import Server


class Mode(Enum):
    """How it is tuned."""

    SLOW = "slow"
    FAST = "fast"


class Unknown:
    """A class that says nothing of JSON."""


class Tuner(Device):
    """A device that says what it was given."""

    gain: float = 1.0
    free = 0

    def __init__(self) -> None:
        self.calls = 0
        self._level: Any = 0

    def tune(self, to: float, times: int = 1, *, mode: Mode = Mode.SLOW, side: Literal["left", 2] = "left") -> float:
        """Tune it."""
        self.calls += 1
        del mode, side
        return to * times

    def scan(self, points: list[float], pair: tuple[int, str] = (1, "a"), **names: str | None) -> int:
        """Tune it here and there."""
        self.calls += 1
        del pair, names
        return len(points)

    def take(self, what: Unknown, auto: float = cast("float", None), *more: bool) -> str:
        """Take anything."""
        self.calls += 1
        del auto, more
        return type(what).__name__

    @property
    def level(self) -> float:
        """What it is set to is more than what it tells."""
        return float(self._level)

    @level.setter
    def level(self, value: float | Literal["max"]) -> None:
        self._level = value


@pytest.fixture
def url(lab: Lab) -> Any:
    """Serve it."""
    lab.add("tuner", Tuner)
    with Server(lab, port=0) as server:
        yield server.url


@pytest.mark.parametrize(
    ("method", "body", "field"),
    [
        ("tune", {"args": ["a"]}, "to"), ("tune", {"args": [None]}, "to"), ("tune", {"kwargs": {"to": [1]}}, "to"),
        ("tune", {"args": [1, 1.5]}, "times"), ("tune", {"args": [1], "kwargs": {"mode": "medium"}}, "mode"),
        ("tune", {"args": [1], "kwargs": {"side": "right"}}, "side"), ("scan", {"args": [1]}, "points"),
        ("scan", {"args": [[1, "a"]]}, "points"), ("scan", {"args": ["123"]}, "points"),
        ("scan", {"args": [[1], [1, "a", 2]]}, "pair"), ("scan", {"args": [[1], [1, 2]]}, "pair"),
        ("scan", {"args": [[1]], "kwargs": {"other": 1}}, "other"), ("take", {"args": [1, "a"]}, "auto"),
        ("take", {"args": [1, 1, True, 7]}, "args.3"),
    ],
)  # fmt: skip
def test_a_wrong_kind_is_refused_by_its_name_and_reaches_no_device(
    url: str, method: str, body: dict[str, Any], field: str
) -> None:
    for _ in range(2):  # the first call of a method is looked at in a thread, the next by the event loop
        answer = httpx.post(f"{url}/devices/tuner/call/{method}", json=body)
        assert (answer.status_code, list(answer.json()["fields"])) == (422, [f"tuner.{method}.{field}"])
        assert answer.json()["type"] == "TypeError"
    assert httpx.get(f"{url}/devices/tuner/attributes/calls").json() == {"result": 0}


def test_a_wrong_kind_is_refused_too_after_a_right_one(url: str) -> None:
    path = f"{url}/devices/tuner/call/tune"
    assert httpx.post(path, json={"args": [1500]}).json() == {"result": 1500}
    answer = httpx.post(path, json={"args": ["a"]})
    assert answer.status_code == 422
    assert answer.json()["fields"] == {"tuner.tune.to": "float is wanted, not 'a'"}


@pytest.mark.parametrize(
    ("method", "args", "kwargs"),
    [
        ("tune", [1], {}), ("tune", [1.5, 2.0], {}), ("tune", [True], {"mode": "fast", "side": 2}),
        ("tune", [1], {"mode": "FAST"}), ("scan", [(1, 2.5)], {"a": None, "b": "text"}), ("scan", [[]], {}),
        ("scan", [{1, 2}, [1, "b"]], {}), ("take", [{"a": 1}, None, True, 0], {}), ("take", ["text", 1], {}),
        ("take", [1], {"auto": None}),
    ],
)  # fmt: skip
def test_what_pythons_callers_give_passes(url: str, method: str, args: list[Any], kwargs: dict[str, Any]) -> None:
    with Client(url) as client:
        for _ in range(2):
            getattr(client.device("tuner"), method)(*args, **kwargs)


def test_what_is_no_plain_value_passes_for_anything(url: str) -> None:
    numpy, pint = pytest.importorskip("numpy"), pytest.importorskip("pint")
    with Client(url) as client:
        tuner: Any = client.device("tuner")
        assert tuner.tune(numpy.float64(2.5)) == 2.5
        assert tuner.scan(numpy.zeros(3)) == 3
        assert tuner.tune(pint.Quantity(2.0, "nm")).magnitude == 2.0


def test_an_attribute_takes_what_its_hint_says(url: str) -> None:
    def put(member: str, value: Any) -> int:
        answer = httpx.put(f"{url}/devices/tuner/attributes/{member}", json={"value": value})
        if answer.status_code == 422:
            assert list(answer.json()["fields"]) == [f"tuner.{member}"]
        return answer.status_code

    assert [put("gain", 2), put("gain", "2"), put("gain", None)] == [204, 422, 422]
    assert [put("level", "max"), put("level", 1), put("level", "min"), put("level", [])] == [204, 204, 422, 422]
    assert [put("free", "text"), put("free", [1])] == [204, 204]
    assert httpx.get(f"{url}/devices/tuner/attributes/gain").json() == {"result": 2}


def test_a_text_for_the_class_of_a_device_is_refused_clearly(url: str) -> None:
    with Client(url) as client:
        with pytest.raises(TypeError, match=r"'Tuner' is no class; .* client.device\('tuner'\)"):
            client.device("tuner", "Tuner")  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue, reportArgumentType]
        assert isinstance(client.device("tuner", Tuner), Tuner)


def test_the_classes_of_the_labs_file_can_be_added(tmp_path: Path) -> None:
    file = tmp_path / "lab.yaml"
    file.write_text("devices:\n  laser:\n    class: actorlab.simulation:Laser\n    address: bench:laser\n")
    with lab_from_yaml(file) as lab, Server(lab, port=0) as server, Client(server.url) as client:
        (place,) = [told["type"] for told in client.device_types if told["name"] == "Laser"]
        assert place.endswith(":Laser")
        client.remove("laser")
        client.ensure_device("again", "Laser", "bench:laser")
        assert client.device_types  # also when none of the file's devices is there any more
        client.remove("again")
        client.ensure_device("by_place", place, "bench:laser")
        assert list(client.status()) == ["by_place"]
        with pytest.raises(ConfigError, match=r"knows no type of device 'Meter'; it knows .*Laser"):
            client.add("meter", "Meter")
        with pytest.raises(ConfigError, match="knows no type"):
            client.add("meter", "actorlab.simulation:PowerMeter")
