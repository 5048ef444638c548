"""Hear what the lab says next to the requests, and see its end from inside a worker process."""

from __future__ import annotations

import faulthandler
import os
import select
import signal
import socket
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from actorlab.errors import ActorLabError, Cancelled
from actorlab.isolation.farewell import shut
from actorlab.isolation.side import NUMBER, Frames
from actorlab.runtime.process_messages import CANCEL, LOOK, TOLD

if TYPE_CHECKING:
    from types import FrameType

    from actorlab.isolation.wire import Wire
    from actorlab.processes.inside import Inside

__all__ = ["Watchdog"]

TICK: Final = 1.0
"""Seconds between two looks at whether the lab's process is still our parent."""
SOON: Final = 0.1
"""So many seconds at most a note of the body waits."""
GRACE: Final = 2.0
"""So many seconds a body has to end when the lab has gone; then the process ends with it."""
AT_LAST: Final = 1.0
HURT: Final = 70
"""The exit code of a process whose body didn't end when the lab had gone."""


class Watchdog:
    """A thread that hears the lab, sends the body's notes, and sees the lab's end: its socket closed, or a new parent.

    When the lab has gone, the body meets a `Cancelled`, by the next thing it asks or else by a signal, which reaches
    what waits in Python. What holds the interpreter's lock as this comes ends by faulthandler's timer, if it is armed.
    """

    def __init__(self, inside: Inside, wire: Wire, side: socket.socket, start: dict[str, Any]) -> None:
        self._inside = inside
        self._wire = wire
        self._side = side
        self._frames = Frames()
        self._parent: int = start["parent"]
        self._dump: int = start["dump"]
        self._left = threading.Event()
        self._bell, self._ringer = os.pipe()
        inside.wake_watchdog = self._wake
        self._thread = threading.Thread(target=self._watch, daemon=True, name="actorlab watchdog")

    def start(self) -> None:
        """Begin to watch."""
        signal.signal(signal.SIGTERM, self._told_to_end)
        self._thread.start()

    def served(self) -> None:
        """Hear from the main thread that no body is under way any more."""
        self._left.set()

    def end(self) -> None:
        """Watch no longer, before the sockets are closed; the timer bounds what the interpreter has to do yet."""
        faulthandler.dump_traceback_later(GRACE + AT_LAST, exit=True, file=self._dump)
        shut(self._side, socket.SHUT_RD)
        self._thread.join(GRACE)

    def _wake(self) -> None:
        os.write(self._ringer, b".")

    def _told_to_end(self, signum: int, frame: FrameType | None) -> None:
        """Handle SIGTERM, on the main thread: without a lab it ends the body, else the process, as it does anywhere."""
        del frame
        if not self._inside.gone:
            signal.signal(signum, signal.SIG_DFL)
            os.kill(os.getpid(), signum)
        elif self._inside.scope is not None:
            text = "the lab has ended"
            raise Cancelled(text)

    # -- its thread

    def _watch(self) -> None:
        try:
            with suppress(Cancelled):  # the lab went as notes were sent
                while self._lab_is_there():
                    self._inside.flush()
        finally:  # also if nobody can watch any more
            faulthandler.dump_traceback_later(GRACE + AT_LAST, exit=True, file=self._dump)
            self._inside.gone = True
            self._wire.shutdown()
            self._end_body()

    def _lab_is_there(self) -> bool:
        waits = select.poll()
        waits.register(self._side, select.POLLIN)
        waits.register(self._bell, select.POLLIN)
        come = [fd for fd, _ in waits.poll((SOON if self._inside.has_notes else TICK) * 1000)]
        if self._bell in come:
            os.read(self._bell, 1 << 10)
            if len(come) == 1:
                return True  # the notes get some company before they are sent
        if self._side.fileno() in come:
            data = b""
            with suppress(OSError):
                data = self._side.recv(1 << 16)
            for kind, body in self._frames.feed(data):
                self._hear(kind, NUMBER.unpack_from(body)[0], body[NUMBER.size :])
            if not data:
                return False
        return os.getppid() == self._parent

    def _hear(self, kind: int, number: int, rest: bytes) -> None:
        inside = self._inside
        scope = inside.scope
        if kind == TOLD:
            reply = inside.told.pop(number, None)
            if reply is not None:
                reply.finish(None, ActorLabError("it failed") if rest else None)
        elif kind == LOOK:
            inside.looked_for = number
            if scope is not None:
                scope.wake()
        elif kind == CANCEL:
            inside.cancelled = number, rest.decode()
            if scope is not None:
                scope.stop()

    def _end_body(self) -> None:
        """End the body by a signal, or else the process."""
        scope = self._inside.scope
        if scope is not None:
            scope.wake()
        if not self._left.wait(SOON):
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGTERM)
        if not self._left.wait(GRACE):
            os._exit(HURT)
