"""Talk to instruments: devices for VISA, on any back end."""

from __future__ import annotations

from actorlab.drivers.limits import within
from actorlab.drivers.link import Interrupted
from actorlab.drivers.scpi import GarbledAnswer, InstrumentError
from actorlab.drivers.visa import VisaDevice

__all__ = ["GarbledAnswer", "InstrumentError", "Interrupted", "VisaDevice", "within"]
