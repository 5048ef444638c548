"""Supervise the lives of a lab's devices: start, restart, stop, quarantine, give up."""

from __future__ import annotations

import logging
import math
import random
import time
from typing import TYPE_CHECKING, Any, Final, cast

from actorlab.core.supervision import (
    AllStopped,
    ChildAdded,
    ChildDown,
    ChildLost,
    ChildRemoved,
    ChildUp,
    Escalate,
    Halt,
    Quarantine,
    Refuse,
    Reset,
    RestartChild,
    StartChild,
    StopAll,
    StopChild,
    Supervision,
    Tick,
    WakeAt,
)
from actorlab.errors import (
    ActorLabError,
    CallTimeout,
    ConfigError,
    DeviceBusy,
    DeviceQuarantined,
    DeviceUnavailable,
    repr_of,
)
from actorlab.kernel import Reply
from actorlab.runtime.cell import APART, Cell, DeviceState
from actorlab.runtime.device_actor import DeviceActor
from actorlab.runtime.direct_actor import DirectDeviceActor
from actorlab.runtime.isolated_actor import IsolatedDeviceActor
from actorlab.runtime.recorder import shown_error

if TYPE_CHECKING:
    from collections.abc import Callable

    from actorlab.runtime.cell import LifeMailbox
    from actorlab.runtime.decider import Decider
    from actorlab.runtime.events import EventLog
    from actorlab.runtime.helpers import Helpers
    from actorlab.runtime.leases import Leases

__all__ = ["Lives", "short"]

monotonic = time.monotonic
NEVER: Final = (DeviceState.QUARANTINED, DeviceState.CLOSED, *APART)
"""How a device stands that won't serve unless somebody sees to it."""
logger = logging.getLogger("actorlab")


class Lives:
    """The supervisor of the devices: its core decides, this starts and ends their actors, and writes their standing."""

    def __init__(
        self,
        decider: Decider,
        events: EventLog,
        helpers: Helpers,
        cells: dict[str, Cell],
        leases: Leases,
        supervision: Supervision,
    ) -> None:
        self._decider = decider
        self._events = events
        self._helpers = helpers
        self._cells = cells
        self._leases = leases
        self._devices = supervision
        self._ready: list[tuple[list[Cell], Callable[[bool], object]]] = []
        self._first: dict[str, list[Reply[None]]] = {}
        """Who waits for the next life of a device to serve."""
        self._leaving: dict[str, Reply[None]] = {}
        self._parting: dict[str, list[Reply[None]]] = {}
        """Who waits for the end of the life of a device that is being disconnected."""
        self._random = random.Random()  # noqa: S311 - the jitter of restarts is no secret
        self.stopped: Reply[tuple[str, ...]] = Reply()
        self.closing = False
        self.escalate: Callable[[str, BaseException | None], object] = tell_nobody
        """What is done when a device that the lab can't do without has failed for good: its policy says so."""
        self._failure: BaseException | None = None
        self._share = math.inf
        """So many seconds each device has to stop, at most."""

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
        self._first[cell.name] = [first]
        self._leases.available(cell, available=False)
        self._supervise(ChildAdded(cell.name, cell.config.restart, patient=cell.config.optional))

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
        if cell.actor is not None and cell.actor.abandoned and not cell.actor.down.done():
            text = f"{name} can't be removed, since its old thread hasn't ended; it is here:\n{cell.actor.where()}"
            reply.finish(None, DeviceQuarantined(text))
            return
        self._leaving[name] = reply
        self._stand(cell, DeviceState.CLOSED)
        self._leases.refuse_waiting(cell, ConfigError(f"{name} was removed from the lab"))
        self._supervise(ChildRemoved(name))
        self._let_go(cell)

    def _let_go(self, cell: Cell) -> None:
        """Forget a device that is being removed, once its thread has ended."""
        if cell.name in self._leaving and cell.name not in self._devices.names:
            self._forget(cell)
            self._leaving.pop(cell.name).finish(None, None)

    def _forget(self, cell: Cell) -> None:
        self._cells.pop(cell.name, None)
        self._stand(cell, DeviceState.CLOSED)

    def disconnect(self, name: str, why: str) -> Reply[None]:
        """End a device's life until `connect`, from any thread; the reply is done when it has ended."""
        reply: Reply[None] = Reply()
        self._decider.post(self._disconnect, (name, why, reply))
        return reply

    def _disconnect(self, argument: tuple[str, str, Reply[None]]) -> None:
        name, why, reply = argument
        cell = self._cells.get(name)
        actor = cell.actor if cell is not None else None
        if cell is None or cell.holder:
            reply.finish(None, refused_to_disconnect(name, cell))
        elif cell.standing is DeviceState.DISCONNECTED:
            reply.finish(None, None)
        elif name in self._parting:
            self._parting[name].append(reply)
        elif actor is not None and actor.abandoned and not actor.down.done():
            text = f"{name} can't be disconnected, since its old thread hasn't ended; it is here:\n{actor.where()}"
            reply.finish(None, DeviceQuarantined(text))
        else:
            self._part(cell, why, reply)

    def _part(self, cell: Cell, why: str, reply: Reply[None]) -> None:
        """Make a device safe and disconnect it; nobody gets it before it is connected again."""
        self._parting[cell.name] = [reply]
        cell.owes_safe = cell.owes_safe or cell.standing is DeviceState.IDLE
        cell.why = why
        self._leases.available(cell, available=False)
        self._stand(cell, DeviceState.DISCONNECTING)
        self._leases.refuse_waiting(cell, cell.unavailable())
        self._supervise(Halt(cell.name))
        if cell.actor is None or cell.actor.down.done():
            self._parted(cell)

    def _parted(self, cell: Cell) -> None:
        """Take note that a device is disconnected."""
        self._stand(cell, DeviceState.DISCONNECTED)
        self._settle_first(cell, cell.unavailable())
        self._settle_parting(cell, None)

    def _settle_parting(self, cell: Cell, error: BaseException | None) -> None:
        for waiting in self._parting.pop(cell.name, ()):
            waiting.finish(None, error)

    def connect(self, name: str) -> Reply[None]:
        """Begin a new life of a device that was disconnected, from any thread; the reply is done when it serves."""
        reply: Reply[None] = Reply()
        self._decider.post(self._connect, (name, reply))
        return reply

    def _connect(self, argument: tuple[str, Reply[None]]) -> None:
        name, reply = argument
        cell = self._cells.get(name)
        if cell is None:
            reply.finish(None, ConfigError(f"there is no device named {name!r}"))
        elif cell.standing is DeviceState.IDLE:
            reply.finish(None, None)
        elif cell.standing is DeviceState.DISCONNECTED:
            cell.why = ""
            self._await_life(cell, Reset(name), reply)
        else:
            reply.finish(None, cell.unavailable())

    def restart(self, name: str) -> Reply[None]:
        """End a device's present life and begin a new one, from any thread; the reply is done when it serves."""
        reply: Reply[None] = Reply()
        self._decider.post(self._restart, (name, reply))
        return reply

    def _restart(self, argument: tuple[str, Reply[None]]) -> None:
        name, reply = argument
        cell = self._cells.get(name)
        if cell is None:
            reply.finish(None, ConfigError(f"there is no device named {name!r}"))
            return
        if cell.standing in APART:
            reply.finish(None, cell.unavailable())
            return
        if cell.actor is not None and not cell.actor.down.done() and not cell.actor.abandoned:
            cell.why = "somebody restarts it"
            self._stand(cell, DeviceState.RESTARTING)
            self._leases.available(cell, available=False)
        self._await_life(cell, RestartChild(name), reply)

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
        if cell.standing is DeviceState.IDLE:  # it serves: there is nothing to start
            cell.last_error, cell.why = None, ""
            reply.finish(None, None)
            return
        if cell.standing in APART:
            reply.finish(None, cell.unavailable())
            return
        if force and cell.standing is DeviceState.QUARANTINED:
            self._supervise(ChildDown(name))
        self._await_life(cell, Reset(name), reply)

    def _await_life(self, cell: Cell, wish: Reset | RestartChild, reply: Reply[None]) -> None:
        """Ask for a new life, and answer when it has begun to serve, or why it won't."""
        stack = cell.actor.where() if cell.actor is not None else ""
        self._first.setdefault(cell.name, []).append(reply)
        refusals = self._supervise(wish)
        if refusals:
            self._first[cell.name].remove(reply)
            at = f"; it is here:\n{stack}" if stack else ""
            reply.finish(None, DeviceQuarantined(f"{refusals[0]}{at}"))
        elif cell.standing is DeviceState.IDLE:
            self._settle_first(cell, None)

    # -- one life of a device

    def _supervise(self, event: Any) -> list[str]:
        """Let the supervision decide, carry it out, and return what it refused."""
        refused: list[str] = []
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
                    self.escalate(reason, self._failure)
        self._note_retries()
        return refused

    def _tick(self, _: Any) -> None:
        self._supervise(Tick())

    def _launch(self, cell: Cell) -> None:
        cell.life += 1
        actor = actor_class(cell)(cell, cell.life)
        cell.actor = actor
        cell.restarts = cell.life - 1
        self._stand(cell, DeviceState.CONNECTING if cell.life == 1 else DeviceState.RESTARTING)
        actor.ready.when_done(lambda reply: self._decider.post(self._up, actor) if reply.exception() is None else None)
        actor.patience = self._decider.after(cell.config.timeout + actor.head_start, self._too_slow, actor)
        actor.begin()

    def _up(self, actor: DeviceActor) -> None:
        if actor.patience is not None:
            actor.patience.cancel()
        cell = self._cell_of(actor)
        if cell is None or actor.abandoned or self._devices.state(cell.name) == "stopping":
            actor.stop_soon()
            return
        cell.owes_safe = False
        cell.retry_at = None
        cell.why = cell.why if cell.life > 1 else ""
        cell.mailbox = cast("LifeMailbox", actor.mailbox)
        self._stand(cell, DeviceState.IDLE)
        self._supervise(ChildUp(cell.name))
        self._settle_first(cell, None)
        self._leases.available(cell, available=True)

    def came_up(self, actor: DeviceActor) -> None:
        """Hear that a driver's process runs, from any thread: its time to connect begins to count."""
        self._decider.post(self._came_up, actor)

    def _came_up(self, actor: DeviceActor) -> None:
        cell = self._cell_of(actor)
        if cell is not None and actor.patience is not None and not actor.ready.done():
            actor.patience.cancel()
            actor.patience = self._decider.after(cell.config.timeout, self._too_slow, actor)

    def _too_slow(self, actor: DeviceActor) -> None:
        cell = self._cell_of(actor)
        if cell is not None and not actor.ready.done():
            self.lose(cell, f"it hasn't connected within {cell.config.timeout:g} s")

    def failing(self, actor: DeviceActor, error: BaseException) -> None:
        """Hear from a device's thread that its life is about to end."""
        self._decider.post(self._failing, (actor, error))

    def _failing(self, argument: tuple[DeviceActor, BaseException]) -> None:
        actor, error = argument
        cell = self._cell_of(actor)
        if cell is None or actor.abandoned:
            return
        cell.last_error, cell.why = error, short(error)
        text = "%s failed: %s; its last calls:\n%s"
        logger.warning(text, cell.name, cell.why, cell.recorder.told(), extra={"device": cell.name})
        self._stand(cell, DeviceState.RESTARTING)
        self._leases.available(cell, available=False)
        self._decider.after(cell.config.safe_timeout, self._not_gone, actor)

    def _not_gone(self, actor: DeviceActor) -> None:
        cell = self._cell_of(actor)
        if cell is not None and not actor.down.done() and not actor.abandoned:
            self.lose(cell, "it failed, and its driver doesn't return from disconnecting")

    def life_ended(self, actor: DeviceActor, error: BaseException | None) -> None:
        """Hear from a device's thread that it has ended."""
        self._decider.post(self._life_ended, (actor, error))

    def _life_ended(self, argument: tuple[DeviceActor, BaseException | None]) -> None:
        actor, error = argument
        cell = self._cell_of(actor)
        if cell is None:
            return
        if actor.left_safe:
            cell.owes_safe = False
        if cell.name in self._leaving:
            self._supervise(ChildDown(cell.name))
            self._let_go(cell)
            self._settle_parting(cell, None)
            return
        if cell.name in self._parting:
            self._supervise(ChildDown(cell.name))
            self._parted(cell)
            return
        if error is not None and not actor.abandoned:
            cell.last_error, cell.why = error, short(error)
        if cell.standing is not DeviceState.QUARANTINED and not self.closing:
            self._stand(cell, DeviceState.RESTARTING)
            self._leases.available(cell, available=False)
        if cell.life == 1 and not actor.abandoned and actor.ready.exception(0) is not None:
            if not cell.config.optional:
                self._give_up_first(cell, error)
                return
            self._settle_first(cell, None)  # whoever added it needn't wait until it is there
        self._failure = error
        self._supervise(ChildDown(cell.name, error if isinstance(error, Exception) else wrapped(error)))

    def _give_up_first(self, cell: Cell, error: BaseException | None) -> None:
        """Forget a device that couldn't connect when it was added."""
        text = (
            f"{cell.name} can't be added: it didn't connect: {short(error)}; check its address, its cable and its power"
        )
        failed = DeviceUnavailable(text)
        failed.__cause__ = error
        self._settle_first(cell, failed)
        self._supervise(ChildRemoved(cell.name))
        self._supervise(ChildDown(cell.name, None))
        self._forget(cell)

    def _settle_first(self, cell: Cell, error: BaseException | None) -> None:
        for waiting in self._first.pop(cell.name, ()):
            waiting.finish(None, error)

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
        if actor.at_work:
            self._helpers.put(actor.interrupt, None, "stop")
        self._decider.after(min(cell.config.safe_timeout, self._share), self._not_stopped, (actor, reason))

    def _not_stopped(self, argument: tuple[DeviceActor, str]) -> None:
        actor, reason = argument
        cell = self._cell_of(actor)
        if cell is not None and not actor.down.done():
            self.lose(cell, f"it doesn't stop ({reason})")

    def _quarantine(self, cell: Cell, reason: str) -> None:
        cell.why = reason if cell.name in self._parting else cell.why or reason
        self._stand(cell, DeviceState.QUARANTINED)
        self._leases.available(cell, available=False)
        self._settle_first(cell, cell.unavailable())
        if cell.name in self._leaving:
            self._leaving.pop(cell.name).finish(None, cell.unavailable())
        self._settle_parting(cell, cell.unavailable())
        self._leases.refuse_waiting(cell, cell.unavailable())

    def lose(self, cell: Cell, reason: str) -> None:
        """End a device's present life by force, or give it up: its thread may do nothing more through the framework."""
        actor = cell.actor
        if actor is None or actor.abandoned:
            return
        cell.owes_safe = True
        cell.why = reason
        if actor.killable:
            self._helpers.put(self._kill, cell, actor, reason)
            return
        actor.give_up()
        self._release_callers(cell, actor, reason)
        cell.abandoned = (*(lost for lost in cell.abandoned if not lost.down.done()), actor)
        self._supervise(ChildLost(cell.name, reason))

    def _kill(self, cell: Cell, actor: DeviceActor, reason: str) -> None:
        """Kill a driver's process: its actor hears of it at once, and the policy says what follows; for a helper."""
        actor.look()
        actor.kill()
        where = actor.where()
        text = "%s: its process was killed, because %s; it was here:\n%s"
        logger.warning(text, cell.name, reason, where, extra={"device": cell.name})
        self._release_callers(cell, actor, reason)

    @staticmethod
    def _release_callers(cell: Cell, actor: DeviceActor, reason: str) -> None:
        stack = actor.where()
        for call in (*actor.stack, *actor.unanswered):
            text = f"{call.member.on(cell.name)}: {cell.name} was given up, because {reason}; it was here:\n{stack}"
            call.finish(None, CallTimeout(text, stack))

    # -- how devices stand

    def when_ready(self, cells: list[Cell], then: Callable[[bool], object]) -> None:
        """Tell when some devices all serve (True), or that one of them won't (False); for the deciding thread."""
        self._ready.append((cells, then))
        self._tell_ready()

    def _tell_ready(self) -> None:
        waiting, self._ready = self._ready, []
        for cells, then in waiting:
            standings = [cell.standing for cell in cells]
            if any(standing in NEVER for standing in standings):
                self._decider.then(then, False)
            elif all(cell.standing is DeviceState.IDLE and not cell.mailbox.closed for cell in cells):
                self._decider.then(then, True)
            else:
                self._ready.append((cells, then))

    def _stand(self, cell: Cell, state: DeviceState) -> None:
        if state is DeviceState.CONNECTING or cell.standing is not state:
            cell.standing = state
            cell.since = time.time()
            self._events.add(cell.name, "device", state=state.value, why=cell.why, restarts=cell.restarts)
        if self._ready:
            self._tell_ready()

    def _cell_of(self, actor: DeviceActor) -> Cell | None:
        cell = self._cells.get(actor.name)
        return cell if cell is not None and cell.actor is actor else None

    # -- the end

    def stop_devices(self, seconds: float) -> None:
        """Stop all devices within some seconds, the last added first; `stopped` tells when, and which were lost."""
        self._decider.post(self._stop_devices, seconds)

    def _stop_devices(self, seconds: float) -> None:
        self.closing = True
        self._share = max(0.0, seconds) / max(1, len(self._cells))
        self._supervise(StopAll())

    def close(self) -> None:
        """Mark all devices as closed."""
        for cell in self._cells.values():
            cell.mailbox.close()
            if cell.actor is not None and not cell.actor.down.done():
                cell.actor.kill()
            self._stand(cell, DeviceState.CLOSED)


def actor_class(cell: Cell) -> type[DeviceActor]:
    """Return what owns a life of a device that is configured so."""
    if cell.config.isolation == "process":
        return IsolatedDeviceActor
    return DirectDeviceActor if cell.config.direct else DeviceActor


def refused_to_disconnect(name: str, cell: Cell | None) -> ActorLabError:
    """Make the error for a device that isn't disconnected, since it isn't there or somebody holds it."""
    if cell is None:
        return ConfigError(f"there is no device named {name!r}")
    return DeviceBusy(f"{name} is held by {cell.holder}, so it can't be disconnected: wait for its end, or cancel it")


def tell_nobody(reason: str, error: BaseException | None) -> None:
    """Leave it at the event: nobody has said what is to be done."""
    del reason, error


def short(error: BaseException | None) -> str:
    """Write an error in one line."""
    return "no error was given" if error is None else shown_error(error)


def wrapped(error: BaseException | None) -> Exception | None:
    """Make an `Exception` of what isn't one, so that a policy can judge it."""
    return None if error is None else ActorLabError(f"it ended by {repr_of(error)}")
