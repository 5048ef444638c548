"""Let random families of runs hold some devices and wait for others: whatever happens, all of them end."""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actorlab.core.lease_span import LeaseSpan, mistake, parts
from actorlab.core.lease_table import Granted, LeaseTable, Mode, Request

ORDER = ("a", "b", "c")


@dataclass
class Node:
    """A run in the model: what it needs, what it holds throughout, and the runs that it starts."""

    who: str
    devices: dict[str, Mode]
    span: LeaseSpan
    parent: Node | None = None
    exclusive: bool = False
    key: str = ""
    children: list[Node] = field(default_factory=list)
    loans: LeaseTable = field(default_factory=LeaseTable)
    borrowed: tuple[str, ...] = ()
    leased: tuple[str, ...] = ()

    @property
    def held(self) -> tuple[str, ...]:
        return self.borrowed + self.leased

    @property
    def around(self) -> tuple[str, ...]:
        found: tuple[str, ...] = ()
        parent = self.parent
        while parent is not None:
            found, parent = found + parent.held, parent.parent
        return found

    def modes(self, devices: tuple[str, ...]) -> tuple[tuple[str, Mode], ...]:
        return tuple((device, self.devices[device]) for device in devices)


def family(chance: Random, who: str, devices: dict[str, Mode], parent: Node | None) -> Node:
    """Make a run that is allowed, with those inside it."""
    names = tuple(devices)
    spans: list[LeaseSpan] = ["run", "step"]
    if names:
        spans += [tuple(chance.sample(names, 1 + chance.randrange(len(names)) // 2))] * 3
    node = Node(who, devices, chance.choice(spans), parent)
    lent = () if parent is None else parent.held
    if mistake(who, names, node.span, order=ORDER, lent=lent, around=node.around):
        node.span = "run"
    node.borrowed, node.leased, _ = parts(names, node.span, lent)
    depth = who.count("/")
    for number in range(chance.randint(1 - depth, 3 - depth) if depth < 2 else 0):
        some = {device: devices[device] for device in sorted(chance.sample(names, chance.randint(0, len(names))))}
        node.children.append(family(chance, f"{who}/{number}", some, node))
    return node


class World:
    """A lab in the model; what happens next is chance."""

    def __init__(self, chance: Random) -> None:
        self._chance = chance
        self._table = LeaseTable({"runs": 3}, look_ahead=4)
        self._asking: dict[str, Node] = {}
        self.running: list[Node] = []
        """Those that have no children, or none any more: they may end."""
        self.left: dict[str, int] = {}
        self.held: dict[str, list[tuple[Node, Mode]]] = {}
        self.ended = 0

    def start(self, node: Node) -> None:
        self._asking[node.who] = node
        if node.borrowed and node.parent is not None:
            self._lent(node.parent.loans.request(Request(node.who, node.modes(node.borrowed)), 0.0))
        else:
            self._ask(node)

    def _ask(self, node: Node) -> None:
        """Ask the lab; a child that needs no more than it borrows asks nobody."""
        if node.parent is not None and not node.leased:
            self._begin(node)
            return
        slots = ("runs",) if node.parent is None else ()
        keys = (node.key,) if node.key else ()
        inside = node.parent is not None
        devices = node.modes(node.leased)
        self._granted(self._table.request(Request(node.who, devices, slots, keys, node.exclusive, nested=inside), 0.0))

    def _lent(self, granted: list[Granted]) -> None:
        for grant in granted:
            self._ask(self._asking[grant.holder])

    def _granted(self, granted: list[Granted]) -> None:
        for grant in granted:
            node = self._asking[grant.holder]
            if node.span != "run":
                self._granted(self._table.set_ending(node.who, ending=False, now=0.0))
            self._begin(node)
        while self._table.unfinished:
            self._granted(self._table.go_on(0.0))

    def _begin(self, node: Node) -> None:
        for device in node.leased:
            for other, mode in self.held.setdefault(device, []):
                assert Mode.EXCLUSIVE not in (mode, node.devices[device]), f"{node.who} and {other.who} have {device}"
            self.held[device].append((node, node.devices[device]))
        self.left[node.who] = len(node.children)
        if not node.children:
            self.running.append(node)
        for child in node.children:
            self.start(child)

    def end_one(self) -> None:
        node = self.running.pop(self._chance.randrange(len(self.running)))
        self.ended += 1
        for device in node.leased:
            self.held[device] = [held for held in self.held[device] if held[0] is not node]
        if node.borrowed and node.parent is not None:
            self._lent(node.parent.loans.release(node.who, 0.0))
        if node.leased or node.parent is None:
            self._granted(self._table.release(node.who, 0.0))
        if node.parent is not None:
            self.left[node.parent.who] -= 1
            if not self.left[node.parent.who]:
                self.running.append(node.parent)


def size(node: Node) -> int:
    return 1 + sum(map(size, node.children))


@settings(max_examples=200)
@given(st.randoms(use_true_random=False))
def test_all_runs_end_whatever_they_hold_and_wait_for(chance: Random) -> None:
    world = World(chance)
    roots: list[Node] = []
    for number in range(chance.randint(3, 7)):
        names = sorted(chance.sample(ORDER, chance.randint(1, len(ORDER))))
        modes = {name: chance.choice((Mode.EXCLUSIVE, Mode.EXCLUSIVE, Mode.SHARED)) for name in names}
        root = family(chance, f"run{number}", modes, None)
        root.exclusive, root.key = chance.random() < 0.1, chance.choice(("", "", "", "k"))
        roots.append(root)
    coming = list(roots)
    while coming or world.running:
        if coming and (not world.running or chance.random() < 0.7):
            world.start(coming.pop())
        else:
            world.end_one()
    assert world.ended == sum(map(size, roots)), "somebody waits for ever"


@given(st.sets(st.sampled_from(ORDER)), st.sets(st.sampled_from(ORDER)), st.data())
def test_each_device_is_borrowed_or_leased_or_left_to_the_steps(
    devices: set[str], lent: set[str], data: st.DataObject
) -> None:
    span: LeaseSpan = data.draw(st.sampled_from(["run", "step", ("a", "c")]))
    names = tuple(sorted(devices))
    borrowed, leased, later = parts(names, span, lent)
    assert sorted(borrowed + leased + later) == list(names)
    assert set(borrowed) == devices & lent
    assert not later or span != "run"
    assert not leased or span != "step"


@pytest.mark.parametrize(
    ("devices", "span", "said"),
    [
        (("oven", "smu"), ("heater",), "'heater' is no device among its arguments; these are: oven, smu"),
        ((), ("heater",), "these are: none"),
        (("stage", "oven"), ("oven",), "a step of it would wait for stage while oven is held"),
        (("stage", "oven"), ("oven",), "Add stage to the lab after oven, or hold both: lease=('oven', 'stage')"),
        (("oven", "smu"), ("oven",), ""),
        (("stage", "oven", "smu"), ("stage", "oven"), ""),
        (("stage", "oven", "smu"), ("stage", "smu"), "would wait for oven while smu is held"),
    ],
)  # fmt: skip
def test_what_would_end_in_a_deadlock_is_said_with_the_way_out(
    devices: tuple[str, ...], span: LeaseSpan, said: str
) -> None:
    order = ("stage", "oven", "smu")
    found = mistake("it", devices, span, order=order)
    assert said in found
    assert bool(said) == bool(found)


def test_a_device_that_the_run_around_holds_but_does_not_lend_is_never_waited_for() -> None:
    said = mistake("it", ("oven",), "run", order=("oven",), lent=(), around=("oven",))
    assert "it would wait for oven, which a run around it holds" in said
