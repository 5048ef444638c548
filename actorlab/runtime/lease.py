"""Hold devices for the length of a `with` block, in scripts and notebooks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Self

from actorlab.core import run_events as ev
from actorlab.core.run_state import RunState
from actorlab.errors import LeaseLost, NotLeased
from actorlab.kernel import Reply
from actorlab.options import Options
from actorlab.runtime.body import Body, Hold
from actorlab.runtime.listening import end_streams
from actorlab.runtime.run_actor import RunActor
from actorlab.runtime.run_bodies import alarm_body, take
from actorlab.runtime.work import Work
from actorlab.scope import current
from actorlab.task import Task

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from contextvars import Token
    from types import TracebackType

    from actorlab.driving.member import Member
    from actorlab.runtime.cell import Cell
    from actorlab.runtime.lab import Lab
    from actorlab.scope import Scope

__all__ = ["LeaseBlock"]


class Session(Body):
    """The body of a lease block: it is the block itself, in its user's thread."""

    __slots__ = ()

    def meet(self, me: int) -> None:
        """Raise always: a block can't be cancelled halfway, only lost.

        Raises:
            LeaseLost: the lease has ended.

        """
        del me
        raise self._lease_lost()

    def dropped(self, me: int, error: BaseException) -> BaseException:
        """Return what a call raises that was dropped as the lease ended: nobody has cancelled the caller."""
        del me
        lost = self._lease_lost()
        lost.__cause__ = error
        return lost

    def _lease_lost(self) -> LeaseLost:
        return LeaseLost(self.lost or f"{self.name} has lost its lease: {self.reason or 'its block has ended'}")

    def hold_for(self, cell: Cell, member: Member) -> Hold | None:
        """Return the block's hold; a query of another device is a call from outside."""
        hold = self.holds.get(cell.name)
        if hold is None and not member.query:
            if self.ended:
                self.meet(0)
            text = (
                f"{member.on(cell.name)} is a command, and {cell.name} isn't among the devices of this lease "
                f"({', '.join(self.holds)}): add it to lab.lease(…)"
            )
            raise NotLeased(text)
        return hold

    def step(self, task: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, ...] | None:
        """Run a task that is called in the block as a run which borrows the block's devices."""
        return (self.spawn(task, args, kwargs).result(),)

    def checkpoint(self) -> None:
        """Raise if the lease was lost."""
        if self.alarm:
            self.meet(0)


class SessionActor(RunActor):
    """The supervisor of a lease block: a run whose body is elsewhere."""

    listed_as = "lease"

    def __init__(self, lab: Lab, run_id: str, cells: list[Cell], timeout: float | None) -> None:
        names = tuple(cell.name for cell in cells)
        work = Work(Task(held), (), {}, "lease", names, ())
        options = Options(lease_timeout=timeout)
        super().__init__(lab, run_id, "lease", (work,), cells=cells, shared=frozenset(), options=options)
        self.session = Session(self, 0, 1, run_id)
        self.granted_to_block: Reply[None] = Reply()
        self.run.reply.when_done(lambda ended: self.granted_to_block.finish(None, ended.exception(0)))

    def _start_body(self, action: ev.StartBody) -> None:
        del action
        self.bodies[0] = self.session
        take(self, self.session, self.work[0], fresh=False)
        self.granted_to_block.finish(None, None)

    def _alarm_body(self, action: ev.AlarmBody) -> None:
        """End the block's lease: its thread is somewhere in the user's program, and hears of it at its next call."""
        alarm_body(self, action)
        if self.core.state is RunState.CANCELLING:
            self.decider.then(self.leave, None)

    def granted(self, pause: str | None = None) -> None:
        """Hear that the lease is there; a block has no place to stand still, so it begins all the same.

        Nobody keeps its data, so its devices aren't asked how they stand: a block begins at once.
        """
        del pause
        self.looked("")

    def leave(self, error: BaseException | None) -> None:
        """Take the end of the block; for the deciding thread."""
        self.body_ended((0, 1, None, error))

    deeds: ClassVar[Mapping[type, Callable[[Any, Any], None]]] = {
        **RunActor.deeds,
        ev.StartBody: _start_body,
        ev.AlarmBody: _alarm_body,
    }


def held() -> None:
    """Stand for a block's statements."""


class LeaseBlock:
    """A lease for the length of a ``with`` block; what it loses to an interrupt is released when it is collected."""

    def __init__(self, lab: Lab, run_id: str, cells: list[Cell], timeout: float | None) -> None:
        self._lab = lab
        self._actor = SessionActor(lab, run_id, cells, timeout)
        self._ended = self._actor.run.reply
        self._entered: Token[Scope] | None = None
        self._left = False

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

    def __del__(self) -> None:
        if not self._left:
            self._actor.cancel("the lease was lost to an interrupt")
