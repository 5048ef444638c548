"""Mark a number, in its type hint, with its unit, the range it may have and where it can be read back."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from actorlab.errors import ConfigError

__all__ = ["Marker", "Range", "ReadBack", "Unit"]


@dataclass(frozen=True)
class Unit:
    """Give the unit of a number: a pint quantity is converted to it, a plain number is taken as given in it.

    >>> from typing import Annotated
    >>> Wavelength = Annotated[float, Unit("nm"), Range(1500, 1600)]
    """

    name: str

    def __post_init__(self) -> None:
        if not isinstance(self.name, str):
            text = f'Unit({self.name!r}): give the name of the unit as text, such as Unit("nm")'
            raise ConfigError(text)

    def __get_pydantic_json_schema__(self, core_schema: Any, handler: Any) -> dict[str, Any]:
        """Tell pydantic, which asks for it by this name."""
        return {**handler(core_schema), "unit": self.name}


@dataclass(frozen=True)
class Range:
    """Give the least and the greatest value that a number may have; None leaves that side open.

    Both bounds belong to the range. NaN is outside of every range.

    >>> 1600 in Range(1500, 1600), 1600.1 in Range(1500, 1600), -1 in Range(max=0)
    (True, False, True)
    """

    min: float | None = None
    max: float | None = None

    def __post_init__(self) -> None:
        for bound in (self.min, self.max):
            if bound is not None and (not isinstance(bound, int | float) or math.isnan(bound)):
                text = f"{self}: a bound is a plain number in the unit of the value, or None"
                raise ConfigError(text)
        if not self.low <= self.high:
            text = f"{self}: nothing is in this range; give the least value first"
            raise ConfigError(text)

    @property
    def low(self) -> float:
        """The least value."""
        return -math.inf if self.min is None else self.min

    @property
    def high(self) -> float:
        """The greatest value."""
        return math.inf if self.max is None else self.max

    def __contains__(self, value: float) -> bool:
        return self.low <= value <= self.high

    def __and__(self, other: Range) -> Range:
        """Return what is in both."""
        low, high = max(self.low, other.low), min(self.high, other.high)
        return Range(None if low == -math.inf else low, None if high == math.inf else high)

    def schema(self) -> dict[str, float]:
        """Return the bounds by their names in JSON Schema."""
        bounds = {"minimum": self.low, "maximum": self.high}
        return {name: bound for name, bound in bounds.items() if math.isfinite(bound)}

    def __get_pydantic_json_schema__(self, core_schema: Any, handler: Any) -> dict[str, Any]:
        """Tell pydantic, which asks for it by this name."""
        return bounded(handler(core_schema), self)


LISTS: Final[tuple[type[Any], ...]] = (list, tuple)


@dataclass(frozen=True)
class ReadBack:
    """Have a value that was set read back from `member`, an attribute, property or method of the same object.

    It has to agree within `tolerance`, in the unit of the value, at the latest `within` seconds after it was set.

    >>> ReadBack("wavelength", tolerance=0.01, within=2.0).agrees(1550.004, 1550)
    True
    """

    member: str
    tolerance: float = 0.0
    within: float = 0.0

    def __post_init__(self) -> None:
        if not isinstance(self.member, str) or not self.member.isidentifier():
            text = f"{self}: name the attribute, property or method that tells the value"
            raise ConfigError(text)
        for name in ("tolerance", "within"):
            if not 0 <= getattr(self, name) < math.inf:
                text = f"{self}: {name} is a number, 0 or more"
                raise ConfigError(text)

    def agrees(self, found: Any, wanted: Any) -> bool:
        """Tell whether a value that was found is the wanted one; arrays and lists have to agree in every element."""
        found, wanted = plain(found), plain(wanted)
        if isinstance(found, LISTS) and isinstance(wanted, LISTS):
            return len(found) == len(wanted) and all(map(self.agrees, found, wanted))
        if found == wanted:
            return True
        try:
            # Two numbers that differ by the tolerance may, by their own rounding, seem to differ by more.
            rounding = 1e-15 * abs(wanted) if self.tolerance else 0
            return bool(abs(found - wanted) <= self.tolerance + rounding)
        except (TypeError, ArithmeticError):  # text, an enum and the like
            return False


Marker: TypeAlias = Unit | Range | ReadBack


def bounded(schema: dict[str, Any], allowed: Range) -> dict[str, Any]:
    """Return a JSON Schema with bounds; those of an array or of a mapping go where its numbers are.

    >>> bounded({"type": "array", "items": {"type": "number"}}, Range(min=0))
    {'type': 'array', 'items': {'type': 'number', 'minimum': 0}}
    """
    inner = {name: schema[name] for name in ("items", "additionalProperties") if isinstance(schema.get(name), dict)}
    changed: dict[str, Any] = {name: bounded(part, allowed) for name, part in inner.items()}
    for name in ("prefixItems", "anyOf"):
        if name in schema:
            changed[name] = [bounded(part, allowed) for part in schema[name]]
    return {**schema, **(changed or tightened(schema, allowed))}


def tightened(schema: dict[str, Any], allowed: Range) -> dict[str, float]:
    """Return the bounds of a number, which may have some already; what is no number gets none."""
    if schema.get("type", "number") not in ("number", "integer"):
        return {}
    return (Range(schema.get("minimum"), schema.get("maximum")) & allowed).schema()


def plain(value: Any) -> Any:
    """Return an array as lists of numbers, and a number of numpy as Python's; a list or tuple as it is."""
    return value.tolist() if hasattr(value, "tolist") else value
