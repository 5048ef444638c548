"""Be one execution of a task or workflow, as its user sees it: awaitable, cancellable, pausable."""

from __future__ import annotations

import asyncio
import logging
import time
from contextlib import nullcontext
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

from actorlab.core.run_state import RunState
from actorlab.data.dataset import Dataset
from actorlab.errors import RunCancelled
from actorlab.kernel import Reply
from actorlab.runtime.about import about
from actorlab.runtime.all_rows import AllRows
from actorlab.runtime.notes import Progress, progress_of, reasons_of
from actorlab.runtime.running import guarded
from actorlab.runtime.steps import Steps, StepView
from actorlab.scope import PLAIN, current

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from actorlab.core.backlog import Event
    from actorlab.runtime.reason import Reason
    from actorlab.runtime.run_actor import RunActor

__all__ = ["Progress", "Run", "StepView", "Steps"]

R = TypeVar("R")
PATIENCE: Final = 2.0
"""A blocking `lab.run` that waits longer than so many seconds says for what."""

LINES: Final = 500
"""So many lines of a run's log are kept."""
monotonic = time.monotonic


class Run(Generic[R]):
    """One execution of a task or workflow.

    `result()` and ``await`` only watch, but for a cancelled ``await``: it cancels the run, and returns when that has
    ended.
    """

    __slots__ = ("__weakref__", "id", "name", "observed", "reply", "supervisor", "unwritten")

    def __init__(self, actor: RunActor) -> None:
        self.supervisor = actor
        self.id: str = actor.id
        self.name: str = actor.name
        self.reply: Reply[Any] = Reply()
        self.observed = False
        self.unwritten = ""
        """Why the lab's journal doesn't have its end, if it should and doesn't."""

    # -- looking

    @property
    def state(self) -> RunState:
        """Return the state the run is in now."""
        state = self.supervisor.core.state
        if not state.terminal and self.reply.done():  # a decision itself has failed, or the lab closed without it
            return RunState.INTERRUPTED if isinstance(self.reply.exception(0), RunCancelled) else RunState.FAILED
        return state

    @property
    def progress(self) -> Progress | None:
        """Return how far the run is: its own body's word, or that of a workflow's steps added up.

        A step that has ended counts as 1, and each by the seconds that it `takes`, if any step says that.
        """
        return progress_of(self.supervisor)

    def eta(self) -> float | None:
        """Return in how many seconds the run will probably have ended, waits for devices included; None: who knows.

        It goes by what is left of each step: by its own progress, by how long it took in earlier runs, or by its
        `takes`.
        """
        from actorlab.runtime.rehearse import eta  # noqa: PLC0415 - loaded by those who ask for it

        return eta(self)

    @property
    def reasons(self) -> tuple[Reason, ...]:
        """Say why the run waits, retries, pauses or ended as it did; nothing if it simply runs.

        Each reason is a sentence, and has the same as data: `kind`, `run`, `resource`, `by`.
        """
        return self.supervisor.lab.ask(lambda: reasons_of(self.supervisor))

    @property
    def steps(self) -> Steps:
        """Return the steps of the run: ``run.steps[3]``, ``run.steps["iv_curve[2]"].value``; each as it stands."""
        return Steps(self.supervisor)

    @property
    def data(self) -> Dataset:
        """Return what the run's bodies have recorded so far; with a journal all of it, also before an interruption."""
        actor = self.supervisor
        records = actor.records()
        journal = actor.lab.journalling
        if journal is None or not (actor.resumed or records.dropped):
            return Dataset(records, lambda: about(self))
        return Dataset(AllRows(journal.journal, self.id), lambda: about(self))

    @property
    def provenance(self) -> dict[str, Any]:
        """Return what the run's devices said of themselves before it began, if its lab keeps a journal.

        For each device its class and its settings: the answers to all queries without arguments, `identify` among them.
        """
        return dict(self.supervisor.notes.devices)

    @property
    def parameters(self) -> dict[str, Any]:
        """Return the parameters that the run's bodies have declared, with their present values."""
        return dict(self.supervisor.parameters.values)

    def set(self, **parameters: Any) -> None:
        """Set parameters of the run while it goes on; its bodies read them by `parameter`.

        Raises:
            ConfigError: there is no such parameter, or the value doesn't fit it.

        """
        self.supervisor.parameters.set(parameters)

    @property
    def children(self) -> tuple[Run[Any], ...]:
        """Return the runs that this one has started."""
        return tuple(self.supervisor.children)

    @property
    def log(self) -> tuple[Event, ...]:
        """Return the newest lines that this run, and those which it has started, have logged, as events."""
        own = self.supervisor.notes.log or ()
        lines = [line for found in (own, *(child.log for child in self.children)) for line in tuple(found)]
        return tuple(sorted(lines, key=lambda line: line.sequence)[-LINES:])

    @property
    def hidden(self) -> bool:
        """Tell whether it is background work, which isn't counted in the lab's progress."""
        return self.supervisor.options.hidden

    @property
    def service(self) -> str:
        """Return the name of the service whose life this run is, or nothing."""
        return self.supervisor.service

    @property
    def key(self) -> str | None:
        """Return the key which no other run has at the same time, or None."""
        return self.supervisor.options.key

    @property
    def devices(self) -> tuple[str, ...]:
        """Return the names of the devices which the run holds or wants."""
        return tuple(cell.name for cell in self.supervisor.cells)

    def done(self) -> bool:
        """Tell whether the run has ended."""
        return self.reply.done()

    def result(self, timeout: float | None = None) -> R:
        """Wait for the run's end, at most `timeout` seconds, and return its result.

        In a body it is a checkpoint.

        Raises:
            Exception: the body's own, with a note that names the run and its step.
            RunCancelled: it was cancelled, and its work has stopped; `RunTimeout` if by its timeout.
            TimeoutError: it hasn't ended yet; it goes on.
            AskDeadlock: it waits for the run in which this is called.

        """
        self._wait(timeout)
        self.observed = True
        self.reply.result(0)
        return self.supervisor.value()  # type: ignore[no-any-return]  # what the body returned

    def exception(self, timeout: float | None = None) -> BaseException | None:
        """Wait for the run's end, and return its error or None."""
        self._wait(timeout)
        self.observed = True
        return self.reply.exception(0)

    def _wait(self, timeout: float | None) -> None:
        if not self.reply.done():
            scope = current.get()
            waits = getattr(scope, "result_of", None)
            if waits is not None:
                waits(self, timeout)
            elif scope is not PLAIN:
                scope.forbid(f"{self.id}.result()")
                self.reply.wait(-1 if timeout is None else timeout)
            else:
                self.reply.wait(-1 if timeout is None else timeout)
        if not self.reply.done():
            text = f"{self.id} is {self.state} after {timeout} s; it goes on"
            raise TimeoutError(text)

    def wait_saying(self) -> None:
        """Wait for the end; if the lease takes longer than `PATIENCE`, say what it waits for."""
        if self.reply.wait(PATIENCE):
            return
        told = ""
        while self.state is RunState.WAITING and not self.reply.done():
            reasons = "; ".join(self.reasons)
            if reasons and reasons != told:
                logging.getLogger("actorlab").warning(reasons)
                told = reasons
            if self.reply.wait(PATIENCE):
                return
        self.reply.wait()

    # -- steering

    def cancel(self, reason: str = "") -> None:
        """Ask for the end of the run; after the end this does nothing. `result()` tells when the work has stopped."""
        self.supervisor.cancel(reason or "it was cancelled")

    def pause(self, reason: str = "") -> None:
        """Let the run stand still at its next `track`, `checkpoint()` or between two steps; it keeps its devices."""
        self.supervisor.pause(reason or "it was paused")

    def resume(self) -> None:
        """Let a paused run go on."""
        self.supervisor.resume()

    def add_done_callback(self, function: Callable[[Run[R]], object]) -> None:
        """Call `function(run)` once the run has ended, from a worker thread; an error it raises is logged."""
        lab = self.supervisor.lab
        call = partial(guarded, lab.logger, function, self)
        self.reply.when_done(lambda _: lab.decider.post(lab.workers.put, call))

    def __await__(self) -> Generator[Any, None, R]:
        """Wait in an event loop; a cancelled wait cancels the run, and ends when the run has.

        Raises:
            AskDeadlock: in a body, the run waits for that body's.

        """
        if not self.reply.done():
            awaiting = getattr(current.get(), "awaiting", None)
            with nullcontext() if awaiting is None else awaiting(self):
                yield from self._ended()
        return self.result()

    def _ended(self) -> Generator[Any, None, None]:
        loop = asyncio.get_running_loop()
        landed: asyncio.Future[None] = loop.create_future()
        self.reply.when_done(lambda _: land(loop, landed))
        while not landed.done():
            try:
                yield from asyncio.shield(landed)
            except asyncio.CancelledError:
                self.cancel("the waiting task was cancelled")
                while not landed.done():
                    try:
                        yield from asyncio.shield(landed)
                    except asyncio.CancelledError:
                        continue
                self.observed = True
                raise

    def __repr__(self) -> str:
        return f"<{self.id}: {self.state}>"


def land(loop: asyncio.AbstractEventLoop, landed: asyncio.Future[None]) -> None:
    """Resolve a loop's future from another thread."""
    try:
        loop.call_soon_threadsafe(lambda: None if landed.done() else landed.set_result(None))
    except RuntimeError:  # the loop has closed: nobody waits there any more
        return
