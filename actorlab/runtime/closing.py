"""End a lab in order, within a bound, and say what wouldn't end."""

from __future__ import annotations

import logging
import os
import threading
import time
from typing import TYPE_CHECKING, Any, Final

from actorlab.errors import ActorLabError, ConfigError, repr_of

if TYPE_CHECKING:
    from actorlab.runtime.lab import Lab
    from actorlab.runtime.run import Run
    from actorlab.runtime.run_actor import RunActor

__all__ = ["LabEnd"]

CLOSING: Final = 5.0
"""Closing may take so many seconds beyond the grace of the runs and the bounds of the devices."""

monotonic = time.monotonic
logger = logging.getLogger("actorlab")


class LabEnd:
    """The end of a lab: by its user, by a service that has given up, or by a fault of its own."""

    def __init__(self, lab: Lab) -> None:
        self._lab = lab
        self._begun = False
        self.over = False
        # Whoever comes second waits until the lab is closed; a mailbox wouldn't do, as its reader ends meanwhile.
        self._turn = threading.RLock()
        self._stopped_itself = ""
        self._culprit: BaseException | None = None
        self._broken: BaseException | None = None
        self.exit_code = 0
        self.refusal: ConfigError | None = None
        """Why no more runs may begin; written by the deciding thread only."""

    # -- may anything begin?

    def check_open(self) -> None:
        """Raise `ConfigError` if nothing may begin any more; from any thread."""
        name = self._lab.name
        if self._broken is not None:
            text = f"lab {name!r} has failed by a fault of its own and is closed: {self._broken!r}"
            raise ConfigError(text) from self._broken
        if self._begun:
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
        self._broken = error
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
        self._begun = True
        for run in self._last_runs(at_once=True):
            run.cancel(f"the lab stops, since {reason}")
        threading.Thread(target=lab.close, daemon=True, name=f"actorlab {lab.name}: closing").start()

    def tell_block(self, error: BaseException | None) -> None:
        """Raise as a ``with`` block is left without an error, although the lab has stopped itself."""
        if self._stopped_itself and error is None:  # it mustn't look like a success
            text = f"lab {self._lab.name!r} stopped itself: {self._stopped_itself}"
            raise ActorLabError(text) from self._culprit

    def end(self, reason: str | None, timeout: float | None = None) -> None:
        """Wait for the runs, or cancel them for a reason; then stop the devices, the threads, and say what wouldn't."""
        if self.over or os.getpid() != self._lab.lab_actor.pid:
            return
        self._begun = True
        with self._turn:
            if not self.over:
                self._end_all(reason, timeout)

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

    def _stop(self, reason: str | None, timeout: float | None) -> None:
        lab = self._lab
        lives = lab.lab_actor.lives
        safe = sum(cell.config.safe_timeout for cell in lab.cells.values())
        serving = lab.cancel_grace if lab.lab_actor.services.any else 0.0
        bound = lab.cancel_grace + serving + safe + CLOSING if timeout is None else timeout
        until = monotonic() + bound
        if reason is not None:
            self._cancel_runs(reason, until - (serving if timeout is None else timeout / 2))
        self._stop_services(until)
        lab.decider.post(lab.lab_actor.interlocks.close)
        lives.stop_devices(until - monotonic())
        lost: tuple[str, ...] = tuple(lab.cells)
        if lives.stopped.wait(max(0.1, until - monotonic())):
            lost = lives.stopped.outcome()
        self._close_threads(lost)

    def _cancel_runs(self, reason: str, until: float) -> None:
        """Cancel all runs and wait for their ends; if time runs out, make all devices safe without waiting for them."""
        lab = self._lab
        running = lab.ask(lambda: self._last_runs(at_once=True))
        for run in running:
            run.cancel(reason)
        for run in running:
            run.reply.wait(max(0.0, until - monotonic()))
        if not all(run.done() for run in running):
            bound = max((cell.config.safe_timeout for cell in lab.cells.values()), default=0.0)
            lab.emergency_stop(reason).wait(min(bound, max(0.1, until - monotonic())))

    def _stop_services(self, until: float) -> None:
        """End the services, with at most half of the time that is left, and say which were abandoned."""
        if self._broken is not None:
            return
        lab = self._lab
        services = lab.lab_actor.services
        seconds = max(0.0, min(lab.cancel_grace, (until - monotonic()) / 2))
        services.close(seconds)
        bound = max((cell.config.safe_timeout for cell in lab.cells.values()), default=0.0)
        if services.stopped.wait(min(seconds + bound + 1.0, max(0.1, until - monotonic()))):
            for name in services.stopped.outcome():
                logger.error("%s was abandoned: %s", name, services.told_abandoned(name))

    def _close_threads(self, lost: tuple[str, ...]) -> None:
        lab = self._lab
        lab.ask(self._close_log)
        lab.workers.close()
        if not lab.loop.close():
            logger.error("lab %s: a body blocks the event loop, and doesn't end", lab.name)
        lab.decider.close()
        lab.decider.thread.join(CLOSING)
        self.over = True
        for cell in list(lab.cells.values()):
            if cell.name not in lost and cell.actor is not None and cell.actor.thread is not None:
                cell.actor.thread.join(CLOSING)
        late = [*lab.workers.join(0.1), *lab.observers.join(0.1), *lab.lab_actor.interlocks.join(0.1)]
        for name in lost:
            logger.error("%s was given up: %s", name, lab.cells[name].why if name in lab.cells else "")
        for thread in late:
            logger.error("%s still runs what doesn't end", thread.name)

    def _close_log(self) -> None:
        """Tell the last events, drop the calls that are to come, and end what calls back; for the deciding thread."""
        lab = self._lab
        lab.lab_actor.close()
        lab.timetable.close()
        lab.events.close()
        # Callbacks for the last events are on their way to the observers' threads: those end behind them.
        lab.decider.post(lambda _: lab.observers.close())
