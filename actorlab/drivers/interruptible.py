"""Send and wait for bytes in such a way that another thread can end the wait, and the connection survives it."""

from __future__ import annotations

import selectors
import socket
import threading
from contextlib import suppress
from typing import Final, Protocol

__all__ = ["Interrupted", "InterruptibleWait", "Line", "Port"]

PIECE: Final = 1 << 16
READABLE: Final = selectors.EVENT_READ
WRITABLE: Final = selectors.EVENT_WRITE


class Interrupted(Exception):
    """The call was ended by `interrupt`; the connection is usable again after `resync`."""


class HasDescriptor(Protocol):
    """Whatever the system can wait for."""

    def fileno(self) -> int:
        """Return the descriptor."""
        ...


class Port(HasDescriptor, Protocol):
    """What bytes go through: a socket, or what behaves like one. It never waits, but raises `BlockingIOError`."""

    def send(self, data: memoryview, /) -> int:
        """Send the beginning of `data`, and return how many bytes that was."""
        ...

    def recv(self, size: int, /) -> bytes:
        """Return at most so many bytes which have come; none says that no more will ever come."""
        ...


class InterruptibleWait:
    """Wait for one descriptor after the other, and always for a cancel descriptor too.

    After `interrupt`, every wait raises `Interrupted`, until `rearm`. Any thread may call `interrupt`; everything else
    belongs to the thread that waits. `who` is named in the error.
    """

    def __init__(self, who: str) -> None:
        self.who = who
        self._interrupted = False
        # The thread that an interrupt is for waits in `select`, where no mailbox reaches it. Flag and byte go together.
        self._lock = threading.Lock()
        self._waker, self._wake = socket.socketpair()
        self._waker.setblocking(False)
        self._wake.setblocking(False)
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._wake, READABLE)
        self._watched: HasDescriptor | None = None
        self._event = READABLE

    def wait(self, port: HasDescriptor, event: int, seconds: float) -> bool:
        """Wait until the port is readable or writable; False says that so many seconds have passed before."""
        self.check()
        self._watch(port, event)
        ready = [key.fileobj for key, _ in self._selector.select(max(seconds, 0))]
        if ready and port not in ready:  # but the cancel descriptor is
            return self.wait(port, event, seconds)
        return bool(ready)

    @property
    def interrupted(self) -> bool:
        """Say whether it was interrupted, and not rearmed since."""
        return self._interrupted

    def check(self, cause: BaseException | None = None) -> None:
        """Raise `Interrupted` if it was; `cause` is what came of it."""
        if self._interrupted:
            message = f"{self.who} was interrupted; call resync() before the next exchange"
            raise Interrupted(message) from cause

    def interrupt(self) -> None:
        """End the wait in progress, and refuse new ones, until `rearm`."""
        with self._lock, suppress(OSError):  # closed: nobody waits; full: it has been interrupted often enough
            self._interrupted = True
            self._waker.send(b"!")

    def rearm(self) -> None:
        """Take back `interrupt`."""
        with self._lock:
            with suppress(BlockingIOError):
                while self._wake.recv(PIECE):
                    pass
            self._interrupted = False

    def forget(self) -> None:
        """Let go of the port that was waited for; it has to be done before that port is closed."""
        if self._watched is not None:
            self._selector.unregister(self._watched)
            self._watched = None

    def close(self) -> None:
        """Close the cancel descriptor."""
        self._selector.close()
        self._waker.close()
        self._wake.close()

    def _watch(self, port: HasDescriptor, event: int) -> None:
        if port is self._watched and event == self._event:  # nearly always: one port, which is read
            return
        self.forget()
        self._selector.register(port, event)
        self._watched, self._event = port, event


class Line:
    """Bytes through a port; each wait for them can be interrupted.

    A port that fails for whatever reason is lost: the error is always `ConnectionResetError`.
    """

    def __init__(self, wait: InterruptibleWait, port: Port) -> None:
        self._wait = wait
        self._port = port

    def send(self, message: bytes | bytearray, seconds: float) -> int:
        """Send a message; return how much of it had gone when nothing moved any more for so many seconds."""
        rest = memoryview(message)
        while rest:
            self._wait.check()
            try:
                rest = rest[self._port.send(rest) :]
            except BlockingIOError:
                if not self._wait.wait(self._port, WRITABLE, seconds):
                    break
            except OSError as error:
                raise self._gone(error) from error
        return len(message) - len(rest)

    def receive(self, seconds: float) -> bytes:
        """Wait for some bytes; none says that none came for so many seconds."""
        while self._wait.wait(self._port, READABLE, seconds):
            piece = self._take()
            if piece:
                return piece
        return b""

    def unread(self) -> bytes:
        """Return bytes which have come already, without waiting."""
        return self._take() if self._wait.wait(self._port, READABLE, 0) else b""

    def _take(self) -> bytes:
        try:
            piece = self._port.recv(PIECE)
        except BlockingIOError:  # the system spoke too soon
            return b""
        except OSError as error:
            raise self._gone(error) from error
        if not piece:
            message = f"{self._wait.who} closed the connection"
            raise ConnectionResetError(message)
        return piece

    def _gone(self, error: OSError) -> ConnectionResetError:
        return ConnectionResetError(f"{self._wait.who} lost the connection: {error.strerror or error}")
