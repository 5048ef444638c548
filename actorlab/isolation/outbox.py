"""Send what a driver logs and publishes without ever holding it up: what the lab doesn't take in time is dropped."""

from __future__ import annotations

import socket
from _thread import allocate_lock
from collections import deque
from queue import SimpleQueue
from select import POLLOUT, poll
from threading import Thread
from time import monotonic
from typing import Final

from actorlab.isolation.side import DROPPED, LOGGED, NUMBER, PUBLISHED
from actorlab.isolation.wire import HEADER

__all__ = ["Outbox"]

MOST: Final = 1 << 26
"""So many bytes wait for the lab; beyond it the oldest records and values are dropped."""


class Outbox:
    """Frames on their way out; used from any thread, also by a finaliser or signal handler within itself."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._new: deque[tuple[int, bytes]] = deque()
        # Whoever has it writes, and alone touches what stands below; nobody waits for it. A mailbox's reader would be
        # one thread more to wake for each message.
        self._writing = allocate_lock()
        self._waiting: deque[tuple[int, bytes]] = deque()
        self._begun = memoryview(b"")
        self._size = 0
        self._dropped = 0
        self._gone = False
        self._full: SimpleQueue[None] | None = None

    def send(self, kind: int, body: bytes) -> None:
        """Send a frame, now or soon."""
        self._new.append((kind, HEADER.pack(len(body), kind) + body))
        self._write()

    def flush(self, seconds: float) -> None:
        """Wait until everything has been sent, for at most some seconds."""
        end = monotonic() + seconds
        while (left := end - monotonic()) > 0 and self._writing.acquire(timeout=left):
            try:
                full = self._write_all()
            finally:
                self._writing.release()
            if not full:
                return
            self._wait(left)

    def close(self) -> None:
        """Send nothing any more."""
        self._gone = True
        if self._full is not None:
            self._full.put(None)

    def _write(self) -> None:
        """Write what there is, unless somebody is at it: who then looks again."""
        full = False
        while self._new and not full and self._writing.acquire(False):
            try:
                full = self._write_all()
                if full:
                    self._later()
            finally:
                self._writing.release()

    def _write_all(self) -> bool:
        """Write until nothing is left, or the lab has to take some of it first: True."""
        self._take_new()
        while not self._gone:
            if not self._begun and not self._next():
                return False
            try:
                sent = self._sock.send(self._begun, socket.MSG_DONTWAIT)
            except BlockingIOError:
                return True
            except OSError:
                self._gone = True
            else:
                self._begun = self._begun[sent:]
        self._waiting.clear()
        return False

    def _take_new(self) -> None:
        while self._new:
            kind, frame = self._new.popleft()
            self._waiting.append((kind, frame))
            self._size += len(frame)
        while self._size > MOST and self._waiting:
            kind, frame = self._waiting.popleft()
            self._size -= len(frame)
            self._dropped += kind in (LOGGED, PUBLISHED)

    def _next(self) -> bool:
        """Begin the next frame, if there is one."""
        if self._waiting:
            _, frame = self._waiting.popleft()
            self._size -= len(frame)
        elif self._dropped:
            frame = HEADER.pack(NUMBER.size, DROPPED) + NUMBER.pack(self._dropped)
            self._dropped = 0
        else:
            return False
        self._begun = memoryview(frame)
        return True

    def _later(self) -> None:
        """Have a thread go on as soon as the lab has taken some."""
        if self._full is None:
            self._full = SimpleQueue()
            Thread(target=self._go_on, args=(self._full,), daemon=True, name="actorlab outbox").start()
        if self._full.empty():
            self._full.put(None)

    def _go_on(self, full: SimpleQueue[None]) -> None:
        while True:
            full.get()
            if self._gone:
                return
            self._wait(None)
            with self._writing:
                if self._write_all():
                    self._later()
            self._write()

    def _wait(self, seconds: float | None) -> None:
        """Wait until the lab takes something."""
        waits = poll()
        waits.register(self._sock, POLLOUT)
        waits.poll(None if seconds is None else seconds * 1000)
