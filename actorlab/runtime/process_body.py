"""Run a body in a worker process: this is its double in the lab, which does for it what it asks."""

from __future__ import annotations

import logging
import pickle
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Final, assert_never

from actorlab.arguments import replace
from actorlab.driving.member import Member
from actorlab.errors import ActorLabError, Cancelled, ConfigError, LeaseLost, WorkerDied
from actorlab.isolation.failure import failure_of, restored
from actorlab.isolation.packing import pack
from actorlab.isolation.wire import MESSAGE, PLAIN
from actorlab.runtime import process_messages as ms
from actorlab.runtime.body import Body
from actorlab.runtime.listening import Listener
from actorlab.runtime.process_devices import Passage, seen_of, ticket_without_objects
from actorlab.runtime.process_packing import packed_function, unpacked_function
from actorlab.runtime.production import Wanted
from actorlab.runtime.run_tellings import told_progress

if TYPE_CHECKING:
    from collections.abc import Mapping

    from actorlab.kernel import Reply
    from actorlab.runtime.lab import Lab
    from actorlab.runtime.process_pool import Claim, ProcessPool
    from actorlab.runtime.process_worker import WorkerProcess
    from actorlab.runtime.run import Run
    from actorlab.runtime.work import Work

__all__ = ["ProcessBody", "check_travels"]

AT_ONCE: Final = 64
"""So many items of a stream are sent at once."""
OF_RUN: Final = frozenset(
    {"state", "progress", "reasons", "parameters", "devices", "service", "data", "done", "result", "exception", "set",
     "cancel", "pause", "resume"}
)  # fmt: skip
"""What a process may use of a run."""
logger = logging.getLogger("actorlab")


class ProcessBody(Body):
    """One execution of a body in a worker process, and the thread that answers it.

    What the ambient verbs mean in the process is what they mean here: each is asked for over the process's wire, one
    after another, and done in the name of this body.
    """

    __slots__ = ("_claim", "_killed", "_listeners", "_number", "_passage", "_table", "_worker")

    killable: ClassVar[bool] = True

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._claim: Claim = self._pool.claim(level_of(self))
        self._worker: WorkerProcess | None = None
        self._killed = False
        self._number = 0
        self._passage = Passage(self)
        self._table: dict[int, Any] = {}
        """What the process knows by numbers: replies and runs, …"""
        self._listeners: dict[int, tuple[Listener, Any]] = {}
        """… and its parts in streams, with their items."""

    @property
    def _pool(self) -> ProcessPool:
        return self.actor.lab.processes

    @property
    def _work(self) -> Work:
        return self.actor.work[self.index] if self.index >= 0 else self.actor.cleanups[-1 - self.index]

    # -- for the deciding thread

    @property
    def waits_for(self) -> str:
        """Say that it waits for a process, if it does."""
        return "" if self._claim.reply.done() else f"{self.name} waits for a worker process: {self._pool.told_busy}"

    def sound(self, reason: str) -> float:
        """Set the alarm, and have the process look at it."""
        shield = super().sound(reason)
        self.look_up()
        worker = self._worker
        if worker is not None and self._work.task.kind.on_loop:
            worker.tell(ms.CANCEL, self._number, reason.encode())
        return shield

    def look_up(self) -> None:
        """Have it look, at its next checkpoint, whether it may go on."""
        worker = self._worker
        if worker is not None:
            worker.tell(ms.LOOK, self._number)

    def fence(self, lost: str = "") -> None:
        """Let nothing go on: the process is killed."""
        super().fence(lost)
        self._kill(self._worker)

    def kill_late(self) -> None:
        """Kill the process, as the body doesn't end in time; where it was is logged."""
        worker = self._worker
        if worker is not None:
            self.actor.lab.workers.put(partial(self._say_and_kill, worker))

    def _say_and_kill(self, worker: WorkerProcess) -> None:
        stack = worker.stack()
        where = f"; it was here:\n{stack}" if stack else ""
        text = "%s didn't end in time after its cancellation, and its worker process %d was killed%s"
        its = {"run": self.actor.id, "step": self.name}
        logger.warning(text, self.name, worker.pid, where, extra=its)
        self.actor.lab.decider.post(self._kill, worker)

    def _kill(self, worker: WorkerProcess | None) -> None:
        """Kill the process, unless it is no longer this body's."""
        if worker is not None and worker is self._worker:
            self._killed = True
            worker.kill()

    def where(self) -> str:
        """Return where it is, as text."""
        worker = self._worker
        return worker.stack() if worker is not None else ""

    # -- its thread

    def execute(self, function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Run the body in a process, then wait for its children and for what it asked."""
        del function
        return super().execute(self._in_process, args, kwargs)

    def _in_process(self, *args: Any, **kwargs: Any) -> Any:
        worker = self._granted()
        self._take_up(worker)
        try:
            if self.alarm:
                self.meet(self.thread)
            value = self._converse(worker, args, kwargs)
        except WorkerDied as died:
            self._worker = None
            self._pool.lost(self._claim, worker, None if self._killed else died)
            if self._killed:
                raise self._as_killed() from died
            raise
        except BaseException:
            self._hand_back(worker)
            raise
        self._hand_back(worker)
        return value

    def _granted(self) -> WorkerProcess:
        """Wait for a process, and start one if it must be."""
        try:
            self.wait(self._claim.reply)
        except BaseException:
            self._pool.withdraw(self._claim)
            raise
        worker = self._claim.reply.outcome()
        if worker is not None:
            return worker
        try:
            return self._pool.start(self._take_up)
        except BaseException as error:
            self._worker = None
            self._pool.lost(self._claim, None, None if self._killed else error)
            if self._killed:
                raise self._as_killed() from error
            raise

    def _take_up(self, worker: WorkerProcess) -> None:
        self._number = worker.bodies = worker.bodies + 1
        self._worker = worker
        if self.fenced:
            self._kill(worker)

    def _hand_back(self, worker: WorkerProcess) -> None:
        self._worker = None
        self._end_listening()
        self._pool.give_back(self._claim, worker)

    def _end_listening(self) -> None:
        for listener in self._listeners.values():
            listener[0].close()

    def _as_killed(self) -> BaseException:
        if self.lost:
            return LeaseLost(self.lost)
        return Cancelled(self.reason or f"the worker process of {self.name} was killed")

    def _converse(self, worker: WorkerProcess, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Have the body run, and do what it asks until it has ended.

        Raises:
            WorkerDied: the process has ended.
            ConfigError: something can't travel to it.
            BaseException: what the body has raised, with its traceback as a note.

        """
        frame = self._begin(worker, args, kwargs)
        try:
            last = self._until_ended(worker, frame)
        except WorkerDied:
            raise
        except BaseException:  # it would be out of step
            worker.kill()
            raise
        return self._ended(worker, *last)

    def _until_ended(self, worker: WorkerProcess, frame: Any) -> tuple[int, Any]:
        """Begin the body, answer it, and return its last word."""
        wire = worker.wire
        while True:
            try:
                wire.send(frame)
                received = wire.receive()
            except OSError:
                received = None
            if received is None:
                raise worker.death(self.name)
            if received[0] & MESSAGE:
                return received
            frame = self._answer(worker, *received)

    def _begin(self, worker: WorkerProcess, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Return the frame that says what is to be run.

        Raises:
            ConfigError: it can't travel; the message names what.

        """
        run = self.actor.run
        begin = begin_of(self.name, self.actor.lab, self._work)
        args, kwargs = self._passage.outgoing(args, kwargs)
        begin = begin._replace(number=self._number, run=(run.id, run.name), args=args, kwargs=kwargs)
        try:
            return worker.wire.frame(MESSAGE, begin)
        except Exception as error:
            check_arguments(self.name, args, kwargs)
            what = f"what {self.name} needs"
            raise cannot_travel(what, error) from error

    def _ended(self, worker: WorkerProcess, kind: int, body: Any) -> Any:
        try:
            last: ms.Done | ms.Outcome = worker.wire.load(kind, body)
        except Exception as error:
            text = f"{self.name}: what it returned can't be read in the lab: {type(error).__name__}: {error}"
            raise ActorLabError(text) from error
        self._take_notes(last.notes)
        if isinstance(last, ms.Done):
            return last.value
        raised = restored(last.failure, f"worker process {worker.pid}")
        if last.unread:
            text = (
                f"{self.name}: its function or an argument can't be read in a worker process: "
                f"{last.failure.kind}: {last.failure.text}; put it where a new Python can import it"
            )
            raise ConfigError(text) from raised
        raise raised

    # -- what the body asks

    def _answer(self, worker: WorkerProcess, kind: int, body: Any) -> Any:
        """Do what is asked, and return the frame with the answer."""
        wire = worker.wire
        try:
            request: ms.Request = wire.load(kind, body)
            self._take_notes(request.notes)
            value = None if request.what is None else self._passage.told(self._do(request.what))
        except BaseException as error:  # noqa: BLE001 - the boundary: it goes to the body
            return wire.frame(MESSAGE, ms.Ended(failure_of(error)))
        try:
            return wire.frame(PLAIN, value)
        except Exception as error:  # noqa: BLE001 - the boundary: it is the value's own code
            text = f"a {type(value).__name__} can't travel to the worker process of {self.name}"
            told = ActorLabError(f"{text}: {type(error).__name__}: {error}")
            return wire.frame(MESSAGE, ms.Ended(failure_of(told)))

    def _take_notes(self, notes: tuple[ms.Note, ...]) -> None:
        for note in notes:
            match note:
                case ms.Progressed(done, total, message):
                    told_progress(self.actor, self, done, total, message)
                case ms.Recorded(at, values):
                    self.record(pickle.loads(values), at)  # noqa: S301 - from our own child
                case ms.Logged(event, fields):
                    self.log(event, pickle.loads(fields))  # noqa: S301 - the same
                case _:
                    assert_never(note)

    def _do(self, what: ms.Asking) -> Any:  # noqa: C901, PLR0911, PLR0912 - the table of what may be asked
        match what:
            case ms.Use(device, member, args, kwargs):
                member, args, kwargs = self._call(member, args, kwargs)
                return self._passage.hold(self._passage.cell(device), member).call(member, args, kwargs)
            case ms.Ask():
                return self._ask(what)
            case ms.Fetch(number, drop):
                reply: Reply[Any] = self._table[number]
                return reply.cancel() if drop else reply.result(0)
            case ms.Listen():
                return self._listen(what)
            case ms.Take(number):
                return self._take_items(*self._listeners[number])
            case ms.Leave(number):
                return self._listeners.pop(number)[0].close()
            case ms.Spawn():
                return self._spawn(what)
            case ms.OfRun():
                return self._of_run(what)
            case ms.Sleep(seconds):
                return self.sleep(seconds)
            case ms.Checkpoint():
                return self.checkpoint()
            case ms.Stand(number):
                return self._stand(number)
            case ms.Shield(seconds):
                self._shielded[self.thread] = seconds
                return None
            case ms.Unshield():
                return self._shielded.pop(self.thread, None)
            case ms.Emit(name, data, acknowledged):
                return self.emit(name, data, acknowledged)
            case ms.AskOperator(question, choices, timeout):
                return self.ask_operator(question, choices, timeout)
            case ms.Parameter(name, default, marks):
                return self.parameter(name, default, marks)
            case _:
                assert_never(what)

    def _call(self, member: Member, args: Any, kwargs: Any) -> tuple[Member, tuple[Any, ...], dict[str, Any]]:
        args, kwargs = self._passage.incoming(args, kwargs)
        return self._passage.member(member), args, kwargs

    def _ask(self, ask: ms.Ask) -> None:
        device, member, args, kwargs = ask.call
        member, args, kwargs = self._call(member, args, kwargs)
        hold = self._passage.hold(self._passage.cell(device), member)
        self._table[ask.number] = Asked(self, ask.number, hold.ask(member, args, kwargs), member, args)

    def tell_done(self, number: int, *, well: bool) -> None:
        """Tell the process that something under a number has an outcome; from any thread."""
        worker = self._worker
        if worker is not None:
            worker.tell(ms.TOLD, number, b"" if well else b"!")

    def _listen(self, listen: ms.Listen) -> None:
        device, member, args, kwargs = listen.call
        member, args, kwargs = self._call(member, args, kwargs)
        cell = self._passage.cell(device)
        wanted = Wanted(member, args, kwargs, pulled=listen.pulled)
        listener = Listener(cell, self.holds.get(device), wanted, listen.buffer)
        self._listeners[listen.number] = listener, listener.items()

    def _take_items(self, listener: Listener, items: Any) -> list[Any]:
        """Wait for an item, and take what has come meanwhile."""
        found = list(take(items, 1))
        if found:
            with suppress(StopIteration):
                found += take(items, min(listener.waiting, AT_ONCE))
        return [item.as_heard(self._passage.told(item.value), item.dropped) for item in found]

    def _spawn(self, spawn: ms.Spawn) -> tuple[str, str]:
        args, kwargs = self._passage.incoming(spawn.args, spawn.kwargs)
        run = self._table[spawn.number] = self.spawn(unpacked_function(spawn.function), args, kwargs)
        run.reply.when_done(lambda reply: self.tell_done(spawn.number, well=not failed(reply)))
        return run.id, run.name

    def _of_run(self, what: ms.OfRun) -> Any:
        run: Run[Any] = self._table[what.number] if what.number else self.actor.run
        if what.name not in OF_RUN:
            text = f"{run.id}.{what.name} can't be used in a worker process; there are: {', '.join(sorted(OF_RUN))}"
            raise ConfigError(text)
        if what.name == "data":
            return run.data.rows, run.data.attributes
        found = getattr(run, what.name)
        return found if what.args is None else found(*what.args, **what.kwargs)

    def _stand(self, number: int) -> bool:
        """Take note that it stands, if the run is held; tell when that is over."""
        gate = self.actor.stood(self)
        if gate is None:
            return False
        gate.when_done(lambda _: self.tell_done(number, well=True))
        return True


class Asked:
    """The reply of a call that the process has asked for, with its outcome as the process is to get it."""

    __slots__ = ("_args", "_body", "_member", "_reply")

    def __init__(
        self, body: ProcessBody, number: int, reply: Reply[Any], member: Member, args: tuple[Any, ...]
    ) -> None:
        self._body = body
        self._reply = reply
        self._member = member
        self._args = args
        reply.when_done(lambda done: body.tell_done(number, well=not failed(done)))

    def result(self, timeout: float) -> Any:
        """Return the outcome."""
        return self._reply.result(timeout)

    def cancel(self) -> bool:
        """Drop the call."""
        return self._reply.cancel()


def failed(reply: Reply[Any]) -> bool:
    """Tell whether the outcome is an error."""
    return reply.exception(0) is not None


def take(items: Any, count: int) -> Any:
    """Yield so many items at most."""
    for _ in range(count):
        try:
            yield next(items)
        except StopIteration:
            return


def level_of(body: Body) -> int:
    """Return how many bodies in processes wait for this one, as it is a child of theirs."""
    level = 0
    actor = body.actor
    while actor.parent is not None:
        level += type(actor.parent_body) is ProcessBody
        actor = actor.parent
    return level


# -- what can travel


def check_travels(lab: Lab, work: Work) -> None:
    """See, as a run is submitted, whether its body can travel to a worker process.

    Raises:
        ConfigError: the function, a device or an argument can't; the message names it.

    """
    begin_of(work.name, lab, work)
    args, kwargs = replace(work.args, work.kwargs, ticket_without_objects)
    check_arguments(work.name, args, kwargs)


def begin_of(name: str, lab: Lab, work: Work) -> ms.Begin:
    """Say what a process needs to run a step, but for its arguments.

    Raises:
        ConfigError: the function, or the class of a device, can't travel.

    """
    try:
        function = packed_function(work.task.function)
    except Exception as error:
        what = f"the function of {name}"
        raise cannot_travel(what, error) from error
    seen = {device: seen_of(lab.inventory.cell(device)) for device in (*work.exclusive, *work.shared)}
    return ms.Begin(0, name, ("", ""), function, (), {}, seen)


def check_arguments(name: str, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
    """Raise `ConfigError` naming the argument that can't travel, if there is one."""
    places: tuple[tuple[int | str, Any], ...] = (*enumerate(args, 1), *kwargs.items())
    for place, value in places:
        try:
            pack(value, [])
        except Exception as error:
            what = f"argument {place!r} of {name} (a {type(value).__name__})"
            raise cannot_travel(what, error) from error


def cannot_travel(what: str, error: Exception) -> ConfigError:
    """Make the error for what can't be pickled."""
    why = str(error) if isinstance(error, ConfigError) else f"{type(error).__name__}: {error}"
    return ConfigError(f"{what} can't travel to a worker process: {why}")
