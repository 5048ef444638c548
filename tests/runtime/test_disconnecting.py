"""A device is disconnected for a while, and stays known."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest

from actorlab import (
    DeviceBusy,
    DeviceConfig,
    DeviceQuarantined,
    DeviceUnavailable,
    Lab,
    RestartPolicy,
    checkpoint,
    query,
    sleep,
    task,
)

PATIENCE = 5.0


class Oven:
    """An oven that tells what was done to it."""

    def __init__(self, told: list[str]) -> None:
        self._told = told

    def connect(self) -> None:
        self._told.append("connect")

    def disconnect(self) -> None:
        self._told.append("disconnect")

    def make_safe(self) -> None:
        self._told.append("safe")

    def heat(self) -> str:
        return "hot"

    @query
    def temperature(self) -> float:
        return 300.0


@task
def bake(oven: Oven) -> str:
    """Heat it."""
    return oven.heat()


@task
def keep_warm(oven: Oven) -> None:
    """Hold it until the end."""
    del oven
    while True:
        checkpoint()
        sleep(0.01)


@pytest.fixture
def told() -> list[str]:
    """Return what the oven tells."""
    return []


@pytest.fixture
def lab(told: list[str]) -> Iterator[Lab]:
    """Make a lab with an oven."""
    made = Lab(cancel_grace=1.0)
    made.add("oven", Oven, told)
    yield made
    made.close()


def test_a_device_is_made_safe_disconnected_and_connected_again(lab: Lab, told: list[str]) -> None:
    lab.disconnect("oven", "the door is open")
    assert told == ["connect", "safe", "disconnect"]
    assert (lab.status("oven").state, lab.status("oven").why) == ("disconnected", "the door is open")
    assert not lab.status("oven").owes_safe
    lab.disconnect("oven")  # it stays so
    for member in ("heat", "temperature"):
        with pytest.raises(DeviceUnavailable, match=r"disconnected: lab.connect\('oven'\)"):
            getattr(lab.device("oven"), member)()
    with pytest.raises(DeviceUnavailable, match="disconnected"):
        lab.run(bake, lab.device("oven"))
    lab.connect("oven")
    assert told[3:] == ["connect", "safe"]
    assert lab.run(bake, lab.device("oven")) == "hot"
    lab.connect("oven")  # it serves already
    assert len(told) == 5


def test_nobody_disconnects_what_somebody_holds(lab: Lab) -> None:
    run = lab.start(keep_warm, lab.device("oven"))
    until_held(lab)
    with pytest.raises(DeviceBusy, match=f"held by {run.id}"):
        lab.disconnect("oven")
    assert lab.device("oven").temperature() == 300.0
    run.cancel()
    run.exception(PATIENCE)
    lab.disconnect("oven")


def until_held(lab: Lab) -> None:
    """Wait until somebody holds the oven."""
    while not lab.status("oven").holder:
        lab.ask(lambda: None)


def test_who_restarts_or_resets_what_is_disconnected_is_told_how_to_connect_it(lab: Lab) -> None:
    lab.disconnect("oven")
    for verb in (lab.restart, lab.reset):
        with pytest.raises(DeviceUnavailable, match="connects it again"):
            verb("oven")
    assert lab.status("oven").state == "disconnected"


def test_what_is_disconnected_is_safe_in_an_emergency_and_stays_disconnected(lab: Lab) -> None:
    lab.disconnect("oven")
    assert lab.emergency_stop("fire").result(PATIENCE) == {"oven": None}
    lab.rearm()
    assert lab.status("oven").state == "disconnected"
    lab.connect("oven")
    assert lab.device("oven").heat() == "hot"


def test_what_is_disconnected_can_be_removed_and_added_again(lab: Lab, told: list[str]) -> None:
    lab.disconnect("oven")
    lab.remove("oven")
    assert lab.devices == {}
    lab.add("oven", Oven, told)
    assert lab.device("oven").heat() == "hot"


def test_a_lab_ends_with_a_device_that_is_disconnected(told: list[str]) -> None:
    with Lab() as lab:
        lab.add("oven", Oven, told)
        lab.disconnect("oven")
    assert told == ["connect", "safe", "disconnect"]


def test_many_who_disconnect_and_connect_at_once_leave_it_as_one_of_them_wanted(lab: Lab, told: list[str]) -> None:
    def toggle(number: int) -> None:
        for _ in range(20):
            with suppress(DeviceUnavailable):  # the others are just at it
                (lab.disconnect if number % 2 else lab.connect)("oven")

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(toggle, range(4)))
    if lab.status("oven").state == "disconnected":
        lab.connect("oven")
    assert lab.device("oven").heat() == "hot"
    assert abs(told.count("connect") - told.count("disconnect")) <= 1


class Stuck:
    """A device that doesn't return from disconnecting."""

    def __init__(self, free: threading.Event) -> None:
        self._free = free

    def disconnect(self) -> None:
        self._free.wait(20)


def test_a_driver_that_does_not_return_is_said_and_given_up() -> None:
    free = threading.Event()
    lab = Lab()
    lab.add("stuck", DeviceConfig(safe_timeout=0.2)(Stuck), free)
    with pytest.raises(DeviceQuarantined, match="it doesn't stop"):
        lab.disconnect("stuck")
    assert lab.status("stuck").state == "quarantined"
    with pytest.raises(DeviceQuarantined, match="hasn't ended"):
        lab.disconnect("stuck")
    free.set()
    lab.close()


class Failing:
    """A device whose connection breaks at once."""

    def __init__(self, attempts: list[int]) -> None:
        self._attempts = attempts

    def connect(self) -> None:
        self._attempts.append(1)
        message = "no answer"
        raise ConnectionError(message)


def test_a_device_that_is_tried_again_and_again_is_left_alone_once_it_is_disconnected() -> None:
    attempts: list[int] = []
    config = DeviceConfig(optional=True, restart=RestartPolicy(delay=0.05, max_delay=0.05))
    lab = Lab()
    lab.add("failing", config(Failing), attempts)
    lab.disconnect("failing")
    tried = len(attempts)
    assert lab.status("failing").state == "disconnected"
    assert lab.status("failing").retry_in is None
    lab.later(0.2, list).result(PATIENCE)
    assert len(attempts) == tried
    lab.close()


class Later(Failing):
    """One with a command."""

    def heat(self) -> None:
        """Heat."""


@task
def use(device: Later) -> None:
    """Use it."""
    device.heat()


def test_a_run_that_waits_for_a_device_is_refused_when_that_is_disconnected() -> None:
    config = DeviceConfig(optional=True, restart=RestartPolicy(delay=60.0, max_delay=60.0))
    attempts: list[int] = []
    lab = Lab()
    later = lab.add("later", config(Later), attempts)
    run = lab.start(use, later)
    assert not run.done()
    lab.disconnect("later")
    assert isinstance(run.exception(PATIENCE), DeviceUnavailable)
    lab.close()
