"""A link to a VISA library ends a read as the library lets it, and never a later one."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import pyvisa
from pyvisa.constants import StatusCode
from pyvisa.errors import VisaIOError
from pyvisa.resources import MessageBasedResource
from pyvisa_sim.highlevel import SimVisaLibrary  # pyright: ignore[reportMissingTypeStubs]  # it has none

from actorlab.drivers import Interrupted
from actorlab.drivers.link import MessageLink, link_to
from tests.drivers.conftest import PATIENCE, elsewhere

INSTRUMENTS = Path(__file__).with_name("pyvisa_sim.yaml")


class Vendor(SimVisaLibrary):  # type: ignore[misc]  # pyvisa-sim carries no types
    """A VISA library whose reads last until something comes or they are terminated, as vendors' do."""

    def _init(self) -> None:
        super()._init()
        self.reading = threading.Event()
        self.terminated = threading.Event()
        self.log: list[tuple[int, int]] = []

    def read(self, session: Any, count: int) -> Any:
        try:
            return super().read(session, count)
        except VisaIOError:  # nothing has come
            self.reading.set()
            assert self.terminated.wait(PATIENCE), "the read was not terminated"
            self.terminated.clear()
            raise VisaIOError(StatusCode.error_abort) from None

    def terminate(self, session: Any, degree: Any, job_id: Any) -> StatusCode:
        del session
        self.log.append((degree, job_id))
        self.terminated.set()
        raise VisaIOError(StatusCode.error_invalid_job_i_d)  # whatever it says, it has been told


@pytest.fixture
def vendor() -> Vendor:
    """Load the library, in the state in which it is when nobody has used it yet."""
    library: Any = Vendor(str(INSTRUMENTS))
    library.reading.clear()
    library.log.clear()
    loaded: Vendor = library
    return loaded


@pytest.fixture
def link(vendor: Vendor) -> Iterator[MessageLink]:
    resource = pyvisa.ResourceManager(vendor).open_resource("GPIB0::8::INSTR", write_termination="\n")
    assert isinstance(resource, MessageBasedResource)
    link = link_to(resource, b"\n", "the meter")
    assert isinstance(link, MessageLink)
    yield link
    link.close()
    resource.close()


def test_an_interrupt_terminates_the_read_in_progress(link: MessageLink, vendor: Vendor) -> None:
    reading = elsewhere(lambda: link.receive(0.01))
    assert vendor.reading.wait(PATIENCE)
    link.interrupt()

    with pytest.raises(Interrupted, match="the meter was interrupted") as error:
        reading.result(PATIENCE)
    assert isinstance(error.value.__cause__, VisaIOError)
    assert vendor.log == [(0, 0)], "VISA's numbers for the only degree and for all jobs"


def test_an_interrupt_without_a_read_in_progress_terminates_nothing_later(link: MessageLink, vendor: Vendor) -> None:
    link.interrupt()
    with pytest.raises(Interrupted):
        link.receive(0.01)
    link.rearm()
    link.send(b"MEAS?\n", 1)

    assert link.receive(1).strip() == b"+1.25E-3"
    assert vendor.log == []
