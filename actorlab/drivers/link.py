"""Carry bytes to an instrument and back, in such a way that another thread can end the wait."""

from __future__ import annotations

import contextlib
import os
import selectors
import socket
import threading
from typing import Any, Final, Protocol

from pyvisa.constants import InterfaceType, StatusCode
from pyvisa.errors import VisaIOError
from pyvisa.resources import MessageBasedResource

__all__ = ["Interrupted", "Link", "MessageLink", "SocketLink", "link_to"]

PIECE: Final = 1 << 16


class Interrupted(Exception):
    """The call was ended by `interrupt`; the connection is usable again after `resync`."""


class Link(Protocol):
    """A way to an instrument. After `interrupt`, whatever sends or receives raises `Interrupted`, until `rearm`.

    `terminator` ends each answer; it is empty where the interface itself marks the end.
    """

    terminator: bytes

    def send(self, message: bytes, seconds: float) -> None:
        """Send all of the message. Raise `VisaIOError` if nothing moved for so many seconds."""

    def receive(self, seconds: float) -> bytes:
        """Wait for some bytes. Raise `VisaIOError` if none came for so many seconds, `ConnectionError` at the end."""
        ...

    def unread(self) -> bytes:
        """Return what has come already, without waiting. Raise `ConnectionError` if the other side has gone."""
        ...

    def interrupt(self) -> None:
        """End the wait in progress, and refuse new ones, until `rearm`. Any thread may call it."""

    def rearm(self) -> None:
        """Take back `interrupt`."""

    def clear(self) -> None:
        """Clear the instrument's buffers, where the interface has a way to do so."""

    def close(self) -> None:
        """Give back what the link itself opened; the VISA resource isn't the link's."""


def link_to(resource: MessageBasedResource, terminator: bytes, who: str) -> SocketLink | MessageLink:
    """Return the most capable link that the resource's back end allows; `who` is its name in errors."""
    connection = _socket_of(resource)
    if connection is not None:
        return SocketLink(connection, terminator, who)
    if _marks_ends(resource):
        resource.read_termination = None  # else a read would stop at such a byte in the middle of a binary block
        return MessageLink(resource, b"", who)
    return MessageLink(resource, terminator, who)


class SocketLink:
    """The TCP socket under a pyvisa-py SOCKET resource.

    pyvisa-py's own read can't be ended from outside, takes the end of the connection for silence, and spins meanwhile.
    So the link waits for the socket and for a cancel descriptor at once: the connection survives an interrupt.
    """

    def __init__(self, connection: socket.socket, terminator: bytes, who: str) -> None:
        self.terminator = terminator
        self.who = who
        refused = connection.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if refused:  # pyvisa-py opens a refused connection without a word
            raise OSError(refused, f"{who}: {os.strerror(refused)}")
        connection.setblocking(False)
        # Without it, a query right behind a command waits for the command's delayed acknowledgement (40 ms).
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket = connection
        self._interrupted = False
        # The thread that an interrupt is for waits in `select`, where no mailbox reaches it. Flag and byte go together.
        self._lock = threading.Lock()
        self._waker, self._wake = socket.socketpair()
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._wake, selectors.EVENT_READ)
        self._selector.register(connection, selectors.EVENT_READ)

    def send(self, message: bytes, seconds: float) -> None:
        """Send all of the message."""
        rest = memoryview(message)
        while rest:
            self._refuse_if_interrupted()
            try:
                rest = rest[self._socket.send(rest) :]
            except BlockingIOError:
                self._wait_until_writable(seconds)

    def receive(self, seconds: float) -> bytes:
        """Wait for some bytes."""
        while True:
            self._wait(seconds)
            piece = self.unread()
            if piece:
                return piece

    def unread(self) -> bytes:
        """Return what has come already."""
        self._refuse_if_interrupted()
        try:
            piece = self._socket.recv(PIECE)
        except BlockingIOError:
            return b""
        if not piece:
            message = f"{self.who} closed the connection"
            raise ConnectionResetError(message)
        return piece

    def interrupt(self) -> None:
        """End the wait in progress, and refuse new ones."""
        with self._lock, contextlib.suppress(OSError):  # the link was closed meanwhile: nobody waits
            self._interrupted = True
            self._waker.send(b"!")

    def rearm(self) -> None:
        """Take back `interrupt`."""
        with self._lock:
            self._interrupted = False
            while self._wake in self._ready(0):
                self._wake.recv(PIECE)

    def clear(self) -> None:
        """Do nothing: a raw socket knows no device clear."""

    def close(self) -> None:
        """Close the cancel descriptor."""
        self._selector.close()
        self._waker.close()
        self._wake.close()

    def _wait(self, seconds: float) -> None:
        self._refuse_if_interrupted()
        if not self._ready(seconds):
            raise VisaIOError(StatusCode.error_timeout)

    def _wait_until_writable(self, seconds: float) -> None:
        self._selector.modify(self._socket, selectors.EVENT_WRITE)
        try:
            self._wait(seconds)
        finally:
            self._selector.modify(self._socket, selectors.EVENT_READ)

    def _ready(self, seconds: float) -> list[object]:
        return [key.fileobj for key, _ in self._selector.select(seconds)]

    def _refuse_if_interrupted(self) -> None:
        if self._interrupted:
            raise _interrupted(self.who)


class MessageLink:
    """Any VISA resource, by the library's own read.

    No back end can end such a read safely, and reading in short slices would tear slow messages: an interrupt takes
    effect when the read ends, which the VISA timeout bounds.
    """

    def __init__(self, resource: MessageBasedResource, terminator: bytes, who: str) -> None:
        self.terminator = terminator
        self.who = who
        self._resource = resource
        self._interrupted = False

    def send(self, message: bytes, seconds: float) -> None:
        """Send all of the message."""
        self._refuse_if_interrupted()
        self._resource.timeout = seconds * 1000
        self._resource.write_raw(message)

    def receive(self, seconds: float) -> bytes:
        """Wait for a message, or for its part up to a terminator."""
        self._refuse_if_interrupted()
        self._resource.timeout = max(seconds * 1000, 1)
        message = self._resource.read_raw()
        self._refuse_if_interrupted()
        return message

    def unread(self) -> bytes:
        """Return nothing: VISA has no way to look without waiting."""
        self._refuse_if_interrupted()
        return b""

    def interrupt(self) -> None:
        """Refuse to go on after the read in progress."""
        self._interrupted = True

    def rearm(self) -> None:
        """Take back `interrupt`."""
        self._interrupted = False

    def clear(self) -> None:
        """Send a device clear, where the back end has it."""
        with contextlib.suppress(NotImplementedError, VisaIOError):  # whoever clears, checks the result by a marker
            self._resource.clear()

    def close(self) -> None:
        """Do nothing."""

    def _refuse_if_interrupted(self) -> None:
        if self._interrupted:
            raise _interrupted(self.who)


def _interrupted(who: str) -> Interrupted:
    return Interrupted(f"{who} was interrupted; call resync() before the next exchange")


def _socket_of(resource: MessageBasedResource) -> socket.socket | None:
    """Return the socket under a pyvisa-py SOCKET session; None for every other back end and interface."""
    sessions: Any = getattr(resource.visalib, "sessions", {})
    connection = getattr(sessions.get(resource.session), "interface", None)
    return connection if isinstance(connection, socket.socket) else None


def _marks_ends(resource: MessageBasedResource) -> bool:
    """Say whether the interface marks the end of a message: GPIB, USB, VXI-11, HiSLIP do, sockets and serial don't."""
    return resource.resource_class == "INSTR" and resource.interface_type != InterfaceType.asrl
