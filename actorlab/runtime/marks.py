"""Know what the type hints of a driver's members, or its configuration, ask for: units, limits, reading back."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple
from weakref import WeakKeyDictionary

from actorlab.driving.confirm import Confirmed
from actorlab.driving.member import Member
from actorlab.quantities import (
    Checker,
    ReadBack,
    SetValue,
    checker_of,
    checker_of_value,
    read_back_by,
    read_back_of,
    read_back_of_value,
)

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Mark", "Marks"]


class Mark(NamedTuple):
    """What one member asks for: a check of what it is given, and what is to be read back afterwards."""

    checker: Checker | None
    set_value: SetValue | None

    def confirmed(self, member: Member) -> Member:
        """Return the member, with the reading back where one is asked for."""
        if self.set_value is None:
            return member
        return member._replace(action=Confirmed(member.action, self.set_value), query=False)


class Marks:
    """The marks of the members of some classes; hints are read when a member is used for the first time."""

    def __init__(self, read_back: Mapping[str, ReadBack], is_called: Callable[[Any], bool]) -> None:
        self._read_back = read_back
        self._is_called = is_called
        self._known: WeakKeyDictionary[type, dict[str, Mark]] = WeakKeyDictionary()

    def of(self, cls: type, name: str) -> Mark:
        """Return what a member of a class asks for.

        Raises:
            ConfigError: its hints contradict each other.

        """
        known = self._known.setdefault(cls, {})
        if name not in known:
            known[name] = self._found(cls, name, inspect.getattr_static(cls, name, None))
        return known[name]

    def _found(self, cls: type, name: str, static: Any) -> Mark:
        named = self._read_back.get(name)
        if not self._is_called(static):
            by_config = SetValue(named, 0, name, None, None) if named is not None else None
            return Mark(checker_of_value(cls, name), by_config or read_back_of_value(cls, name))
        by_config = read_back_by(named, static, cls) if named is not None else None
        return Mark(checker_of(static, cls), by_config or read_back_of(static, cls))
