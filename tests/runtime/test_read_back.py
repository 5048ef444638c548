"""A value that is set is read back, where the driver's hints or the configuration ask for it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

import pytest

from actorlab import Cancelled, Device, DeviceConfig, Lab, NotReached, Range, ReadBack, Unit, ask, query


class Stage(Device):
    """It moves by one at each look, up to where it is stuck."""

    def __init__(self, stuck_at: float = 1e9) -> None:
        self._at = 0.0
        self._target = 0.0
        self._stuck_at = stuck_at

    def move_to(
        self, mm: Annotated[float, Unit("mm"), Range(0, 100), ReadBack("position", tolerance=0.5, within=1.0)]
    ) -> str:
        self._target = mm
        return "moving"

    @query
    def position(self) -> float:
        self._at = min(self._at + 1, self._target, self._stuck_at)
        return self._at


class Foreign:
    """A driver that can't be marked."""

    def __init__(self) -> None:
        self._volts = 0.0
        self.ohms = 0.0

    @property
    def volts(self) -> float:
        return self._volts

    @volts.setter
    def volts(self, value: float) -> None:
        self._volts = min(value, 5.0)

    def set_ohms(self, ohms: float) -> None:
        self.ohms = ohms


def test_a_set_value_is_waited_for_and_the_call_returns_what_the_method_returned(lab: Lab) -> None:
    stage = lab.add("stage", Stage)
    assert stage.move_to(4) == "moving"
    assert lab.run(lambda stage: stage.move_to(9), stage) == "moving"
    assert stage.position() == 9


def test_one_that_is_not_reached_says_what_was_wanted_what_was_found_and_what_is_allowed(lab: Lab) -> None:
    stage = lab.add("stage", Stage, stuck_at=2.0)
    with pytest.raises(NotReached, match=r"Stage\.move_to: 4 mm was set, but position says 2\.0 after 1 s") as caught:
        stage.move_to(4)
    assert (caught.value.wanted, caught.value.found) == (4, 2.0)
    assert lab.status("stage").restarts == 0


@pytest.mark.parametrize("direct", [False, True])
def test_a_driver_that_cant_be_marked_is_configured(lab: Lab, *, direct: bool) -> None:
    read_back = {"volts": ReadBack("volts", tolerance=0.01), "set_ohms": ReadBack("ohms")}
    meter: Any = lab.add("meter", DeviceConfig(read_back=read_back, direct=direct)(Foreign))

    def body(meter: Foreign) -> None:
        meter.volts = 4.0
        for ohms in (1, 2, 3):
            meter.set_ohms(ohms)
        with pytest.raises(NotReached, match=r"Foreign\.volts: 9\.0 was set, but volts says 5\.0"):
            meter.volts = 9.0

    lab.run(body, meter)


def test_while_it_is_waited_for_queries_are_answered_and_a_cancellation_ends_the_wait(
    lab: Lab, stands: Callable[[str, str], None]
) -> None:
    class Slow(Stage):
        def move_to(self, mm: Annotated[float, ReadBack("position", within=60.0)]) -> str:
            return super().move_to(mm)

    stage = lab.add("stage", Slow, stuck_at=2.0)
    moving = ask(stage.move_to, 50)
    stands("stage", "busy")
    assert stage.position() <= 2.0
    moving.cancel()
    assert isinstance(moving.exception(5), Cancelled)
    assert stage.position() <= 2.0
