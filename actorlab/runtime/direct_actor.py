"""Own one life of a device whose holder calls it in his own thread: the actor and he take turns."""

from __future__ import annotations

from _thread import allocate_lock
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from actorlab.driving.in_thread import InThread
from actorlab.driving.member import invoke
from actorlab.kernel import HOLDER
from actorlab.runtime.calls import Call
from actorlab.runtime.device_actor import DeviceActor

if TYPE_CHECKING:
    from collections.abc import Callable

    from actorlab.driving.member import Member
    from actorlab.runtime.body import Hold
    from actorlab.runtime.cell import Cell

__all__ = ["DirectDeviceActor"]


class DirectDeviceActor(DeviceActor):
    """One life of a device whose holder calls it directly.

    `turn` is held during each call, by the actor's thread or by the holder's. A mailbox wouldn't do: to do without is
    the point. A pass lets the threads of one holder in. Whoever wants them out sets his condition (an alarm, another
    token, a closed mailbox, `wants_turn`) and then takes the pass; whoever hands it out looks at them all after that.
    """

    def __init__(self, cell: Cell, life: int) -> None:
        super().__init__(cell, life)
        self.turn = allocate_lock()
        self.wants_turn = False

    def execute(self, message: Any) -> None:
        """Execute one call in the actor's turn."""
        if self.stack or message.__class__ is not Call:
            super().execute(message)
            return
        self.wants_turn = True
        take_pass(self._cell.token)
        try:
            with self.turn:
                super().execute(message)
        finally:
            self.wants_turn = False

    def on_stop(self) -> None:
        """Disconnect in the actor's turn."""
        take_pass(self._cell.token)
        with self.turn:
            super().on_stop()

    def give_up(self) -> None:
        """Let those in who wait for the turn, as its holder may never give it back; they find the device closed."""
        super().give_up()
        take_pass(self._cell.token)
        with suppress(RuntimeError):  # nobody had it
            self.turn.release()

    def interrupt(self, call: Call | None, why: str) -> None:
        """End the call in progress, also one in its holder's thread."""
        super().interrupt(call, why)
        driver = self.driver
        if not self.stack and self.turn.locked() and driver is not None and driver.has("interrupt"):
            self._cut = True
            driver.interrupt()

    def admit(self, hold: Hold) -> list[bool]:
        """Hand a pass out, if nothing speaks against it: the list is empty if it isn't given, or once it was taken."""
        if hold.pass_life != self.life:
            hold.passes, hold.pass_life = [], self.life
        passes = hold.passes
        if not passes:
            passes.append(True)
        mailbox, body = self.mailbox, hold.body
        if self._cell.token is not hold or body.alarm or mailbox.closed or self.wants_turn or not mailbox.empty():
            passes.clear()
        return passes

    def act_of(self, member: Member) -> Callable[..., Any]:
        """Return what carries a member out, as directly as it can be done."""
        driver = self.driver
        assert driver is not None  # noqa: S101 - it serves
        if isinstance(driver, InThread) and member.action is invoke and not member.path:
            return getattr(driver.object, member.name)  # type: ignore[no-any-return]  # the driver's method
        return lambda *args, **kwargs: driver.act(member, args, kwargs)

    def failed_directly(self, member: Member, error: BaseException) -> BaseException:
        """Judge what a direct call has raised: what its caller gets, and whether this life can go on."""
        call = Call(HOLDER, None, self._cell, member, (), {})
        call.begin()
        self._cell.recorder.note(member, (), call.begun, error)
        return self._judge(call, error) or error


def take_pass(token: object) -> None:
    """Let a holder's threads call directly no longer, until one of them has come through the mailbox again."""
    passes = getattr(token, "passes", None)
    if passes:
        passes.clear()
