"""Find the periodic methods of a driver's object and of its parts, by looking: nothing is evaluated for it."""

from __future__ import annotations

from collections import deque
from contextlib import suppress
from types import ModuleType
from typing import Any, Final, NamedTuple, TypeGuard, cast

from actorlab.core.restart import RestartPolicy
from actorlab.device import QUERY_MARK
from actorlab.driving.member import Member, Path
from actorlab.driving.shape import constants, delegated, is_data_descriptor, is_public, items_of
from actorlab.driving.travel import SCALARS, class_of, is_data, own_values
from actorlab.periodic import LINE, WISHES, PeriodicMethod, PeriodicStatus
from actorlab.scope import Scope, current

__all__ = ["ALL_BEATS", "WISHED", "Beat", "attach", "find_beats"]

DEEPEST: Final = 4
"""Parts are looked for so many steps down …"""
MOST: Final = 1000
"""… and among so many objects, the nearest first: a driver may hold anything."""
WISHED: Final = "periodic methods"
"""By this name, which no stream has, an object in another process tells what it wishes for its periodic methods."""


class Beat(NamedTuple):
    """One periodic method of one object: the way to it, and how it is to run."""

    path: Path
    name: str
    seconds: float
    starts: bool
    restart: RestartPolicy
    query: bool
    others: tuple[Path, ...]
    """Further ways to the same object."""


def find_beats(target: Any, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Beat, ...]:
    """Return the periodic methods of a driver's object, and of its public parts in attributes, lists and dicts."""
    del name, args, kwargs
    return Search().beats(target)


class Kind(NamedTuple):
    """What a class tells of its objects."""

    periodic: dict[str, PeriodicMethod[Any]]
    descriptors: frozenset[str]
    """Attributes that go before those of the object itself."""
    constants: dict[str, Any]


class Search:
    """One search through the parts of an object; the nearest are looked at first, and each class once."""

    def __init__(self) -> None:
        self._kinds: dict[type, Kind] = {}
        self._ways: dict[int, list[Path]] = {}

    def beats(self, target: Any) -> tuple[Beat, ...]:
        """Return the periodic methods of an object and its parts."""
        found: list[tuple[Any, Path]] = []
        todo: deque[tuple[Any, Path]] = deque([(target, ())])
        while todo and len(self._ways) < MOST:
            part, path = todo.popleft()
            ways = self._ways.setdefault(id(part), [])
            ways.append(path)
            if len(ways) > 1:
                continue
            found.append((part, path))
            if len(path) < DEEPEST:
                todo.extend((value, (*path, step)) for step, value in self._inside(part) if self._is_part(value))
        return tuple(beat for part, path in found for beat in self._beats_of(part, path))

    def _inside(self, target: Any) -> list[tuple[tuple[str, Any], Any]]:
        """Return what lies in an object, with the step that leads there."""
        cls, own = class_of(target), own_values(target)
        kind = self._kind(cls)
        attributes = kind.constants | delegated(cls, own) | own
        return [
            *(
                (("attribute", name), value)
                for name, value in attributes.items()
                if is_public(name) and name not in kind.descriptors
            ),
            *((("item", key), value) for key, value in items_of(target, own) if is_data(key)),
        ]

    def _is_part(self, value: Any) -> bool:
        """Tell whether a value may be a part, or hold some; a dataclass of numbers may be a part with methods."""
        cls = class_of(value)
        if cls in SCALARS or cls is ModuleType:
            return False
        return not is_data(value) or bool(self._kind(cls).periodic)

    def _beats_of(self, part: Any, path: Path) -> list[Beat]:
        """Return the periodic methods of one object, and whether they begin: it may have said so already."""
        periodic = self._kind(class_of(part)).periodic
        wishes: dict[str, bool] = own_values(part).get(WISHES, {}) if periodic else {}
        others = tuple(self._ways[id(part)][1:])
        return [
            Beat(
                path, name, method.seconds, wishes.get(name, method.autostart), method.restart,
                getattr(method, QUERY_MARK, False), others,
            )
            for name, method in periodic.items()
        ]  # fmt: skip

    def _kind(self, cls: type) -> Kind:
        """Look at a class; a subclass may have put something else in the place of a periodic method."""
        found = self._kinds.get(cls)
        if found is None:
            statics = {name: static for base in reversed(cls.__mro__) for name, static in vars(base).items()}
            found = self._kinds[cls] = Kind(
                {name: static for name, static in statics.items() if is_periodic(static)},
                frozenset([name for name, static in statics.items() if is_data_descriptor(static)]),
                constants(cls),
            )
        return found


def is_periodic(static: Any) -> TypeGuard[PeriodicMethod[Any]]:
    """Tell whether what stands on a class is a periodic method."""
    return isinstance(static, PeriodicMethod)


def attach(target: Any, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    """Give an object its line to the lab: `args` is that, or else the way to the object by which the lab knows it."""
    del name, kwargs
    (line,) = args
    with suppress(AttributeError):  # an object that has only slots goes without
        own = object.__getattribute__(target, "__dict__")
        own[LINE] = SideLine(current.get(), cast("Path", line)) if isinstance(line, tuple) else line
        own.pop(WISHES, None)


class SideLine:
    """The line of an object to a lab in another process."""

    def __init__(self, scope: Scope, path: Path) -> None:
        self._scope = scope
        self._path = path

    def start(self, name: str) -> None:
        """Have a periodic method started."""
        self._scope.publish(WISHED, (self._path, name, True))

    def stop(self, name: str) -> None:
        """Have it stopped."""
        self._scope.publish(WISHED, (self._path, name, False))

    def status(self, name: str) -> PeriodicStatus:
        """Say how it stands: that is known in the lab's process only.

        Raises:
            NotImplementedError: always.

        """
        text = f"{name}.status is known in the lab's process only: ask for it by the device's proxy"
        raise NotImplementedError(text)


ALL_BEATS: Final = Member("periodic methods", query=True, action=find_beats)
