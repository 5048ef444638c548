"""Let the body of a service use a device for one call at a time: a query is anybody's, a command leases the device."""

from __future__ import annotations

from _thread import get_ident
from typing import TYPE_CHECKING, Any

from actorlab.driving.travel import Stays
from actorlab.errors import Cancelled, NotLeased
from actorlab.kernel import Reply
from actorlab.kernel.actor import here
from actorlab.options import Options
from actorlab.runtime.body import Body, Hold
from actorlab.runtime.calls import OUTSIDE_WAITING, as_seen_by_caller, call_held, not_here, send_outside, wait_on
from actorlab.runtime.proxy import DeviceProxy, bind
from actorlab.task import Task

if TYPE_CHECKING:
    from actorlab.driving.member import Member
    from actorlab.runtime.calls import Call
    from actorlab.runtime.cell import Cell
    from actorlab.runtime.run import Run

__all__ = ["PerCall"]


class PerCall:
    """A body's use of one device that it doesn't hold."""

    __slots__ = ("_body", "_cell", "_shared")

    def __init__(self, body: Body, cell: Cell, *, shared: bool) -> None:
        self._body = body
        self._cell = cell
        self._shared = shared

    def call(self, member: Member, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Call the device, and wait for the answer as a checkpoint.

        Raises:
            Cancelled: the run was cancelled.
            NotLeased: it is a command to a device that is only relied on.

        """
        if here.__dict__:
            raise not_here(self._cell, member)
        if not member.query:
            return self._leased(member, args, kwargs).result().unpacked()
        return self._query(member, args, kwargs)

    def ask(self, member: Member, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Reply[Any]:
        """Send a call, and return its reply."""
        if not member.query:
            return Outcome(self._leased(member, args, kwargs))
        self._body.checkpoint()
        call = send_outside(self._cell, member, args, kwargs)
        self._body.asked(call)
        self._cell.lab_actor.limits.watch(self._cell, call, OUTSIDE_WAITING)
        return call

    def listener(self) -> Hold:
        """Return the hold by which the body hears streams of the device that run; it starts none."""
        return Hold(self._cell, self._body, exclusive=False)

    def _query(self, member: Member, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        cell, body, me = self._cell, self._body, get_ident()
        body.checkpoint()
        call = send_outside(cell, member, args, kwargs)
        body.waits[me] = call
        try:
            self._await(call, me)
        finally:
            body.waits.pop(me, None)
        error = call.exception(0)
        if error is None:
            value = call.outcome()
            return value if value.__class__ is not Stays else cell.part(None, member, args, value)
        if error.__class__ is Cancelled:
            body.met[me] = None
        try:
            raise as_seen_by_caller(error, cell)
        finally:
            del error, call  # its traceback would keep this frame alive, and that the error

    def _await(self, call: Call, me: int) -> None:
        """Wait for a query; an alarm since the checkpoint has looked at the waits before this one was among them."""
        try:
            if self._body.alarm:
                self._body.meet(me)
            wait_on(call, self._cell, self._cell.config.timeout, OUTSIDE_WAITING, self._body)
        except BaseException as error:
            call.drop(error)
            raise

    def _leased(self, member: Member, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Run[Packed]:
        """Start a child run that leases the device for one command.

        Raises:
            NotLeased: the device is only relied on.

        """
        name = f"{self._cell.name}.{member.name}"
        if self._shared:
            text = f"{self._body.name} only relies on {self._cell.name}, and {name} is a command: drop Shared[…]"
            raise NotLeased(text)
        proxy = self._cell.lab_actor.lab.device(self._cell.name)
        command = Task(carry_out, Options(name=name))
        return self._body.spawn(command, (proxy, member, args, kwargs), {})


class Packed:
    """What a command returned: a part of the device may leave the run that way, and no other."""

    __slots__ = ("_value",)

    def __init__(self, value: Any) -> None:
        self._value = value

    def unpacked(self) -> Any:
        """Return it; a part is the lab's own, as the lease by which it was read has ended."""
        return bind(self._value, None) if issubclass(type(self._value), DeviceProxy) else self._value


def carry_out(device: Any, member: Member, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Packed:
    """Carry out one command; the body of the run that leases the device for it."""
    return Packed(call_held(device.__dict__["_actorlab_hold"], member, *args, **kwargs))


class Outcome(Reply[Any]):
    """The reply of a command that a child run carries out."""

    __slots__ = ("_run",)

    def __init__(self, run: Run[Packed]) -> None:
        super().__init__()
        self._run = run
        run.observed = True
        run.reply.when_done(self._pass_on)

    def _pass_on(self, ended: Reply[None]) -> None:
        error = ended.exception(0)
        self.finish(None if error is not None else self._run.supervisor.value().unpacked(), error)

    def cancel(self) -> bool:
        """Cancel the run."""
        self._run.cancel("the call was cancelled")
        return False
