"""Lease devices to somebody elsewhere, for as long as the lease is renewed: who falls silent loses it."""

from __future__ import annotations

import time
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from actorlab.core import run_events as ev
from actorlab.core.lease_term import LeaseTerm
from actorlab.core.run_state import RunState
from actorlab.kernel import Reply
from actorlab.runtime.session import SessionActor
from actorlab.scope import current

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from actorlab.runtime.cell import Cell
    from actorlab.runtime.decider import Timer
    from actorlab.runtime.lab import Lab

__all__ = ["TermActor", "TimedLease"]


DEAF: Final = 60.0
"""Whoever should hear renewals, and hasn't come by for so many seconds, hears none any more."""
monotonic = time.monotonic


class TermActor(SessionActor):
    """The supervisor of a lease with a term.

    Before each look at the term, what waits to be heard is heard: the look goes through the `ear`, which is where
    renewals come in (it calls what it is given, later and in order), and then to the end of the deciding thread's mail.
    """

    def __init__(
        self, lab: Lab, run_id: str, cells: list[Cell], timeout: float | None, *, ttl: float,
        ear: Callable[[Callable[[], object]], object] | None = None, **known: Any,
    ) -> None:  # fmt: skip
        super().__init__(lab, run_id, cells, timeout, **known)
        self.ttl = ttl
        self.begun = 0.0
        self.term: LeaseTerm | None = None
        self._ear = ear
        self._looks = 0
        self._deaf: Timer | None = None

    def begin_block(self) -> None:
        """Begin to count."""
        self.begun = monotonic()
        self.term = LeaseTerm(self.ttl, self.begun)
        self.decider.after(self.term.pace, self._due)

    def renew(self, reply: Reply[float]) -> None:
        """Begin the term anew, and tell for how many seconds; for the deciding thread."""
        if self.term is None or self.session.ended or not self.term.renew(monotonic()):
            reply.finish(None, self.session.lease_lost())
        else:
            reply.finish(self.ttl, None)

    def give_back(self, error: BaseException | None) -> None:
        """Take the lease back, or the request for it; for the deciding thread."""
        if self.core.state is RunState.WAITING:
            self.on(ev.Stopped(RunState.CANCELLED, "it was taken back before it was granted"))
        else:
            self.leave(error)

    def _due(self, _: Any) -> None:
        if self.session.ended:
            return
        self._looks += 1
        look = partial(self.decider.post, self._look, self._looks)
        if self._ear is None:
            look()
            return
        self._deaf = self.decider.after(DEAF, self._look, self._looks)
        try:
            self._ear(look)
        except RuntimeError:  # its event loop has closed
            look()

    def _look(self, number: int) -> None:
        if number != self._looks or self.session.ended or self.term is None:
            return
        self._looks += 1
        if self._deaf is not None:
            self._deaf.cancel()
        if self.term.look(monotonic()):
            self._revoke(f"it wasn't renewed within its {self.ttl:g} s")
        else:
            self.decider.after(self.term.pace, self._due)


class TimedLease:
    """A lease of somebody who has to renew it; unlike a block it belongs to no thread.

    `granted` tells when the devices are there, or why not; `ended` when they have been given back.
    """

    def __init__(self, actor: TermActor) -> None:
        self._actor = actor
        self.id = actor.id
        self.ttl = actor.ttl
        self.granted: Reply[None] = actor.granted_to_block
        self.run = actor.run

    def begin(self) -> None:
        """Ask for the devices."""
        self._actor.post()

    def renew(self) -> Reply[float]:
        """Begin the term anew; the reply tells for how many seconds, or that the lease is lost."""
        reply: Reply[float] = Reply()
        self._actor.decider.post(self._actor.renew, reply)
        return reply

    def release(self, error: BaseException | None = None) -> None:
        """Give the devices back, when the runs inside have ended; after an error they are made safe first."""
        self._actor.decider.post(self._actor.give_back, error)

    def revoke(self, reason: str) -> None:
        """Take the devices away: its holder is fenced off, they are made safe, and only then others get them."""
        self._actor.revoke(reason)

    @property
    def lost(self) -> str:
        """Say when and why the lease was lost, or nothing: it wasn't."""
        return self._actor.lost

    def check(self) -> None:
        """Raise `LeaseLost` if the lease has ended."""
        self._actor.session.checkpoint()

    @property
    def begun(self) -> float:
        """Return when it was granted (monotonic seconds)."""
        return self._actor.begun

    @property
    def seconds_left(self) -> float:
        """Return after about how many seconds it expires, unless it is renewed."""
        term = self._actor.term
        return self.ttl if term is None else term.left

    @contextmanager
    def entered(self) -> Generator[None]:
        """Let what this block calls and starts be done in the lease's name, in this thread."""
        entered = current.set(self._actor.session)
        try:
            yield
        finally:
            current.reset(entered)
