"""Turn a value into a tree that JSON can hold."""

from __future__ import annotations

import base64
import collections
import dataclasses
import datetime as dt
import decimal
import enum
import fractions
import functools
import inspect
import json
import math
import pathlib
import types
import uuid
import zoneinfo
from collections.abc import Callable
from typing import Any, Final, TypeAlias, cast

from actorlab.encoding import failures, foreign
from actorlab.encoding.names import name_of
from actorlab.encoding.refusing import Refused, article, class_of, refuse
from actorlab.encoding.stand_in import StandIn
from actorlab.errors import EncodingError

__all__ = ["LEVELS", "Writer"]

LEVELS: Final = 100
"""So deep may containers stand in one another."""
LARGE: Final = 1 << 1024
"""Python refuses to read the decimal digits of very large integers: from here on they are written in hexadecimal."""
AS_THEY_ARE: Final = frozenset((str, bool, type(None)))
BUILT_IN: Final = (int, float, complex, str, bytes, bytearray, list, dict, set, frozenset, tuple)
FACTORIES: Final = {cls.__name__: cls for cls in (list, dict, set, int, float, str, tuple, bool)}
"""What a `defaultdict` may make its values by."""


class Writer:
    """Write one value; `name` is how messages call it.

    A `canonical` writer gives equal trees for equal values (but for the order of plain dicts, which JSON can sort).
    A `lenient` one writes, in the place of what isn't data, its class and why it can't be written.
    """

    __slots__ = ("canonical", "inside", "lenient", "name")

    def __init__(self, name: str = "value", *, canonical: bool = False, lenient: bool = False) -> None:
        self.name = name
        self.canonical = canonical
        self.lenient = lenient
        self.inside: set[int] = set()

    def write_all(self, value: object) -> Any:
        """Write the whole value.

        Raises:
            EncodingError: something in it isn't data.

        """
        try:
            return self.write(value)
        except Refused as refused:
            message = f"{self.name}{''.join(reversed(refused.path))}: {refused.why}"
            raise EncodingError(message) from refused.__cause__

    def write(self, value: Any) -> Any:
        """Write a value that may hold others."""
        kind = class_of(value)
        if kind in AS_THEY_ARE:
            return value
        if kind is float:
            return value if math.isfinite(value) else {"$": "float", "value": repr(value)}
        if kind is int:
            return value if -LARGE < value < LARGE else {"$": "int", "hex": hex(value)}
        try:
            return self._enter(kind, value)
        except Refused as refused:
            if not self.lenient:
                raise
            return {"$": "unwritten", "class": name_of(kind), "why": refused.why}

    def _enter(self, kind: type[Any], value: Any) -> Any:
        if id(value) in self.inside:
            refuse(f"{article(kind)} that holds itself can't be written down")
        if len(self.inside) == LEVELS:
            refuse(f"more than {LEVELS} containers stand in one another here: flatten it")
        self.inside.add(id(value))
        try:
            return (WRITERS.get(kind) or writer_for(kind))(self, value)
        finally:
            self.inside.discard(id(value))

    def at(self, step: str, value: Any) -> Any:
        """Write a part of a value; `step` leads to it."""
        try:
            return self.write(value)
        except Refused as refused:
            refused.path.append(step)
            raise

    def items(self, values: Any) -> list[Any]:
        """Write the items of a sequence; long ones of plain things at one stroke."""
        kinds = set(map(type, values))
        if kinds <= AS_THEY_ARE or (kinds == {float} and all(map(math.isfinite, values))):
            return list(values)
        if kinds == {int} and max(values) < LARGE and min(values) > -LARGE:
            return list(values)
        return [self.at(f"[{number}]", value) for number, value in enumerate(values)]

    def fields(self, values: dict[str, Any]) -> dict[str, Any]:
        """Write values by the names of their attributes."""
        return {name: self.at(f".{name}", value) for name, value in values.items()}

    def pairs(self, values: dict[Any, Any], *, ordered: bool = False) -> list[Any]:
        """Write keys and values one after the other."""
        pairs = [[self.at(f"[{shown(key)}]", key), self.at(f"[{shown(key)}]", each)] for key, each in values.items()]
        return pairs if ordered or not self.canonical else sorted(pairs, key=as_text)

    def named(self, kind: str, cls: type, **parts: Any) -> dict[str, Any]:
        """Write what names its class."""
        return {"$": kind, "class": name_of(cls), **parts}


Write: TypeAlias = Callable[[Writer, Any], Any]


def as_text(tree: Any) -> str:
    """Write a tree so that equal ones have equal text."""
    return json.dumps(tree, sort_keys=True)


def shown(key: object) -> str:
    """Write a key of a dict for a message."""
    text = repr(key)
    return text if len(text) <= LEVELS else f"{text[:LEVELS]}…"


def writer_for(kind: type[Any]) -> Write:
    """Find how to write values of a class that no table names.

    Raises:
        Refused: they aren't data.

    """
    for base, write in BASES:
        if issubclass(kind, base):
            return write
    if is_subclass(kind, tuple) and hasattr(kind, "_fields"):
        return named_tuple
    if hasattr(kind, "__dataclass_fields__") and not is_subclass(kind, *BUILT_IN):
        return dataclass_instance
    found = foreign.writer_for(kind)
    if found is not None:
        return found
    return refuse(why_not(kind))


def is_subclass(kind: type, *bases: type) -> bool:
    """Tell whether a class derives from one of others; type checkers shall learn nothing from it."""
    return issubclass(kind, bases)


def why_not(kind: type) -> str:
    """Say why values of a class can't be written, and what can."""
    base = next((base for base in BUILT_IN if is_subclass(kind, base)), None)
    if base is not None:
        own = f"{article(kind)} (a class of its own, made from {base.__name__})"
        return f"{own} can't be written down: make it a plain {base.__name__}"
    others = "numbers, text, times, arrays, quantities, and containers and dataclasses of them can"
    return f"{article(kind)} can't be written down: {others}"


# -- one function for each kind of value


def plain_list(writer: Writer, value: list[Any]) -> Any:
    return writer.items(value)


def plain_dict(writer: Writer, value: dict[Any, Any]) -> Any:
    if set(map(type, value)) <= {str} and "$" not in value:
        if set(map(type, value.values())) <= AS_THEY_ARE:
            return value.copy()
        return {key: writer.at(f"[{key!r}]", each) for key, each in value.items()}
    return {"$": "dict", "items": writer.pairs(value)}


def plain_tuple(writer: Writer, value: tuple[Any, ...]) -> Any:
    return {"$": "tuple", "items": writer.items(value)}


def any_set(writer: Writer, value: set[Any] | frozenset[Any]) -> Any:
    items = [writer.at("{…}", item) for item in value]
    return {"$": type(value).__name__, "items": sorted(items, key=as_text)}


def deque(writer: Writer, value: collections.deque[Any]) -> Any:
    bound = {} if value.maxlen is None else {"maxlen": value.maxlen}
    return {"$": "deque", "items": writer.items(value), **bound}


def ordered_dict(writer: Writer, value: collections.OrderedDict[Any, Any]) -> Any:
    return {"$": "OrderedDict", "items": writer.pairs(value, ordered=True)}


def counter(writer: Writer, value: collections.Counter[Any]) -> Any:
    return {"$": "Counter", "items": writer.pairs(value)}


def default_dict(writer: Writer, value: collections.defaultdict[Any, Any]) -> Any:
    factory = value.default_factory
    name = getattr(factory, "__name__", "")
    if factory is not None and FACTORIES.get(name) is not factory:
        refuse("a defaultdict with a factory of its own can't be written down: make it a plain dict")
    return {"$": "defaultdict", "factory": name or None, "items": writer.pairs(value)}


def complex_number(writer: Writer, value: complex) -> Any:
    return {"$": "complex", "real": writer.write(value.real), "imag": writer.write(value.imag)}


def byte_string(writer: Writer, value: bytes | bytearray) -> Any:
    del writer
    return {"$": type(value).__name__, "base64": base64.b64encode(value).decode()}


def moment(writer: Writer, value: dt.datetime | dt.time) -> Any:
    """Write a datetime or a time; a zone is a fixed offset, or has a name."""
    del writer
    tree: dict[str, Any] = {"$": type(value).__name__}
    match value.tzinfo:
        case None | dt.timezone():
            tree["iso"] = value.isoformat()
        case zoneinfo.ZoneInfo(key=str(key)):
            tree |= {"iso": value.replace(tzinfo=None).isoformat(), "zone": key}
        case other:
            refuse(f"a time whose zone is {article(type(other))} can't be written down: use zoneinfo.ZoneInfo(name)")
    return tree | ({"fold": 1} if value.fold else {})


def date(writer: Writer, value: dt.date) -> Any:
    del writer
    return {"$": "date", "iso": value.isoformat()}


def timedelta(writer: Writer, value: dt.timedelta) -> Any:
    del writer
    return {"$": "timedelta", "days": value.days, "seconds": value.seconds, "microseconds": value.microseconds}


def timezone(writer: Writer, value: dt.timezone) -> Any:
    offset = value.utcoffset(None)
    return {"$": "timezone", "offset": timedelta(writer, offset), "name": value.tzname(None)}


def zone(writer: Writer, value: zoneinfo.ZoneInfo) -> Any:
    del writer
    if not value.key:
        refuse("a zone without a name can't be written down: use zoneinfo.ZoneInfo(name)")
    return {"$": "zone", "name": value.key}


def number_as_text(writer: Writer, value: decimal.Decimal | fractions.Fraction | uuid.UUID) -> Any:
    del writer
    return {"$": type(value).__name__, "value": str(value)}


def path(writer: Writer, value: pathlib.PurePath) -> Any:
    del writer
    kind = "Path" if isinstance(value, pathlib.Path) else type(value).__name__
    return {"$": "path", "kind": kind, "path": str(value)}


def plain_range(writer: Writer, value: range) -> Any:
    return {"$": "range", "items": writer.items((value.start, value.stop, value.step))}


def plain_slice(writer: Writer, value: slice) -> Any:
    return {"$": "slice", "items": writer.items((value.start, value.stop, value.step))}


def ellipsis(writer: Writer, value: types.EllipsisType) -> Any:
    del writer, value
    return {"$": "ellipsis"}


def a_class(writer: Writer, value: type) -> Any:
    del writer
    return {"$": "class", "name": name_of(value)}


def enum_member(writer: Writer, value: enum.Enum) -> Any:
    if isinstance(value, enum.Flag):
        return writer.named("flag", type(value), value=value.value)
    return writer.named("enum", type(value), name=value.name)


def named_tuple(writer: Writer, value: Any) -> Any:
    return writer.named(
        "namedtuple", class_of(value), fields=writer.fields(dict(zip(value._fields, value, strict=True)))
    )


def dataclass_instance(writer: Writer, value: Any) -> Any:
    """Write the fields that are set, and what else was put into the object; what it only remembers is left out."""
    cls = class_of(value)
    names: Any = cls.__dataclass_fields__
    own = cast("dict[str, Any]", getattr(value, "__dict__", {}))
    extra = {name: each for name, each in own.items() if name not in names and not remembered(cls, name)}
    fields = {
        field.name: getattr(value, field.name) for field in dataclasses.fields(value) if is_set(value, field.name)
    }
    tree = writer.named("dataclass", cls, fields=writer.fields(fields))
    unset = [field.name for field in dataclasses.fields(value) if field.name not in fields]
    if unset:
        tree["unset"] = unset
    return tree | {"more": writer.fields(extra)} if extra and not writer.canonical else tree


def is_set(value: object, name: str) -> bool:
    """Tell whether an object has an attribute of its own: a default that was never overwritten is its class's."""
    try:
        object.__getattribute__(value, name)
    except AttributeError:
        return False
    return True


def remembered(cls: type, name: str) -> bool:
    """Tell whether a value was computed from the fields and will be again."""
    return isinstance(inspect.getattr_static(cls, name, None), functools.cached_property)


def stand_in(writer: Writer, value: StandIn) -> Any:
    del writer
    return value.tree


def error(writer: Writer, value: BaseException) -> Any:
    return failures.written(writer, value)


WRITERS: Final[dict[type, Write]] = {
    list: plain_list, dict: plain_dict, tuple: plain_tuple, set: any_set, frozenset: any_set,
    collections.deque: deque, collections.OrderedDict: ordered_dict, collections.Counter: counter,
    collections.defaultdict: default_dict, complex: complex_number, bytes: byte_string, bytearray: byte_string,
    dt.datetime: moment, dt.time: moment, dt.date: date, dt.timedelta: timedelta, dt.timezone: timezone,
    zoneinfo.ZoneInfo: zone, decimal.Decimal: number_as_text, fractions.Fraction: number_as_text,
    uuid.UUID: number_as_text, range: plain_range, slice: plain_slice, type(...): ellipsis, type: a_class,
    StandIn: stand_in,
}  # fmt: skip
BASES: Final[tuple[tuple[type, Write], ...]] = (
    (enum.Enum, enum_member),
    (BaseException, error),
    (pathlib.PurePath, path),
    (type, a_class),
)
"""Classes whose subclasses are written as they are."""
