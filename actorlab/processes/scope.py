"""Give the ambient verbs their meaning inside a body that runs in a worker process."""

from __future__ import annotations

import asyncio
import pickle
import time
from _thread import get_ident
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NoReturn

from actorlab.body_kinds import BodyKind, constructed
from actorlab.core.progress import PhaseProgress
from actorlab.errors import Cancelled, ConfigError
from actorlab.isolation.packing import pack
from actorlab.kernel import FOREVER, Reply
from actorlab.on_loop import LoopScope
from actorlab.processes.runs import RemoteRun
from actorlab.reporting import ReportingScope
from actorlab.runtime import process_messages as ms
from actorlab.runtime.process_packing import packed_function
from actorlab.task import as_task

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from actorlab.driving.member import Member
    from actorlab.processes.devices import RemoteCell, RemoteHold
    from actorlab.processes.inside import Inside
    from actorlab.runtime.run import Run

__all__ = ["AsyncScope", "BodyScope"]

monotonic = time.monotonic


class BodyScope(ReportingScope):
    """One body: what it means is asked of its double in the lab; where nothing is to be asked, nothing is sent."""

    def __init__(self, inside: Inside, begin: ms.Begin) -> None:
        self.inside = inside
        self.name = begin.name
        self._number = begin.number
        self._run: Run[Any] = RemoteRun(inside, 0, *begin.run)
        self._phases: PhaseProgress | None = None
        self._shields: list[float] = []
        self._waits: dict[int, Reply[Any]] = {}

    # -- the alarm

    @property
    def is_to_look(self) -> bool:
        """Tell whether the lab has something to say at a checkpoint: a cancellation or a pause."""
        return self.inside.looked_for == self._number or self.inside.gone

    def wake(self) -> None:
        """Have those look who wait here; from another thread."""
        for reply in list(self._waits.values()):
            reply.wake()

    def stop(self) -> None:
        """End it, if there is a way other than its checkpoints; from another thread."""

    def checkpoint(self) -> None:
        """Let a cancellation or a pause take effect."""
        if self.is_to_look:
            if not self._shields:  # what comes meanwhile is looked at again
                self.inside.looked_for = 0
            self.inside.ask(ms.Checkpoint())

    def wait(self, reply: Reply[Any], timeout: float = FOREVER) -> bool:
        """Wait for a reply as a checkpoint: True if it is done, False after `timeout` seconds."""
        me = get_ident()
        self._waits[me] = reply
        end = None if timeout < 0 else monotonic() + timeout
        try:
            while True:
                self.checkpoint()
                if reply.wait(FOREVER if end is None else max(0.0, end - monotonic())):
                    return True
                if end is not None and monotonic() >= end:
                    return reply.done()
        finally:
            self._waits.pop(me, None)

    @contextmanager
    def shield(self, seconds: float) -> Generator[None]:
        """Keep a cancellation out of a block for at most some seconds after it comes."""
        self.inside.ask(ms.Shield(seconds))
        self._shields.append(seconds)
        try:
            yield
        finally:
            self._shields.pop()
            if not self._shields:
                self.inside.looked_for = self._number
                self.inside.ask(ms.Unshield())

    # -- what the verbs mean

    def sleep(self, seconds: float) -> None:
        """Wait for some seconds; a cancellation ends it."""
        self.inside.ask(ms.Sleep(seconds))

    def progress(self, done: float, total: float | None, message: str) -> None:
        """Tell how far the work is."""
        if self._phases is None:
            self.inside.note(ms.Progressed(done, total, message))
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
        self.inside.note(ms.Progressed(fraction or 0.0, None if fraction is None else 1.0, message))

    def emit(self, name: str, data: Any, acknowledged: float | None) -> Any:
        """Tell whoever listens to the lab; wait for an answer, if one is asked for."""
        return self.inside.ask(ms.Emit(name, data, acknowledged))

    def ask_operator(self, question: str, choices: tuple[str, ...], timeout: float | None) -> str:
        """Ask an operator, and stand until somebody answers."""
        answer: str = self.inside.ask(ms.AskOperator(question, choices, timeout))
        return answer

    def record(self, values: dict[str, Any]) -> None:
        """Keep a row of what was measured."""
        self.inside.note(ms.Recorded(time.time(), pack(values)))

    def parameter(self, name: str, default: Any, marks: tuple[Any, ...]) -> Any:
        """Return what a parameter of the run is now."""
        return self.inside.ask(ms.Parameter(name, default, marks))

    def log(self, event: str, fields: dict[str, Any]) -> None:
        """Log in the run's name; what can't travel is logged as text."""
        try:
            packed = pack(fields)
        except Exception:  # noqa: BLE001 - the boundary: it is the code of what was logged
            packed = pickle.dumps({name: repr(value) for name, value in fields.items()})
        self.inside.note(ms.Logged(event, packed))

    def present_run(self) -> Run[Any]:
        """Return the run of this body."""
        return self._run

    def forbid(self, what: str) -> NoReturn:
        """Refuse what only the lab's own process can do.

        Raises:
            ConfigError: always.

        """
        text = f"{self.name} used {what} in a worker process, where there is no lab: spawn(…) a run, or use a thread"
        raise ConfigError(text)

    # -- devices and children

    def hold_for(self, cell: RemoteCell, member: Member) -> RemoteHold:
        """Return how the body uses a device."""
        del member
        return cell.hold

    def may_call(self, what: str) -> None:
        """Allow a call that waits."""

    def spawn(self, function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Run[Any]:
        """Start a child run, which borrows what this body holds."""
        inside = self.inside
        args, kwargs = inside.devices.outgoing(args, kwargs)
        packed = packed_function(as_task(function))
        number, ended = inside.awaited()
        run_id, name = inside.ask(ms.Spawn(number, packed, args, kwargs))
        return RemoteRun(inside, number, run_id, name, ended)

    def before_waiting(self, run: Run[Any]) -> None:
        """Allow to wait for a run."""


class AsyncScope(LoopScope, BodyScope):
    """An asynchronous body, on an event loop of its own: cancelled by asyncio's own means, and never blocking."""

    place = "in an asynchronous body"

    def __init__(self, inside: Inside, begin: ms.Begin) -> None:
        super().__init__(inside, begin)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._task: asyncio.Task[Any] | None = None

    # -- its end

    def stop(self) -> None:
        """Have its task cancelled, after a shield if there is one; from another thread."""
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._cancel)

    def wake(self) -> None:
        """Have those look who wait here, and end it if there is no lab any more."""
        super().wake()
        if self.inside.gone:
            self.stop()

    def _cancel(self) -> None:
        if self._loop is not None and self._shields:
            self._loop.call_later(max(self._shields), self._cancel_now)
        else:
            self._cancel_now()

    def _cancel_now(self) -> None:
        if self._task is not None:
            self._task.cancel(self._reason)

    @property
    def _reason(self) -> str:
        number, reason = self.inside.cancelled
        return reason if number == self._number else "the lab has ended"

    @property
    def _is_cancelled(self) -> bool:
        return self.inside.cancelled[0] == self._number or self.inside.gone

    # -- its task

    def run_on_loop(self, function: Any, kind: BodyKind, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Run the body to its end, and return its value.

        Raises:
            Cancelled: its run was cancelled.

        """
        try:
            return asyncio.run(self._perform(function, kind, args, kwargs))
        except asyncio.CancelledError as error:
            if self._is_cancelled:
                raise Cancelled(self._reason) from error
            raise

    async def _perform(
        self, function: Callable[..., Any], kind: BodyKind, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        self._task = asyncio.current_task()
        self._loop = asyncio.get_running_loop()
        if self._is_cancelled:  # before there was a task
            raise asyncio.CancelledError(self._reason)
        begun = constructed(function, args, kwargs)
        if kind is BodyKind.COROUTINE:
            return await begun
        try:
            async for report in begun:
                self.report(report)
                await self.come_by()
        finally:
            await begun.aclose()
        return None

    def checkpoint(self) -> None:
        """Do nothing: a cancellation comes by asyncio, and a pause at an awaited checkpoint."""

    async def come_by(self) -> None:
        """Let a cancellation or a pause take effect, and others have their turn."""
        await asyncio.sleep(0)
        while self.is_to_look and not self._shields:
            self.inside.looked_for = 0
            number, freed = self.inside.awaited()
            if self.inside.gone or not self.inside.ask(ms.Stand(number)):
                self.inside.told.pop(number, None)
                return
            await freed

    # -- what would block

    def may_call(self, what: str) -> None:
        """Refuse a call that waits."""
        self.refuse_to_block(what, f"await ask({what}, …)")

    def before_waiting(self, run: Run[Any]) -> None:
        """Refuse to wait for a run, unless it has ended."""
        if not run.done():
            self.refuse_to_block(f"{run.id}.result()", "await the run")
