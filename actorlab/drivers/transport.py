r"""Talk bytes with an instrument, for drivers that are written without VISA.

A driver opens a transport, hands `interrupt` on to it, and says in `resync` how to get back into step:

>>> from actorlab import Device, query
>>> from actorlab.drivers import SocketTransport
>>> class Oven(Device):
...     def __init__(self, host, port):
...         self._transport = SocketTransport(host, port, timeout=2.0)
...
...     def connect(self):
...         self._transport.open()
...
...     def disconnect(self):
...         self._transport.close()
...
...     def interrupt(self):
...         self._transport.interrupt()
...
...     def resync(self):
...         self._transport.rearm()
...         self._transport.write(b"*IDN?\n")
...         while b"oven" not in self._transport.read_until():
...             pass  # the late answer to what was interrupted
...
...     def make_safe(self):
...         self._transport.write(b"OUTP OFF\n")
...
...     @query
...     def kelvin(self):
...         return float(self._transport.query(b"MEAS:TEMP?\n"))

It is a device like any other:

>>> from actorlab import Lab
>>> from actorlab.simulation import Bench
>>> with Bench() as bench, Lab() as lab:
...     host, port = bench.resources["oven"].split("::")[1:3]
...     oven = lab.add("oven", Oven, host, int(port))
...     round(oven.kelvin())
295
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Final, Self

from actorlab.drivers.interruptible import InterruptibleWait, Line, Port
from actorlab.errors import ConfigError
from actorlab.scope import current

__all__ = ["Transport"]

LONGEST_SHOWN: Final = 60


class Transport(ABC):
    """A connection to an instrument, whose waits another thread can end; see `SocketTransport`, `SerialTransport`.

    `timeout` (seconds) bounds the opening, and how long the instrument may then be silent, or not take what is sent.
    `terminator` ends each answer.

    An instrument that is silent raises `TimeoutError`, one that has gone `ConnectionResetError`, and use of a transport
    that isn't open `ConnectionError`: all are faults, after which a lab connects anew. Without a lab, an answer may
    still come after a `TimeoutError`; `query` doesn't take it for its own if it has come before.
    """

    def __init__(self, timeout: float, terminator: bytes) -> None:
        self.timeout = timeout
        self.terminator = terminator
        if not timeout > 0:
            message = f"{self!r}: timeout={timeout!r} must be more than 0 seconds"
            raise ConfigError(message)
        self._wait: InterruptibleWait | None = None
        self._line: Line | None = None
        self._received = bytearray()

    def __enter__(self) -> Self:
        self.open()
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def open(self) -> None:
        """Open the connection; one that is open already is closed first.

        Raises:
            OSError: it can't be opened; the message says why.
            TimeoutError: it wasn't open within `timeout`.
            ConfigError: the program asks for what there isn't.
            Interrupted: `interrupt` was called meanwhile.

        """
        self.close()
        self._wait = InterruptibleWait(repr(self))
        try:
            self._line = Line(self._wait, self._open_port(self._wait))
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Close the connection; do nothing if it isn't open. It belongs to the thread that reads and writes."""
        wait = self._wait
        self._wait = self._line = None
        self._received.clear()
        if wait is not None:
            wait.close()
        self._close_port()

    def write(self, data: bytes | bytearray) -> None:
        """Send bytes as they are, with no terminator added."""
        sent = self._opened().send(data, self.timeout)
        if sent < len(data):
            message = f"{self!r} took {sent} of {len(data)} bytes and then none for {self.timeout:g} s"
            raise TimeoutError(message)

    def read_until(self, terminator: bytes | None = None, seconds: float | None = None) -> bytes:
        """Return what comes before the terminator, and take the terminator away.

        `seconds` bounds silence in place of `timeout`. What has come when this raises is still there for another read.
        """
        end = self.terminator if terminator is None else terminator
        if not end:
            message = f"{self!r} has no terminator to read until: use read_exactly()"
            raise ValueError(message)
        searched = 0
        while (found := self._received.find(end, searched)) < 0:
            searched = max(0, len(self._received) + 1 - len(end))
            self._receive(f"{end!r}", seconds)
        return self._take(found, found + len(end))

    def read_exactly(self, count: int, seconds: float | None = None) -> bytes:
        """Return so many bytes. `seconds` bounds silence in place of `timeout`.

        What has come when this raises is still there for another read.
        """
        while len(self._received) < count:
            self._receive(f"{count} bytes", seconds)
        return self._take(count, count)

    def query(self, data: bytes | bytearray) -> bytes:
        """Throw away what has come unasked, send bytes, and return what comes before the terminator.

        Nobody else's call comes between.
        """
        with current.get().exchange():
            self.discard()
            self.write(data)
            return self.read_until()

    def discard(self) -> None:
        """Throw away what has come, without waiting for more."""
        line = self._opened()
        self._received.clear()
        while line.unread():
            pass

    def interrupt(self) -> None:
        """End the wait in progress at once, and refuse further use with `Interrupted` until `rearm`.

        Any thread may call it. The connection survives. Nothing happens if it is neither open nor being opened.
        """
        wait = self._wait
        if wait is not None:
            wait.interrupt()

    def rearm(self) -> None:
        """Take back `interrupt`; then bring the instrument back into step, as the rest of an answer may still come."""
        if self._wait is not None:
            self._wait.rearm()

    @abstractmethod
    def _open_port(self, wait: InterruptibleWait) -> Port:
        """Open what the bytes go through; do all waiting by `wait`, at most `timeout`."""

    @abstractmethod
    def _close_port(self) -> None:
        """Close it, if it is open."""

    def _opened(self) -> Line:
        if self._line is None:
            message = f"{self!r} is not open: call open() first"
            raise ConnectionError(message)
        return self._line

    def _receive(self, wanted: str, seconds: float | None) -> None:
        patience = self.timeout if seconds is None else seconds
        piece = self._opened().receive(patience)
        if not piece:
            message = f"{self!r} was silent for {patience:g} s and still owes {wanted}; came: {_shown(self._received)}"
            raise TimeoutError(message)
        self._received += piece

    def _take(self, count: int, end: int) -> bytes:
        """Return the first bytes of what was received; what comes before `end` is done with."""
        with memoryview(self._received) as received:
            taken = bytes(received[:count])
        del self._received[:end]
        return taken


def _shown(received: bytearray) -> str:
    if not received:
        return "nothing"
    start = bytes(received[:LONGEST_SHOWN])
    return repr(start) if len(received) <= LONGEST_SHOWN else f"{start!r} and {len(received) - LONGEST_SHOWN} more"
