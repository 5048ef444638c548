"""Hold how parameters are bound: devices by name, everything else as its hint says."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

import pytest

from actorlab import ConfigError, Shared
from actorlab.cli.binding import Binding, Chosen, ChosenList, bind_parameters, split_parameters
from actorlab.task import as_task


class Oven: ...


class SmallOven(Oven): ...


class Lamp: ...


class Glows(Protocol):
    def glow(self) -> None: ...


class Side(enum.Enum):
    LEFT = "left"


@dataclass
class Point:
    x: float
    y: float


DEVICES = {"oven": Oven, "lamp": Lamp, "small": SmallOven}


def bound(function: Any, *given: str) -> Binding:
    return bind_parameters(as_task(function), split_parameters(list(given)), DEVICES)


def value(hint: Any, text: str) -> Any:
    def body(it: Any) -> None: ...

    body.__annotations__ = {"it": hint}
    return bound(body, f"it={text}").kwargs["it"]


@pytest.mark.parametrize(
    ("hint", "text", "expected"),
    [
        (float, "3", 3.0),
        (int, "-4", -4),
        (bool, "true", True),
        (bool, "no", False),
        (str, "300", "300"),
        (str, "true", "true"),
        (str, "a=b", "a=b"),
        (str, "", ""),
        (float | None, "null", None),
        (list[float], "300,320", [300.0, 320.0]),
        (list[float], "[300, 320]", [300.0, 320.0]),
        (list[float], "300", [300.0]),
        (list[float], "", []),
        (list[str], "a, b", ["a", "b"]),
        (tuple[float, ...], "1,2", (1.0, 2.0)),
        (tuple[int, str], "1,x", (1, "x")),
        (set[int], "1,2,2", {1, 2}),
        (dict[str, int], '{"a": 1}', {"a": 1}),
        (Path, "results/x", Path("results/x")),
        (Side, "left", Side.LEFT),
        (Literal["up", "down"], "up", "up"),
        (Point, '{"x": 1, "y": 2}', Point(1.0, 2.0)),
        (Any, "[1, 2]", [1, 2]),
        (Any, "some text", "some text"),
    ],
)
def test_a_text_is_read_as_the_hint_says(hint: Any, text: str, expected: Any) -> None:
    found = value(hint, text)
    assert found == expected
    assert type(found) is type(expected)


@pytest.mark.parametrize(
    ("hint", "text"),
    [(float, "warm"), (int, "1.5"), (list[float], "1,x"), (bool, "perhaps"), (Literal["up"], "down"), (Side, "right")],
)
def test_a_text_of_the_wrong_type_is_refused(hint: Any, text: str) -> None:
    with pytest.raises(ConfigError, match=rf"-p it={text}: body takes .+ for it: "):
        value(hint, text)


def test_devices_are_bound_by_name_and_values_keep_their_defaults() -> None:
    def body(oven: Oven, lamp: Shared[Lamp], kelvin: float = 300.0) -> None: ...

    assert bound(body).kwargs == {"oven": Chosen("oven"), "lamp": Chosen("lamp"), "kelvin": 300.0}
    assert bound(body).devices == ["oven", "lamp"]


def test_another_device_can_be_chosen_if_its_class_fits() -> None:
    def body(oven: Oven) -> None: ...

    assert bound(body, "oven=small").kwargs == {"oven": Chosen("small")}
    with pytest.raises(ConfigError, match="something of class Oven, but device 'lamp' is of class Lamp"):
        bound(body, "oven=lamp")


def test_a_list_of_devices_is_chosen_by_names() -> None:
    def body(ovens: list[Shared[Oven]]) -> None: ...

    binding = bound(body, "ovens=oven,small")
    assert binding.kwargs == {"ovens": ChosenList(("oven", "small"))}
    assert binding.resolved(str.upper) == ([], {"ovens": ["OVEN", "SMALL"]})


def test_a_parameter_without_a_hint_is_a_device_if_it_has_the_name_of_one() -> None:
    def body(oven: Any, number: Any) -> None: ...

    body.__annotations__.clear()

    assert bound(body, "number=3").kwargs == {"oven": Chosen("oven"), "number": 3}


def test_a_hint_that_says_data_is_believed_even_with_the_name_of_a_device() -> None:
    def body(lamp: float) -> None: ...

    assert bound(body, "lamp=3").kwargs == {"lamp": 3.0}


def test_a_protocol_takes_any_device() -> None:
    def body(lamp: Glows, other: Glows | None = None) -> None: ...

    assert bound(body).kwargs == {"lamp": Chosen("lamp"), "other": None}


def test_positional_only_parameters_are_bound_by_position() -> None:
    def body(oven: Oven, number: int = 3, /) -> None: ...

    assert bound(body).args == (Chosen("oven"), 3)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (("kelvins=3",), "body has no parameter 'kelvins'; did you mean 'kelvin'?"),
        (("kelvin",), "-p kelvin: write it as NAME=VALUE, such as -p kelvin=300"),
        (("kelvin=1", "kelvin=2"), "-p kelvin=2: kelvin is given twice"),
        ((), "body needs a value for kelvin (float): give it by -p kelvin=VALUE"),
        (("kelvin=1", "oven=ovn"), "the lab has none named 'ovn'; did you mean 'oven'. Add it to the lab's file"),
    ],
)
def test_what_is_missing_or_unknown_is_said(given: tuple[str, ...], said: str) -> None:
    def body(oven: Oven, kelvin: float) -> None: ...

    with pytest.raises(ConfigError) as caught:
        bound(body, *given)
    assert said in str(caught.value)


def test_a_device_that_the_lab_lacks_is_said() -> None:
    def body(camera: Glows) -> None: ...

    with pytest.raises(
        ConfigError, match=r"body needs a device for camera \(Glows\), and the lab has none named 'camera'; it has"
    ):
        bound(body)
