"""Sample a condition on a thread of its own: it only looks, within the time of a sample, and is told of, not judged."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from decimal import Decimal
from numbers import Real
from typing import TYPE_CHECKING, Any, NamedTuple, Never, SupportsFloat, TypeAlias

from actorlab.core.interlock import Event, InterlockCore, Sampled, Unreadable
from actorlab.driving.travel import Stays
from actorlab.errors import ActorStopped, CallTimeout, NotLeased
from actorlab.kernel import URGENT, Reply
from actorlab.runtime.calls import Call, as_seen_by_caller
from actorlab.runtime.lives import short
from actorlab.scope import Scope, current

if TYPE_CHECKING:
    from actorlab.driving.member import Member
    from actorlab.runtime.cell import Cell

__all__ = ["Condition", "Glance", "Sample", "Sampler", "Seen"]

Condition: TypeAlias = Callable[[], SupportsFloat]

monotonic = time.monotonic


class Sample(NamedTuple):
    """One look at a condition: its value, or None and why it couldn't be read; `time` is seconds since 1970."""

    time: float
    value: float | None
    why: str = ""


class Seen(NamedTuple):
    """What a sampler tells; `wrong` says that the condition itself is wrongly made."""

    event: Event
    sample: Sample
    wrong: str = ""


class Looking(Scope):
    """What may be done in a condition: it only looks, by queries, within the time of its sample."""

    __slots__ = ("bell", "ended", "name", "until")

    def __init__(self, name: str) -> None:
        self.name = name
        self.until = 0.0
        """When the time of the present sample is over (monotonic seconds)."""
        self.ended: Reply[None] = Reply()
        self.bell: Reply[None] = Reply()
        """Ends the wait in progress; it is put here first, then `ended` is looked at, so the end misses no wait."""

    def end(self) -> None:
        """End every wait, now and later; from any thread."""
        if not self.ended.done():
            self.ended.finish(None, None)
        self.bell.finish(None, None)

    def sleep(self, seconds: float) -> None:
        """Wait for some seconds, or for the end."""
        self.ended.wait(max(0.0, seconds))

    def hold_for(self, cell: Cell, member: Member) -> Glance:
        """Let queries through.

        Raises:
            NotLeased: it is a command.

        """
        if not member.query:
            text = (
                f"{cell.name}.{member.name} is a command, and {self.name} only looks: let a task do what is to be done"
            )
            raise NotLeased(text)
        return Glance(self, cell)

    def forbid(self, what: str) -> Never:
        """Refuse to wait for anything else."""
        text = f"{self.name} only looks: its condition may not use {what}"
        raise NotLeased(text)

    def spawn(self, function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Never:
        """Refuse it."""
        del function, args, kwargs
        self.forbid("spawn(…)")


class Glance:
    """A condition's use of one device: queries by the urgent lane, for no longer than its sample may take."""

    __slots__ = ("_cell", "_scope")

    def __init__(self, scope: Looking, cell: Cell) -> None:
        self._scope = scope
        self._cell = cell

    def call(self, member: Member, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Ask the device, and wait for the answer; what may end the wait before that belongs together here.

        Raises:
            CallTimeout: it hasn't come within the time of the sample. The query, if it has begun, goes on.

        """
        call = self._send(member, args, kwargs)
        bell = self._scope.bell = Reply()
        call.when_done(lambda _: bell.finish(None, None))
        if not self._scope.ended.done():
            bell.wait(max(0.0, self._scope.until - monotonic()))
        if not call.done():
            call.drop(self._late(call))
        if not call.done():  # it has begun, and may hang
            self._cell.lab_actor.limits.watch(self._cell, call)
            raise self._late(call)
        error = call.exception(0)
        if error is None:
            value = call.outcome()
            return value if value.__class__ is not Stays else self._cell.part(None, member, args, value)
        try:
            raise as_seen_by_caller(error, self._cell)
        finally:
            del error, call  # its traceback would keep this frame alive, and that the error

    def ask(self, member: Member, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Call:
        """Send a query, and return it as its reply; it begins within the time of the sample, or never."""
        call = self._send(member, args, kwargs)
        self._cell.lab_actor.limits.watch(self._cell, call, max(0.0, self._scope.until - monotonic()))
        return call

    def _send(self, member: Member, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Call:
        call = Call(URGENT, None, self._cell, member, args, kwargs)
        try:
            self._cell.mailbox.put(call)
        except ActorStopped:
            error = self._cell.unavailable()
            raise error from error.__cause__
        return call

    def _late(self, call: Call) -> CallTimeout:
        name = f"{self._cell.name}.{call.member.name}"
        if self._scope.ended.done():
            return CallTimeout(f"{self._scope.name} has ended, and {name} wasn't answered before")
        return CallTimeout(f"{name} wasn't answered in the time of the sample")


class Sampler:
    """The thread that samples one condition; it tells what it has seen, and decides nothing."""

    def __init__(self, name: str, condition: Condition, core: InterlockCore, tell: Callable[[Seen], object]) -> None:
        self._condition = condition
        self._period, self._limit, self._hysteresis = core.period, core.limit, core.hysteresis
        self._tell = tell
        self._scope = Looking(name.rpartition(": ")[2])
        self.thread = threading.Thread(target=self._loop, daemon=True, name=name)

    @property
    def over(self) -> bool:
        """Tell whether the thread has ended."""
        return self.thread.ident is not None and not self.thread.is_alive()

    def stop(self) -> None:
        """End it as soon as its condition returns; a query it waits for doesn't hold it."""
        self._scope.end()

    def _loop(self) -> None:
        current.set(self._scope)
        ended = self._scope.ended
        while not ended.done():
            began = monotonic()
            self._scope.until = began + self._limit
            self._tell(self._look(began))
            ended.wait(max(0.0, began + self._period - monotonic()))

    def _look(self, began: float) -> Seen:
        at = time.time()
        try:
            return self._take(began, at, self._condition())
        except BaseException as error:  # noqa: BLE001 - the thread boundary: what can't be read is the core's to judge
            why = short(error)
            return Seen(Unreadable(why), Sample(at, None, why))

    def _take(self, began: float, at: float, found: Any) -> Seen:
        value = reading(found)
        if value is None:
            wrong = f"its condition returned {found!r}: it has to return true or false, or a margin as a number"
        elif isinstance(value, bool) and self._hysteresis > 0:
            wrong = f"hysteresis={self._hysteresis:g} needs a margin, a number, and its condition returned {value}"
        else:
            return Seen(Sampled(began, value), Sample(at, value))
        return Seen(Unreadable(wrong), Sample(at, None, wrong), wrong)


def reading(found: Any) -> float | None:
    """Return a condition's result as True, False or a margin; None says that it is none of these."""
    if getattr(found, "ndim", None) == 0 and hasattr(found, "item"):
        found = found.item()  # one number of NumPy's is a plain one
    if isinstance(found, bool):
        return found
    return float(found) if isinstance(found, (Real, Decimal)) else None
