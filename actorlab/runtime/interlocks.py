"""Watch conditions of a lab, and act when one isn't well: refuse commands, pause, cancel, or stop everything."""

from __future__ import annotations

import itertools
import logging
import time
from collections.abc import Iterable
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple, TypeAlias, assert_never, get_args

from actorlab.arguments import DeviceRef, device_name
from actorlab.core import run_events as ev
from actorlab.core.interlock import Clear, Event, InterlockCore, Tick, Trip, WakeAt
from actorlab.core.run_state import RunState
from actorlab.errors import ActorLabError, AskDeadlock, ConfigError
from actorlab.kernel import Reply
from actorlab.kernel.actor import here
from actorlab.runtime.running import guarded
from actorlab.runtime.sampling import Condition, Sample, Sampler, Seen

if TYPE_CHECKING:
    import threading

    from actorlab.runtime.cell import Cell
    from actorlab.runtime.decider import Decider, Timer
    from actorlab.runtime.events import EventLog
    from actorlab.runtime.lab import Lab
    from actorlab.runtime.run_actor import RunActor

__all__ = ["Interlock", "Interlocks", "Then", "names_of"]

Then: TypeAlias = Literal["pause", "cancel", "veto", "emergency_stop"]

S = RunState
monotonic = time.monotonic
PATIENCE: Final = 5.0
"""So many seconds the deciding thread has to hear of the first sample, beyond the time that this may take."""


class Standing(NamedTuple):
    """How an interlock stands; each change is a new one, so that a reader sees what belongs together."""

    tripped: bool = False
    since: float | None = None
    reason: str = ""
    last: Sample | None = None


class Interlock:
    """A condition that is watched, as its user sees it; made by `lab.interlock`."""

    __slots__ = ("_interlocks", "_watch")

    def __init__(self, watch: Watch, interlocks: Interlocks) -> None:
        self._watch = watch
        self._interlocks = interlocks

    @property
    def message(self) -> str:
        """Return what it is about, in its author's words."""
        return self._watch.message

    @property
    def number(self) -> int:
        """Return its number, by which it is told from others."""
        return self._watch.number

    @property
    def then(self) -> Then:
        """Return what is done when it trips."""
        return self._watch.then

    @property
    def devices(self) -> tuple[str, ...] | None:
        """Return the names of the devices for which it is, or None: for all."""
        return self._watch.devices

    @property
    def tripped(self) -> bool:
        """Tell whether it has tripped, and isn't well again."""
        return self._watch.standing.tripped

    @property
    def since(self) -> float | None:
        """Return since when it has tripped (seconds since 1970), or None."""
        return self._watch.standing.since

    @property
    def reason(self) -> str:
        """Say why it has tripped, or nothing."""
        return self._watch.standing.reason

    @property
    def last(self) -> Sample | None:
        """Return the last sample, or None: there is none yet."""
        return self._watch.standing.last

    def remove(self) -> None:
        """End it, and what it has done as far as it would be undone if all were well."""
        self._interlocks.remove(self._watch)

    def __repr__(self) -> str:
        watch = self._watch
        state = f"tripped, {watch.standing.reason}" if watch.standing.tripped else "well"
        return f"<interlock {watch.number} {watch.message!r}, then {watch.then}: {state}>"


class Watch:
    """One interlock, as the deciding thread knows it."""

    def __init__(
        self, number: int, core: InterlockCore, then: Then, devices: tuple[str, ...] | None, message: str
    ) -> None:
        self.number = number
        self.core = core
        self.then: Then = then
        self.devices = devices
        self.message = message
        self.standing = Standing()
        self.first: Reply[None] = Reply()
        """Done once the first sample was judged, or is too late."""
        self.timer: Timer | None = None
        self.sampler: Sampler

    def covers(self, cell: Cell) -> bool:
        """Tell whether it is about this device."""
        return self.devices is None or cell.name in self.devices

    @property
    def refusal(self) -> str:
        """Say why commands are refused."""
        since = time.strftime("%H:%M:%S", time.localtime(self.standing.since))
        return f"an interlock refuses them: {self.message} ({self.standing.reason}, since {since}; {self.core.clears})"


class Standstill(str):
    """The reason of a pause for which an interlock asked, told by its type from those of a user."""

    __slots__ = ()


class Interlocks:
    """The interlocks of a lab, and what follows from them.

    `add`, `all`, `remove`, `added` and `join` are for any thread, all else for the deciding one.
    """

    def __init__(self, lab: Lab, decider: Decider, events: EventLog, cells: dict[str, Cell]) -> None:
        self._lab = lab
        self._decider = decider
        self._events = events
        self._cells = cells
        self._numbers = itertools.count(1)
        self._watches: tuple[Watch, ...] = ()
        self._pausing: tuple[Watch, ...] = ()
        """Those that have tripped and let runs pause."""
        self._samplers: tuple[Sampler, ...] = ()
        self._closed = False

    # -- from any thread

    def add(
        self, condition: Condition, then: Then, devices: tuple[str, ...] | None, core: InterlockCore, message: str
    ) -> Interlock:
        """Begin to watch a condition, and return when it was sampled once, or that took too long.

        Raises:
            ConfigError: what was given makes no sense.
            AskDeadlock: this thread may not wait, being a device's or the event loop's.

        """
        if here.__dict__:
            text = "lab.interlock(…) waits for its first sample, and this thread may not wait: call it from another one"
            raise AskDeadlock(text)
        for reason in nonsense(condition, then, devices):
            text = f"lab.interlock: {reason}"
            raise ConfigError(text)
        number = next(self._numbers)
        watch = Watch(number, core, then, devices, message or named(condition, number))
        name = f"actorlab {self._lab.name}: interlock {number}"
        watch.sampler = Sampler(name, condition, core, lambda seen: self._decider.post(self._seen, (watch, seen)))
        self._decider.post(self._begin, watch)
        try:
            watch.sampler.thread.start()
            watch.first.result(core.limit + PATIENCE)
        except BaseException:
            self.remove(watch)
            raise
        return Interlock(watch, self)

    @property
    def all(self) -> tuple[Interlock, ...]:
        """Return those that are watched."""
        return tuple([Interlock(watch, self) for watch in self._watches])

    def remove(self, watch: Watch) -> None:
        """End an interlock."""
        self._lab.ask(partial(self._remove, watch))

    def added(self, cell: Cell) -> None:
        """Let what has tripped hold for a device that is being added, too."""
        self._decider.post(self._cover, cell)

    def join(self, seconds: float) -> list[threading.Thread]:
        """Wait some seconds for the threads of all, and return those that still sample."""
        end = monotonic() + seconds
        alive = [sampler.thread for sampler in self._samplers if sampler.thread.is_alive()]
        for thread in alive:
            thread.join(max(0.0, end - monotonic()))
        return [thread for thread in alive if thread.is_alive()]

    # -- what happens

    def _begin(self, watch: Watch) -> None:
        if self._closed:
            watch.sampler.stop()
            watch.first.finish(None, ConfigError(f"lab {self._lab.name!r} is closed: make a new one"))
            return
        self._watches += (watch,)
        self._samplers = (*(other for other in self._samplers if not other.over), watch.sampler)
        self._handle(watch, Tick())

    def _seen(self, argument: tuple[Watch, Seen]) -> None:
        watch, seen = argument
        if self._closed or watch not in self._watches:
            return
        if seen.wrong and not watch.first.done():
            self._remove(watch)
            watch.first.finish(None, ConfigError(f"lab.interlock: {watch.message}: {seen.wrong}"))
            return
        watch.standing = watch.standing._replace(last=seen.sample)
        self._handle(watch, seen.event)
        if not watch.first.done():
            watch.first.finish(None, None)

    def _tick(self, watch: Watch) -> None:
        if not self._closed and watch in self._watches:
            self._handle(watch, Tick())

    def _handle(self, watch: Watch, event: Event) -> None:
        """Let the core decide, and carry it out."""
        for action in watch.core.handle(event, monotonic()):
            match action:
                case Trip(why):
                    self._trip(watch, why)
                case Clear():
                    self._clear(watch, "it is well again")
                case WakeAt(at):
                    watch.timer = self._decider.after(max(0.0, at - monotonic()), self._tick, watch)
                case _:
                    assert_never(action)

    def _trip(self, watch: Watch, why: str) -> None:
        watch.standing = watch.standing._replace(tripped=True, since=time.time(), reason=why)
        match watch.then:
            case "veto":
                self._veto(watch)
            case "cancel":
                self._veto(watch)
                self._tell_runs(watch, ev.Stopped(S.CANCELLED, f"interlock: {watch.message}"))
            case "pause":
                self._pausing += (watch,)
                self._tell_runs(watch, ev.Pause(Standstill(watch.message)))
            case "emergency_stop":
                self._lab.emergency_stop(watch.message)
            case _:
                assert_never(watch.then)
        self._tell(watch, why)
        if not watch.first.done():
            watch.first.finish(None, None)

    def _clear(self, watch: Watch, why: str) -> None:
        """Undo what a trip has done, as far as that is a state and not a deed."""
        watch.standing = watch.standing._replace(tripped=False, since=None, reason="")
        for cell in self._cells.values():
            cell.allow(watch)
        if watch in self._pausing:
            self._pausing = tuple(other for other in self._pausing if other is not watch)
            self._resume_runs()
        self._tell(watch, why)

    def _remove(self, watch: Watch) -> None:
        if watch not in self._watches:
            return
        self._watches = tuple(other for other in self._watches if other is not watch)
        self._end(watch)
        if watch.standing.tripped:
            self._clear(watch, "it was removed")

    @staticmethod
    def _end(watch: Watch) -> None:
        watch.sampler.stop()
        if watch.timer is not None:
            watch.timer.cancel()

    def close(self, _: Any = None) -> None:
        """End all interlocks; what is vetoed stays so while the lab ends."""
        self._closed = True
        for watch in self._watches:
            self._end(watch)

    def _tell(self, watch: Watch, why: str) -> None:
        """Tell of a trip or clear; on a worker thread, whoever listens to the log."""
        tripped = watch.standing.tripped
        self._events.add(
            "lab", "interlock", number=watch.number, message=watch.message, then=watch.then, tripped=tripped, why=why
        )
        text = f"interlock {watch.number} {'has tripped' if tripped else 'is clear'}: {watch.message} ({why})"
        level = logging.WARNING if tripped else logging.INFO
        logger = logging.getLogger("actorlab")
        self._lab.workers.put(partial(guarded, logger, partial(logger.log, level), text))

    # -- what follows for devices and runs

    def _veto(self, watch: Watch) -> None:
        for cell in self._cells.values():
            if watch.covers(cell):
                cell.veto(watch, watch.refusal)

    def _cover(self, cell: Cell) -> None:
        for watch in self._watches:
            if watch.standing.tripped and watch.then in ("veto", "cancel") and watch.covers(cell):
                cell.veto(watch, watch.refusal)

    def standstill(self, actor: RunActor) -> str:
        """Say why a run that is given its devices has to begin paused, or nothing; its root is paused too."""
        for watch in self._pausing:
            if any(map(watch.covers, actor.cells)):
                reason = Standstill(watch.message)
                self._decider.then(actor.root.on, ev.Pause(reason))
                return reason
        return ""

    def check_rearm(self) -> None:
        """Refuse to rearm the lab while there is a reason to stop everything.

        Raises:
            ActorLabError: an interlock is tripped; the message says which.

        """
        for watch in self._watches:
            if watch.then == "emergency_stop" and watch.standing.tripped:
                why = f"{watch.message} ({watch.standing.reason}; {watch.core.clears})"
                text = f"lab.rearm() is refused while an interlock is tripped: {why}"
                raise ActorLabError(text)

    def _tell_runs(self, watch: Watch, event: Any) -> None:
        for run in self._holders(watch):
            self._decider.then(run.on, event)

    def _holders(self, watch: Watch) -> list[RunActor]:
        """Return the root runs that hold one of an interlock's devices, by themselves or by a run below them."""
        found: dict[str, RunActor] = {}
        for actor in self._lab.book.under_way:
            if actor.core.state is not S.WAITING and any(map(watch.covers, actor.cells)):
                root = actor.root
                found[root.id] = root
        return list(found.values())

    def _resume_runs(self) -> None:
        """Resume the runs that stand still for an interlock, unless another one wants them to."""
        wanted = {run.id for watch in self._pausing for run in self._holders(watch)}
        for run in self._lab.book.under_way:
            ours = run.core.state in (S.PAUSING, S.PAUSED) and isinstance(run.core.pause_reason, Standstill)
            if ours and run.parent is None and run.id not in wanted:
                self._decider.then(run.on, ev.Resume())


def named(condition: Condition, number: int) -> str:
    """Return a message for an interlock that was given none: the name of its condition, if it has one."""
    name = getattr(condition, "__name__", "<lambda>")
    return f"interlock {number}" if name == "<lambda>" else name


def names_of(devices: Any) -> list[str]:
    """Return the names of devices that are given as proxies or names, several or one.

    Raises:
        ConfigError: there is something else among them.

    """
    alone = isinstance(devices, str) or issubclass(type(devices), DeviceRef)
    given: Iterable[Any] = [devices] if alone else devices
    return [name_of(item) for item in given]


def name_of(device: Any) -> str:
    """Return the name of one of them."""
    if issubclass(type(device), DeviceRef):  # `isinstance` would ask the driver for its class
        return device_name(device)
    if isinstance(device, str):
        return device
    text = f"lab.interlock(devices=…) takes devices of this lab or their names, not {device!r}"
    raise ConfigError(text)


def nonsense(condition: object, then: object, devices: tuple[str, ...] | None) -> Iterable[str]:
    """Yield what is wrong with what an interlock is made of."""
    if not callable(condition):
        yield f"{condition!r} is no condition: give a function without arguments, such as lambda: chiller.flow() > 1.0"
    if then not in get_args(Then):
        yield f"then={then!r} is none of {', '.join(map(repr, get_args(Then)))}"
    if then == "emergency_stop" and devices is not None:
        yield "then='emergency_stop' stops the whole lab, which leaves no meaning to devices=…: drop one of the two"
    if devices == ():
        yield "devices=() names no device: leave it out for all of the lab"
