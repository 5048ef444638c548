"""Supervise a lease whose holder is no body of ours: the statements of a `with` block, or somebody elsewhere."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any, ClassVar

from actorlab.core import run_events as ev
from actorlab.core.run_state import RunState
from actorlab.errors import LeaseLost, NotLeased
from actorlab.kernel import Reply
from actorlab.options import Options
from actorlab.runtime.body import Body, Hold
from actorlab.runtime.run_actor import NOTHING, RunActor
from actorlab.runtime.run_bodies import alarm_body, take
from actorlab.runtime.work import Work
from actorlab.task import Task

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from actorlab.driving.member import Member
    from actorlab.runtime.cell import Cell
    from actorlab.runtime.lab import Lab

__all__ = ["Session", "SessionActor"]


class Session(Body):
    """The body of a lease: it is the block itself, or what somebody elsewhere does, in their threads."""

    __slots__ = ()

    def meet(self, me: int) -> None:
        """Raise always: a block can't be cancelled halfway, only lost.

        Raises:
            LeaseLost: the lease has ended.

        """
        del me
        raise self.lease_lost()

    def dropped(self, me: int, error: BaseException) -> BaseException:
        """Return what a call raises that was dropped as the lease ended: nobody has cancelled the caller."""
        del me
        lost = self.lease_lost()
        lost.__cause__ = error
        return lost

    def lease_lost(self) -> LeaseLost:
        """Make the error for whoever goes on although the lease has ended."""
        return LeaseLost(self.lost or f"{self.name} has lost its lease: {self.reason or 'it was given back'}")

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
    """The supervisor of a lease: a run whose body is elsewhere."""

    listed_as = "lease"

    def __init__(
        self,
        lab: Lab,
        run_id: str,
        cells: list[Cell],
        timeout: float | None,
        *,
        shared: frozenset[str] = NOTHING,
        name: str = "lease",
        at_once: bool = False,
        asked_by: str = "",
    ) -> None:
        alone = tuple(cell.name for cell in cells if cell.name not in shared)
        work = Work(Task(held), (), {}, name, alone, tuple(cell.name for cell in cells if cell.name in shared))
        options = Options(lease_timeout=timeout, on_conflict="reject" if at_once else "queue")
        super().__init__(lab, run_id, name, (work,), cells=cells, shared=shared, options=options)
        self.asked_by = asked_by
        self.session = Session(self, 0, 1, run_id)
        self.granted_to_block: Reply[None] = Reply()
        self.run.reply.when_done(lambda ended: self.granted_to_block.finish(None, ended.exception(0)))

    def _start_body(self, action: ev.StartBody) -> None:
        del action
        self.bodies[0] = self.session
        take(self, self.session, self.work[0], fresh=False)
        self.begin_block()
        self.granted_to_block.finish(None, None)

    def begin_block(self) -> None:
        """Begin to count, if there is something to count; for the deciding thread, before the holder is told."""

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

    def _revoke(self, reason: str) -> None:
        if self.core.state.terminal:
            return
        when = datetime.now().astimezone()
        self.lost = f"{self.id} lost its lease at {when:%H:%M:%S}: {reason}"
        self.lab.events.add(self.id, "lease lost", why=reason)
        self.on(ev.Stopped(RunState.CANCELLED, reason))
        if not self.session.ended:  # the holder's thread hears of it at once, also if a device hangs
            self.session.fence(self.lost)

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
