"""On a serial port under pyvisa-py, no wait is endless, and an interrupt ends it at once, as on sockets."""

from __future__ import annotations

import time
from collections.abc import Iterator

import numpy as np
import pytest
from pyvisa.errors import VisaIOError

from actorlab import CallTimeout, DeviceConfig, Lab
from actorlab.drivers import GarbledAnswer, Interrupted, VisaDevice
from actorlab.drivers.link import MessageLink, PortLink
from actorlab.drivers.scpi import block
from tests.drivers.conftest import PATIENCE, FarTerminal, Heard, elsewhere

SPECTRUM = np.arange(5000, dtype="<u2")
ANSWERS = {
    b"*IDN?": b"maker,source meter,1,1.0\n",
    b"MEAS?": b"+1.25E-03\n",
    b"CURV?": block(SPECTRUM.tobytes()) + b"\n",
    b"NOISE?": b"\xff\xfe\n",
}


@pytest.fixture
def heard(far_terminal: FarTerminal) -> Iterator[Heard]:
    with far_terminal.answering(ANSWERS) as heard:
        yield heard


@pytest.fixture
def device(far_terminal: FarTerminal, heard: Heard) -> Iterator[VisaDevice]:
    with VisaDevice(f"ASRL{far_terminal.path}::INSTR", timeout=PATIENCE) as device:
        assert heard.lines == [b"*IDN?"]
        yield device


def test_texts_numbers_and_large_blocks_are_read(device: VisaDevice) -> None:
    assert device.identify() == "maker,source meter,1,1.0"
    assert device.query_float("MEAS?") == 1.25e-3
    for _ in range(3):
        assert np.array_equal(device.query_binary("CURV?", "<u2"), SPECTRUM), "it contains terminators"


def test_a_port_that_is_open_already_is_refused_to_others(device: VisaDevice) -> None:
    second = VisaDevice(device.resource, timeout=PATIENCE)
    with pytest.raises(ConnectionError, match="in use by another program, which has locked it"):
        second.connect()
    assert device.identify() == "maker,source meter,1,1.0"


def test_the_port_itself_is_waited_for(device: VisaDevice) -> None:
    assert isinstance(device._link, PortLink)


def test_an_interrupt_ends_a_read_at_once_and_the_connection_survives(device: VisaDevice, heard: Heard) -> None:
    reading = elsewhere(lambda: device.query("HANG?"))
    heard.wait(2)
    began = time.monotonic()
    device.interrupt()
    with pytest.raises(Interrupted, match="call resync"):
        reading.result(PATIENCE)

    assert time.monotonic() - began < 1
    with pytest.raises(Interrupted):
        device.query("MEAS?")
    device.resync()
    assert device.query_float("MEAS?") == 1.25e-3
    assert heard.lines.count(b"*IDN?") == 2, "connected once, brought into step once"


def test_silence_and_garbage_are_faults_and_the_next_query_is_in_step(device: VisaDevice) -> None:
    device.timeout = 0.1
    with pytest.raises(VisaIOError, match="Timeout") as error:
        device.query("NONSENSE?")
    assert error.value.__notes__ == [f"{device!r} was asked NONSENSE?"]
    assert device.query_float("MEAS?") == 1.25e-3

    with pytest.raises(GarbledAnswer):
        device.query("NOISE?")
    assert device.query_float("MEAS?") == 1.25e-3


def test_a_port_that_is_unplugged_is_noticed_at_once() -> None:
    far = FarTerminal()
    with far.answering(ANSWERS):
        device = VisaDevice(f"ASRL{far.path}::INSTR", timeout=PATIENCE)
        device.connect()
    far.close()

    with pytest.raises(ConnectionResetError, match=r"closed the connection|lost the connection"):
        device.query("MEAS?")
    device.disconnect()


def test_a_read_that_hangs_ends_at_the_running_limit_of_a_lab_and_the_next_call_works(
    far_terminal: FarTerminal, heard: Heard
) -> None:
    meter = DeviceConfig(timeout=0.2)(VisaDevice)
    with Lab(cancel_grace=0.3) as lab:
        device = lab.add("meter", meter, f"ASRL{far_terminal.path}::INSTR", timeout=PATIENCE)
        with pytest.raises(CallTimeout, match=r"meter\.query took longer than its limit of 0\.2 s"):
            device.query("HANG?")
        assert device.query_float("MEAS?") == 1.25e-3

    assert heard.lines == [b"*IDN?", b"HANG?", b"*IDN?", b"MEAS?"]


def test_a_serial_port_behind_a_protocol_of_its_own_is_left_to_the_library() -> None:
    with VisaDevice("ASRLloop://::INSTR", timeout=0.1) as device:
        assert isinstance(device._link, MessageLink)
