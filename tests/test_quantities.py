"""Units are converted, ranges hold, and nothing that is out of range is sent: for calls and for attributes."""

from __future__ import annotations

import functools
import math
import types
from collections.abc import Callable, Sequence
from decimal import Decimal
from fractions import Fraction
from typing import Annotated, Any, ClassVar, Literal, NamedTuple, NewType, TypeAlias

import numpy as np
import numpy.typing as npt
import pint
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from actorlab.errors import ConfigError
from actorlab.quantities import (
    Checker,
    Range,
    ReadBack,
    Unit,
    checker_of,
    checker_of_value,
    read_back_by,
    read_back_of,
    read_back_of_value,
)

UNITS: pint.UnitRegistry[Any] = pint.UnitRegistry()
Wavelength: TypeAlias = Annotated[float, Unit("nm"), Range(1500, 1600)]
Power: TypeAlias = Annotated[float, Unit("mW"), Range(0, 10)]

WHO = "laser.set"


def checker(method: Any) -> Checker:
    found = checker_of(method)
    assert found is not None
    return found


def check(method: Any, *args: Any, **kwargs: Any) -> Any:
    return checker(method).check(WHO, args, kwargs)


def refusal(method: Any, *args: Any, **kwargs: Any) -> str:
    with pytest.raises(ValueError, match="nothing was sent") as raised:
        check(method, *args, **kwargs)
    return str(raised.value)


def limited(low: float | None, high: float | None) -> Any:
    """Make a method whose argument has a range."""

    def method(self: object, value: float) -> None: ...

    method.__annotations__ = {"value": Annotated[float, Range(low, high)]}
    return method


class Laser:
    wavelength_nm: Wavelength = 1550.0
    drawn: ClassVar[Annotated[float, Range(max=0)]] = -1.0
    bare = 1.0
    only_annotated: Power

    def set_wavelength(self, wavelength: Wavelength) -> None: ...

    def set_both(self, wavelength: Wavelength, power: Power = 1.0, *, name: str = "") -> None: ...

    def plain(self, wavelength: float) -> None: ...

    def unit_only(self, wavelength: Annotated[float, Unit("nm")]) -> None: ...

    def range_only(self, count: Annotated[int, Range(1, 5)]) -> None: ...

    @property
    def power(self) -> float:
        return 1.0

    @power.setter
    def power(self, value: Power) -> None: ...

    @property
    def temperature(self) -> Annotated[float, Unit("degC"), Range(10, 40)]:
        return 20.0


# -- the markers


@pytest.mark.parametrize(
    ("low", "high"), [(2, 1), (math.nan, None), (None, math.nan), ("1", None), (math.inf, -math.inf)]
)
def test_a_range_that_makes_no_sense_is_refused(low: Any, high: Any) -> None:
    with pytest.raises(ConfigError, match="Range"):
        Range(low, high)


def test_the_bounds_of_a_range_may_be_equal_or_missing() -> None:
    assert 3 in Range(3, 3)
    assert -1e300 in Range()
    assert Range(min=1) == Range(1, None)
    assert 0.5 not in Range(min=1)


def test_a_unit_is_given_by_its_name() -> None:
    with pytest.raises(ConfigError, match="as text"):
        Unit(5)  # type: ignore[arg-type]  # the mistake
    assert Unit(name="nm") == Unit("nm")


@pytest.mark.parametrize(
    "wrong", [{"member": ""}, {"member": "a b"}, {"member": "x", "tolerance": -1}, {"member": "x", "within": math.nan}]
)
def test_a_read_back_that_makes_no_sense_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="ReadBack"):
        ReadBack(**wrong)


# -- ranges

numbers = st.floats(allow_nan=True) | st.integers() | st.fractions() | st.booleans()
bounds = st.none() | st.floats(allow_nan=False) | st.integers(-(10**20), 10**20)


@given(bounds, bounds, numbers)
@example(0, 1, math.nan)
@example(None, None, math.nan)
@example(0, 1, 1)
def test_a_number_passes_exactly_if_it_is_in_the_range(low: Any, high: Any, value: Any) -> None:
    assume(low is None or high is None or low <= high)
    method = limited(low, high)
    inside = value == value and (low is None or low <= value) and (high is None or value <= high)  # noqa: PLR0124
    if inside:
        assert check(method, value) == ((value,), {})
        assert check(method, value=value) == ((), {"value": value})
    else:
        refusal(method, value)
        refusal(method, value=value)


@given(st.lists(st.floats(-10, 10) | st.just(math.nan), max_size=5), st.sampled_from(["list", "tuple", "array"]))
def test_many_numbers_pass_exactly_if_each_is_in_the_range(values: list[float], kind: str) -> None:
    given_: Any = {"list": values, "tuple": tuple(values), "array": np.array(values)}[kind]
    method = limited(-5, 5)
    if all(-5 <= value <= 5 for value in values):
        assert check(method, given_)[0][0] is given_
    else:
        refusal(method, given_)


@pytest.mark.parametrize(
    "value",
    [
        *(np.float64(1550), np.float32(1550), np.int16(1550), np.array(1550.0), np.array([[1500, 1600]])),
        *(Decimal(1550), Fraction(1550), [1550, 1551.5], (1550,), {1550}, range(1500, 1601), {"start": 1550.0}),
        *(
            np.array([]),
            [],
            np.array([1550, 1560], dtype=object),
            [[1500], [1600.0]],
            np.array([1550], dtype="float16"),
        ),
    ],
)
def test_numbers_of_other_kinds_are_taken_as_given(value: Any) -> None:
    assert check(Laser.set_wavelength, value)[0][0] is value


@pytest.mark.parametrize(
    "value",
    [
        *(
            np.float64(1700),
            np.float32(np.nan),
            np.array([1550, 1700]),
            np.array([np.nan, 1550]),
            np.array([[1550, 1]]),
        ),
        *(Decimal("NaN"), Decimal(1700), [1550, math.nan], {"start": 1.0}, {1700}, range(1500, 1602), [[1550], [1]]),
        *("1550", b"1550", None, object(), 1550j, np.array([1550j]), np.array(["1550"]), np.array([1, None])),
        *(np.array([1550], dtype="datetime64[s]"), iter([1550]), [None]),
    ],
)
def test_whatever_is_not_surely_in_the_range_is_refused(value: Any) -> None:
    refusal(Laser.set_wavelength, value)


def test_a_refusal_says_who_what_and_which_range() -> None:
    assert refusal(Laser.set_wavelength, 1700) == (
        "laser.set: wavelength = 1700 nm, but it takes 1500 to 1600 nm; nothing was sent"
    )
    assert "count = 6, but it takes 1 to 5;" in refusal(Laser.range_only, 6)
    assert "it takes at least 2;" in refusal(limited(2, None), 1)
    assert "it takes at most 2;" in refusal(limited(None, 2), 3)
    assert "any number but NaN" in refusal(limited(None, None), math.nan)
    assert "1700 nm" in refusal(Laser.set_wavelength, np.array([1550, 1700]))


# -- which arguments


def test_each_argument_is_held_against_its_own_range() -> None:
    assert check(Laser.set_both, 1550, 5) == ((1550, 5), {})
    assert check(Laser.set_both, 1550, power=5, name="x") == ((1550,), {"power": 5, "name": "x"})
    assert "power = 11" in refusal(Laser.set_both, 1550, 11)
    assert "power = 11" in refusal(Laser.set_both, 1550, power=11)
    assert "wavelength = 1 nm" in refusal(Laser.set_both, power=1, wavelength=1)


def test_further_and_keyword_arguments_are_checked_too() -> None:
    def method(self: object, *powers: Power, **others: Wavelength) -> None: ...

    assert check(method, 1, 2, a=1550) == ((1, 2), {"a": 1550})
    assert "powers = 11" in refusal(method, 1, 2, 11)
    assert "others = 5" in refusal(method, a=5)


def test_what_is_not_marked_has_no_checker() -> None:
    for method in (
        Laser.plain,
        lambda self, value: (self, value),
        len,
        dict.get,
        "text",
        None,
        functools.partial(Laser.plain),
    ):
        assert checker_of(method) is None


def test_the_object_is_not_among_the_arguments_of_any_kind_of_method() -> None:
    class Kinds:
        @staticmethod
        def static(power: Power) -> None: ...

        @classmethod
        def of_class(cls, power: Power) -> None: ...

        @functools.lru_cache  # noqa: B019 - any decorator
        def cached(self, power: Power) -> None: ...

        def two(self, name: str, power: Power) -> None: ...

        partial = functools.partialmethod(two, "x")

        @functools.singledispatchmethod
        def single(self, power: Power) -> None: ...

    for name in ("static", "of_class", "cached", "partial", "single"):
        assert "power = 11" in refusal(vars(Kinds)[name], 11)
    assert "power = 11" in refusal(Kinds().two, "x", 11)
    assert "power = 11" in refusal(functools.partial(Kinds.static), 11)


def test_a_decorator_that_wraps_keeps_the_limits() -> None:
    def logged(function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def inner(*args: Any, **kwargs: Any) -> Any:
            return function(*args, **kwargs)

        return inner

    assert "wavelength = 1 nm" in refusal(logged(Laser.set_wavelength), 1)


def test_too_many_arguments_are_left_to_the_driver_to_refuse() -> None:
    assert check(Laser.set_wavelength, 1550, 2, 3) == ((1550, 2, 3), {})
    assert check(Laser.set_wavelength, 1550, what=3) == ((1550,), {"what": 3})


# -- where markers stand


class Pair(NamedTuple):
    low: float
    high: float


UNKNOWN: Any = "Nowhere"


def hinted(hint: Any) -> Any:
    def method(self: object, value: Any) -> None: ...

    method.__annotations__ = {"value": hint}
    return method


@pytest.mark.parametrize(
    "hint",
    [
        Power,
        Power | None,
        Power | str,
        list[Power],
        Annotated[list[float], Unit("mW"), Range(0, 10)],
        Annotated[Sequence[float], Unit("mW"), Range(0, 10)],
        Annotated[npt.NDArray[np.float64], Unit("mW"), Range(0, 10)],
        dict[str, Power],
        tuple[Power, Power],
        Annotated[Annotated[float, Unit("mW")], Range(0, 10)],
        Annotated[Annotated[float, Unit("mW"), Range(-5, 10)], Range(0, 20)],
        NewType("Strength", Power),  # pyright: ignore[reportGeneralTypeIssues]  # it runs
        "Power | None",
        "Annotated[Nowhere | None, Unit('mW'), Range(0, 10)]",
        "Annotated[nowhere.Power[int], Unit('mW'), Range(0, 10), nowhere.Doc('x')]",
        Annotated[UNKNOWN, Unit("mW"), Range(0, 10)],
        list["Power"],
    ],
)
def test_markers_are_found_wherever_they_stand(hint: Any) -> None:
    assert "11 mW, but it takes 0 to 10 mW" in refusal(hinted(hint), 11)
    ((converted,), _) = check(hinted(hint), [0.001 * UNITS.watt])
    assert converted == [1.0]


def test_markers_hold_also_where_only_a_type_checker_imports_them() -> None:
    def method(self: object, value: Any) -> None: ...

    for hint in ("Annotated[float, Range(0, 10)]", "typing.Annotated[float, lab.Range(0, 10)]"):
        elsewhere = types.FunctionType(method.__code__, {"__name__": "elsewhere"})
        elsewhere.__annotations__ = {"value": hint}
        assert "value = 11" in refusal(elsewhere, 11)


def test_a_hint_may_use_the_names_of_its_class() -> None:
    class Drawn:
        Strength = Annotated[float, Range(0, 1)]

    found = checker_of(hinted("Strength"), Drawn)
    assert found is not None
    with pytest.raises(ValueError, match="0 to 1"):
        found.check(WHO, (2,), {})


@pytest.mark.parametrize("hint", ["Nowhere", "1/0", "][", "Nowhere()()", 5, "nowhere.x + 1", Literal["a"], ...])
def test_a_hint_that_cannot_be_read_hides_no_other(hint: Any) -> None:
    def method(self: object, other: Any, value: Any) -> None: ...

    method.__annotations__ = {"other": hint, "value": Power, "return": "Nowhere"}
    assert "value = 11" in refusal(method, "x", 11)
    assert checker_of(hinted(hint)) is None


def test_what_a_union_or_a_default_allows_besides_numbers_passes() -> None:
    for hint in ("Power | None", "Annotated[float | None, Unit('mW'), Range(0, 10)]"):
        assert check(hinted(hint), None) == ((None,), {})
    assert check(hinted(Power | Literal["MAX"]), "MAX") == (("MAX",), {})
    refusal(hinted(Power | Literal["MAX"]), None)

    def method(self: object, power: Power = None) -> None: ...  # type: ignore[assignment]  # often seen

    assert check(method, None) == ((None,), {})


@pytest.mark.parametrize(
    "hint",
    [
        tuple[Wavelength, Power],
        Wavelength | Power,
        Annotated[Wavelength, Unit("m")],
        Annotated[Wavelength, Range(1, 2)],
        "Range(2, 1)",
    ],
)
def test_markers_that_contradict_each_other_are_an_error_which_says_where(hint: Any) -> None:
    with pytest.raises(ConfigError, match="method"):
        checker_of(hinted(hint))


# -- quantities

PAIRS = [("nm", "m"), ("nm", "um"), ("degC", "K"), ("degC", "degF"), ("mW", "W"), ("mW", "dBm"), ("deg", "rad")]


@given(st.sampled_from(PAIRS), st.floats(1e-3, 1e6))
def test_a_quantity_comes_back_as_the_number_in_the_unit(pair: tuple[str, str], value: float) -> None:
    unit, other = pair
    quantity = UNITS.Quantity(value, unit).to(other)
    ((found,), _) = check(hinted(Annotated[float, Unit(unit)]), quantity)
    assert isinstance(found, float)
    assert found == pytest.approx(value, rel=1e-9, abs=1e-9)


@given(st.sampled_from(PAIRS), st.floats(1e-3, 1e6), st.floats(0, 1e6))
@example(("degC", "degF"), 0.0, 10.0)
@example(("nm", "um"), 1600.0, 0.0)
def test_a_bound_given_in_another_unit_is_in_the_range(pair: tuple[str, str], bound: float, width: float) -> None:
    unit, other = pair
    quantity = UNITS.Quantity(bound, unit).to(other)
    assume(abs(quantity.to(unit).magnitude - bound) <= 1e-13 * (abs(bound) + abs(quantity.magnitude)))
    for allowed in (Range(bound, bound + width), Range(bound - width, bound)):
        ((found,), _) = check(hinted(Annotated[float, Unit(unit), allowed]), quantity)
        assert found in allowed


def test_quantities_are_converted_also_in_lists_arrays_and_keywords() -> None:
    um = UNITS.micrometer
    assert check(Laser.set_wavelength, [1.55 * um, 1560]) == (([pytest.approx(1550), 1560],), {})
    assert check(Laser.set_wavelength, wavelength=1.55 * um) == ((), {"wavelength": pytest.approx(1550)})
    ((array,), _) = check(Laser.set_wavelength, np.array([1.51, 1.55]) * um)
    assert type(array) is np.ndarray
    assert array == pytest.approx(np.array([1510, 1550]))
    ((pair,), _) = check(Laser.set_wavelength, Pair(1.51 * um, 1.55 * um))
    assert type(pair) is Pair
    assert pair == pytest.approx((1510, 1550))
    assert "wavelength = " in refusal(Laser.set_wavelength, np.array([1.51, 1.75]) * um)
    assert "wavelength = " in refusal(Laser.set_wavelength, 1.7 * um)
    refusal(Laser.set_wavelength, math.nan * um)


def test_a_conversion_adds_no_digits() -> None:
    assert check(Laser.set_wavelength, 1.55 * UNITS.micrometer)[0][0] == 1550.0
    assert check(Laser.set_wavelength, np.float64(1.55) * UNITS.micrometer)[0][0] == 1550.0
    assert "wavelength = 1700.0 nm" in refusal(Laser.set_wavelength, 1.7 * UNITS.micrometer)
    exact = 1550.1 + 1e-12
    assert check(Laser.set_wavelength, exact * UNITS.nanometer)[0][0] == exact


def test_a_quantity_of_another_dimension_is_refused_naming_both_units() -> None:
    for method in (Laser.set_wavelength, Laser.unit_only):
        text = refusal(method, 3 * UNITS.second)
        assert text == "laser.set: wavelength is given in second, which can't be converted to nm; nothing was sent"


def test_a_unit_that_pint_does_not_know_is_refused() -> None:
    assert "can't be converted to wurst" in refusal(hinted(Annotated[float, Unit("wurst")]), 3 * UNITS.second)


def test_a_quantity_for_a_number_without_a_unit_is_refused_only_where_there_is_a_range() -> None:
    assert "count is 3 second, but it has no unit" in refusal(Laser.range_only, 3 * UNITS.second)
    quantity = 3 * UNITS.second
    assert check(Laser.set_both, 1550, name=quantity)[1]["name"] is quantity


def test_without_a_range_everything_but_quantities_passes_as_it_is() -> None:
    for value in (math.nan, "MAX", None, 1j, np.array([np.nan]), [1.0, 2.0], object()):
        assert check(Laser.unit_only, value)[0][0] is value


def test_a_stand_in_for_a_device_is_not_asked_for_anything() -> None:
    class StandIn:
        def __getattribute__(self, name: str) -> Any:
            pytest.fail(f"asked for {name}")

        def __repr__(self) -> str:
            return "<laser>"

    assert check(Laser.unit_only, StandIn())
    assert "<laser>" in refusal(Laser.set_wavelength, StandIn())


# -- attributes


@pytest.mark.parametrize(
    ("name", "good", "bad"),
    [
        ("wavelength_nm", 1550, 1),
        ("drawn", -1, 1),
        ("only_annotated", 1, 11),
        ("power", 1, 11),
        ("temperature", 20, 50),
    ],
)
def test_a_value_to_be_set_is_held_against_the_attributes_range(name: str, good: float, bad: float) -> None:
    class Special(Laser): ...

    found = checker_of_value(Special, name)
    assert found is not None
    assert found.check("laser.x", (good,), {}) == ((good,), {})
    with pytest.raises(ValueError, match=f"^laser.x = {bad}.*nothing was sent"):
        found.check("laser.x", (bad,), {})


def test_attributes_without_markers_have_no_checker() -> None:
    for name in ("bare", "nowhere", "set_wavelength", "__doc__"):
        assert checker_of_value(Laser, name) is None


def test_a_property_without_markers_has_those_of_the_annotation_it_implements() -> None:
    class Quiet(Laser):
        @property
        def only_annotated(self) -> float:  # type: ignore[override]  # as drivers do it
            return 1.0

    assert checker_of_value(Quiet, "only_annotated") is not None


def test_contradicting_markers_of_an_attribute_are_an_error_which_says_where() -> None:
    class Odd:
        x: Annotated[Wavelength, Unit("m")]

    with pytest.raises(ConfigError, match=r"Odd\.x"):
        checker_of_value(Odd, "x")


def test_looking_for_checkers_evaluates_nothing() -> None:
    class Raising:
        def __get__(self, target: object, owner: type) -> Any:
            pytest.fail("evaluated")

    class Strange:
        descriptor = Raising()

        @property
        def x(self) -> Power:
            pytest.fail("evaluated")

        def __getattr__(self, name: str) -> Any:
            pytest.fail("evaluated")

    assert checker_of(vars(Strange)["descriptor"]) is None
    assert checker_of(Strange()) is None
    assert checker_of_value(Strange, "descriptor") is None
    assert checker_of_value(Strange, "x") is not None


# -- read back

SET: TypeAlias = Annotated[float, Unit("nm"), ReadBack("wavelength", tolerance=0.01, within=2.0)]


class Verified:
    level: Annotated[float, ReadBack("level", tolerance=0.5)]

    def set_wavelength(self, name: str, wavelength: SET = 1550.0) -> None: ...

    def by_keyword(self, *, wavelength: SET) -> None: ...

    def plain(self, wavelength: float) -> None: ...


def test_the_value_to_be_read_back_is_found_among_the_arguments() -> None:
    found = read_back_of(Verified.set_wavelength)
    assert found is not None
    assert found.read_back == ReadBack("wavelength", 0.01, 2.0)
    assert found.wanted(("x", 1540), {}) == 1540
    assert found.wanted(("x",), {"wavelength": 1541}) == 1541
    assert found.wanted(("x",), {}) == 1550.0
    assert found.agrees(1.5404 * UNITS.micrometer, 1540.4)
    assert not found.agrees(1.5404 * UNITS.second, 1540.4)
    keyword = read_back_of(Verified.by_keyword)
    assert keyword is not None
    assert keyword.wanted((), {"wavelength": 3}) == 3


def test_what_is_not_marked_can_be_read_back_all_the_same() -> None:
    for method in (Verified.plain, Laser.set_wavelength, dict.__init__):
        found = read_back_by(ReadBack("wavelength", 1.0), method)
        assert found.wanted((1550,), {}) == 1550
    assert read_back_by(ReadBack("x"), Laser.set_wavelength).wanted((), {"wavelength": 1}) == 1
    assert read_back_by(ReadBack("x"), Verified.by_keyword).wanted((), {"wavelength": 1}) == 1


def test_what_is_not_marked_is_not_read_back() -> None:
    assert read_back_of(Verified.plain) is None
    assert read_back_of(len) is None
    assert read_back_of_value(Verified, "nowhere") is None
    assert read_back_of_value(Laser, "power") is None


def test_an_attribute_is_read_back() -> None:
    found = read_back_of_value(Verified, "level")
    assert found is not None
    assert found.wanted((3,), {}) == 3


def test_two_ways_to_read_back_one_value_contradict_each_other() -> None:
    with pytest.raises(ConfigError, match="more than one way"):
        read_back_of(hinted(Annotated[float, ReadBack("a"), ReadBack("b")]))


@given(st.floats(-1e6, 1e6), st.floats(0, 10), st.floats(-20, 20))
def test_values_agree_exactly_if_they_differ_by_no_more_than_the_tolerance(
    wanted: float, tolerance: float, error: float
) -> None:
    assume(abs(abs(error) - tolerance) > 1e-8)
    assume(tolerance or wanted + error != wanted)
    assert ReadBack("x", tolerance).agrees(wanted + error, wanted) == (abs(error) <= tolerance)


def test_a_difference_of_just_the_tolerance_agrees() -> None:
    assert ReadBack("x", 0.1).agrees(0.4, 0.3)
    assert ReadBack("x", 0.01).agrees(1550.01, 1550)
    assert not ReadBack("x", 0.01).agrees(1550.0101, 1550)


@pytest.mark.parametrize(
    ("found", "wanted", "same"),
    [
        ("CW", "CW", True),
        ("CW", "OFF", False),
        (True, True, True),
        (None, 1.0, False),
        (math.nan, 1.0, False),
        (math.inf, math.inf, True),
        ([1.0, 2.05], (1.0, 2.0), True),
        ([1.0, 2.0], [1.0], False),
        (np.array([1.0, 2.05]), [1.0, 2.0], True),
        ([1.0, 2.2], np.array([1.0, 2.0]), False),
        (np.float32(2.05), 2, True),
        (10**400, 1.0, False),
        (1.0, Decimal(1), True),
    ],
)
def test_values_of_any_kind_are_compared(found: Any, wanted: Any, same: bool) -> None:
    assert ReadBack("x", tolerance=0.1).agrees(found, wanted) is same
