"""On HiSLIP under pyvisa-py, an interrupt ends the wait for an answer at once, until the answer begins."""

from __future__ import annotations

import socket
import struct
import threading
import time
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Final

import pytest
from pyvisa.errors import VisaIOError

from actorlab import CallTimeout, DeviceConfig, Lab
from actorlab.drivers import Interrupted, VisaDevice
from actorlab.drivers.link import MessageLink
from tests.drivers.conftest import PATIENCE, elsewhere

HEADER: Final = "!2sBBIQ"
DATA, DATA_END, ASYNC_MAXIMUM = 6, 7, 15
REPLIES: Final = {0: 1, 8: 9, 15: 16, 17: 18, 19: 23}
"""The kind of message that answers each kind: to initialise, to clear, and to agree on a maximal size."""

BLOCK: Final = bytes(range(256)) * 256
ANSWERS: Final = {
    b"*IDN?": b"maker,oscilloscope,1,1.0\n",
    b"MEAS?": b"+1.25E-03\n",
    b"CURV?": b"#565536" + BLOCK + b"\n",
    b"HALF?": b"1.2",
}


class Oscilloscope:
    """An instrument that speaks HiSLIP (IVI-6.1) to one client after the other: what the tests need of it."""

    def __init__(self, answers: Mapping[bytes, bytes]) -> None:
        self.asked: list[bytes] = []
        self.heard = threading.Condition()
        self._answers = answers
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(PATIENCE)
        self._number = 0
        self._synchronous: socket.socket | None = None

    @property
    def resource(self) -> str:
        return f"TCPIP::127.0.0.1::hislip0,{self._listener.getsockname()[1]}::INSTR"

    def serve(self) -> None:
        """Take one client in, and answer until it goes."""
        with self._listener.accept()[0] as synchronous:
            self._synchronous = synchronous
            self._exchange(synchronous)
            with self._listener.accept()[0] as asynchronous:
                self._exchange(asynchronous)
                clearing = elsewhere(lambda: self._until_gone(asynchronous))
                self._until_gone(synchronous)
                clearing.result(PATIENCE)

    def wait_asked(self, message: bytes) -> None:
        with self.heard:
            assert self.heard.wait_for(lambda: message in self.asked, PATIENCE)

    def send(self, answer: bytes, kind: int = DATA_END) -> None:
        """Send an answer, or a part of one, to the last message."""
        self._send(kind, self._number, answer)

    def leave(self) -> None:
        """End the connection, as an instrument that is switched off does."""
        assert self._synchronous is not None, "no client has come"
        self._synchronous.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self._listener.close()

    def _send(self, kind: int, parameter: int, payload: bytes = b"", connection: socket.socket | None = None) -> None:
        to = connection or self._synchronous
        assert to is not None, "no client has come"
        with suppress(BrokenPipeError):  # the connection was dropped meanwhile
            to.sendall(struct.pack(HEADER, b"HS", kind, 0, parameter, len(payload)) + payload)

    def _until_gone(self, connection: socket.socket) -> None:
        with suppress(ConnectionResetError):  # the client went and left something unread
            while self._exchange(connection):
                pass

    def _exchange(self, connection: socket.socket) -> bool:
        header = received(connection, struct.calcsize(HEADER))
        if not header:
            return False
        _, kind, _, number, length = struct.unpack(HEADER, header)
        payload = received(connection, length)
        if kind in REPLIES:
            self._send(REPLIES[kind], 0, payload if kind == ASYNC_MAXIMUM else b"", connection)
        else:
            self._hear(payload.rstrip(b"\n"), number)
        return True

    def _hear(self, message: bytes, number: int) -> None:
        self._number = number
        with self.heard:
            self.asked.append(message)
            self.heard.notify_all()
        if message == b"HALF?":
            self._send(DATA, number, self._answers[message])
        elif message in self._answers:
            self._send(DATA_END, number, self._answers[message])


def received(connection: socket.socket, count: int) -> bytes:
    """Return so many bytes, or nothing at the end."""
    data = bytearray()
    while len(data) < count:
        piece = connection.recv(count - len(data))
        if not piece:
            return b""
        data += piece
    return bytes(data)


@contextmanager
def served(scope: Oscilloscope) -> Generator[None]:
    serving = elsewhere(scope.serve)
    yield
    serving.result(PATIENCE)


@pytest.fixture
def scope() -> Iterator[Oscilloscope]:
    made = Oscilloscope(ANSWERS)
    yield made
    made.close()


@pytest.fixture
def device(scope: Oscilloscope) -> Iterator[VisaDevice]:
    with served(scope), VisaDevice(scope.resource, timeout=PATIENCE) as device:
        yield device


def test_texts_numbers_and_blocks_are_read(device: VisaDevice) -> None:
    assert isinstance(device._link, MessageLink)
    assert device.identify() == "maker,oscilloscope,1,1.0"
    assert device.query_float("MEAS?") == 1.25e-3
    for _ in range(3):
        assert device.query_binary("CURV?", "u1").tobytes() == BLOCK


def test_an_interrupt_ends_the_wait_at_once_and_the_connection_survives(
    device: VisaDevice, scope: Oscilloscope
) -> None:
    reading = elsewhere(lambda: device.query("HANG?"))
    scope.wait_asked(b"HANG?")
    began = time.monotonic()
    device.interrupt()
    with pytest.raises(Interrupted, match="call resync"):
        reading.result(PATIENCE)

    assert time.monotonic() - began < PATIENCE / 2
    with pytest.raises(Interrupted):
        device.query("MEAS?")
    device.resync()
    assert device.query_float("MEAS?") == 1.25e-3


def test_an_answer_that_comes_after_the_interrupt_is_no_answer_to_a_later_question(
    device: VisaDevice, scope: Oscilloscope
) -> None:
    reading = elsewhere(lambda: device.query("HANG?"))
    scope.wait_asked(b"HANG?")
    device.interrupt()
    assert isinstance(reading.exception(PATIENCE), Interrupted)
    scope.send(b"too late\n")

    device.resync()
    assert device.query_float("MEAS?") == 1.25e-3


def test_silence_is_a_visa_timeout_and_the_next_query_is_in_step(device: VisaDevice) -> None:
    device.timeout = 0.2
    with pytest.raises(VisaIOError, match="Timeout"):
        device.query("NONSENSE?")

    assert device.query_float("MEAS?") == 1.25e-3


def test_a_dropped_connection_is_noticed_at_once_as_a_fault(device: VisaDevice, scope: Oscilloscope) -> None:
    reading = elsewhere(lambda: device.query("HALF?"))
    scope.wait_asked(b"HALF?")
    scope.leave()

    with pytest.raises(ConnectionResetError, match="lost the connection"):
        reading.result(PATIENCE)


def test_in_the_middle_of_an_answer_an_interrupt_takes_effect_at_the_visa_timeout(
    device: VisaDevice, scope: Oscilloscope
) -> None:
    device.timeout = 0.2
    reading = elsewhere(lambda: device.query("HALF?"))
    scope.wait_asked(b"HALF?")
    device.interrupt()

    with pytest.raises(Interrupted):
        reading.result(PATIENCE)


def test_a_read_that_hangs_ends_at_the_running_limit_of_a_lab_and_the_next_call_works(scope: Oscilloscope) -> None:
    configured = DeviceConfig(timeout=0.2)(VisaDevice)
    with served(scope), Lab(cancel_grace=0.3) as lab:
        device = lab.add("scope", configured, scope.resource, timeout=PATIENCE)
        with pytest.raises(CallTimeout, match=r"scope\.query took longer than its limit of 0\.2 s"):
            device.query("HANG?")
        assert device.query_float("MEAS?") == 1.25e-3

    assert scope.asked == [b"*IDN?", b"HANG?", b"*IDN?", b"MEAS?"]
