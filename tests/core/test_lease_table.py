"""Hold the lease table against plain list code which says what it should decide."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from actorlab.core.lease_table import Blocker, BlockerKind, Granted, LeaseTable, Mode, Request
from actorlab.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

X, S = Mode.EXCLUSIVE, Mode.SHARED
LIMITS = {"runs": 3, "hot": 1}
AGEING = 3.0


# The oracle


def conflict(one: Request, other: Request) -> bool:
    """Tell whether two requests can never be granted together, slots apart."""
    whole = (one.exclusive and not other.nested) or (other.exclusive and not one.nested)
    if whole or set(one.keys) & set(other.keys):
        return True
    modes = dict(other.devices)
    return any(name in modes and X in (mode, modes[name]) for name, mode in one.devices)


def full(request: Request, occupants: Sequence[Request]) -> list[str]:
    """Return the slots of the request of which no unit is left."""
    counted = [slot for slot in dict.fromkeys(request.slots) if slot in LIMITS]
    return [slot for slot in counted if sum(slot in occupant.slots for occupant in occupants) >= LIMITS[slot]]


@dataclass(frozen=True)
class Waiting:
    """One waiter of the oracle."""

    order: float
    number: int
    request: Request


class Oracle:
    """Decide by trying everybody, oldest first."""

    def __init__(self) -> None:
        self.waiting: list[Waiting] = []
        self.held: dict[str, Request] = {}
        self.staying: list[str] = []
        self.unavailable: list[str] = []
        self.reserved: Waiting | None = None

    def fits(self, request: Request, occupants: Iterable[Request]) -> bool:
        others = list(occupants)
        return not (
            any(name in self.unavailable for name, _ in request.devices)
            or any(conflict(request, other) for other in others)
            or full(request, others)
        )

    def settle(self) -> list[str]:
        granted: list[str] = []
        self.reserved = None
        for waiter in sorted(self.waiting, key=lambda waiter: (waiter.order, waiter.number)):
            request = waiter.request
            occupants = list(self.held.values())
            if self.reserved:
                occupants.append(self.kept(self.reserved.request))
            if self.fits(request, occupants):
                self.hold(request.holder)
                granted.append(request.holder)
            elif self.reserved is None and self.fits(request, (self.held[holder] for holder in self.staying)):
                self.reserved = waiter
        return granted

    def kept(self, request: Request) -> Request:
        """Return what is kept for whoever has the reservation: its devices only from when it could have the rest."""
        place = replace(request, devices=())
        return request if self.fits(place, self.held.values()) else place

    def hold(self, holder: str) -> None:
        self.held[holder] = self.leave(holder)

    def leave(self, holder: str) -> Request:
        waiter = next(waiter for waiter in self.waiting if waiter.request.holder == holder)
        self.waiting.remove(waiter)
        return waiter.request

    def blocking(self, request: Request) -> list[str]:
        slots = full(request, list(self.held.values()))
        return [
            holder
            for holder, held in self.held.items()
            if conflict(request, held) or any(slot in held.slots for slot in slots)
        ]


modes = st.sampled_from(Mode)
device_sets = st.dictionaries(st.sampled_from("abcde"), modes, max_size=4).map(lambda modes: tuple(modes.items()))
slot_sets = st.lists(st.sampled_from(["runs", "hot", "uncounted"]), max_size=2).map(tuple)
key_sets = st.lists(st.sampled_from(["sample 1", "sample 2"]), max_size=1).map(tuple)
rarely = st.integers(0, 15).map(lambda number: number == 0)


class LeasesAgainstOracle(RuleBasedStateMachine):
    """Send random events; each must be decided as the oracle decides it."""

    @initialize(look_ahead=st.sampled_from([1, 2, 256]), at_once=st.booleans())
    def begin(self, look_ahead: int, at_once: bool) -> None:
        self.table = LeaseTable(LIMITS, ageing=AGEING, look_ahead=look_ahead)
        self.oracle = Oracle()
        self.at_once = at_once  # is everything gone on with before the next event?
        self.now = 0.0
        self.number = 0
        self.tokens: dict[str, int] = {}

    def decided(self, granted: list[Granted]) -> None:
        if not self.at_once:
            self.adopt(granted)
            return
        while self.table.unfinished:
            granted = granted + self.table.go_on(self.now)
        assert [grant.holder for grant in granted] == self.oracle.settle()
        self.check_tokens(granted)

    def adopt(self, granted: list[Granted]) -> None:
        """Follow the table where it hasn't looked at everybody: each grant is safe, and in the end none is missing."""
        for holder, _ in granted:
            request = next(waiter.request for waiter in self.oracle.waiting if waiter.request.holder == holder)
            assert self.oracle.fits(request, self.oracle.held.values())
            self.oracle.hold(holder)
        self.check_tokens(granted)
        if not self.table.unfinished:
            assert self.oracle.settle() == []

    def check_tokens(self, granted: list[Granted]) -> None:
        for holder, tokens in granted:
            assert list(tokens) == [name for name, _ in self.oracle.held[holder].devices]
            for device, token in tokens.items():
                assert token > self.tokens.get(device, 0)
                self.tokens[device] = token

    @rule(
        devices=device_sets,
        slots=slot_sets,
        keys=key_sets,
        exclusive=rarely,
        priority=st.integers(-1, 3),
        later=st.integers(0, 2),
        nested=st.booleans(),
    )
    def request(
        self,
        devices: tuple[tuple[str, Mode], ...],
        slots: tuple[str, ...],
        keys: tuple[str, ...],
        exclusive: bool,
        priority: int,
        later: int,
        nested: bool,
    ) -> None:
        self.now += later
        self.number += 1
        request = Request(f"run#{self.number}", devices, slots, keys, exclusive, priority)
        if nested and self.oracle.held:
            request = Request(request.holder, devices, priority=priority, nested=True)
        self.oracle.waiting.append(Waiting(self.now - AGEING * priority, self.number, request))
        self.decided(self.table.request(request, self.now))

    @precondition(lambda self: self.oracle.held)
    @rule(data=st.data())
    def release(self, data: st.DataObject) -> None:
        self.end(data.draw(st.sampled_from(list(self.oracle.held))))

    def end(self, holder: str) -> None:
        del self.oracle.held[holder]
        if holder in self.oracle.staying:
            self.oracle.staying.remove(holder)
        self.decided(self.table.release(holder, self.now))

    @precondition(lambda self: self.oracle.waiting)
    @rule(data=st.data())
    def withdraw(self, data: st.DataObject) -> None:
        holder = data.draw(st.sampled_from([waiter.request.holder for waiter in self.oracle.waiting]))
        self.oracle.leave(holder)
        self.decided(self.table.release(holder, self.now))

    @precondition(lambda self: self.oracle.held)
    @rule(data=st.data())
    def stay_or_not(self, data: st.DataObject) -> None:
        holder = data.draw(st.sampled_from(list(self.oracle.held)))
        self.set_ending(holder, ending=holder in self.oracle.staying)

    def set_ending(self, holder: str, *, ending: bool) -> None:
        (self.oracle.staying.remove if ending else self.oracle.staying.append)(holder)
        self.decided(self.table.set_ending(holder, ending, self.now))

    @rule(device=st.sampled_from("abcde"))
    def restart_or_return(self, device: str) -> None:
        self.set_available(device, available=device in self.oracle.unavailable)

    def set_available(self, device: str, *, available: bool) -> None:
        (self.oracle.unavailable.remove if available else self.oracle.unavailable.append)(device)
        self.decided(self.table.set_available(device, available, self.now))

    @precondition(lambda self: self.table.unfinished)
    @rule()
    def go_on(self) -> None:
        self.adopt(self.table.go_on(self.now))

    @invariant()
    def nobody_shares_what_is_exclusive(self) -> None:
        held = list(self.oracle.held.values())
        assert not any(conflict(one, other) for index, one in enumerate(held) for other in held[:index])
        for device in "abcde":
            expected = [holder for holder, request in self.oracle.held.items() if device in dict(request.devices)]
            assert sorted(self.table.holders(device)) == sorted(expected)

    @invariant()
    def no_limit_is_exceeded(self) -> None:
        for slot, limit in LIMITS.items():
            assert sum(slot in request.slots for request in self.oracle.held.values()) <= limit

    @invariant()
    def the_oldest_whose_blockers_will_end_has_the_reservation(self) -> None:
        if not self.table.unfinished:
            expected = self.oracle.reserved.request.holder if self.oracle.reserved else None
            assert self.table.reserved_for() == expected

    @invariant()
    def waiters_stand_in_order(self) -> None:
        expected = sorted(self.oracle.waiting, key=lambda waiter: (waiter.order, waiter.number))
        assert self.table.waiting() == tuple(waiter.request.holder for waiter in expected)

    @invariant()
    def each_waiter_knows_why(self) -> None:
        for waiter in self.oracle.waiting:
            request = waiter.request
            blockers = self.table.blockers(request.holder)
            assert blockers or self.table.unfinished
            ahead = {BlockerKind.RESERVED: {self.table.reserved_for()}}
            assert all(set(blocker.by) <= ahead.get(blocker.kind, set(self.oracle.held)) for blocker in blockers)
            named = {holder for blocker in blockers if blocker.kind not in ahead for holder in blocker.by}
            assert named == set(self.oracle.blocking(request))
            restarting = {blocker.resource for blocker in blockers if blocker.kind is BlockerKind.UNAVAILABLE}
            assert restarting == {name for name, _ in request.devices if name in self.oracle.unavailable}

    def teardown(self) -> None:
        """When all holders end, everybody has had a turn."""
        if not hasattr(self, "table"):
            return
        for holder in tuple(self.oracle.staying):
            self.set_ending(holder, ending=True)
        for device in tuple(self.oracle.unavailable):
            self.set_available(device, available=True)
        while self.oracle.held or self.table.unfinished:
            if self.table.unfinished:
                self.adopt(self.table.go_on(self.now))
            else:
                self.end(next(iter(self.oracle.held)))
        assert not self.oracle.waiting
        assert not self.table.waiting()


LeasesAgainstOracle.TestCase.settings = settings(
    max_examples=200, stateful_step_count=40, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
TestLeasesAgainstOracle = LeasesAgainstOracle.TestCase


# Single laws, as sentences


def ask(table: LeaseTable, holder: str, *devices: str, mode: Mode = X, now: float = 0.0, priority: float = 0.0) -> bool:
    return bool(table.request(Request(holder, tuple((name, mode) for name in devices), priority=priority), now))


def names(granted: list[Granted]) -> list[str]:
    return [grant.holder for grant in granted]


def test_a_waiter_says_which_device_it_waits_for_and_who_holds_it() -> None:
    table = LeaseTable()
    assert ask(table, "campaign#2", "laser", now=5.0)
    assert not ask(table, "sweep#7", "laser", "meter", now=6.0)
    assert table.blockers("sweep#7") == (Blocker("laser", ("campaign#2",), BlockerKind.HELD),)
    assert table.since("campaign#2") == 5.0
    assert table.since("sweep#7") == 6.0


def test_a_later_one_passes_only_where_it_leaves_alone_what_is_reserved() -> None:
    table = LeaseTable()
    ask(table, "first", "laser")
    ask(table, "oldest", "laser", "meter")
    assert not ask(table, "late", "meter")
    assert table.blockers("late") == (Blocker("meter", ("oldest",), BlockerKind.RESERVED),)
    assert ask(table, "elsewhere", "oven")


def test_sharing_passes_a_reservation_that_shares() -> None:
    table = LeaseTable()
    ask(table, "first", "laser")
    table.request(Request("oldest", (("laser", X), ("stage", S))), 0.0)
    assert ask(table, "sharing", "stage", mode=S)
    assert not ask(table, "taking", "stage")


def test_an_exclusive_request_waits_for_everybody_and_lets_nobody_pass() -> None:
    table = LeaseTable()
    ask(table, "noop")
    assert table.request(Request("calibration", exclusive=True), 0.0) == []
    assert table.blockers("calibration") == (Blocker("lab", ("noop",), BlockerKind.LAB),)
    assert not ask(table, "later")
    assert names(table.release("noop", 1.0)) == ["calibration"]
    assert names(table.release("calibration", 2.0)) == ["later"]


def test_one_point_of_priority_is_worth_the_ageing_in_seconds() -> None:
    table = LeaseTable(ageing=10.0)
    ask(table, "holder", "laser")
    ask(table, "early", "laser", now=0.0)
    ask(table, "urgent", "laser", now=9.0, priority=1.0)
    ask(table, "too late", "laser", now=11.0, priority=1.0)
    assert table.waiting() == ("urgent", "early", "too late")


def test_what_conflicts_with_a_lease_that_never_ends_is_refused_naming_it() -> None:
    table = LeaseTable({"runs": 1})
    table.request(Request("monitor", (("meter", S),), slots=("runs",)), 0.0)
    sweep = Request("sweep#1", (("meter", X), ("unheard of", X)))
    assert table.refusal(sweep) is None
    table.set_permanent("monitor", 0.0)
    assert table.refusal(sweep) == Blocker("meter", ("monitor",), BlockerKind.HELD)
    assert table.refusal(Request("reader", (("meter", S),))) is None
    assert table.refusal(Request("counted", slots=("runs",))) == Blocker("runs", ("monitor",), BlockerKind.SLOTS)
    assert table.refusal(Request("all", exclusive=True)) == Blocker("lab", ("monitor",), BlockerKind.LAB)
    table.set_ending("monitor", True, 0.0)
    assert table.refusal(sweep) is None


def test_a_shared_lease_has_a_token_of_its_own() -> None:
    table = LeaseTable()
    granted = [table.request(Request(holder, (("stage", S),)), 0.0)[0] for holder in ("one", "two")]
    assert [grant.tokens for grant in granted] == [{"stage": 1}, {"stage": 2}]


def test_a_device_named_twice_is_held_in_the_stricter_mode() -> None:
    table = LeaseTable()
    table.request(Request("both", (("stage", S), ("stage", X), ("stage", S))), 0.0)
    assert not ask(table, "reader", "stage", mode=S)
    assert names(table.release("both", 0.0)) == ["reader"]


def test_a_holder_asks_only_once() -> None:
    table = LeaseTable()
    ask(table, "sweep#1", "laser")
    ask(table, "sweep#2", "laser")
    for holder in ("sweep#1", "sweep#2"):
        with pytest.raises(ValueError, match=f"'{holder}' holds or waits for a lease already"):
            ask(table, holder, "meter")


def test_whoever_is_unknown_is_named() -> None:
    table = LeaseTable()
    ask(table, "holder", "laser")
    ask(table, "waiter", "laser")
    for question in (table.blockers, table.since, lambda holder: table.release(holder, 0.0)):
        with pytest.raises(KeyError, match="'nobody' neither holds a lease nor waits for one"):
            question("nobody")
    with pytest.raises(KeyError, match="'waiter' holds no lease"):
        table.set_ending("waiter", False, 0.0)
    assert table.holders("unheard of") == ()
    assert table.blockers("holder") == ()


@pytest.mark.parametrize(("limits", "look_ahead"), [({"runs": 0}, 1), ({}, 0)])
def test_a_table_in_which_somebody_would_wait_for_ever_is_refused(limits: dict[str, int], look_ahead: int) -> None:
    with pytest.raises(ConfigError, match="must be at least 1"):
        LeaseTable(limits, look_ahead=look_ahead)


def handlings(table: LeaseTable, holder: str) -> list[list[str]]:
    """Release a holder, go on until all is done, and return who was granted each time."""
    granted = [names(table.release(holder, 0.0))]
    while table.unfinished:
        granted.append(names(table.go_on(0.0)))
    return granted


def test_one_event_grants_no_more_than_the_look_ahead_and_goes_on_later() -> None:
    table = LeaseTable(look_ahead=2)
    devices = [f"device {number}" for number in range(5)]
    ask(table, "holder", *devices)
    for device in devices:
        ask(table, f"uses {device}", device)
    granted = handlings(table, "holder")
    assert [len(names) for names in granted] == [2, 2, 1]
    assert [name for names in granted for name in names] == [f"uses {device}" for device in devices]


def test_those_behind_the_reservation_are_looked_at_in_turns_too() -> None:
    table = LeaseTable(look_ahead=2)
    ask(table, "service", "laser")
    ask(table, "holder", "oven", "meter", "stage", "lamp")
    ask(table, "oldest", "laser", "camera")
    for device in ("oven", "meter", "stage", "lamp"):
        ask(table, f"uses {device}", device)
    assert handlings(table, "holder") == [["uses oven", "uses meter"], ["uses stage", "uses lamp"]]


def test_a_newcomer_overtakes_nobody_who_was_not_looked_at_yet() -> None:
    table = LeaseTable(look_ahead=1)
    ask(table, "keeper", "laser")
    ask(table, "holder", "oven", "meter")
    ask(table, "oldest", "laser", "camera")
    ask(table, "first", "oven")
    ask(table, "second", "meter")
    assert names(table.release("holder", 0.0)) == ["first"]
    assert table.unfinished
    assert names(table.request(Request("newcomer", (("meter", X),)), 0.0)) == ["second"]


def test_a_more_urgent_waiter_brings_all_requests_like_it_forward() -> None:
    table = LeaseTable(ageing=10.0)
    ask(table, "keeper", "laser")
    ask(table, "holder", "oven")
    ask(table, "oldest", "laser", "camera", priority=9.0)
    ask(table, "patient", "oven", "stage", now=1.0)
    ask(table, "ordinary", "oven", "lamp", now=2.0)
    ask(table, "urgent", "oven", "lamp", now=3.0, priority=1.0)
    assert names(table.release("holder", 4.0)) == ["urgent"]


def test_one_unit_of_a_slot_is_kept_for_the_reservation() -> None:
    table = LeaseTable({"runs": 3})
    table.request(Request("keeper", (("laser", X),), slots=("runs",)), 0.0)
    table.request(Request("oldest", (("laser", X),), slots=("runs",)), 0.0)
    assert table.request(Request("second", slots=("runs",)), 0.0)
    assert not table.request(Request("third", slots=("runs",)), 0.0)
    assert table.blockers("third") == (Blocker("runs", ("oldest",), BlockerKind.RESERVED),)


def test_those_who_have_gone_leave_nothing_behind() -> None:
    table = LeaseTable()
    ask(table, "holder", "laser")
    ask(table, "patient", "laser")
    for number in range(5_000):
        run = f"run#{number}"
        table.request(Request(run, (("laser", X),), keys=(f"sample {number}",), priority=number % 7), 0.0)
        table.release(run, 0.0)
        ask(table, run, "laser", now=1.0)
        table.release(run, 1.0)
    assert len(table._resources._known) <= 4
    (shape,) = table._shapes.values()
    assert len(shape._queue) < 100
    assert len(table._by_age._entries) < 100
    assert len(table._tree.root.children) == 1


@pytest.mark.parametrize(
    "waiting",
    [
        Request("waiter", (("a", X), ("b", X)), slots=("hot",)),
        Request("waiter", (("a", X), ("b", X)), keys=("sample 1",)),
        Request("waiter", (("a", X),), exclusive=True),
    ],
    ids=["slot", "key", "lab"],
)
def test_whoever_waits_for_a_place_keeps_no_device_from_those_by_whom_its_holder_ends(waiting: Request) -> None:
    """A holder of a place alone ends when those nested in it have had their turn."""
    table = LeaseTable(LIMITS)
    table.request(Request("root", slots=("hot",), keys=("sample 1",)), 0.0)
    assert table.request(waiting, 1.0) == []
    assert table.reserved_for() == "waiter"
    assert names(table.request(Request("child", (("a", X),), nested=True), 2.0)) == ["child"]
    assert table.request(Request("next child", (("a", X),), nested=True), 2.0) == []
    assert names(table.release("child", 3.0)) == ["next child"]
    assert names(table.release("root", 4.0)) == ([] if waiting.devices else ["waiter"])
    assert table.request(Request("another", (("a", S),)), 4.0) == []
    assert names(table.release("next child", 5.0)) == ["waiter"]
    assert table.request(Request("nested in the waiter", (("c", X),), nested=True), 6.0)


def test_from_when_its_place_is_free_a_waiter_keeps_its_devices_too() -> None:
    table = LeaseTable(LIMITS)
    table.request(Request("root", slots=("hot",)), 0.0)
    ask(table, "other", "b")
    table.request(Request("waiter", (("a", X), ("b", X)), slots=("hot",)), 1.0)
    table.release("root", 2.0)
    assert table.request(Request("a root", (), slots=("hot",)), 3.0) == []
    assert not ask(table, "late", "a", now=3.0)
    assert names(table.release("other", 4.0)) == ["waiter"]
