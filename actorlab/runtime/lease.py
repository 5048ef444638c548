"""Hold devices for the length of a `with` block, in scripts and notebooks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from actorlab.errors import ConfigError, LeaseLost
from actorlab.kernel import Reply
from actorlab.runtime.listening import end_streams
from actorlab.runtime.session import SessionActor
from actorlab.runtime.timed_lease import TermActor
from actorlab.scope import current

if TYPE_CHECKING:
    from contextvars import Token
    from types import TracebackType

    from actorlab.runtime.cell import Cell
    from actorlab.runtime.lab import Lab
    from actorlab.scope import Scope

__all__ = ["LeaseBlock"]


class LeaseBlock:
    """A lease for the length of a ``with`` block; what it loses to an interrupt is released when it is collected.

    One with a `ttl` (seconds) is lost unless it is renewed within that time, again and again: so a program that is
    stuck keeps nobody waiting.
    """

    def __init__(self, lab: Lab, run_id: str, cells: list[Cell], timeout: float | None, ttl: float | None) -> None:
        self.id = run_id
        self._lab = lab
        self._left = True
        self._actor = actor_for(lab, run_id, cells, timeout, ttl)
        self._ended = self._actor.run.reply
        self._entered: Token[Scope] | None = None
        self._left = False

    def renew(self) -> float:
        """Begin the term of a lease with a `ttl` anew, and return for how many seconds.

        Raises:
            LeaseLost: it has expired, or was revoked; the message says when and why.

        """
        actor = self._actor
        if not isinstance(actor, TermActor):
            text = f"{self.id} has no term, and needn't be renewed: lab.lease(…, ttl=10) has one"
            raise ConfigError(text)
        reply: Reply[float] = Reply()
        self._lab.decider.post(actor.renew, reply)
        reply.wait()
        return reply.result()

    def __enter__(self) -> Self:
        """Wait for the lease.

        Raises:
            LeaseTimeout: the devices weren't free in time.

        """
        actor = self._actor
        try:
            actor.post()
            actor.granted_to_block.wait()
            actor.granted_to_block.result()
            self._entered = current.set(actor.session)
        except BaseException:
            actor.cancel("the wait for the lease was interrupted")
            self._left = True
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Give the devices back.

        Raises:
            LeaseLost: the lease was revoked or has expired, and nothing in the block has told so.

        """
        if self._entered is not None:
            current.reset(self._entered)
            self._entered = None
        self._left = True
        try:
            if self._actor.session.streams is not None:
                end_streams(self._actor.session)
        finally:
            self._lab.decider.post(self._actor.leave, error)
            self._ended.wait()
        if error is None and self._actor.lost:
            raise LeaseLost(self._actor.lost)

    def __del__(self) -> None:
        if not self._left:
            self._actor.cancel("the lease was lost to an interrupt")


def actor_for(lab: Lab, run_id: str, cells: list[Cell], timeout: float | None, ttl: float | None) -> SessionActor:
    """Make the supervisor of a lease. Raise `ConfigError` if its term makes no sense."""
    if ttl is None:
        return SessionActor(lab, run_id, cells, timeout)
    if not 0 < ttl < float("inf"):
        text = f"lab.lease(…, ttl={ttl!r}): it takes seconds, more than 0"
        raise ConfigError(text)
    return TermActor(lab, run_id, cells, timeout, ttl=ttl)
