"""Open a TCP connection to an instrument, within a time, and in such a way that another thread can end the wait."""

from __future__ import annotations

import errno
import os
import socket
import threading
import time
from contextlib import suppress
from typing import Any, Final, NamedTuple

from actorlab.drivers.interruptible import READABLE, WRITABLE, InterruptibleWait
from actorlab.drivers.transport import Transport
from actorlab.errors import ConfigError

__all__ = ["SocketTransport"]

PORTS: Final = range(1, 1 << 16)
BEGUN: Final = (0, errno.EINPROGRESS, errno.EWOULDBLOCK)
ADVICE: Final = "is it switched on, and are host and port right?"
NUMBER: Final = "check it, or give the IP address"


class Address(NamedTuple):
    """One way to reach a host and port."""

    family: socket.AddressFamily
    endpoint: Any


class SocketTransport(Transport):
    r"""A TCP connection to an instrument.

    `timeout` (seconds) bounds the opening, and the instrument's silence. `terminator` ends each answer.

    >>> from actorlab.simulation import Bench
    >>> with Bench() as bench:
    ...     host, port = bench.resources["laser"].split("::")[1:3]
    ...     with SocketTransport(host, int(port)) as laser:
    ...         laser.write(b"SOUR:CURR 20\n")
    ...         float(laser.query(b"SOUR:CURR?\n"))
    20.0
    """

    def __init__(self, host: str, port: int, *, timeout: float = 2.0, terminator: bytes = b"\n") -> None:
        self.host = host
        self.port = port
        self._socket: socket.socket | None = None
        super().__init__(timeout, terminator)
        if port not in PORTS:
            message = f"{self!r}: port={port!r} must be {PORTS[0]} to {PORTS[-1]}"
            raise ConfigError(message)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.host!r}, {self.port!r})"

    def _open_port(self, wait: InterruptibleWait) -> socket.socket:
        end = time.monotonic() + self.timeout
        addresses = self._addresses(wait)
        failure = OSError(f"{self!r}: this host has no address")
        for tried, address in enumerate(addresses):
            share = (end - time.monotonic()) / (len(addresses) - tried)  # the first may be one where nobody answers
            try:
                return self._connected(wait, address, share)
            except OSError as error:
                self._close_port()
                failure = error
        raise failure

    def _close_port(self) -> None:
        connection, self._socket = self._socket, None
        if connection is not None:
            connection.close()

    def _connected(self, wait: InterruptibleWait, address: Address, seconds: float) -> socket.socket:
        self._socket = connection = socket.socket(address.family, socket.SOCK_STREAM)
        connection.setblocking(False)
        # Without it, a query right behind a command waits for the command's delayed acknowledgement (40 ms).
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        refused = connection.connect_ex(address.endpoint)
        if refused in BEGUN:
            if not _ready(wait, connection, WRITABLE, seconds):
                message = f"{self!r} did not open within {self.timeout:g} s; {ADVICE}"
                raise TimeoutError(message)
            refused = connection.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if refused:
            raise OSError(refused, f"{self!r} can't be opened: {os.strerror(refused)}; {ADVICE}")
        return connection

    def _addresses(self, wait: InterruptibleWait) -> list[Address]:
        try:
            with suppress(socket.gaierror):
                return _resolved(self.host, self.port, socket.AI_NUMERICHOST)  # an IP address: no server is asked
            lookup = Lookup(self.host, self.port)
            with lookup.told:
                if not _ready(wait, lookup.told, READABLE, self.timeout):
                    message = f"{self!r}: no name server knew its address within {self.timeout:g} s; {NUMBER}"
                    raise TimeoutError(message)
            return lookup.addresses()
        except (socket.gaierror, UnicodeError) as error:
            message = f"{self!r}: nobody knows this host ({error}); {NUMBER}"
            raise ConnectionError(message) from error


class Lookup:
    """Ask for a host's addresses in a thread: a name server may be silent for longer than anybody waits.

    `told` becomes readable when they are known.
    """

    def __init__(self, host: str, port: int) -> None:
        self._host = host
        self._port = port
        self._answer: list[Address] | OSError | UnicodeError = []
        self.told, self._tell = socket.socketpair()
        threading.Thread(target=self._ask, name=f"actorlab looks up {host}", daemon=True).start()

    def addresses(self) -> list[Address]:
        """Return what was found. Raise what went wrong."""
        if isinstance(self._answer, list):
            return self._answer
        raise self._answer

    def _ask(self) -> None:
        with self._tell:
            try:
                self._answer = _resolved(self._host, self._port)
            except (OSError, UnicodeError) as error:
                self._answer = error


def _resolved(host: str, port: int, flags: int = 0) -> list[Address]:
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=flags)
    return [Address(family, endpoint) for family, _, _, _, endpoint in found]


def _ready(wait: InterruptibleWait, connection: socket.socket, event: int, seconds: float) -> bool:
    """Wait for what is closed soon after."""
    try:
        return wait.wait(connection, event, seconds)
    finally:
        wait.forget()
