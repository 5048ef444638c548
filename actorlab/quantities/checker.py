"""Check the arguments of a call, or a value to be set, against the units and ranges in the type hints."""

from __future__ import annotations

import functools
import inspect
import math
from collections.abc import Mapping
from typing import Any

from actorlab.errors import ConfigError
from actorlab.quantities.hints import ABSENT, annotation_of, signature_of
from actorlab.quantities.limits import PLAIN, Limits
from actorlab.quantities.marked import asked_in, marked_paths, other_types

__all__ = ["Checker", "checker_of", "checker_of_value", "limits_of", "value_hint"]

Kind = inspect.Parameter
Args = tuple[Any, ...]


class Checker:
    """What the numbers among a call's arguments have to be."""

    __slots__ = ("_by_keyword", "_by_place", "_fast", "_most", "_other_keywords", "_rest")

    def __init__(
        self,
        by_place: tuple[Limits | None, ...],
        by_keyword: Mapping[str, Limits | None],
        rest: Limits | None = None,
        other_keywords: Limits | None = None,
    ) -> None:
        self._by_place = by_place
        self._by_keyword = by_keyword
        self._rest = rest
        self._other_keywords = other_keywords
        self._most = len(by_place) if rest is not None else math.inf
        self._fast = tuple([(at, item.low, item.high) for at, item in enumerate(by_place) if item is not None])

    def check(self, who: str, args: Args, kwargs: dict[str, Any]) -> tuple[Args, dict[str, Any]]:
        """Return the arguments of a call with plain numbers, in the units, for pint's quantities.

        Plain numbers by position that are in range, the most frequent case by far, are looked at here; all else takes
        the long way.

        Raises:
            ValueError: a value is out of range or of a wrong dimension. The message names `who`, such as
                ``laser.set_wavelength``.

        """
        count = len(args)
        if kwargs or count > self._most:
            return self._checked(who, args, kwargs)
        for at, low, high in self._fast:
            if at < count:
                value = args[at]
                if not (type(value) in PLAIN and low <= value <= high):
                    return self._checked(who, args, kwargs)
        return args, kwargs

    def _checked(self, who: str, args: Args, kwargs: dict[str, Any]) -> tuple[Args, dict[str, Any]]:
        limits = (*self._by_place, *(self._rest for _ in args[len(self._by_place) :]))
        checked = tuple([
            value if item is None else item.checked(who, value) for item, value in zip(limits, args, strict=False)
        ])  # fmt: skip
        return checked, {name: self._by_name(who, name, value) for name, value in kwargs.items()}

    def _by_name(self, who: str, name: str, value: Any) -> Any:
        limits = self._by_keyword.get(name, self._other_keywords)
        return value if limits is None else limits.checked(who, value)


def checker_of(static: Any, owner: type | None = None) -> Checker | None:
    """Return the checker for calls of what `inspect.getattr_static` finds on a class; None if nothing is marked.

    Names that the hints' module doesn't know are looked up in `owner`, the class.

    Raises:
        ConfigError: the markers contradict each other.

    """
    signature = signature_of(static, owner)
    if signature is None:
        return None
    parameters = signature.parameters.values()
    found = {item.name: limits_of_parameter(item, static) for item in parameters}
    if not any(found.values()):
        return None
    positional = [item.name for item in parameters if item.kind in (Kind.POSITIONAL_ONLY, Kind.POSITIONAL_OR_KEYWORD)]
    named = [item.name for item in parameters if item.kind in (Kind.KEYWORD_ONLY, Kind.POSITIONAL_OR_KEYWORD)]
    rest = {item.kind: found[item.name] for item in parameters}
    return Checker(
        tuple([found[name] for name in positional]),
        {name: found[name] for name in named},
        rest.get(Kind.VAR_POSITIONAL),
        rest.get(Kind.VAR_KEYWORD),
    )


def checker_of_value(cls: type, name: str) -> Checker | None:
    """Return the checker for setting an attribute or a property: ``check(who, (value,), {})``.

    Raises:
        ConfigError: the markers contradict each other.

    """
    try:
        limits = limits_of(value_hint(cls, name))
    except ConfigError as error:
        text = f"{cls.__name__}.{name}: {error}"
        raise ConfigError(text) from error
    return None if limits is None else Checker((limits,), {})


def limits_of(hint: Any, name: str = "", default: Any = ABSENT) -> Limits | None:
    """Return what a hint asks of a value; None if it has no marker.

    Raises:
        ConfigError: the markers contradict each other.

    """
    asked = asked_in(hint)
    if asked is None:
        return None
    others = other_types(hint)
    return Limits(name, asked.unit, asked.range, (*others, type(None)) if default is None else others)


def limits_of_parameter(parameter: inspect.Parameter, static: Any) -> Limits | None:
    """Return what the hint of a parameter asks of its argument."""
    try:
        return limits_of(parameter.annotation, parameter.name, parameter.default)
    except ConfigError as error:
        function = getattr(static, "__qualname__", static)
        text = f"{function}: parameter {parameter.name!r}: {error}"
        raise ConfigError(text) from error


def value_hint(cls: type, name: str) -> Any:
    """Return the hint of what an attribute or a property is set to, or else of what it reads.

    One with markers goes first; `ABSENT` says that there is none.
    """
    static = inspect.getattr_static(cls, name, None)
    found = [*property_hints(static, cls), annotation_of(cls, name)]
    known = [hint for hint in found if hint is not ABSENT]
    return next((hint for hint in known if any(marked_paths(hint))), known[0] if known else ABSENT)


def property_hints(static: Any, owner: type) -> list[Any]:
    """Return the hints of a property's setter and getter."""
    if issubclass(type(static), functools.cached_property):
        setter, getter = None, signature_of(static.func, owner)
    elif issubclass(type(static), property):
        setter, getter = signature_of(static.fset, owner), signature_of(static.fget, owner)
    else:
        return []
    first = next(iter(setter.parameters.values()), None) if setter is not None else None
    return [ABSENT if first is None else first.annotation, ABSENT if getter is None else getter.return_annotation]
