"""Supervise one run: take its lease, start its bodies, retry, cancel, make safe, release; decided by its core."""

from __future__ import annotations

import contextvars
import logging
import random
import time
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Final

from actorlab.arguments import replace
from actorlab.core import run_events as ev
from actorlab.core.lease_table import Mode, Request
from actorlab.core.plan import Plan
from actorlab.core.restart import RestartPolicy
from actorlab.core.run_core import RunCore, RunSpec
from actorlab.core.run_state import TERMINAL, RunState
from actorlab.errors import (
    Cancelled,
    LeaseTimeout,
    text_of,
)
from actorlab.kernel import Actor, Reply
from actorlab.options import seconds_until
from actorlab.runtime.async_body import AsyncBody
from actorlab.runtime.body import Body, Hold
from actorlab.runtime.calls import Call
from actorlab.runtime.loans import Loans
from actorlab.runtime.notes import Notes, Progress, reasons_of
from actorlab.runtime.outcome import error_of
from actorlab.runtime.parameters import Parameters
from actorlab.runtime.process_body import ProcessBody
from actorlab.runtime.records import Records
from actorlab.runtime.run import Run
from actorlab.runtime.running import draw_late, guarded, run_body, run_on_loop
from actorlab.runtime.standings import error_in_words
from actorlab.runtime.work import NO_WINDOWS, Work, retry_policy, windows_of
from actorlab.task import PLAIN_OPTIONS, Options
from actorlab.unknown import Unknown, value_of

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from actorlab.choosing import Late
    from actorlab.core.run_events import Choice
    from actorlab.drawing import Drawing
    from actorlab.runtime.cell import Cell
    from actorlab.runtime.decider import Timer
    from actorlab.runtime.lab import Lab
    from actorlab.runtime.per_call import PerCall
    from actorlab.runtime.questions import Question

__all__ = ["NOTHING", "ONE", "RunActor"]

S = RunState
monotonic = time.monotonic
EXCLUSIVE, SHARED = Mode.EXCLUSIVE, Mode.SHARED
RUNS: Final = ("runs",)
FEW: Final = 8
"""So many names are looked through as fast as a set of them is asked, and take less memory."""
BETWEEN_PROGRESS: Final = 0.1
"""Seconds between two events that tell the progress of a run."""
ONE: Final = Plan(((),))
BODIES: Final = {"thread": Body, "loop": AsyncBody, "process": ProcessBody}
TO_BE_GONE: Final = 5.0
"""So many seconds a body has to be gone, after its process was killed."""
NOTHING: Final[frozenset[str]] = frozenset()
NO_TIMERS: Final[list[Timer]] = []  # nobody writes to these two: most runs have neither timers nor children
NO_RUNS: Final[list[Run[Any]]] = []
draw = random.Random().random  # noqa: S311 - the jitter of retries is no secret


class RunActor(Actor):
    """The supervisor actor of one run: an address on the deciding thread.

    Its core decides; this carries the actions out. pykka's own constructor isn't called: it makes a URN and an event,
    which would cost as much as a whole run.
    """

    __slots__ = (
        "_decider",
        "_gate",
        "_held",
        "_loans",
        "_timers",
        "asked",
        "bodies",
        "borrows",
        "cells",
        "children",
        "cleanups",
        "context",
        "core",
        "drawing",
        "drawings",
        "extra_grace",
        "holding_bodies",
        "id",
        "journal",
        "lab",
        "lease",
        "lease_per_step",
        "leased",
        "lives",
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
        self._held: Collection[str] = names if len(names) <= FEW else frozenset(names)
        self._gate: Reply[None] | None = None
        self._loans: Loans | None = None
        self.notes = Notes(options.not_before)
        self._timers = NO_TIMERS
        self.extra_grace = 0.0
        self.lost = ""
        self._decider = lab.decider
        self.journal = lab.journalling
        self.asked: dict[str, Any] | None = None
        """What its user has asked for, as the lab's journal keeps it."""
        self.place: dict[str, Any] = {}
        """Where in its parent it belongs."""
        spec = self._spec(plan)
        self.core = RunCore(spec) if self.journal is None else self.journal.run_core(spec, run_id)
        self.run: Run[Any] = Run(self)

    def _spec(self, plan: Plan) -> RunSpec:
        """Say what the core must know. A step that leases for itself sees to its own retries and timeout."""
        options = self.options
        safe = tuple([cell.name for cell in self.leased if cell.name not in self.shared]) if self.leased else ()
        if plan is ONE and options is PLAIN_OPTIONS and self.work[0].drawing is None:
            return RunSpec(plan, self.lab.cancel_grace, devices=safe)
        units: dict[int, None] = {}
        retries: dict[int, RestartPolicy] = {}
        timeouts: dict[int, float] = {}
        asking: dict[int, None] = {}
        late: dict[int, None] = {}
        for step, work in enumerate(self.work):
            its = work.task.options_
            if its.on_failure == "pause":
                asking[step] = None
            if work.late is not None:
                late[step] = None
            if self.lease_per_step or work.drawing is not None or work.late is not None:
                units[step] = None
            if self.lease_per_step and work.drawing is None:
                continue
            if its.retries or its.restart is not None:
                retries[step] = retry_policy(its)
            if its.timeout is not None and self.drawing is not None:
                timeouts[step] = its.timeout
        return RunSpec(
            plan, self.lab.cancel_grace, options.timeout, retries, timeouts, units, len(self.cleanups), safe,
            options.keep_going, NO_WINDOWS if self.drawing is None else windows_of(self.drawing), asking,
            late,
        )  # fmt: skip

    resumed = False
    """Whether it goes on with what an earlier run of its id had done."""

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
        self._decider.post(self._begin)

    def go_on(self) -> None:
        """Begin, when it has been announced."""
        self._decider.post(self._set_out)

    def cancel(self, reason: str) -> None:
        """Ask for the end."""
        self._decider.post(self.on, ev.Stopped(S.CANCELLED, reason))

    def interrupt(self, reason: str) -> None:
        """Ask for the end, as the lab ends: the run may go on in another one."""
        self._decider.post(self.on, ev.Stopped(S.INTERRUPTED, reason))

    def revoke(self, reason: str) -> None:
        """Take the lease away."""
        self._decider.post(self._revoke, reason)

    def pause(self, reason: str) -> None:
        """Ask for a pause."""
        self._decider.post(self.on, ev.Pause(reason))

    def resume(self) -> None:
        """Go on after a pause."""
        self._decider.post(self.on, ev.Resume())

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
        gate = self._gate
        if not self.holding_bodies or gate is None:
            return None
        self._decider.post(self.on, ev.Stood(body.index))
        return gate

    def told_progress(self, body: Body, done: float, total: float | None, message: str) -> None:
        """Take note of a body's progress; from its own thread."""
        now = monotonic()
        before = self.notes.progress.get(body.index)
        if before is None:
            since = self.notes.began.get(body.index, now)
        else:  # another total, or a step back, is another loop, with a pace of its own
            since = before.since if before.total == total and before.done <= done else now
        self.notes.progress[body.index] = Progress(done, total, message, since, now)
        if self.lab.events.heard and not self.notes.telling:
            self.notes.telling = True
            self._decider.post(self._tell_progress)

    def _tell_progress(self, _: Any) -> None:
        """Tell the progress that is new, and look again a moment later; for the deciding thread."""
        new = {step: told for step, told in self.notes.progress.copy().items() if self.notes.told.get(step) != told}
        for step, told in new.items():
            subject = self.id if len(self.work) == 1 else f"{self.id}/{self.work[step].name}"
            data: dict[str, Any] = {
                "done": told.done, "total": told.total, "message": told.message, "seconds_left": told.seconds_left,
            }  # fmt: skip
            if len(self.work) > 1:  # steps may have the same name
                data["index"] = step
            self.lab.events.tell(subject, "progress", data)
        self.notes.told.update(new)
        if new and not self.core.state.terminal:
            self._decider.after(BETWEEN_PROGRESS, self._tell_progress)
        else:
            self.notes.telling = False

    def asked_operator(self, body: Body, text: str, choices: tuple[str, ...], asked: Reply[Question]) -> None:
        """Put a body's question to an operator; from its own thread."""

        def ask(_: Any) -> None:
            question = self.lab.questions_.ask(body.name, text, choices)
            self.on(ev.Asked(body.index, f"it asks: {text}"))
            asked.finish(question, None)

        self._decider.post(ask)

    def answered(self, question: Question) -> None:
        """Go on after an operator's answer, or without one; from the body's thread."""
        self.lab.questions_.withdraw(question)
        self._decider.post(self.on, ev.Resume())

    def _ask_decision(self, action: ev.AskDecision) -> None:
        """Ask an operator what is to become of a step that failed."""
        step, error = action
        work = self.work[step]
        subject = self.id if self.drawing is None else f"{self.id}/{work.name}"
        text = f"it failed: {text_of(error)}"
        question = self.lab.questions_.ask(subject, text, ("retry", "skip", "abort"))
        self.notes.questions += (question,)
        question.reply.when_done(lambda reply: self._decider.post(self._decide, (step, reply.outcome())))

    def _decide(self, argument: tuple[int, Choice]) -> None:
        self.on(ev.Decided(*argument))

    def emitted(self, body: Body, name: str, data: Any, answer: Reply[Any] | None) -> None:
        """Tell an event of a body's own; from its own thread."""
        told = {"name": name, "data": data}
        if answer is not None:
            told["acknowledge"] = partial(acknowledge, answer)
        self._decider.post(self._add_emitted, (body.name, told))

    def _add_emitted(self, argument: tuple[str, dict[str, Any]]) -> None:
        name, told = argument
        self.lab.events.tell(name, "emit", told)

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

    def logged(self, body: Body, event: str, fields: dict[str, Any]) -> None:
        """Log in the name of a body."""
        self.lab.logger.info(event, run=self.id, step=body.name, **fields)
        self._decider.post(self._add_event, (body.name, event, fields))

    def _add_event(self, argument: tuple[str, str, dict[str, Any]]) -> None:
        name, event, fields = argument
        self.lab.events.add(name, "log", message=event, **fields)

    def call_back(self, function: Callable[[Run[Any]], object], run: Run[Any]) -> None:
        """Call a user's callback on a worker thread."""
        self._decider.post(self.lab.workers.put, lambda: guarded(self.lab.logger, function, run))

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
            events.tell(self.id, "run", {"state": S.WAITING, "devices": [cell.name for cell in self.cells]})

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
            self._timer(self.options.lease_timeout, self._lease_timeout)
        if self.options.deadline is not None:
            reason = f"its deadline ({self.options.deadline}) has come"
            self._timer(seconds_until(self.options.deadline), self.on, ev.Stopped(S.TIMED_OUT, reason))
        if self.options.not_before is not None:
            self._timer(seconds_until(self.options.not_before), self._due)
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
            look = self.journal.provenance.look_at_devices
            self.lab.workers.put(partial(look, self, pause or ""))
        else:
            self.looked(pause or "")

    def looked(self, pause: str) -> None:
        """Begin, as the devices have said how they stand."""
        self.on(ev.Granted(pause))

    def refused(self, error: BaseException) -> None:
        """Hear that it can't be had."""
        self.on(ev.Refused(error))

    def released(self, _: Any = None) -> None:
        """Hear that the lease was taken back."""
        self.on(ev.Released())

    def _lease_timeout(self, _: Any) -> None:
        if self.core.state is S.WAITING:
            reasons = "; ".join(reasons_of(self)) or f"{self.id} waited for its lease"
            text = f"{reasons}; it gave up after {self.options.lease_timeout:g} s"
            self.on(ev.Refused(LeaseTimeout(text)))

    def _revoke(self, reason: str) -> None:
        self.lost = f"{self.id} lost its lease: {reason}"
        self.on(ev.Stopped(S.CANCELLED, reason))
        for step, body in list(self.bodies.items()):
            self._fence_body(ev.FenceBody(step))
            body.fence(self.lost)

    def stop_at_once(self, reason: str) -> None:
        """End without clean-ups and without grace; for the deciding thread."""
        self.on(ev.Stopped(S.CANCELLED, reason, hurry=True))
        for body in list(self.bodies.values()):
            body.fence()
            self._end_waits(body, shielded=True)

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
            self._take(body, work, fresh=attempt > 1)
        if self.journal is not None and body.holds:
            self.journal.before_commands(partial(self._go, body, work))
        else:
            self._put_to_work(body, work)

    def _go(self, body: Body, work: Work, error: BaseException | None) -> None:
        """Have a body begin to use its devices, unless what led to it can't be written down."""
        if self.bodies.get(body.index) is not body:
            return  # it was given up meanwhile
        if error is None:
            self._put_to_work(body, work)
        else:
            self.body_ended((body.index, body.attempt, None, error))

    def fail(self, error: BaseException) -> None:
        """End the run by an error from outside; for the deciding thread."""
        self.on(ev.Stopped(S.FAILED, str(error), error))

    @property
    def uses_devices(self) -> bool:
        """Tell whether the run or one of its steps uses a device."""
        return bool(self.cells) or any(work.exclusive or work.shared for work in self.work)

    def _put_to_work(self, body: Body, work: Work) -> None:
        """Have a body run: by a worker, or on the lab's loop."""
        if isinstance(body, AsyncBody):
            context = contextvars.copy_context() if self.context is None else self.context.copy()
            self.lab.loop.start(partial(run_on_loop, body, work), context, body.began)
        else:
            self.lab.workers.put(partial(run_body, body, work))

    def _take(self, body: Body, work: Work, *, fresh: bool) -> None:
        """Write the tokens of a body's devices."""
        cells = self.lab.cells
        for name in work.exclusive:
            if name in self._held:
                cell = cells[name]
                hold = body.holds[name] = Hold(cell, body, exclusive=True)
                if fresh:
                    self.lives.pop(name, None)
                cell.entitle(hold)
        for name in work.shared:
            if name in self._held:
                body.holds[name] = Hold(cells[name], body, exclusive=False)

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
            body.ended = body.alarm = True
            if body.holds:
                self._give_up(body)
        if error is None:
            self.values[step] = value
        self._step_ended(step, attempt, error)

    def _step_ended(self, step: int, attempt: int, error: BaseException | None) -> None:
        self.notes.ended[step] = monotonic()
        self.on(ev.BodyEnded(step, attempt) if error is None else ev.BodyEnded(step, attempt, error, draw()))

    def _give_up(self, body: Body) -> None:
        """Take a body's tokens back, and remember which lives of the devices it has used."""
        body.ended = body.alarm = True
        for name, hold in body.holds.items():
            if hold.life:
                self.lives[name] = hold.life
            if hold.cell.rightful is hold:
                hold.cell.entitle(self.lease)
        body.holds = {}  # a hold knows its body: as a cycle, both would wait for the garbage collector

    def _alarm_body(self, action: ev.AlarmBody) -> None:
        step, reason = action
        unit = self.units.get(step)
        if unit is not None and not unit.done():
            unit.supervisor.on(ev.Stopped(S.CANCELLED, reason))
        body = self.bodies.get(step)
        if body is None:
            return
        shield = body.sound(reason)
        if not body.on_loop:
            self._end_waits(body, shielded=False)
        elif not shield:
            body.stop()
        if shield > 0:
            self.extra_grace = max(self.extra_grace, shield)
            self._timer(shield, self._shield_over, body)

    def _shield_over(self, body: Body) -> None:
        if body.ended:
            return
        if body.on_loop:
            body.stop()
        else:
            self._end_waits(body, shielded=True)

    def _end_waits(self, body: Body, *, shielded: bool) -> None:
        for _, reply in body.waiting(shielded=shielded):
            if isinstance(reply, Call):
                self._end_call(reply)
            else:
                reply.wake()
        for call in body.asks():
            self._end_call(call)

    def _end_call(self, call: Call) -> None:
        if not call.drop(Cancelled(f"{call.member.on(call.target.name)} was dropped")) and not call.done():
            self.lab.lab_actor.limits.interrupt(call, "cancel")

    def _fence_body(self, action: ev.FenceBody) -> None:
        body = self.bodies.get(action.step)
        if body is None:
            return
        self._give_up(body)
        body.fence(self.lost)
        self._end_waits(body, shielded=True)
        if body.killable:  # so it has stopped
            return
        self.stacks += (f"{body.name} didn't end within {self.lab.cancel_grace:g} s; it is here:\n{body.where()}",)
        body.stop()

    def _fence(self, _: ev.Fence) -> None:
        for step in list(self.bodies):
            self._fence_body(ev.FenceBody(step))
        for cell in self.cells:
            lent = self._loans is not None and self._loans.has(cell.name)
            if cell.name in self._held and cell.name not in self.shared and not lent:
                cell.entitle(self.lease)

    def _stop_children(self, action: ev.StopChildren) -> None:
        for child in tuple(self.children):
            if not child.done():
                child.supervisor.on(ev.Stopped(S.CANCELLED, action.reason))

    def _set_timer(self, action: ev.SetTimer) -> None:
        if action.event.__class__ is ev.GraceOver:
            self._timer(action.seconds + self.extra_grace, self._grace_over, action.event)
        else:
            self._timer(action.seconds, self.on, action.event)

    def _grace_over(self, event: ev.GraceOver) -> None:
        """Give up what hasn't ended in time; what can be killed is killed, and then it has ended."""
        bodies = [self.bodies[event.step]] if event.step in self.bodies else self.bodies.values()
        killable = [body for body in bodies if body.killable and not body.ended]
        for body in killable:
            body.kill_late()
        if killable:
            self._timer(TO_BE_GONE, self.on, event)
        else:
            self.on(event)

    def _timer(self, seconds: float, function: Callable[[Any], object], argument: Any = None) -> None:
        if self._timers is NO_TIMERS:
            self._timers = []
        self._timers.append(self._decider.after(seconds, function, argument))

    def _await_devices(self, action: ev.AwaitDevices) -> None:
        work, step = self.work[action.step], action.step
        cells = [self.lab.cells[name] for name in (*work.exclusive, *work.shared) if name in self.lab.cells]
        self.notes.retry_waits[step] = ", ".join(cell.name for cell in cells)
        self.lab.lab_actor.lives.when_ready(
            cells, lambda ready: self.on(ev.DevicesReady(step) if ready else ev.DevicesLost(step))
        )

    def _hold_bodies(self, _: ev.HoldBodies) -> None:
        self._gate = Reply()
        self.holding_bodies = True
        for body in self.bodies.values():
            body.look_up()
        for child in tuple(self.children):
            if not child.done():
                child.supervisor.on(ev.Pause(self.core.pause_reason))
        self.note_standing_children()

    def _free_bodies(self, _: ev.FreeBodies) -> None:
        self.holding_bodies = False
        if self._gate is not None:
            self._gate.finish(None, None)
        for child in tuple(self.children):
            if child.state in (S.PAUSING, S.PAUSED):
                child.supervisor.on(ev.Resume())

    def note_standing_children(self) -> None:
        """Tell of bodies that stand still since they wait for a paused child, and of units that are paused."""
        if self.core.state is not S.PAUSING:
            return
        for step, unit in list(self.units.items()):
            if unit.state is S.PAUSED:
                self.on(ev.Stood(step))
        for step, body in list(self.bodies.items()):
            awaited = body.waits.get(body.thread)
            if any(child.reply is awaited and child.state is S.PAUSED for child in self.children):
                self.on(ev.Stood(step))

    def _start_cleanup(self, action: ev.StartCleanup) -> None:
        work = self.cleanups[action.number]
        body = BODIES[work.task.place](self, -1 - action.number, 1, f"{self.id}/{work.name}")
        body.reason = self.core.reason
        self.bodies[body.index] = body
        self._take(body, work, fresh=True)
        bound = work.task.options_.timeout or self.lab.cancel_grace
        self._timer(bound, self._cleanup_late, (action.number, body, bound))
        self._put_to_work(body, work)

    def _cleanup_late(self, argument: tuple[int, Body, float]) -> None:
        index, body, bound = argument
        if body.ended:
            return
        text = f"the clean-up {body.name} didn't end within {bound:g} s"
        del self.bodies[body.index]
        self._give_up(body)
        body.fence()
        self._end_waits(body, shielded=True)
        body.stop()
        self.on(ev.CleanupEnded(index, TimeoutError(text)))

    def cleanup_ended(self, argument: tuple[int, Body, BaseException | None]) -> None:
        """Hear that a clean-up has ended."""
        index, body, error = argument
        if not body.ended:
            del self.bodies[body.index]
            self._give_up(body)
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

    def _end(self, action: ev.End) -> None:
        for timer in self._timers:
            timer.cancel()
        if self.notes.questions:
            self._end_questions(action.state)
        error = None if action.state is S.SUCCEEDED else error_of(self)
        events = self.lab.events
        if events.heard:
            self._tell_progress(None)
            told = error_in_words(error)
            events.tell(self.id, "run", {"state": action.state, "error": told})
        self.lab.book.end(self)
        journal = self.journal
        if journal is not None:
            journal.took(self)
            journal.moved(self, action.state, error)
        if self.parent is not None:
            self.parent.child_ended(self)
        run, on_end = self.run, self.on_end
        self._let_go()
        if on_end is not None:
            run.reply.finish(None, error)
            on_end()
        elif journal is not None:
            journal.before_telling(partial(publish_noting, run, error))
        else:
            self._decider.last(publish, (run, error))

    def _end_questions(self, state: RunState) -> None:
        """Take open questions back; what was skipped by an operator's word has no value."""
        for question in self.notes.questions:
            self.lab.questions_.withdraw(question)
        if state is S.SUCCEEDED:
            for step in range(len(self.work)):
                if self.core.step_state(step) is not S.SUCCEEDED:
                    self.values[step] = None

    def _let_go(self) -> None:
        """Drop what only a living run needs, and with it all cycles, so that the last reader's end frees the rest."""
        self._timers, self.context, self.lease, self.on_end = NO_TIMERS, None, None, None
        self.parent = self.parent_body = None
        del self.run

    def _moved(self, action: ev.Moved) -> None:
        old, new = action
        if old is S.WAITING:
            self.notes.since = monotonic()
        if new is S.CANCELLING:
            self.notes.stopped = monotonic()
        if new not in TERMINAL:
            if self.lab.events.heard:
                self.lab.events.tell(self.id, "run", {"state": new})
            if self.journal is not None:
                self.journal.moved(self, new)
        if (new is S.PAUSED or old is S.PAUSED) and (self.leased or not self.borrows):
            self.lab.lab_actor.leases.set_ending(self.id, ending=new is not S.PAUSED)
        if new is S.PAUSED and self.parent is not None:
            self.parent.note_standing_children()

    def _step_moved(self, action: ev.StepMoved) -> None:
        if self.lab.events.heard and len(self.work) > 1:
            subject = f"{self.id}/{self.work[action.step].name}"
            self.lab.events.tell(subject, "step", {"state": action.new, "index": action.step})

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
            self._decider.then(child.lent)
            return
        if self._loans is None:
            self._loans = Loans(self)
        self._loans.lend(child)

    def take_back(self, child: RunActor) -> None:
        """Take back what was lent to a child."""
        self._decider.then(child.released)
        self.lives.update(child.lives)
        if self._loans is not None and child.borrowed:
            self._loans.take_back(child)

    def token_of(self, cell: Cell) -> object:
        """Return the token of a device that isn't lent out: of the body that holds it, or nobody's."""
        for body in self.bodies.values():
            hold = body.holds.get(cell.name)
            if hold is not None and hold.exclusive and not body.fenced:
                return hold
        return self.lease

    def loan_reasons(self, child: RunActor) -> tuple[str, ...]:
        """Say why a child waits for a device that this run holds."""
        return () if self._loans is None else self._loans.reasons(child)

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
        ev.AskDecision: _ask_decision,
        ev.StartBody: _start_body,
        ev.AlarmBody: _alarm_body,
        ev.StopChildren: _stop_children,
        ev.FenceBody: _fence_body,
        ev.Fence: _fence,
        ev.SetTimer: _set_timer,
        ev.AwaitDevices: _await_devices,
        ev.HoldBodies: _hold_bodies,
        ev.FreeBodies: _free_bodies,
        ev.StartCleanup: _start_cleanup,
        ev.MakeSafe: _make_safe,
        ev.ReleaseLease: _release_lease,
        ev.End: _end,
        ev.Moved: _moved,
        ev.StepMoved: _step_moved,
    }


class Values(dict[int, Any]):
    """The values of the steps that have ended; a nested workflow's is put together when it is first looked at."""

    __slots__ = ("later",)

    def __init__(self) -> None:
        super().__init__()
        self.later: dict[int, RunActor] = {}
        """The runs of the steps that are runs of their own."""

    def __missing__(self, step: int) -> Any:
        value = self[step] = self.later[step].value()
        return value


def acknowledge(answer: Reply[Any], value: Any = None) -> None:
    """Answer a body that waits for whoever listens."""
    answer.finish(value, None)


def publish(argument: tuple[Run[Any], BaseException | None]) -> None:
    """Tell how a run has ended."""
    run, error = argument
    run.reply.finish(None, error)


def publish_noting(run: Run[Any], error: BaseException | None, unwritten: BaseException | None) -> None:
    """Tell how a run has ended, and that this can't be written down, if so."""
    if unwritten is None:
        run.reply.finish(None, error)
        return
    note = f"the end of {run.id} isn't in the journal: {unwritten}"
    logging.getLogger("actorlab").error(note)
    if error is None:
        run.unwritten = note
    else:
        error.add_note(note)
    run.reply.finish(None, error)
