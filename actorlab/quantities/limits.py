"""Check one value against its unit and its range, and turn the quantities in it into plain numbers."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

from actorlab.quantities.hints import FOREIGN_ERRORS, has, is_of
from actorlab.quantities.markers import Range

__all__ = ["PLAIN", "Limits", "is_quantity"]

PLAIN: Final = frozenset((int, float, bool))
TEXTS: Final[tuple[type[Any], ...]] = (str, bytes, bytearray, memoryview)


@dataclass(frozen=True)
class Limits:
    """What the numbers of one value have to be; `others` are types of values which are no numbers and may pass."""

    name: str
    unit: str | None
    range: Range | None
    others: tuple[type, ...] = ()

    @cached_property
    def low(self) -> float:
        """The least value."""
        return -math.inf if self.range is None else self.range.low

    @cached_property
    def high(self) -> float:
        """The greatest value."""
        return math.inf if self.range is None else self.range.high

    def checked(self, who: str, value: Any) -> Any:
        """Return the value with plain numbers for its quantities; the value itself if it has none.

        Raises:
            ValueError: it is out of range, or has another dimension. It says so in the name of `who`.

        """
        if is_of(value, int, float) and self.low <= value <= self.high:
            return value
        if is_quantity(value):
            return self.checked(who, self._magnitude(who, value))
        if is_of(value, Mapping):
            return self._of_items(who, value)
        if is_of(value, Sequence, AbstractSet) and not is_of(value, *TEXTS):
            return self._of_each(who, value)
        if self.range is not None:
            self._check_range(who, value, self.range)
        return value

    def _of_each(self, who: str, values: Any) -> Any:
        if self.range is None and PLAIN.issuperset(map(type, values)):
            return values
        items = list(values)  # once: those of a range are made as one takes them
        found = [self.checked(who, value) for value in items]
        if all(new is old for new, old in zip(found, items, strict=True)):
            return values
        make: Any = getattr(values, "_make", None) or next((kind for kind in REBUILT if isinstance(values, kind)), list)
        return make(found)

    def _of_items(self, who: str, values: Mapping[Any, Any]) -> Any:
        found = {key: self.checked(who, value) for key, value in values.items()}
        return values if all(found[key] is value for key, value in values.items()) else found

    def _check_range(self, who: str, value: Any, allowed: Range) -> None:
        if has(value, "__array__"):
            for number in extremes(value.__array__()):
                self._check_number(who, number, allowed)
        else:
            self._check_number(who, value, allowed)

    def _check_number(self, who: str, number: Any, allowed: Range) -> None:
        try:
            inside = bool(number in allowed)
        except (ArithmeticError, TypeError, ValueError) as error:  # a Decimal's NaN, text, what is many numbers
            if not is_of(number, *self.others):
                raise self._refused(who, repr(number)) from error
            return
        if not inside:
            raise self._refused(who, self._with_unit(number))

    def _magnitude(self, who: str, quantity: Any) -> Any:
        """Return a quantity's number in the unit."""
        if self.unit is None:
            if self.range is None:
                return quantity
            text = f"{self._label(who)} is {quantity}, but it has no unit: give a plain number; nothing was sent"
            raise ValueError(text)
        try:
            found = rounded(quantity.to(self.unit).magnitude, quantity.magnitude)
        except FOREIGN_ERRORS as error:
            label = f"{self._label(who)} is given in {quantity.units}"
            text = f"{label}, which can't be converted to {self.unit}; nothing was sent"
            raise ValueError(text) from error
        return found if self.range is None else settled(found, quantity.magnitude, self.range)

    def _refused(self, who: str, number: str) -> ValueError:
        return ValueError(f"{self._label(who)} = {number}, but it takes {self._allowed()}; nothing was sent")

    def _label(self, who: str) -> str:
        return f"{who}: {self.name}" if self.name else who

    def _with_unit(self, number: Any) -> str:
        return f"{number} {self.unit}" if self.unit else str(number)

    def _allowed(self) -> str:
        """Write the range in words."""
        if self.low == -math.inf:
            return "any number but NaN" if self.high == math.inf else f"at most {self._with_unit(self.high)}"
        if self.high == math.inf:
            return f"at least {self._with_unit(self.low)}"
        return f"{self.low} to {self._with_unit(self.high)}"


REBUILT: Final = (list, tuple, set, frozenset)


def is_quantity(value: object) -> bool:
    """Tell whether a value is a quantity as pint has them."""
    return has(value, "magnitude") and has(value, "to")


def extremes(array: Any) -> Iterable[Any]:
    """Return the numbers of an array that tell whether all are in a range; of one without numbers, all."""
    if array.dtype.kind not in "biuf":
        return array.ravel().tolist()  # type: ignore[no-any-return]
    if not array.size:
        return ()
    return array.min().item(), array.max().item()  # NaN, if there is one


def rounded(found: Any, given: Any) -> Any:
    """Take off what a conversion added beyond the 15 digits that a float keeps: 1.55 µm is 1550 nm, not 1549.99…98."""
    return type(found)(f"{found:.15g}") if isinstance(found, float) and found != given else found


def settled(found: Any, given: Any, allowed: Range) -> Any:
    """Move a converted number that lies, by rounding only, just beyond a bound onto it: 1.6 µm is 1600 nm."""
    if not isinstance(found, int | float):
        return found
    inside = min(max(found, allowed.low), allowed.high)
    close = math.isclose(found, inside, rel_tol=1e-12, abs_tol=1e-12 * abs(given))
    return type(found)(inside) if close else found
