"""Make a value again of the tree that was written of it."""

from __future__ import annotations

import base64
import collections
import dataclasses
import datetime as dt
import decimal
import enum
import fractions
import pathlib
import uuid
import zoneinfo
from collections.abc import Callable
from typing import Any, Final, TypeAlias, cast

from actorlab.encoding import failures, foreign
from actorlab.encoding.names import Resolve
from actorlab.encoding.refusing import Unreadable, class_of
from actorlab.encoding.stand_in import StandIn
from actorlab.encoding.writing import FACTORIES, LEVELS
from actorlab.errors import EncodingError

__all__ = ["Reader"]

AS_THEY_ARE: Final = frozenset((str, bool, type(None), int, float))
DAMAGE: Final = (KeyError, TypeError, ValueError, AttributeError, OverflowError, ArithmeticError)
"""What reading raises when parts of what was written are missing or of the wrong kind."""


class Reader:
    """Read one value; classes are found by `resolve`, and a `lenient` one puts stand-ins for what can't be read."""

    __slots__ = ("lenient", "level", "resolve")

    def __init__(self, resolve: Resolve, *, lenient: bool) -> None:
        self.resolve = resolve
        self.lenient = lenient
        self.level = 0

    def read_all(self, tree: object) -> Any:
        """Read the whole value.

        Raises:
            EncodingError: a class can't be found or has changed, or this isn't what was written.

        """
        try:
            return self.read(tree)
        except Unreadable as why:
            raise EncodingError(str(why)) from why.__cause__

    def read(self, tree: Any) -> Any:
        """Read a value that may hold others."""
        kind = class_of(tree)
        if kind in AS_THEY_ARE:
            return tree
        if self.level > LEVELS + 10:
            message = f"more than {LEVELS} containers stand in one another here: this wasn't written by `encode`"
            raise Unreadable(message)
        self.level += 1
        try:
            if kind is list:
                return self.items(tree)
            if kind is dict:
                return self.tagged(tree) if "$" in tree else {key: self.read(each) for key, each in tree.items()}
        finally:
            self.level -= 1
        message = f"{kind.__qualname__} isn't JSON"
        raise Unreadable(message)

    def items(self, trees: Any) -> list[Any]:
        """Read the items of a list; long ones of plain things at one stroke."""
        if class_of(trees) is not list:
            message = f"a list was expected, and there is {trees!r}"
            raise Unreadable(message)
        values: list[Any] = trees
        return values.copy() if set(map(type, values)) <= AS_THEY_ARE else [self.read(value) for value in values]

    def tagged(self, tree: dict[str, Any]) -> Any:
        """Read what says of itself what it is."""
        read = READERS.get(tree["$"], unknown) if isinstance(tree["$"], str) else unknown
        try:
            return read(self, tree)
        except Unreadable as why:
            if not self.lenient:
                raise
            return StandIn(tree, self.rest(tree), str(why))
        except DAMAGE as error:
            text = f"{tree['$']!r} isn't as `encode` writes it ({type(error).__name__}: {error})"
            if not self.lenient:
                raise Unreadable(text) from error
            return StandIn(tree, {}, text)

    def rest(self, tree: dict[str, Any]) -> dict[str, Any]:
        """Read what can be read of something whose class is gone."""
        found = tree.get("fields", {name: tree[name] for name in tree if name not in {"$", "class"}})
        if not isinstance(found, dict):
            return {}
        return {name: self.read(value) for name, value in cast("dict[str, Any]", found).items()}

    def found(self, name: str, base: type) -> Any:
        """Find a class by its name.

        Raises:
            Unreadable: there is none, or it is of another kind.

        """
        try:
            cls = self.resolve(name)
        except LookupError as error:
            text = f"the class {name} can't be found: {error}"
            raise Unreadable(text) from error
        if not isinstance(cls, type) or not issubclass(cls, base):
            text = f"{name} is {cls!r} now, and no {base.__name__}"
            raise Unreadable(text)
        return cls

    def fields(self, cls: type, tree: dict[str, Any], known: Any) -> dict[str, Any]:
        """Read the values of the fields of a class that has the `known` ones now."""
        values: dict[str, Any] = {name: self.read(value) for name, value in tree.items()}
        gone = [name for name in values if name not in known]
        if gone:
            text = f"{cls.__qualname__} has no field {gone[0]!r} any more"
            raise Unreadable(text)
        return values


Read: TypeAlias = Callable[[Reader, dict[str, Any]], Any]


def unknown(reader: Reader, tree: dict[str, Any]) -> Any:
    """Say that this kind isn't known."""
    del reader
    text = f"nothing is known of {tree['$']!r}: it may have been written by a newer actorlab"
    raise Unreadable(text)


def pairs(reader: Reader, tree: dict[str, Any]) -> list[tuple[Any, Any]]:
    """Read the keys and values of a dict."""
    return [(reader.read(key), reader.read(value)) for key, value in tree["items"]]


def default_dict(reader: Reader, tree: dict[str, Any]) -> Any:
    factory = tree["factory"]
    make: Any = None if factory is None else FACTORIES[factory]
    made: collections.defaultdict[Any, Any] = collections.defaultdict(make)
    made.update(pairs(reader, tree))
    return made


def counter(reader: Reader, tree: dict[str, Any]) -> Any:
    made: collections.Counter[Any] = collections.Counter()
    for key, count in pairs(reader, tree):
        made[key] = count
    return made


def moment(cls: type[dt.datetime | dt.time], tree: dict[str, Any]) -> Any:
    """Read a datetime or a time with its zone."""
    at = cls.fromisoformat(tree["iso"])
    return at.replace(tzinfo=zone_of(tree["zone"]) if "zone" in tree else at.tzinfo, fold=tree.get("fold", 0))


def zone_of(name: str) -> zoneinfo.ZoneInfo:
    """Find a time zone by its name."""
    try:
        return zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, OSError) as error:
        text = f"the time zone {name!r} isn't known on this machine: `pip install tzdata`"
        raise Unreadable(text) from error


def timedelta(tree: dict[str, Any]) -> dt.timedelta:
    return dt.timedelta(tree["days"], tree["seconds"], tree["microseconds"])


def timezone(tree: dict[str, Any]) -> dt.timezone:
    offset = timedelta(tree["offset"])
    plain = dt.timezone(offset)
    return plain if plain.tzname(None) == tree["name"] else dt.timezone(offset, tree["name"])


def fraction(text: str) -> fractions.Fraction:
    """Read a fraction of two whole numbers; `Fraction` itself would reckon 1e999999999, and hardly end."""
    above, slash, below = text.partition("/")
    return fractions.Fraction(int(above), int(below) if slash else 1)


PATHS: Final[dict[str, type[pathlib.PurePath]]] = {
    cls.__name__: cls for cls in (pathlib.Path, pathlib.PurePosixPath, pathlib.PureWindowsPath)
}


def a_class(reader: Reader, tree: dict[str, Any]) -> Any:
    return reader.found(tree["name"], object)


def enum_member(reader: Reader, tree: dict[str, Any]) -> enum.Enum:
    cls = reader.found(tree["class"], enum.Enum)
    member: enum.Enum | None = cls.__members__.get(tree["name"])
    if member is None:
        text = f"{cls.__qualname__} has no member {tree['name']!r} any more"
        raise Unreadable(text)
    return member


def flag(reader: Reader, tree: dict[str, Any]) -> enum.Flag:
    """Read a combination of flags; `Flag`'s own way of making it is used, whatever the class has."""
    cls = reader.found(tree["class"], enum.Flag)
    member: enum.Flag = cls(tree["value"])
    return member


def named_tuple(reader: Reader, tree: dict[str, Any]) -> Any:
    cls = reader.found(tree["class"], tuple)
    names: tuple[str, ...] = getattr(cls, "_fields", ())
    values = completed(cls, reader.fields(cls, tree["fields"], names), names, getattr(cls, "_field_defaults", {}))
    return tuple[Any, ...].__new__(cls, [values[name] for name in names])


def completed(cls: type, values: dict[str, Any], names: Any, defaults: dict[str, Any]) -> dict[str, Any]:
    """Add the defaults of fields that a class didn't have when the value was written."""
    for name in names:
        if name not in values:
            if name not in defaults:
                text = f"{cls.__qualname__} has got a field {name!r} without a default since this was written"
                raise Unreadable(text)
            values[name] = defaults[name]
    return values


def dataclass_instance(reader: Reader, tree: dict[str, Any]) -> Any:
    """Make an instance without its constructor, which might compute, ask or refuse."""
    cls = reader.found(tree["class"], object)
    if not hasattr(cls, "__dataclass_fields__"):
        text = f"{cls.__qualname__} is no dataclass any more"
        raise Unreadable(text)
    fields = {field.name: field for field in dataclasses.fields(cls)}
    values = reader.fields(cls, tree["fields"], fields)
    for name, field in fields.items():
        if name not in values and name not in tree.get("unset", ()):
            values[name] = default_of(cls, field)
    made: Any = object.__new__(cls)
    more = {name: reader.read(value) for name, value in tree.get("more", {}).items()}
    for name, value in (values | more).items():
        object.__setattr__(made, name, value)
    return made


def default_of(cls: type, field: Any) -> Any:
    """Return the default of a field that was added to a class."""
    if field.default is not dataclasses.MISSING:
        return field.default
    if field.default_factory is not dataclasses.MISSING:
        return field.default_factory()
    text = f"{cls.__qualname__} has got a field {field.name!r} without a default since this was written"
    raise Unreadable(text)


READERS: Final[dict[str, Read]] = {
    "float": lambda _, tree: float(tree["value"]),
    "int": lambda _, tree: int(tree["hex"], 16),
    "dict": lambda reader, tree: dict(pairs(reader, tree)),
    "OrderedDict": lambda reader, tree: collections.OrderedDict(pairs(reader, tree)),
    "Counter": counter,
    "defaultdict": default_dict,
    "tuple": lambda reader, tree: tuple(reader.items(tree["items"])),
    "set": lambda reader, tree: set(reader.items(tree["items"])),
    "frozenset": lambda reader, tree: frozenset(reader.items(tree["items"])),
    "deque": lambda reader, tree: collections.deque(reader.items(tree["items"]), tree.get("maxlen")),
    "complex": lambda reader, tree: complex(reader.read(tree["real"]), reader.read(tree["imag"])),
    "bytes": lambda _, tree: base64.b64decode(tree["base64"], validate=True),
    "bytearray": lambda _, tree: bytearray(base64.b64decode(tree["base64"], validate=True)),
    "datetime": lambda _, tree: moment(dt.datetime, tree),
    "time": lambda _, tree: moment(dt.time, tree),
    "date": lambda _, tree: dt.date.fromisoformat(tree["iso"]),
    "timedelta": lambda _, tree: timedelta(tree),
    "timezone": lambda _, tree: timezone(tree),
    "zone": lambda _, tree: zone_of(tree["name"]),
    "Decimal": lambda _, tree: decimal.Decimal(tree["value"]),
    "Fraction": lambda _, tree: fraction(tree["value"]),
    "UUID": lambda _, tree: uuid.UUID(tree["value"]),
    "path": lambda _, tree: PATHS[tree["kind"]](tree["path"]),
    "range": lambda reader, tree: range(*reader.items(tree["items"])),
    "slice": lambda reader, tree: slice(*reader.items(tree["items"])),
    "ellipsis": lambda reader, tree: ...,  # noqa: ARG005 - all of them take the same
    "class": a_class,
    "enum": enum_member,
    "flag": flag,
    "namedtuple": named_tuple,
    "dataclass": dataclass_instance,
    "error": failures.read,
    "unwritten": lambda _, tree: StandIn(tree, {}, tree["why"]),
    **foreign.READERS,
}
