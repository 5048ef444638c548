"""Find what is to be read back after a call or a setting, and judge it."""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from typing import Any

from actorlab.quantities.checker import value_hint
from actorlab.quantities.hints import ABSENT, FOREIGN_ERRORS, signature_of
from actorlab.quantities.limits import is_quantity
from actorlab.quantities.marked import asked_in, read_back_in
from actorlab.quantities.markers import ReadBack

__all__ = ["SetValue", "read_back_by", "read_back_of", "read_back_of_value"]


@dataclass(frozen=True)
class SetValue:
    """Say which argument of a call sets a value that is to be read back, and how."""

    read_back: ReadBack
    place: int | None
    """Its position; None for one that is given by keyword only."""
    name: str
    default: Any
    unit: str | None

    def wanted(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Return the value that a call sets."""
        if self.place is not None and self.place < len(args):
            return args[self.place]
        return kwargs.get(self.name, self.default)

    def agrees(self, found: Any, wanted: Any) -> bool:
        """Tell whether what was found is the wanted value; a quantity that was found is converted to the unit."""
        if self.unit is not None and is_quantity(found):
            try:
                found = found.to(self.unit).magnitude
            except FOREIGN_ERRORS:
                return False
        return self.read_back.agrees(found, wanted)


def read_back_of(static: Any, owner: type | None = None) -> SetValue | None:
    """Return what is to be read back after calls of what `inspect.getattr_static` finds on a class.

    The marker stands at a parameter.

    Raises:
        ConfigError: the markers contradict each other.

    """
    signature = signature_of(static, owner)
    if signature is None:
        return None
    for place, item in enumerate(signature.parameters.values()):
        found = read_back_in(item.annotation)
        if found is not None:
            return set_by(found, place, item)
    return None


def read_back_by(read_back: ReadBack, static: Any, owner: type | None = None) -> SetValue:
    """Return how to read back the first argument of a method that isn't marked, as its driver is somebody else's."""
    signature = signature_of(static, owner)
    parameters = [] if signature is None else list(signature.parameters.values())
    return set_by(read_back, 0, parameters[0]) if parameters else SetValue(read_back, 0, "", None, None)


def set_by(read_back: ReadBack, place: int, parameter: inspect.Parameter) -> SetValue:
    """Say that a parameter takes the value that is read back."""
    named_only = parameter.kind is parameter.KEYWORD_ONLY
    unit = unit_in(parameter.annotation)
    return SetValue(read_back, None if named_only else place, parameter.name, parameter.default, unit)


def read_back_of_value(cls: type, name: str) -> SetValue | None:
    """Return what is to be read back after an attribute or a property was set."""
    hint = value_hint(cls, name)
    found = None if hint is ABSENT else read_back_in(hint)
    return None if found is None else SetValue(found, 0, name, None, unit_in(hint))


def unit_in(hint: Any) -> str | None:
    """Return the unit of a hint's numbers."""
    asked = asked_in(hint)
    return None if asked is None else asked.unit
