"""Stand for a device, typed as its driver: one proxy class for each driver class, built once."""

from __future__ import annotations

import functools
import inspect
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, Final, cast
from weakref import WeakKeyDictionary

from actorlab.arguments import DeviceRef
from actorlab.device import QUERY_MARK, Device
from actorlab.driving.member import Member, invoke, read, where, write
from actorlab.driving.travel import Stays
from actorlab.runtime.calls import call_held, call_outside
from actorlab.runtime.direct_calls import direct_caller
from actorlab.runtime.marks import Marks

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from actorlab.quantities import Checker, ReadBack
    from actorlab.runtime.body import Hold
    from actorlab.runtime.cell import Cell

__all__ = ["DeviceProxy", "ProxyFactory", "bind", "target_of"]

FORWARDED: Final = ("__call__", "__getitem__", "__setitem__", "__len__", "__contains__", "__iter__", "__next__")


class DeviceProxy(DeviceRef):
    """Take the place of a device, or of a part of one, and send each use of it as a call.

    Everything public is a member of the driver; what the proxy needs itself lies in its `__dict__` under private names.
    """

    _actorlab_name: str
    _actorlab_cell: Cell
    _actorlab_hold: Hold | None
    _actorlab_path: tuple[tuple[str, Any], ...]
    _actorlab_factory: ProxyFactory
    _actorlab_cls: type
    _actorlab_members: frozenset[str]

    def __getattr__(self, name: str) -> Any:
        """Read what the driver's class doesn't tell of: an attribute of the object, known since it was made."""
        if name.startswith("_"):
            text = f"{self._actorlab_name}: {name} is private to the driver"
            raise AttributeError(text)
        if name not in known_members(self) and not hasattr(self._actorlab_cls, "__getattr__"):
            text = f"{self._actorlab_name} ({self._actorlab_cls.__name__}) has no attribute {name!r}"
            raise AttributeError(text)
        return send(self, self._actorlab_factory.reading(self._actorlab_cls, name, self._actorlab_path))

    def __setattr__(self, name: str, value: Any) -> None:
        """Set an attribute on the device; one that the driver doesn't have is an error."""
        cls = self._actorlab_cls
        if name.startswith("_"):
            text = f"{self._actorlab_name}: {name} is private to the driver"
            raise AttributeError(text)
        if inspect.getattr_static(cls, name, None) is None and name not in known_members(self):
            text = f"{self._actorlab_name} ({cls.__name__}) has no attribute {name!r} to be set"
            raise AttributeError(text)
        mark = self._actorlab_factory.marks.of(cls, name)
        if mark.checker is not None:
            who = f"{where(self._actorlab_name, self._actorlab_path)}.{name}"
            (value,), _ = mark.checker.check(who, (value,), {})
        send(self, mark.confirmed(Member(name, query=False, action=write, path=self._actorlab_path)), value)

    def __dir__(self) -> Iterable[str]:
        """List the public members, without asking the device."""
        return sorted({name for name in dir(self._actorlab_cls) if not name.startswith("_")} | known_members(self))

    def __repr__(self) -> str:
        return f"<{where(self._actorlab_name, self._actorlab_path)}: {self._actorlab_cls.__name__}>"

    def _actorlab_run(self, task: Any, args: Any, kwargs: Any) -> tuple[Any, ...] | None:
        """Run a task that was called with the lab's devices outside of a run."""
        if self._actorlab_hold is not None:
            return None  # a handle, in a thread that a body has started: there it is a plain call
        return (self._actorlab_cell.lab_actor.lab.run(task, *args, **kwargs),)

    def __reduce__(self) -> Any:
        text = f"{self._actorlab_name} is a device and can't be pickled: pass its name"
        raise TypeError(text)


class ProxyFactory:
    """Build and remember the proxy classes of one device's configuration; a lab has one for each."""

    def __init__(self, queries: tuple[str, ...] = (), read_back: Mapping[str, ReadBack] | None = None) -> None:
        self._queries = queries
        self._classes: WeakKeyDictionary[type, type[DeviceProxy]] = WeakKeyDictionary()
        self.marks = Marks(read_back or {}, is_called)
        """What the members' type hints and the configuration ask for."""

    def proxy(
        self, cell: Cell, hold: Hold | None, cls: type, path: tuple[tuple[str, Any], ...], members: frozenset[str]
    ) -> DeviceProxy:
        """Make a proxy of a device (no path) or of a part."""
        made: DeviceProxy = object.__new__(self.proxy_class(cls, path))
        made.__dict__.update(
            _actorlab_name=cell.name, _actorlab_cell=cell, _actorlab_hold=hold, _actorlab_path=path,
            _actorlab_factory=self, _actorlab_cls=cls, _actorlab_members=members,
        )  # fmt: skip
        return made

    def proxy_class(self, cls: type, path: tuple[tuple[str, Any], ...]) -> type[DeviceProxy]:
        """Return the proxy class for a driver's (or part's) class."""
        if path:
            return self._build(cls, path)
        known = self._classes.get(cls)
        if known is None:
            known = self._classes[cls] = self._build(cls, ())
        return known

    def reading(self, cls: type, name: str, path: tuple[tuple[str, Any], ...]) -> Member:
        """Return the member that reads an attribute."""
        return Member(name, self.is_query(cls, name, path, reads=True), read, path)

    def _build(self, cls: type, path: tuple[tuple[str, Any], ...]) -> type[DeviceProxy]:
        space: dict[str, Any] = {"__class__": property(lambda _: cls), "__doc__": cls.__doc__}
        for name in dir(cls):
            if name.startswith("_") and name not in FORWARDED:
                continue
            static = inspect.getattr_static(cls, name)
            if is_called(static):
                query = self.is_query(cls, name, path, reads=False)
                space[name] = Method(static, Member(name, query, invoke, path))
            elif name not in FORWARDED:
                space[name] = Value(static, self.reading(cls, name, path))
        return type(f"{cls.__name__}Proxy", (DeviceProxy,), space)

    def is_query(self, cls: type, name: str, path: tuple[tuple[str, Any], ...], *, reads: bool) -> bool:
        """Tell whether its author calls it a query; of a class derived from `Device`, so is reading an attribute."""
        static = inspect.getattr_static(cls, name, None)
        function = static.fget if isinstance(static, property) else static
        if getattr(function, QUERY_MARK, False) or (reads and issubclass(cls, Device)):
            return True
        dotted = where("", path)[1:] + "." + name if path else name
        return any(fnmatchcase(dotted, pattern) for pattern in self._queries)


class Method:
    """A method on a proxy class; the bound one is remembered on the proxy."""

    def __init__(self, static: Any, member: Member) -> None:
        self._member = member
        self.__doc__ = getattr(static, "__doc__", None)
        self.__wrapped__ = getattr(static, "__func__", static)

    def __get__(self, proxy: DeviceProxy | None, owner: type) -> Any:
        if proxy is None:
            return self
        own = proxy.__dict__
        hold = own["_actorlab_hold"]
        mark = own["_actorlab_factory"].marks.of(own["_actorlab_cls"], self._member.name)
        member = mark.confirmed(self._member)
        if hold is not None and hold.cell.config.direct and hold.exclusive:
            bound = direct_caller(hold, member)
        elif hold is not None:
            bound = functools.partial(call_held, hold, member)
        else:
            bound = functools.partial(call_outside, own["_actorlab_cell"], member)
        if mark.checker is not None:
            who = f"{where(own['_actorlab_name'], own['_actorlab_path'])}.{member.name}"
            bound = checked(bound, mark.checker, who)
        own[member.name] = bound
        return bound


class Value:
    """A property or another attribute on a proxy class."""

    def __init__(self, static: Any, member: Member) -> None:
        self._member = member
        self.__doc__ = getattr(static, "__doc__", None)

    def __get__(self, proxy: DeviceProxy | None, owner: type) -> Any:
        return self if proxy is None else send(proxy, self._member)

    def __set__(self, proxy: DeviceProxy, value: Any) -> None:
        """Be a data descriptor, so that reading comes here; `DeviceProxy.__setattr__` does the setting."""
        send(proxy, self._member._replace(query=False, action=write), value)


def is_called(static: Any) -> bool:
    """Tell whether what stands on a class is called, rather than read."""
    kinds = (staticmethod, classmethod, functools.partialmethod, functools.singledispatchmethod)
    return isinstance(static, kinds) or (callable(static) and not isinstance(static, type))


def checked(bound: Callable[..., Any], checker: Checker, who: str) -> Callable[..., Any]:
    """Put a check before a bound method: in the caller's thread, before anything is sent."""
    check = checker.check

    def call(*args: Any, **kwargs: Any) -> Any:
        args, kwargs = check(who, args, kwargs)
        return bound(*args, **kwargs)

    call.asked = target_of(bound)  # type: ignore[attr-defined]  # for `ask` …
    call.check = functools.partial(check, who)  # type: ignore[attr-defined]  # … which sends another way
    return call


# -- using a proxy


def send(proxy: DeviceProxy, member: Member, *args: Any, **kwargs: Any) -> Any:
    """Make a call through a proxy and wait."""
    hold = proxy.__dict__["_actorlab_hold"]
    if hold is not None:
        return call_held(hold, member, *args, **kwargs)
    return call_outside(proxy.__dict__["_actorlab_cell"], member, *args, **kwargs)


def bind(proxy: DeviceProxy, hold: Hold) -> DeviceProxy:
    """Return the handle by which a body uses the device."""
    own = proxy.__dict__
    made: DeviceProxy = object.__new__(type(proxy))
    space = made.__dict__
    for name in KEPT:
        space[name] = own[name]
    space["_actorlab_hold"] = hold
    return made


KEPT: Final = (
    "_actorlab_name", "_actorlab_cell", "_actorlab_path", "_actorlab_factory", "_actorlab_cls", "_actorlab_members",
)  # fmt: skip


def part(cell: Cell, hold: Hold | None, member: Member, args: tuple[Any, ...], found: Stays) -> DeviceProxy:
    """Make the proxy of an object that stayed with its device; by name or key it is found again after a restart."""
    if member.action is read:
        step: tuple[str, Any] = ("attribute", member.name)
    elif member.name == "__getitem__":
        step = ("item", args[0])
    else:
        step = ("object", found)
    return cell.proxies.proxy(cell, hold, found.cls, (*member.path, step), found.members)


def known_members(proxy: DeviceProxy) -> frozenset[str]:
    """Return the attributes that the object had when it was made."""
    own = proxy.__dict__
    if own["_actorlab_path"]:
        return own["_actorlab_members"]  # type: ignore[no-any-return]  # what ProxyFactory.proxy put there
    actor = own["_actorlab_cell"].actor
    return actor.shape.names if actor is not None else frozenset()


def target_of(bound: Callable[..., Any]) -> tuple[Any, Member] | None:
    """Take a bound member of a proxy apart, for `ask`; None if it is something else."""
    if isinstance(bound, functools.partial) and bound.func in (call_held, call_outside):
        return bound.args[0], bound.args[1]
    asked: tuple[Any, Member] | None = getattr(cast("Any", bound), "asked", None)
    return asked
