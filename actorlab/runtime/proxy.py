"""Stand for a device, typed as its driver: one proxy class for each driver class, built once."""

from __future__ import annotations

import functools
import inspect
from types import BuiltinFunctionType, FunctionType, MethodType
from typing import TYPE_CHECKING, Any, Final, Self, cast
from weakref import WeakKeyDictionary

from actorlab.arguments import DeviceRef
from actorlab.device import QUERY_MARK, Device
from actorlab.driving.member import Member, Path, evaluate, invoke, pick, read, way_of, where, write
from actorlab.driving.patterns import Patterns
from actorlab.driving.shape import NO_SHAPE, Shape, container_kind, is_data_descriptor, looked
from actorlab.driving.travel import Stays, class_of
from actorlab.errors import ActorLabError
from actorlab.periodic import PeriodicMethod
from actorlab.runtime.calls import call_held, call_outside
from actorlab.runtime.direct_calls import direct_caller
from actorlab.runtime.listening import StreamMember
from actorlab.runtime.marks import Marks
from actorlab.runtime.periodics import PeriodicMember
from actorlab.streams import StreamMethod

if TYPE_CHECKING:
    from collections.abc import Callable, ItemsView, Iterable, Iterator, KeysView, Mapping, ValuesView

    from actorlab.quantities import Checker, ReadBack
    from actorlab.runtime.body import Hold
    from actorlab.runtime.cell import Cell

__all__ = ["DeviceProxy", "ProxyFactory", "bind", "bound_of", "part", "target_of"]

FORWARDED: Final = (
    "__call__", "__getitem__", "__setitem__", "__delitem__", "__len__", "__contains__", "__iter__", "__next__",
    "__reversed__", "__enter__", "__exit__",
)  # fmt: skip
READING: Final = ("__getitem__", "__len__", "__contains__", "__iter__", "__reversed__")
"""Those that only read what is in a container."""
FUNCTIONS: Final = (FunctionType, MethodType, BuiltinFunctionType)
"""What stands for one of these is no such thing to `isinstance`: whoever asks would go on to look at its code."""
ABSENT: Final = object()
NOTHING: Final[frozenset[str]] = frozenset()
CLASS: Final[Any] = vars(object)["__class__"]
"""What sets the class of an object whose `__class__` says something else."""


class DeviceProxy(DeviceRef):
    """Take the place of a device, or of a part of one, and send each use of it as a call.

    Everything public is a member of the driver; what the proxy needs itself lies in its `__dict__` under private names.
    A part of the device is known by looking at the driver's object once: to reach it evaluates nothing and needs no
    lease.
    """

    _actorlab_name: str
    _actorlab_cell: Cell
    _actorlab_hold: Hold | None
    _actorlab_path: Path
    _actorlab_factory: ProxyFactory
    _actorlab_cls: type
    _actorlab_known: dict[Any, Any]
    """Proxies of parts by their steps, and members that read by their names: each is made once."""

    def __getattr__(self, name: str) -> Any:
        """Answer what the driver's class doesn't tell of: an attribute or a part of the object itself."""
        refuse_private(self, name)
        return attribute(self, name)

    def __setattr__(self, name: str, value: Any) -> None:
        """Set an attribute on the device; one that the driver doesn't have is an error."""
        refuse_private(self, name)
        own = self.__dict__
        cls = own["_actorlab_cls"]
        static = inspect.getattr_static(cls, name, ABSENT)
        if not is_data_descriptor(static):
            refuse_to_set(self, name, known=static is not ABSENT)
        mark = own["_actorlab_factory"].marks.of(cls, name)
        member = Member(name, query=False, action=write, path=own["_actorlab_path"])
        if mark.checker is not None:
            (value,), _ = mark.checker.check(member.on(own["_actorlab_name"]), (value,), {})
        send(self, mark.confirmed(member), value)

    def __dir__(self) -> Iterable[str]:
        """List the public members and evaluate none; of a part that can't be looked at now, those of its class."""
        try:
            shape = shape_of(self)
        except ActorLabError:
            shape = NO_SHAPE
        named = [name for kind, name in shape.parts if kind == "attribute"]
        return sorted({name for name in dir(self._actorlab_cls) if not name.startswith("_")}.union(shape.names, named))

    def __eq__(self, other: object) -> bool:
        """Be equal to what stands for the same device, or the same part of it."""
        if not issubclass(type(other), DeviceProxy):
            return NotImplemented
        mine, others = self.__dict__, other.__dict__
        return mine["_actorlab_cell"] is others["_actorlab_cell"] and mine["_actorlab_path"] == others["_actorlab_path"]

    def __hash__(self) -> int:
        return hash((self._actorlab_name, self._actorlab_path))

    def __repr__(self) -> str:
        return f"<{where(self._actorlab_name, self._actorlab_path)}: {self._actorlab_cls.__name__}>"

    def _actorlab_method(self, function: Any) -> Callable[..., Any] | None:
        """Return the device's own method for a function of its class; None: it is none."""
        name = str(function.__name__)
        kinds: tuple[type, ...] = self.__dict__["_actorlab_cls"].__mro__
        return getattr(self, name) if any(vars(kind).get(name) is function for kind in kinds) else None

    def _actorlab_run(self, task: Any, args: Any, kwargs: Any) -> tuple[Any, ...] | None:
        """Run a task that was called with the lab's devices outside of a run."""
        if self._actorlab_hold is not None:
            return None  # a handle, in a thread that a body has started: there it is a plain call
        return (self._actorlab_cell.lab_actor.lab.run(task, *args, **kwargs),)

    def __copy__(self) -> Self:
        """Return itself: it only refers to a device."""
        return self

    def __deepcopy__(self, memo: object) -> Self:
        """Return itself: it only refers to a device."""
        del memo
        return self

    def __reduce__(self) -> Any:
        text = f"{self._actorlab_name} is a device and can't be pickled: pass its name"
        raise TypeError(text)


class SequenceProxy(DeviceProxy):
    """Stand for a list or tuple of parts, or for QCoDeS's tuple of channels."""

    def __len__(self) -> int:
        return len(contents(self).keys)

    def __iter__(self) -> Iterator[Any]:
        items = [item(self, index) for index in contents(self).keys]
        return iter(items)

    def __reversed__(self) -> Iterator[Any]:
        return iter(list(self)[::-1])

    def __contains__(self, wanted: object) -> bool:
        return wanted in list(self)

    def __getitem__(self, index: Any) -> Any:
        cls = self.__dict__["_actorlab_cls"]
        if isinstance(index, slice) and issubclass(cls, (list, tuple)):
            return (list if issubclass(cls, list) else tuple)(list(self)[index])
        if isinstance(index, int) and index < 0:
            index += len(self)
        return item(self, index)

    def index(self, wanted: object, *bounds: int) -> int:
        """Return where a part is in the sequence."""
        return list(self).index(wanted, *bounds)

    def count(self, wanted: object) -> int:
        """Return how often a part is in the sequence."""
        return list(self).count(wanted)


class MappingProxy(DeviceProxy):
    """Stand for a dictionary of parts."""

    def __len__(self) -> int:
        return len(contents(self).keys)

    def __iter__(self) -> Iterator[Any]:
        return iter(contents(self).keys)

    def __reversed__(self) -> Iterator[Any]:
        return iter(contents(self).keys[::-1])

    def __contains__(self, key: object) -> bool:
        return key in contents(self).keys

    def __getitem__(self, key: Any) -> Any:
        return item(self, key)

    def get(self, key: Any, default: Any = None) -> Any:
        """Return an item, or something else if there is none."""
        return item(self, key) if key in self else default

    def keys(self) -> KeysView[Any]:
        """Return the keys."""
        return dict.fromkeys(contents(self).keys).keys()

    def values(self) -> ValuesView[Any]:
        """Return the items: proxies of the parts, and data as they are now."""
        return {key: item(self, key) for key in contents(self).keys}.values()

    def items(self) -> ItemsView[Any, Any]:
        """Return the keys with their items."""
        return {key: item(self, key) for key in contents(self).keys}.items()


KINDS: Final = {"sequence": SequenceProxy, "mapping": MappingProxy, None: DeviceProxy}


class ProxyFactory:
    """Build and remember the proxy classes of one device's configuration; a lab has one for each."""

    def __init__(self, queries: tuple[str, ...] = (), read_back: Mapping[str, ReadBack] | None = None) -> None:
        self._queries = Patterns(queries)
        self._classes: WeakKeyDictionary[type, dict[frozenset[str], type[DeviceProxy]]] = WeakKeyDictionary()
        self.marks = Marks(read_back or {}, is_called)
        """What the members' type hints and the configuration ask for."""

    def proxy(self, cell: Cell, hold: Hold | None, cls: type, path: Path = ()) -> DeviceProxy:
        """Make a proxy of a device (no path) or of a part."""
        made: DeviceProxy = object.__new__(self.proxy_class(cls, known_shape(cell, path) or NO_SHAPE))
        made.__dict__.update(
            _actorlab_name=cell.name, _actorlab_cell=cell, _actorlab_hold=hold, _actorlab_path=path,
            _actorlab_factory=self, _actorlab_cls=cls, _actorlab_known={},
        )  # fmt: skip
        return made

    def proxy_class(self, cls: type, shape: Shape) -> type[DeviceProxy]:
        """Return the proxy class for a driver's (or part's) class; the data of the object itself have a place in it."""
        known = self._classes.get(cls)
        if known is None:
            known = self._classes[cls] = {NOTHING: build(cls)}
        data = shape.data
        found = known.get(data)
        if found is None:
            plain = known[NOTHING]
            space: dict[str, Any] = {name: Value(None, name) for name in data if not hasattr(plain, name)}
            found = known[data] = type(plain.__name__, (plain,), space | {"__doc__": cls.__doc__})
        return found

    def reading(self, cls: type, name: str, path: Path, *, evaluates: bool) -> Member:
        """Return the member that reads an attribute."""
        return Member(name, self.is_query(cls, name, path, reads=True), evaluate if evaluates else read, path)

    def picking(self, path: Path, key: Any) -> Member:
        """Return the member that reads an item of a list, tuple or dictionary."""
        way = (*way_of(path), ("item", key))
        return Member("__getitem__", self._queries.name(way) or self._queries.lead_through(way), pick, path)

    def calling(self, cls: type, name: str, path: Path) -> tuple[Member, Member]:
        """Return the members that call a method without arguments, and with some.

        Of a parameter that is named, only the first is a query.
        """
        query = self.is_query(cls, name, path, reads=False)
        reads = query or self._reads_parameter(name, way_of(path))
        return Member(name, reads, invoke, path), Member(name, query, invoke, path)

    def _reads_parameter(self, name: str, way: Path) -> bool:
        """Tell whether calling something reads a parameter that is named: ``volt()`` or ``volt.get()``."""
        if name == "__call__" and way and way[-1] == ("attribute", "get"):
            way = way[:-1]
        elif name not in ("__call__", "get"):
            return False
        return bool(way) and self._queries.name(way)

    def is_query(self, cls: type, name: str, path: Path, *, reads: bool) -> bool:
        """Tell whether its author calls it a query; of a class derived from `Device`, so is reading an attribute.

        To read what lies on the way to something that is named is a query too.
        """
        static = inspect.getattr_static(cls, name, None)
        function = static.fget if isinstance(static, property) else static
        if getattr(function, QUERY_MARK, False) or (reads and issubclass(cls, Device)):
            return True
        way = way_of(path)
        if name in FORWARDED:
            return name in READING and self._queries.lead_to_items(way)
        way = (*way, ("attribute", name))
        return self._queries.name(way) or (reads and self._queries.lead_through(way))


def build(cls: type) -> type[DeviceProxy]:
    """Build the proxy class for a driver's (or part's) class."""
    base = KINDS[container_kind(cls)]
    space: dict[str, Any] = {"__doc__": cls.__doc__}
    if cls not in FUNCTIONS:
        space["__class__"] = property(lambda _: cls)
    for name in dir(cls):
        if (name.startswith("_") and name not in FORWARDED) or name in vars(base):
            continue
        static = inspect.getattr_static(cls, name)
        if static is Device.publish:  # the driver's own, and no member of the device
            continue
        if is_called(static):
            space[name] = stand_in_for(static)(static, name)
        elif not name.startswith("_"):
            space[name] = Value(static, name)
    made: Any = type(f"{cls.__name__}Proxy", (base,), space)
    return made  # type: ignore[no-any-return]  # it is a class derived from `base`


def stand_in_for(static: Any) -> Callable[[Any, str], Any]:
    """Return what takes the place of something callable on a driver's class."""
    if isinstance(static, StreamMethod):
        return StreamMember
    return PeriodicMember if isinstance(static, PeriodicMethod) else Method


def is_called(static: Any) -> bool:
    """Tell whether what stands on a class is called, rather than read."""
    kinds = (staticmethod, classmethod, functools.partialmethod, functools.singledispatchmethod)
    return isinstance(static, kinds) or (callable(static) and not isinstance(static, type))


def has_call(cls: type) -> bool:
    """Tell whether a class's objects can be called; `callable` would tell it of the class itself."""
    return any("__call__" in vars(base) for base in cls.__mro__)


class Method:
    """A method on a proxy class; the bound one is remembered on the proxy."""

    def __init__(self, static: Any, name: str) -> None:
        self._name = name
        self.__doc__ = getattr(static, "__doc__", None)
        self.__wrapped__ = getattr(static, "__func__", static)

    def __get__(self, proxy: DeviceProxy | None, owner: type | None = None) -> Any:
        if proxy is None:
            return self
        own = proxy.__dict__
        bound = own.get(self._name)
        if bound is None:
            factory: ProxyFactory = own["_actorlab_factory"]
            without, with_some = factory.calling(own["_actorlab_cls"], self._name, own["_actorlab_path"])
            bound = bound_to(proxy, with_some)
            if without.query is not with_some.query:
                bound = Parameter(bound_to(proxy, without), bound)
            own[self._name] = bound
        return bound

    def __call__(self, proxy: DeviceProxy, *args: Any, **kwargs: Any) -> Any:
        """Call it as a function of the class."""
        return self.__get__(proxy)(*args, **kwargs)


class Parameter:
    """A parameter that is read by calling it without arguments, and set by calling it with one."""

    __slots__ = ("_get", "_set")

    def __init__(self, get: Callable[..., Any], set: Callable[..., Any]) -> None:  # noqa: A002 - its pair is `get`
        self._get = get
        self._set = set

    def chosen(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Callable[..., Any]:
        """Return what is called with these arguments."""
        return self._set if args or kwargs else self._get

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Read it, or set it."""
        return self.chosen(args, kwargs)(*args, **kwargs)


class Value(property):
    """A property or another attribute on a proxy class.

    It is a property, so that whoever looks at the class (such as a shell that completes names) doesn't evaluate it.
    """

    def __init__(self, static: Any, name: str) -> None:
        super().__init__()
        self.__doc__ = static.__doc__ if hasattr(class_of(static), "__get__") else None
        self._name = name
        self._evaluates = is_data_descriptor(static)

    def __get__(self, proxy: Any, owner: type | None = None) -> Any:
        if proxy is None:
            return self
        if not self._evaluates:
            return attribute(proxy, self._name)
        return send(proxy, reading(proxy, self._name, evaluates=True))


# -- looking


def attribute(proxy: DeviceProxy, name: str) -> Any:
    """Return an attribute of the object itself, or of its class: a part is known, other values are read."""
    own = proxy.__dict__
    cls = own["_actorlab_cls"]
    shape = shape_of(proxy)
    kind = shape.parts.get(("attribute", name))
    if kind is not None:
        return part_at(proxy, ("attribute", name), kind)
    static = inspect.getattr_static(cls, name, ABSENT)
    if name in shape.names or (static is not ABSENT and not hasattr(class_of(static), "__get__")):
        return send(proxy, reading(proxy, name, evaluates=False))
    if static is not ABSENT or hasattr(cls, "__getattr__"):
        return send(proxy, reading(proxy, name, evaluates=True))
    if shape is NO_SHAPE:
        raise own["_actorlab_cell"].unavailable()
    text = f"{where(own['_actorlab_name'], own['_actorlab_path'])} ({cls.__name__}) has no attribute {name!r}"
    raise AttributeError(text)


def item(proxy: DeviceProxy, key: Any) -> Any:
    """Return an item of a list, tuple or dictionary: a part is known, other values are read."""
    own = proxy.__dict__
    kind = shape_of(proxy).parts.get(("item", key)) if is_hashable(key) else None
    if kind is not None:
        return part_at(proxy, ("item", key), kind)
    return send(proxy, own["_actorlab_factory"].picking(own["_actorlab_path"], key), key)


def is_hashable(key: Any) -> bool:
    """Tell whether something can be the key of an item; a slice can't before Python 3.12."""
    return type(key).__hash__ is not None


def part_at(proxy: DeviceProxy, step: tuple[str, Any], kind: type) -> DeviceProxy:
    """Return the proxy of a part that is known."""
    own = proxy.__dict__
    known = own["_actorlab_known"]
    if step not in known or known[step].__dict__["_actorlab_cls"] is not kind:
        path = (*own["_actorlab_path"], step)
        known[step] = own["_actorlab_factory"].proxy(own["_actorlab_cell"], own["_actorlab_hold"], kind, path)
    made: DeviceProxy = known[step]
    return made


def reading(proxy: DeviceProxy, name: str, *, evaluates: bool) -> Member:
    """Return the member that reads an attribute."""
    own = proxy.__dict__
    known = own["_actorlab_known"]
    if name not in known:
        factory: ProxyFactory = own["_actorlab_factory"]
        known[name] = factory.reading(own["_actorlab_cls"], name, own["_actorlab_path"], evaluates=evaluates)
    member: Member = known[name]
    return member


def shape_of(proxy: DeviceProxy) -> Shape:
    """Return what is known of an object: a device's since it was made; a part's is asked for once in each life."""
    own = proxy.__dict__
    shape = known_shape(own["_actorlab_cell"], own["_actorlab_path"])
    return look_again(proxy) if shape is None else shape


def known_shape(cell: Cell, path: Path) -> Shape | None:
    """Return what is known of an object without asking; while a device is down, what was known of it before."""
    if not path:
        return cell.actor.shape if cell.actor is not None else NO_SHAPE
    known = seen(cell, path).get(path)
    return known[1] if known is not None and (known[0] == cell.life or cell.mailbox.closed) else None


def contents(proxy: DeviceProxy) -> Shape:
    """Return what is known of a container; one that the driver may have changed is looked at again."""
    fixed = not issubclass(proxy.__dict__["_actorlab_cls"], (list, dict))
    return shape_of(proxy) if fixed else look_again(proxy)


def look_again(proxy: DeviceProxy) -> Shape:
    """Look at an object now: a call that evaluates nothing, and is always accepted."""
    own = proxy.__dict__
    cell, path = own["_actorlab_cell"], own["_actorlab_path"]
    life = cell.life
    shape: Shape = send(proxy, Member("look", query=True, action=looked, path=path))
    seen(cell, path)[path] = life, shape  # several threads may do so at once: they have seen the same
    CLASS.__set__(proxy, own["_actorlab_factory"].proxy_class(own["_actorlab_cls"], shape))
    return shape


def seen(cell: Cell, path: Path) -> dict[Path, tuple[int, Shape]]:
    """Return where the shapes of parts are kept, with their lives: of what a call has returned, as long as that is."""
    return path[0][1].shapes if path[0][0] == "object" else cell.shapes


def refuse_private(proxy: DeviceProxy, name: str) -> None:
    """Refuse names that are private to the driver, and what `Device` offers to the driver itself."""
    own = name == "publish" and inspect.getattr_static(proxy.__dict__["_actorlab_cls"], name, None) is Device.publish
    if own or name.startswith("_"):
        text = f"{proxy.__dict__['_actorlab_name']}: {name} is private to the driver"
        raise AttributeError(text)


def refuse_to_set(proxy: DeviceProxy, name: str, *, known: bool) -> None:
    """Refuse to set what the driver doesn't have, or to replace a part of it.

    Raises:
        AttributeError: it says what to do instead.

    """
    own = proxy.__dict__
    place = where(own["_actorlab_name"], own["_actorlab_path"])
    shape = shape_of(proxy)
    kind = shape.parts.get(("attribute", name))
    if kind is not None:
        how = f"call it, {place}.{name}(…), or set" if has_call(kind) else "set"
        text = f"{place}.{name} is a part of the device ({kind.__name__}) and can't be replaced: {how} what is in it"
        raise AttributeError(text)
    if not known and name not in shape.names and name not in shape.settable:
        text = f"{place} ({own['_actorlab_cls'].__name__}) has no attribute {name!r} to be set"
        raise AttributeError(text)


# -- using a proxy


def send(proxy: DeviceProxy, member: Member, *args: Any, **kwargs: Any) -> Any:
    """Make a call through a proxy and wait."""
    hold = proxy.__dict__["_actorlab_hold"]
    if hold is not None:
        return call_held(hold, member, *args, **kwargs)
    return call_outside(proxy.__dict__["_actorlab_cell"], member, *args, **kwargs)


def bound_to(proxy: DeviceProxy, member: Member) -> Callable[..., Any]:
    """Return what calls a member through a proxy."""
    own = proxy.__dict__
    hold = own["_actorlab_hold"]
    mark = own["_actorlab_factory"].marks.of(own["_actorlab_cls"], member.name)
    member = mark.confirmed(member)
    bound: Callable[..., Any]
    if hold is not None and hold.cell.config.direct and hold.exclusive:
        bound = direct_caller(hold, member)
    elif hold is not None:
        bound = functools.partial(call_held, hold, member)
    else:
        bound = functools.partial(call_outside, own["_actorlab_cell"], member)
    return bound if mark.checker is None else checked(bound, mark.checker, member.on(own["_actorlab_name"]))


def checked(bound: Callable[..., Any], checker: Checker, who: str) -> Callable[..., Any]:
    """Put a check before a bound method: in the caller's thread, before anything is sent."""
    check = checker.check

    def call(*args: Any, **kwargs: Any) -> Any:
        args, kwargs = check(who, args, kwargs)
        return bound(*args, **kwargs)

    call.asked = target_of(bound)  # type: ignore[attr-defined]  # for `ask` …
    call.check = functools.partial(check, who)  # type: ignore[attr-defined]  # … which sends another way
    return call


def bind(proxy: DeviceProxy, hold: Hold | None) -> DeviceProxy:
    """Return the handle by which a body uses the device; the lab's own proxy, if there is no hold."""
    own = proxy.__dict__
    made: DeviceProxy = object.__new__(type(proxy))
    space = made.__dict__
    for name in KEPT:
        space[name] = own[name]
    space["_actorlab_hold"] = hold
    space["_actorlab_known"] = {}
    return made


KEPT: Final = ("_actorlab_name", "_actorlab_cell", "_actorlab_path", "_actorlab_factory", "_actorlab_cls")


def part(cell: Cell, hold: Hold | None, member: Member, args: tuple[Any, ...], found: Stays) -> DeviceProxy:
    """Make the proxy of an object that stayed with its device.

    What lies in the driver's object is found by its name or key with each use. What the driver's code has returned is
    that object, and is found again by its name or key after a restart, if it was read and not the result of a call.
    """
    if found.origin == ():
        path: Path = ()
    elif member.action is read:
        path = (*member.path, ("attribute", member.name))
    elif member.action is pick and not isinstance(args[0], slice):
        path = (*member.path, ("item", args[0]))
    else:
        if member.action is evaluate:
            found.origin = (*member.path, ("attribute", member.name))
        elif member.name == "__getitem__":
            found.origin = (*member.path, ("item", args[0]))
        path = (("object", found),)
    return cell.proxies.proxy(cell, hold, found.cls, path)


def bound_of(method: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Return what is called in the end when something is called with these arguments: a part of a device, for `ask`."""
    kind = class_of(method)
    if issubclass(kind, DeviceProxy) and has_call(kind):
        call: Any = inspect.getattr_static(kind, "__call__")
        method = call.__get__(method)
    return method.chosen(args, kwargs) if type(method) is Parameter else method


def target_of(bound: Callable[..., Any]) -> tuple[Any, Member] | None:
    """Take a bound member of a proxy apart, for `ask`; None if it is something else."""
    if isinstance(bound, functools.partial) and bound.func in (call_held, call_outside):
        return bound.args[0], bound.args[1]
    asked: tuple[Any, Member] | None = getattr(cast("Any", bound), "asked", None)
    return asked
