"""Watch the limits of calls: what takes too long is interrupted, and what can't be interrupted is given up."""

from __future__ import annotations

import time
import weakref
from typing import TYPE_CHECKING, Any, Final

from actorlab.errors import CallTimeout, Cancelled
from actorlab.kernel import Reply
from actorlab.runtime.calls import Call
from actorlab.runtime.cell import DeviceState

if TYPE_CHECKING:
    from actorlab.runtime.cell import Cell
    from actorlab.runtime.decider import Decider
    from actorlab.runtime.device_actor import DeviceActor
    from actorlab.runtime.helpers import Helpers
    from actorlab.runtime.leases import Leases
    from actorlab.runtime.lives import Lives

__all__ = ["INTERRUPT_GRACE", "CallLimits"]

monotonic = time.monotonic
INTERRUPT_GRACE: Final = 2.0
"""So many seconds an interrupted call has to end, before its device is given up."""
TOLERANCE: Final = 0.05
"""So much of its running limit later, the caller of an interrupted call is let go, whether that has ended or not."""


class CallLimits:
    """The running and waiting limits of calls; `overdue`, `watch` and `end` only post."""

    def __init__(self, decider: Decider, helpers: Helpers, leases: Leases, lives: Lives) -> None:
        self._decider = decider
        self._leases = leases
        self._helpers = helpers
        self._lives = lives

    def overdue(self, cell: Cell, call: Call, limit: float) -> None:
        """Have a call ended that has taken longer than its running limit; from any thread."""
        self._decider.post(self._overdue, (cell, call, limit))

    def _overdue(self, argument: tuple[Cell, Call, float]) -> None:
        """Have a call ended. Its caller hears of it now or a moment later, also if it can't be ended so soon."""
        cell, call, limit = argument
        actor = cell.actor
        if call.done() or call.why == "timeout" or actor is None or not actor.at(call):
            return
        call.stack = actor.where()
        if call in actor.stack:  # else another's execution answers it, or it is being brought back into step
            self._helpers.put(actor.interrupt, call, "timeout")
        grace = actor.grace(INTERRUPT_GRACE)
        if grace:  # else it is killed at once, and its caller hears where it was
            self._decider.after(limit * TOLERANCE, self._free_caller, argument)
        self._decider.after(grace, self._still_overdue, (cell, actor, call, limit))

    def _free_caller(self, argument: tuple[Cell, Call, float]) -> None:
        """Let the caller go, while its call hangs on: until that ends or is given up nobody else gets the device."""
        cell, call, limit = argument
        if call.done():
            return
        text = (
            f"{call.member.on(cell.name)} took longer than its limit of {limit:g} s, was told to end and hasn't "
            f"yet: {cell.name} is given up unless it does within {INTERRUPT_GRACE:g} s; it was here:\n{call.stack}"
        )
        told = CallTimeout(text, call.stack)
        self._leases.available(cell, available=False)
        call.finish(None, told)
        if call.exception(0) is not told:  # it ended at this moment
            self._serves_again(cell)

    def ended_late(self, cell: Cell) -> None:
        """Hear from a device's thread that a call whose caller had been let go has ended after all."""
        self._decider.post(self._serves_again, cell)

    def _serves_again(self, cell: Cell) -> None:
        if cell.standing is DeviceState.IDLE:
            self._leases.available(cell, available=True)

    def _still_overdue(self, argument: tuple[Cell, DeviceActor, Call, float]) -> None:
        cell, actor, call, limit = argument
        if actor.at(call) and cell.actor is actor and not actor.abandoned:
            self._lives.lose(
                cell, f"{call.member.on(cell.name)} took longer than {limit:g} s and couldn't be interrupted"
            )

    def left_alone(self, reply: Reply[Any] | None) -> None:
        """Drop a call whose caller was taken away by Ctrl-C, or watch its limit, if it has begun; from any thread."""
        if isinstance(reply, Call) and not reply.drop(Cancelled("its caller was interrupted")):
            self.watch(reply.target, reply)

    def watch(self, cell: Cell, call: Call, waiting: float | None = None) -> None:
        """Watch the limits of a call that no thread waits for; from any thread."""
        if not call.done():
            self._decider.post(self._watch, (cell, call, waiting))

    def _watch(self, argument: tuple[Cell, Call, float | None]) -> None:
        cell, call, waiting = argument
        limit = cell.config.timeout
        if call.done():
            return
        if not call.begun:
            left = limit if waiting is None else min(waiting, limit)
            # Weakly: one that gives way to a newer call is gone then, and not only when its limit has passed.
            self._decider.after(left, self._look_at, (cell, weakref.ref(call), waiting, monotonic()))
        elif call.begun + limit <= monotonic():
            self._overdue((cell, call, limit))
        else:
            self._decider.after(call.begun + limit - monotonic(), self._watch, argument)

    def _look_at(self, argument: tuple[Cell, weakref.ref[Call], float | None, float]) -> None:
        cell, reference, waiting, since = argument
        call = reference()
        if call is None:  # answered, and forgotten by all
            return
        if waiting is not None and not call.begun and monotonic() >= since + waiting:
            text = f"{call.member.on(cell.name)} hadn't begun after {waiting:g} s and now never will"
            call.drop(CallTimeout(text))
        self._watch((cell, call, waiting))

    def end(self, call: Call) -> None:
        """Have a call in progress ended; from any thread."""
        self._decider.post(lambda _: None if call.done() else self.interrupt(call, "cancel"))

    def interrupt(self, call: Call, why: str) -> None:
        """Have a call in progress ended; for the deciding thread."""
        cell: Cell = call.target
        if cell.actor is not None:
            self._helpers.put(cell.actor.interrupt, call, why)
