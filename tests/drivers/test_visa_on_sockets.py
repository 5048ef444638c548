"""On a socket, no wait is endless, and no late answer is ever taken for the answer to a later question."""

from __future__ import annotations

import socket
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyvisa.errors import VisaIOError

from actorlab.drivers import GarbledAnswer, Interrupted, VisaDevice
from actorlab.simulation import Bench, Laser, Spectrometer
from actorlab.simulation.faults import Fault
from tests.drivers.conftest import elsewhere

PATIENCE = 0.15
LATE = 0.2


@pytest.fixture
def bench() -> Iterator[Bench]:
    with Bench(time_scale=1000) as bench:
        yield bench


@pytest.fixture
def laser(bench: Bench) -> Iterator[Laser]:
    with Laser(bench.resources["laser"], timeout=PATIENCE) as laser:
        laser.set_current(42)
        yield laser


def test_an_answer_that_comes_late_is_never_taken_for_that_of_the_next_query(bench: Bench, laser: Laser) -> None:
    bench.inject("laser", "slow", seconds=LATE)
    with pytest.raises(VisaIOError, match="Timeout"):
        laser.current()

    assert laser.wavelength() == pytest.approx(1550)
    assert laser.current() == 42
    assert bench.executed("laser").count("SOUR:CURR?") == 2


def test_a_late_identity_is_not_taken_for_the_answer_of_the_marker(bench: Bench, laser: Laser) -> None:
    bench.inject("laser", "slow", seconds=LATE)
    with pytest.raises(VisaIOError, match="Timeout"):
        laser.identify()

    assert laser.current() == 42
    assert bench.executed("laser")[-2:] == ["*OPC?", "SOUR:CURR?"]


def test_a_device_that_stays_silent_in_resync_stays_refused_until_it_is_connected_anew(
    bench: Bench, laser: Laser
) -> None:
    bench.inject("laser", "hang")
    with pytest.raises(VisaIOError, match="Timeout"):
        laser.current()
    with pytest.raises(ConnectionError, match="can't be brought back into step"):
        laser.resync()
    with pytest.raises(ConnectionError, match=r"stays out of step.*connect anew"):
        laser.current()

    laser.connect()
    assert laser.current() == 42


def test_garbage_is_a_fault_and_the_next_query_is_in_step(bench: Bench, laser: Laser) -> None:
    bench.inject("laser", "garbage")
    with pytest.raises(GarbledAnswer) as error:
        laser.current()

    assert error.value.__notes__ == [f"{laser!r} was asked SOUR:CURR?"]
    assert laser.current() == 42


def test_bytes_that_nobody_asked_for_are_thrown_away(bench: Bench, laser: Laser) -> None:
    bench.inject("laser", "garbage")
    laser.write("SOUR:CURR 43")
    laser.write("SOUR:CURR 44")
    bench.wait_executed("laser", "SOUR:CURR 44")  # so that what came of the first is on its way

    assert laser.current() == 44


def test_a_dropped_connection_is_noticed_at_once_and_the_command_was_not_executed(bench: Bench, laser: Laser) -> None:
    bench.inject("laser", "drop")
    laser.timeout = 30

    with pytest.raises(ConnectionError):
        laser.query("SOUR:CURR 1;*OPC?")

    assert "SOUR:CURR 1;*OPC?" not in bench.executed("laser")
    with pytest.raises(ConnectionError):
        laser.write("SOUR:CURR 2")
    laser.connect()
    assert laser.current() == 42


def test_an_interrupt_ends_a_read_at_once_and_the_connection_survives(bench: Bench, laser: Laser) -> None:
    laser.timeout = 30
    bench.inject("laser", "hang", seconds=0.3)
    reading = elsewhere(laser.current)
    bench.wait_executed("laser", "SOUR:CURR?")

    began = time.monotonic()
    laser.interrupt()
    with pytest.raises(Interrupted, match="call resync") as error:
        reading.result(5)
    assert error.value.__notes__ == [f"{laser!r} was asked SOUR:CURR?"]

    assert time.monotonic() - began < 0.5
    with pytest.raises(Interrupted):
        laser.wavelength()
    laser.resync()
    assert laser.current() == 42
    assert bench.executed("laser").count("*IDN?") == 2, "connected once, brought into step once"


def test_an_interrupt_on_a_dead_instrument_is_followed_by_a_bounded_refusal(bench: Bench, laser: Laser) -> None:
    bench.inject("laser", "hang")
    reading = elsewhere(laser.current)
    bench.wait_executed("laser", "SOUR:CURR?")
    laser.interrupt()
    with pytest.raises(Interrupted):
        reading.result(5)

    with pytest.raises(ConnectionError, match="connect anew"):
        laser.resync()


def test_an_interrupt_between_two_exchanges_of_a_call_is_not_lost(laser: Laser) -> None:
    laser.interrupt()

    for _ in range(2):
        with pytest.raises(Interrupted):
            laser.current()

    laser.resync()
    assert laser.current() == 42


def test_an_interrupt_that_was_taken_back_hits_nobody(laser: Laser) -> None:
    for _ in range(50):
        laser.interrupt()
        laser.resync()
        assert laser.current() == 42


def test_interrupting_a_device_that_is_not_connected_does_nothing(bench: Bench) -> None:
    laser = Laser(bench.resources["laser"])
    laser.interrupt()
    laser.connect()
    laser.disconnect()
    laser.interrupt()


def test_a_refused_connection_says_so() -> None:
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]

    with pytest.raises(ConnectionRefusedError):
        VisaDevice(f"TCPIP::127.0.0.1::{port}::SOCKET", timeout=1).connect()


def test_a_block_in_which_the_terminator_occurs_arrives_whole(bench: Bench) -> None:
    with Spectrometer(bench.resources["spectrometer"]) as spectrometer:
        spectra = [spectrometer.acquire(0.01) for _ in range(20)]

    assert any(b"\n" in spectrum.counts.tobytes() for spectrum in spectra)
    assert {spectrum.counts.shape for spectrum in spectra} == {(512,)}


FAULTS = st.lists(
    st.builds(
        Fault, st.sampled_from(["garbage", "slow", "hang", "drop"]), st.integers(0, 12), st.sampled_from([0.012, 0.03])
    ),
    max_size=5,
)


@settings(max_examples=20, deadline=None)
@given(faults=FAULTS)
def test_each_query_gets_its_own_answer_or_an_error_whatever_goes_wrong(faults: list[Fault]) -> None:
    with Bench(clock=lambda: 0.0) as bench, Laser(bench.resources["laser"]) as laser:
        laser.timeout = 0.02
        for fault in faults:
            bench.inject("laser", fault.kind, fault.after, fault.seconds)
        for milliamps in range(8):
            with recovering(laser):
                laser.set_current(milliamps)
                assert laser.wavelength() == 1550
                assert laser.query("*OPC?") == "1"
                assert laser.current() == milliamps
                assert laser.query("SYST:ERR?") == '0,"No error"'


@contextmanager
def recovering(laser: Laser) -> Generator[None]:
    """Take faults as they come; connect anew when the device says that nothing else helps."""
    try:
        yield
    except (VisaIOError, GarbledAnswer):
        return
    except ConnectionError:
        connect_anew(laser)


def connect_anew(laser: Laser) -> None:
    """Try until it succeeds, each time with more patience: a busy computer may be slower than any fault."""
    impatience = laser.timeout
    while True:
        try:
            laser.connect()
            break
        except (VisaIOError, ConnectionError):
            laser.timeout *= 2
    laser.timeout = impatience
