"""Decide on the streams of one device: who joins one that runs, who may start one, and how each ends for whom."""

from __future__ import annotations

import logging
import time
from _thread import allocate_lock
from typing import TYPE_CHECKING, Any, Final

from actorlab.driving.beats import WISHED
from actorlab.errors import ActorLabError, ActorStopped, Cancelled, DeviceFault
from actorlab.runtime.production import Box, Production

if TYPE_CHECKING:
    from collections.abc import Collection, Hashable

    from actorlab.runtime.calls import Call
    from actorlab.runtime.cell import Cell
    from actorlab.runtime.decider import Timer
    from actorlab.runtime.device_actor import DeviceActor

__all__ = ["Streams"]

monotonic = time.monotonic
logger = logging.getLogger("actorlab")
AT_LEAST: Final = 0.01
"""A call is looked at no more often than after so many seconds."""
LOOK: Final = 0.2
"""So often (seconds) a stream that is pushed is looked at: no call of it would tell that its device was given up."""


class Streams:
    """The streams of one device; what is called from other threads only posts."""

    __slots__ = ("_cell", "_counting", "_running", "_timers", "dropped")

    def __init__(self, cell: Cell) -> None:
        self._cell = cell
        self._running: dict[Hashable, Production] = {}
        self._timers: dict[Production, Timer] = {}
        self.dropped = 0
        """How many items all listeners together have lost, as far as they have noticed."""
        # Listeners count in threads of their own, and only when they have lost something: a message would tell no more.
        self._counting = allocate_lock()

    # -- from any thread

    def subscribe(self, box: Box) -> None:
        """Let somebody listen; `box.answer` tells when he does, or why he can't."""
        self._cell.lab_actor.lab.decider.post(self._subscribe, box)

    def lose(self, items: int) -> None:
        """Count what a listener has lost."""
        with self._counting:
            self.dropped += items

    def stopped(self, production: Production, error: BaseException | None) -> None:
        """Hear that no call advances a stream any more."""
        self._cell.lab_actor.lab.decider.post(self._stopped, (production, error))

    def closed(self, production: Production, call: Call) -> None:
        """Hear that a stream's generator is closed."""
        self._cell.lab_actor.lab.decider.post(self._closed, (production, call.exception(0)))

    def published(self, actor: DeviceActor, channel: str, value: Any) -> None:
        """Hear what a driver in another process publishes, or wishes for its periodic methods."""
        if channel == WISHED:
            path, name, start = value
            self._cell.periodics.wish(path, name, start=start)
            return
        for production in list(self._running.values()):
            if production.actor is actor and production.channel == channel:
                production.publish(value)

    def end_life(self, actor: DeviceActor) -> None:
        """Close what a life of the device has open; on its thread, before it disconnects."""
        for production in list(self._running.values()):
            if production.actor is actor:
                try:
                    production.close_now()
                except BaseException as error:  # noqa: BLE001 - the boundary to the driver's own code
                    if actor.fault is None:  # else it is broken, and what is closed with it fails too
                        self._note_failed_close(production, error)
                self._cell.lab_actor.lab.decider.post(self._life_over, production)

    # -- for the deciding thread

    def entitled(self) -> None:
        """End the streams whose token isn't the device's any more, before its next holder hears of it."""
        for production in self._running.values():
            if not production.everybodys and production.token is not self._cell.token and not production.lost:
                production.lost = True
                production.close()

    def _life_over(self, production: Production) -> None:
        self._finish(production, self._fault(production, None))

    def _subscribe(self, box: Box, number: int = 0) -> None:
        """Let somebody join a stream, or start it for him with an item of this number."""
        production = self._running.get(box.wanted.key)
        if box.left:
            box.answer.finish(None, None)
        elif production is None:
            refusal = self._refusal(box)
            if refusal is None:
                self._start(box, number)
            self._answer(box, refusal)
        elif production.closing or production.actor.mailbox.closed:
            production.parked.append(box)
        elif production.wanted.asked != box.wanted.asked:
            self._answer(box, self._in_the_way(production))
        else:
            production.join(box)
            self._answer(box, None)

    @staticmethod
    def _answer(box: Box, refusal: ActorLabError | None) -> None:
        if refusal is not None:
            box.end = (refusal,)
        box.answer.finish(None, refusal)

    def _start(self, box: Box, number: int) -> None:
        cell, wanted = self._cell, box.wanted
        assert cell.actor is not None  # noqa: S101 - it serves
        token = None if wanted.member.query else box.commander.token
        production = Production(cell, cell.actor, self, wanted, token, number)
        self._running[wanted.key] = production
        production.join(box)
        production.open()
        self._look_later(production)

    def _refusal(self, box: Box) -> ActorLabError | None:
        """Say why somebody can't start a stream."""
        cell = self._cell
        if box.wanted.joins:
            return ActorLabError(
                f"{box.wanted.member.on(cell.name)} doesn't run, and who listens here may not start it"
            )
        refusal = None if box.wanted.member.query else box.commander.refusal()
        if refusal is None and (cell.mailbox.closed or cell.actor is None or cell.actor.mailbox is not cell.mailbox):
            refusal = cell.unavailable()
        return refusal

    def _in_the_way(self, production: Production) -> ActorLabError:
        """Refuse a second stream of one method that pushes: nobody could tell the values of the two apart."""
        asked = f"{self._name_of(production)}{production.wanted.args}"
        return ActorLabError(
            f"{asked} runs, and pushes one stream at a time: listen to it with these arguments, or end it"
        )

    def _name_of(self, production: Production) -> str:
        return production.wanted.member.on(self._cell.name)

    # -- the end of a stream

    def _stopped(self, argument: tuple[Production, BaseException | None]) -> None:
        production, error = argument
        production.stopped = True
        if isinstance(error, (ActorStopped, DeviceFault)) or production.actor.mailbox.closed:
            self._finish(production, self._fault(production, error))
        elif production.closing:
            if production.closed.done() or not production.is_open:
                self._finish(production, error)
        elif isinstance(error, Cancelled) or (production.everybodys and production.was_cut_short()):
            production.close()  # and those who listen hear on from a new one, if they may: nobody wished to end it
        elif error is not None:
            production.lost = production.lost or not self._is_entitled(production)
            self._tell(production, error)
            production.close()
            if not production.is_open:
                self._finish(production, None)
        elif not production.pushes:
            self._finish(production, None)

    def _closed(self, argument: tuple[Production, BaseException | None]) -> None:
        production, error = argument
        if error is not None and not isinstance(error, (ActorStopped, DeviceFault)):
            self._note_failed_close(production, error)
        production.closed.finish(None, None)
        if production.stopped:
            self._finish(production, None)

    def _note_failed_close(self, production: Production, error: BaseException) -> None:
        its = {"device": self._cell.name}
        logger.warning("closing the stream %s failed", self._name_of(production), exc_info=error, extra=its)

    def _is_entitled(self, production: Production) -> bool:
        return production.everybodys or production.token is self._cell.token

    def _fault(self, production: Production, error: BaseException | None) -> BaseException:
        """Make the error of a stream whose device has ended."""
        if isinstance(error, DeviceFault):
            return error
        unavailable = self._cell.unavailable()
        fault = production.actor.fault
        if fault is None:
            return unavailable
        told = DeviceFault(f"{self._cell.name} failed, and its stream {production.wanted.member.name} with it: {fault}")
        told.__cause__ = fault
        return told

    def _finish(self, production: Production, error: BaseException | None) -> None:
        """Forget a stream, tell those who still listen, and serve those who came meanwhile."""
        if production.over.done():
            return
        timer = self._timers.pop(production, None)
        if timer is not None:
            timer.cancel()
        if self._running.get(production.wanted.key) is production:
            del self._running[production.wanted.key]
        unwanted = error is None and production.closing and not production.lost
        late = [box for box in production.everybody() if unwanted and comes_late(box)]
        production.closing = True
        self._tell(production, error, late)
        production.over.finish(None, None)
        for box in (*production.parked, *late):
            self._subscribe(box, production.number)
        production.wake()

    def _tell(self, production: Production, error: BaseException | None, but: Collection[Box] = ()) -> None:
        """End a stream for all who listen: for those whose stream it was by its error, if it was taken away."""
        for box in production.everybody():
            if box.end is None and box not in but:
                box.end = (self._error_for(box, production, error),)
        production.end()

    @staticmethod
    def _error_for(box: Box, production: Production, error: BaseException | None) -> BaseException | None:
        if production.lost:
            return box.commander.loss() if box.keeps else None
        return error

    # -- limits

    def _look_later(self, production: Production) -> None:
        call, limit = production.call, self._cell.config.timeout
        left = limit if call is None or call.done() or not call.begun else call.begun + limit - monotonic()
        seconds = max(AT_LEAST, left) if production.wanted.pulled else LOOK
        self._timers[production] = self._cell.lab_actor.lab.decider.after(seconds, self._look, production)

    def _look(self, production: Production) -> None:
        """See that a call which hangs is ended, and that what pushes ends with its device."""
        call, cell = production.call, self._cell
        if production.pushes and production.actor.mailbox.closed:
            self._life_over(production)
            return
        if call is not None and call.begun and not call.done() and call.begun + cell.config.timeout <= monotonic():
            cell.lab_actor.limits.overdue(cell, call, cell.config.timeout)
        self._look_later(production)


def comes_late(box: Box) -> bool:
    """Tell whether somebody, for whose sake the stream would have gone on, came when it was about to end."""
    return box.keeps and not box.left and box.end is None
