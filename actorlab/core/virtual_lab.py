"""Let runs take place in virtual time: their own cores and the lease table decide, and nobody carries anything out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Final, NamedTuple, Protocol, TypeAlias

from actorlab.core import run_events as ev
from actorlab.core.lease_table import Blocker, LeaseTable, Request
from actorlab.core.run_core import RunCore, RunSpec
from actorlab.core.run_state import RunState
from actorlab.core.timeline import Activity, Timeline, Waited
from actorlab.core.virtual_clock import VirtualClock
from actorlab.errors import LeaseTimeout, RunCancelled, RunTimeout

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from actorlab.core.lease_table import Granted
    from actorlab.core.virtual_clock import Due

__all__ = ["Performance", "Performer", "Script", "VirtualLab", "VirtualRun"]

S = RunState
NOBODY: Final = (-1, -1)
MOMENT: Final = 1e-6


class Script(NamedTuple):
    """What is known of a run before it takes place; times in seconds from its submission."""

    id: str
    spec: RunSpec
    request: Request
    borrows: bool = False
    """What it requests are its parent's devices."""
    more: Request | None = None
    """What it asks the lab for, when it has what it borrows."""
    asks_later: bool = False
    """Its steps ask the lab for devices while it has its own."""
    not_before: float | None = None
    deadline: float | None = None
    lease_timeout: float | None = None
    rejects: bool = False
    replaces: str | None = None
    """The key of those that it replaces."""
    cleanup_bounds: tuple[float, ...] = ()
    under_way: bool = False
    """It holds its lease already, when the virtual time begins."""


Performance: TypeAlias = float | Script | None
"""For how many seconds a body goes on, or the run that it is; None: `VirtualRun.body_ended` will be called."""


class Performer(Protocol):
    """Know what bodies do."""

    def body(self, run: VirtualRun, step: int, attempt: int) -> Performance:
        """Begin the body of a step."""
        ...

    def cleanup(self, run: VirtualRun, number: int) -> float | None:
        """Begin a clean-up; return its seconds, or None: `VirtualRun.cleanup_ended` will be called."""
        ...

    def alarm(self, run: VirtualRun, step: int, reason: str) -> bool:
        """Stop the body of a step; True: it will tell its end itself."""
        ...

    def make_safe(self, run: VirtualRun, device: str) -> BaseException | None:
        """Make a device safe, and return why it couldn't be."""
        ...


class VirtualLab:
    """The leases and runs of a lab in virtual time; `limits` are the places of its slots."""

    def __init__(self, performer: Performer, limits: Mapping[str, int] | None = None) -> None:
        self.performer: Final = performer
        self.clock: Final = VirtualClock()
        self.timeline: Final = Timeline()
        self.runs: dict[str, VirtualRun] = {}
        """All that have begun, by their ids."""
        self.leases: Final = VirtualLeases(self.clock, LeaseTable(limits))

    def start(self, script: Script) -> VirtualRun:
        """Submit a run."""
        run = VirtualRun(self, script, None, NOBODY, ())
        self.clock.after(0.0, run.begin)
        return run

    def go_on_until_end(self, run: VirtualRun) -> None:
        """Let time pass until a run has ended, or nothing can happen any more."""
        tick = self.clock.tick
        while not run.ended and tick():
            pass

    def replace(self, run: VirtualRun, key: str) -> None:
        """Cancel the other runs with a key."""
        for other in list(self.runs.values()):
            if other is not run and not other.ended and other.parent is None and key in other.script.request.keys:
                other.on(ev.Stopped(S.CANCELLED, f"{run.id} replaces it"))


class VirtualLeases:
    """A lease table in virtual time, the lab's or that of a run's own devices."""

    def __init__(self, clock: VirtualClock, table: LeaseTable) -> None:
        self._clock = clock
        self._table = table
        self._waiting: dict[str, tuple[VirtualRun, tuple[Blocker, ...]]] = {}
        self._released: dict[str, int] = {}
        """The last activities of those whose leases have been given back, by their ids."""

    def request(self, run: VirtualRun, request: Request) -> None:
        """Ask for a run's lease, or for a part of it."""
        self._waiting[run.id] = run, ()
        granted = self._table.request(request, self._clock.now)
        if not any(grant.holder == run.id for grant in granted):
            self._waiting[run.id] = run, self._table.blockers(run.id)
        self._grant(granted, None)

    def release(self, run: VirtualRun) -> None:
        """Take a lease back, or withdraw a request; the run hears of it before anybody else is served."""
        self._waiting.pop(run.id, None)
        run.released()
        self._released[run.id] = run.last
        try:
            granted = self._table.release(run.id, self._clock.now)
        except KeyError:  # refused at once: it was never in the table
            return
        self._grant(granted, run)

    def waits(self, run: VirtualRun) -> bool:
        """Tell whether a run waits for its lease."""
        return run.id in self._waiting

    def blockers(self, run: VirtualRun) -> tuple[Blocker, ...]:
        """Return why a run waits now."""
        return self._table.blockers(run.id) if run.id in self._waiting else ()

    def _grant(self, granted: Iterable[Granted], releaser: VirtualRun | None) -> None:
        for grant in granted:
            run, blockers = self._waiting.pop(grant.holder)
            if run.script.more is not None and not run.asks_lab:
                self._clock.then(run.ask_lab)
                continue
            by = dict.fromkeys(holder for blocker in blockers for holder in blocker.by)
            if releaser is not None:
                by[releaser.id] = None
            until = tuple([self._released[holder] for holder in by if holder in self._released])
            run.has_lease(blockers, until)
            if run.parent is not None and run.script.borrows:
                self._clock.then(run.granted)
            else:
                if run.script.asks_later:
                    self._clock.then(self._expect_more, run)
                run.granted()
        if self._table.unfinished:
            self._clock.after(0.0, self._go_on)

    def _expect_more(self, run: VirtualRun) -> None:
        """Let nobody have a reservation who waits for a run whose steps have to wait themselves."""
        if not run.ended:
            self._grant(self._table.set_ending(run.id, ending=False, now=self._clock.now), None)

    def _go_on(self, _: Any) -> None:
        self._grant(self._table.go_on(self._clock.now), None)


class VirtualRun:
    """One run: its core decides, and its actions become events at their times."""

    __slots__ = (
        "_active",
        "_lab",
        "_loans",
        "_timers",
        "asked",
        "asks_lab",
        "begun",
        "children",
        "core",
        "drawn",
        "ended",
        "ended_at",
        "final",
        "id",
        "last",
        "on_end",
        "origin",
        "parent",
        "script",
        "units",
        "wait",
    )

    def __init__(
        self,
        lab: VirtualLab,
        script: Script,
        parent: VirtualRun | None,
        origin: tuple[int, int],
        behind: tuple[int, ...],
    ) -> None:
        self._lab = lab
        self._active: dict[int, int] = {}  # the attempts of bodies that go on
        self._loans: VirtualLeases | None = None
        self.asks_lab = False
        self._timers: list[Due] = []
        self.wait = lab.timeline.begin("lease", script.id, -1, behind, lab.clock.now)
        """Its wait for its lease."""
        self.id = script.id
        self.script = script
        self.parent = parent
        self.origin = origin
        """The step of its parent that it is, and the attempt."""
        self.core = RunCore(script.spec)
        self.units: dict[int, VirtualRun] = {}
        self.drawn: dict[int, None] = {}
        self.children: tuple[VirtualRun, ...] = ()
        """The runs that bodies have started."""
        self.begun = False
        self.on_end: Callable[[], None] | None = None
        self.asked: tuple[int, ...] = ()
        """Steps over which an operator would have been asked."""
        self.last = self.wait.number
        self.final: dict[int, int] = {}
        """The last activity of each step, and of each clean-up, by its number."""
        self.ended = False
        self.ended_at: float | None = None

    # -- from outside

    def begin(self, _: Any = None) -> None:
        """Begin."""
        if self.ended:  # it was stopped before
            return
        lab, script = self._lab, self.script
        lab.runs[self.id] = self
        parent = self.parent
        self.begun = True
        if parent is not None and self.origin[0] < 0:
            parent.on(ev.ChildBegun())
        if parent is not None and (parent.ended or parent.core.state is S.CANCELLING):
            self.on(ev.Stopped(S.CANCELLED, parent.core.reason or "the run that started it has ended"))
            return
        if script.lease_timeout is not None:
            self._after(script.lease_timeout, self._lease_timeout)
        if script.deadline is not None:
            self._after(script.deadline, self.on, ev.Stopped(S.TIMED_OUT, "its deadline has come"))
        if script.not_before is not None:
            self._after(script.not_before, self.on, ev.Begun())
        elif parent is not None and parent.script.under_way and not (script.under_way or lab.clock.now):
            self._after(MOMENT, self.on, ev.Begun())  # those that hold their leases already come first
        else:
            self.on(ev.Begun())

    def on(self, event: Any) -> None:
        """Let the core decide, and note what follows."""
        deeds = self.deeds
        for action in self.core.handle(event, self._lab.clock.now, False):
            deed = deeds.get(action.__class__)
            if deed is not None:
                deed(self, action)

    def body_ended(self, argument: tuple[int, int, BaseException | None]) -> None:
        """Hear that a body has ended."""
        step, attempt, error = argument
        if step in self.final:  # else it was stopped before it had begun
            activity = self._lab.timeline.activities[self.final[step]]
            if activity.attempt == attempt and step in self._active:
                activity.end = self._lab.clock.now
        self._active.pop(step, None)
        self.on(ev.BodyEnded(step, attempt, error))

    def cleanup_ended(self, argument: tuple[int, BaseException | None]) -> None:
        """Hear that a clean-up has ended."""
        number, error = argument
        if self._active.pop(-1 - number, None) is None:  # it was given up
            return
        self._lab.timeline.activities[self.final[-1 - number]].end = self._lab.clock.now
        self.on(ev.CleanupEnded(number, error))

    def has_lease(self, blockers: tuple[Blocker, ...], until: tuple[int, ...]) -> None:
        """Note that the lease is there, what was in its way, and whose ends it awaited."""
        wait, now = self.wait, self._lab.clock.now
        self._lab.timeline.granted(wait, until, now)
        wait.waits = tuple([
            Waited(blocker.resource, ", ".join(blocker.by), now - wait.begin) for blocker in blockers
        ])  # fmt: skip

    def granted(self, _: Any = None) -> None:
        """Hear that the lease is there."""
        self.on(ev.Granted())

    def released(self, _: Any = None) -> None:
        """Hear that the lease was taken back."""
        self.on(ev.Released())

    # -- actions

    def _after(self, seconds: float, deed: Callable[[Any], object], argument: Any = None) -> None:
        self._timers.append(self._lab.clock.after(seconds, deed, argument))

    def _ask_lease(self, _: ev.AskLease) -> None:
        if self.wait.begin < self._lab.clock.now:  # it had to wait for a time
            self.wait.delay += self._lab.clock.now - self.wait.begin
            self.wait.begin = self._lab.clock.now
        if self.script.borrows and self.parent is not None:
            self.parent.lend(self)
            return
        if self.script.replaces is not None:
            self._lab.replace(self, self.script.replaces)
        self._lab.leases.request(self, self.script.request)
        if self.script.rejects and self._lab.leases.waits(self):
            self.on(ev.Refused(LeaseTimeout(f"{self.id} would be rejected: {self._in_its_way(self._lab.leases)}")))

    def lend(self, child: VirtualRun) -> None:
        """Lend devices to a child: at once, or when its siblings have given them back."""
        if not child.script.request.devices:
            self._lab.clock.then(child.granted if child.script.more is None else child.ask_lab)
            return
        if self._loans is None:
            self._loans = VirtualLeases(self._lab.clock, LeaseTable())
        self._loans.request(child, child.script.request)

    def ask_lab(self, _: Any = None) -> None:
        """Ask the lab for what can't be borrowed."""
        if self.script.more is not None and self.core.state is S.WAITING and self.core.final is S.SUCCEEDED:
            self.asks_lab = True
            self._lab.leases.request(self, self.script.more)

    def take_back(self, child: VirtualRun) -> None:
        """Take back what was lent to a child, or its wish."""
        if self._loans is None or not child.script.request.devices:
            self._lab.clock.then(child.released)
        else:
            self._lab.clock.then(self._loans.release, child)

    def _lease_timeout(self, _: Any) -> None:
        if self.core.state is S.WAITING:
            why = self._in_its_way(self._lab.leases)
            text = f"{self.id} gives up after waiting {self.script.lease_timeout:g} s: {why}"
            self.on(ev.Refused(LeaseTimeout(text)))

    def _in_its_way(self, leases: VirtualLeases) -> str:
        blockers = leases.blockers(self)
        return "; ".join(f"{blocker.resource} is taken by {', '.join(blocker.by)}" for blocker in blockers)

    def _start_body(self, action: ev.StartBody) -> None:
        step, attempt = action
        if step in self.script.spec.late and step not in self.drawn:
            self.drawn[step] = None
            self._lab.clock.after(0.0, self.on, ev.Drawn(step, attempt))
            return
        self.drawn.pop(step, None)  # another attempt is drawn anew
        behind = self._behind(step, attempt)
        performance = self._lab.performer.body(self, step, attempt)
        if isinstance(performance, Script):
            child = VirtualRun(self._lab, performance, self, (step, attempt), behind)
            self.units[step] = child
            self.final[step] = child.last
            self._lab.clock.after(0.0, child.begin)
            return
        self._begin("step", step, attempt, behind)
        if performance is not None:
            self._lab.clock.after(performance, self.body_ended, (step, attempt, None))

    def _begin(self, kind: Any, step: int, attempt: int, behind: tuple[int, ...]) -> Activity:
        lab = self._lab
        activity = lab.timeline.begin(kind, self.id, step, behind, lab.clock.now, attempt=attempt)
        self.final[step] = activity.number
        self._active[step] = attempt
        return activity

    def _behind(self, step: int, attempt: int) -> tuple[int, ...]:
        """Return the activities behind which a step begins: of its parents, or its own one that failed."""
        final = self.final
        if attempt > 1 and step in final:
            return (final[step],)
        behind = tuple([final[parent] for parent in self.script.spec.plan.parents[step] if parent in final])
        return behind or (self.wait.number,)

    def _alarm_body(self, action: ev.AlarmBody) -> None:
        step, reason = action
        unit = self.units.get(step)
        if unit is not None and not unit.ended:
            unit.on(ev.Stopped(S.CANCELLED, reason))
        elif not self._lab.performer.alarm(self, step, reason):
            self._lab.clock.after(0.0, self.body_ended, (step, self.core.attempts(step), None))

    def _set_timer(self, action: ev.SetTimer) -> None:
        self._after(action.seconds, self.on, action.event)

    def _await_devices(self, action: ev.AwaitDevices) -> None:
        self._lab.clock.then(self.on, ev.DevicesReady(action.step))

    def _ask_decision(self, action: ev.AskDecision) -> None:
        self.asked += (action.step,)
        self._lab.clock.then(self.on, ev.Decided(action.step, "abort"))

    def _start_cleanup(self, action: ev.StartCleanup) -> None:
        number = action.number
        behind = (self.final[-2 - number],) if -2 - number in self.final else self._ends()
        self._begin("cleanup", -1 - number, 1, behind)
        seconds, bound = self._lab.performer.cleanup(self, number), self.script.cleanup_bounds[number]
        error = TimeoutError(f"the clean-up didn't end within {bound:g} s")
        if seconds is None or seconds > bound:
            self._after(bound, self.cleanup_ended, (number, error))
        else:
            self._after(seconds, self.cleanup_ended, (number, None))

    def _ends(self) -> tuple[int, ...]:
        """Return the activities behind which the run's end comes: of the steps that nobody awaits."""
        final, children = self.final, self.script.spec.plan.children
        ends = tuple(
            [final[step] for step in final if step >= 0 and not any(child in final for child in children[step])]
        )
        return ends or (self.wait.number,)

    def _make_safe(self, action: ev.MakeSafe) -> None:
        error = self._lab.performer.make_safe(self, action.device)
        self._lab.clock.then(self.on, ev.MadeSafe(action.device, error))

    def _release_lease(self, _: ev.ReleaseLease) -> None:
        parent = self.parent
        if not self.script.borrows or parent is None:
            self._lab.leases.release(self)
        else:
            parent.take_back(self)
            if self.asks_lab:
                self._lab.leases.release(self)

    def _end(self, action: ev.End) -> None:
        del action
        for timer in self._timers:
            timer.cancel()
        lab, cleanups = self._lab, self.script.spec.cleanups
        behind = (self.final[-1],) if cleanups and -1 in self.final else self._ends()
        self.last = lab.timeline.begin("end", self.id, -1, behind, lab.clock.now).number
        self.ended = True
        self.ended_at = lab.clock.now
        if self.on_end is not None:
            self.on_end()
        if self.parent is not None:
            self.parent.unit_ended(self, *self.origin)

    def unit_ended(self, unit: VirtualRun, step: int, attempt: int) -> None:
        """Hear that a step which is a run of its own, or a child of a body, has ended."""
        if step >= 0:
            self.final[step] = unit.last
            self.on(ev.BodyEnded(step, attempt, unit.outcome()))
        elif unit.begun:
            self.on(ev.ChildEnded())

    def spawn(self, script: Script, step: int) -> VirtualRun:
        """Start a child run of the body of a step, which goes on."""
        child = VirtualRun(self._lab, script, self, (-1, step), (self.final[step],) if step in self.final else ())
        self.children = (*self.children, child)
        self._lab.clock.after(0.0, child.begin)
        return child

    def _stop_children(self, action: ev.StopChildren) -> None:
        for child in self.children:
            if not child.ended:
                child.on(ev.Stopped(S.CANCELLED, action.reason))

    def outcome(self) -> BaseException | None:
        """Return the error with which it ended, if it did."""
        if self.core.final is S.SUCCEEDED:
            return None
        reason = self.core.reason
        ended = RunTimeout if self.core.final is S.TIMED_OUT else RunCancelled
        return self.core.error or ended(f"{self.id} was stopped: {reason}", reason=reason)

    deeds: ClassVar[Mapping[type, Callable[[Any, Any], None]]] = {
        ev.AskLease: _ask_lease,
        ev.AskDecision: _ask_decision,
        ev.StartBody: _start_body,
        ev.AlarmBody: _alarm_body,
        ev.StopChildren: _stop_children,
        ev.SetTimer: _set_timer,
        ev.AwaitDevices: _await_devices,
        ev.StartCleanup: _start_cleanup,
        ev.MakeSafe: _make_safe,
        ev.ReleaseLease: _release_lease,
        ev.End: _end,
    }
    """What isn't among them moves no time: fences, pauses, and what only tells how things stand."""
