"""Arbitrate the leases of a lab: who holds what, who waits for whom; the devices' tokens are written here."""

from __future__ import annotations

import time
from collections import Counter
from typing import TYPE_CHECKING, Any, Final

from actorlab.core.lease_table import BlockerKind, LeaseTable, Request
from actorlab.errors import ActorLabError, ConfigError, DeviceUnavailable, LeaseTimeout
from actorlab.runtime.cell import APART, NOBODY, Cell, DeviceState
from actorlab.runtime.reason import Reason, Why

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from actorlab.core.lease_table import Blocker, Granted
    from actorlab.runtime.decider import Decider
    from actorlab.runtime.run_actor import RunActor

__all__ = ["Leases", "in_words"]

WHY: Final[dict[BlockerKind, Why]] = {
    BlockerKind.HELD: "held",
    BlockerKind.RESERVED: "reserved",
    BlockerKind.UNAVAILABLE: "unavailable",
    BlockerKind.SLOTS: "slots",
    BlockerKind.KEY: "key",
    BlockerKind.LAB: "lab",
}

monotonic = time.monotonic


class Leases:
    """The lab's lease table, and what follows from its grants; for the deciding thread, but for `queue_for`."""

    def __init__(
        self,
        decider: Decider,
        cells: dict[str, Cell],
        limits: dict[str, int],
        standstill: Callable[[RunActor], str],
        table: LeaseTable,
    ) -> None:
        self._decider = decider
        self._cells = cells
        self._table = table
        self._waiting: dict[str, RunActor] = {}
        self._light: dict[str, RunActor] | None = None if limits else {}
        """Runs that want nothing, as long as no limit and no exclusive request asks for their number."""
        self._endless: dict[str, str] = {}
        """The services that hold something, by the ids of their runs."""
        self._asking: dict[str, None] = {}
        """The runs that hold something while their steps ask for more."""
        self._emergency = ""
        self._standstill = standstill
        """Says why a run that is given its devices has to begin paused, or nothing."""

    def request(self, actor: RunActor) -> None:
        """Ask for a run's lease; it hears `granted` or `refused`, maybe before this returns."""
        if self._light is not None and actor.wants_nothing:
            self._light[actor.id] = actor
            actor.granted()
            return
        request = actor.request()
        if request.exclusive and self._light is not None:
            self._count_light_runs()
        impossible = self._impossible(request) if actor.leased or request.exclusive or self._endless else None
        if impossible is not None:
            actor.refused(impossible)
            return
        self._waiting[actor.id] = actor
        self._grant(self._table.request(request, monotonic()))
        if actor.options.on_conflict == "reject" and actor.id in self._waiting:
            self._reject(actor)

    def _reject(self, actor: RunActor) -> None:
        """Refuse a run that doesn't want to wait, naming all who are in its way."""
        reasons = "; ".join(self.reasons(actor.id))
        actor.refused(LeaseTimeout(f"{actor.id} was rejected, as it can't begin at once: {reasons}"))

    def release(self, actor: RunActor) -> None:
        """Take a lease back, or withdraw a request; the run hears `released` before anybody else is served."""
        if self._light and self._light.pop(actor.id, None) is not None:
            actor.released()
            return
        self._waiting.pop(actor.id, None)
        self._endless.pop(actor.id, None)
        self._asking.pop(actor.id, None)
        for cell in actor.leased:
            self._free(cell, actor)
        actor.released()
        try:
            granted = self._table.release(actor.id, monotonic())
        except KeyError:  # refused at once: it was never in the table
            return
        if granted or self._table.unfinished:
            self._grant(granted)

    def _count_light_runs(self) -> None:
        """Enter the runs that want nothing into the table: from the first exclusive request on they matter."""
        light, self._light = self._light or {}, None
        for actor in light.values():
            self._table.request(actor.request(), monotonic())  # nothing can block it
            if actor.options.lease != "run":
                self._expect_more(actor)

    def _grant(self, granted: Iterable[Granted]) -> None:
        for grant in granted:
            actor = self._waiting.pop(grant.holder, None)
            if actor is None:
                continue
            for cell in actor.leased:
                self._hold(cell, actor)
            if actor.service:
                self._stay(actor)
            elif actor.options.lease != "run":
                self._expect_more(actor)
            actor.granted(self._standstill(actor))
        if self._table.unfinished:
            self._decider.post(self._go_on)

    def _go_on(self, _: Any) -> None:
        self._grant(self._table.go_on(monotonic()))

    def _expect_more(self, actor: RunActor) -> None:
        """Let nobody have a reservation who waits for a run whose steps have to wait themselves.

        They might wait for what is reserved, and so both for ever.
        """
        self._asking[actor.id] = None
        self._decider.then(self._grant, self._table.set_ending(actor.id, ending=False, now=monotonic()))

    def _stay(self, actor: RunActor) -> None:
        """Take note that a service never ends: whoever waits for what it holds now would wait for ever."""
        self._endless[actor.id] = actor.service
        granted = self._table.set_permanent(actor.id, monotonic())
        for other in list(self._waiting.values()):
            refusal = self._endless_refusal(other.request())
            if refusal is not None:
                self._decider.then(other.refused, refusal)
        self._decider.then(self._grant, granted)

    @staticmethod
    def _hold(cell: Cell, actor: RunActor) -> None:
        cell.entitle(actor.lease)
        cell.holder = f"{cell.holder}, {actor.id}" if cell.shared_by else actor.id
        if cell.name in actor.shared:
            cell.shared_by = (*cell.shared_by, actor.id)

    def _free(self, cell: Cell, actor: RunActor) -> None:
        if actor.id in cell.shared_by:
            cell.shared_by = tuple(other for other in cell.shared_by if other != actor.id)
            cell.holder = ", ".join(cell.shared_by)
            if not cell.shared_by:
                cell.entitle(NOBODY)
        elif cell.holder == actor.id:
            cell.holder = ""
            cell.entitle(NOBODY)

    def _impossible(self, request: Request) -> ActorLabError | None:
        if self._emergency and request.devices:
            return DeviceUnavailable(
                f"{request.holder} can't begin: {self._emergency}; lab.rearm() ends the emergency stop"
            )
        for name, _ in request.devices:
            cell = self._cells.get(name)
            if cell is None or cell.standing is DeviceState.CLOSED:
                return ConfigError(f"{request.holder} needs {name!r}, which this lab doesn't have any more")
            if cell.standing is DeviceState.QUARANTINED or cell.standing in APART:
                return cell.unavailable()
        return self._endless_refusal(request)

    def _endless_refusal(self, request: Request) -> LeaseTimeout | None:
        """Make the error for a request that conflicts with a service, which never ends; None: there is none."""
        blocker = self._table.refusal(request)
        if blocker is None:
            return None
        who = " and ".join(f"the service {self._endless.get(holder, '')} ({holder})" for holder in blocker.by)
        text = f"{request.holder} needs {ENDLESS[blocker.kind].format(what=blocker.resource, who=who)}"
        return LeaseTimeout(f"{text}: lab.services[{self._endless.get(blocker.by[0], '')!r}].stop() ends that")

    def available(self, cell: Cell, *, available: bool) -> None:
        """Take note whether a device serves."""
        self._grant(self._table.set_available(cell.name, available, monotonic()))

    def refuse_waiting(self, cell: Cell, error: ActorLabError) -> None:
        """Refuse all who wait for a device."""
        for actor in list(self._waiting.values()):
            if any(other is cell for other in actor.leased):
                self._decider.then(actor.refused, error)

    def stop(self, reason: str) -> None:
        """Grant no device any more, and refuse all who wait."""
        self._emergency = reason
        for actor in list(self._waiting.values()):
            self._decider.then(actor.refused, DeviceUnavailable(f"{actor.id} can't begin: {reason}"))

    def go_on_after_stop(self) -> None:
        """Grant devices again."""
        self._emergency = ""

    @staticmethod
    def lend(cell: Cell, token: object, holder: str) -> None:
        """Write a device's token; for the deciding thread."""
        cell.entitle(token)
        cell.holder = holder

    def reasons(self, holder: str) -> tuple[Reason, ...]:
        """Say in words what a waiting request waits for."""
        blockers = self._table.blockers(holder) if holder in self._waiting else ()
        return tuple(in_words(holder, blocker) for blocker in blockers)

    def queue_for(self, device: str) -> tuple[str, ...]:
        """Return the runs that wait for a device, from any thread: a hint for messages."""
        waiting = list(self._waiting.values())
        return tuple(actor.id for actor in waiting if any(cell.name == device for cell in actor.leased))

    def holding(self, device: str) -> list[tuple[str, float]]:
        """Return who holds a device, and since when (monotonic seconds)."""
        return [(holder, self._table.since(holder)) for holder in self._table.holders(device)]

    @property
    def queues(self) -> Counter[str]:
        """Return how many runs wait for each device, from any thread; one for which nobody waits has none."""
        return Counter([cell.name for actor in list(self._waiting.values()) for cell in actor.leased])

    def set_ending(self, holder: str, *, ending: bool) -> None:
        """Take note whether a holder is expected to end: a paused one isn't, and a service never is.

        Nor is one whose steps wait for devices.
        """
        if holder in self._endless or holder in self._asking:
            return
        if any(holder in self._table.holders(cell.name) for cell in self._cells.values()):
            self._grant(self._table.set_ending(holder, ending, monotonic()))


ENDLESS: Final = {
    BlockerKind.HELD: "{what}, which {who} holds and never gives back",
    BlockerKind.SLOTS: "a place among {what}, taken for good by {who}",
    BlockerKind.KEY: "the key {what}, which {who} holds and never gives back",
    BlockerKind.LAB: "the whole lab, of which {who} holds a part and never gives it back",
}


def in_words(holder: str, blocker: Blocker) -> Reason:
    """Write one reason for waiting as a sentence, with its parts."""
    return Reason(sentence(holder, blocker), WHY[blocker.kind], holder, blocker.resource, blocker.by)


def sentence(holder: str, blocker: Blocker) -> str:
    """Write one reason for waiting as a sentence."""
    who = ", ".join(blocker.by)
    match blocker.kind:
        case BlockerKind.HELD:
            return f"{holder} waits for {blocker.resource}, held by {who}"
        case BlockerKind.RESERVED:
            return f"{holder} waits for {blocker.resource}, reserved for {who}, which has waited longer"
        case BlockerKind.UNAVAILABLE:
            return f"{holder} waits for {blocker.resource}, which doesn't serve now"
        case BlockerKind.SLOTS:
            return f"{holder} waits for a free place among {blocker.resource}, taken by {who}"
        case BlockerKind.KEY:
            return f"{holder} waits for the key {blocker.resource}, held by {who}"
        case BlockerKind.LAB:
            return f"{holder} waits for the whole lab, in which {who} runs"
