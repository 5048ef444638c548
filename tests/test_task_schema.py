"""Hold that a task's JSON Schema says what it takes: values as pydantic reads them, and devices by their names."""

from __future__ import annotations

import enum
import importlib
import inspect
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Protocol, SupportsFloat, Union

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field, TypeAdapter, ValidationError

from actorlab.device import Device, DeviceConfig
from actorlab.discovery.device_hints import is_device_class
from actorlab.discovery.schema import schema_of, schema_of_making
from actorlab.quantities import Range, Unit
from actorlab.shared import Shared
from actorlab.task import task, workflow

if TYPE_CHECKING:
    from pathlib import PurePath as OnlyForTypeCheckers

jsonschema: Any = importlib.import_module("jsonschema")  # it has no types

Kelvin = Annotated[float, Unit("K"), Range(4, 400)]


class Oven(Device): ...


class Laser:
    """Derive from nothing, as a driver may."""


@dataclass
class Stage(Device):
    address: str = "COM1"
    steps: int = 3


class Glows(Protocol):
    def glow(self) -> None: ...


@dataclass
class Point:
    x: float
    y: float = 0.0


class Mode(enum.Enum):
    CONTINUOUS = "cw"
    PULSED = "pulse"


def schema(function: Callable[..., Any]) -> dict[str, Any]:
    """Describe a function as a task, and see that this is JSON in the strict sense, and a valid schema."""
    found = schema_of(task(function))
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    jsonschema.Draft202012Validator.check_schema(found)
    return found


def of_hint(hint: Any) -> dict[str, Any]:
    def body(it: Any) -> None: ...

    body.__annotations__ = {"it": hint}
    found: dict[str, Any] = schema(body)["properties"]["it"]
    return found


def device(kind: type, **more: Any) -> dict[str, Any]:
    return {"type": "string", "device": kind.__name__, "class": f"{__name__}:{kind.__qualname__}"} | more


def test_a_schema_tells_parameters_defaults_units_limits_and_what_is_required() -> None:
    def sweep(
        oven: Oven, kelvin: Kelvin, points: int = 3, *, mode: Mode = Mode.PULSED, note: str | None = None
    ) -> None:
        """Sweep the oven.

        Slowly.
        """

    assert schema(sweep) == {
        "title": "sweep",
        "description": "Sweep the oven.",
        "type": "object",
        "properties": {
            "oven": device(Oven, shared=False),
            "kelvin": {"type": "number", "unit": "K", "minimum": 4, "maximum": 400},
            "points": {"type": "integer", "default": 3},
            "mode": {"enum": ["cw", "pulse"], "title": "Mode", "type": "string", "default": "pulse"},
            "note": {"anyOf": [{"type": "string"}, {"type": "null"}], "default": None},
        },
        "required": ["oven", "kelvin"],
        "additionalProperties": False,
    }


def test_what_the_author_says_of_a_parameter_is_told() -> None:
    def body(power: Annotated[float, Field(description="what the laser gives", gt=0), Unit("mW")]) -> None: ...

    assert schema(body)["properties"]["power"] == {
        "type": "number", "exclusiveMinimum": 0, "description": "what the laser gives", "unit": "mW",
    }  # fmt: skip


def test_a_task_has_its_own_name_and_a_workflow_is_described_alike() -> None:
    @workflow(name="the whole")
    def whole(oven: Oven) -> None: ...

    assert (schema_of(whole)["title"], schema_of(whole)["description"]) == ("the whole", "")
    assert schema_of(whole)["properties"] == {"oven": device(Oven, shared=False)}


@pytest.mark.parametrize(
    ("hint", "expected"),
    [
        (Oven, device(Oven, shared=False)),
        (Laser, device(Laser, shared=False)),
        (Stage, device(Stage, shared=False)),
        (Glows, device(Glows, shared=False)),
        (Shared[Oven], device(Oven, shared=True)),
        (Shared[Point], device(Point, shared=True)),
        (Laser | None, {"anyOf": [device(Laser), {"type": "null"}], "shared": False}),
        (Shared[Stage] | None, {"anyOf": [device(Stage), {"type": "null"}], "shared": True}),
        (Oven | Laser, {"anyOf": [device(Oven), device(Laser)], "shared": False}),
        (Shared[Oven] | Laser, {"anyOf": [device(Oven), device(Laser)], "shared": False}),
        (list[Oven], {"type": "array", "items": device(Oven), "shared": False}),
        (Shared[list[Oven]], {"type": "array", "items": device(Oven), "shared": True}),
        (list[Shared[Oven]], {"type": "array", "items": device(Oven), "shared": True}),
        (Sequence[Glows], {"type": "array", "items": device(Glows), "shared": False}),
        (tuple[Oven, ...], {"type": "array", "items": device(Oven), "shared": False}),
        (dict[str, Laser], {"type": "object", "additionalProperties": device(Laser), "shared": False}),
        (Mapping[str, list[Oven]],
         {"type": "object", "additionalProperties": {"type": "array", "items": device(Oven)}, "shared": False}),
    ],
)  # fmt: skip
def test_devices_stand_in_a_schema_by_name_and_class(hint: Any, expected: dict[str, Any]) -> None:
    found = of_hint(hint)
    assert found == expected
    assert (found["shared"] is True) == task(with_hint(hint)).definition.shares("it")


def with_hint(hint: Any) -> Callable[..., Any]:
    def body(it: Any) -> None: ...

    body.__annotations__ = {"it": hint}
    return body


@pytest.mark.parametrize(
    "hint",
    [int, str, Path, Point, Mode, Any, object, list[float], Literal["a"], None, npt.NDArray[np.float64], np.ndarray,
     npt.ArrayLike, SupportsFloat, Callable[[int], str], Kelvin, list[Kelvin], type[Oven], 3],
)  # fmt: skip
def test_data_is_no_device(hint: Any) -> None:
    assert "device" not in json.dumps(of_hint(hint))


def test_several_devices_may_be_taken_by_place_or_name() -> None:
    def body(*ovens: Shared[Oven], **lasers: Laser) -> None: ...

    found = schema(body)
    assert found["properties"] == {"ovens": {"type": "array", "items": device(Oven), "shared": True}}
    assert found["additionalProperties"] == device(Laser, shared=False)
    assert found["required"] == []


def test_a_parameter_or_a_field_that_is_called_device_is_none() -> None:
    @dataclass
    class Settings:
        device: str
        type: Literal["string"] = "string"

    def body(device: Settings) -> None: ...

    body.__annotations__["device"] = Settings
    assert "shared" not in json.dumps(schema(body))


def test_what_has_no_hint_may_be_anything() -> None:
    namespace: dict[str, Any] = {}
    exec("def body(it, other=3): ...", namespace)  # noqa: S102 - checkers would have hints in a function here
    assert schema(namespace["body"])["properties"] == {"it": {}, "other": {"default": 3}}


def test_names_that_only_type_checkers_know_are_given_as_they_stand() -> None:
    def body(one: OnlyForTypeCheckers, two: Shared[OnlyForTypeCheckers], three: int = 3) -> None: ...

    body.__annotations__["three"] = "no hint at all"
    found = schema(body)["properties"]
    assert found["one"] == {"description": "OnlyForTypeCheckers"}
    assert found["two"] == {"type": "string", "device": "OnlyForTypeCheckers", "shared": True}
    assert found["three"]["default"] == 3


def test_a_hint_that_may_share_or_not_isnt_said_to_share() -> None:
    namespace: dict[str, Any] = {}
    exec("def body(it: 'nowhere.Shared[Oven]'): ...", namespace)  # noqa: S102
    assert not schema(namespace["body"])["properties"]["it"].get("shared")


def test_what_has_no_signature_takes_anything() -> None:
    assert schema_of(task(print))["title"] == "print"
    assert schema_of(task(type("Odd", (), {"__call__": 3})))["type"] == "object"


def test_anything_that_can_be_called_is_described() -> None:
    class Sweep:
        def __call__(self, oven: Oven, points: int = 2) -> None: ...

        def run(self, laser: Laser) -> None: ...

    assert list(schema_of(task(Sweep()))["properties"]) == ["oven", "points"]
    assert schema_of(task(Sweep().run))["properties"] == {"laser": device(Laser, shared=False)}


def test_what_a_device_is_made_with_is_described_too() -> None:
    class Made(Device):
        """Make it so."""

        def __init__(self, address: str, oven: Oven, *, kelvin: Kelvin = 300) -> None: ...

    def make(address: str) -> Oven:
        raise NotImplementedError(address)

    found = schema_of_making(Made)
    assert (found["title"], found["description"], found["required"]) == ("Made", "Make it so.", ["address", "oven"])
    assert found["properties"]["kelvin"] == {
        "type": "number",
        "unit": "K",
        "minimum": 4,
        "maximum": 400,
        "default": 300,
    }
    assert schema_of_making(make)["properties"] == {"address": {"type": "string"}}
    assert schema_of_making(Oven)["properties"] == {}
    assert list(schema_of_making(Stage)["properties"]) == ["address", "steps"]
    assert DeviceConfig(timeout=3)(Oven) is not Oven


def test_classes_of_devices_are_told_from_data() -> None:
    assert all(map(is_device_class, (Oven, Laser, Stage, Glows)))
    assert not any(
        map(is_device_class, (int, Point, Mode, np.ndarray, Any, None, "Oven", list[Oven], inspect.Parameter.empty))
    )


# Properties

PLAIN_HINTS: list[tuple[Any, st.SearchStrategy[Any]]] = [
    (int, st.integers(-(2**60), 2**60)),
    (float, st.floats(allow_nan=False, allow_infinity=False)),
    (str, st.text()),
    (bool, st.booleans()),
    (None, st.none()),
    (Literal["a", 3], st.sampled_from(["a", 3])),
    (Mode, st.sampled_from(Mode)),
    (Point, st.builds(Point, st.floats(-9, 9), st.floats(-9, 9))),
]


def generic(kind: Any, *inner: Any) -> Any:
    """Put hints into another."""
    return kind[inner[0] if len(inner) == 1 else inner]


def deeper(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Build containers and unions of hints, each with a strategy for its values."""
    return st.one_of(
        inner.map(lambda it: (generic(list, it[0]), st.lists(it[1], max_size=3))),
        inner.map(lambda it: (generic(dict, str, it[0]), st.dictionaries(st.text(), it[1], max_size=3))),
        st.tuples(inner, inner).map(
            lambda two: (generic(tuple, two[0][0], two[1][0]), st.tuples(two[0][1], two[1][1]))
        ),
        inner.map(lambda it: (generic(Union, it[0], None), st.none() | it[1])),
        inner.map(lambda it: (generic(Annotated, it[0], Unit("m")), it[1])),
    )


HINTS_AND_VALUES = st.recursive(st.sampled_from(PLAIN_HINTS), deeper, max_leaves=4)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-99, 99) | st.floats(-9, 9) | st.sampled_from(["a", "cw", "b", "x", "y"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("xyab"), inner, max_size=3),
    max_leaves=4,
)


def accepts(found: dict[str, Any], **arguments: Any) -> bool:
    return bool(jsonschema.Draft202012Validator(found).is_valid(arguments))


@given(st.data(), HINTS_AND_VALUES)
def test_each_value_of_a_hint_is_written_as_its_schema_says(data: st.DataObject, hinted: tuple[Any, Any]) -> None:
    hint, values = hinted
    value = data.draw(values)
    adapter: TypeAdapter[Any] = TypeAdapter(hint)
    written = adapter.dump_json(value)
    found = schema(with_hint(hint))
    assert accepts(found, it=json.loads(written))
    assert not accepts(found)
    assert not accepts(found, it=json.loads(written), other=1)
    assert adapter.validate_json(written) == value


@given(HINTS_AND_VALUES, JSON)
def test_what_a_schema_accepts_pydantic_reads(hinted: tuple[Any, Any], value: Any) -> None:
    hint, _ = hinted
    adapter: TypeAdapter[Any] = TypeAdapter(hint)
    if accepts(schema(with_hint(hint)), it=value):
        adapter.validate_json(json.dumps(value))
    else:
        with pytest.raises(ValidationError):
            adapter.validate_json(json.dumps(value), strict=True)


@given(HINTS_AND_VALUES)
def test_data_is_described_as_pydantic_does(hinted: tuple[Any, Any]) -> None:
    plainly = TypeAdapter(hinted[0]).json_schema()
    if "enum" not in json.dumps(plainly) and "properties" not in json.dumps(plainly):  # those stand in other places
        assert {**of_hint(hinted[0]), "unit": ""} == {**plainly, "unit": ""}


@given(
    st.floats(-99, 99) | st.none(), st.floats(0, 99) | st.none(), st.floats(-200, 200, allow_nan=False),
    st.sampled_from([lambda hint: hint, lambda hint: generic(list, hint), lambda hint: generic(Union, hint, None)]),
)  # fmt: skip
def test_limits_are_those_of_the_range(least: float | None, width: float | None, value: float, around: Any) -> None:
    most = None if width is None else (least or 0) + width
    limits = Range(least, most)
    found = schema(with_hint(around(Annotated[float, limits])))
    within = accepts(found, it=[value] if around(float) == list[float] else value)
    assert within == (value in limits)
    assert math.isfinite(value)


@given(st.lists(st.sampled_from(["x", "y", "z"]), unique=True), st.sets(st.sampled_from("xyz")))
def test_what_has_no_default_is_required(names: list[str], given_names: set[str]) -> None:
    parameters = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=1 if name == "z" else inspect.Parameter.empty)
        for name in names
    ]

    def body(**kwargs: object) -> None: ...

    body.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]  # as inspect has it
    try:
        inspect.signature(body).bind(**dict.fromkeys(given_names, 1))
    except TypeError:
        fits = False
    else:
        fits = True
    assert accepts(schema(body), **dict.fromkeys(given_names, 1)) == fits


def test_a_class_with_a_run_is_described_by_what_it_is_made_with() -> None:
    class Sweep:
        """Sweep the oven."""

        def __init__(self, oven: Shared[Oven], kelvin: Kelvin, points: int = 3) -> None: ...

        def run(self) -> None: ...

    found = schema(Sweep)
    assert found["description"] == "Sweep the oven."
    assert found["properties"]["oven"] == device(Oven, shared=True)
    assert found["properties"]["kelvin"]["maximum"] == 400
    assert found["required"] == ["oven", "kelvin"]
