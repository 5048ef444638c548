"""Bring devices into their safe states: each within its bound, or named, quarantined and owing it."""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from actorlab.driving.member import Member
from actorlab.errors import ActorStopped, DeviceFault, DeviceQuarantined
from actorlab.kernel import URGENT, Reply
from actorlab.runtime.calls import Call
from actorlab.runtime.cell import Cell, DeviceState
from actorlab.runtime.lives import short

if TYPE_CHECKING:
    from collections.abc import Callable

    from actorlab.runtime.decider import Decider
    from actorlab.runtime.events import EventLog
    from actorlab.runtime.helpers import Helpers
    from actorlab.runtime.leases import Leases
    from actorlab.runtime.lives import Lives

__all__ = ["EmergencyStop", "Safety"]


class EmergencyStop(NamedTuple):
    """An emergency stop that is in force: why, and since when (seconds since 1970)."""

    reason: str
    time: float


class Safety:
    """Safe states, and the emergency stop; for the deciding thread."""

    def __init__(
        self,
        decider: Decider,
        events: EventLog,
        helpers: Helpers,
        cells: dict[str, Cell],
        leases: Leases,
        lives: Lives,
    ) -> None:
        self._decider = decider
        self._events = events
        self._helpers = helpers
        self._cells = cells
        self._leases = leases
        self._lives = lives
        self.stopped: EmergencyStop | None = None
        """The emergency stop that is in force; any thread may read it."""

    def make_safe(self, cell: Cell, then: Callable[[BaseException | None], object]) -> None:
        """Make a device safe within its bound, and tell; for the deciding thread.

        If it can't be done the device is quarantined, and making it safe is the first thing that its next life does.
        """
        if cell.standing is DeviceState.DISCONNECTED:  # it was made safe before that, unless it owes it
            then(cell.unavailable() if cell.owes_safe else None)
            return
        cell.owes_safe = True
        done = Once(then)
        actor = cell.actor
        self._decider.after(cell.config.safe_timeout, self._not_safe, (cell, done))
        if actor is None or cell.standing is not DeviceState.IDLE:
            self._lives.when_ready([cell], lambda ready: self._came_back(cell, done, ready=ready))
            return
        call = Call(URGENT, None, cell, SAFE, (), {})
        call.when_done(lambda reply: self._decider.post(self._made_safe, (cell, done, reply.exception())))
        try:
            actor.mailbox.put(call)
        except ActorStopped:  # it has just failed: its next life is made safe before it serves anyone
            self._lives.when_ready([cell], lambda ready: self._came_back(cell, done, ready=ready))
            return
        if actor.at_work:
            self._helpers.put(actor.interrupt, None, "urgent")

    def _made_safe(self, argument: tuple[Cell, Once, BaseException | None]) -> None:
        cell, done, error = argument
        if error is None:
            cell.owes_safe = False
            done(None)
        elif isinstance(error, (ActorStopped, DeviceFault)):
            self._lives.when_ready([cell], lambda ready: self._came_back(cell, done, ready=ready))
        elif not done.told:
            self._unsafe(cell, done, f"make_safe raised {short(error)}", error)

    def _came_back(self, cell: Cell, done: Once, *, ready: bool) -> None:
        if ready:
            done(None)  # a life after the first begins with make_safe
        else:
            done(cell.unavailable())

    def _not_safe(self, argument: tuple[Cell, Once]) -> None:
        cell, done = argument
        if not done.told:
            self._unsafe(cell, done, f"it couldn't be made safe within {cell.config.safe_timeout:g} s", None)

    def _unsafe(self, cell: Cell, done: Once, reason: str, error: BaseException | None) -> None:
        actor = cell.actor
        if cell.standing is DeviceState.IDLE and actor is not None:
            self._lives.lose(cell, reason)
            actor.stop_soon()
        cell.owes_safe = True
        told = DeviceQuarantined(f"{cell.name} is not known to be safe: {reason}")
        told.__cause__ = error
        done(told)

    def emergency(self, reason: str, reply: Reply[dict[str, BaseException | None]]) -> None:
        """Fence all devices and make them safe, in parallel; for the deciding thread."""
        stop = f"emergency stop: {reason}"
        self.stopped = EmergencyStop(reason, time.time())
        self._events.add("lab", "emergency stop", reason=reason)
        self._leases.stop(stop)
        outcome: dict[str, BaseException | None] = {}
        cells = list(self._cells.values())
        for cell in cells:
            cell.veto(self, f"there is an {stop} (lab.rearm() ends it)")
        for cell in cells:
            self.make_safe(cell, partial(tell_emergency, outcome, len(cells), cell.name, reply, self._events))
        if not cells:
            reply.finish(outcome, None)

    def rearm(self) -> None:
        """Let devices accept commands again; for the deciding thread."""
        self._leases.go_on_after_stop()
        for cell in self._cells.values():
            cell.allow(self)
        if self.stopped is not None:
            self.stopped = None
            self._events.add("lab", "rearmed")

    @staticmethod
    def is_stopped(cell: Cell) -> bool:
        """Tell whether a device accepts no commands from anybody."""
        return bool(cell.vetoes) or cell.token is PANIC

    def fence_all(self) -> None:
        """Let no device accept any command: what is left to do when the deciding code itself has failed."""
        for cell in list(self._cells.values()):
            cell.entitle(PANIC)
            cell.holder = "nobody: the lab has failed"
            cell.owes_safe = True
            call = Call(URGENT, None, cell, SAFE, (), {})
            call.when_done(partial(self._fenced, cell))
            try:
                cell.mailbox.put(call)
            except ActorStopped:
                continue
            if cell.actor is not None and cell.actor.at_work:
                self._helpers.put(cell.actor.interrupt, None, "urgent")

    def _fenced(self, cell: Cell, made_safe: Reply[Any]) -> None:
        """Hear how a device was made safe when the deciding code had failed."""
        if made_safe.exception() is None:
            self._decider.post(self._is_safe, cell)

    @staticmethod
    def _is_safe(cell: Cell) -> None:
        cell.owes_safe = False


PANIC: Final = object()
"""The token of a device in a lab that has failed: nobody's."""


def tell_emergency(
    outcome: dict[str, BaseException | None],
    count: int,
    name: str,
    reply: Reply[dict[str, BaseException | None]],
    events: EventLog,
    error: BaseException | None,
) -> None:
    """Collect how each device ended, and answer when all have; each is told at once as well."""
    outcome[name] = error
    events.add(name, "emergency", safe=error is None, why="" if error is None else str(error))
    if len(outcome) == count:
        reply.finish(outcome, None)


class Once:
    """Tell an outcome once."""

    __slots__ = ("_then", "told")

    def __init__(self, then: Callable[[BaseException | None], object]) -> None:
        self._then = then
        self.told = False

    def __call__(self, error: BaseException | None) -> None:
        """Tell, unless it was told."""
        if not self.told:
            self.told = True
            self._then(error)


def safely(target: Any, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    """Call the driver's hook for a safe state, from within its actor."""
    del name, args, kwargs
    target()


SAFE: Final = Member("make_safe", query=False, action=safely, path=(("hook", "make_safe"),))
