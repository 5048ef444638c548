"""A device or a periodic method that the lab can't do without stops the lab when it has failed for good."""

from __future__ import annotations

import pytest

from actorlab import ActorLabError, Device, DeviceConfig, Lab, RestartPolicy, RunCancelled, periodic, sleep

STOP = RestartPolicy(limit=0, delay=0, then="stop_lab")


class Chiller(Device):
    """A device that breaks when it is told to."""

    def __init__(self, log: list[str]) -> None:
        self._log = log

    def leak(self) -> None:
        text = "no pressure"
        raise ConnectionError(text)

    def make_safe(self) -> None:
        self._log.append("safe")

    def disconnect(self) -> None:
        self._log.append("disconnected")


class Watched(Device):
    """A device whose watch fails."""

    @periodic(0.001, restart=STOP)
    def watch(self) -> None:
        text = "too warm"
        raise ValueError(text)


def endless() -> None:
    while True:
        sleep(10)


def test_a_device_that_is_beyond_its_policy_stops_the_lab_with_an_exit_code() -> None:
    log: list[str] = []
    with pytest.raises(ActorLabError, match="stopped itself: 'chiller' failed"), Lab() as lab:  # noqa: PT012 - the block
        chiller = lab.add("chiller", DeviceConfig(restart=STOP)(Chiller), [])
        lab.add("other", Chiller, log)
        run = lab.start(endless)
        with pytest.raises(ActorLabError):
            chiller.leak()
        assert isinstance(run.exception(5), RunCancelled)
    assert lab.exit_code == 1
    assert log[-1] == "disconnected"


def test_a_periodic_method_that_gave_up_stops_the_lab() -> None:
    with pytest.raises(ActorLabError, match=r"stopped itself: .*watch.* gave up"), Lab() as lab:  # noqa: PT012 - as above
        lab.add("watched", Watched)
        lab.start(endless).exception(5)
    assert lab.exit_code == 1
