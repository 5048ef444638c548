"""Own one life of a device: make, connect, use and close the driver's object in one thread, one call at a time."""

from __future__ import annotations

import time
import traceback
from _thread import allocate_lock
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, Final

from actorlab.driving.in_thread import Driving, InThread
from actorlab.driving.shape import NO_SHAPE, Shape
from actorlab.driving.travel import SCALARS
from actorlab.errors import (
    ActorLabError,
    ActorStopped,
    CallTimeout,
    Cancelled,
    DeviceFault,
    DeviceUnavailable,
    repr_of,
    text_of,
)
from actorlab.kernel import HOLDER, SYSTEM, URGENT, Message, Reply, Stop, ThreadActor, Ticket
from actorlab.kernel.frames import frame_of
from actorlab.runtime.calls import Call, stale
from actorlab.runtime.cell import DeviceState, LifeMailbox
from actorlab.scope import Scope, current

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from actorlab.driving.member import Member
    from actorlab.runtime.cell import Cell
    from actorlab.runtime.decider import Timer

__all__ = ["DeviceActor", "LifeEnded"]

monotonic = time.monotonic
NO_CALLS: Final[list[Call]] = []
FRAMEWORK: Final = ("/actorlab/runtime/", "/actorlab/kernel/", "/actorlab/driving/", "/threading.py")
"""A driver's stack is shown without the frames of these."""
VISA_FAULTS: Final = ("VisaIOError", "InvalidSession")
"""Of pyvisa, which needn't be imported to know them: what its back end says, and that the connection is closed."""
FILE_ERRORS: Final = (FileNotFoundError, FileExistsError, IsADirectoryError, NotADirectoryError, PermissionError)


class LifeEnded(Exception):
    """End the loop of an actor whose device has failed."""


class Wake(Message):
    """Wake a driver that sleeps; it carries nothing."""

    __slots__ = ()

    def __init__(self) -> None:
        super().__init__(SYSTEM)


class DeviceScope(Scope):
    """What the ambient verbs mean inside a driver."""

    def __init__(self, actor: DeviceActor) -> None:
        self._actor = actor

    def sleep(self, seconds: float) -> None:
        """Wait for physics; meanwhile queries are answered, and a cancellation ends it."""
        self._actor.sleep(seconds)

    def checkpoint(self) -> None:
        """Let a cancellation of the calling run take effect."""
        self._actor.sleep(0)

    def exchange(self) -> Any:
        """Keep other calls out between a write and its read."""
        return self._actor.exchange()

    def hold_for(self, cell: Cell, member: object) -> None:
        """Refuse to wait for another device."""
        del member
        from actorlab.runtime.calls import own_thread  # noqa: PLC0415 - only for the error

        raise own_thread(cell)

    def forbid(self, what: str) -> None:
        """Refuse waiting verbs of the lab."""
        from actorlab.errors import AskDeadlock  # noqa: PLC0415 - only for the error

        text = f"the driver of {self._actor.name} used {what}: a driver may not wait for the lab"
        raise AskDeadlock(text)


class DeviceActor(ThreadActor):
    """One life of a device.

    It accepts exactly one token, and looks at it as each call begins. `stack` holds the calls in progress: the
    outermost one sleeps, the inner one is a query served meanwhile.
    """

    def __init__(self, cell: Cell, life: int) -> None:
        self._cell = cell
        self.life = life
        super().__init__(cell.name)
        self.mailbox.admit = self._admit
        self.driver: Driving | None = None
        self._act: Callable[[Member, tuple[Any, ...], dict[str, Any]], Any]
        self.shape: Shape = cell.actor.shape if cell.actor is not None else NO_SHAPE
        """What was seen of the driver's object when it had connected."""
        self.stack: list[Call] = []
        self.unanswered: list[Call] = []
        """Calls that have begun and are not on the stack: equal queries of others, and one that is being judged."""
        self.abandoned = False
        self.left_safe = False
        """It owed its safe state, and was made safe before it was disconnected."""
        self.fault: BaseException | None = None
        self.patience: Timer | None = None
        """How long its supervisor waits for it to connect."""
        # Between a helper's interrupt() and the begin of another call; a mailbox wouldn't do, as its reader is in the
        # call.
        self._gate = allocate_lock()
        self._interrupting = False
        """A helper is at it. It sets this, then looks at the stack; the actor takes a call off, then looks at this."""
        self._asleep = False
        self._nap: Reply[None] | None = None
        self._exchanges = 0
        self._cut = False
        self._scope = DeviceScope(self)
        self._faults: tuple[type[BaseException], ...] = (ConnectionError, EOFError, *cell.config.faults)

    def _create_actor_inbox(self) -> Any:  # type: ignore[override]  # pykka's is a staticmethod; ours wants the name
        return LifeMailbox(self._cell.name, self._cell.config.mailbox, self.life)

    # -- one life

    def on_start(self) -> None:
        """Make the object and connect it; one that comes back, or owes it, is made safe before it serves anyone."""
        current.set(self._scope)
        cell = self._cell
        self.driver = driver = self.make_driver()
        self._act = driver.act
        self._check_wanted()
        driver.hook("connect")
        self._check_wanted()
        if self.life > 1 or cell.owes_safe:
            driver.hook("make_safe")
        self.shape = driver.shape
        cell.periodics.look_at(self)

    def _check_wanted(self) -> None:
        if self.abandoned:  # nobody waited so long
            text = f"{self.name} took too long to connect"
            raise TimeoutError(text)

    def make_driver(self) -> Driving:
        """Make the driver's object."""
        cell = self._cell
        return InThread(cell.factory, cell.args, cell.kwargs, cell.config, self.life)

    def on_stop(self) -> None:
        """Disconnect, but first close streams, and make safe what owes it; a connection that is broken may refuse."""
        self._cell.streams.end_life(self)
        try:
            if self._cell.owes_safe and self.fault is None and not self.abandoned:
                self.hook("make_safe")
                self.left_safe = True
        finally:
            self._let_go()

    def _let_go(self) -> None:
        driver = self.driver
        if driver is not None:
            try:
                driver.hook("disconnect")
            finally:
                driver.close()

    def hook(self, hook: str) -> Any:
        """Call one of the driver's hooks, if it has it."""
        return self.driver.hook(hook) if self.driver is not None else None

    def _actor_loop(self) -> None:
        super()._actor_loop()
        down = self.down.outcome()
        self._cell.lab_actor.lives.life_ended(self, self.fault or down.error)

    def _serve(self) -> None:
        try:
            super()._serve()
        except LifeEnded:
            return

    def _end(self, down: Any) -> None:
        for call in (*self.stack, *self.unanswered):  # it has ended by a fault of ours: nobody waits for ever
            call.finish(None, down.error or ActorStopped(f"{self.name} has ended"))
        if down.reason == "not started" and self.driver is not None:
            with suppress(BaseException):  # it never was connected: its own error is told
                self._let_go()
        super()._end(down)

    # -- one call

    def execute(self, message: Any) -> None:  # noqa: C901 - each step of a call, in its order
        """Execute one call; longer than ten lines, as each step of it is on the hot path."""
        if message.__class__ is not Call:
            self._execute_other(message)
            return
        call: Call = message
        if call.number:
            self.mailbox.count_begun(call.number)
        if (call.token is not self._cell.token or self.abandoned) and not self._accepts(call):
            call.drop(stale(call, self._cell))
            return
        if not call.begin():
            return
        equals = self._equals(call) if call.lane > HOLDER else NO_CALLS
        stack = self.stack
        stack.append(call)
        value = error = None
        began = call.begun
        try:
            value = self._act(call.member, call.args, call.kwargs)
        except BaseException as raised:  # noqa: BLE001 - the thread boundary: it goes to the caller
            error = raised
        stack.pop()
        if self._interrupting:  # by a helper, and maybe this call: let it end, or it could hit the next one
            with self._gate:
                pass
        if call.why or error is not None or self._cut:
            self.unanswered.append(call)  # bringing the driver back into step may hang
            error = self._judge(call, error)
        self._cell.note(call.member, call.args, began, error, call)
        call.args = ()
        call.finish(value, error)
        if error is None and self.fault is None and not self.unanswered:
            return  # from the caller's awakening on, each step here delays it
        for equal in equals:
            equal.finish(value, error)
        if self.unanswered:
            self.unanswered = [other for other in self.unanswered if not (other.done() or other is call)]
            if any(other.answered_twice() for other in (call, *equals)) and not self.abandoned:
                self._cell.lab_actor.limits.ended_late(self._cell)  # its caller was let go meanwhile
        del call, equals, error, value  # an error would keep them alive by its traceback
        if self.fault is not None and not stack:
            raise LifeEnded

    def take(self, message: Message) -> None:
        """Take what is no call: a wake-up."""
        message.finish(None, None)

    def _execute_other(self, message: Any) -> None:
        """Execute the call that is due at a ticket; anything else carries nothing."""
        if message.__class__ is not Ticket:
            self.take(message)
        elif (call := self.mailbox.redeem()) is not None:
            self.execute(call)

    def _admit(self, message: Any) -> bool:
        """Look at a message as it is sorted: who may not even wait is told at once."""
        if message.__class__ is not Call or message.token is self._cell.token or self._accepts(message):
            return True
        message.drop(stale(message, self._cell))
        return False

    def _accepts(self, call: Call) -> bool:
        token = self._cell.token
        if call.token is token or call.lane < HOLDER or call.member.query:
            return not self.abandoned
        return False

    def _equals(self, call: Call) -> list[Call]:
        """Claim the waiting queries of others that this execution answers too, and count them as unanswered."""
        if not call.member.query or call.kwargs or not SCALARS.issuperset(map(type, call.args)):
            return []
        member, args = call.member, call.args
        taken = self.mailbox.take_equal(
            lambda other: other.__class__ is Call and other.member == member and other.args == args and not other.kwargs
        )
        equals = [other for other in taken if other.begin()]
        self.unanswered += equals
        return equals

    def _judge(self, call: Call, error: BaseException | None) -> BaseException | None:
        """Say what the caller gets, and whether this life can go on."""
        if call.why:
            if error is not None and self.has_died(error):
                self._broke(error)
            error = self._interrupted(call)
        elif error is not None and self.is_fault(error):
            return self._fail(call, error)
        elif error is not None and not isinstance(error, Exception):
            text = f"{call.member.on(self.name)} raised {repr_of(error)}"
            wrapped = ActorLabError(text)
            wrapped.__cause__ = error
            error = wrapped
        if self._cut and not self.stack:
            self._resync()
        return error

    def _interrupted(self, call: Call) -> BaseException:
        where = call.member.on(self.name)
        if call.why == "timeout":
            text = f"{where} took longer than its limit of {self._cell.config.timeout:g} s and was interrupted"
            return CallTimeout(f"{text}; it was here:\n{call.stack}", call.stack)
        if call.why == "urgent" and call.lane != HOLDER:
            return ActorLabError(f"{where} was cut short, because {self.name} had to be made safe")
        if call.why == "stop" and self._cell.standing is DeviceState.RESTARTING:
            return DeviceFault(f"{where} was cut short, because somebody restarts {self.name}")
        if call.why == "stop":
            return DeviceUnavailable(f"{where} was cut short, because {self.name} is being disconnected")
        return Cancelled(f"{where} was interrupted")

    def _resync(self) -> None:
        self._cut = False
        if self.driver is None or not self.driver.has("resync"):
            text = f"{self.name} was interrupted in an exchange, and its driver has no resync()"
            self._broke(ConnectionResetError(text))
            return
        try:
            self.hook("resync")
        except BaseException as error:  # noqa: BLE001 - the thread boundary: the connection can't be trusted
            self._broke(error)

    def _broke(self, error: BaseException) -> None:
        """End this life; before the caller hears of it, as its next call must not come here."""
        self.fault = error
        self._cell.lab_actor.lives.failing(self, error)  # first: who is dropped by the close acts on what the lab knows
        self.mailbox.close()

    def _fail(self, call: Call, error: BaseException) -> DeviceFault:
        self._broke(error)
        text = f"{self.name} failed in {call.member.on()}: {text_of(error)}"
        fault = DeviceFault(text)
        fault.__cause__ = error
        return fault

    def has_died(self, error: BaseException) -> bool:
        """Tell whether an error says that there is no driver any more."""
        del error
        return False

    def is_fault(self, error: BaseException) -> bool:
        """Tell whether an error means that the transport broke and the device's state is unknown."""
        if isinstance(error, self._faults):
            return True
        if isinstance(error, OSError):
            return error.filename is None and not isinstance(error, FILE_ERRORS)
        return any(base.__name__ in VISA_FAULTS for base in type(error).__mro__)

    # -- what a driver does meanwhile

    def sleep(self, seconds: float) -> None:
        """Wait inside a driver's method.

        Queries of others are served, unless an exchange is open; an urgent command that arrives ends the sleeping call.

        Raises:
            Cancelled: the calling run was cancelled, or the device must be made safe.

        """
        if self.abandoned:
            text = f"{self.name} was given up: this thread may do nothing more"
            raise Cancelled(text)
        call = self.stack[-1] if self.stack else None
        if call is None:
            time.sleep(seconds)  # in connect, disconnect or another hook: bounded from outside
            return
        end = monotonic() + seconds
        if self._exchanges or len(self.stack) > 1 or call.member.naps or call.lane < HOLDER:
            self._doze(call, end)
        else:
            self._serve_until(call, end)
        call.begun = monotonic()

    def _serve_until(self, call: Call, end: float) -> None:
        while True:
            if call.why:
                raise Cancelled(call.why)
            call.begun = end  # the running limit bounds silence
            self._asleep = True
            message = self.mailbox.get_while_sleeping(end - monotonic(), serves_in_sleep)
            with self._gate:
                self._asleep = False
            if message is None:
                if not call.why:
                    return
            elif message.lane == URGENT and not message.query:
                self.mailbox.put_back(message)
                call.why = call.why or "urgent"
            elif message.__class__ is Stop:
                self.mailbox.put_back(message)
                call.why = call.why or "stop"
            else:
                self.execute(message)
                if self.fault is not None:  # that query broke the connection, for this call too
                    raise self.fault
                if monotonic() >= end and not call.why:  # however many wait: the sleeping call goes first
                    return

    def _doze(self, call: Call, end: float) -> None:
        """Wait without serving anybody; an interrupt ends it."""
        call.begun = end
        nap: Reply[None] = Reply()
        with self._gate:
            self._nap = nap
        if not call.why:
            nap.wait(max(0.0, end - monotonic()))
        with self._gate:
            self._nap = None
            if call.why and self._exchanges:
                self._cut = True
        if call.why:
            raise Cancelled(call.why)

    @contextmanager
    def exchange(self) -> Generator[None]:
        """Keep others out between a write and its read."""
        self._exchanges += 1
        try:
            yield
        finally:
            self._exchanges -= 1

    # -- from other threads

    def grace(self, usual: float) -> float:
        """Return how many seconds an interrupted call has to end."""
        return usual

    @property
    def at_work(self) -> bool:
        """Tell whether a call is in progress."""
        return bool(self.stack)

    head_start = 0.0
    """So many seconds it may take until the driver's own time begins to count: a process has to be started."""
    killable = False
    """Whether its driver can be ended by force: a process can, a thread can't."""

    def kill(self) -> None:
        """End its driver by force."""

    def look(self) -> None:
        """Find out where its driver is, if that takes a moment; from a helper's thread."""

    def give_up(self) -> None:
        """Let its thread do nothing more through the framework; for the deciding thread."""
        self.abandoned = True
        self.mailbox.close()

    def interrupt(self, call: Call | None, why: str) -> None:
        """End `call` and nothing else (None: the one in progress); by a helper thread, as a driver's hook may hang."""
        with self._gate:
            self._interrupting = True
            try:
                found = self._end_in_progress(call, why)
            finally:
                self._interrupting = False
        if found:
            with suppress(ActorStopped):
                self.mailbox.put(Wake())

    def _end_in_progress(self, call: Call | None, why: str) -> bool:
        top = self.stack[-1] if self.stack else None
        call = call or top
        if call is None or call not in self.stack:
            return False
        if call.lane < HOLDER and not call.query and why == "urgent":  # it does itself what is urgent
            return False
        if not call.why:
            self.look()
            call.stack = call.stack or self.where()
            call.why = why
        if self._nap is not None and top is call:
            self._nap.finish(None, None)
        elif top is call and not self._asleep and self.driver is not None and self.driver.has("interrupt"):
            self._cut = True
            self.driver.interrupt()
        return True

    @property
    def pid(self) -> int | None:
        """Return the process of a driver that has one of its own."""
        return None

    def at(self, call: Call) -> bool:
        """Tell whether it is still at a call, or at what follows from it."""
        return call in self.stack or call in self.unanswered

    def where(self) -> str:
        """Return the stack of this actor's thread as text, the framework's own frames left out."""
        ident = self.thread.ident if self.thread is not None else None
        frame = frame_of(ident)
        if frame is None:
            return ""
        lines = traceback.format_stack(frame)
        return "".join(line for line in lines if not any(place in line for place in FRAMEWORK))


def serves_in_sleep(message: Any) -> bool:
    """Tell whether a sleeping driver serves a message: queries, what is urgent, and the system's."""
    return message.lane <= URGENT or bool(message.query)
