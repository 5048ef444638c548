"""Arbitrate the leases and supervise the devices of a lab, on its deciding thread."""

from __future__ import annotations

import os
import random
import time
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from actorlab.core.lease_table import BlockerKind, LeaseTable, Request
from actorlab.core.supervision import (
    AllStopped,
    ChildAdded,
    ChildDown,
    ChildLost,
    ChildRemoved,
    ChildUp,
    Escalate,
    Quarantine,
    Refuse,
    Reset,
    StartChild,
    StopAll,
    StopChild,
    Supervision,
    Tick,
    WakeAt,
)
from actorlab.errors import (
    ActorLabError,
    ActorStopped,
    CallTimeout,
    ConfigError,
    DeviceFault,
    DeviceQuarantined,
    DeviceUnavailable,
    LeaseTimeout,
)
from actorlab.kernel import URGENT, Actor, Reply
from actorlab.runtime.calls import Call, Member
from actorlab.runtime.cell import NOBODY, Cell, DeviceState
from actorlab.runtime.device_actor import DeviceActor
from actorlab.runtime.helpers import Helpers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from actorlab.core.lease_table import Blocker, Granted
    from actorlab.runtime.decider import Decider
    from actorlab.runtime.events import EventLog
    from actorlab.runtime.lab import Lab
    from actorlab.runtime.run_actor import RunActor

__all__ = ["INTERRUPT_GRACE", "LabActor"]

monotonic = time.monotonic
INTERRUPT_GRACE: Final = 2.0
"""So many seconds an interrupted call has to end, before its device is given up."""


class LabActor(Actor):
    """Root supervisor and lease arbiter; an address on the deciding thread.

    It alone writes each device's token, holder and standing. What other threads call only posts.
    """

    def __init__(self, lab: Lab, decider: Decider, events: EventLog, limits: dict[str, int]) -> None:
        super().__init__(f"{lab.name}: lab")
        self.lab = lab
        self._decider = decider
        self._events = events
        self._table = LeaseTable(limits)
        self._devices = Supervision()
        self._cells: dict[str, Cell] = {}
        self._waiting: dict[str, RunActor] = {}
        self._light: dict[str, RunActor] | None = None if limits else {}
        """Runs that want nothing, as long as no limit and no exclusive request asks for their number."""
        self._ready: list[tuple[list[Cell], Callable[[bool], object]]] = []
        self._first: dict[str, Reply[None]] = {}
        self._leaving: dict[str, Reply[None]] = {}
        self._random = random.Random()  # noqa: S311 - the jitter of restarts is no secret
        self.pid = os.getpid()
        self._helpers = Helpers(f"actorlab {lab.name}")
        self._emergency = ""
        self.stopped: Reply[tuple[str, ...]] = Reply()
        self.closing = False

    # -- leases

    def request(self, actor: RunActor) -> None:
        """Ask for a run's lease; it hears `granted` or `refused`, maybe before this returns."""
        if self._light is not None and actor.wants_nothing:
            self._light[actor.id] = actor
            actor.granted()
            return
        request = actor.request()
        if request.exclusive and self._light is not None:
            self._count_light_runs()
        impossible = self._impossible(request) if actor.cells or request.exclusive else None
        if impossible is not None:
            actor.refused(impossible)
            return
        self._waiting[actor.id] = actor
        self._grant(self._table.request(request, monotonic()))

    def release(self, actor: RunActor) -> None:
        """Take a lease back, or withdraw a request; the run hears `released` before anybody else is served."""
        if self._light and self._light.pop(actor.id, None) is not None:
            actor.released()
            return
        self._waiting.pop(actor.id, None)
        for cell in actor.cells:
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

    def _grant(self, granted: Iterable[Granted]) -> None:
        for grant in granted:
            actor = self._waiting.pop(grant.holder, None)
            if actor is None:
                continue
            for cell in actor.cells:
                self._hold(cell, actor)
            actor.granted()
        if self._table.unfinished:
            self._decider.post(self._go_on)

    def _go_on(self, _: Any) -> None:
        self._grant(self._table.go_on(monotonic()))

    @staticmethod
    def _hold(cell: Cell, actor: RunActor) -> None:
        cell.token = actor.lease
        cell.holder = f"{cell.holder}, {actor.id}" if cell.shared_by else actor.id
        if cell.name in actor.shared:
            cell.shared_by = (*cell.shared_by, actor.id)

    def _free(self, cell: Cell, actor: RunActor) -> None:
        if self._emergency:
            return
        if actor.id in cell.shared_by:
            cell.shared_by = tuple(other for other in cell.shared_by if other != actor.id)
            cell.holder = ", ".join(cell.shared_by)
            if not cell.shared_by:
                cell.token = NOBODY
        elif cell.holder == actor.id:
            cell.token, cell.holder = NOBODY, ""

    def _impossible(self, request: Request) -> ActorLabError | None:
        if self._emergency and request.devices:
            return DeviceUnavailable(f"{request.holder} can't begin: {self._emergency}; lab.rearm() ends the emergency stop")
        for name, _ in request.devices:
            cell = self._cells.get(name)
            if cell is None or cell.standing is DeviceState.CLOSED:
                return ConfigError(f"{request.holder} needs {name!r}, which this lab doesn't have any more")
            if cell.standing is DeviceState.QUARANTINED:
                return cell.unavailable()
        blocker = self._table.refusal(request)
        if blocker is not None:
            holders = ", ".join(blocker.by)
            return LeaseTimeout(f"{request.holder} needs {blocker.resource}, which {holders} holds and never gives back")
        return None

    def blockers(self, holder: str) -> tuple[Blocker, ...]:
        """Say what a waiting request waits for; for the deciding thread."""
        return self._table.blockers(holder) if holder in self._waiting else ()

    def reasons(self, holder: str) -> tuple[str, ...]:
        """Say in words what a waiting request waits for; for the deciding thread."""
        return tuple(in_words(holder, blocker) for blocker in self.blockers(holder))

    def queue_for(self, device: str) -> tuple[str, ...]:
        """Return the runs that wait for a device, from any thread: a hint for messages."""
        waiting = list(self._waiting.values())
        return tuple(actor.id for actor in waiting if any(cell.name == device for cell in actor.cells))

    def set_ending(self, holder: str, *, ending: bool) -> None:
        """Take note whether a holder is expected to end: a paused one isn't."""
        if any(holder in self._table.holders(cell.name) for cell in self._cells.values()):
            self._grant(self._table.set_ending(holder, ending, monotonic()))

    # -- devices come and go

    def add(self, cell: Cell) -> Reply[None]:
        """Add a device, from any thread; the reply is done when its first life has connected, or failed to."""
        first: Reply[None] = Reply()
        self._decider.post(self._add, (cell, first))
        return first

    def _add(self, argument: tuple[Cell, Reply[None]]) -> None:
        cell, first = argument
        if self.closing or cell.name in self._cells:
            text = f"the lab is closing, so {cell.name!r} can't be added"
            if not self.closing:
                text = f"there is a device named {cell.name!r} already: choose another name, or remove it first"
            first.finish(None, ConfigError(text))
            return
        self._cells[cell.name] = cell
        self._first[cell.name] = first
        self._supervise(ChildAdded(cell.name, cell.config.restart))

    def remove(self, name: str) -> Reply[None]:
        """Remove a device, from any thread; the reply is done when its thread has ended."""
        reply: Reply[None] = Reply()
        self._decider.post(self._remove, (name, reply))
        return reply

    def _remove(self, argument: tuple[str, Reply[None]]) -> None:
        name, reply = argument
        cell = self._cells.get(name)
        if cell is None or cell.holder:
            text = f"{name} is held by {cell.holder}" if cell else f"there is no device named {name!r}"
            reply.finish(None, ActorLabError(f"{text}, so it can't be removed"))
            return
        self._leaving[name] = reply
        self._stand(cell, DeviceState.CLOSED)
        self._refuse_waiting(cell, ConfigError(f"{name} was removed from the lab"))
        self._supervise(ChildRemoved(name))
        self._let_go(cell)

    def _let_go(self, cell: Cell) -> None:
        """Forget a device that is being removed, once its thread has ended."""
        if cell.name in self._leaving and cell.name not in self._devices.names:
            self._forget(cell)
            self._leaving.pop(cell.name).finish(None, None)

    def _refuse_waiting(self, cell: Cell, error: ActorLabError) -> None:
        for actor in list(self._waiting.values()):
            if any(other is cell for other in actor.cells):
                self._decider.then(actor.refused, error)

    def _forget(self, cell: Cell) -> None:
        self._cells.pop(cell.name, None)
        self._stand(cell, DeviceState.CLOSED)

    def reset(self, name: str, *, force: bool) -> Reply[None]:
        """Start a quarantined device afresh, from any thread."""
        reply: Reply[None] = Reply()
        self._decider.post(self._reset, (name, force, reply))
        return reply

    def _reset(self, argument: tuple[str, bool, Reply[None]]) -> None:
        name, force, reply = argument
        cell = self._cells.get(name)
        if cell is None:
            reply.finish(None, ConfigError(f"there is no device named {name!r}"))
            return
        if force and cell.standing is DeviceState.QUARANTINED:
            self._supervise(ChildDown(name))
        stack = cell.actor.where() if cell.actor is not None else ""
        self._first[name] = reply
        refusals = self._supervise(Reset(name))
        if refusals:
            self._first.pop(name, None)
            at = f"; it is here:\n{stack}" if stack else ""
            reply.finish(None, DeviceQuarantined(f"{refusals[0]}{at}"))
        elif cell.standing is DeviceState.IDLE:
            self._first.pop(name, None)
            reply.finish(None, None)

    # -- one life of a device

    def _supervise(self, event: Any) -> list[str]:
        """Let the supervision decide, carry it out, and return what it refused."""
        refused = []
        for action in self._devices.handle(event, monotonic(), self._random.random()):
            match action:
                case StartChild(name):
                    self._launch(self._cells[name])
                case StopChild(name, reason):
                    self._stop_life(name, reason)
                case WakeAt(at):
                    self._decider.after(max(0.0, at - monotonic()), self._tick)
                case Quarantine(name, reason):
                    self._quarantine(self._cells[name], reason)
                case Refuse(_, reason):
                    refused.append(reason)
                case AllStopped(lost):
                    self.stopped.finish(lost, None)
                case Escalate(reason):
                    self._events.add("lab", "escalated", reason=reason)
        self._note_retries()
        return refused

    def _tick(self, _: Any) -> None:
        self._supervise(Tick())

    def _launch(self, cell: Cell) -> None:
        cell.life += 1
        actor = DeviceActor(cell, cell.life)
        cell.actor = actor
        cell.restarts = cell.life - 1
        self._stand(cell, DeviceState.CONNECTING if cell.life == 1 else DeviceState.RESTARTING)
        actor.ready.when_done(lambda reply: self._decider.post(self._up, actor) if reply.exception() is None else None)
        actor.patience = self._decider.after(cell.config.timeout, self._too_slow, actor)
        actor._start_actor_loop()  # noqa: SLF001 - pykka's documented point for starting

    def _up(self, actor: DeviceActor) -> None:
        if actor.patience is not None:
            actor.patience.cancel()
        cell = self._cell_of(actor)
        if cell is None or actor.abandoned:
            actor.stop_soon()
            return
        cell.owes_safe = False
        cell.retry_at = None
        cell.why = cell.why if cell.life > 1 else ""
        cell.mailbox = actor.mailbox
        self._stand(cell, DeviceState.IDLE)
        self._supervise(ChildUp(cell.name))
        self._settle_first(cell, None)
        self._available(cell, available=True)

    def _too_slow(self, actor: DeviceActor) -> None:
        cell = self._cell_of(actor)
        if cell is not None and not actor.ready.done():
            self._lose(cell, f"it hasn't connected within {cell.config.timeout:g} s")

    def failing(self, actor: DeviceActor, error: BaseException) -> None:
        """Hear from a device's thread that its life is about to end."""
        self._decider.post(self._failing, (actor, error))

    def _failing(self, argument: tuple[DeviceActor, BaseException]) -> None:
        actor, error = argument
        cell = self._cell_of(actor)
        if cell is None or actor.abandoned:
            return
        cell.last_error, cell.why = error, short(error)
        self._stand(cell, DeviceState.RESTARTING)
        self._available(cell, available=False)
        self._decider.after(cell.config.safe_timeout, self._not_gone, actor)

    def _not_gone(self, actor: DeviceActor) -> None:
        cell = self._cell_of(actor)
        if cell is not None and not actor.down.done() and not actor.abandoned:
            self._lose(cell, "it failed, and its driver doesn't return from disconnecting")

    def life_ended(self, actor: DeviceActor, error: BaseException | None) -> None:
        """Hear from a device's thread that it has ended."""
        self._decider.post(self._life_ended, (actor, error))

    def _life_ended(self, argument: tuple[DeviceActor, BaseException | None]) -> None:
        actor, error = argument
        cell = self._cell_of(actor)
        if cell is None:
            return
        if cell.name in self._leaving:
            self._supervise(ChildDown(cell.name))
            self._let_go(cell)
            return
        if error is not None and not actor.abandoned:
            cell.last_error, cell.why = error, short(error)
        if cell.standing is not DeviceState.QUARANTINED and not self.closing:
            self._stand(cell, DeviceState.RESTARTING)
            self._available(cell, available=False)
        if cell.name in self._first and not cell.config.optional and cell.life == 1:
            self._give_up_first(cell, error)
            return
        self._supervise(ChildDown(cell.name, error if isinstance(error, Exception) else wrapped(error)))

    def _give_up_first(self, cell: Cell, error: BaseException | None) -> None:
        """Forget a device that couldn't connect when it was added."""
        text = f"{cell.name} can't be added: it didn't connect: {short(error)}; check its address, its cable and its power"
        failed = DeviceUnavailable(text)
        failed.__cause__ = error
        self._settle_first(cell, failed)
        self._supervise(ChildRemoved(cell.name))
        self._supervise(ChildDown(cell.name, None))
        self._forget(cell)

    def _settle_first(self, cell: Cell, error: BaseException | None) -> None:
        first = self._first.pop(cell.name, None)
        if first is not None:
            first.finish(None, error)

    def _note_retries(self) -> None:
        for name in self._devices.names:
            if name in self._cells:
                self._cells[name].retry_at = self._devices.restart_at(name)

    def _stop_life(self, name: str, reason: str) -> None:
        cell = self._cells.get(name)
        actor = cell.actor if cell is not None else None
        if cell is None or actor is None or actor.down.done():
            return
        actor.stop_soon()
        if actor.stack:
            self._helpers.put(actor.interrupt, None, "cancel")
        self._decider.after(cell.config.safe_timeout, self._not_stopped, (actor, reason))

    def _not_stopped(self, argument: tuple[DeviceActor, str]) -> None:
        actor, reason = argument
        cell = self._cell_of(actor)
        if cell is not None and not actor.down.done():
            self._lose(cell, f"it doesn't stop ({reason})")

    # -- what goes wrong

    def _quarantine(self, cell: Cell, reason: str) -> None:
        cell.why = cell.why or reason
        self._stand(cell, DeviceState.QUARANTINED)
        self._available(cell, available=False)
        self._settle_first(cell, cell.unavailable())
        if cell.name in self._leaving:
            self._leaving.pop(cell.name).finish(None, cell.unavailable())
        self._refuse_waiting(cell, cell.unavailable())

    def _lose(self, cell: Cell, reason: str) -> None:
        """Give a device's present life up: its thread may do nothing more through the framework."""
        actor = cell.actor
        if actor is None:
            return
        actor.abandoned = True
        actor.mailbox.close()
        cell.owes_safe = True
        cell.why = reason
        stack = actor.where()
        for call in (*actor.stack, *actor.unanswered):
            text = f"{cell.name}.{call.member.name}: {cell.name} was given up, because {reason}; it was here:\n{stack}"
            call.finish(None, CallTimeout(text, stack))
        self._supervise(ChildLost(cell.name, reason))

    def overdue(self, cell: Cell, call: Call, limit: float) -> None:
        """Have a call ended that has taken longer than its running limit; from any thread."""
        self._decider.post(self._overdue, (cell, call, limit))

    def _overdue(self, argument: tuple[Cell, Call, float]) -> None:
        cell, call, limit = argument
        actor = cell.actor
        if call.done() or actor is None or call not in actor.stack:
            return
        call.stack = actor.where()
        self._helpers.put(actor.interrupt, call, "timeout")
        reason = f"{call.member.name} took longer than {limit:g} s and couldn't be interrupted"
        self._decider.after(INTERRUPT_GRACE, self._still_overdue, (cell, actor, call, reason))

    def _still_overdue(self, argument: tuple[Cell, DeviceActor, Call, str]) -> None:
        cell, actor, call, reason = argument
        if not call.done() and cell.actor is actor and not actor.abandoned:
            self._lose(cell, reason)

    def watch(self, cell: Cell, call: Call, waiting: float | None = None) -> None:
        """Watch the limits of a call that no thread waits for; from any thread."""
        if not call.done():
            self._decider.post(self._watch, (cell, call, waiting))

    def _watch(self, argument: tuple[Cell, Call, float | None]) -> None:
        cell, call, waiting = argument
        limit = cell.config.timeout
        if call.done():
            return
        if not call.begun:
            left = limit if waiting is None else min(waiting, limit)
            self._decider.after(left, self._look_at, (cell, call, waiting, monotonic()))
        elif call.begun + limit <= monotonic():
            self._overdue((cell, call, limit))
        else:
            self._decider.after(call.begun + limit - monotonic(), self._watch, argument)

    def _look_at(self, argument: tuple[Cell, Call, float | None, float]) -> None:
        cell, call, waiting, since = argument
        if waiting is not None and not call.begun and monotonic() >= since + waiting:
            text = f"{cell.name}.{call.member.name} hadn't begun after {waiting:g} s and now never will"
            call.drop(CallTimeout(text))
        self._watch((cell, call, waiting))

    def end(self, call: Call) -> None:
        """Have a call in progress ended; from any thread."""
        self._decider.post(lambda _: None if call.done() else self.interrupt(call, "cancel"))

    def interrupt(self, call: Call, why: str) -> None:
        """Have a call in progress ended; for the deciding thread."""
        cell: Cell = call.target
        if cell.actor is not None:
            self._helpers.put(cell.actor.interrupt, call, why)

    # -- safe states

    def make_safe(self, cell: Cell, then: Callable[[BaseException | None], object]) -> None:
        """Make a device safe within its bound, and tell; for the deciding thread.

        If it can't be done the device is quarantined, and making it safe is the first thing that its next life does.
        """
        cell.owes_safe = True
        done = Once(then)
        actor = cell.actor
        self._decider.after(cell.config.safe_timeout, self._not_safe, (cell, done))
        if actor is None or cell.standing is not DeviceState.IDLE:
            self.when_ready([cell], lambda ready: self._came_back(cell, done, ready=ready))
            return
        call = Call(URGENT, None, cell, SAFE, (), {})
        call.when_done(lambda reply: self._decider.post(self._made_safe, (cell, done, reply.exception())))
        try:
            actor.mailbox.put(call)
        except ActorStopped:  # it has just failed: its next life is made safe before it serves anyone
            self.when_ready([cell], lambda ready: self._came_back(cell, done, ready=ready))
            return
        if actor.stack:
            self._helpers.put(actor.interrupt, None, "urgent")

    def _made_safe(self, argument: tuple[Cell, Once, BaseException | None]) -> None:
        cell, done, error = argument
        if error is None:
            cell.owes_safe = False
            done(None)
        elif isinstance(error, (ActorStopped, DeviceFault)):
            self.when_ready([cell], lambda ready: self._came_back(cell, done, ready=ready))
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
            self._lose(cell, reason)
            actor.stop_soon()
        cell.owes_safe = True
        told = DeviceQuarantined(f"{cell.name} is not known to be safe: {reason}")
        told.__cause__ = error
        done(told)

    def emergency(self, reason: str, reply: Reply[dict[str, BaseException | None]]) -> None:
        """Fence all devices and make them safe, in parallel; for the deciding thread."""
        self._emergency = f"emergency stop: {reason}"
        self._events.add("lab", "emergency stop", reason=reason)
        for actor in list(self._waiting.values()):
            self._decider.then(actor.refused, DeviceUnavailable(f"{actor.id} can't begin: {self._emergency}"))
        outcome: dict[str, BaseException | None] = {}
        cells = list(self._cells.values())
        for cell in cells:
            cell.token, cell.holder = STOPPED, self._emergency
        for cell in cells:
            self.make_safe(cell, partial(tell_emergency, outcome, len(cells), cell.name, reply, self._events))
        if not cells:
            reply.finish(outcome, None)

    def rearm(self) -> None:
        """Let devices accept commands again; for the deciding thread."""
        self._emergency = ""
        for cell in self._cells.values():
            if cell.token is STOPPED:
                cell.token, cell.holder, cell.shared_by = NOBODY, "", ()

    def when_ready(self, cells: list[Cell], then: Callable[[bool], object]) -> None:
        """Tell when some devices all serve (True), or that one of them won't (False); for the deciding thread."""
        self._ready.append((cells, then))
        self._tell_ready()

    def _tell_ready(self) -> None:
        waiting, self._ready = self._ready, []
        for cells, then in waiting:
            standings = [cell.standing for cell in cells]
            if DeviceState.QUARANTINED in standings or DeviceState.CLOSED in standings:
                self._decider.then(then, False)  # noqa: FBT003 - the argument of a message
            elif all(cell.standing is DeviceState.IDLE and not cell.mailbox.closed for cell in cells):
                self._decider.then(then, True)  # noqa: FBT003
            else:
                self._ready.append((cells, then))

    # -- tokens within a run

    @staticmethod
    def lend(cell: Cell, token: object, holder: str) -> None:
        """Write a device's token; for the deciding thread."""
        cell.token = token
        cell.holder = holder

    # -- state

    def _stand(self, cell: Cell, state: DeviceState) -> None:
        if state is DeviceState.CONNECTING or cell.standing is not state:
            cell.standing = state
            cell.since = time.time()
            self._events.add(cell.name, "device", state=state.value, why=cell.why, restarts=cell.restarts)
        if self._ready:
            self._tell_ready()

    def _available(self, cell: Cell, *, available: bool) -> None:
        self._grant(self._table.set_available(cell.name, available, monotonic()))

    def _cell_of(self, actor: DeviceActor) -> Cell | None:
        cell = self._cells.get(actor.name)
        return cell if cell is not None and cell.actor is actor else None

    def stop_devices(self) -> None:
        """Stop all devices, the last added first; `stopped` tells when, and which were lost."""
        self._decider.post(self._stop_devices)

    def _stop_devices(self, _: Any) -> None:
        self.closing = True
        self._supervise(StopAll())

    def close(self) -> None:
        """Mark all devices as closed, and end the helpers; for the deciding thread."""
        for cell in self._cells.values():
            cell.mailbox.close()
            self._stand(cell, DeviceState.CLOSED)
        self._helpers.close()

    def fence_all(self) -> None:
        """Let no device accept any command: what is left to do when the deciding code itself has failed."""
        for cell in list(self._cells.values()):
            cell.token = PANIC
            cell.holder = "nobody: the lab has failed"
            cell.owes_safe = True
            try:
                cell.mailbox.put(Call(URGENT, None, cell, SAFE, (), {}))
            except ActorStopped:
                continue
            if cell.actor is not None and cell.actor.stack:
                self._helpers.put(cell.actor.interrupt, None, "urgent")

    def refuse_in_fork(self) -> None:
        """Refuse to work in a forked child: the threads are the parent's.

        Raises:
            ConfigError: this process isn't the one which made the lab.

        """
        if os.getpid() != self.pid:
            text = "this lab belongs to the process that made it: make one of your own after the fork, or spawn instead"
            raise ConfigError(text)


PANIC: Final = object()
STOPPED: Final = object()
"""The token of a device in an emergency stop: nobody's."""


def tell_emergency(
    outcome: dict[str, BaseException | None],
    count: int,
    name: str,
    reply: Reply[dict[str, BaseException | None]],
    events: EventLog,
    error: BaseException | None,
) -> None:
    """Collect how each device ended, and answer when all have; each is told at once, for those who can't wait for all."""
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


def in_words(holder: str, blocker: Blocker) -> str:
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


def short(error: BaseException | None) -> str:
    """Write an error in one line."""
    if error is None:
        return "no error was given"
    text = str(error).strip().splitlines()
    return f"{type(error).__name__}: {text[0]}" if text else type(error).__name__


def wrapped(error: BaseException | None) -> Exception | None:
    """Make an `Exception` of what isn't one, so that a policy can judge it."""
    return None if error is None else ActorLabError(f"it ended by {error!r}")


