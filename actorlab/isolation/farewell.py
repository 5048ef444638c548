"""See the lab's end from inside a driver's process, however it comes, and end the process in order and in time."""

from __future__ import annotations

import faulthandler
import os
import pickle
import select
import signal
import socket
import threading
import traceback
from typing import TYPE_CHECKING, Any, Final

from actorlab.errors import Cancelled
from actorlab.isolation.failure import failure_of
from actorlab.isolation.side import INTERRUPT, INTERRUPTED, NUMBER, Frames

if TYPE_CHECKING:
    from types import FrameType

    from actorlab.isolation.inside import Inside
    from actorlab.isolation.wire import Wire

__all__ = ["Watchdog"]

TICK: Final = 1.0
"""Seconds between two looks at whether the lab's process is still our parent."""
GRACE: Final = 2.0
"""So many seconds the call in progress has to end, after the interrupt hook; then a signal ends it."""
AGAIN: Final = 0.5
LEEWAY: Final = 3.0
"""So many seconds there are for `disconnect` and the interpreter's own end."""
LONGEST: Final = 7 * 86_400.0
"""The timer knows no longer time than some thousand years, and nobody waits for more than a week."""
TOLD_TO_END: Final = 128 + signal.SIGTERM
"""The exit code after SIGTERM, as a shell has it."""


class Watchdog:
    """A thread that hears interrupts, and the lab's end: its sockets closed, or it is our parent no more.

    The second is for a lab whose fork still holds the sockets. It isn't left to PDEATHSIG, as that signal comes with
    the end of the thread that started the process.

    A timer, started anew with each tick, ends the process when this thread couldn't run for longer than any call may
    last: the driver holds the GIL. It is faulthandler's, whose thread doesn't need the GIL.
    """

    def __init__(self, inside: Inside, wire: Wire, side: socket.socket, start: dict[str, Any]) -> None:
        self._inside = inside
        self._wire = wire
        self._side = side
        self._frames = Frames()
        self._parent: int = start["parent"]
        self._dump: int = start["dump"]
        self._to_leave: float = GRACE + start["safe_timeout"] + LEEWAY
        self._silence: float = start["timeout"] + self._to_leave
        # Between the last interrupt and the main thread's farewell: the hook may not hit `make_safe`.
        self._gate = threading.Lock()
        self._left = threading.Event()
        self._interrupting: threading.Thread | None = None
        self._thread = threading.Thread(target=self._watch, daemon=True, name="actorlab watchdog")
        self.exit_code = 0

    def start(self) -> None:
        """Begin to watch."""
        signal.signal(signal.SIGTERM, self._told_to_end)
        self._thread.start()

    def served(self) -> None:
        """Hear from the main thread that no call is in progress any more; returns when no interrupt is either."""
        with self._gate:
            self._left.set()
        if self._interrupting is not None:
            self._interrupting.join(GRACE)

    def end(self) -> None:
        """Watch no longer, before the sockets are closed; the timer bounds what the interpreter has to do yet."""
        shut(self._side, socket.SHUT_RD)
        self._thread.join(GRACE)

    def _told_to_end(self, signum: int, frame: FrameType | None) -> None:
        """Handle SIGTERM, on the main thread: the first begins the farewell, a later one ends the call in progress."""
        del signum, frame
        if not self._inside.gone:
            self.exit_code = TOLD_TO_END
            shut(self._side, socket.SHUT_RD)
        elif self._inside.busy:
            self._inside.cut = True
            text = "the lab has ended"
            raise Cancelled(text)

    # -- its thread

    def _watch(self) -> None:
        try:
            self._rearm(self._silence)
            while self._lab_is_there():
                self._rearm(self._silence)
        finally:  # also if nobody can watch any more
            self._rearm(self._to_leave)
            self._inside.gone = True
            self._wire.shutdown()
            self._end_call()

    def _rearm(self, seconds: float) -> None:
        faulthandler.dump_traceback_later(min(seconds, LONGEST), exit=True, file=self._dump)

    def _lab_is_there(self) -> bool:
        waits = select.poll()
        waits.register(self._side, select.POLLIN)
        if waits.poll(TICK * 1000):
            try:
                data = self._side.recv(1 << 12)
            except OSError:
                return False
            for kind, body in self._frames.feed(data):
                if kind == INTERRUPT:
                    threading.Thread(
                        target=self._interrupt, args=(body,), daemon=True, name="actorlab interrupt"
                    ).start()
            if not data:
                return False
        return os.getppid() == self._parent

    def _interrupt(self, number: bytes) -> None:
        """Run the driver's interrupt hook, and say so."""
        answer = b""
        try:
            self._call_hook()
        except BaseException as error:  # noqa: BLE001 - the boundary: it goes to the lab
            answer = pickle.dumps(failure_of(error))
        self._inside.outbox.send(INTERRUPTED, number[: NUMBER.size] + answer)

    def _call_hook(self) -> None:
        driver = self._inside.driver
        if driver is not None:
            driver.interrupt()

    def _end_call(self) -> None:
        """End the call in progress by the interrupt hook, then by signals: they reach what waits in Python."""
        with self._gate:
            if self._inside.busy and not self._left.is_set() and not self._inside.receiving:
                self._inside.cut = True
                self._interrupting = threading.Thread(
                    target=self._last_interrupt, daemon=True, name="actorlab interrupt"
                )
                self._interrupting.start()
        patience = GRACE
        while not self._left.wait(patience):
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGTERM)
            patience = AGAIN

    def _last_interrupt(self) -> None:
        try:
            self._call_hook()
        except BaseException:  # noqa: BLE001 - the boundary: the signals come next
            traceback.print_exc()


def shut(sock: socket.socket, how: int) -> None:
    """Shut a socket down, which wakes who waits for it."""
    try:
        sock.shutdown(how)
    except OSError:
        return  # nobody is there any more
