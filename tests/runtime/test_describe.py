"""A description says what can be asked of a driver, is plain JSON, and touches nothing but the class."""

from __future__ import annotations

import enum
import functools
import json
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Annotated, Any, ClassVar, Final, Literal, Self, TypeVar, overload

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from actorlab.device import Device, query
from actorlab.quantities import Range, ReadBack, Unit, checker_of
from actorlab.runtime.describe import describe_class

ARRAY: Final = np.array([1.0])
T = TypeVar("T")


class Mode(enum.Enum):
    CONTINUOUS = "CW"
    PULSED = "PULSE"


class Odd(enum.Enum):
    A = Decimal(1)
    B = object()


@dataclass
class Settings:
    speed: Annotated[float, Unit("nm/s"), Range(0, 100)]
    trace: np.ndarray[Any, Any]
    after: Settings | None = None


def describe(cls: type, **options: Any) -> dict[str, Any]:
    """Describe a class, and see that it is JSON in the strict sense."""
    given_: dict[str, Any] = {
        "is_query": lambda _, reads: reads,
        "hooks": {},
        "extra_members": frozenset(),
    } | options
    found = describe_class(cls, **given_)
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    return found


def members(cls: type, **options: Any) -> dict[str, Any]:
    found: dict[str, Any] = describe(cls, **options)["members"]
    return found


def parameter(hint: Any) -> dict[str, Any]:
    """Describe a parameter of a method."""

    class Driver:
        def method(self, value: Any) -> None: ...

    Driver.method.__annotations__ = {"value": hint}
    found: dict[str, Any] = members(Driver)["method"]["parameters"]["properties"]["value"]
    return found


class Laser(Device):
    """Tune a laser,
    and switch it.

    A second paragraph.
    """

    wavelength: Annotated[float, Unit("nm"), Range(1500, 1600), ReadBack("wavelength")] = 1550.0
    mode: Mode = Mode.PULSED
    MODEL: ClassVar[str] = "L1"
    not_set_yet: Annotated[float, Unit("s")]

    def set_power(
        self, power: Annotated[float, Unit("mW"), Range(0, 10)], mode: Mode = Mode.PULSED, *, wait: bool = True
    ) -> Annotated[float, Unit("mW")]:
        """Set the power.

        In milliwatts.
        """
        return power if wait and mode is Mode.PULSED else 0

    @property
    def temperature(self) -> Annotated[float, Unit("degC")]:
        """The temperature of the diode."""
        pytest.fail("it was evaluated")

    @property
    def gain(self) -> float:
        pytest.fail("it was evaluated")

    @gain.setter
    def gain(self, value: Annotated[float, Range(min=1)]) -> None:
        pytest.fail(f"it was set to {value}")

    def _private(self) -> None: ...


def logged(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def inner(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    return inner


class Kinds:
    @staticmethod
    def static(x: int) -> None: ...

    @classmethod
    def of_class(cls, x: int) -> None: ...

    @logged
    def wrapped(self, x: int) -> None:
        """Say what it does."""

    @overload
    def overloaded(self, x: int) -> None: ...
    @overload
    def overloaded(self, x: str) -> None: ...
    def overloaded(self, x: int | str) -> None: ...

    def _two(self, y: str, x: int) -> None: ...

    partial = functools.partialmethod(_two, "y")
    function = functools.partial(int, "11")

    @functools.singledispatchmethod
    def single(self, x: int) -> None: ...

    async def later(self, x: int) -> None: ...


# -- the class


def test_a_class_is_described_by_name_module_text_and_hooks() -> None:
    found = describe(Laser, hooks={"make_safe": "shutdown"})
    assert found["class"] == "Laser"
    assert found["module"] == Laser.__module__
    assert found["doc"] == "Tune a laser, and switch it."
    assert found["hooks"] == {"make_safe": "shutdown"}


def test_the_public_members_are_described_also_those_of_the_object() -> None:
    found = members(Laser, extra_members=frozenset({"channels", "_hidden", "gain"}))
    hooks = {"connect", "disconnect", "make_safe"}
    own = {"wavelength", "mode", "MODEL", "not_set_yet", "set_power", "temperature", "gain", "channels"}
    assert set(found) == hooks | own
    assert found["channels"] == {
        "kind": "attribute", "doc": "", "query": True, "schema": {}, "readable": True, "writable": True,
    }  # fmt: skip


# -- methods


def test_a_method_is_described_by_its_parameters_and_what_it_returns() -> None:
    assert members(Laser)["set_power"] == {
        "kind": "method",
        "doc": "Set the power.",
        "query": False,
        "parameters": {
            "type": "object",
            "properties": {
                "power": {"type": "number", "unit": "mW", "minimum": 0, "maximum": 10},
                "mode": {"title": "Mode", "type": "string", "enum": ["CW", "PULSE"], "default": "PULSE"},
                "wait": {"type": "boolean", "default": True},
            },
            "required": ["power"],
            "additionalProperties": False,
        },
        "returns": {"type": "number", "unit": "mW"},
    }


def test_its_owner_says_what_is_a_query() -> None:
    asked: list[tuple[str, bool]] = []

    def is_query(name: str, reads: bool) -> bool:
        asked.append((name, reads))
        return name == "set_power"

    found = members(Laser, is_query=is_query)
    assert found["set_power"]["query"] is True
    assert found["gain"]["query"] is False
    assert ("set_power", False) in asked
    assert ("gain", True) in asked


def test_members_that_are_marked_have_a_kind_of_their_own() -> None:
    class Camera:
        @query
        def frames(self, rate: float) -> Iterator[int]:
            raise NotImplementedError

        def other(self) -> None: ...

    kinds = members(Camera, kind_of=lambda static: "stream" if static is Camera.frames else None)
    assert kinds["frames"]["kind"] == "stream"
    assert kinds["frames"]["parameters"]["required"] == ["rate"]
    assert kinds["other"]["kind"] == "method"


def test_every_kind_of_method_is_described_without_its_object() -> None:
    found = members(Kinds)
    assert {member["kind"] for member in found.values()} == {"method"}
    for name in set(found) - {"function", "overloaded"}:
        assert found[name]["parameters"]["properties"] == {"x": {"type": "integer"}}, name
    assert found["overloaded"]["parameters"]["properties"]["x"]["anyOf"] == [{"type": "integer"}, {"type": "string"}]
    assert found["function"]["parameters"]["type"] == "object"
    assert found["function"]["doc"] == ""
    assert found["wrapped"]["doc"] == "Say what it does."


def test_further_arguments_are_described() -> None:
    class Driver:
        def method(self, *values: int, **others: str) -> None: ...

    assert members(Driver)["method"]["parameters"] == {
        "type": "object",
        "properties": {"values": {"type": "array", "items": {"type": "integer"}}},
        "required": [],
        "additionalProperties": {"type": "string"},
    }


# -- types


@pytest.mark.parametrize(
    ("hint", "schema"),
    [
        (float, {"type": "number"}),
        (None, {"type": "null"}),
        (Any, {}),
        (T, {}),
        (Literal["a", 1], {"enum": ["a", 1]}),
        (np.ndarray, {"description": "numpy.ndarray"}),
        (Device, {"description": "actorlab.device.Device"}),
        (type[Device], {"description": "type[actorlab.device.Device]"}),
        (Callable[[int], int], {"description": "callable"}),
        (float | np.ndarray, {"anyOf": [{"type": "number"}, {"description": "numpy.ndarray"}]}),
        (Mode | None, {"anyOf": [{"enum": ["CW", "PULSE"], "title": "Mode", "type": "string"}, {"type": "null"}]}),
        (Odd, {"description": "Odd", "enum": ["A", "B"], "title": "Odd"}),
        (5, {"description": "5"}),
        ("Nowhere | None", {"description": "Nowhere | None"}),
        ("list[Nowhere", {"description": "list[Nowhere"}),
        (Self, {"description": "Self"}),
        ("Annotated[Nowhere, Unit('V')]", {"description": "Annotated[Nowhere, Unit('V')]", "unit": "V"}),
    ],
)
def test_a_type_is_described_as_json_schema_or_by_its_text(hint: Any, schema: dict[str, Any]) -> None:
    assert parameter(hint) == schema


def test_a_wrong_hint_that_pydantic_stumbles_over_is_described_by_its_text() -> None:
    assert parameter(np.array)["description"]  # a function for a type, as some drivers have it


def test_an_array_with_a_unit_is_described_with_it() -> None:
    found = parameter(Annotated[npt.NDArray[np.float64], Unit("V"), Range(-1, 1)])
    assert found == {"description": "numpy.ndarray", "unit": "V", "minimum": -1, "maximum": 1}


def test_limits_stand_where_the_numbers_are() -> None:
    found = parameter(Annotated[list[float], Unit("V"), Range(max=5)])
    assert found["items"] == {"type": "number", "maximum": 5}
    assert found["unit"] == "V"
    voltage: Any = Annotated[float, Unit("V"), Range(0, 5)]
    assert parameter(voltage | None)["unit"] == "V"
    assert parameter(voltage | None)["anyOf"][0] == {"type": "number", "unit": "V", "minimum": 0, "maximum": 5}
    assert parameter(dict[str, voltage])["additionalProperties"]["maximum"] == 5
    assert parameter(Annotated[voltage, Range(-3, 3)])["minimum"] == 0
    assert parameter(Annotated[voltage, Range(-3, 3)])["maximum"] == 3


def test_what_is_returned_may_have_several_units() -> None:
    class Meter:
        def both(self) -> tuple[Annotated[float, Unit("V")], Annotated[float, Unit("A")]]:
            raise NotImplementedError

    assert [item["unit"] for item in members(Meter)["both"]["returns"]["prefixItems"]] == ["V", "A"]


def test_the_fields_of_dataclasses_are_described_and_references_lead_to_them() -> None:
    class Driver:
        def method(self, first: Settings, *others: Settings, **named: list[Settings]) -> Settings:
            raise NotImplementedError

    found = members(Driver)["method"]
    for root in (found["parameters"], found["returns"]):
        references = re_references(root)
        assert references
        for reference in references:
            target: Any = root
            for step in reference.removeprefix("#/").split("/"):
                target = target[step]
            assert target["properties"]["speed"]["unit"] == "nm/s"
            assert target["properties"]["trace"]["description"] == "numpy.ndarray"


def re_references(schema: Any) -> list[str]:
    """Return all references in a schema."""
    if isinstance(schema, dict):
        own = [schema["$ref"]] if "$ref" in schema else []
        return own + [found for part in schema.values() for found in re_references(part)]
    return [found for part in schema for found in re_references(part)] if isinstance(schema, list) else []


def test_defaults_that_json_does_not_have_are_left_out_or_written_as_text() -> None:
    endless: list[Any] = []
    endless.append(endless)

    class Driver:
        array = ARRAY
        endless_list = endless

        def method(
            self, a: Any = ARRAY, b: float = math.nan, c: Any = object, d: Any = (1, None), e: Any = endless
        ) -> None: ...

    found = members(Driver)
    schema = found["method"]["parameters"]
    assert schema["required"] == []
    defaults = {name: item.get("default", "-") for name, item in schema["properties"].items()}
    assert defaults == {"a": "-", "b": "nan", "c": "-", "d": [1, None], "e": "-"}
    assert found["array"]["schema"] == {}


# -- attributes


def test_attributes_and_properties_are_described() -> None:
    found = members(Laser)
    assert found["wavelength"] == {
        "kind": "attribute",
        "doc": "",
        "query": True,
        "schema": {"type": "number", "unit": "nm", "minimum": 1500, "maximum": 1600, "default": 1550.0},
        "readable": True,
        "writable": True,
    }
    assert found["temperature"]["schema"] == {"type": "number", "unit": "degC"}
    assert found["temperature"]["doc"] == "The temperature of the diode."
    assert found["gain"]["schema"] == {"type": "number", "minimum": 1}
    assert found["mode"]["schema"]["enum"] == ["CW", "PULSE"]
    assert found["mode"]["schema"]["default"] == "PULSE"
    assert found["MODEL"]["schema"] == {"type": "string", "default": "L1"}
    assert found["not_set_yet"]["schema"] == {"type": "number", "unit": "s"}


def test_it_is_said_what_can_be_read_and_written() -> None:
    class Slots:
        __slots__ = ("slot",)
        Nested = Mode

        @property
        def read_only(self) -> int:
            raise NotImplementedError

        write_only = property(None, lambda *_: None)

        @functools.cached_property
        def cached(self) -> float:
            raise NotImplementedError

    found = members(Slots)
    access = {name: (member["readable"], member["writable"]) for name, member in found.items()}
    assert access == {
        "slot": (True, True),
        "read_only": (True, False),
        "write_only": (False, True),
        "cached": (True, True),
        "Nested": (True, False),
    }
    assert found["cached"]["schema"] == {"type": "number"}


def test_an_attribute_without_a_hint_is_of_its_values_type() -> None:
    class Driver:
        channels = 4
        name: Final = "x"
        other = Decimal(1)

    found = members(Driver)
    assert found["channels"]["schema"] == {"type": "integer", "default": 4}
    assert found["name"]["schema"] == {"type": "string", "default": "x"}
    assert found["other"]["schema"] == {}


def test_what_overrides_without_a_text_has_the_text_of_what_it_overrides() -> None:
    class Special(Laser):
        def set_power(self, *args: Any, **kwargs: Any) -> float:
            raise NotImplementedError

    assert members(Special)["set_power"]["doc"] == "Set the power."
    assert describe(Special)["doc"] == ""


# -- strange classes


class Trap:
    """Fail the test when it is asked for anything."""

    def __getattribute__(self, name: str) -> Any:
        pytest.fail(f"it was asked for {name}")

    def __get__(self, target: object, owner: type) -> Any:
        pytest.fail("it was evaluated")

    def __set__(self, target: object, value: object) -> None:
        pytest.fail("it was evaluated")


class Remote:
    """A callable that answers for any name."""

    def __getattr__(self, name: str) -> Any:
        pytest.fail(f"it was asked for {name}")

    def __call__(self, x: int) -> None: ...


class Meta(type):
    @property
    def of_the_class(cls) -> int:
        pytest.fail("it was evaluated")

    def __getattr__(cls, name: str) -> Any:
        pytest.fail(f"it was asked for {name}")


def test_nothing_is_evaluated_to_describe_a_strange_class() -> None:
    class Strange(metaclass=Meta):
        trap = Trap()
        remote = Remote()
        unsigned = dict.get
        wrong: Nowhere  # type: ignore[name-defined]  # noqa: F821  # pyright: ignore[reportUndefinedVariable]
        __annotations__["5"] = 5

        def __init__(self) -> None:
            pytest.fail("it was made")

        def __getattr__(self, name: str) -> Any:
            pytest.fail(f"it was asked for {name}")

        @property
        def shown(self) -> int:
            pytest.fail("it was evaluated")

    found = members(Strange)
    assert set(found) == {"trap", "remote", "unsigned", "wrong", "shown", "5"}
    assert found["trap"]["writable"] is True
    assert found["remote"]["parameters"]["properties"] == {"x": {"type": "integer"}}
    assert found["wrong"]["schema"] == {"description": "Nowhere"}


@pytest.mark.parametrize("cls", [int, dict, np.ndarray, type, object, Exception, Mode, memoryview, np.random.Generator])
def test_classes_written_in_c_are_described(cls: type) -> None:
    assert describe(cls)["class"] == cls.__qualname__


def test_a_signature_that_raises_is_described_as_unknown() -> None:
    class Broken:
        def method(self) -> None: ...

        method.__signature__ = "nonsense"  # type: ignore[attr-defined]  # the mistake

    assert members(Broken)["method"]["parameters"] == {"type": "object"}


# -- laws


@given(st.floats(allow_nan=False, allow_infinity=False), st.floats(0, 100), st.floats(allow_nan=False))
def test_the_schema_takes_what_the_check_lets_pass(low: float, width: float, value: float) -> None:
    jsonschema: Any = pytest.importorskip("jsonschema")

    class Driver:
        def method(self, value: float) -> None: ...

    Driver.method.__annotations__ = {"value": Annotated[float, Unit("V"), Range(low, low + width)]}
    schema = members(Driver)["method"]["parameters"]
    validator = jsonschema.Draft202012Validator(schema)
    validator.check_schema(schema)
    checker = checker_of(Driver.method)
    assert checker is not None
    try:
        checker.check("x", (value,), {})
    except ValueError:
        assert not validator.is_valid({"value": value})
    else:
        assert validator.is_valid({"value": value})


@pytest.mark.parametrize("cls", [Laser, Device])
def test_every_schema_is_one(cls: type) -> None:
    jsonschema: Any = pytest.importorskip("jsonschema")
    for member in members(cls).values():
        for name in ("schema", "parameters", "returns"):
            jsonschema.Draft202012Validator.check_schema(member.get(name, {}))
