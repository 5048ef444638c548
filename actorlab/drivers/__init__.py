"""Talk to instruments: devices for VISA, on any back end, connections for drivers that do without, and presets."""

from __future__ import annotations

from actorlab.drivers.interruptible import Interrupted
from actorlab.drivers.limits import within
from actorlab.drivers.scpi import GarbledAnswer, InstrumentError
from actorlab.drivers.serial_transport import SerialTransport
from actorlab.drivers.socket_transport import SocketTransport
from actorlab.drivers.transport import Transport
from actorlab.drivers.visa import VisaDevice
from actorlab.driving.presets import PYMEASURE, QCODES

__all__ = [
    "PYMEASURE",
    "QCODES",
    "GarbledAnswer",
    "InstrumentError",
    "Interrupted",
    "SerialTransport",
    "SocketTransport",
    "Transport",
    "VisaDevice",
    "within",
]
