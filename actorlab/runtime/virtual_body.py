"""Let a body run in virtual time: its thread runs only while nobody else does, and its waits cost nothing."""

from __future__ import annotations

import contextvars
import threading
import traceback
from _thread import allocate_lock
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, NoReturn

from actorlab.errors import ActorLabError, Cancelled, NotLeased
from actorlab.kernel import Reply
from actorlab.kernel.frames import frame_of
from actorlab.scope import Scope, current

if TYPE_CHECKING:
    from collections.abc import Callable

    from actorlab.driving.member import Member
    from actorlab.runtime.run import Run
    from actorlab.runtime.run_actor import RunActor
    from actorlab.runtime.simulating import Simulation
    from actorlab.runtime.twin import TwinCell

__all__ = ["VirtualBody"]

PATIENCE: Final = 60.0
"""A body that neither waits nor ends for so many real seconds is given up."""
GRACE: Final = 2.0
TURNS: Final = 100
"""When a rehearsal is over, a body may go on for so many real seconds, or catch so many cancellations."""
CALL: Final = 0.001
"""Virtual seconds that each call of a device takes, beyond those that its twin sleeps."""


class TwinHold:
    """A body's hold on the twin of a device: its calls are made at once, in the body's thread."""

    def __init__(self, body: VirtualBody, cell: TwinCell, *, exclusive: bool) -> None:
        self._body = body
        self.cell = cell
        self.exclusive = exclusive

    def call(self, member: Member, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Call the twin, and return what it returns.

        Raises:
            NotLeased: the device is only relied on, and this is a command.

        """
        name = self._body.name
        if not (self.exclusive or member.query):
            what = member.on(self.cell.name)
            text = f"{name} holds {self.cell.name} only shared, and {what} is a command: drop Shared[…]"
            raise NotLeased(text)
        self._body.sleep(CALL)
        return self.cell.act(member, args, kwargs)

    def ask(self, member: Member, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Reply[Any]:
        """Call the twin, and return a reply that is there."""
        reply: Reply[Any] = Reply()
        try:
            value = self.call(member, args, kwargs)
        except Exception as error:  # noqa: BLE001 - it is the reply's, as from another thread
            reply.finish(None, error)
        else:
            reply.finish(value, None)
        return reply

    def listener(self) -> NoReturn:
        """Refuse to listen to a stream.

        Raises:
            ActorLabError: always.

        """
        text = f"{self._body.name} listens to a stream of {self.cell.name}: streams aren't simulated"
        raise ActorLabError(text)


class VirtualBody(Scope):
    """One execution of a body in virtual time.

    Its thread and that which lets the time pass hand one baton to and fro: exactly one of them runs. So nothing is ever
    a race, and each simulation of the same bodies is the same.
    """

    def __init__(self, simulation: Simulation, actor: RunActor, index: int, attempt: int, name: str) -> None:
        self.actor = actor
        self.index = index
        self.attempt = attempt
        self.name = name
        self.holds: dict[str, TwinHold] = {}
        self.children: tuple[Run[Any], ...] = ()
        self.observed = False
        self.value: Any = None
        self.error: BaseException | None = None
        self.ended = False
        self._simulation = simulation
        self._reason: str | None = None
        self._met = False
        self._fenced = False
        self._waiting = True  # for its turn; written by the body's own thread
        self._mine = allocate_lock()
        self._theirs = allocate_lock()
        self._mine.acquire()
        self._theirs.acquire()
        self._wakes = 0
        self._thread = threading.Thread(target=self._run, name=f"actorlab rehearsal: {name}", daemon=True)
        self._function: Callable[[], Any] | None = None

    # -- for the thread that lets the time pass

    def start(self, function: Callable[[], Any]) -> None:
        """Begin: the first turn comes now."""
        if self._fenced:
            return
        self._function = function
        self._thread.start()
        self.resume(self._wakes)

    def resume(self, wake: int) -> None:
        """Let the body run until it waits or ends; a wake that comes too late is none.

        Raises:
            ActorLabError: it does neither.

        """
        if self.ended or wake != self._wakes:
            return
        self._simulation.count_turn(self)
        if not self._turn(PATIENCE):
            stack = "".join(traceback.format_stack(frame)) if (frame := frame_of(self._thread.ident or 0)) else ""
            text = (
                f"{self.name} neither ended nor waited in virtual time for {PATIENCE:g} s: in a rehearsal only `sleep` "
                f"and calls of devices let time pass, time.sleep doesn't; it is here:\n{stack}"
            )
            raise ActorLabError(text)
        if self.ended:
            self._thread.join()
            self._simulation.body_ended(self)

    def _turn(self, patience: float) -> bool:
        """Let the body run, until it gives way or ends; False if it does neither."""
        if self._waiting:
            self._theirs.acquire(False)  # an interrupt may have come between the two halves of an earlier turn
            with suppress(RuntimeError):
                self._mine.release()
        return self._theirs.acquire(timeout=patience)

    def close(self) -> None:
        """End the body, as the rehearsal is over: each wait and call raises from now on."""
        self._reason, self._fenced = self._reason or "the rehearsal is over", True
        for _ in range(TURNS if self._thread.ident is not None else 0):
            if self.ended or not self._turn(GRACE):
                break
        if self.ended:
            self._thread.join()

    def alarm(self, reason: str) -> None:
        """Let it meet `Cancelled` where it waits."""
        if self._reason is None:
            self._reason = reason
            self._simulation.clock.after(0.0, self.resume, self._wakes)

    # -- the body's own thread

    def _run(self) -> None:
        self._await_turn()
        try:
            self.value = contextvars.copy_context().run(self._perform)
        except BaseException as error:  # noqa: BLE001 - the thread boundary: it goes to the run's core
            self.error = error
        self.ended = True
        self._theirs.release()

    def _perform(self) -> Any:
        current.set(self)
        self.meet()
        if self._function is None:
            return None
        value = self._function()
        for child in self.children:
            self.result_of(child, None)
            if not child.observed:
                child.result()
        return value

    def meet(self) -> None:
        """Raise `Cancelled`, once, if the body was alarmed."""
        if self._reason is not None and (self._fenced or not self._met):
            self._met = True
            raise Cancelled(self._reason)

    def _give_way(self) -> None:
        """Let the others run until somebody wakes this body."""
        self._waiting = True
        self._theirs.release()
        self._await_turn()
        self._wakes += 1

    def _await_turn(self) -> None:
        self._mine.acquire()
        self._waiting = False

    def sleep(self, seconds: float) -> None:
        """Let some virtual seconds pass; a cancellation ends it."""
        self.meet()
        self._simulation.clock.after(seconds, self.resume, self._wakes)
        self._give_way()
        self.meet()

    def monotonic(self) -> float:
        """Return the virtual time."""
        return self._simulation.clock.now

    def checkpoint(self) -> None:
        """Let a cancellation take effect."""
        self.meet()

    def ask_operator(self, question: str, choices: tuple[str, ...], timeout: float | None) -> str:
        """Take the first of the choices, and note that nobody was asked."""
        del timeout
        answer = choices[0] if choices else ""
        self._simulation.unknown[f"what is answered to {question!r}, which {self.name} asks: {answer!r} is taken"] = (
            None
        )
        return answer

    # -- devices and children

    def hold_for(self, cell: Any, member: Member) -> TwinHold:
        """Return the hold on a device's twin.

        Raises:
            NotLeased: it isn't among the arguments.

        """
        hold = self.holds.get(cell.name)
        if hold is None or hold.cell is not cell:
            text = (
                f"{self.name} uses {cell.name!r} ({member.on(cell.name)}), which is not among its arguments: "
                f"pass {cell.name} to it"
            )
            raise NotLeased(text)
        return hold

    def spawn(self, function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Run[Any]:
        """Start a child run, which borrows what this body holds."""
        self.meet()
        child = self._simulation.spawn(self, function, args, kwargs)
        self.children = (*self.children, child)
        return child

    def result_of(self, run: Run[Any], timeout: float | None) -> None:
        """Wait for another run's end in virtual time, at most for some seconds."""
        if run.done():
            return
        wake = self._wakes
        self._simulation.when_ended(run, lambda: self._simulation.clock.then(self.resume, wake))
        if timeout is not None:
            self._simulation.clock.after(timeout, self.resume, wake)
        self.meet()
        self._give_way()
        self.meet()
