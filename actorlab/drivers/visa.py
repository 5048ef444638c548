"""Speak SCPI to an instrument by VISA, and never take a late answer for the answer to a later question."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, ClassVar, Final, Self, TypeVar

import pyvisa
from numpy.typing import DTypeLike, NDArray
from pyvisa.constants import StatusCode
from pyvisa.errors import VisaIOError
from pyvisa.resources import MessageBasedResource

from actorlab.device import Device, DeviceConfig
from actorlab.device import query as reads  # `VisaDevice.query` is PyVISA's word for write-and-read
from actorlab.drivers.interruptible import Interrupted
from actorlab.drivers.link import Link, claim, link_to
from actorlab.drivers.scpi import (
    ErrorEntry,
    Frame,
    InstrumentError,
    block_frame,
    parse_array,
    parse_error,
    parse_number,
    parse_text,
    text_frame,
)
from actorlab.errors import ConfigError
from actorlab.scope import current

__all__ = ["VisaDevice"]

R = TypeVar("R")

IDENTITY: Final = "*IDN?"
COMPLETE: Final = "*OPC?"
LONGEST_ERROR_QUEUE: Final = 100


class VisaDevice(Device):
    """An instrument that speaks SCPI, on any VISA back end.

    `resource` is its VISA resource string; `backend` is PyVISA's: ``"@py"``, ``"file.yaml@sim"``, or ``""`` for the
    VISA library of the computer. `timeout` (seconds) bounds how long the instrument may be silent in an answer.
    `settings` are attributes of PyVISA's resource, such as ``{"baud_rate": 115200}`` for a serial one.

    Whatever is sent and read happens as an exchange, so that nothing comes between. When an answer is missing (a
    timeout, garbage), the next exchange begins with `resync`; after an interrupt, the caller calls it. A dropped
    connection, a silent instrument (`VisaIOError`) and a garbled answer are faults; `InstrumentError` isn't.

    A subclass may name its `model`; then an instrument whose identity doesn't contain it is refused by `connect`.
    """

    device_config: DeviceConfig | None = DeviceConfig(faults=(VisaIOError,))
    model: ClassVar[str] = ""

    def __init__(
        self,
        resource: str,
        *,
        backend: str = "@py",
        timeout: float = 2.0,
        read_termination: str = "\n",
        write_termination: str = "\n",
        settings: Mapping[str, Any] | None = None,
    ) -> None:
        self.resource = resource
        self.backend = backend
        self.timeout = timeout
        self._read_termination = read_termination
        self._write_termination = write_termination
        self._settings = dict(settings or {})
        self._identity = ""
        self._session: MessageBasedResource | None = None
        self._link: Link | None = None
        self._received = bytearray()
        self._unanswered: list[str] = []

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.resource!r})"

    def __enter__(self) -> Self:
        self.connect()
        return self

    def __exit__(self, *exception: object) -> None:
        self.disconnect()

    def connect(self) -> None:
        """Open the resource and ask who is there. Raise `ConfigError` if it isn't the expected model."""
        self.disconnect()
        try:
            self._open()
            self._identity = self.identify()
            self._expect_model()
        except BaseException:
            self.disconnect()  # also on Ctrl-C: nobody else knows of the open session
            raise

    def disconnect(self) -> None:
        """Close the resource; do nothing if it isn't open."""
        link, session = self._link, self._session
        self._link = self._session = None
        self._received.clear()
        self._unanswered.clear()
        if link is not None:
            link.close()
        if session is not None:
            with suppress(VisaIOError):  # closing what is broken already
                session.close()

    @reads
    def identify(self) -> str:
        """Return the answer to ``*IDN?``: maker, model, serial number, version."""
        return self.query(IDENTITY)

    def write(self, command: str) -> None:
        """Send a command that has no answer."""
        with current.get().exchange():
            self._stale()
            self._send(command)

    def query(self, command: str) -> str:
        """Send a command and return its answer as text, without white space around it."""
        return self._ask(command, text_frame, parse_text)

    def query_float(self, command: str) -> float:
        """Send a command and return its answer as a number; SCPI's 9.91E37 is not-a-number, ±9.9E37 infinite."""
        return self._ask(command, text_frame, parse_number)

    def query_bool(self, command: str) -> bool:
        """Send a command and return whether its answer is other than 0."""
        return self.query_float(command) != 0

    def query_binary(self, command: str, dtype: DTypeLike = "<f4") -> NDArray[Any]:
        """Send a command and return its answer, a definite-length block, as an array of one dimension.

        `dtype` is what the instrument sends, byte order included (``"<f4"``, ``">i2"``); the array has this machine's.
        """
        return self._ask(command, block_frame, lambda answer: parse_array(answer, dtype))

    def check_errors(self) -> None:
        """Empty the instrument's error queue by ``SYST:ERR?``; raise `InstrumentError` if anything was in it."""
        entries: list[ErrorEntry] = []
        with current.get().exchange():
            while len(entries) < LONGEST_ERROR_QUEUE and (entry := parse_error(self.query("SYST:ERR?"))).code:
                entries.append(entry)
        if entries:
            raise InstrumentError(repr(self), entries)

    def interrupt(self) -> None:
        """End the exchange in progress, and refuse others with `Interrupted` until `resync`. Any thread may call it.

        On pyvisa-py's sockets and serial ports a read ends at once and the connection survives; elsewhere it may last
        until the VISA timeout (`actorlab.drivers.link` has a table).
        """
        link = self._link
        if link is not None:
            link.interrupt()

    def resync(self) -> None:
        """Read away late answers, until the answer to a question that nobody else asked comes back.

        Raise `ConnectionError` if it doesn't within `timeout`: then only a new connection helps.
        """
        with current.get().exchange():
            self._opened().rearm()
            self._realign()

    def _open(self) -> None:
        manager = pyvisa.ResourceManager(self.backend)
        session = manager.open_resource(
            self.resource,
            open_timeout=round(self.timeout * 1000),
            read_termination=self._read_termination,
            write_termination=self._write_termination,
            **self._settings,
        )
        if not session.session:  # pyvisa-sim opens what it doesn't have as session 0, and reads from it for ever
            raise VisaIOError(StatusCode.error_resource_not_found)
        if not isinstance(session, MessageBasedResource):
            session.close()
            message = f"{self!r}: VISA can't exchange messages with this kind of resource"
            raise ConfigError(message)
        self._session = session
        self._claim(session)
        self._link = link_to(session, self._read_termination.encode("ascii"), repr(self))

    def _claim(self, session: MessageBasedResource) -> None:
        """Have the instrument for oneself, where its connection can refuse others."""
        try:
            claim(session)
        except (OSError, VisaIOError) as error:
            message = f"{self!r} is in use by another program, which has locked it: end that one, then try again"
            raise ConnectionError(message) from error

    def _expect_model(self) -> None:
        if self.model not in self._identity:
            message = f"{self!r}: expected a {self.model}, found {self._identity!r}; check the resource string"
            raise ConfigError(message)

    def _opened(self) -> Link:
        if self._link is None:
            message = f"{self!r} is not connected: call connect() first"
            raise ConnectionError(message)
        return self._link

    def _ask(self, command: str, frame: Frame, parse: Callable[[bytes | bytearray], R]) -> R:
        with current.get().exchange():
            if self._stale():
                self._realign()  # and not `resync`, which would take back an interrupt
            self._unanswered.append(command)
            try:
                self._send(command)
                answer = parse(self._receive(frame, self.timeout))
            except (OSError, VisaIOError, Interrupted) as error:
                error.add_note(f"{self!r} was asked {command}")
                raise
            self._unanswered.pop()
            return answer

    def _stale(self) -> bool:
        """Say whether answers are missing, or have come without a question. Nothing was sent if this raises."""
        self._received += self._opened().unread()
        return bool(self._unanswered or self._received)

    def _send(self, command: str) -> None:
        self._opened().send(f"{command}{self._write_termination}".encode("ascii"), self.timeout)

    def _receive(self, frame: Frame, seconds: float) -> bytes | bytearray:
        link = self._opened()
        while (end := frame(self._received, link.terminator)) is None:
            self._received += link.receive(seconds)
        if end == len(self._received) or not link.terminator:  # the usual case: hand it on without a copy
            answer, self._received = self._received, bytearray()
            return answer
        answer = self._received[:end]
        del self._received[:end]
        return answer

    def _realign(self) -> None:
        self._opened().clear()
        marker, expected = self._marker()
        try:
            self._read_up_to(marker, expected)
        except VisaIOError as error:
            message = f"{self!r} can't be brought back into step: no answer to {marker} ({error}); connect anew"
            raise ConnectionError(message) from error
        self._unanswered.clear()

    def _marker(self) -> tuple[str, bytes]:
        """Choose a question whose answer can't be one of those that are missing."""
        if IDENTITY not in self._unanswered:
            return IDENTITY, self._identity.encode("ascii")
        if self._unanswered == [IDENTITY]:
            return COMPLETE, b"1"
        message = f"{self!r} stays out of step: it owes answers to {', '.join(self._unanswered)}; connect anew"
        raise ConnectionError(message)

    def _read_up_to(self, marker: str, expected: bytes) -> None:
        deadline = time.monotonic() + self.timeout
        self._unanswered.append(marker)
        self._send(marker)
        while self._receive(text_frame, deadline - time.monotonic()).strip() != expected:
            if time.monotonic() > deadline:  # it never stops talking
                raise VisaIOError(StatusCode.error_timeout)
