"""Own one life of a device whose holder calls it in his own thread: the actor and he take turns."""

from __future__ import annotations

from _thread import allocate_lock, get_ident
from contextlib import suppress
from threading import current_thread, main_thread
from typing import TYPE_CHECKING, Any

from actorlab.driving.in_thread import InThread
from actorlab.driving.member import invoke
from actorlab.errors import AskDeadlock, Cancelled
from actorlab.kernel import HOLDER
from actorlab.kernel.frames import frame_of
from actorlab.runtime.calls import Call
from actorlab.runtime.device_actor import DeviceActor, LifeEnded
from actorlab.runtime.told_calls import told_directly

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import CodeType

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
        self._has_turn = False
        """Whether it is the actor itself who has the turn."""

    def execute(self, message: Any) -> None:
        """Execute one call in the actor's turn."""
        if self.stack or message.__class__ is not Call:
            super().execute(message)
            return
        self.wants_turn = True
        take_pass(self._cell.token)
        try:
            with self.turn:
                self._execute_in_turn(message)
        finally:
            self.wants_turn = self._has_turn = False

    def _execute_in_turn(self, call: Call) -> None:
        """Execute a call, but first bring a driver into step whose direct call was cut short."""
        self._has_turn = True
        if self._interrupting:  # maybe the direct call before this one: let it end, or it could hit this one
            with self._gate:
                pass
        if self._cut and not self.abandoned:
            self._resync()
        if self.fault is not None:
            self.mailbox.refuse(call)
            raise LifeEnded
        super().execute(call)

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

    @property
    def at_work(self) -> bool:
        """Tell whether a call is in progress, also one in its holder's thread."""
        return self.turn.locked() or super().at_work

    def _end_in_progress(self, call: Call | None, why: str) -> bool:
        """End the call in progress, also one in its holder's thread; what comes after that comes by the mailbox."""
        driver = self.driver
        if call is not None or self.stack or self._has_turn or not self.turn.locked():
            return super()._end_in_progress(call, why)
        if driver is not None and driver.has("interrupt"):
            self._cut = True
            take_pass(self._cell.token)
            driver.interrupt()
        return False

    def _broke(self, error: BaseException) -> None:
        """End this life; no direct call may come to it either."""
        super()._broke(error)
        take_pass(self._cell.token)

    def admit(self, hold: Hold) -> list[bool]:
        """Hand a pass out, if nothing speaks against it: the list is empty if it isn't given, or once it was taken."""
        if hold.pass_life != self.life:
            hold.passes, hold.pass_life = [], self.life
        passes = hold.passes
        try:
            if not passes:
                passes.append(True)
            if not self._may_pass(hold):
                passes.clear()
        except BaseException:  # Ctrl-C, before it was looked at
            passes.clear()
            raise
        return passes

    def _may_pass(self, hold: Hold) -> bool:
        mailbox, body = self.mailbox, hold.body
        if self._cell.token is not hold or body.alarm or mailbox.closed or self.wants_turn or not mailbox.empty():
            return False
        return not self._cut and hold.keeps_order()

    def act_of(self, hold: Hold, member: Member) -> Callable[..., Any]:
        """Return what carries a member out in a holder's name, as directly as it can be done."""
        act = self._plain_act_of(member)
        return told_directly(act, self._cell, member, hold) if self._cell.listeners else act

    def _plain_act_of(self, member: Member) -> Callable[..., Any]:
        driver = self.driver
        assert driver is not None  # noqa: S101 - it serves
        if isinstance(driver, InThread) and member.action is invoke and not member.path:
            return getattr(driver.object, member.name)  # type: ignore[no-any-return]  # the driver's method
        return lambda *args, **kwargs: driver.act(member, args, kwargs)

    def failed_directly(self, hold: Hold, member: Member, error: BaseException) -> BaseException:
        """Judge what a direct call has raised: what its caller gets, and whether this life can go on."""
        call = Call(HOLDER, hold, self._cell, member, (), {})
        call.begin()
        self._cell.note(member, (), call.begun, error, call)
        ctrl_c = isinstance(error, KeyboardInterrupt) and current_thread() is main_thread()
        if error.__class__ is Cancelled or ctrl_c:  # the body's own: a driver's `sleep` is a checkpoint of it
            if ctrl_c or hold.body.torn:
                hold.body.torn, self._cut = False, True
                take_pass(self._cell.token)
            return error
        return self._judge(call, error) or error

    def late(self, error: RuntimeError) -> BaseException:
        """Say what a direct call gets whose turn was taken from it, as the device was given up meanwhile."""
        return self._cell.unavailable() if self.abandoned else error

    def refuse_own(self, code: CodeType) -> None:
        """Refuse a call from within another direct one: the turn is taken, and that call would wait for itself.

        Raises:
            AskDeadlock: this thread has the turn.

        """
        frame, calls = frame_of(get_ident()), 0
        while frame is not None:
            calls += frame.f_code is code and frame.f_locals.get("actor") is self
            frame = frame.f_back
        if calls > 1:  # this one, and one within which it is made
            text = f"{self.name} was called from within a call of it, which would wait for itself"
            raise AskDeadlock(text)


def take_pass(token: object) -> None:
    """Let a holder's threads call directly no longer, until one of them has come through the mailbox again."""
    passes = getattr(token, "passes", None)
    if passes:
        passes.clear()
