"""Run one body: its alarm, what it waits for, its holds on devices, and what the ambient verbs mean inside it."""

from __future__ import annotations

import time
from _thread import get_ident
from contextlib import AbstractContextManager, contextmanager, suppress
from typing import TYPE_CHECKING, Any, ClassVar, Final

from actorlab.core.progress import PhaseProgress
from actorlab.data.rows import as_now
from actorlab.errors import (
    Cancelled,
    DeviceBusy,
    LeaseLost,
    MailboxFull,
    NotLeased,
    repr_of,
)
from actorlab.kernel import FOREVER, Reply
from actorlab.kernel.frames import stack_of
from actorlab.reporting import ReportingScope
from actorlab.runtime.calls import ask_held, call_held
from actorlab.runtime.cycles import Awaited, waiting_for
from actorlab.runtime.listening import end_streams
from actorlab.runtime.run_tellings import answered, emitted, logged, put_question, told_progress

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from actorlab.driving.member import Member
    from actorlab.runtime.calls import Call
    from actorlab.runtime.cell import Cell, LifeMailbox
    from actorlab.runtime.per_call import PerCall
    from actorlab.runtime.production import Box
    from actorlab.runtime.questions import Question
    from actorlab.runtime.run import Run
    from actorlab.runtime.run_actor import RunActor

__all__ = ["Body", "Hold"]

NO_PASSES: Final[list[bool]] = []

monotonic = time.monotonic


class Hold:
    """One body's hold on one device: the fencing token which its calls carry."""

    __slots__ = ("body", "cell", "exclusive", "life", "pass_life", "passes", "unbegun")

    def __init__(self, cell: Cell, body: Body, *, exclusive: bool) -> None:
        self.cell = cell
        self.body = body
        self.exclusive = exclusive
        self.life = 0
        """The life of the device which this body has used, or 0: none yet."""
        self.passes: list[bool] = NO_PASSES
        """If the device is direct: not empty while this body's threads may call it themselves."""
        self.pass_life = 0
        self.unbegun: list[Call] = []
        """If the device is direct: asked calls, which no direct one may overtake; those that have begun do no harm."""

    def bar(self, call: Call) -> None:
        """Let no direct call overtake one that is being asked."""
        if self.cell.config.direct:
            self.unbegun.append(call)
            self.passes.clear()

    def keeps_order(self) -> bool:
        """Tell whether no asked call waits, so that a direct one may come."""
        for call in self.unbegun.copy():
            if call.begun or call.done():
                with suppress(ValueError):  # another thread of the body was faster
                    self.unbegun.remove(call)
        return not self.unbegun

    def call(self, member: Member, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Call the device in the body's name, and wait for the answer."""
        return call_held(self, member, *args, **kwargs)

    def ask(self, member: Member, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Call:
        """Send a call in the body's name, and return it as its reply."""
        return ask_held(self, member, args, kwargs)

    def renew(self, mailbox: LifeMailbox, member: Member) -> None:
        """Take note of the life that is used now.

        Raises:
            DeviceFault: a command would go to a device that has restarted since the run last used it.

        """
        known = self.life or self.body.actor.lives.get(self.cell.name, 0)
        if self.cell.mailbox.closed:
            if self.body.ended:
                self.body.meet(get_ident())
            raise self.cell.unavailable()
        if known and known != mailbox.life:
            if member.query:
                return
            self.life = mailbox.life
            raise self.cell.restarted()
        self.life = mailbox.life

    def check_shared(self, call: Call) -> None:
        """Let a shared hold send queries only, in nobody's name.

        Raises:
            NotLeased: it is a command.

        """
        if self.exclusive:
            return
        if not call.member.query:
            name = call.member.on(self.cell.name)
            text = f"{self.body.name} holds {self.cell.name} only shared, and {name} is a command: drop Shared[…]"
            raise NotLeased(text)
        call.token, call.asker = None, self


class Body(ReportingScope):
    """One execution of a body, on one worker thread and the threads it starts.

    `alarm` is set once and for good; every thread of the body meets it at most once by a `Cancelled`, and always once
    the body is fenced. A wait is registered first, then the alarm is looked at, then one waits; so the deciding thread,
    which sets the alarm and then looks who waits, misses nobody.
    """

    on_loop: ClassVar[bool] = False
    """Whether it runs on the lab's event loop, where nothing may block."""
    killable: ClassVar[bool] = False
    """Whether it can be ended by force, as it runs in a process of its own."""

    __slots__ = (
        "_asks", "_many_asks", "_phases", "_shielded", "actor", "alarm", "attempt", "awaited", "children", "ended",
        "fenced", "holds", "index", "lost", "met", "name", "reason", "streams", "thread", "torn", "waits",
    )  # fmt: skip

    def __init__(self, actor: RunActor, index: int, attempt: int, name: str) -> None:
        self.actor = actor
        self.index = index
        self.attempt = attempt
        self.name = name
        self.alarm = False
        self.fenced = False
        self.ended = False
        self.lost = ""
        self.reason = ""
        self.met: dict[int, None] = {}
        self.waits: dict[int, Reply[Any]] = {}
        self.awaited: dict[int, Awaited] = {}
        self.holds: dict[str, Hold] = {}
        self.thread = 0
        self.torn = False
        """Whether an exchange of a direct device's driver was left halfway."""
        self.children: list[Run[Any]] = []
        self.streams: list[Box] | None = None
        """Its parts in streams: its end waits for those that it has started."""
        self._asks: list[Call] | None = None
        self._many_asks = 2 * SOME
        self._phases: PhaseProgress | None = None
        self._shielded: dict[int, float] = {}

    # -- the alarm

    def meet(self, me: int) -> None:
        """Raise, if the alarm concerns this thread now."""
        if (self.ended and not self.fenced) or self.actor.core.state.terminal:
            text = f"{self.name} has ended: what it held is no longer its own"
            raise LeaseLost(self.lost) if self.lost else NotLeased(text)
        if self.lost:
            raise LeaseLost(self.lost)
        if self.fenced:
            text = f"{self.name} was cancelled ({self.reason}) and took too long to end: it may do nothing more"
            raise Cancelled(text)
        if me in self.met or self._shielded.get(me, 0.0) > monotonic():
            return
        self.met[me] = None
        raise Cancelled(self.reason)

    def dropped(self, me: int, error: BaseException) -> BaseException:
        """Take note that a thread has met the alarm by its call, and return what that call raises."""
        self.met[me] = None
        return error

    def sound(self, reason: str) -> float:
        """Set the alarm, and return for how many seconds a shield keeps it out; for the deciding thread."""
        self.reason = self.reason or reason
        now = monotonic()
        for thread, seconds in list(self._shielded.items()):
            self._shielded[thread] = now + seconds
        self.alarm = True
        self._take_passes()
        return max(self._shielded.values(), default=now) - now

    def waiting(self, *, shielded: bool) -> list[tuple[int, Reply[Any]]]:
        """Return who waits for what; for the deciding thread."""
        now = monotonic()
        found = list(self.waits.items())
        return [(thread, reply) for thread, reply in found if shielded or self._shielded.get(thread, 0.0) <= now]

    def asks(self) -> list[Call]:
        """Return the calls which nobody's thread waits for."""
        return [call for call in self._asks or () if not call.done()]

    def fence(self, lost: str = "") -> None:
        """Let every further checkpoint and call raise; for the deciding thread."""
        self.lost = lost
        self.alarm = self.fenced = True
        self._take_passes()
        for reply in list(self.waits.values()):
            reply.wake()

    def _take_passes(self) -> None:
        for hold in self.holds.values():
            hold.passes.clear()

    # -- waiting

    def wait(self, reply: Reply[Any], timeout: float = FOREVER) -> bool:
        """Wait for a reply as a checkpoint: True if it is done, False after `timeout` seconds.

        Raises:
            Cancelled: the run was cancelled.

        """
        me = get_ident()
        self.waits[me] = reply
        end = None if timeout < 0 else monotonic() + timeout
        try:
            while True:
                if self.alarm:
                    self.meet(me)
                if reply.wait(FOREVER if end is None else max(0.0, end - monotonic())):
                    break
                if end is not None and monotonic() >= end:
                    break
        finally:
            self.waits.pop(me, None)
        return reply.done()

    def sleep(self, seconds: float) -> None:
        """Wait for some seconds; a cancellation ends it."""
        self.wait(Tick(), max(0.0, seconds))

    def checkpoint(self) -> None:
        """Let a cancellation or a pause take effect."""
        if self.alarm:
            self.meet(get_ident())
        if self.actor.holding_bodies and get_ident() == self.thread and not self._shielded:
            self.actor.stand(self)

    def progress(self, done: float, total: float | None, message: str) -> None:
        """Tell how far the work is."""
        if self._phases is None:
            told_progress(self.actor, self, done, total, message)
            return
        self._phases.report(done, total, message)
        self._tell_phases(self._phases)

    @contextmanager
    def phase(self, name: str, weight: float | None) -> Generator[None]:
        """Work at a part of the whole, whose progress counts with its weight."""
        phases = self._phases
        if phases is None:
            phases = self._phases = PhaseProgress()
        phases.enter(name, weight)
        self._tell_phases(phases)
        try:
            yield
        finally:
            phases.leave()
            self._tell_phases(phases)

    def _tell_phases(self, phases: PhaseProgress) -> None:
        fraction, message = phases.told()
        told_progress(self.actor, self, fraction or 0.0, None if fraction is None else 1.0, message)

    def emit(self, name: str, data: Any, acknowledged: float | None) -> Any:
        """Tell whoever listens to the lab; wait for an answer, if one is asked for.

        Raises:
            TimeoutError: nobody answered in time.

        """
        answer: Reply[Any] | None = None if acknowledged is None else Reply()
        emitted(self.actor, self, name, data, answer)
        if answer is None:
            return None
        if not self.wait(answer, acknowledged or 0.0):
            text = f"{self.name}: nobody acknowledged {name!r} within {acknowledged:g} s"
            raise TimeoutError(text)
        return answer.outcome()

    def ask_operator(self, question: str, choices: tuple[str, ...], timeout: float | None) -> str:
        """Ask an operator, and stand until somebody answers; the run is paused meanwhile.

        Raises:
            TimeoutError: nobody answered in time.

        """
        asked: Reply[Question] = Reply()
        put_question(self.actor, self, question, choices, asked)
        try:
            self.wait(asked)
            waiting = asked.outcome()
            if not self.wait(waiting.reply, FOREVER if timeout is None else timeout):
                text = f"{self.name} asked {question!r}, and nobody answered within {timeout:g} s"
                raise TimeoutError(text)
            return waiting.reply.outcome()
        finally:  # it may be asked only after this body was cancelled
            asked.when_done(lambda put: answered(self.actor, put.outcome()))

    def record(self, values: dict[str, Any], at: float | None = None) -> None:
        """Keep a row of what was measured, now or at a time (seconds since 1970)."""
        journal = self.actor.journal
        values = values if journal is None else journal.recorded(self, values)
        row = self.actor.records().add(self.name, as_now(values), at)
        if journal is not None:
            journal.record(self, row)

    def parameter(self, name: str, default: Any, marks: tuple[Any, ...]) -> Any:
        """Return what a parameter of the run is now; the first use declares it."""
        return self.actor.parameters.declared(name, default, marks)

    @contextmanager
    def exchange(self) -> Generator[None]:
        """In the driver of a direct device, note when it is left halfway."""
        try:
            yield
        except BaseException:
            self.torn = True
            raise

    @contextmanager
    def shield(self, seconds: float) -> Generator[None]:
        """Keep a cancellation out of this thread for at most some seconds after it comes."""
        me = get_ident()
        self._shielded[me] = seconds
        try:
            yield
        finally:
            self._shielded.pop(me, None)

    def log(self, event: str, fields: dict[str, Any]) -> None:
        """Log in the run's name."""
        logged(self.actor, self, event, fields)

    def present_run(self) -> Run[Any]:
        """Return its run."""
        return self.actor.run

    def stop(self) -> None:
        """End it, if there is a way other than its alarm; a thread has none."""

    @property
    def waits_for(self) -> str:
        """Say for what it waits before it really begins, or nothing."""
        return ""

    def look_up(self) -> None:
        """Have it look at its next checkpoint whether it may go on; a thread does so anyway."""

    def kill_late(self) -> None:
        """End it by force, if it is killable, as its grace is over."""

    def where(self) -> str:
        """Return where it is, as text."""
        return stack_of(self.thread)

    # -- devices

    def hold_for(self, cell: Cell, member: Member) -> Hold | PerCall | None:
        """Refuse a device that isn't among the arguments; the body of a service may use its own for each call."""
        per_call = self.actor.per_call(self, cell)
        if per_call is not None:
            return per_call
        use = f"{self.name} uses {cell.name!r} ({member.on(cell.name)})"
        if self.actor.leaves_to_children(self, cell):
            text = (
                f"{use}, which is leased by its children, one by one, and not by itself: spawn a task that uses it, or "
                f"name it among those that are held throughout, as lease=({cell.name!r},)"
            )
        else:
            text = f"{use}, which is not among its arguments: pass {cell.name} to it"
        raise NotLeased(text)

    def forbid(self, what: str) -> None:
        """Allow it: a body may act."""

    def asked(self, call: Call) -> None:
        """Remember a call which nobody's thread waits for: the body's end waits for it."""
        if self._asks is None:
            self._asks = []
        if len(self._asks) >= self._many_asks:
            self._forget_answered(self._asks)
        self._asks.append(call)

    def _forget_answered(self, asks: list[Call]) -> None:
        """Let go of the calls that are done; each by itself, as other threads of the body ask meanwhile."""
        for call in [call for call in asks if call.done()]:
            with suppress(ValueError):  # another thread of the body does this too
                asks.remove(call)
        self._many_asks = 2 * (len(asks) + SOME)

    # -- children

    def spawn(self, function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Run[Any]:
        """Start a child run, which borrows what this body holds."""
        self.checkpoint()
        child = self.actor.lab.start_child(self, function, args, kwargs)
        if len(self.children) > 2 * SOME and self.children[0].done():  # a service goes on for ever
            self.children = [other for other in self.children if not is_settled(other)]
        self.children.append(child)
        return child

    def result_of(self, run: Run[Any], timeout: float | None) -> None:
        """Wait for another run's end as a checkpoint.

        Raises:
            AskDeadlock: that run waits for this one.

        """
        with waiting_for(self, run):
            self.wait(run.reply, FOREVER if timeout is None else timeout)

    def awaiting(self, *runs: Run[Any], any: bool = False) -> AbstractContextManager[None]:  # noqa: A002 - as Awaited
        """Say for the length of a block for which runs it waits: for all, or for any.

        Raises:
            AskDeadlock: that could never end.

        """
        return waiting_for(self, *runs, any=any)

    # -- the thread

    def execute(self, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Run the body, then wait for its children and for what it asked.

        A child that failed and whose result nobody has looked at fails the body.
        """
        self.thread = get_ident()
        try:
            value = function(*args, **kwargs)
        finally:
            if self.streams is not None:
                end_streams(self)
        if self._asks is not None:
            self._settle_asks(self._asks)
        for child in self.children:
            if not child.done():
                self.wait(child.reply)
            if not child.observed:
                child.result()
        return value

    def _settle_asks(self, asks: list[Call]) -> None:
        for call in asks:
            self.wait(call)
            error = call.exception()
            if error is not None and not isinstance(error, MailboxFull):  # to give way is no failure
                self.log("an asked call failed", {"call": call.member.on(call.target.name), "error": repr_of(error)})

    def lent(self, cell: Cell) -> DeviceBusy:
        """Make the error for a device that is lent to a child."""
        return DeviceBusy(f"{self.name} has lent {cell.name} to {cell.holder}: wait for its end")


def is_settled(run: Run[Any]) -> bool:
    """Tell whether a child has ended, and nobody has to hear of it any more."""
    return run.done() and (run.observed or run.reply.exception(0) is None)


class Tick(Reply[None]):
    """What a sleeping body waits for; only a cancellation finishes it."""

    __slots__ = ()


SOME: Final = 32
