"""Hold the difference between data and parts to its law: it is told without evaluating anything."""

from __future__ import annotations

import dataclasses
import enum
from dataclasses import dataclass
from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from actorlab.driving.travel import Stays, is_data, outgoing, own_values

scalars = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.complex_numbers(), st.text(max_size=3), st.binary()
)
nested = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4), st.tuples(inner, inner), st.dictionaries(st.text(max_size=2), inner, max_size=4)
    ),
    max_leaves=20,
)


class Part:
    """An object that stays with its device."""


class Jealous:
    """An object that says of itself to be a number, and hits whoever asks it anything else."""

    touched = False
    __class__ = property(lambda _: float)  # pyright: ignore[reportIncompatibleMethodOverride] - the subject

    def __getattribute__(self, name: str) -> Any:
        if name != "__class__":
            Jealous.touched = True
        return object.__getattribute__(self, name)


class Color(enum.Enum):
    RED = 1


@dataclass
class Point:
    x: float
    y: Any


@dataclass(slots=True)
class Slotted:
    x: float
    y: Any


class Reading:
    """A descriptor that counts how often it is read."""

    count = 0

    def __get__(self, instance: object, owner: type) -> float:
        Reading.count += 1
        return 1.0

    def __set__(self, instance: object, value: object) -> None: ...


@dataclass
class Measured:
    value: Reading = dataclasses.field(default=Reading())


@given(nested)
def test_whatever_is_made_of_scalars_is_data(value: object) -> None:
    assert is_data(value)
    assert outgoing(value, 1) is value


@given(nested, st.sampled_from([Part(), lambda: 0, iter(())]), st.integers(0, 3))
def test_one_object_among_the_data_makes_all_of_it_a_part(value: object, planted: object, depth: int) -> None:
    for _ in range(depth):
        planted = [planted, value] if depth % 2 else {"planted": planted}
    assert not is_data((value, planted))
    assert outgoing([value, planted], 1).__class__ is Stays


def test_enums_arrays_dataclasses_and_classes_are_data() -> None:
    assert is_data([Color.RED, np.ones(3), np.float64(1), Point(1, [2]), Slotted(1, None), int, range(3), ValueError()])
    assert not is_data(Point(1, Part()))
    assert not is_data(Slotted(1, [Part()]))


def test_a_container_that_holds_itself_is_judged_and_soon() -> None:
    knot: list[Any] = []
    knot += [knot] * 50
    points = [Point(1, None) for _ in range(50)]
    for point in points:
        point.y = points
    assert is_data(knot)
    assert is_data(points)
    points[3].x = Part()  # type: ignore[assignment]  # a driver may do so
    assert not is_data(points)


def test_nothing_of_a_value_is_evaluated() -> None:
    assert not is_data([Jealous()])
    assert not Jealous.touched
    Reading.count = 0
    assert not is_data(Measured())
    assert Reading.count == 0


def test_own_values_are_those_of_the_dictionary_and_of_the_slots_that_are_set() -> None:
    class Base:
        __slots__ = ("b", "unset")

    class Derived(Base):
        def __init__(self) -> None:
            self.b = 1
            self.d = 2

        @property
        def computed(self) -> int:
            raise AssertionError

    assert own_values(Derived()) == {"b": 1, "d": 2}
    assert own_values(3) == {}
