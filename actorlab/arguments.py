"""Find the devices and unknown values among arguments, at any depth, and put something else in their place."""

from __future__ import annotations

import copy
from collections.abc import Callable, Collection, Iterable, Mapping
from types import EllipsisType, NoneType
from typing import Any, Final, Literal, Protocol, TypeAlias, cast

from actorlab.definition import Definition

__all__ = [
    "DeviceRef", "StandIn", "Use", "call_on_device", "complete", "device_name", "find_devices", "needs", "replace",
    "search",
]  # fmt: skip

Use: TypeAlias = Literal["exclusive", "shared"]
Args: TypeAlias = tuple[Any, ...]
Kwargs: TypeAlias = Mapping[str, Any]

LEAVES: Final = frozenset(
    {NoneType, EllipsisType, bool, int, float, complex, str, bytes, bytearray, memoryview, range, slice, type}
)
FIXED: Final = (tuple, set, frozenset)
SEQUENCES: Final = (list, *FIXED)
CONTAINERS: Final = (dict, *SEQUENCES)


class Defined(Protocol):
    """What has a definition: a task."""

    definition: Definition


class StandIn:
    """Stand for something else among the arguments: a device, or a value that isn't known yet."""

    __slots__ = ()


class DeviceRef(StandIn):
    """Stand for a device, or for a part of one. Its attributes are the driver's: it is looked at by functions only."""

    __slots__ = ()

    _actorlab_name: str

    def _actorlab_run(self, task: Any, args: Args, kwargs: Kwargs) -> tuple[Any, ...] | None:
        """Run a task in the device's lab, answering ``(value,)``; None says that there is none."""
        del task, args, kwargs
        return None

    def _actorlab_method(self, function: Any) -> Callable[..., Any] | None:
        """Return the device's own method for a function of its class; None says that it is none."""
        del function
        return None


SEARCHED: Final = (StandIn, *CONTAINERS)


def device_name(ref: DeviceRef) -> str:
    """Return the name that the lab knows the device by; a part stands for its device."""
    # Public names belong to the driver.
    return ref._actorlab_name  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]


def run_in_its_lab(ref: DeviceRef, task: Any, args: Args, kwargs: Kwargs) -> tuple[Any, ...] | None:
    """Run a task in the lab of a device, answering ``(value,)``; None says that there is none."""
    return ref._actorlab_run(task, args, kwargs)  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]  see above


def call_on_device(function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
    """Call a method of a class: ``lab.run(Oven.heat_to, oven, 300)`` is the device's own, in its own thread."""
    if args and issubclass(type(args[0]), DeviceRef):
        method = args[0]._actorlab_method(function)  # noqa: SLF001  # public names belong to the driver
        if method is not None:
            return method(*args[1:], **kwargs)
    return function(*args, **kwargs)


def search(args: Args, kwargs: Kwargs, others: list[Any] | None = None) -> list[StandIn]:
    """Return each stand-in once, wherever it is in lists, tuples, sets, dicts and dataclasses.

    Arrays, frames, bytes and text are never entered. Objects that aren't searched are added to `others`.
    """
    found: list[StandIn] = []
    if not kwargs and LEAVES.issuperset(map(type, args)):
        return found
    seen: dict[int, object] = {}  # holds each value, so that no identity is used twice
    groups: list[Collection[object]] = [args, kwargs.values()] if kwargs else [args]
    for group in groups:  # grows while it is walked
        odd = set(map(type, group)) - LEAVES  # one fast pass, also over a million numbers
        searched = {kind for kind in odd if _is_searched(kind)}
        wanted = odd if others is not None else searched
        for value in tuple(group) if wanted else ():  # a copy: other threads may change what is passed
            kind = type(value)
            if kind in odd and id(value) not in seen:
                seen[id(value)] = value
                if issubclass(kind, StandIn):
                    found.append(cast("StandIn", value))
                elif kind in searched:
                    groups.extend(_contents(value, kind))
                elif others is not None:
                    others.append(value)
    return found


def find_devices(args: Args, kwargs: Kwargs) -> list[DeviceRef]:
    """Return each device, or part of one, among the arguments once."""
    # `isinstance` would ask the driver, or an unknown value, for its class.
    return [cast("DeviceRef", item) for item in search(args, kwargs) if issubclass(type(item), DeviceRef)]


def complete(task: Defined, args: Args, kwargs: Kwargs) -> tuple[Args, Kwargs]:
    """Return the arguments of a call, with the task's defaults among them if these hold a device."""
    definition = task.definition
    if not definition.bare_defaults or not search(definition.bare_defaults, {}):
        return args, kwargs
    definition.check_call(args, kwargs)
    bound = definition.signature.bind(*args, **kwargs)
    bound.apply_defaults()
    return bound.args, bound.kwargs


def needs(task: Defined, args: Args, kwargs: Kwargs) -> dict[str, Use]:
    """Return how the task uses each device among its arguments, defaults included, in the order of the names.

    A parameter hinted as ``Shared[…]`` relies on its devices, any other takes them for itself.

    Raises `WorkflowError` if it matters what a hint says that can't be evaluated.
    """
    args, kwargs = complete(task, args, kwargs)
    uses: dict[str, Use] = {}
    if not kwargs and LEAVES.issuperset(map(type, args)):
        return uses
    places: tuple[tuple[int | str, Any], ...] = (*enumerate(args), *kwargs.items())
    for place, value in places:
        if type(value) in LEAVES:
            continue
        for device in (value,) if issubclass(type(value), DeviceRef) else find_devices((value,), {}):
            name = device_name(device)
            if uses.get(name) != "exclusive":
                uses[name] = "shared" if task.definition.shares(place) else "exclusive"
    return dict(sorted(uses.items())) if len(uses) > 1 else uses


def replace(args: Args, kwargs: Kwargs, substitute: Callable[[StandIn], Any]) -> tuple[Args, dict[str, Any]]:
    """Return the arguments with something else for each stand-in; only containers that hold one are copied."""
    if not kwargs and LEAVES.issuperset(map(type, args)):
        return args, {}
    if not kwargs and all(kind in LEAVES or issubclass(kind, StandIn) for kind in map(type, args)):
        return tuple([value if type(value) in LEAVES else substitute(value) for value in args]), {}
    rebuild = _Rebuild(substitute)
    return tuple(map(rebuild.top, args)), {name: rebuild.top(value) for name, value in kwargs.items()}


class _Rebuild:
    """Copy containers around their stand-ins; those that hold themselves are copied as such."""

    def __init__(self, substitute: Callable[[StandIn], Any]) -> None:
        self._substitute = substitute
        self._copies: dict[int, tuple[Any, Any]] = {}

    def top(self, value: Any) -> Any:
        """Return what stands in a value's place; one without stand-ins is returned as it is."""
        if type(value) in LEAVES:
            return value
        if issubclass(type(value), StandIn):
            return self._substitute(value)
        return self._inner(value) if search((value,), {}) else value

    def _inner(self, value: object) -> Any:
        kind = type(value)
        if kind in LEAVES:
            return value
        if issubclass(kind, StandIn):
            return self._substitute(cast("StandIn", value))
        if not _is_searched(kind):
            return value
        if id(value) not in self._copies:
            self._copies[id(value)] = value, self._copied(value, kind)
        return self._copies[id(value)][1]

    def _copied(self, value: Any, kind: type[object]) -> Any:
        if issubclass(kind, SEQUENCES) and LEAVES.issuperset(map(type, value)):
            return value
        if issubclass(kind, FIXED):
            return self._fixed(value)
        made = copy.copy(value)  # known before its contents are, because these may hold it again
        self._copies[id(value)] = value, made
        if issubclass(kind, list):
            made[:] = map(self._inner, value)
        elif issubclass(kind, dict):
            items = [(self._inner(key), self._inner(item)) for key, item in value.items()]
            made.clear()
            made.update(items)
        else:
            for name in _fields(value):
                # Neither a frozen dataclass nor a validating one is asked: these are the values its author gave it.
                object.__setattr__(made, name, self._inner(getattr(value, name)))
        return made if _differ(value, made) else value

    def _fixed(self, value: Iterable[object]) -> Any:
        items = [self._inner(item) for item in value]
        if all(new is old for new, old in zip(items, value, strict=True)):
            return value
        make: Any = getattr(value, "_make", None) or type(value)
        return make(items)


def _differ(value: object, made: object) -> bool:
    pairs = zip(_contents(value, type(value)), _contents(made, type(made)), strict=True)
    return any(new is not old for olds, news in pairs for old, new in zip(olds, news, strict=True))


def _is_searched(kind: type[Any]) -> bool:
    return issubclass(kind, SEARCHED) or hasattr(kind, "__dataclass_fields__")


def _contents(value: Any, kind: type[object]) -> tuple[Collection[object], ...]:
    if issubclass(kind, dict):
        return value.keys(), value.values()
    return (value,) if issubclass(kind, SEQUENCES) else ([getattr(value, name) for name in _fields(value)],)


def _fields(value: Any) -> list[str]:
    """Return the dataclass's fields that are set: class variables aren't fields, and some are set later."""
    known = getattr(value, "__dict__", None)
    names: Iterable[str] = value.__dataclass_fields__
    return [name for name in names if (hasattr(value, name) if known is None else name in known)]
