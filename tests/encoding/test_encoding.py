from __future__ import annotations

import collections
import datetime as dt
import decimal
import enum
import fractions
import json
import math
import pathlib
import sys
import threading
import types
import uuid
import zoneinfo
from typing import Any

import numpy as np
import pint
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as stn

from actorlab.encoding import StandIn, StandInError, decode, digest, dumps, encode, loaded, loads, only
from actorlab.errors import CallTimeout, EncodingError
from tests.encoding.kinds import Colour, Curve, Jammed, Point, Rights, Settings, Spot


def back(value: Any) -> Any:
    """Write a value as text and read it, seeing that it is plain JSON."""
    text = dumps(value)
    json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} isn't JSON"))
    return loads(text)


def same(one: Any, other: Any) -> bool:
    """Tell whether two values are equal, of the same types all through, and NaN where NaN is."""
    if type(one) is not type(other):
        return False
    if isinstance(one, (list, tuple, collections.deque)):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, dict):
        return list(map(repr, one)) == list(map(repr, other)) and all(map(same, one.values(), other.values()))
    if isinstance(one, (float, complex, decimal.Decimal)):
        return repr(one) == repr(other)
    return bool(one == other)


zones = st.sampled_from(
    [None, dt.UTC, dt.timezone(dt.timedelta(hours=-3, minutes=7)), zoneinfo.ZoneInfo("Europe/Berlin")]
)
scalars = st.one_of(
    st.none(), st.booleans(), st.integers(), st.integers(10**400, 10**401), st.floats(), st.text(st.characters()),
    st.complex_numbers(), st.binary(), st.binary().map(bytearray), st.datetimes(timezones=zones, allow_imaginary=False),
    st.dates(), st.times(), st.timedeltas(), st.decimals(allow_nan=False), st.fractions(), st.uuids(),
    st.sampled_from(list(Colour)),
    st.sampled_from([Rights.READ, Rights.READ | Rights.WRITE, Rights(0), int, Point, ..., dt.UTC]),
    st.builds(range, st.integers(), st.integers(), st.integers(1)), st.builds(slice, st.integers(), st.none()),
    st.sampled_from([pathlib.Path("/a/b"), pathlib.PurePosixPath("a"), pathlib.PureWindowsPath("C:/x")]),
)  # fmt: skip
keys = st.one_of(
    st.text(), st.just("$"), st.integers(), st.tuples(st.integers(), st.text()), st.sampled_from(list(Colour))
)
values = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner), st.lists(inner).map(tuple), st.dictionaries(keys, inner, max_size=4),
        st.lists(inner, max_size=3).map(collections.deque), st.builds(Point, inner, st.floats()),
        st.dictionaries(keys, inner, max_size=3).map(collections.OrderedDict),
        st.builds(Spot, st.integers(), inner), st.builds(Curve, st.text(), st.lists(inner)),
        st.builds(lambda gain, point: Settings(gain=gain, point=point), st.floats(allow_nan=False), inner),
    ),
    max_leaves=12,
)  # fmt: skip


@settings(max_examples=60)
@given(values)
def test_what_is_written_down_is_read_back_the_same(value: Any) -> None:
    found = back(value)
    assert same(found, value) or repr(found) == repr(value)
    assert digest(found) == digest(value)


@given(st.dictionaries(keys, st.integers()), st.randoms())
def test_equal_dicts_have_equal_digests_whatever_their_order(value: dict[Any, int], chance: Any) -> None:
    items = list(value.items())
    chance.shuffle(items)
    assert digest(dict(items)) == digest(value)


@pytest.mark.parametrize(
    ("one", "other"),
    [(1, 1.0), (True, 1), ((1,), [1]), ({"a": 1}, [["a", 1]]), ("1", 1), (Point(1), Spot(1, 2.0)), (b"a", "a")],
)
def test_values_of_different_types_have_different_digests(one: Any, other: Any) -> None:
    assert digest(one) != digest(other)


dtypes = st.one_of(
    stn.scalar_dtypes(),
    stn.byte_string_dtypes(),
    stn.unicode_string_dtypes(),
    stn.array_dtypes(max_size=3),
    stn.nested_dtypes(),
)


@given(dtypes, stn.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=3), st.sampled_from("CF"))
def test_arrays_of_every_dtype_and_shape_come_back(dtype: Any, shape: tuple[int, ...], order: Any) -> None:
    made = np.zeros(shape, dtype, order=order)
    found = back(made)
    assert type(found) is np.ndarray
    assert found.dtype == made.dtype
    assert found.shape == made.shape
    assert found.tobytes() == made.tobytes()
    assert found.flags.writeable
    assert digest(found) == digest(made)


@given(stn.arrays(stn.floating_dtypes() | stn.complex_number_dtypes() | stn.integer_dtypes(), 3))
def test_the_bits_of_numbers_survive(values: Any) -> None:
    found = back([*values, values[::2], values[::-1]])
    for one, other in zip(found, [*values, values[::2], values[::-1]], strict=True):
        assert type(one) is type(other)
        assert one.dtype == other.dtype
        assert one.tobytes() == other.tobytes() or np.isnan(other).any()


def test_plain_json_stays_plain() -> None:
    value = {"a": [1, 2.5, None, True, "text"], "b": {"c": []}}
    assert encode(value) == value


@pytest.mark.parametrize(
    "value", [{}, [], (), set(), frozenset(), "", b"", {"$": 1}, {"$": {"$": "tuple"}}, {1: 2, "1": 3}]
)
def test_empty_things_and_dicts_that_look_like_ours_come_back(value: Any) -> None:
    assert same(back(value), value)


def test_sets_come_back_and_are_written_in_one_order() -> None:
    value = {"a", 2, (3, "c"), frozenset({1.5})}
    assert back(value) == value
    assert dumps({"x", "y", "z"}) == dumps({"z", "y", "x"})


def test_other_containers_come_back() -> None:
    made = collections.defaultdict(list, {"a": [1]})
    found = back(made)
    assert found == made
    assert found.default_factory is list
    assert same(back(collections.Counter("aab")), collections.Counter("aab"))
    assert back(collections.deque([1], 3)).maxlen == 3


def test_dataclasses_are_made_without_their_constructors() -> None:
    curve = Curve("up", [Point(1)])
    assert (curve.made, curve.length) == (1, 1)
    curve.__dict__["comment"] = "odd"
    found = back(curve)
    assert found == curve
    assert found.made == 1
    assert found.__dict__ == {"name": "up", "points": [Point(1)], "made": 1, "comment": "odd"}


def test_models_keep_what_was_set_and_what_is_private() -> None:
    made = Settings.model_validate({"gain": 2.0, "other": (1, 2)})
    made._seen = 5
    found = back(made)
    assert found == made
    assert found.model_fields_set == {"gain", "other"}
    assert found._seen == 5


@pytest.mark.parametrize("unit", ["nm", "degC", "V / Hz ** 0.5", "dimensionless", "delta_degC", "count / minute"])
def test_quantities_keep_magnitude_and_unit(unit: str) -> None:
    registry: Any = pint
    units = registry.get_application_registry()
    made = units.Quantity(np.array([1.0, 2.5]), unit)
    found = back(made)
    assert found.units == made.units
    assert (found.magnitude == made.magnitude).all()
    assert isinstance(back(units.Quantity(3, unit)).magnitude, int)
    assert back(made.units) == made.units


def recorded(error: Any) -> Any:
    """Return the traceback of an exception that was read."""
    return error.recorded_traceback


def test_an_exception_keeps_what_it_says_its_notes_causes_and_traceback() -> None:
    caught: BaseException | None = None
    try:
        try:
            _ = 1 / 0
        except ZeroDivisionError as cause:
            stage = "stage"
            raise Jammed(stage, 2.5) from cause
    except Jammed as error:
        error.add_note("after 3 tries")
        caught = error
    found: Any = back({"why": caught})["why"]
    assert found.__class__ is Jammed
    assert str(found) == "stage is jammed"
    assert found.args == ("stage is jammed",)
    assert (found.device, found.seconds) == ("stage", 2.5)
    assert found.__notes__ == ["after 3 tries"]
    assert isinstance(found.__cause__, ZeroDivisionError)
    assert "raise Jammed" in recorded(found)
    assert recorded(back(found)) == recorded(found)


@pytest.mark.parametrize(
    "error",
    [
        OSError(2, "no such file", "f"), UnicodeDecodeError("utf-8", b"a", 0, 1, "bad"), KeyError("x"), SystemExit(3),
        StopIteration(5), ExceptionGroup("several", [ValueError(1), ExceptionGroup("more", [KeyError("k")])]),
        CallTimeout("slow", stack="here"), ImportError("no", name="m"), ConnectionResetError(104, "reset"),
    ],
)  # fmt: skip
def test_built_in_exceptions_and_our_own_come_back(error: Any) -> None:
    found = back(error)
    assert type(found) is type(error)
    assert repr(found) == repr(error)
    assert str(found) == str(error)
    if isinstance(error, OSError):
        assert found.errno == error.errno
    if isinstance(error, CallTimeout):
        assert found.stack == "here"


def test_an_exception_with_arguments_that_are_no_data_keeps_its_text() -> None:
    class Mute(Exception):
        def __str__(self) -> str:
            raise RuntimeError

    assert "can't be written: RuntimeError" in encode(Mute())["message"]
    held = ValueError("held by", threading.Lock())
    assert str(back(held)) == str(held)
    looped = ValueError("round")
    looped.__context__ = KeyError("and round")
    looped.__context__.__context__ = looped
    assert isinstance(back(looped).__context__, KeyError)


def test_a_value_that_is_no_data_is_named_with_its_place() -> None:
    value = {"points": [1, 2, (Point(threading.Lock()),)]}
    with pytest.raises(EncodingError, match=r"^result\['points'\]\[2\]\[0\]\.x: a _thread\.lock can't be written down"):
        encode(value, "result")


@pytest.mark.parametrize(
    ("value", "why"),
    [
        (np.ma.array([1, 2], mask=[False, True]), "MaskedArray can't be written down: write its data and its"),
        (np.array([1, "a", None], dtype=object), "Python objects"),
        (np.zeros(2, [("a", "O")]), "Python objects"),
        (lambda: 1, "a function can't be written down"),
        (sys, "a module can't"),
        (iter([]), "a list_iterator can't"),
        (collections.defaultdict(lambda: 1), "a factory of its own"),
        (types.new_class("Channel", (int,))(3), "made from int) can't be written down: make it"),
    ],
)  # fmt: skip
def test_what_is_no_data_is_refused_with_the_way_out(value: Any, why: str) -> None:
    with pytest.raises(EncodingError) as caught:
        encode(value)
    assert why in str(caught.value)
    found = decode(encode([1, value], lenient=True))
    assert found[0] == 1
    assert isinstance(found[1], StandIn)
    assert why in found[1].why


def test_a_value_that_holds_itself_or_is_too_deep_is_refused() -> None:
    loop: list[Any] = [1]
    loop.append({"again": loop})
    with pytest.raises(EncodingError, match=r"value\[1\]\['again'\]: a list that holds itself"):
        encode(loop)
    deep: list[Any] = []
    for _ in range(5000):
        deep = [deep]
    with pytest.raises(EncodingError, match="more than 100 containers"):
        encode(deep)
    with pytest.raises(EncodingError):
        decode(deep)
    with pytest.raises(EncodingError):
        loads("[" * 100_000)
    fits: Any = 1
    for _ in range(100):
        fits = (fits,)
    assert back(fits) == fits


def test_a_class_that_is_gone_leaves_a_stand_in_with_all_that_was_written() -> None:
    tree = {"$": "dataclass", "class": "lab.gone:Old", "fields": {"x": {"$": "tuple", "items": [1]}}}
    with pytest.raises(EncodingError, match=r"lab\.gone:Old can't be found: its module can't be imported"):
        decode(tree)
    found = decode([tree], lenient=True)[0]
    assert (found.name, found.fields) == ("lab.gone:Old", {"x": (1,)})
    assert encode(found) == tree
    gone = {"$": "error", "class": "lab.gone:Broken", "message": "the lens fell off"}
    error = decode(gone, lenient=True)
    assert isinstance(error, StandInError)
    assert str(error) == "Broken: the lens fell off"
    assert encode(error) == gone


def test_a_class_that_has_changed_is_said_to_have() -> None:
    old = encode(Point(1))
    old["fields"]["z"] = 3
    with pytest.raises(EncodingError, match="Point has no field 'z' any more"):
        decode(old)
    less = encode(Point(1))
    del less["fields"]["y"]
    assert decode(less) == Point(1, 2.0)
    del less["fields"]["x"]
    with pytest.raises(EncodingError, match="Point has got a field 'x' without a default"):
        decode(less)
    with pytest.raises(EncodingError, match="no member 'GREEN'"):
        decode(encode(Colour.RED) | {"name": "GREEN"})
    with pytest.raises(EncodingError, match="now, and no Enum"):
        decode({"$": "enum", "class": "json:dumps", "name": "X"})


def test_classes_are_found_by_the_resolver_that_is_given() -> None:
    class Local(enum.Enum):
        HERE = 1

    text = dumps(Local.HERE)
    with pytest.raises(EncodingError, match="inside a function"):
        loads(text)
    assert loads(text, resolve=only(Local)) is Local.HERE
    with pytest.raises(EncodingError, match="isn't among the classes that are expected"):
        loads(dumps(Point(1)), resolve=only(Local))
    assert loads(dumps(Point(1)), resolve=only(Local, otherwise=loaded)) == Point(1)
    with pytest.raises(EncodingError, match="isn't loaded: import it before"):
        decode({"$": "class", "name": "antigravity:X"}, resolve=loaded)
    assert "antigravity" not in sys.modules


@pytest.mark.parametrize(
    "text",
    [
        '{"$":"tuple"}', '{"$":5}', '{"$":"zork"}', '{"$":"bytes","base64":"?"}', '{"$":"dict","items":[[1]]}', "[",
        '{"$":"ndarray","dtype":"<f8","shape":[3],"base64":""}', "NaN x",
        '{"$":"ndarray","dtype":"O","shape":[1],"base64":"AAAA"}',
        '{"$":"dict","items":[[[],1]]}', '{"$":"datetime","iso":"yesterday"}', '{"$":"Fraction","value":"1/0"}',
        '{"$":"error","class":"builtins:int","message":""}',
        '{"$":"enum","class":"builtins:dict","name":"clear"}',
        '{"$":"namedtuple","class":"builtins:dict","fields":{}}',
        '{"$":"dataclass","class":"builtins:int","fields":{}}',
        '{"$":"range","items":[1,2,0]}',
    ],
)  # fmt: skip
def test_what_was_never_written_so_is_refused_clearly(text: str) -> None:
    with pytest.raises(EncodingError):
        loads(text)


def test_times_keep_zone_and_fold() -> None:
    berlin = zoneinfo.ZoneInfo("Europe/Berlin")
    for fold in (0, 1):
        found = back(dt.datetime(2026, 10, 25, 2, 30, tzinfo=berlin, fold=fold))
        assert (found.tzinfo, found.fold) == (berlin, fold)
        assert found.utcoffset() == dt.timedelta(hours=2 - fold)
    assert back(dt.timezone(dt.timedelta(hours=1), "X")).tzname(None) == "X"
    assert back(berlin) is berlin


def test_lists_of_very_large_integers_survive() -> None:
    values = [10**5000, -(10**5000), 1]
    assert back(values) == values
    assert back(values[0]) == values[0]


def test_special_numbers_survive() -> None:
    found = back([math.nan, math.inf, -math.inf, -0.0, 2**53 + 1, fractions.Fraction(1, 3), uuid.UUID(int=5)])
    assert math.isnan(found[0])
    assert found[1:] == [math.inf, -math.inf, -0.0, 2**53 + 1, fractions.Fraction(1, 3), uuid.UUID(int=5)]
    assert math.copysign(1, found[3]) == -1
