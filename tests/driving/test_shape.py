"""Hold looking at a driver's object to its law: everything that lies there is seen, and nothing is evaluated."""

from __future__ import annotations

import functools
from collections import OrderedDict, defaultdict
from typing import Any, ClassVar, NamedTuple

import pytest

from actorlab.driving.shape import NO_SHAPE, Shape, container_kind, look


class Part:
    """An object that stays with its device."""


class Trap:
    """An attribute that must not be read."""

    def __get__(self, instance: object, owner: type | None = None) -> Any:
        raise AssertionError

    def __set__(self, instance: object, value: object) -> None: ...


class Driver:
    """Everything that may lie in a driver's object, and traps around it."""

    constant = 5
    shared = Part()
    hidden = Part()
    trap = Trap()

    def __init__(self) -> None:
        self.gain = 1
        self.output = Part()
        self.channels = {1: Part(), "A": Part(), "count": 2}
        self.table = [1, 2]
        self.hidden = 3  # type: ignore[assignment]  # goes before the one of the class
        self._secret = Part()
        vars(self)["level"] = Part()  # but the property goes before it

    @property
    def level(self) -> float:
        raise AssertionError

    @functools.cached_property
    def later(self) -> float:
        raise AssertionError

    def method(self) -> None:
        raise AssertionError

    def __getattr__(self, name: str) -> Any:
        raise AssertionError(name)

    def __len__(self) -> int:
        raise AssertionError

    def __iter__(self) -> Any:
        raise AssertionError


def test_attributes_and_parts_are_seen_and_no_property_method_or_descriptor_is_run() -> None:
    shape = look(Driver())
    assert shape.cls is Driver
    assert shape.names == {"gain", "output", "channels", "table", "hidden", "level"}
    assert dict(shape.parts) == {
        ("attribute", "output"): Part,
        ("attribute", "channels"): dict,
        ("attribute", "shared"): Part,
    }
    assert shape.keys == ()
    assert shape.data >= {"gain", "table", "hidden"}


def test_a_getattribute_of_its_class_is_passed_by() -> None:
    class Guarded:
        def __init__(self) -> None:
            self.output = Part()

        def __getattribute__(self, name: str) -> Any:
            raise AssertionError(name)

    assert look(Guarded()).parts == {("attribute", "output"): Part}


def test_parts_in_slots_are_seen() -> None:
    class Slotted:
        __slots__ = ("gain", "output", "unset")
        unset: float

        def __init__(self) -> None:
            self.gain = 1
            self.output = Part()

    shape = look(Slotted())
    assert shape.parts == {("attribute", "output"): Part}
    assert shape.names == {"gain", "output"}


def test_items_of_lists_tuples_and_dictionaries_are_seen() -> None:
    part, other = Part(), Part()
    assert look([part, 2, other]) == Shape(
        list, frozenset(), {("item", 0): Part, ("item", 2): Part}, (0, 1, 2), frozenset()
    )
    assert look((part,)).keys == (0,)
    found = look(OrderedDict({"B": part, "A": 1}))
    assert found.parts == {("item", "B"): Part}
    assert found.keys == ("B", "A")


def test_a_container_with_ways_of_its_own_is_no_container_to_look_into() -> None:
    class Measuring(dict[int, Any]):
        def __getitem__(self, key: int) -> Any:
            raise AssertionError

    class Lazy(list[Any]):
        def __iter__(self) -> Any:
            raise AssertionError

    class Pair(NamedTuple):
        part: Part
        number: int

    assert look(Measuring({1: Part()})).keys == ()
    assert look(Lazy([Part()])).keys == ()
    assert look(Pair(Part(), 1)).parts == {("item", 0): Part}
    assert container_kind(defaultdict) == "mapping"
    assert container_kind(Driver) is None


def test_numbers_have_no_shape_worth_telling() -> None:
    for value in (1, "text", None, object()):
        assert look(value).names == NO_SHAPE.names
        assert look(value).parts == {}


# -- classes of other packages, by their names only


def foreign(module: str, name: str, **space: Any) -> Any:
    """Make a class that looks as if it came from another package."""
    return type(name, (), {"__module__": module, **space})


@pytest.fixture
def delegating() -> Any:
    """Make an object as QCoDeS makes them."""

    def __getattr__(_: object, name: str) -> Any:  # noqa: N807 - it becomes the method of this name
        raise AssertionError(name)

    cls = foreign(
        "qcodes.utils.attribute_helpers",
        "DelegateAttributes",
        delegate_attr_dicts=["parameters", "functions", "missing"],
        __getattr__=__getattr__,
        ask=lambda _: None,
    )
    made = cls()
    made.parameters = {"volt": Part(), "ask": Part(), "both": Part(), "_private": Part()}
    made.functions = {"reset": Part(), "both": 1}
    return made


def test_what_an_object_delegates_to_is_seen_unless_its_class_has_the_name(delegating: Any) -> None:
    shape = look(delegating)
    assert shape.names == {"parameters", "functions", "volt", "reset", "both"}
    assert shape.parts[("attribute", "volt")] is Part
    assert shape.parts[("attribute", "both")] is Part, "the first dictionary goes before the second"
    assert ("attribute", "ask") not in shape.parts


def test_another_package_s_lists_of_that_name_mean_nothing() -> None:
    class Other:
        delegate_attr_dicts: ClassVar = ["parameters"]

        def __init__(self) -> None:
            self.parameters = {"volt": Part()}
            self._special_names = ["volt_values"]

    assert look(Other()).names == {"parameters"}
    assert look(Other()).settable == frozenset()


def test_channel_tuples_are_seen_by_index_and_by_the_names_that_no_channel_hides() -> None:
    made = foreign("qcodes.instrument.channel", "ChannelTuple")()
    first, second = Driver(), Driver()
    made._channels = [first, second]
    made._channel_mapping = {"A": first, "B": second, "gain": second, "method": second}
    shape = look(made)
    assert shape.keys == (0, 1)
    assert set(shape.parts) == {("item", 0), ("item", 1), ("attribute", "A"), ("attribute", "B")}
    made._channels = ()
    assert look(made).keys == ()


def test_names_that_only_change_a_property_can_be_set() -> None:
    made = foreign("pymeasure.instruments.common_base", "CommonBase")()
    made._special_names = ["voltage_values"]
    assert look(made).settable == {"voltage_values"}
    assert look(made).names == frozenset()
