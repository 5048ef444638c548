"""Run the periodic methods of one device: when, their schedules decide; each beat is a call of the device."""

from __future__ import annotations

import logging
import random
import time
from typing import TYPE_CHECKING, Any

from actorlab.core.periodic import (
    BeatEnded,
    BeatPassed,
    Fire,
    GaveUp,
    LifeOver,
    PeriodicState,
    Schedule,
    Start,
    Stop,
    Tick,
    WakeAt,
)
from actorlab.driving.beats import ALL_BEATS, Beat, attach
from actorlab.driving.in_thread import InThread
from actorlab.driving.member import Member, Path, invoke, way_of
from actorlab.errors import ActorStopped, Cancelled, ConfigError, DeviceBusy, DeviceFault, NotLeased
from actorlab.kernel import OTHERS, Reply
from actorlab.periodic import PeriodicStatus
from actorlab.runtime.calls import Call, call_held, call_outside
from actorlab.runtime.commanding import Commander

if TYPE_CHECKING:
    from actorlab.periodic import PeriodicMethod
    from actorlab.runtime.body import Hold
    from actorlab.runtime.cell import Cell
    from actorlab.runtime.decider import Timer
    from actorlab.runtime.device_actor import DeviceActor

__all__ = ["PeriodicMember", "Periodics"]

monotonic = time.monotonic
logger = logging.getLogger("actorlab")
draw = random.Random().random  # noqa: S311 - the jitter of a delay is no secret
Key = tuple[Path, str]


class Periodics:
    """The periodic methods of one device, through all its lives.

    Each life begins with all that start by themselves. What was started or stopped through a proxy stays so in the next
    life; what the driver itself started or stopped, or what gave up, begins afresh with its new object.
    """

    __slots__ = ("_beating", "_cell", "_words")

    def __init__(self, cell: Cell) -> None:
        self._cell = cell
        self._beating: dict[Key, Beating] = {}
        """By each way to the object, and the method's name; written by the deciding thread."""
        self._words: dict[Key, bool] = {}

    # -- from the device's thread

    def look_at(self, actor: DeviceActor) -> None:
        """Find what is periodic in a driver that has connected, and have it begin when the device serves."""
        driver = actor.driver
        beats: tuple[Beat, ...] = () if driver is None else driver.act(ALL_BEATS, (), {})
        if driver is None or not beats:
            return
        for path in dict.fromkeys(found.path for found in beats):
            line = PathLine(self, path) if isinstance(driver, InThread) else path
            driver.act(Member("line", query=True, action=attach, path=path), (line,), {})
        decider = self._cell.lab_actor.lab.decider
        actor.ready.when_done(lambda _: decider.post(self._begin, (actor, beats)))
        actor.down.when_done(lambda _: decider.post(self._end, actor))

    # -- from any thread

    def status(self, path: Path, name: str) -> PeriodicStatus:
        """Say how a periodic method stands."""
        found = self._beating.get((way_of(path), name))
        return PeriodicStatus(PeriodicState.STOPPED) if found is None else found.status

    def statuses(self) -> dict[str, PeriodicStatus]:
        """Say how all of them stand, by what one would type."""
        every = dict.fromkeys(list(self._beating.values()))
        return {one.member.on(): one.status for one in every}

    def command(self, path: Path, name: str, commander: Commander, *, start: bool) -> Reply[None]:
        """Start or stop one in somebody's name; the reply is done when that is so."""
        reply: Reply[None] = Reply()
        self._cell.lab_actor.lab.decider.post(self._command, (path, name, commander, start, reply))
        return reply

    def wish(self, path: Path, name: str, *, start: bool) -> None:
        """Start or stop one in the driver's own name."""
        self._cell.lab_actor.lab.decider.post(self._wish, (path, name, start))

    # -- for the deciding thread

    def _begin(self, argument: tuple[DeviceActor, tuple[Beat, ...]]) -> None:
        actor, beats = argument
        if actor is not self._cell.actor or actor.mailbox.closed:
            return
        self._beating = {}
        for found in beats:
            beating = Beating(self._cell, actor, self, found)
            ways = (found.path, *found.others)
            self._beating.update({(path, found.name): beating for path in ways})
            words = [self._words[path, found.name] for path in ways if (path, found.name) in self._words]
            if words[0] if words else found.starts:
                beating.on(Start())

    def _end(self, actor: DeviceActor) -> None:
        for beating in self._beating.values():
            if beating.actor is actor:
                beating.on(LifeOver())

    def _command(self, argument: tuple[Path, str, Commander, bool, Reply[None]]) -> None:
        path, name, commander, start, reply = argument
        refusal = commander.refusal()
        found = self._beating.get((way_of(path), name))
        if refusal is None and found is None:
            text = f"{commander.what} isn't known as periodic: use the way to it by attributes and items"
            refusal = ConfigError(f"{text}; there are: {', '.join(self.statuses()) or 'none'}")
        if refusal is None and found is not None:
            ways = (found.beat.path, *found.beat.others)
            self._words.update({(way, name): start for way in ways})
            found.on(Start() if start else Stop())
        reply.finish(None, refusal)

    def _wish(self, argument: tuple[Path, str, bool]) -> None:
        path, name, start = argument
        found = self._beating.get((path, name))
        if found is not None:
            found.on(Start() if start else Stop())


class PathLine:
    """The line of one object of a driver to its lab; from any thread, without waiting."""

    __slots__ = ("_path", "_periodics")

    def __init__(self, periodics: Periodics, path: Path) -> None:
        self._periodics = periodics
        self._path = path

    def start(self, name: str) -> None:
        """Have a periodic method started."""
        self._periodics.wish(self._path, name, start=True)

    def stop(self, name: str) -> None:
        """Have it stopped."""
        self._periodics.wish(self._path, name, start=False)

    def status(self, name: str) -> PeriodicStatus:
        """Say how it stands."""
        return self._periodics.status(self._path, name)


class Beating:
    """One periodic method in one life of its device; for the deciding thread, but for `status`."""

    def __init__(self, cell: Cell, actor: DeviceActor, periodics: Periodics, found: Beat) -> None:
        self.actor = actor
        self.beat = found
        self._cell = cell
        self._periodics = periodics
        self.member = Member(found.name, query=found.query, action=invoke, path=found.path)
        self._schedule = Schedule(found.seconds, found.restart)
        self._timer: Timer | None = None
        self._guard: Timer | None = None
        self.status = PeriodicStatus(PeriodicState.STOPPED)

    def on(self, event: Any) -> None:
        """Let the schedule decide, and carry its actions out."""
        for action in self._schedule.handle(event, monotonic()):
            match action:
                case Fire():
                    self._fire()
                case WakeAt(at):
                    self._wake_at(at)
                case GaveUp(reason, stop_lab):
                    self._gave_up(reason, stop_lab=stop_lab)
        it = self._schedule
        self.status = PeriodicStatus(it.state, it.runs, it.skipped, it.last_error, it.next)

    def _wake_at(self, at: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        decider = self._cell.lab_actor.lab.decider
        self._timer = decider.after(max(0.0, at - monotonic()), lambda _: self.on(Tick()))

    def _fire(self) -> None:
        """Send a beat under the token that the device accepts now: so it is accepted, whoever holds it."""
        cell, decider = self._cell, self._cell.lab_actor.lab.decider
        if not self.beat.query and cell.lab_actor.safety.is_stopped(cell):
            decider.then(self.on, BeatPassed())
            return
        call = Call(OTHERS, cell.token, cell, self.member, (), {})
        call.query = call.query or None  # it keeps nobody from being served while a driver sleeps
        call.when_done(lambda _: decider.post(self._ended, call))
        self._guard = decider.after(cell.config.timeout, self._look, call)
        try:
            self.actor.mailbox.put(call)
        except ActorStopped as error:
            call.drop(error)

    def _look(self, call: Call) -> None:
        """See that a beat which hangs is ended."""
        limit = self._cell.config.timeout
        left = limit if not call.begun else call.begun + limit - monotonic()
        if call.begun and left <= 0:
            self._cell.lab_actor.limits.overdue(self._cell, call, limit)
        elif not call.done():
            self._guard = self._cell.lab_actor.lab.decider.after(left, self._look, call)

    def _ended(self, call: Call) -> None:
        if self._guard is not None:
            self._guard.cancel()
        error = call.exception(0)
        if isinstance(error, (ActorStopped, DeviceFault)) or self.actor.mailbox.closed:
            self.on(LifeOver())
        elif not call.begun and isinstance(error, (DeviceBusy, NotLeased)):  # another token since it was sent
            self._fire()
        else:
            cut = isinstance(error, Cancelled) or call.why in ("cancel", "stop", "urgent")
            self.on(BeatEnded(None if cut else error, draw()))

    def _gave_up(self, reason: str, *, stop_lab: bool) -> None:
        cell = self._cell
        name = self.member.on(cell.name)
        events = cell.lab_actor.lab.events
        events.add(cell.name, "periodic", method=name, state=PeriodicState.GAVE_UP.value, why=reason)
        text = "%s gave up: %s; %s.start() begins it again"
        logger.warning(text, name, reason, name, extra={"device": cell.name})
        if stop_lab:
            events.add("lab", "escalated", reason=f"{name}: {reason}")
            cell.lab_actor.lives.escalate(f"{name} gave up: {reason}", None)


# -- through a proxy


class PeriodicMember:
    """A periodic method on a proxy class; the bound one is remembered on the proxy."""

    def __init__(self, static: PeriodicMethod[Any], name: str) -> None:
        self._name = name
        self.__doc__ = static.__doc__
        self.__wrapped__ = static.function

    def __get__(self, proxy: Any, owner: type | None = None) -> Any:
        if proxy is None:
            return self
        own = proxy.__dict__
        _, member = own["_actorlab_factory"].calling(own["_actorlab_cls"], self._name, own["_actorlab_path"])
        bound = DevicePeriodic(own["_actorlab_cell"], own["_actorlab_hold"], member)
        own[self._name] = bound
        return bound


class DevicePeriodic:
    """A periodic method of a lab's device."""

    def __init__(self, cell: Cell, hold: Hold | None, member: Member) -> None:
        self._cell = cell
        self._hold = hold
        self._member = member
        self.asked = (cell if hold is None else hold, member)
        """What `ask` sends."""

    def __call__(self) -> Any:
        """Run it once, now."""
        if self._hold is not None:
            return call_held(self._hold, self._member)
        return call_outside(self._cell, self._member)

    def start(self) -> None:
        """Begin the beats, the first one at once; if they have begun already, do nothing."""
        self._command(start=True)

    def stop(self) -> None:
        """End the beats; one in hand goes on to its end."""
        self._command(start=False)

    @property
    def status(self) -> PeriodicStatus:
        """How it stands."""
        return self._cell.periodics.status(self._member.path, self._member.name)

    def _command(self, *, start: bool) -> None:
        member = self._member
        commander = Commander(self._cell, self._hold, member)
        commander.checkpoint()
        if commander.may_block:
            commander.answer(self._cell.periodics.command(member.path, member.name, commander, start=start))
        elif (refusal := commander.refusal()) is not None:
            raise refusal
        else:
            self._cell.periodics.command(member.path, member.name, commander, start=start)
