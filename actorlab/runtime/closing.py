"""End a lab in order, within a bound, and say what wouldn't end."""

from __future__ import annotations

import logging
import os
import threading
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from actorlab.core import run_events as ev
from actorlab.errors import ActorLabError, AskDeadlock, ConfigError, JournalError, RunCancelled, repr_of
from actorlab.kernel.actor import here
from actorlab.kernel.frames import stack_of
from actorlab.runtime.body import Body
from actorlab.runtime.left_behind import Left, LeftBehind
from actorlab.runtime.session import Session
from actorlab.scope import current

if TYPE_CHECKING:
    from collections.abc import Iterable

    from actorlab.runtime.cell import Cell
    from actorlab.runtime.device_actor import DeviceActor
    from actorlab.runtime.lab import Lab
    from actorlab.runtime.run import Run
    from actorlab.runtime.run_actor import RunActor

__all__ = ["LabEnd"]

CLOSING: Final = 5.0
"""Closing may take so many seconds beyond the grace of the runs and the bounds of the devices."""
JOURNAL: Final = 5.0
"""So many seconds the journal has to write its rest."""
LAST: Final = 0.1
"""So many seconds threads have that only have to notice that it is over, …"""
PATIENCE: Final = 2.0
"""… and so many, if there is still time, those which run somebody's callback, sample or interrupt."""

monotonic = time.monotonic
logger = logging.getLogger("actorlab")


class LabEnd:
    """The end of a lab: by its user, by a service that has given up, or by a fault of its own."""

    def __init__(self, lab: Lab) -> None:
        self._lab = lab
        self.closing = False
        self.over = False
        # Whoever comes second waits until the lab is closed; a mailbox wouldn't do, as its reader ends meanwhile.
        self._turn = threading.RLock()
        self._stopped_itself = ""
        self._culprit: BaseException | None = None
        self._broken: BaseException | None = None
        self.exit_code = 0
        self.left = LeftBehind(lab=lab.name)
        """What was left behind, once it is over."""
        self.refusal: ConfigError | None = None
        """Why no more runs may begin; written by the deciding thread only."""

    # -- may anything begin?

    def check_open(self) -> None:
        """Raise `ConfigError` if nothing may begin any more; from any thread."""
        name = self._lab.name
        if self._broken is not None:
            text = f"lab {name!r} has failed by a fault of its own and is closed: {self._broken!r}"
            raise ConfigError(text) from self._broken
        if self.closing:
            why = f", since it stopped itself: {self._stopped_itself}" if self._stopped_itself else ": make a new one"
            text = f"lab {name!r} is closed{why}"
            raise ConfigError(text)

    def lets_begin(self, actor: RunActor) -> bool:
        """Tell whether a run may begin: in a lab that closes, a service lives on until its turn comes."""
        if self.refusal is None:
            return True
        return self._broken is None and actor.parent is not None and self._lab.lab_actor.services.owns(actor)

    # -- what ends it

    def fail(self, error: BaseException) -> None:
        """Do what is left when a decision itself has failed: that is our bug. It uses no core."""
        if self._broken is not None:
            return
        lab = self._lab
        self._broken, self.exit_code = error, 1
        logger.critical("lab %s: a decision failed; all devices are fenced", lab.name, exc_info=error)
        lab.lab_actor.safety.fence_all()
        for actor in lab.book.under_way:
            failed = ConfigError(f"{actor.id} ended because the lab failed by a fault of its own: {repr_of(error)}")
            failed.__cause__ = error
            for body in list(actor.bodies.values()):
                body.fence()
            actor.run.reply.finish(None, failed)
            lab.book.end(actor)
        self.refusal = ConfigError(f"lab {lab.name!r} has failed by a fault of its own: {repr_of(error)}")
        lab.lab_actor.services.fail(str(self.refusal))

    def stop_itself(self, reason: str, culprit: BaseException | None) -> None:
        """Close the lab, as a service that it can't do without has given up; for the deciding thread."""
        if self._stopped_itself:
            return
        lab = self._lab
        self._stopped_itself, self._culprit, self.exit_code = reason, culprit, 1
        lab.events.add("lab", "stopped", why=reason)
        self.closing = True
        self._cancel(f"the lab stops, since {reason}")
        threading.Thread(target=lab.close, daemon=True, name=f"actorlab {lab.name}: closing").start()

    def tell_block(self, error: BaseException | None) -> None:
        """Say how the lab has ended, as its ``with`` block is left: to the error that is under way, or by an own one.

        Raises:
            ActorLabError: nothing else is raised, but the lab stopped itself, failed, or left something behind.

        """
        if error is not None:
            if self.left:
                error.add_note(str(self.left))
        elif self._stopped_itself or self._broken is not None:  # it mustn't look like a success
            why = f"stopped itself: {self._stopped_itself}" if self._stopped_itself else "failed by a fault of its own"
            failed = ActorLabError(f"lab {self._lab.name!r} {why}")
            if self.left:
                failed.add_note(str(self.left))
            raise failed from self._culprit or self._broken
        elif self.left:
            failed = ActorLabError(str(self.left))
            failed.unsafe = tuple([device.name for device in self.left.unsafe])
            raise failed

    def end(self, reason: str | None, timeout: float | None = None) -> LeftBehind:
        """Wait for the runs, or cancel them for a reason; then stop the devices, the threads, and say what wouldn't.

        Whoever comes while another one closes the lab waits for that; with a reason, its runs are cancelled at once.

        Raises:
            AskDeadlock: it would wait for whoever calls it.

        """
        lab = self._lab
        if self.over or os.getpid() != lab.lab_actor.pid:
            return self.left
        self._refuse_inside()
        self.closing = True
        if reason is not None:
            lab.decider.post(self._cancel, reason)
        if not self._turn.acquire(timeout=-1 if timeout is None else timeout):
            return LeftBehind(lab=lab.name, threads=(Left("another thread", "is still closing the lab"),))
        try:
            if not self.over:
                self._end_all(reason, timeout)
        finally:
            self._turn.release()
        return self.left

    def _refuse_inside(self) -> None:
        """Refuse to be called by what the end waits for: a body, or a driver."""
        scope = current.get()
        if isinstance(scope, Body) and not isinstance(scope, Session) and scope.actor.lab is self._lab:
            who = scope.name
        elif "actor" in here.__dict__:
            who = f"the driver of {here.actor.name}"
        else:
            return
        text = f"{who} can't close its lab, since that would wait for its end: let whoever has started the lab close it"
        raise AskDeadlock(text)

    # -- in order

    def _end_all(self, reason: str | None, timeout: float | None) -> None:
        try:
            if reason is None:
                self._await_runs()
        except BaseException:
            reason = "Ctrl-C"
            raise
        finally:
            self._stop(reason, timeout)

    def _await_runs(self) -> None:
        while running := self._lab.ask(lambda: self._last_runs(at_once=False)):
            for run in running:
                run.reply.wait()

    def _last_runs(self, *, at_once: bool) -> tuple[Run[Any], ...]:
        """Return the runs that haven't ended, but those of services; if there are none no more may begin.

        For the deciding thread.
        """
        owns = self._lab.lab_actor.services.owns
        running = tuple([actor.run for actor in self._lab.book.under_way if not owns(actor)])
        if at_once or not running:
            self.refusal = ConfigError(f"lab {self._lab.name!r} is closed: make a new one")
        return running

    def _cancel(self, reason: str) -> tuple[Run[Any], ...]:
        """Stop all runs, and let no more begin: nobody wants their end, so they can go on in another lab."""
        running = self._last_runs(at_once=True)
        for run in running:
            run.supervisor.interrupt(reason)
        return running

    def _stop(self, reason: str | None, timeout: float | None) -> None:
        lab = self._lab
        lives = lab.lab_actor.lives
        safe = sum(cell.config.safe_timeout for cell in lab.cells.values())
        serving = lab.cancel_grace if lab.lab_actor.services.any else 0.0
        bound = lab.cancel_grace + serving + safe + CLOSING if timeout is None else timeout
        until = monotonic() + bound
        if reason is not None:
            self._cancel_runs(reason, until - (serving if timeout is None else timeout / 2), until)
        self._stop_services(until)
        lab.decider.post(lab.lab_actor.interlocks.close)
        lives.stop_devices(until - monotonic())
        lives.stopped.wait(max(0.1, until - monotonic()))
        self._close_threads(reason or "the lab was closed", until)

    def _cancel_runs(self, reason: str, first: float, until: float) -> None:
        """Cancel all runs and wait for their ends; if time runs out, make all devices safe without waiting for them."""
        lab = self._lab
        running = lab.ask(lambda: self._cancel(reason))
        if waited_for(running, first):
            return
        bound = max((cell.config.safe_timeout for cell in lab.cells.values()), default=0.0)
        lab.emergency_stop(reason).wait(min(bound, max(0.05, (until - monotonic()) / 2)))
        lab.decider.post(self._force)

    def _force(self, _: Any) -> None:
        """Give up the bodies that haven't ended yet: there is no more time for them; for the deciding thread."""
        for actor in self._lab.book.under_way:
            actor.on(ev.GraceOver())

    def _stop_services(self, until: float) -> None:
        """End the services, with at most half of the time that is left."""
        if self._broken is not None:
            return
        lab = self._lab
        services = lab.lab_actor.services
        seconds = max(0.0, min(lab.cancel_grace, (until - monotonic()) / 2))
        services.close(seconds)
        bound = max((cell.config.safe_timeout for cell in lab.cells.values()), default=0.0)
        services.stopped.wait(min(seconds + bound + 1.0, max(0.05, until - monotonic())))

    def _close_threads(self, reason: str, until: float) -> None:
        """End what is left, in the order in which it is needed; the deciding thread last."""
        lab = self._lab
        lab.ask(lambda: self._give_up_runs(reason))
        lab.workers.close()
        stay = lab.processes.close(max(LAST, until - monotonic()))
        lab.loop.close(max(0.1, min(1.0, until - monotonic())))
        late = lab.workers.join(patience(until), given_up=lab.ask(self._abandoned_threads))
        lab.ask(lab.lab_actor.close)
        down = monotonic() + max(LAST, min(CLOSING, until - monotonic()))
        for cell in list(lab.cells.values()):
            if cell.actor is not None and cell.actor.thread is not None and not cell.actor.abandoned:
                cell.actor.thread.join(max(0.0, down - monotonic()))
        self.left = lab.ask(lambda: self._look(late))
        lab.ask(self._close_log)
        lab.decider.close()
        lab.decider.thread.join(CLOSING)
        self.over = True
        self._close_journal()
        actor = lab.lab_actor
        late = [
            thread for them in (lab.observers, actor.interlocks, actor.helpers) for thread in them.join(patience(until))
        ]
        processes = [Left(f"worker process {pid}", "doesn't end") for pid in stay]
        self.left = replace(self.left, threads=(*self.left.threads, *map(left_thread, late), *processes))
        if self.left:
            self.exit_code = self.exit_code or 1
            for left in self.left.everything:
                logger.error("lab %r: %s", lab.name, left)

    def _give_up_runs(self, reason: str) -> None:
        """Answer whoever waits for a run that hasn't ended: it never will; for the deciding thread."""
        for actor in self._lab.book.under_way:
            for body in list(actor.bodies.values()):
                body.fence()
            unsafe = tuple([cell.name for cell in actor.cells if cell.owes_safe])
            text = f"{actor.id} was interrupted: {reason}; but the lab closed before everything of it had ended"
            actor.run.reply.finish(
                None, RunCancelled(text, reason=reason, unsafe=unsafe, abandoned=tuple(actor.stacks))
            )
            self._lab.book.end(actor)

    def _abandoned_threads(self) -> frozenset[int]:
        """Return the threads of the bodies that were given up: they have had their time; for the deciding thread."""
        return frozenset([body.thread for run in self._lab.book.runs for body in run.supervisor.bodies.values()])

    def _look(self, late: list[threading.Thread]) -> LeftBehind:
        """See what hasn't ended, or isn't safe; for the deciding thread."""
        lab = self._lab
        cells = list(lab.cells.values())
        threads = {thread.ident: thread for thread in late}
        bodies = [
            Left(body.name, "didn't end, and was abandoned", body.where())
            for run in lab.book.runs
            for body in run.supervisor.bodies.values()
            if body.on_loop or threads.pop(body.thread, None) is not None
        ]
        loop = lab.loop.thread
        blocked = (loop,) if loop is not None and loop.is_alive() else ()
        return LeftBehind(
            lab=lab.name,
            bodies=tuple(bodies),
            devices=tuple([left for cell in cells for left in left_of(cell)]),
            unsafe=tuple(
                [Left(cell.name, f"is not known to be safe{because(cell)}") for cell in cells if cell.owes_safe]
            ),
            threads=tuple(map(left_thread, (*blocked, *threads.values()))),
        )

    def _close_journal(self) -> None:
        """Write the rest of the journal, or say what couldn't be written."""
        journalling = self._lab.journalling
        if journalling is None:
            return
        try:
            journalling.close(JOURNAL)
        except JournalError as error:
            logger.error("lab %s: %s", self._lab.name, error)  # noqa: TRY400 - its stack says nothing

    def _close_log(self) -> None:
        """Tell the last events, drop the calls that are to come, and end what calls back; for the deciding thread."""
        lab = self._lab
        lab.timetable.close()
        lab.events.add("lab", "closed", left=tuple(map(str, self.left.everything)))
        lab.events.close()
        # Callbacks for the last events are on their way to the observers' threads: those end behind them.
        lab.decider.post(lambda _: lab.observers.close())


def patience(until: float) -> float:
    """Return how many seconds threads have that may run somebody's code."""
    return max(LAST, min(PATIENCE, until - monotonic()))


def waited_for(runs: Iterable[Run[Any]], until: float) -> bool:
    """Wait for the ends of some runs, and tell whether all have come in time."""
    return all(run.reply.wait(max(0.0, until - monotonic())) for run in runs)


def left_of(cell: Cell) -> list[Left]:
    """Return the lives of a device that haven't ended."""
    lives = [*cell.abandoned, *([cell.actor] if cell.actor is not None and cell.actor not in cell.abandoned else [])]
    return [
        Left(cell.name, f"was given up{because(cell)}{process_of(actor)}", actor.where())
        for actor in lives
        if not actor.down.done()
    ]


def because(cell: Cell) -> str:
    """Say why a device stands as it does."""
    return f": {cell.why}" if cell.why else ""


def process_of(actor: DeviceActor) -> str:
    """Name a driver's process that lives on."""
    return "" if actor.pid is None else f" (its process {actor.pid} lives on)"


def left_thread(thread: threading.Thread) -> Left:
    """Say where a thread is."""
    return Left(thread.name, "still runs what doesn't end", stack_of(thread.ident))
