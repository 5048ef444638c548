"""Tell whether a plain value is of the kind that a type hint asks for; what isn't plain data always passes."""

from __future__ import annotations

import collections.abc
import inspect
import reprlib
import typing
from collections.abc import Callable, Mapping
from enum import Enum, Flag
from typing import Any, Final, Literal
from weakref import WeakKeyDictionary

from actorlab.errors import ConfigError
from actorlab.quantities.hints import ABSENT, FOREIGN_ERRORS, Unreadable, annotation_of, signature_of
from actorlab.quantities.marked import UNIONS, without_markers

__all__ = ["Kinds", "Misfits", "Test", "test_for"]

Test = Callable[[Any], bool]
Misfits = dict[str, str]
"""What is wrong with which argument."""
Kind = inspect.Parameter
PLAIN: Final = frozenset((str, bytes, bool, int, float, complex, list, tuple, dict, set, frozenset, type(None)))
"""Only values of these types are judged: a quantity, an array or an object may stand for anything."""
NUMBERS: Final = frozenset((bool, int, float))
LISTS: Final = frozenset((list, tuple, set, frozenset))
ABSTRACT: Final = frozenset((
    collections.abc.Sequence, collections.abc.MutableSequence, collections.abc.Iterable, collections.abc.Collection,
    collections.abc.Set, collections.abc.MutableSet,
))  # fmt: skip
MAPPINGS: Final = frozenset((dict, collections.abc.Mapping, collections.abc.MutableMapping))
TYPES: Final[dict[Any, frozenset[Any]]] = {
    float: NUMBERS, complex: NUMBERS | {complex}, str: frozenset((str,)), bytes: frozenset((bytes,)),
    None: frozenset((type(None),)), type(None): frozenset((type(None),)),
}  # fmt: skip


class Wanted(typing.NamedTuple):
    """What an argument has to be, and how that is written."""

    fits: Test
    text: str

    def misfit(self, value: Any) -> str | None:
        """Say what is wrong with a value; None if nothing is."""
        return None if self.fits(value) else f"{self.text} is wanted, not {reprlib.repr(value)}"


class Arguments(typing.NamedTuple):
    """What the arguments of one method have to be; None passes all."""

    by_place: tuple[tuple[str, Wanted | None], ...]
    by_name: Mapping[str, Wanted | None]
    rest: Wanted | None = None
    others: Wanted | None = None

    def misfits(self, args: list[Any], kwargs: dict[str, Any]) -> Misfits:
        """Say which arguments are of a wrong kind."""
        rest = [(f"args.{at}", self.rest) for at in range(len(self.by_place), len(args))]
        given = [(name, wanted, value) for (name, wanted), value in zip((*self.by_place, *rest), args, strict=False)]
        given += [(name, self.by_name.get(name, self.others), value) for name, value in kwargs.items()]
        found = {name: wanted.misfit(value) for name, wanted, value in given if wanted is not None}
        return {name: said for name, said in found.items() if said is not None}


ANYTHING: Final = Arguments((), {})


class Kinds:
    """The kinds that the members of classes take; a class is looked at once, as that takes longer than a call."""

    def __init__(self) -> None:
        self._known: WeakKeyDictionary[type, dict[str, Arguments]] = WeakKeyDictionary()

    def knows(self, cls: type, method: str) -> bool:
        """Tell whether a method was looked at."""
        return method in self._known.get(cls, ())

    def misfits(self, cls: type, method: str, args: list[Any], kwargs: dict[str, Any]) -> Misfits:
        """Say which arguments of a method are of a wrong kind."""
        members = self._known.setdefault(cls, {})
        wanted = members.get(method)
        if wanted is None:
            wanted = members[method] = wanted_by(cls, method)
        return wanted.misfits(args, kwargs) if wanted is not ANYTHING else {}

    def misfit_of_value(self, cls: type, attribute: str, value: Any) -> Misfits:
        """Say why an attribute can't be set to a value."""
        wanted = wanted_value(cls, attribute)
        said = None if wanted is None else wanted.misfit(value)
        return {} if said is None else {attribute: said}


def wanted_by(cls: type, method: str) -> Arguments:
    """Return what a method's arguments have to be."""
    signature = readable(lambda: signature_of(inspect.getattr_static(cls, method, ABSENT), cls))
    if signature is None:
        return ANYTHING
    listed = [(item, wanted_for(item.annotation, item.default)) for item in signature.parameters.values()]
    if not any(wanted for _, wanted in listed):
        return ANYTHING
    by_kind = {item.kind: wanted for item, wanted in listed}
    return Arguments(
        tuple([(item.name, it) for item, it in listed if item.kind in (Kind.POSITIONAL_ONLY, BOTH)]),
        {item.name: it for item, it in listed if item.kind in (Kind.KEYWORD_ONLY, BOTH)},
        by_kind.get(Kind.VAR_POSITIONAL),
        by_kind.get(Kind.VAR_KEYWORD),
    )


BOTH: Final = Kind.POSITIONAL_OR_KEYWORD


def wanted_value(cls: type, attribute: str) -> Wanted | None:
    """Return what an attribute may be set to; a property says so by its setter alone."""
    static = inspect.getattr_static(cls, attribute, ABSENT)
    if not issubclass(type(static), property):
        return wanted_for(readable(lambda: annotation_of(cls, attribute)), static)
    setter = readable(lambda: signature_of(static.fset, cls))
    first = None if setter is None else next(iter(setter.parameters.values()), None)
    return None if first is None else wanted_for(first.annotation, first.default)


def readable(read: Callable[[], Any]) -> Any:
    """Return what is read from a driver's class; None if its hints make no sense, which whoever describes it says."""
    try:
        return read()
    except (ConfigError, *FOREIGN_ERRORS):
        return None


def wanted_for(hint: Any, default: object) -> Wanted | None:
    """Return what a hint asks for; None lets anything pass.

    A default that the hint forgets, such as `None` for a number, tells that values of its type are welcome too.
    """
    if any(isinstance(item, Unreadable) for item in getattr(hint, "__metadata__", ())):
        return None
    test = test_for(hint)
    if test is None:
        return None
    text = inspect.formatannotation(without_markers(hint)[0])
    if test(default):
        return Wanted(test, text)
    like = type(default)

    def fits(value: Any) -> bool:
        return type(value) is like or test(value)

    return Wanted(fits, text)


def test_for(hint: Any) -> Test | None:
    """Return what tells whether a value is of the kind that a hint says; None if anything may be."""
    bare = without_markers(hint)[0]
    origin: Any = typing.get_origin(bare) or bare
    items = [test_for(item) for item in typing.get_args(bare)] if origin not in (Literal, Callable) else []
    if origin in UNIONS:
        return union_test(items)
    if origin is Literal:
        return choice_test(typing.get_args(bare))
    if is_named(origin, LISTS | ABSTRACT):
        return list_test(origin, typing.get_args(bare), items)
    if is_named(origin, MAPPINGS):
        return mapping_test(items[-1] if items else None)
    return simple_test(origin)


def union_test(branches: list[Test | None]) -> Test | None:
    """Return the test for what one of several kinds may be."""
    tests = [test for test in branches if test is not None]
    if len(tests) < len(branches):
        return None
    return lambda value: any(test(value) for test in tests)


def is_named(kind: Any, kinds: frozenset[Any]) -> bool:
    """Tell whether it is one of some types; what stands in a hint need not have a hash."""
    return any(kind is one for one in kinds)


def simple_test(kind: Any) -> Test | None:
    """Return the test for what has no parts."""
    if kind is bool:
        return lambda value: type(value) not in PLAIN or (type(value) in NUMBERS and value in {0, 1})
    if kind is int:
        return lambda value: type(value) not in PLAIN or (type(value) in NUMBERS and value == value // 1)
    if isinstance(kind, type) and issubclass(kind, Enum) and not issubclass(kind, Flag):
        return enum_test(kind)
    if not is_named(kind, frozenset(TYPES)):
        return None
    types = TYPES[kind]
    return lambda value: type(value) in types or type(value) not in PLAIN


def enum_test(kind: type[Enum]) -> Test | None:
    """Return the test for an enum's values and names; one with a `_missing_` of its own takes anything."""
    if getattr(kind._missing_, "__func__", None) is not getattr(Enum._missing_, "__func__", None):
        return None
    known: list[Any] = [member.value for member in kind] + list(kind.__members__)
    return lambda value: type(value) not in PLAIN or value in known


def choice_test(choices: tuple[Any, ...]) -> Test:
    """Return the test for some values."""
    known = [choice.value if isinstance(choice, Enum) else choice for choice in choices]
    return lambda value: type(value) not in PLAIN or value in known


def list_test(kind: Any, hints: tuple[Any, ...], items: list[Test | None]) -> Test:
    """Return the test for lists, tuples and sets, which may stand for each other; an abstract one may be more."""
    abstract = is_named(kind, ABSTRACT)
    if kind is tuple and hints[-1:] != (...,) and hints:
        return tuple_test(items)
    test = items[0] if items else None

    def fits(value: Any) -> bool:
        if type(value) not in LISTS:
            return type(value) not in PLAIN or (abstract and type(value) in (str, bytes, dict))
        return test is None or all(map(test, value))

    return fits


def tuple_test(items: list[Test | None]) -> Test:
    """Return the test for tuples of one length."""

    def fits(value: Any) -> bool:
        if type(value) not in LISTS:
            return type(value) not in PLAIN
        if len(value) != len(items):
            return False
        return all(test is None or test(item) for test, item in zip(items, value, strict=True))

    return fits


def mapping_test(test: Test | None) -> Test:
    """Return the test for mappings, by their values."""

    def fits(value: Any) -> bool:
        if type(value) not in MAPPINGS:
            return type(value) not in PLAIN
        return test is None or all(map(test, value.values()))

    return fits
