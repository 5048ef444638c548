"""A form is made of what a task says of its parameters, and what is filled in becomes values or plain complaints."""

from __future__ import annotations

import enum
import inspect
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actorlab import Lab, Range, Shared, Unit, task
from actorlab.dashboard.fitting import fitting_devices
from actorlab.dashboard.form_kinds import (
    Anything,
    Choice,
    DeviceChoice,
    Either,
    Flag,
    Kind,
    Listed,
    Number,
    Words,
    shown,
)
from actorlab.dashboard.form_kinds import parsed as parsed_as
from actorlab.dashboard.forms import Field, Form, form_of, no_devices
from actorlab.dashboard.placing import placed
from actorlab.dashboard.start import rehearsed, started


class Laser:
    """A laser."""


class Oven:
    """An oven."""


class Mode(enum.Enum):
    FAST = "fast"
    SLOW = "slow"


@dataclass
class Point:
    x: float
    y: int = 3


@task
def measure(
    laser: Laser,
    lasers: list[Laser],
    stove: Shared[Oven],
    nanometres: Annotated[float, Unit("nm"), Range(1000, 1600)],
    mode: Mode,
    side: Literal["left", "right"] = "left",
    averaged: bool = True,  # noqa: FBT002 - a task's own way
    times: int = 3,
    limit: float | None = None,
    kelvins: tuple[float, ...] = (300.0, 320.0),
    pair: tuple[int, str] = (1, "a"),
    point: Point | None = None,
    gains: dict[str, float] = {},  # noqa: B006 - a task's own way
    folder: Path = Path("somewhere"),
    anything: Any = 3,
    mixed: int | str = "a",
    sample: str = "sample 3",
) -> None:
    """Measure something."""


@pytest.fixture(scope="module")
def form() -> Form:
    with Lab() as lab:
        lab.add("laser", Laser)
        lab.add("second", Laser)
        lab.add("oven", Oven)
        lab.register(measure)
        schema = lab.describe_task("measure")["parameters"]
        return form_of(schema, lambda wanted: fitting_devices(lab, wanted))


def field(form: Form, name: str) -> Field:
    return next(field for field in form.fields if field.name == name)


FILLED: dict[str, Any] = {"lasers": ["laser"], "nanometres": "1550", "mode": "slow"}


def read(form: Form, **raws: Any) -> Any:
    return form.read(form.initial() | FILLED | raws)


def test_what_was_left_as_it_was_is_left_to_the_functions_defaults(form: Form) -> None:
    values, errors = read(form)
    assert not errors
    assert values == {"laser": "laser", "lasers": ["laser"], "stove": "oven", "nanometres": 1550, "mode": "slow"}


def test_devices_are_chosen_among_those_of_the_class(form: Form) -> None:
    assert field(form, "laser").kind == DeviceChoice(("laser", "second"), "Laser")
    assert field(form, "lasers").kind == DeviceChoice(("laser", "second"), "Laser", several=True)
    assert field(form, "laser").initial == "laser"
    assert field(form, "stove").initial == "oven"


def test_a_device_that_does_not_fit_is_refused_by_name(form: Form) -> None:
    assert read(form, laser="oven").errors == {"laser": "'oven' is no Laser of this lab: choose from laser, second"}


def test_the_label_has_the_unit_and_the_hint_the_limits(form: Form) -> None:
    assert field(form, "nanometres").label == "nanometres (nm) *"
    assert "from 1000 to 1600" in field(form, "nanometres").help


@pytest.mark.parametrize(
    ("name", "raw", "words"),
    [
        ("nanometres", "", "needed"),
        ("nanometres", "red", "a number is wanted, not 'red'"),
        ("nanometres", "1550,5", "write a point"),
        ("nanometres", "900", "from 1000 to 1600"),
        ("nanometres", "nan", "from 1000 to 1600"),
        ("times", "2.5", "a whole number is wanted, not '2.5'"),
        ("times", "", "can't be empty"),
        ("kelvins", "300, warm", "value 2: a number is wanted, not 'warm'"),
        ("kelvins", "[300, [1]]", "value 2: a number is wanted"),
        ("kelvins", "[300", "line 1, column"),
        ("pair", "1", "2 values are wanted, not 1"),
        ("point", "{x: 1}", "an object such as"),
        ("point", "[1]", "an object such as"),
        ("gains", "3", "an object such as"),
        ("mode", "medium", "one of fast, slow is wanted"),
        ("lasers", [], "needed"),
        ("lasers", ["laser", "tunable"], "'tunable' is no Laser"),
    ],
)
def test_each_mistake_is_told_at_its_field(form: Form, name: str, raw: Any, words: str) -> None:
    errors = read(form, **{name: raw}).errors
    assert list(errors) == [name]
    assert words in errors[name]


@pytest.mark.parametrize(
    ("name", "raw", "value"),
    [
        ("kelvins", "300 310; 320,", [300, 310, 320]),
        ("kelvins", "", []),
        ("kelvins", "[1e3, 2]", [1000.0, 2]),
        ("pair", "2, two words", [2, "two words"]),
        ("limit", "1e-3", 0.001),
        ("point", '{"x": 1}', {"x": 1}),
        ("anything", "[1, 2]", [1, 2]),
        ("anything", "some words", "some words"),
        ("mixed", "12", 12),
        ("mixed", "twelve", "twelve"),
        ("averaged", False, False),
        ("sample", "", ""),
        ("folder", "elsewhere", "elsewhere"),
        ("side", "right", "right"),
    ],
)
def test_what_is_written_becomes_the_value_that_is_meant(form: Form, name: str, raw: Any, value: Any) -> None:
    values, errors = read(form, **{name: raw})
    assert not errors
    assert values[name] == value


def test_a_value_that_may_be_nothing_can_be_cleared() -> None:
    schema = {"properties": {"limit": {"anyOf": [{"type": "number"}, {"type": "null"}], "default": 3.0}}}
    assert form_of(schema, no_devices).read({"limit": ""}).values == {"limit": None}


def test_further_parameters_by_name_are_an_object() -> None:
    schema = {"properties": {}, "additionalProperties": {"type": "number"}}
    made = form_of(schema, no_devices)
    assert made.read({"others": '{"gain": 2}'}).values == {"gain": 2}
    assert made.read({"others": "gain"}).errors


def test_what_a_schema_does_not_say_can_be_written_as_json() -> None:
    schema = {"properties": {"deep": {"$ref": "#/properties/deep/$defs/Deep"}, "odd": {"type": "nonsense"}}}
    assert [field.kind for field in form_of(schema, no_devices).fields] == [Anything(), Anything()]


def test_definitions_that_refer_to_themselves_end() -> None:
    node = {"type": "array", "items": {"$ref": "#/properties/tree/$defs/Tree"}}
    schema = {"properties": {"tree": {"$ref": "#/properties/tree/$defs/Tree", "$defs": {"Tree": node}}}}
    (tree,) = form_of(schema, no_devices).fields
    assert parsed_as(tree.kind, "[[], [[]]]") == [[], [[]]]


def test_a_protocol_or_an_unknown_class_is_fitted_by_every_device() -> None:
    with Lab() as lab:
        lab.add("laser", Laser)
        assert fitting_devices(lab, "") == ["laser"]
        assert fitting_devices(lab, "nowhere:Nothing") == ["laser"]
        assert fitting_devices(lab, f"{__name__}:Oven") == []
        assert fitting_devices(lab, "typing:SupportsInt") == ["laser"]


NUMBERS = st.integers(-(10**9), 10**9) | st.floats(allow_nan=False)
TEXTS = st.text(min_size=1).filter(str.strip)
JSON = st.recursive(
    st.none() | st.booleans() | NUMBERS | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
KINDS_AND_VALUES: Sequence[tuple[Kind, st.SearchStrategy[Any]]] = (
    (Flag(), st.booleans()),
    (Number(), NUMBERS),
    (Number(whole=True), st.integers(-(10**20), 10**20)),
    (Words(), TEXTS),
    (Choice(("a", 2, None, True)), st.sampled_from(["a", 2, None, True])),
    (Listed(Number()), st.lists(NUMBERS)),
    (Listed(Words()), st.lists(TEXTS)),
    (Listed(Listed(Number())), st.lists(st.lists(NUMBERS))),
    (Listed(Anything()), st.lists(JSON)),
    (Listed(Anything(), places=(Number(), Words())), st.tuples(NUMBERS, TEXTS).map(list)),
    (Either((Number(), Listed(Number()))), NUMBERS | st.lists(NUMBERS, min_size=2)),
    (Anything(), JSON.filter(lambda value: value is not None)),
    (Anything(dict), st.dictionaries(st.text(), JSON)),
)


@pytest.mark.parametrize(("kind", "values"), KINDS_AND_VALUES)
def test_what_a_field_shows_is_read_as_the_same_value(kind: Kind, values: st.SearchStrategy[Any]) -> None:
    @given(values)
    def holds(value: Any) -> None:
        assert parsed_as(kind, shown(kind, value)) == value

    holds()


SCHEMAS = st.dictionaries(
    st.text(max_size=5),
    st.fixed_dictionaries(
        {"type": st.sampled_from(["number", "integer", "string", "array", "object", "boolean", "null", "odd"])},
        optional={
            "default": JSON,
            "unit": st.text(max_size=3),
            "minimum": st.integers(),
            "device": st.text(max_size=3),
        },
    ),
    max_size=4,
)


@given(SCHEMAS, st.lists(st.text() | st.booleans() | st.none() | st.lists(st.text(), max_size=2), max_size=4))
def test_no_schema_and_no_text_is_too_strange(properties: dict[str, Any], texts: list[Any]) -> None:
    made = form_of({"properties": properties, "required": list(properties)[:2]}, no_devices)
    raws = dict(zip(made.initial(), texts, strict=False))
    values, errors = made.read(raws)
    json.dumps(values)
    assert not values.keys() & errors.keys()


def total(first: int, second: int = 5, /, third: int = 7, *rest: int, **others: int) -> list[object]:
    return [first, second, third, rest, others]


@pytest.mark.parametrize(
    ("values", "result"),
    [
        ({"first": 1}, [1, 5, 7, (), {}]),
        ({"first": 1, "second": 2, "third": 3}, [1, 2, 3, (), {}]),
        ({"first": 1, "rest": [8, 9]}, [1, 5, 7, (8, 9), {}]),
        ({"first": 1, "third": 3, "rest": [8], "more": 4}, [1, 5, 3, (8,), {"more": 4}]),
    ],
)
def test_what_is_taken_by_place_is_given_by_place(values: dict[str, Any], result: list[object]) -> None:
    args, kwargs = placed(inspect.signature(total), values)
    assert total(*args, **kwargs) == result


def test_a_task_with_any_number_of_arguments_can_be_started() -> None:
    @task
    def count(first: int, *rest: int) -> int:
        return first + len(rest)

    with Lab() as lab:
        lab.register(count)
        made = form_of(lab.describe_task("count")["parameters"], no_devices)
        values, errors = made.read({"first": "1", "rest": "5, 6"})
        assert not errors
        assert started(lab, "count", values).result(5) == 3
        assert rehearsed(lab, "count", values)[0].name == "count"
