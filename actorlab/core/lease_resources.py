"""Know what is taken, reserved or expected back: each thing that can be asked for is one bit in a mask.

A resource has a capacity: sharing it takes one unit, having it exclusively takes all of them. So a device, a slot with
its limit, a key and the lab itself follow the same rule, and "can all of this be had?" is a single ``&``.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final, TypeAlias

from actorlab.errors import ConfigError

__all__ = ["UNBOUNDED", "Claim", "Kind", "Mode", "Request", "Resource", "Resources", "Wants"]

UNBOUNDED: Final = 1 << 60
"""The capacity of what any number may share."""


class Mode(enum.Enum):
    """Say whether others may use the device at the same time."""

    EXCLUSIVE = "exclusive"
    SHARED = "shared"

    __hash__ = object.__hash__  # a member is one object, and Enum's own hash is slow Python code: it showed in a grant


@dataclass(frozen=True, slots=True)
class Request:
    """Ask for devices, slots and keys, all at once.

    One unit of each slot is taken, a key is held alone, and `exclusive` asks for the whole lab: it waits for all
    holders, and once it has the reservation nobody passes it. A larger `priority` is more urgent. One that is `nested`
    in a run which holds its share of the lab has part in that, and asks for devices only.
    """

    holder: str
    devices: tuple[tuple[str, Mode], ...] = ()
    slots: tuple[str, ...] = ()
    keys: tuple[str, ...] = ()
    exclusive: bool = False
    priority: float = 0.0
    nested: bool = False


class Kind(enum.Enum):
    """Say what a resource is."""

    LAB = "lab"
    DEVICE = "device"
    SLOT = "slot"
    KEY = "key"


class Resource:
    """One thing that can be held: sharing it takes one unit of its capacity, having it exclusively all of them."""

    __slots__ = (
        "available",
        "capacity",
        "holders",
        "index",
        "kind",
        "name",
        "reserved",
        "share",
        "staying",
        "token",
        "used",
        "users",
        "whole",
    )

    def __init__(self, kind: Kind, name: str, capacity: int, index: int) -> None:
        self.kind: Final = kind
        self.name: Final = name
        self.capacity: Final = capacity
        self.index: Final = index
        self.share: Final = 1 << (2 * index)  # the bit of those who ask for one unit
        self.whole: Final = 2 << (2 * index)  # the bit of those who ask for all of it
        self.holders: dict[str, int] = {}
        self.used = 0
        self.staying = 0  # units of holders that are not expected to end
        self.reserved = 0
        self.available = True
        self.token = 0
        self.users = 0  # shapes that name it

    def closed_at(self, used: int) -> int:
        """Return the bits of those who can't have it while `used` units are taken."""
        if used <= 0:
            return 0
        return self.whole if used < self.capacity else self.whole | self.share

    def bit(self, units: int) -> int:
        """Return the bit of those who ask for `units`."""
        return self.whole if units == self.capacity and self.kind is not Kind.SLOT else self.share


Wants: TypeAlias = tuple[tuple[Resource, int], ...]
"""Resources, and how many units of each."""

Claim: TypeAlias = tuple[Kind, str, bool]
"""A kind of resource, its name, and whether all of it is asked for."""


class Resources:
    """All resources of a lab, and what of them is closed to whom, in bits."""

    __slots__ = ("_known", "_spare_indices", "held", "reserved", "staying")

    def __init__(self, limits: Mapping[str, int]) -> None:
        self.held = 0  # closed by holders, or unavailable
        self.reserved = 0  # closed to all but the one who has the reservation
        self.staying = 0  # closed by holders that aren't expected to end, or unavailable
        self._known: dict[tuple[Kind, str], Resource] = {}
        self._spare_indices: list[int] = []
        for name, limit in limits.items():
            if limit < 1:
                message = f"The limit of {name!r} is {limit}: it must be at least 1, or whoever needs it waits for ever"
                raise ConfigError(message)
            self._named(Kind.SLOT, name, limit)

    def claims(self, request: Request) -> Iterator[Claim]:
        """Return what a request asks for; each has its share of the lab, if not by another's."""
        if not request.nested:
            yield Kind.LAB, "lab", request.exclusive
        for slot in request.slots:
            if (Kind.SLOT, slot) in self._known:  # else there is no limit, so nothing to count
                yield Kind.SLOT, slot, False
        for key in request.keys:
            yield Kind.KEY, key, True
        for device, mode in request.devices:
            yield Kind.DEVICE, device, mode is Mode.EXCLUSIVE

    def wants(self, request: Request) -> Wants:
        """Return the resources and units asked for; where one is named twice, the larger number counts."""
        wants: dict[Resource, int] = {}
        for kind, name, whole in self.claims(request):
            resource = self._named(kind, name, 1 if kind is Kind.KEY else UNBOUNDED)
            wants[resource] = max(wants.get(resource, 0), resource.capacity if whole else 1)
        for resource in wants:
            resource.users += 1
        return tuple(wants.items())

    def find(self, kind: Kind, name: str) -> Resource | None:
        """Return a resource that somebody has named."""
        return self._known.get((kind, name))

    def device(self, name: str) -> Resource:
        """Return a device, made known on demand."""
        return self._named(Kind.DEVICE, name, UNBOUNDED)

    def take(self, holder: str, wants: Wants) -> None:
        """Give it all to a holder."""
        for resource, units in wants:
            resource.holders[holder] = units
            used = resource.used = resource.used + units
            self.held |= resource.whole if used < resource.capacity else resource.whole | resource.share
            if resource.reserved:
                self.reserved |= resource.closed_at(used + resource.reserved)

    def give_back(self, holder: str, wants: Wants) -> None:
        """Take it all back from a holder."""
        for resource, units in wants:
            del resource.holders[holder]
            self._add_used(resource, -units)

    def reserve(self, wants: Wants) -> None:
        """Keep others from what would delay whoever wants this; there is one reservation at a time."""
        for resource, units in wants:
            resource.reserved = units
            self.reserved |= resource.closed_at(resource.used + units)

    def drop_reservation(self, wants: Wants) -> None:
        """End the reservation."""
        self.reserved = 0
        for resource, _ in wants:
            resource.reserved = 0

    def begin_stay(self, wants: Wants) -> None:
        """Expect this back no longer."""
        for resource, units in wants:
            self._add_staying(resource, units)

    def end_stay(self, wants: Wants) -> None:
        """Expect this back again."""
        for resource, units in wants:
            self._add_staying(resource, -units)

    def set_available(self, device: Resource, *, available: bool) -> None:
        """Close a device to everybody, or open it: as if somebody held it who isn't expected to end."""
        device.available = available
        units = -UNBOUNDED if available else UNBOUNDED
        self._add_used(device, units)
        self._add_staying(device, units)

    def forget(self, wants: Wants) -> None:
        """Count one user less of each; a key goes with its last user, since there may be any number of them."""
        for resource, _ in wants:
            resource.users -= 1
            if resource.kind is Kind.KEY and not resource.users:
                del self._known[resource.kind, resource.name]
                self._spare_indices.append(resource.index)

    def _named(self, kind: Kind, name: str, capacity: int) -> Resource:
        resource = self._known.get((kind, name))
        if resource is None:
            index = self._spare_indices.pop() if self._spare_indices else len(self._known)
            resource = self._known[kind, name] = Resource(kind, name, capacity, index)
        return resource

    def _add_used(self, resource: Resource, units: int) -> None:
        used = resource.used = resource.used + units
        both = resource.whole | resource.share
        self.held = self.held & ~both | resource.closed_at(used)
        if resource.reserved:
            self.reserved = self.reserved & ~both | resource.closed_at(used + resource.reserved)

    def _add_staying(self, resource: Resource, units: int) -> None:
        resource.staying += units
        both = resource.whole | resource.share
        self.staying = self.staying & ~both | resource.closed_at(resource.staying)
