"""Reach an instrument by VISA, in such a way that another thread can end the wait, as far as the back end allows.

What `interrupt` does, by back end and interface:

=========================  ==============================  ===================================================
back end                   interface                       a wait in progress ends
=========================  ==============================  ===================================================
pyvisa-py                  TCPIP SOCKET                    at once; the connection survives
pyvisa-py, POSIX           ASRL (serial)                   at once; the connection survives
pyvisa-py                  TCPIP INSTR, HiSLIP             at once, until the answer begins; in the middle of one,
                                                           with the VISA timeout, or by ``viTerminate`` if it has it
pyvisa-py                  TCPIP INSTR (VXI-11), USB,      with the VISA timeout
                           GPIB, Prologix
pyvisa-py, Windows         ASRL (serial)                   with the VISA timeout
NI, Keysight, R&S          all                             by ``viTerminate``; if the library doesn't heed it, with
                                                           the VISA timeout
pyvisa-sim                 all                             with the VISA timeout
=========================  ==============================  ===================================================
"""

from __future__ import annotations

import io
import os
import socket
import threading
from collections.abc import Generator
from contextlib import contextmanager, suppress
from typing import Any, Final, Protocol

from pyvisa.constants import InterfaceType, StatusCode
from pyvisa.errors import InvalidSession, VisaIOError
from pyvisa.resources import MessageBasedResource

from actorlab.drivers.interruptible import READABLE, InterruptibleWait, Line, Port
from actorlab.drivers.terminal import Terminal

__all__ = ["Link", "MessageLink", "PortLink", "claim", "link_to"]

ALL_JOBS: Final = 0


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


LOCKING: Final = 500
"""So many milliseconds somebody else has to let a resource go."""
LOCKED: Final = (StatusCode.error_resource_locked, StatusCode.error_timeout)


def link_to(resource: MessageBasedResource, terminator: bytes, who: str) -> PortLink | MessageLink:
    """Return the most capable link that the resource's back end allows; `who` is its name in errors."""
    port = _port_of(resource)
    if isinstance(port, socket.socket):
        _prepare(port, who)
    if port is not None:
        return PortLink(port, terminator, who)
    if _marks_ends(resource):
        resource.read_termination = None  # else a read would stop at such a byte in the middle of a binary block
        return MessageLink(resource, b"", who, _hislip_socket_of(resource))
    return MessageLink(resource, terminator, who)


class PortLink:
    """The TCP socket or the serial port under a pyvisa-py resource.

    pyvisa-py's own read can't be ended from outside, takes the end of the connection for silence, and spins meanwhile.
    So the link waits for the port itself, and the connection survives an interrupt.
    """

    def __init__(self, port: Port, terminator: bytes, who: str) -> None:
        self.terminator = terminator
        self._wait = InterruptibleWait(who)
        self._line = Line(self._wait, port)

    def send(self, message: bytes, seconds: float) -> None:
        """Send all of the message."""
        if self._line.send(message, seconds) < len(message):
            raise VisaIOError(StatusCode.error_timeout)

    def receive(self, seconds: float) -> bytes:
        """Wait for some bytes."""
        piece = self._line.receive(seconds)
        if not piece:
            raise VisaIOError(StatusCode.error_timeout)
        return piece

    def unread(self) -> bytes:
        """Return what has come already."""
        return self._line.unread()

    def interrupt(self) -> None:
        """End the wait in progress, and refuse new ones."""
        self._wait.interrupt()

    def rearm(self) -> None:
        """Take back `interrupt`."""
        self._wait.rearm()

    def clear(self) -> None:
        """Do nothing: a raw socket and a serial port know no device clear."""

    def close(self) -> None:
        """Close the cancel descriptor."""
        self._wait.close()


class MessageLink:
    """Any VISA resource, by the library's own read.

    Reading in short slices would tear slow messages. So an interrupt ends the wait for the message's first byte where
    the library shows the socket below (`first`), asks the library to terminate the read if it has begun, and otherwise
    takes effect when the read ends, which the VISA timeout bounds.
    """

    def __init__(
        self, resource: MessageBasedResource, terminator: bytes, who: str, first: socket.socket | None = None
    ) -> None:
        self.terminator = terminator
        self._resource = resource
        self._wait = InterruptibleWait(who)
        self._first = first
        # It keeps the library from being told to terminate a read that has ended: it might terminate the next one. The
        # thread that an interrupt is for is in that read, where no mailbox reaches it.
        self._lock = threading.Lock()
        self._in_library = False

    def send(self, message: bytes, seconds: float) -> None:
        """Send all of the message."""
        with self._library(seconds):
            self._resource.write_raw(message)

    def receive(self, seconds: float) -> bytes:
        """Wait for a message, or for its part up to a terminator."""
        if self._first is not None and not self._wait.wait(self._first, READABLE, seconds):
            raise VisaIOError(StatusCode.error_timeout)
        with self._library(seconds):
            message = self._resource.read_raw()
        self._wait.check()
        return message

    def unread(self) -> bytes:
        """Return nothing: VISA has no way to look without waiting."""
        self._wait.check()
        return b""

    def interrupt(self) -> None:
        """End the wait in progress, as far as the library allows, and refuse new ones."""
        self._wait.interrupt()
        with self._lock:
            if self._in_library and self._wait.interrupted:
                # PyVISA's annotation wants None for what its own ctypes signature takes as numbers only.
                degree: Any = 0
                job: Any = ALL_JOBS
                with suppress(NotImplementedError, VisaIOError, InvalidSession):
                    self._resource.visalib.terminate(self._resource.session, degree, job)

    def rearm(self) -> None:
        """Take back `interrupt`."""
        with self._lock:
            self._wait.rearm()

    def clear(self) -> None:
        """Send a device clear, where the back end has it; whoever clears, checks the result by a marker.

        pyvisa-py's HiSLIP raises a plain `RuntimeError` if a late answer comes before the acknowledgement.
        """
        with suppress(NotImplementedError, RuntimeError, VisaIOError):
            self._resource.clear()

    def close(self) -> None:
        """Close the cancel descriptor."""
        self._wait.close()

    @contextmanager
    def _library(self, seconds: float) -> Generator[None]:
        """Let the library wait."""
        self._resource.timeout = max(seconds * 1000, 1)
        with self._lock:
            self._wait.check()
            self._in_library = True
        try:
            yield
        except VisaIOError as error:
            self._wait.check(error)
            raise
        except RuntimeError as error:  # so pyvisa-py's HiSLIP says that the connection was dropped, or makes no sense
            message = f"{self._wait.who} lost the connection: {error}"
            raise ConnectionResetError(message) from error
        finally:
            with self._lock:
                self._in_library = False


def claim(resource: MessageBasedResource) -> None:
    """Lock a resource for oneself, as long as it is open; raw sockets and some back ends know no locks.

    Raises:
        OSError: somebody else has locked the serial port.
        VisaIOError: somebody else has locked the resource.

    """
    interface = _interface_of(resource)
    if resource.interface_type == InterfaceType.asrl and hasattr(interface, "exclusive"):
        interface.exclusive = True
        return
    try:
        resource.lock_excl(timeout=LOCKING)
    except NotImplementedError:
        return
    except VisaIOError as error:
        if error.error_code in LOCKED:
            raise


def _port_of(resource: MessageBasedResource) -> Port | None:
    """Return the socket or serial port under a pyvisa-py session, if messages are nothing but bytes through it."""
    interface = _interface_of(resource)
    if isinstance(interface, socket.socket):
        return interface
    serial = resource.interface_type == InterfaceType.asrl and os.name == "posix"
    if serial and interface is not None:
        with suppress(io.UnsupportedOperation):  # such as rfc2217://, a serial port behind a protocol of its own
            return Terminal(interface)
    return None


def _hislip_socket_of(resource: MessageBasedResource) -> socket.socket | None:
    """Return the socket by which pyvisa-py's HiSLIP gets its messages; None where there is none, or it is hidden."""
    connection = getattr(_interface_of(resource), "_sync", None)
    return connection if isinstance(connection, socket.socket) else None


def _interface_of(resource: MessageBasedResource) -> Any:
    """Return what a session of pyvisa-py uses; None for every other back end."""
    sessions: Any = getattr(resource.visalib, "sessions", {})
    return getattr(sessions.get(resource.session), "interface", None)


def _prepare(connection: socket.socket, who: str) -> None:
    """Make a socket fit for waiting on it. Raise `OSError` if it isn't connected at all."""
    refused = connection.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    if refused:  # pyvisa-py opens a refused connection without a word
        raise OSError(refused, f"{who}: {os.strerror(refused)}")
    connection.setblocking(False)
    # Without it, a query right behind a command waits for the command's delayed acknowledgement (40 ms).
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def _marks_ends(resource: MessageBasedResource) -> bool:
    """Say whether the interface marks the end of a message: GPIB, USB, VXI-11, HiSLIP do, sockets and serial don't."""
    return resource.resource_class == "INSTR" and resource.interface_type != InterfaceType.asrl
