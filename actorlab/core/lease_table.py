"""Decide who may use which device, and who is next.

A request is granted all at once or waits. One waiter has a reservation: the oldest, by aged priority, whose blockers
are all expected to end. Others may pass it where they leave alone what it will need, so nobody starves while holders
end, and devices don't stand idle behind a long queue.

Nobody who holds devices waits. Who holds a place (a share of the lab, of a slot, a key) may wait for devices by those
who are nested in it; so a reservation keeps devices only from when its place is free: nobody whose end it awaits is
held up by it, and there is no deadlock.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator, Mapping
from heapq import heapify, heappop, heappush
from typing import Final, NamedTuple

from actorlab.core.lease_queue import Line, Node, Shape, Waiter, WaitingTree
from actorlab.core.lease_resources import Kind, Mode, Request, Resource, Resources, Wants
from actorlab.errors import ConfigError

__all__ = ["Blocker", "BlockerKind", "Granted", "LeaseTable", "Mode", "Request"]

_REMEMBERED_SHAPES: Final = 1024
"""Shapes kept for the next request of their kind, although nobody uses them."""


class Granted(NamedTuple):
    """Tell that `holder` has all it asked for; a token is larger than all earlier ones of its device."""

    holder: str
    tokens: dict[str, int]


class BlockerKind(enum.Enum):
    """Say in what way a waiter is blocked."""

    HELD = "held"
    RESERVED = "reserved"
    UNAVAILABLE = "unavailable"
    SLOTS = "slots"
    KEY = "key"
    LAB = "lab"


class Blocker(NamedTuple):
    """One reason for waiting: `resource` (its name), whoever holds or reserves it, and in what way it blocks."""

    resource: str
    by: tuple[str, ...]
    kind: BlockerKind


_BLOCKED_AS: Final = {
    Kind.LAB: BlockerKind.LAB,
    Kind.DEVICE: BlockerKind.HELD,
    Kind.SLOT: BlockerKind.SLOTS,
    Kind.KEY: BlockerKind.KEY,
}


class LeaseTable:
    """Keep who holds what and who waits; each event returns those who are granted by it, in order.

    `limits` is the number of units of each slot (a slot without a limit is not counted). `ageing` is how many seconds
    of waiting one point of priority is worth. One event looks at no more than `look_ahead` shapes of waiters; while
    `unfinished`, go on with `go_on`, as a message to oneself. All times are in seconds, on any clock that doesn't go
    back. Raises `ConfigError` for a limit or a look-ahead of less than 1.

    >>> table = LeaseTable()
    >>> table.request(Request("sweep#1", (("laser", Mode.EXCLUSIVE),)), now=0.0)
    [Granted(holder='sweep#1', tokens={'laser': 1})]
    >>> table.request(Request("sweep#2", (("laser", Mode.EXCLUSIVE),)), now=1.0)
    []
    >>> table.release("sweep#1", now=2.0)
    [Granted(holder='sweep#2', tokens={'laser': 2})]
    """

    def __init__(self, limits: Mapping[str, int] | None = None, *, ageing: float = 1.0, look_ahead: int = 256) -> None:
        self._ageing: Final = ageing
        self._look_ahead: Final = look_ahead
        self._resources: Final = Resources(limits or {})
        self._shapes: dict[object, Shape] = {}
        self._holds: dict[str, tuple[Shape, float]] = {}  # with the time of the grant
        self._staying: dict[str, bool] = {}  # holders that aren't expected to end -> will they never?
        self._waiters: dict[str, Waiter] = {}
        self._number = 0
        self._by_age = Line()  # shapes that may have the reservation
        self._set_aside: dict[Shape, None] = {}  # shapes that may not, because their blockers aren't expected to end
        self._tree = WaitingTree()
        self._reserved_for: Waiter | None = None
        self._reserved: Wants = ()  # what is kept for it
        self._known_closed = 0  # what was closed when the waiters were looked at last
        self._unfinished = False
        if look_ahead < 1:
            message = f"LeaseTable(look_ahead={look_ahead}): it must be at least 1, or nobody is ever looked at"
            raise ConfigError(message)

    # Events

    def request(self, request: Request, now: float) -> list[Granted]:
        """Grant the request if that delays nobody, else queue it. ValueError if the holder is known already."""
        holder = request.holder
        if holder in self._holds or holder in self._waiters:
            message = f"{holder!r} holds or waits for a lease already: a holder asks once, for all that it needs"
            raise ValueError(message)
        key = (request.devices, request.slots, request.keys, request.exclusive, request.nested)
        shape = self._shapes.get(key) or self._new_shape(key, request)
        shape.users += 1
        if not (self._unfinished or shape.mask & (self._resources.held | self._resources.reserved)):
            return [self._hold(holder, shape, now)]
        self._number += 1
        self._enqueue(Waiter(now - self._ageing * request.priority, self._number, holder, now, shape))
        return self._settle(now)

    def release(self, holder: str, now: float) -> list[Granted]:
        """Take a holder's lease, by its will or by force, or withdraw a waiter. KeyError if it is neither."""
        hold = self._holds.pop(holder, None)
        if hold is None:
            self._withdraw(self._waiter(holder))
        else:
            shape = hold[0]
            if holder in self._staying:
                self._end_stay(holder, shape)
            self._resources.give_back(holder, shape.wants)
            self._leave(shape)
        return self._settle(now) if self._waiters else []

    def go_on(self, now: float) -> list[Granted]:
        """Look at the waiters that the last event had no time for."""
        return self._settle(now)

    def set_ending(self, holder: str, ending: bool, now: float) -> list[Granted]:  # noqa: FBT001 - the value that is set
        """Say whether a holder is expected to end; whoever waits for one that isn't has no reservation meanwhile."""
        shape = self._held_shape(holder)
        if ending == (holder not in self._staying):
            return []
        if ending:
            self._end_stay(holder, shape)
        else:
            self._staying[holder] = False
            self._resources.begin_stay(shape.wants)
        return self._settle(now)

    def set_permanent(self, holder: str, now: float) -> list[Granted]:
        """Say that a holder never ends, so that `refusal` names it; `set_ending` takes it back."""
        granted = self.set_ending(holder, False, now)
        self._staying[holder] = True
        return granted

    def set_available(self, device: str, available: bool, now: float) -> list[Granted]:  # noqa: FBT001 - the value that is set
        """Say whether a device can be used now; whoever waits for one that can't has no reservation meanwhile."""
        resource = self._resources.device(device)
        if resource.available == available:
            return []
        self._resources.set_available(resource, available=available)
        self._consider_again()
        return self._settle(now)

    # Questions

    @property
    def unfinished(self) -> bool:
        """Tell whether there are waiters that `go_on` should look at."""
        return self._unfinished

    def refusal(self, request: Request) -> Blocker | None:
        """Return what is held for ever by somebody else, so that the request would never be granted; else None."""
        never = [holder for holder, permanent in self._staying.items() if permanent]
        if not never:
            return None
        for kind, name, whole in self._resources.claims(request):
            resource = self._resources.find(kind, name)
            if resource is None:
                continue
            by = tuple(holder for holder in never if holder in resource.holders)
            closed = resource.closed_at(sum(resource.holders[holder] for holder in by))
            if closed & (resource.whole if whole else resource.share):
                return Blocker(name, by, _BLOCKED_AS[kind])
        return None

    def blockers(self, holder: str) -> tuple[Blocker, ...]:
        """Return why a waiter waits: nothing for a holder, or for one not looked at yet. KeyError if it is neither."""
        if holder in self._holds:
            return ()
        waiter = self._waiter(holder)
        return tuple(blocker for want in waiter.shape.wants for blocker in self._blocked(waiter, *want))

    def holders(self, device: str) -> tuple[str, ...]:
        """Return who holds the device, in the order in which they got it."""
        resource = self._resources.find(Kind.DEVICE, device)
        return tuple(resource.holders) if resource else ()

    def waiting(self) -> tuple[str, ...]:
        """Return who waits, the oldest by aged priority first."""
        return tuple(waiter.holder for waiter in sorted(self._waiters.values()))

    def reserved_for(self) -> str | None:
        """Return who has the reservation."""
        return self._reserved_for.holder if self._reserved_for else None

    def since(self, holder: str) -> float:
        """Return when a holder was granted its lease, or since when a waiter waits. KeyError if it is neither."""
        hold = self._holds.get(holder)
        return hold[1] if hold else self._waiter(holder).since

    # Deciding

    def _settle(self, now: float) -> list[Granted]:
        """Grant what can be granted, in order of age, and place the reservation."""
        granted: list[Granted] = []
        while (oldest := self._oldest()) and len(granted) < self._look_ahead and self._fits(oldest):
            granted.append(self._grant(oldest, now))
        self._reserve(oldest)
        heads = self._candidates()
        self._look_at(heads, granted, now)
        self._unfinished = bool(heads) or (oldest is not None and self._fits(oldest))
        self._known_closed = self._resources.held | self._resources.reserved
        return granted

    def _fits(self, waiter: Waiter) -> bool:
        return not waiter.shape.mask & self._resources.held

    def _oldest(self) -> Waiter | None:
        """Return the oldest waiter that may have the reservation, setting aside the shapes that may not."""
        while (waiter := self._by_age.first()) and waiter.shape.mask & self._resources.staying:
            self._by_age.drop(waiter.shape)
            self._set_aside[waiter.shape] = None
        return waiter

    def _reserve(self, waiter: Waiter | None) -> None:
        """Move the reservation to this waiter: of all it wants, or of its place as long as others have that."""
        wants: Wants = ()
        if waiter:
            shape = waiter.shape
            wants = shape.place if shape.place_mask & self._resources.held else shape.wants
        if waiter is self._reserved_for and wants is self._reserved:
            return
        if self._reserved_for:
            self._drop_reservation()
        self._reserved_for, self._reserved = waiter, wants
        if waiter:
            self._resources.reserve(wants)

    def _drop_reservation(self) -> None:
        self._resources.drop_reservation(self._reserved)
        self._reserved_for, self._reserved = None, ()

    def _candidates(self) -> list[tuple[Waiter, Node]]:
        """Return a heap of the nodes whose shapes may be free to go: all others are blocked as they were."""
        closed = self._resources.held | self._resources.reserved
        root = self._tree.root
        nodes = self._tree.opened(closed) if self._unfinished or self._known_closed & ~closed else (root,)
        heads = [(head, node) for node in nodes if (head := node.first())]
        heapify(heads)
        return heads

    def _look_at(self, heads: list[tuple[Waiter, Node]], granted: list[Granted], now: float) -> None:
        """Grant or file anew those at the heads of the nodes, the oldest first, at most `look_ahead` of them."""
        looked_at = len(granted)
        while heads and looked_at < self._look_ahead:
            waiter, node = heappop(heads)
            closed = self._resources.held | self._resources.reserved
            if node.path & closed:
                continue  # somebody older has just closed it, so all who are filed here are blocked again
            looked_at += 1
            if blocked := waiter.shape.mask & closed:
                self._tree.file(waiter.shape, blocked)
            else:
                granted.append(self._grant(waiter, now))
            if head := node.first():
                heappush(heads, (head, node))

    def _grant(self, waiter: Waiter, now: float) -> Granted:
        if waiter is self._reserved_for:
            self._drop_reservation()
        self._dequeue(waiter)
        return self._hold(waiter.holder, waiter.shape, now)

    # Who waits

    def _enqueue(self, waiter: Waiter) -> None:
        shape = waiter.shape
        self._waiters[waiter.holder] = waiter
        if not shape.add(waiter):
            return
        if shape not in self._set_aside:
            self._by_age.put(shape)
        if shape.node:
            shape.node.put(shape)
        else:
            self._tree.file(shape, 0)

    def _dequeue(self, waiter: Waiter) -> None:
        shape = waiter.shape
        del self._waiters[waiter.holder]
        shape.remove(waiter)
        if shape.head is None:
            self._by_age.drop(shape)
            self._set_aside.pop(shape, None)
            self._tree.remove(shape)

    def _withdraw(self, waiter: Waiter) -> None:
        if waiter is self._reserved_for:
            self._drop_reservation()
        self._dequeue(waiter)
        self._leave(waiter.shape)

    def _waiter(self, holder: str) -> Waiter:
        waiter = self._waiters.get(holder)
        if waiter is None:
            message = f"{holder!r} neither holds a lease nor waits for one: it has ended, or never asked"
            raise KeyError(message)
        return waiter

    # Who holds

    def _hold(self, holder: str, shape: Shape, now: float) -> Granted:
        self._resources.take(holder, shape.wants)
        self._holds[holder] = (shape, now)
        tokens: dict[str, int] = {}
        for device in shape.devices:
            device.token += 1
            tokens[device.name] = device.token
        return Granted(holder, tokens)

    def _held_shape(self, holder: str) -> Shape:
        hold = self._holds.get(holder)
        if hold is None:
            message = f"{holder!r} holds no lease, so nobody waits for its end"
            raise KeyError(message)
        return hold[0]

    def _end_stay(self, holder: str, shape: Shape) -> None:
        del self._staying[holder]
        self._resources.end_stay(shape.wants)
        self._consider_again()

    def _consider_again(self) -> None:
        """Let those have the reservation whose blockers are expected to end again."""
        for shape in [shape for shape in self._set_aside if not shape.mask & self._resources.staying]:
            del self._set_aside[shape]
            self._by_age.put(shape)

    def _new_shape(self, key: object, request: Request) -> Shape:
        shape = self._shapes[key] = Shape(key, self._resources.wants(request))
        return shape

    def _leave(self, shape: Shape) -> None:
        """Count one user of the shape less, and forget it with the last one, if there are keys or many shapes."""
        shape.users -= 1
        if not shape.users and (shape.has_keys or len(self._shapes) > _REMEMBERED_SHAPES):
            del self._shapes[shape.key]
            self._resources.forget(shape.wants)

    # Why somebody waits

    def _blocked(self, waiter: Waiter, resource: Resource, units: int) -> Iterator[Blocker]:
        bit = resource.bit(units)
        if not resource.available:
            yield Blocker(resource.name, (), BlockerKind.UNAVAILABLE)
        if resource.closed_at(sum(resource.holders.values())) & bit:
            yield Blocker(resource.name, tuple(resource.holders), _BLOCKED_AS[resource.kind])
        elif self._reserved_for and self._reserved_for is not waiter and self._resources.reserved & bit:
            yield Blocker(resource.name, (self._reserved_for.holder,), BlockerKind.RESERVED)
