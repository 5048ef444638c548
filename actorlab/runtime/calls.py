"""Call a device: in the name of a run that holds it, or from outside."""

# pyright: reportPrivateUsage=false
# The hot path looks into a reply's slots itself: a method call for each costs a tenth of the whole call.

from __future__ import annotations

import time
from _thread import allocate_lock, get_ident
from typing import TYPE_CHECKING, Any, Final

from actorlab.driving.member import where
from actorlab.driving.travel import Stays
from actorlab.errors import ActorLabError, ActorStopped, AskDeadlock, CallTimeout, Cancelled, DeviceBusy, NotLeased
from actorlab.kernel import FOREVER, HOLDER, OTHERS, Message
from actorlab.kernel.actor import here
from actorlab.scope import PLAIN, current

if TYPE_CHECKING:
    from collections.abc import Hashable

    from actorlab.core.overflow import MailboxPolicy
    from actorlab.driving.member import Member
    from actorlab.kernel import Reply
    from actorlab.runtime.body import Hold
    from actorlab.runtime.cell import Cell
    from actorlab.runtime.per_call import PerCall
    from actorlab.runtime.sampling import Glance

__all__ = ["Call", "ask_held", "ask_outside", "call_held", "call_outside"]

monotonic = time.monotonic
OUTSIDE_WAITING: Final = 30.0
"""So many seconds a call from outside waits for its begin; inside a run there is no such limit."""


class Call(Message):
    """A call of a device: the message and its reply in one object."""

    __slots__ = ("args", "asker", "kwargs", "member", "stack", "token", "why")

    asker: Hold
    """In whose name a query is sent whose device is held shared; it is there for no other call."""

    def __init__(
        self, lane: int, token: object, cell: Cell, member: Member, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> None:
        # What Message and Reply set, set here: three constructors would cost a tenth of the whole call.
        self._claims = []
        self._outcomes = []
        self._parked = []
        self.begun = 0.0
        self.lane = lane
        self.number = 0
        self.query = member.query
        self.target = cell
        self.token = token
        self.member = member
        self.args = args
        self.kwargs = kwargs
        self.why = ""
        """Why it was interrupted: "cancel", "stop" (its device is to end), "timeout" or "urgent"."""
        self.stack = ""

    @property
    def began(self) -> float:
        """When it really began (monotonic seconds), or 0; `begun` starts anew with each `sleep` of the driver."""
        claim = self._claims[0] if self._claims else None
        return claim if isinstance(claim, float) else 0.0

    def cancel(self) -> bool:
        """Drop it, if it hasn't begun: True says that it never will. If it has, have it interrupted (False)."""
        if super().cancel():
            return True
        if not self.done():
            self.target.lab_actor.limits.end(self)
        return False


def call_held(hold: Hold, member: Member, *args: Any, **kwargs: Any) -> Any:
    """Call a device in the name of a body that holds it, and wait for the answer.

    Longer than ten lines, as each step of it is on the hot path: register, look at the alarm, send, wait.
    """
    body = hold.body
    call = Call(HOLDER, hold, hold.cell, member, args, kwargs)
    if not hold.exclusive:
        hold.check_shared(call)
    me = get_ident()
    waits = body.waits
    waits[me] = call
    try:
        if body.alarm:
            body.meet(me)
        if here.__dict__:
            raise not_here(hold.cell, member)
        mailbox = hold.cell.mailbox
        if mailbox.life != hold.life:
            hold.renew(mailbox, member)
        limit = hold.cell.config.timeout
        try:
            mailbox.put(call)
        except ActorStopped:
            unavailable = hold.cell.unavailable()
            raise unavailable from unavailable.__cause__
        # What `Reply.wait` does, written out: it is the hot path. The actor wakes up meanwhile, so park after sending.
        lock = allocate_lock()
        lock.acquire()
        call._parked.append(lock)  # noqa: SLF001 - the hot path
        if not (call._outcomes or (lock.acquire(True, limit) and call._outcomes)):  # noqa: SLF001
            wait_on(call, hold.cell, limit, None, body)
        value, error = call._outcomes[0]  # noqa: SLF001 - the hot path
        if error is None:
            return value if value.__class__ is not Stays else hold.cell.part(hold, member, args, value)
        if error.__class__ is Cancelled:
            error = body.dropped(me, error)
        try:
            raise as_seen_by_caller(error, hold.cell)
        finally:
            del error, call
    except KeyboardInterrupt:
        hold.cell.lab_actor.limits.left_alone(waits.get(me))
        raise
    finally:
        waits.pop(me, None)


def call_outside(cell: Cell, member: Member, *args: Any, **kwargs: Any) -> Any:
    """Call a device through the lab's own proxy, and wait for the answer.

    Inside a lease block it is the block's call; inside a body or a drawing it is refused.
    """
    scope = current.get()
    if scope is not PLAIN:
        hold = scope_hold(scope, cell, member)
        if hold is not None:
            return hold.call(member, args, kwargs)
    if here.__dict__:
        raise not_here(cell, member)
    call = send_outside(cell, member, args, kwargs)
    try:
        wait_on(call, cell, cell.config.timeout, OUTSIDE_WAITING, None)
    except KeyboardInterrupt:
        cell.lab_actor.limits.left_alone(call)
        raise
    error = call._outcomes[0][1]  # noqa: SLF001 - the hot path
    if error is None:
        value = call._outcomes[0][0]  # noqa: SLF001
        return value if value.__class__ is not Stays else cell.part(None, member, args, value)
    try:
        raise as_seen_by_caller(error, cell)
    finally:
        del error, call


def ask_held(hold: Hold, member: Member, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Call:
    """Send a call in the name of a body, and return it as its reply; what a full mailbox does, its policy says.

    Raises:
        MailboxFull: too many asked calls wait already, and the policy is to reject.

    """
    body = hold.body
    policy = hold.cell.mailbox.policy
    key = conflation_key(policy, member, args) if policy.overflow == "conflate" else None
    call = Call(HOLDER, hold, hold.cell, member, args, kwargs)
    hold.check_shared(call)
    body.checkpoint()
    mailbox = hold.cell.mailbox
    if mailbox.life != hold.life:
        hold.renew(mailbox, member)
    try:
        body.asked(call)
        hold.bar(call)
        while (space := mailbox.put_asked(call, key)) is not None:
            body.wait(space)
    except ActorStopped:
        call.drop(hold.cell.unavailable())
    except BaseException as error:
        call.drop(error)
        raise
    hold.cell.lab_actor.limits.watch(hold.cell, call)
    return call


def conflation_key(policy: MailboxPolicy, member: Member, args: tuple[Any, ...]) -> Hashable:
    """Return the key by which a call replaces another; parts that have no name of their own differ by what they are."""
    name = f"{where('', member.path)}.{member.name}".removeprefix(".")
    if policy.key is not None:
        return policy.key_of(name, args)
    return (name, *(part for kind, part in member.path if kind == "object"))


def ask_outside(cell: Cell, member: Member, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Reply[Any]:
    """Send a call from outside, and return it as its reply."""
    scope = current.get()
    if scope is not PLAIN:
        hold = scope_hold(scope, cell, member)
        if hold is not None:
            return hold.ask(member, args, kwargs)
    call = send_outside(cell, member, args, kwargs)
    cell.lab_actor.limits.watch(cell, call, OUTSIDE_WAITING)
    return call


def send_outside(cell: Cell, member: Member, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Call:
    """Send a call of somebody who holds nothing; the device's actor decides again as it begins."""
    if "actor" in here.__dict__:
        raise own_thread(cell)
    cell.lab_actor.refuse_in_fork()
    if cell.token is not None and not member.query:
        raise refusal(cell, member)
    call = Call(OTHERS, None, cell, member, args, kwargs)
    try:
        cell.mailbox.put_from_outside(call)
    except ActorStopped:
        error = cell.unavailable()
        raise error from error.__cause__
    return call


def wait_on(call: Call, cell: Cell, running: float, waiting: float | None, body: Any) -> None:
    """Wait for the outcome of a call within its two limits (seconds).

    Longer than ten lines: the two limits, and what may end the wait before them, belong together.
    """
    sent = monotonic()
    told = False
    while not call.done():
        if body is not None and body.fenced:
            body.meet(get_ident())
        if told:
            left = FOREVER  # the lab ends it, bounded
        elif call.begun:
            left = call.begun + running - monotonic()
            if left <= 0:
                cell.lab_actor.limits.overdue(cell, call, running)
                told = True
                continue
        elif waiting is not None and monotonic() >= sent + waiting:
            call.drop(CallTimeout(f"{call.member.on(cell.name)} hadn't begun after {waiting:g} s and now never will"))
            continue
        else:
            left = running if waiting is None else min(running, sent + waiting - monotonic())
        call.wait(left)


def scope_hold(scope: Any, cell: Cell, member: Member) -> Hold | Glance | PerCall | None:
    """Ask the scope in which this code runs for its hold on a device; None says: call from outside.

    Raises:
        NotLeased: it is a body's scope, and the device isn't among its arguments.
        WorkflowError: a workflow is being drawn here.

    """
    hold_for = getattr(scope, "hold_for", None)
    if hold_for is None:
        scope.forbid(member.on(cell.name))
        return None
    return hold_for(cell, member)  # type: ignore[no-any-return]  # the scope of a body, by its own class


def refusal(cell: Cell, member: Member) -> ActorLabError:
    """Make the error for a command of somebody who holds nothing."""
    return cell.vetoed(member) if cell.vetoes else busy(cell, member)


def busy(cell: Cell, member: Member) -> DeviceBusy:
    """Make the error for a command to a device that somebody else holds."""
    waiting = cell.lab_actor.leases.queue_for(cell.name)
    queue = f"; {', '.join(waiting)} wait{'' if len(waiting) > 1 else 's'} for it too" if waiting else ""
    who = cell.holder or "somebody"
    text = f"{member.on(cell.name)} is a command, and {cell.name} is held by {who}{queue}; queries are answered"
    return DeviceBusy(text)


def not_here(cell: Cell, member: Member) -> AskDeadlock:
    """Make the error for a thread that may not wait: a device's own, or that of the lab's event loop."""
    if "actor" in here.__dict__:
        return own_thread(cell)
    call = f"{cell.name}.{member.name}"
    return AskDeadlock(f"{call} was called on the lab's event loop, where nothing may block: await ask({call}, …)")


def own_thread(cell: Cell) -> AskDeadlock:
    """Make the error for a device's thread that would wait for another device."""
    mine = here.actor.name
    return AskDeadlock(f"the driver of {mine} called {cell.name}: a driver may not wait for the lab or another device")


def as_seen_by_caller(error: BaseException, cell: Cell) -> BaseException:
    """Translate what only the kernel says into what a caller can act on."""
    if isinstance(error, ActorStopped):
        return cell.unavailable()
    return error


def stale(call: Call, cell: Cell) -> Exception:
    """Make the error for a call whose token isn't the device's."""
    if call.token is cell.rightful:  # so it is nobody else's: the device was given up, or an interlock keeps all out
        return cell.unavailable() if cell.mailbox.closed else cell.vetoed(call.member)
    if call.lane == HOLDER:
        now = f"; it is held by {cell.holder} now" if cell.holder else ""
        text = f"{cell.name} refuses {call.member.on()}: the lease it was sent under has ended or is lent out{now}"
        return NotLeased(text)
    return refusal(cell, call.member)
