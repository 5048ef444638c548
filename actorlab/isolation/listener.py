"""Hear what a driver's process says next to its calls, and when it ends: one thread for each process."""

from __future__ import annotations

import logging
import pickle
import select
import socket
import threading
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any, Final, Protocol

from actorlab.isolation.failure import Failure, restored
from actorlab.isolation.logs import relay
from actorlab.isolation.side import DROPPED, INTERRUPT, INTERRUPTED, LOGGED, NUMBER, PUBLISHED, READY, Frames
from actorlab.isolation.wire import HEADER

if TYPE_CHECKING:
    from actorlab.isolation.launcher import OwnProcess

__all__ = ["Heard", "Listener"]

PIECE: Final = 1 << 18
TICK: Final = 1.0
"""Seconds after which a process is looked at, where no descriptor tells of its end."""
LOGGER: Final = "actorlab.isolation"


class Heard(Protocol):
    """Be told what comes from a driver's process without having been asked for; on the listener's thread."""

    def published(self, stream: str, value: Any) -> None:
        """Take a value which the driver has published."""
        ...

    def came_up(self) -> None:
        """Learn that the process runs, and is about to make the object."""
        ...

    def died(self) -> None:
        """Learn, once, that the process has ended without having been closed; also while it was idle."""
        ...


class Listener:
    """Listens to one process until it has ended, and reaps it."""

    def __init__(self, process: OwnProcess, heard: Heard) -> None:
        self._process = process
        self._heard = heard
        self._frames = Frames()
        self._interrupts: dict[int, SimpleQueue[Failure | None]] = {}
        self._number = 0
        # Two threads that interrupt at once: their frames and numbers may not mix.
        self._sending = threading.Lock()
        self.ready = False
        """The process handles signals, so that it can be asked where it is."""
        self.closing = False
        """Its end is nothing to be told about."""
        name = f"actorlab {process.name}: listener"
        self._thread = threading.Thread(target=self._listen, daemon=True, name=name)
        self._thread.start()

    def interrupt(self, patience: float) -> None:
        """Have the driver's interrupt hook run; returns when it has, or after some seconds.

        Raises:
            Exception: what the hook has raised.

        """
        answer: SimpleQueue[Failure | None] = SimpleQueue()
        with self._sending:
            self._number = number = self._number + 1
            self._interrupts[number] = answer
            try:
                self._process.side.send(HEADER.pack(NUMBER.size, INTERRUPT) + NUMBER.pack(number), socket.MSG_DONTWAIT)
            except OSError:  # it has ended, or hasn't listened for very long
                return
        try:
            failure = answer.get(timeout=patience)
        except Empty:
            return
        finally:
            del self._interrupts[number]
        if failure is not None:
            raise restored(failure, f"the process of {self._process.name}")

    def join(self, seconds: float) -> bool:
        """Wait until it has ended, and tell whether it has."""
        if self._thread is not threading.current_thread():
            self._thread.join(seconds)
        return not self._thread.is_alive()

    # -- its thread

    def _listen(self) -> None:
        while not self._hear():
            pass
        while not self._process.wait(TICK):
            pass
        self._process.wire.shutdown()  # a process that the driver has forked may hold the other end
        for answer in list(self._interrupts.values()):
            answer.put(None)
        if not self.closing:
            self._guarded(self._heard.died)

    def _hear(self) -> bool:
        """Wait for something and take it; True says that nothing will come any more."""
        side, end = self._process.side.fileno(), self._process.end
        waits = select.poll()
        waits.register(side, select.POLLIN)
        if end is not None:
            waits.register(end, select.POLLIN)
        come = [fd for fd, _ in waits.poll(None if end is not None else TICK * 1000)]
        if side in come:
            return self._take()
        if end in come or self._process.ended:
            while not self._take():
                pass
            return True
        return False

    def _take(self) -> bool:
        """Take what has come; True says that nothing will come any more, or that nothing is there now."""
        try:
            data = self._process.side.recv(PIECE, socket.MSG_DONTWAIT)
        except OSError:
            return True
        for kind, body in self._frames.feed(data):
            self._guarded(self._handle, kind, body)
        return not data

    def _guarded(self, function: Any, *args: Any) -> None:
        try:
            function(*args)
        except Exception:
            logging.getLogger(LOGGER).exception("%s: what its process said couldn't be handled", self._process.name)

    def _handle(self, kind: int, body: bytes) -> None:
        if kind == PUBLISHED:
            self._heard.published(*pickle.loads(body))  # noqa: S301 - from our own child
        elif kind == LOGGED:
            relay(body)
        elif kind == INTERRUPTED:
            answer = self._interrupts.get(NUMBER.unpack_from(body)[0])
            if answer is not None:
                failure = pickle.loads(body[NUMBER.size :]) if len(body) > NUMBER.size else None  # noqa: S301
                answer.put(failure)
        elif kind == READY:
            self.ready = True
            self._heard.came_up()
        elif kind == DROPPED:
            text = "%s: %d log records and published values of its process were dropped: they came too fast"
            logging.getLogger(LOGGER).warning(text, self._process.name, *NUMBER.unpack(body))
