"""Let devices and their parts go to a worker process as tickets, and come back as the body's handles."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from actorlab.arguments import replace
from actorlab.driving.member import Member, Path
from actorlab.driving.shape import NO_SHAPE, Shape
from actorlab.driving.travel import Stays, class_of
from actorlab.errors import ConfigError, NotLeased
from actorlab.isolation.inside import looks_of
from actorlab.isolation.packing import as_class, pack, travelling_class
from actorlab.runtime.process_messages import DeviceSeen, Kept, Ticket
from actorlab.runtime.proxy import DeviceProxy

if TYPE_CHECKING:
    from collections.abc import Mapping

    from actorlab.runtime.body import Body, Hold
    from actorlab.runtime.cell import Cell
    from actorlab.runtime.per_call import PerCall

__all__ = ["Passage", "seen_of", "ticket_without_objects"]


class Passage:
    """What one body's process has got of the lab's devices: objects that stay with them are known to it by numbers."""

    __slots__ = ("_body", "_kept", "_numbers")

    def __init__(self, body: Body) -> None:
        self._body = body
        self._kept: list[Stays] = []
        self._numbers: dict[int, int] = {}

    # -- outwards

    def outgoing(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Return arguments with tickets in place of devices."""
        return replace(args, kwargs, self.ticket)

    def told(self, value: Any) -> Any:
        """Return what is sent for a value that the body has asked for."""
        if value.__class__ is Shape:
            return looks_of(value)
        return self.ticket(value) if issubclass(class_of(value), DeviceProxy) else value

    def ticket(self, proxy: Any) -> Ticket:
        """Return what stands for a device, or a part of one, in the process."""
        own = proxy.__dict__
        return Ticket(
            own["_actorlab_name"], self._path_out(own["_actorlab_path"]), travelling_class(own["_actorlab_cls"])
        )

    def _path_out(self, path: Path) -> Path:
        return tuple([(kind, self._keep(key) if kind == "object" else key) for kind, key in path])

    def _keep(self, stays: Stays) -> Kept:
        number = self._numbers.get(id(stays))
        if number is None:
            number = self._numbers[id(stays)] = len(self._kept)
            self._kept.append(stays)
        origin = None if stays.origin is None else self._path_out(stays.origin)
        return Kept(number, travelling_class(stays.cls), origin)

    # -- inwards

    def incoming(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Return arguments with the body's handles in place of tickets."""
        return replace(args, kwargs, self._handle)

    def _handle(self, ticket: Any) -> DeviceProxy:
        cell = self.cell(ticket.device)
        return cell.proxies.proxy(
            cell, self._body.holds.get(cell.name), as_class(ticket.cls), self._path_in(ticket.path)
        )

    def member(self, member: Member) -> Member:
        """Return what is asked of a device, with the objects in its path."""
        return member if not member.path else member._replace(path=self._path_in(member.path))

    def _path_in(self, path: Path) -> Path:
        found: list[tuple[str, Any]] = [
            (kind, self._kept[key.number] if kind == "object" else key) for kind, key in path
        ]
        return tuple(found)

    def cell(self, name: str) -> Cell:
        """Return a device of the lab."""
        return self._body.actor.lab.inventory.cell(name)

    def hold(self, cell: Cell, member: Member) -> Hold | PerCall:
        """Return how the body uses a device.

        Raises:
            NotLeased: it isn't among the body's arguments.

        """
        found = self._body.holds.get(cell.name) or self._body.hold_for(cell, member)
        if found is None:
            text = f"{self._body.name} uses {cell.name!r}, which it doesn't hold"
            raise NotLeased(text)
        return found


def seen_of(cell: Cell) -> DeviceSeen:
    """Return what a process has to know of a device.

    Raises:
        ConfigError: its class can't be known there.

    """
    shape = NO_SHAPE._replace(cls=cell.cls) if cell.actor is None else cell.actor.shape
    try:
        pack(shape.cls)
    except Exception as error:
        text = f"{cell.name} can't be used in a worker process, as its class can't be known there: {error}"
        raise ConfigError(text) from error
    return DeviceSeen(cell.config.queries, cell.config.read_back, looks_of(shape))


def ticket_without_objects(found: Any) -> Any:
    """Stand for a device or an unknown value, to see whether the rest of some arguments can travel."""
    return Ticket(str(found._actorlab_name), (), b"") if issubclass(type(found), DeviceProxy) else None  # noqa: SLF001
