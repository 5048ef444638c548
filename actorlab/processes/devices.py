"""Use the lab's devices from a worker process: the same proxies, whose calls go back to the lab."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NoReturn

from actorlab.arguments import replace
from actorlab.driving.travel import Stays, class_of
from actorlab.errors import AskDeadlock, ConfigError, NotLeased
from actorlab.isolation.child import seen
from actorlab.isolation.messages import Looks
from actorlab.isolation.packing import as_class, travelling_class
from actorlab.kernel import Reply
from actorlab.runtime.process_messages import Ask, DeviceSeen, Fetch, Kept, Leave, Listen, Take, Ticket, Use
from actorlab.runtime.proxy import DeviceProxy, ProxyFactory
from actorlab.scope import current

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping

    from actorlab.driving.member import Member, Path
    from actorlab.driving.shape import Shape
    from actorlab.processes.inside import Inside
    from actorlab.runtime.production import Wanted
    from actorlab.streams import Item

__all__ = ["Devices", "RemoteCell", "RemoteHold"]

LIFE: Final = 1
"""Lives are told apart in the lab; here there is one."""


class Devices:
    """The devices that a body uses; their proxy classes are built once in this process."""

    def __init__(self, inside: Inside) -> None:
        self._inside = inside
        self._cells: dict[str, RemoteCell] = {}
        self._factories: dict[str, tuple[DeviceSeen, ProxyFactory]] = {}
        self._kept: dict[int, Stays] = {}

    def begin(self, devices: Mapping[str, DeviceSeen]) -> None:
        """Know the devices of a body, and forget those of the one before."""
        self._kept = {}
        self._cells = {
            name: RemoteCell(self._inside, name, seen(device.looks), self._factory(name, device))
            for name, device in devices.items()
        }

    def _factory(self, name: str, device: DeviceSeen) -> ProxyFactory:
        known = self._factories.get(name)
        if known is None or known[0][:2] != device[:2]:
            known = self._factories[name] = device, ProxyFactory(device.queries, device.read_back)
        return known[1]

    # -- inwards

    def incoming(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Return arguments with proxies in place of tickets."""
        return replace(args, kwargs, self._proxy)

    def incoming_value(self, value: Any) -> Any:
        """Return what the lab has answered."""
        if value.__class__ is Ticket:
            return self._proxy(value)
        return seen(value) if value.__class__ is Looks else value

    def _proxy(self, ticket: Any) -> DeviceProxy:
        cell = self._cells[ticket.device]
        return cell.proxies.proxy(cell, None, as_class(ticket.cls), self._path_in(ticket.path))  # type: ignore[arg-type]  # it is one as far as a proxy looks

    def _path_in(self, path: Path) -> Path:
        return tuple([(kind, self._stays(key) if kind == "object" else key) for kind, key in path])

    def _stays(self, kept: Kept) -> Stays:
        found = self._kept.get(kept.number)
        if found is None:
            found = self._kept[kept.number] = Stays(kept.number, LIFE)
            found.cls = as_class(kept.cls)
            found.origin = None if kept.origin is None else self._path_in(kept.origin)
        return found

    # -- outwards

    def outgoing(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Return arguments with tickets in place of proxies."""
        return replace(args, kwargs, self._ticket)

    def _ticket(self, proxy: Any) -> Ticket:
        own = proxy.__dict__
        return Ticket(own["_actorlab_name"], path_out(own["_actorlab_path"]), travelling_class(own["_actorlab_cls"]))

    def use(self, device: str, member: Member, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Use:
        """Say what is to be done with a device."""
        args, kwargs = self.outgoing(args, kwargs)
        return Use(device, member._replace(path=path_out(member.path)) if member.path else member, args, kwargs)


def path_out(path: Path) -> Path:
    """Return a path with the numbers of the objects that stay with their device."""
    return tuple([(kind, Kept(key.part, b"", None) if kind == "object" else key) for kind, key in path])


class Open:
    """The mailbox of a device, which is elsewhere."""

    closed = False


class Root:
    """What is known of a device since it was made."""

    def __init__(self, shape: Shape) -> None:
        self.shape = shape


class Elsewhere:
    """The lab of a device, which is elsewhere."""

    def __init__(self, device: str) -> None:
        self._device = device

    def refuse_in_fork(self) -> NoReturn:
        """Refuse a use of the device by whoever has no body's scope.

        Raises:
            NotLeased: always.

        """
        text = (
            f"{self._device} was used in a worker process outside of its body: in a thread, start it by "
            f"contextvars.copy_context().run, or asyncio.to_thread"
        )
        raise NotLeased(text)


class RemoteCell:
    """A device as its proxies in this process see it."""

    def __init__(self, inside: Inside, name: str, shape: Shape, proxies: ProxyFactory) -> None:
        self.name = name
        self.life = LIFE
        self.mailbox = Open()
        self.actor = Root(shape)
        self.shapes: dict[Path, tuple[int, Shape]] = {}
        self.proxies = proxies
        self.token = None
        self.lab_actor = Elsewhere(name)
        self.hold = RemoteHold(inside, self)

    def listen(self, hold: object, wanted: Wanted, buffer: int) -> RemoteListener:
        """Begin to listen to a stream."""
        del hold
        return self.hold.listen(wanted, buffer)

    def unavailable(self) -> ConfigError:
        """Make the error for a part of which nothing is known."""
        return ConfigError(f"{self.name} wasn't there when the body began in its worker process")

    def __getattr__(self, name: str) -> NoReturn:
        if name.startswith("__"):
            raise AttributeError(name)
        text = f"{self.name}: its {name.replace('_', ' ')} can't be used from a worker process"
        raise ConfigError(text)


class RemoteHold:
    """A body's use of one device."""

    def __init__(self, inside: Inside, cell: RemoteCell) -> None:
        self._inside = inside
        self._cell = cell

    def call(self, member: Member, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Call the device in the body's name, and wait for the answer."""
        scope: Any = current.get()
        scope.may_call(member.on(self._cell.name))
        return self._inside.ask(self._inside.devices.use(self._cell.name, member, args, kwargs))

    def ask(self, member: Member, args: tuple[Any, ...], kwargs: dict[str, Any]) -> RemoteReply:
        """Send a call in the body's name, and return its reply."""
        use = self._inside.devices.use(self._cell.name, member, args, kwargs)
        number, done = self._inside.awaited()
        reply = RemoteReply(self._inside, number)
        done.when_done(lambda _: reply.finish(None, None))
        self._inside.ask(Ask(number, use))
        return reply

    def listen(self, wanted: Wanted, buffer: int) -> RemoteListener:
        """Begin to listen to a stream, which begins when the first item is waited for."""
        use = self._inside.devices.use(self._cell.name, wanted.member, wanted.args, wanted.kwargs)
        number = next(self._inside.numbers)
        self._inside.ask(Listen(number, use, buffer, wanted.pulled))
        return RemoteListener(self._inside, number, wanted.member.on(self._cell.name))


class RemoteReply(Reply[Any]):
    """The reply of a call that was asked for: the lab tells when it is there, then its outcome is fetched once."""

    __slots__ = ("_inside", "_number")

    def __init__(self, inside: Inside, number: int) -> None:
        super().__init__()
        self._inside = inside
        self._number = number

    def _fetch(self) -> None:
        number, self._number = self._number, 0
        if not number:
            return
        try:
            value = self._inside.ask(Fetch(number))
        except BaseException as error:  # noqa: BLE001 - it is the outcome
            self._outcomes[0] = (None, error)
        else:
            self._outcomes[0] = (value, None)

    def outcome(self) -> Any:
        """Return the value, or raise the error."""
        self._fetch()
        return super().outcome()

    def exception(self, timeout: float | None = None) -> BaseException | None:
        """Wait for the outcome, and return its error or None."""
        self._wait_out(timeout)
        self._fetch()
        return super().exception(0)

    def wait(self, timeout: float = -1.0) -> bool:
        """Wait for it, as a checkpoint of the body."""
        scope: Any = current.get()
        if not self.done() and hasattr(scope, "refuse_to_block"):
            scope.refuse_to_block("the result of an asked call", "await the reply")
        return super().wait(timeout)

    def cancel(self) -> bool:
        """Drop the call, if it hasn't begun; else have it interrupted."""
        return bool(self._number and self._inside.ask(Fetch(self._number, drop=True)))


class RemoteListener:
    """One loop's part in a stream of a device."""

    def __init__(self, inside: Inside, number: int, name: str) -> None:
        self._inside = inside
        self._number = number
        self._name = name
        self._left = False

    def items(self) -> Generator[Item[Any]]:
        """Yield the items as they come.

        Raises:
            AskDeadlock: this is an asynchronous body, where nothing may block.

        """
        if hasattr(current.get(), "refuse_to_block"):
            text = f"`for` over {self._name} was used in an asynchronous body, where nothing may block"
            raise AskDeadlock(text)
        return self._items()

    def _items(self) -> Generator[Item[Any]]:
        devices = self._inside.devices
        try:
            while not self._left and (found := self._inside.ask(Take(self._number))):
                for item in found:
                    current.get().checkpoint()
                    kept = class_of(item.value) is Ticket
                    yield item.as_heard(devices.incoming_value(item.value), item.dropped) if kept else item
        finally:
            self.close()

    def items_async(self) -> NoReturn:
        """Refuse it: the items are waited for in the lab's process.

        Raises:
            ConfigError: always.

        """
        text = f"`async for` over {self._name} isn't there in a worker process: listen in a thread body, or by `for`"
        raise ConfigError(text)

    def close(self) -> None:
        """Listen no longer."""
        if not self._left:
            self._left = True
            if self._inside.scope is not None and not self._inside.gone:
                self._inside.ask(Leave(self._number))
