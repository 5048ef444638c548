"""What a lab tells of a device without asking it: its description and its status."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Annotated

import pytest

from actorlab import ConfigError, Device, DeviceConfig, Lab, Range, Unit, periodic, query, stream


class Camera(Device):
    """A camera."""

    def __init__(self) -> None:
        self.shutter = object()

    def expose(self, seconds: Annotated[float, Unit("s"), Range(0, 10)] = 0.1) -> None:
        """Take a picture."""

    @query
    def temperature(self) -> Annotated[float, Unit("K")]:
        return 293.0

    @periodic(60, autostart=False)
    def watch(self) -> None: ...

    @stream
    def frames(self) -> Iterator[int]:
        yield 1

    def make_safe(self) -> None: ...


def test_the_description_tells_members_units_limits_hooks_parts_and_options(lab: Lab) -> None:
    lab.add("camera", DeviceConfig(timeout=5)(Camera))
    told = json.loads(json.dumps(lab.describe("camera")))
    assert (told["name"], told["class"], told["timeout"], told["isolation"]) == ("camera", "Camera", 5, "thread")
    assert told["hooks"]["make_safe"] == "make_safe"
    assert told["parts"] == {"shutter": "object"}
    members = told["members"]
    seconds = members["expose"]["parameters"]["properties"]["seconds"]
    assert (seconds["unit"], seconds["minimum"], seconds["maximum"], seconds["default"]) == ("s", 0, 10, 0.1)
    assert members["expose"]["query"] is False
    assert members["temperature"]["query"] is True
    assert members["temperature"]["returns"]["unit"] == "K"
    assert members["watch"]["kind"] == "periodic"
    assert members["frames"]["kind"] == "stream"


def test_the_status_tells_how_its_periodic_methods_stand(lab: Lab) -> None:
    camera = lab.add("camera", Camera)
    assert lab.status("camera").periodics["watch"].state == "stopped"
    camera.watch.start()
    assert lab.status("camera").periodics["watch"].state == "running"


def test_a_device_that_does_not_exist_is_said_with_those_that_do(lab: Lab) -> None:
    lab.add("camera", Camera)
    with pytest.raises(ConfigError, match="no device named 'laser'; it has camera"):
        lab.describe("laser")
