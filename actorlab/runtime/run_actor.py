"""Supervise one run: take its lease, start its bodies, retry, cancel, make safe, release; decided by its core."""

from __future__ import annotations

import contextvars
import random
import time
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Final

from actorlab.arguments import replace
from actorlab.core import run_events as ev
from actorlab.core.lease_table import Mode, Request
from actorlab.core.plan import Plan
from actorlab.core.run_core import RunCore
from actorlab.core.run_state import TERMINAL, RunState
from actorlab.errors import (
    LeaseLost,
    LeaseTimeout,
    NotLeased,
    RunCancelled,
    text_of,
)
from actorlab.kernel import Actor, Reply
from actorlab.options import seconds_until
from actorlab.runtime.body import Body
from actorlab.runtime.loans import Loans
from actorlab.runtime.notes import Notes, reasons_of
from actorlab.runtime.parameters import Parameters
from actorlab.runtime.records import Records
from actorlab.runtime.run import Run
from actorlab.runtime.run_bodies import (
    BODIES,
    alarm_body,
    end_waits,
    fence,
    fence_body,
    give_up,
    grace_over,
    put_to_work,
    start_cleanup,
    take,
)
from actorlab.runtime.run_ending import NO_TIMERS, end
from actorlab.runtime.run_spec import ONE, spec_of
from actorlab.runtime.run_tellings import ask_decision
from actorlab.runtime.running import draw_late
from actorlab.runtime.state_tellings import told_of_run, told_of_step
from actorlab.runtime.values import Values
from actorlab.runtime.work import Work
from actorlab.task import Options
from actorlab.unknown import Unknown, value_of

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from actorlab.choosing import Late
    from actorlab.drawing import Drawing
    from actorlab.runtime.cell import Cell
    from actorlab.runtime.lab import Lab
    from actorlab.runtime.per_call import PerCall
    from actorlab.runtime.reason import Reason

__all__ = ["NOTHING", "ONE", "RunActor"]

S = RunState
monotonic = time.monotonic
EXCLUSIVE, SHARED = Mode.EXCLUSIVE, Mode.SHARED
RUNS: Final = ("runs",)
FEW: Final = 8
"""So many names are looked through as fast as a set of them is asked, and take less memory."""
NOTHING: Final[frozenset[str]] = frozenset()
NO_RUNS: Final[list[Run[Any]]] = []  # nobody writes to these two: most runs have neither children nor a parent
NOWHERE: Final[dict[str, Any]] = {}
draw = random.Random().random  # noqa: S311 - the jitter of retries is no secret


class RunActor(Actor):
    """The supervisor actor of one run: an address on the deciding thread.

    Its core decides; this carries the actions out. pykka's own constructor isn't called: it makes a URN and an event,
    which would cost as much as a whole run.
    """

    __slots__ = (
        "asked",
        "bodies",
        "borrows",
        "cells",
        "children",
        "cleanups",
        "context",
        "core",
        "decider",
        "drawing",
        "drawings",
        "extra_grace",
        "gate",
        "held",
        "holding_bodies",
        "id",
        "journal",
        "lab",
        "lease",
        "lease_per_step",
        "leased",
        "lives",
        "loans",
        "lost",
        "name",
        "notes",
        "on_end",
        "options",
        "parent",
        "parent_body",
        "place",
        "results",
        "run",
        "shared",
        "stacks",
        "timers",
        "units",
        "values",
        "work",
    )  # fmt: skip

    def __init__(
        self,
        lab: Lab,
        run_id: str,
        name: str,
        work: Sequence[Work],
        *,
        plan: Plan = ONE,
        cleanups: Sequence[Work] = (),
        cells: list[Cell],
        shared: frozenset[str],
        options: Options,
        drawing: Drawing | None = None,
        parent: RunActor | None = None,
        parent_body: Body | None = None,
        borrows: bool = False,
        leased: list[Cell] | None = None,
    ) -> None:
        self.lab = lab
        self.id = run_id
        self.name = name
        self.work = work
        self.cleanups = cleanups
        self.cells = cells
        self.shared = shared
        self.options = options
        self.parent = parent
        self.parent_body = parent_body
        self.borrows = borrows
        """Whether it asks the run around it for devices."""
        self.leased = cells if leased is None else leased
        """Those of its devices that it asks the lab for; the others are borrowed."""
        self.drawing = drawing
        self.lease_per_step = drawing is not None and options.lease != "run"
        self.lease: object | None = self
        """The token of a device that the run holds while none of its bodies uses it: nobody's calls carry it."""
        self.lives: dict[str, int] = {}
        self.bodies: dict[int, Body] = {}
        self.children = NO_RUNS
        self.units: dict[int, Run[Any]] = {}
        self.drawings: dict[int, Drawing] = {}
        """The drawings of the steps that are drawn late, from when they are drawn until they begin."""
        self.holding_bodies = False
        self.context: contextvars.Context | None = contextvars.copy_context()
        self.values = Values()
        self.results: dict[Any, Values] = {} if parent is None else dict(parent.results)
        """The values of the steps of this drawing and of those around it, by the drawing's path."""
        if drawing is not None:
            self.results[drawing.path] = self.values
        self.stacks: tuple[str, ...] = ()
        self.on_end: Callable[[], None] | None = None
        names = tuple([cell.name for cell in cells]) if cells else ()
        self.held: Collection[str] = names if len(names) <= FEW else frozenset(names)
        self.gate: Reply[None] | None = None
        self.loans: Loans | None = None
        self.notes = Notes(options.not_before)
        self.timers = NO_TIMERS
        self.extra_grace = 0.0
        self.lost = ""
        self.decider = lab.decider
        self.journal = lab.journalling
        self.asked: dict[str, Any] | None = None
        """What its user has asked for, as the lab's journal keeps it."""
        self.place = NOWHERE
        """Where in its parent it belongs."""
        spec = spec_of(self, plan)
        self.core = RunCore(spec) if self.journal is None else self.journal.run_core(spec, run_id)
        self.run: Run[Any] = Run(self)

    resumed = False
    """Whether it goes on with what an earlier run of its id had done."""
    listed_as = ""
    """What a journal lists it as, if that is neither a task nor a workflow."""
    asked_by = ""
    """Who asked for it, if that is somebody else than whoever runs the lab."""

    @property
    def service(self) -> str:
        """Return the name of the service whose life this run is, or nothing."""
        return ""

    @property
    def root(self) -> RunActor:
        """Return the run around all others."""
        actor: RunActor = self
        while actor.parent is not None:
            actor = actor.parent
        return actor

    # -- from any thread

    def post(self) -> None:
        """Begin."""
        self.decider.post(self._begin)

    def go_on(self) -> None:
        """Begin, when it has been announced."""
        self.decider.post(self._set_out)

    def cancel(self, reason: str) -> None:
        """Ask for the end."""
        self.decider.post(self.on, ev.Stopped(S.CANCELLED, reason))

    def interrupt(self, reason: str) -> None:
        """Ask for the end, as the lab ends: the run may go on in another one."""
        self.decider.post(self.on, ev.Stopped(S.INTERRUPTED, reason))

    def revoke(self, reason: str) -> None:
        """Take the lease away."""
        self.decider.post(self._revoke, reason)

    def pause(self, reason: str) -> None:
        """Ask for a pause."""
        self.decider.post(self.on, ev.Pause(reason))

    def resume(self) -> None:
        """Go on after a pause."""
        self.decider.post(self.on, ev.Resume())

    def per_call(self, body: Body, cell: Cell) -> PerCall | None:
        """Return how a body may use a device that it doesn't hold, or None: not at all."""
        del body, cell
        return None

    def leaves_to_children(self, body: Body, cell: Cell) -> bool:
        """Tell whether a device is among a body's arguments, though the body doesn't hold it."""
        work = self.work[body.index] if body.index >= 0 else self.cleanups[-1 - body.index]
        return self.options.lease != "run" and cell.name in (*work.exclusive, *work.shared)

    def stand(self, body: Body) -> None:
        """Let a body stand still until it is freed; from its own thread."""
        gate = self.stood(body)
        if gate is not None:
            body.wait(gate)

    def stood(self, body: Body) -> Reply[None] | None:
        """Take note that a body stands, and return what it waits for; None: go on. From any thread."""
        gate = self.gate
        if not self.holding_bodies or gate is None:
            return None
        self.decider.post(self.on, ev.Stood(body.index))
        return gate

    @property
    def parameters(self) -> Parameters:
        """Return the parameters of the run."""
        if self.notes.parameters is None:
            self.notes.parameters = Parameters(self.id)
        return self.notes.parameters

    def records(self) -> Records:
        """Return what the run's bodies record."""
        if self.notes.records is None:
            self.notes.records = Records(self.lab.keep_rows)
        return self.notes.records

    # -- the deciding thread: events in, actions out

    def on(self, event: Any) -> None:
        """Let the core decide, and carry its actions out."""
        deeds = self.deeds
        for action in self.core.handle(event, monotonic(), self.lab.events.heard):
            deeds[action.__class__](self, action)

    def _begin(self, _: Any) -> None:
        self.announce()
        self._set_out()

    def announce(self) -> None:
        """Let the run be known; for the deciding thread."""
        self.lab.book.begin(self)
        if self.journal is not None:
            self.journal.begun(self, monotonic())
        events = self.lab.events
        if events.heard:
            if self.lab.tracing is not None:
                self.lab.tracing.announced(self)
            devices = [cell.name for cell in self.cells]
            events.tell(self.id, "run", {"state": S.WAITING, "task": self.name, "devices": devices})

    def _set_out(self, _: Any = None) -> None:
        if self.core.final is not S.SUCCEEDED:  # the step of which it is a run was stopped meanwhile
            return
        if self.parent is not None:
            self.parent.child_begun(self)
            if self.parent.core.state.terminal or self.parent.core.state is S.CANCELLING:
                self.on(ev.Stopped(S.CANCELLED, self.parent.core.reason or "the run that started it has ended"))
                return
        if (refusal := self.lab.ending.refusal) is not None and not self.lab.ending.lets_begin(self):
            self.on(ev.Refused(refusal))
            return
        self._apply()

    def _apply(self) -> None:
        """Ask for the lease, now or when it is time."""
        if self.options.lease_timeout is not None and self.cells:
            self.timer(self.options.lease_timeout, self._lease_timeout)
        if self.options.deadline is not None:
            reason = f"its deadline ({self.options.deadline}) has come"
            self.timer(seconds_until(self.options.deadline), self.on, ev.Stopped(S.TIMED_OUT, reason))
        if self.options.not_before is not None:
            self.timer(seconds_until(self.options.not_before), self._due)
        else:
            self.on(ev.Begun())

    def _due(self, _: Any) -> None:
        self.notes.waits_until = None
        self.on(ev.Begun())

    @property
    def wants_nothing(self) -> bool:
        """Tell whether the run needs no device, no place and no key."""
        options = self.options
        return not (self.leased or options.tags or options.exclusive or options.key is not None)

    @property
    def has_place(self) -> bool:
        """Tell whether the run has its share of the lab, in which those that are nested in it have part."""
        return True

    def request(self) -> Request:
        """Say what the run needs to begin."""
        options = self.options
        devices = self._modes(self.leased)
        if self.parent is not None:
            return Request(self.id, devices, priority=options.priority, nested=self.parent.has_place)
        slots = RUNS if not options.tags else ("runs", *(f"tag:{tag}" for tag in options.tags))
        keys = () if options.key is None else (options.key,)
        return Request(self.id, devices, slots, keys, options.exclusive, options.priority)

    def loan_request(self) -> Request:
        """Say what the run needs of the one around it."""
        return Request(self.id, self._modes(self.borrowed), priority=self.options.priority)

    @property
    def borrowed(self) -> list[Cell]:
        """Return the devices that the run around it lends to it."""
        return [cell for cell in self.cells if cell not in self.leased] if self.leased else self.cells

    def _modes(self, cells: list[Cell]) -> tuple[tuple[str, Mode], ...]:
        shared = self.shared
        return tuple([(cell.name, SHARED if cell.name in shared else EXCLUSIVE) for cell in cells])

    def lent(self, _: Any = None) -> None:
        """Hear that what it borrows is there; it may need more."""
        if not self.leased:
            self.granted()
        elif self.core.state is S.WAITING and self.core.final is S.SUCCEEDED:  # nobody has stopped it meanwhile
            self.lab.lab_actor.leases.request(self)

    def granted(self, pause: str | None = None) -> None:
        """Hear that the lease is there, and maybe why the run has to begin paused."""
        if self.journal is not None and self.cells and not self.borrows and not self.service:
            self.notes.waits_for = "what its devices say of themselves"
            look = self.journal.provenance.look_at_devices
            self.lab.workers.put(partial(look, self, pause or ""))
        else:
            self.looked(pause or "")

    def looked(self, pause: str) -> None:
        """Begin, as the devices have said how they stand."""
        self.notes.waits_for = ""
        self.on(ev.Granted(pause))

    def refused(self, error: BaseException) -> None:
        """Hear that it can't be had."""
        self.on(ev.Refused(error))

    def released(self, _: Any = None) -> None:
        """Hear that the lease was taken back."""
        self.on(ev.Released())

    def _lease_timeout(self, _: Any) -> None:
        if self.core.state is S.WAITING and not self.notes.waits_for:
            reasons = "; ".join(reasons_of(self)) or f"{self.id} waited for its lease"
            text = f"{reasons}; it gave up after {self.options.lease_timeout:g} s"
            self.on(ev.Refused(LeaseTimeout(text)))

    def _revoke(self, reason: str) -> None:
        self.lost = f"{self.id} lost its lease: {reason}"
        self.on(ev.Stopped(S.CANCELLED, reason))
        for step, body in list(self.bodies.items()):
            fence_body(self, ev.FenceBody(step))
            body.fence(self.lost)

    def stop_at_once(self, reason: str) -> None:
        """End without clean-ups and without grace; for the deciding thread."""
        self.on(ev.Stopped(S.CANCELLED, reason, hurry=True))
        for body in list(self.bodies.values()):
            body.fence()
            end_waits(self, body, shielded=True)

    # -- actions

    def _ask_lease(self, _: ev.AskLease) -> None:
        if self.borrows and self.parent is not None:
            self.parent.lend(self)
        else:
            if self.options.on_conflict == "replace":
                self._replace_others()
            self.lab.lab_actor.leases.request(self)

    def _replace_others(self) -> None:
        """Cancel the other runs with the same key: they have to end before this one has its lease."""
        for other in self.lab.book.under_way:
            if other is not self and other.parent is None and other.options.key == self.options.key:
                other.on(ev.Stopped(S.CANCELLED, f"{self.id} replaces it"))

    def _start_body(self, action: ev.StartBody) -> None:
        step, attempt = action
        work = self.work[step]
        self.notes.began[step] = monotonic()
        if step in self.core.spec.units:
            if work.late is not None and step not in self.drawings:
                self._draw(step, attempt, work, work.late)
            else:
                self._start_unit(step, attempt, work)
            return
        name = self.id if len(self.work) == 1 else f"{self.id}/{work.name}"
        body = BODIES[work.task.place](self, step, attempt, name)
        self.bodies[step] = body
        if self.cells:
            take(self, body, work, fresh=attempt > 1)
        if self.journal is not None and body.holds:
            self.journal.once_written(partial(self._go, body, work))
        else:
            put_to_work(self, body, work)

    def _go(self, body: Body, work: Work, error: BaseException | None) -> None:
        """Have a body begin to use its devices, unless what led to it can't be written down."""
        if self.bodies.get(body.index) is not body:
            return  # it was given up meanwhile
        if error is None:
            put_to_work(self, body, work)
        else:
            self.body_ended((body.index, body.attempt, None, error))

    def fail(self, error: BaseException) -> None:
        """End the run by an error from outside; for the deciding thread."""
        self.on(ev.Stopped(S.FAILED, str(error), error))

    @property
    def uses_devices(self) -> bool:
        """Tell whether the run or one of its steps uses a device."""
        return bool(self.cells) or any(work.exclusive or work.shared for work in self.work)

    def _draw(self, step: int, attempt: int, work: Work, late: Late) -> None:
        """Have a step drawn by a worker: what the user wrote doesn't run on the deciding thread."""
        body = self.bodies[step] = Body(self, step, attempt, f"{self.id}/{work.name}")
        self.lab.workers.put(partial(draw_late, body, work, late))

    def drawing_ended(self, argument: tuple[Body, Drawing | None, BaseException | None]) -> None:
        """Hear that a step is drawn, or can't be."""
        body, drawing, error = argument
        step, attempt = body.index, body.attempt
        if self.bodies.get(step) is body:
            del self.bodies[step]
            body.ended = body.alarm = True
        if error is not None or drawing is None:
            self._step_ended(step, attempt, error)
        else:
            self.drawings[step] = drawing
            self.on(ev.Drawn(step, attempt))

    def _start_unit(self, step: int, attempt: int, work: Work) -> None:
        """Start a step that is a run of its own: a nested workflow, or one that leases for itself."""
        if work.late is not None:
            work = work._replace(drawing=self.drawings.pop(step))
        child = self._make_unit(step, work)
        child.place = {"step": step}
        self.units[step] = child.run
        self._add_child(child.run)
        child.run.observed = True
        run = child.run
        child.on_end = lambda: self._unit_ended(step, attempt, run)
        child.announce()
        child.go_on()

    def _make_unit(self, step: int, work: Work) -> RunActor:
        """Make the run of a step that is one of its own."""
        del step
        return self.lab.maker.unit(self, work)

    def make_for_child(self, body: Body, work: Work) -> Callable[..., RunActor]:
        """Return what makes the supervisor of a child run that a body asks for; from the body's thread."""
        del body, work
        return RunActor

    def _unit_ended(self, step: int, attempt: int, child: Run[Any]) -> None:
        error = child.reply.exception(0)
        if error is None:
            self.values.later[step] = child.supervisor
        self._step_ended(step, attempt, error)

    def body_ended(self, argument: tuple[int, int, Any, BaseException | None]) -> None:
        """Hear that a body has ended."""
        step, attempt, value, error = argument
        body = self.bodies.get(step)
        if body is not None and body.attempt == attempt:
            del self.bodies[step]
            if body.alarm and isinstance(error, Exception):
                self._failed_stopping(body, error)
            body.ended = body.alarm = True
            if body.holds:
                give_up(self, body)
        if error is None:
            self.values[step] = value
        self._step_ended(step, attempt, error)

    def _failed_stopping(self, body: Body, error: Exception) -> None:
        """Keep what a body raised of its own as it was stopped: the run ends as it would have, and says so."""
        if isinstance(error, (RunCancelled, LeaseLost, NotLeased)):  # by which it was stopped
            return
        self.notes.failed_stopping += ((body.name, error),)
        text = f"{body.name} failed as it was stopped: {text_of(error)}"
        self.lab.logger.warning(text, run=self.id, step=body.name)

    def _step_ended(self, step: int, attempt: int, error: BaseException | None) -> None:
        self.notes.ended[step] = monotonic()
        self.on(ev.BodyEnded(step, attempt) if error is None else ev.BodyEnded(step, attempt, error, draw()))

    def _stop_children(self, action: ev.StopChildren) -> None:
        for child in tuple(self.children):
            if not child.done():
                child.supervisor.on(ev.Stopped(S.CANCELLED, action.reason))

    def _set_timer(self, action: ev.SetTimer) -> None:
        if action.event.__class__ is ev.GraceOver:
            self.timer(action.seconds + self.extra_grace, partial(grace_over, self), action.event)
        else:
            self.timer(action.seconds, self.on, action.event)

    def timer(self, seconds: float, function: Callable[[Any], object], argument: Any = None) -> None:
        """Do something after some seconds, if the run hasn't ended by then."""
        if self.timers is NO_TIMERS:
            self.timers = []
        self.timers.append(self.decider.after(seconds, function, argument))

    def _await_devices(self, action: ev.AwaitDevices) -> None:
        work, step = self.work[action.step], action.step
        cells = [self.lab.cells[name] for name in (*work.exclusive, *work.shared) if name in self.lab.cells]
        self.notes.retry_waits[step] = ", ".join(cell.name for cell in cells)
        self.lab.lab_actor.lives.when_ready(
            cells, lambda ready: self.on(ev.DevicesReady(step) if ready else ev.DevicesLost(step))
        )

    def _hold_bodies(self, _: ev.HoldBodies) -> None:
        self.gate = Reply()
        self.holding_bodies = True
        for body in self.bodies.values():
            body.look_up()
        for child in tuple(self.children):
            if not child.done():
                child.supervisor.on(ev.Pause(self.core.pause_reason))
        self.note_standing_children()

    def _free_bodies(self, _: ev.FreeBodies) -> None:
        self.holding_bodies = False
        if self.gate is not None:
            self.gate.finish(None, None)
        for child in tuple(self.children):
            if child.state in (S.WAITING, S.PAUSING, S.PAUSED):
                child.supervisor.on(ev.Resume())

    def note_standing_children(self) -> None:
        """Tell of bodies that stand still since they wait for a child that does, and of units that do."""
        if self.core.state is not S.PAUSING:
            return
        for step, unit in list(self.units.items()):
            if stands_still(unit):
                self.on(ev.Stood(step))
        for step, body in list(self.bodies.items()):
            awaited = body.waits.get(body.thread)
            if any(child.reply is awaited and stands_still(child) for child in self.children):
                self.on(ev.Stood(step))

    def cleanup_ended(self, argument: tuple[int, Body, BaseException | None]) -> None:
        """Hear that a clean-up has ended."""
        index, body, error = argument
        if not body.ended:
            del self.bodies[body.index]
            give_up(self, body)
            self.on(ev.CleanupEnded(index, error))

    def _make_safe(self, action: ev.MakeSafe) -> None:
        name = action.device
        self.lab.lab_actor.safety.make_safe(self.lab.cells[name], lambda error: self.on(ev.MadeSafe(name, error)))

    def _release_lease(self, _: ev.ReleaseLease) -> None:
        for body in self.bodies.values():
            body.ended = body.alarm = True
        if self.borrows and self.parent is not None:
            self.parent.take_back(self)
        if self.leased or not self.borrows:
            self.lab.lab_actor.leases.release(self)

    def _moved(self, action: ev.Moved) -> None:
        old, new = action
        if old is S.WAITING:
            self.notes.since = monotonic()
        if new is S.CANCELLING:
            self.notes.stopped = monotonic()
        if new not in TERMINAL:
            if self.lab.events.heard:
                self.lab.events.tell(self.id, "run", told_of_run(self, new))
            if self.journal is not None:
                self.journal.moved(self, new)
        if (new is S.PAUSED or old is S.PAUSED) and (self.leased or not self.borrows):
            self.lab.lab_actor.leases.set_ending(self.id, ending=new is not S.PAUSED)
        if new is S.PAUSED and self.parent is not None:
            self.parent.note_standing_children()

    def _step_moved(self, action: ev.StepMoved) -> None:
        if self.lab.events.heard and len(self.work) > 1:
            subject = f"{self.id}/{self.work[action.step].name}"
            self.lab.events.tell(subject, "step", told_of_step(self, action.step, action.new))

    # -- children and loans

    def _add_child(self, run: Run[Any]) -> None:
        if self.children is NO_RUNS:
            self.children = []
        self.children.append(run)

    def child_begun(self, child: RunActor) -> None:
        """Take note of a child run of a body."""
        if child.parent_body is not None:
            self._add_child(child.run)
            self.on(ev.ChildBegun())

    def child_ended(self, child: RunActor) -> None:
        """Take note of its end."""
        if child.parent_body is not None:
            self.on(ev.ChildEnded())

    def lend(self, child: RunActor) -> None:
        """Lend devices to a child."""
        if not child.cells:
            self.decider.then(child.lent)
            return
        if self.loans is None:
            self.loans = Loans(self)
        self.loans.lend(child)

    def take_back(self, child: RunActor) -> None:
        """Take back what was lent to a child."""
        self.decider.then(child.released)
        self.lives.update(child.lives)
        if self.loans is not None and child.borrowed:
            self.loans.take_back(child)

    def token_of(self, cell: Cell) -> object:
        """Return the token of a device that isn't lent out: of the body that holds it, or nobody's."""
        for body in self.bodies.values():
            hold = body.holds.get(cell.name)
            if hold is not None and hold.exclusive and not body.fenced:
                return hold
        return self.lease

    def loan_reasons(self, child: RunActor) -> tuple[Reason, ...]:
        """Say why a child waits for a device that this run holds."""
        return () if self.loans is None else self.loans.reasons(child)

    # -- the result

    def value(self) -> Any:
        """Return what the run gives; a workflow's result is put together here, in its reader's thread."""
        if self.drawing is None:
            return self.values[0]
        return replace((self.drawing.result,), {}, self._known)[0][0]

    def _known(self, found: Any) -> Any:
        return value_of(found, self.results) if type(found) is Unknown else found

    deeds: ClassVar[Mapping[type, Callable[[Any, Any], None]]] = {
        ev.AskLease: _ask_lease,
        ev.AskDecision: ask_decision,
        ev.StartBody: _start_body,
        ev.AlarmBody: alarm_body,
        ev.StopChildren: _stop_children,
        ev.FenceBody: fence_body,
        ev.Fence: fence,
        ev.SetTimer: _set_timer,
        ev.AwaitDevices: _await_devices,
        ev.HoldBodies: _hold_bodies,
        ev.FreeBodies: _free_bodies,
        ev.StartCleanup: start_cleanup,
        ev.MakeSafe: _make_safe,
        ev.ReleaseLease: _release_lease,
        ev.End: end,
        ev.Moved: _moved,
        ev.StepMoved: _step_moved,
    }


def stands_still(run: Run[Any]) -> bool:
    """Tell whether a run is paused, or waits for its lease and will be paused when it has it."""
    core = run.supervisor.core
    return core.state is S.PAUSED or (core.state is S.WAITING and bool(core.pause_reason))
