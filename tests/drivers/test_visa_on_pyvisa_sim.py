"""A VISA device speaks SCPI on other back ends and interfaces just as on pyvisa-py's sockets."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from pyvisa.errors import VisaIOError

from actorlab.drivers import InstrumentError, Interrupted, VisaDevice
from actorlab.errors import ConfigError

BACKEND = f"{Path(__file__).with_name('pyvisa_sim.yaml')}@sim"
RESOURCES = (
    "TCPIP0::localhost::5025::SOCKET",
    "TCPIP0::localhost::inst0::INSTR",
    "GPIB0::8::INSTR",
    "ASRL1::INSTR",
)


@pytest.fixture(params=RESOURCES)
def device(request: pytest.FixtureRequest) -> Iterator[VisaDevice]:
    with VisaDevice(request.param, backend=BACKEND, timeout=0.05) as device:
        yield device


def test_texts_numbers_and_blocks_are_read(device: VisaDevice) -> None:
    assert device.identify() == "actorlab,simulated by pyvisa-sim,0,1.0"
    assert device.query_float("MEAS?") == 1.25e-3
    assert device.query_binary("CURV?", "u1").tobytes() == b"abcd\nfghi\n"
    assert device.query("*OPC?") == "1"


def test_the_error_queue_is_emptied_into_one_error(device: VisaDevice) -> None:
    device.write("NONSENSE")
    device.write("NONSENSE")

    with pytest.raises(InstrumentError, match="-113 Undefined header; -113 Undefined header") as error:
        device.check_errors()

    assert repr(device) in str(error.value)
    device.check_errors()


def test_a_silent_instrument_is_a_visa_timeout_and_the_next_query_is_in_step(device: VisaDevice) -> None:
    with pytest.raises(VisaIOError, match="Timeout") as error:
        device.query("NONSENSE?")

    assert error.value.__notes__ == [f"{device!r} was asked NONSENSE?"]
    assert device.query_float("MEAS?") == 1.25e-3


def test_an_interrupted_device_refuses_until_resync(device: VisaDevice) -> None:
    device.interrupt()

    with pytest.raises(Interrupted, match="call resync"):
        device.query("MEAS?")
    with pytest.raises(Interrupted):
        device.write("NONSENSE")

    device.resync()
    assert device.query_float("MEAS?") == 1.25e-3


def test_an_unknown_resource_is_refused_by_connect_and_nothing_stays_open() -> None:
    device = VisaDevice("GPIB0::9::INSTR", backend=BACKEND)

    with pytest.raises(VisaIOError, match="NFOUND"):
        device.connect()
    with pytest.raises(ConnectionError, match="not connected: call connect"):
        device.query("*IDN?")


def test_another_model_than_the_expected_one_is_refused() -> None:
    class Laser(VisaDevice):
        model = "tunable laser"

    with pytest.raises(ConfigError, match="expected a tunable laser, found 'actorlab,simulated by pyvisa-sim"):
        Laser("GPIB0::8::INSTR", backend=BACKEND).connect()
