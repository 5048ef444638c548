"""Say whether somebody may command a device now: start and stop what goes on in it by itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from actorlab.errors import DeviceBusy, NotLeased
from actorlab.kernel.actor import here
from actorlab.runtime.calls import own_thread, refusal, scope_hold
from actorlab.scope import PLAIN, current

if TYPE_CHECKING:
    from actorlab.driving.member import Member
    from actorlab.errors import ActorLabError
    from actorlab.kernel import Reply
    from actorlab.runtime.body import Hold
    from actorlab.runtime.cell import Cell
    from actorlab.scope import Scope

__all__ = ["Commander"]


class Commander:
    """Who uses a device by its proxy: a body that holds it, or somebody from outside.

    Raises what a call from here would raise: nobody may wait for a device on another device's thread, nor use it in a
    body whose run doesn't hold it.
    """

    __slots__ = ("_cell", "_member", "hold")

    def __init__(self, cell: Cell, hold: Hold | None, member: Member) -> None:
        scope = current.get()
        if hold is None and scope is not PLAIN:
            hold = hold_of(scope, cell, member)
        if "actor" in here.__dict__:
            raise own_thread(cell)
        cell.lab_actor.refuse_in_fork()
        self._cell = cell
        self._member = member
        self.hold = hold

    @property
    def what(self) -> str:
        """What is used, as one would type it."""
        return self._member.on(self._cell.name)

    @property
    def token(self) -> Hold | None:
        """The token under which its commands are sent."""
        return self.hold if self.hold is not None and self.hold.exclusive else None

    def checkpoint(self) -> None:
        """Let a cancellation of the body take effect."""
        if self.hold is not None:
            self.hold.body.checkpoint()

    def renew(self) -> None:
        """Take note of the device's life, as before any call of a body."""
        hold = self.hold
        mailbox = self._cell.mailbox
        if hold is not None and mailbox.life != hold.life:
            hold.renew(mailbox, self._member)

    @property
    def may_block(self) -> bool:
        """Whether this thread may wait: that of the lab's event loop may not."""
        return not here.__dict__

    def wait(self, reply: Reply[Any]) -> None:
        """Wait for an answer or a `wake`; in a body as a checkpoint."""
        if self.hold is not None:
            self.hold.body.wait(reply)
        else:
            reply.wait()

    def answer(self, reply: Reply[None]) -> None:
        """Wait for an answer, and raise it if it is an error."""
        while not reply.done():
            self.wait(reply)
        reply.outcome()

    def refusal(self) -> ActorLabError | None:
        """Say why a command would be refused; for the deciding thread, which writes the tokens."""
        cell, hold, name = self._cell, self.hold, self.what
        if hold is None:
            return refusal(cell, self._member) if cell.token is not None else None
        if not hold.exclusive:
            return NotLeased(f"{hold.body.name} holds {cell.name} only shared, and {name} is a command: drop Shared[…]")
        if cell.token is hold:
            return None
        if cell.rightful is hold:
            return cell.vetoed(self._member)
        now = f"; it is held by {cell.holder} now" if cell.holder else ""
        return NotLeased(f"{cell.name} refuses {name}: the lease of {hold.body.name} has ended or is lent out{now}")

    def loss(self) -> ActorLabError:
        """Say why something that somebody has started was ended."""
        return self.refusal() or DeviceBusy(
            f"{self.what} was ended, as somebody else had {self._cell.name}: begin it again"
        )


def hold_of(scope: Scope, cell: Cell, member: Member) -> Hold | None:
    """Return the hold of the body in which this runs; None says: from outside.

    Raises:
        NotLeased: it is the condition of an interlock, which asks, and doesn't listen.

    """
    found = scope_hold(scope, cell, member)
    listener = getattr(found, "listener", None)  # of a service that leases for each call
    if listener is not None:
        return cast("Hold", listener())
    if found is None or hasattr(found, "body"):
        return cast("Hold | None", found)
    scope.forbid(member.on(cell.name))
    raise AssertionError(scope)
