"""Keep those who wait for a lease in order, filed by what they wait for.

Who asks for the same things has the same *shape*, and is blocked by the same holders: only the oldest of a shape needs
to be looked at. A blocked shape is filed under all the bits that blocked it, in a tree with a level for each bit:
whoever may be free to go after a release is found by walking along free bits only, however many others wait.
"""

from __future__ import annotations

from collections.abc import Hashable
from heapq import heapify, heappop, heappush, heapreplace
from typing import Final, NamedTuple

from actorlab.core.lease_resources import Kind, Wants

__all__ = ["Line", "Node", "Shape", "Waiter", "WaitingTree"]

_SLACK: Final = 16
"""Out-of-date entries that a small heap may carry before it is built anew."""


class Waiter(NamedTuple):
    """One who waits. Waiters compare by age: `order` and `number` never tie, so nothing behind them is compared."""

    order: float
    number: int
    holder: str
    since: float
    shape: Shape


class Shape:
    """All requests for the same things, the oldest waiter at the head."""

    __slots__ = (
        "_gone", "_queue", "devices", "has_keys", "head", "key", "mask", "node", "place", "place_mask", "users", "wants"
    )  # fmt: skip

    def __init__(self, key: Hashable, wants: Wants) -> None:
        self.key: Final = key
        self.wants: Final = wants
        self.devices: Final = tuple(resource for resource, _ in wants if resource.kind is Kind.DEVICE)
        self.has_keys: Final = any(resource.kind is Kind.KEY for resource, _ in wants)
        self.mask: Final = mask_of(wants)
        self.place: Final = tuple([want for want in wants if want[0].kind is not Kind.DEVICE])
        """All but the devices: what those who are nested in a run have by that."""
        self.place_mask: Final = mask_of(self.place)
        self.head: Waiter | None = None
        self.node: Node | None = None  # where it is filed while somebody waits
        self.users = 0  # holders and waiters
        self._queue: list[Waiter] = []
        self._gone: set[int] = set()

    def add(self, waiter: Waiter) -> bool:
        """Queue a waiter, and tell whether it is the oldest now."""
        heappush(self._queue, waiter)
        self.head = self._queue[0]
        return self.head is waiter

    def remove(self, waiter: Waiter) -> None:
        """Take a waiter out, wherever it stands."""
        self._gone.add(waiter.number)
        if 2 * len(self._gone) > len(self._queue):
            self._queue = [other for other in self._queue if other.number not in self._gone]
            self._gone.clear()
            heapify(self._queue)
        while self._queue and self._queue[0].number in self._gone:
            self._gone.discard(heappop(self._queue).number)
        self.head = self._queue[0] if self._queue else None


def mask_of(wants: Wants) -> int:
    """Return the bits of those who ask for this."""
    return sum(resource.bit(units) for resource, units in wants)


class Line:
    """Shapes in the order of their heads. An entry goes out of date when a head changes, and is mended when met."""

    __slots__ = ("_entries", "members")

    def __init__(self) -> None:
        self.members: dict[Shape, None] = {}
        self._entries: list[Waiter] = []

    def put(self, shape: Shape) -> None:
        """Let a shape in; call this again when an older head has arrived."""
        self.members[shape] = None
        if shape.head is not None:
            heappush(self._entries, shape.head)
        if len(self._entries) > 2 * len(self.members) + _SLACK:
            self._entries = [member.head for member in self.members if member.head is not None]
            heapify(self._entries)

    def drop(self, shape: Shape) -> None:
        """Let a shape out."""
        self.members.pop(shape, None)

    def first(self) -> Waiter | None:
        """Return the oldest head."""
        entries = self._entries
        while entries:
            waiter = entries[0]
            head = waiter.shape.head
            if head is None or waiter.shape not in self.members:
                heappop(entries)
            elif head is waiter:
                return waiter
            else:
                heapreplace(entries, head)
        return None


class Node(Line):
    """The shapes that were blocked by exactly the bits of `path` when they were looked at last."""

    __slots__ = ("bit", "branches", "children", "parent", "path")

    def __init__(self, parent: Node | None, bit: int) -> None:
        super().__init__()
        self.parent: Final = parent
        self.bit: Final = bit
        self.path: Final[int] = bit if parent is None else parent.path | bit
        self.branches = 0  # the bits of `children`
        self.children: dict[int, Node] = {}

    def child(self, bit: int) -> Node:
        """Return the node one bit further, made on demand."""
        node = self.children.get(bit)
        if node is None:
            node = self.children[bit] = Node(self, bit)
            self.branches |= bit
        return node


class WaitingTree:
    """All shapes with waiters, each filed under what blocked it; those not looked at yet are at the root."""

    __slots__ = ("root",)

    def __init__(self) -> None:
        self.root: Final = Node(None, 0)

    def file(self, shape: Shape, blocked: int) -> None:
        """File a shape under the bits that block it, instead of where it was."""
        self.remove(shape)
        node = self.root
        while blocked:
            bit = blocked & -blocked
            blocked ^= bit
            node = node.child(bit)
        node.put(shape)
        shape.node = node

    def remove(self, shape: Shape) -> None:
        """Take a shape out, and cut the branch on which nothing is left."""
        node, shape.node = shape.node, None
        if node is None:
            return
        node.drop(shape)
        while node.parent is not None and not node.members and not node.children:
            parent = node.parent
            del parent.children[node.bit]
            parent.branches ^= node.bit
            node = parent

    def opened(self, closed: int) -> list[Node]:
        """Return the nodes with shapes on whose path no bit is closed."""
        found = [self.root] if self.root.members else []
        ahead = [self.root]
        open_bits = ~closed
        while ahead:
            node = ahead.pop()
            free = node.branches & open_bits
            while free:
                bit = free & -free
                free ^= bit
                child = node.children[bit]
                if child.members:
                    found.append(child)
                if child.branches:
                    ahead.append(child)
        return found
