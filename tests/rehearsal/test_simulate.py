"""A simulated rehearsal runs the bodies, on twins of the devices and in virtual time; no instrument is touched."""

from __future__ import annotations

import _thread
import asyncio
import threading
import time
from typing import Annotated, Any

import pytest

from actorlab import (
    ActorLabError,
    ConfigError,
    Device,
    DeviceConfig,
    Lab,
    Range,
    ReadBack,
    RestartPolicy,
    RunState,
    Shared,
    ask,
    ask_operator,
    choose,
    cleanup,
    each,
    query,
    sleep,
    spawn,
    task,
    track,
    workflow,
)
from actorlab.simulation import Bench, Laser, Oven, PowerMeter

HOUR = 3600.0


class Heater(Device):
    """A heater; which of them is real, its log tells."""

    def __init__(self, log: list[str]) -> None:
        self.log = log
        self._level = 0.0

    def set_level(self, level: Annotated[float, Range(0, 10)]) -> None:
        self.log.append(f"level {level:g}")
        self._level = level

    @query
    def level(self) -> float:
        return self._level

    def soak(self, seconds: float) -> None:
        while seconds > 0:
            sleep(60)
            seconds -= 60

    def make_safe(self) -> None:
        self.log.append("safe")


class Bare:
    """A device without a twin."""


@pytest.fixture
def real() -> list[str]:
    """Return what the real heater was told."""
    return []


@pytest.fixture
def twin() -> list[str]:
    """Return what its twin was told."""
    return []


@pytest.fixture
def heater(lab: Lab, real: list[str], twin: list[str]) -> Heater:
    """Add a heater that has a twin."""
    return lab.add("heater", DeviceConfig(twin=lambda: Heater(twin))(Heater), real)


@task
def soak(heater: Heater, level: float, hours: float = 1) -> float:
    heater.set_level(level)
    heater.soak(hours * HOUR)
    return heater.level()


def test_hours_pass_in_no_time_and_the_instrument_is_not_touched(
    lab: Lab, heater: Heater, real: list[str], twin: list[str]
) -> None:
    began = time.monotonic()
    rehearsed = lab.rehearse.using(simulate=True)(soak, heater, 5)
    assert time.monotonic() - began < 5
    assert rehearsed.makespan == pytest.approx(HOUR, abs=1)
    assert rehearsed.value == 5
    assert rehearsed.entries[0].estimate.source == "measured"
    assert twin == ["level 5"]
    assert not real
    assert not lab.runs


def test_values_are_passed_on_and_branches_overlap(lab: Lab, heater: Heater) -> None:
    other: list[str] = []
    second = lab.add("second", DeviceConfig(twin=lambda: Heater(other))(Heater), [])

    @task
    def both(one: float, two: float) -> float:
        return one + two

    @workflow
    def two(first: Heater, second: Heater) -> float:
        return both(soak(first, 1, 2), soak(second, 2, 1))

    rehearsed = lab.rehearse.using(simulate=True)(two, heater, second)
    assert rehearsed.value == 3
    assert rehearsed.makespan == pytest.approx(2 * HOUR, abs=1)


def test_a_value_out_of_range_is_told_with_its_step(lab: Lab, heater: Heater, real: list[str], twin: list[str]) -> None:
    @workflow
    def too_hot(heater: Heater) -> float:
        soak(heater, 3)
        return soak(heater, 30)

    rehearsed = lab.rehearse.using(simulate=True)(too_hot, heater)
    assert rehearsed.state is RunState.FAILED
    (violation,) = rehearsed.violations
    assert violation.step.endswith("/soak")
    assert "30" in violation.why
    assert twin == ["level 3", "safe"]
    assert not real


def test_a_device_that_is_not_among_the_arguments_is_refused(lab: Lab, heater: Heater, real: list[str]) -> None:
    @task
    def sneaks() -> None:
        heater.set_level(1)

    rehearsed = lab.rehearse.using(simulate=True)(sneaks)
    assert rehearsed.state is RunState.FAILED
    assert "not among its arguments" in rehearsed.reason
    assert not real


def test_a_device_of_another_step_is_refused_as_well(lab: Lab, heater: Heater) -> None:
    @task
    def sneaks() -> None:
        heater.set_level(1)

    @workflow
    def with_a_sneak(heater: Heater) -> None:
        soak(heater, 1)
        sneaks()

    assert "not among its arguments" in lab.rehearse.using(simulate=True)(with_a_sneak, heater).reason


def test_what_was_waited_for_in_vain_wakes_nobody_later(lab: Lab) -> None:
    @task
    def child() -> None:
        sleep(50)

    @task
    def impatient() -> str:
        run = spawn(child)
        try:
            run.result(timeout=10)
        except TimeoutError:
            sleep(100)
            return "slept"
        return "got it"

    rehearsed = lab.rehearse.using(simulate=True)(impatient)
    assert rehearsed.value == "slept"
    assert rehearsed.makespan == 110


def test_a_command_to_a_device_that_is_only_relied_on_is_refused(lab: Lab, heater: Heater) -> None:
    @task
    def relies(heater: Shared[Heater]) -> None:
        assert heater.level() == 0
        heater.set_level(1)

    assert "only shared" in lab.rehearse.using(simulate=True)(relies, heater).reason


def test_a_device_without_a_twin_is_named(lab: Lab) -> None:
    bare = lab.add("bare", Bare)

    @task
    def use(bare: Bare) -> None:
        del bare

    with pytest.raises(ConfigError, match=r"bare has no simulated twin.*DeviceConfig\(twin=…\)"):
        lab.rehearse.using(simulate=True)(use, bare)


def test_the_bench_s_instruments_are_their_own_twins(lab: Lab) -> None:
    with Bench() as bench:
        oven = lab.add("oven", Oven, bench.resources["oven"])

        @task
        def heat(oven: Oven, kelvin: float) -> float:
            oven.heat_to(kelvin)
            return oven.temperature()

        rehearsed = lab.rehearse.using(simulate=True)(heat, oven, 345.0)
        assert rehearsed.value == pytest.approx(345, abs=0.1)
        assert rehearsed.makespan == pytest.approx(6.2, abs=0.2)  # from 50 K to 0.1 K at 1 s: ln 500
        assert not any("SOUR" in command for command in bench.executed("oven"))


def test_two_devices_of_one_kind_have_a_twin_each(lab: Lab) -> None:
    with Bench() as bench, Bench() as other:
        one = lab.add("one", Laser, bench.resources["laser"])
        two = lab.add("two", Laser, other.resources["laser"])
        meter = lab.add("meter", PowerMeter, bench.resources["meter"])

        @task
        def tell(one: Laser, two: Laser, meter: PowerMeter) -> tuple[float, float]:
            one.set_current(30)
            two.set_current(40)
            assert isinstance(meter, PowerMeter)
            return one.current(), two.current()

        assert lab.rehearse.using(simulate=True)(tell, one, two, meter).value == (30, 40)


def test_children_borrow_and_are_awaited_in_virtual_time(lab: Lab, heater: Heater, twin: list[str]) -> None:
    @task
    def campaign(heater: Heater) -> list[float]:
        first = spawn(soak, heater, 1)
        second = spawn(soak, heater, 2)
        return [first.result(), second.result()]

    rehearsed = lab.rehearse.using(simulate=True)(campaign, heater)
    assert rehearsed.value == [1, 2]
    assert rehearsed.makespan == pytest.approx(2 * HOUR, abs=2)
    assert twin == ["level 1", "level 2"]
    assert [entry.depth for entry in rehearsed.entries] == [0, 1, 1]


def test_a_child_can_be_cancelled(lab: Lab, heater: Heater) -> None:
    @task
    def impatient(heater: Heater) -> str:
        child = spawn(soak, heater, 1)
        sleep(100)
        child.cancel("too slow")
        return type(child.exception()).__name__

    rehearsed = lab.rehearse.using(simulate=True)(impatient, heater)
    assert rehearsed.value == "RunCancelled"
    assert rehearsed.makespan == pytest.approx(100, abs=61)


def test_lab_run_in_a_body_is_a_child_as_well(lab: Lab, heater: Heater) -> None:
    @task
    def outer(heater: Heater) -> float:
        return lab.run(soak, heater, 4)

    assert lab.rehearse.using(simulate=True)(outer, heater).value == 4


def test_an_asynchronous_body_sleeps_in_virtual_time(lab: Lab, heater: Heater) -> None:
    @task
    async def waits(heater: Heater) -> float:
        await asyncio.gather(asyncio.sleep(HOUR), asyncio.sleep(2 * HOUR))
        await ask(heater.set_level, 7)
        child = spawn(soak, heater, 8)
        return await child

    rehearsed = lab.rehearse.using(simulate=True)(waits, heater)
    assert rehearsed.reason == ""
    assert rehearsed.value == 8
    assert rehearsed.makespan == pytest.approx(3 * HOUR, abs=5)


def test_a_timeout_cancels_a_body_which_cleans_up(lab: Lab, heater: Heater, twin: list[str]) -> None:
    @task(timeout=HOUR)
    def too_long(heater: Heater) -> None:
        try:
            for _ in track(range(100)):
                sleep(HOUR / 2)
        finally:
            heater.set_level(0)

    rehearsed = lab.rehearse.using(simulate=True)(too_long, heater)
    assert rehearsed.state is RunState.TIMED_OUT
    assert rehearsed.makespan == pytest.approx(HOUR, abs=1)
    assert twin == ["level 0", "safe"]


def test_a_step_that_fails_is_tried_again(lab: Lab, heater: Heater) -> None:
    tries: list[int] = []

    @task(restart=RestartPolicy(limit=3, delay=10))
    def flaky(heater: Heater) -> int:
        sleep(5)
        tries.append(1)
        if len(tries) < 3:
            raise ConnectionError
        heater.soak(60)
        return len(tries)

    rehearsed = lab.rehearse.using(simulate=True)(flaky, heater)
    assert rehearsed.value == 3
    assert [entry.attempt for entry in rehearsed.entries] == [1, 2, 3]
    assert rehearsed.makespan == pytest.approx(5 + 10 + 5 + 10 + 5 + 60, abs=11)


def test_what_depends_on_values_is_known_when_it_is_simulated(lab: Lab, heater: Heater) -> None:
    @task
    def find() -> list[float]:
        return [1.0, 2.0, 3.0]

    @task
    def enough(levels: list[float]) -> bool:
        return len(levels) > 2

    @workflow
    def adaptive(heater: Heater) -> float:
        levels = each(lambda level: soak(heater, level), find())
        return choose(enough(levels), lambda: soak(heater, 9), lambda: soak(heater, 0))

    rehearsed = lab.rehearse.using(simulate=True)(adaptive, heater)
    assert rehearsed.value == 9
    assert len(rehearsed.find("soak")) == 4


def test_clean_ups_run_and_what_nobody_answers_is_told(lab: Lab, heater: Heater, twin: list[str]) -> None:
    @task
    def asks(heater: Heater) -> str:
        heater.set_level(1)
        return ask_operator("Is the sample in?", choices=("yes", "no"))

    @task
    def off(heater: Heater) -> None:
        heater.set_level(0)

    @workflow
    def asking(heater: Heater) -> str:
        cleanup(off, heater)
        return asks(heater)

    rehearsed = lab.rehearse.using(simulate=True)(asking, heater)
    assert rehearsed.value == "yes"
    assert any("Is the sample in?" in line for line in rehearsed.unknown)
    assert twin == ["level 1", "level 0"]


def test_a_value_that_is_never_reached_is_noticed_in_virtual_time(lab: Lab) -> None:
    class Slow(Device):
        def set_level(self, level: Annotated[float, ReadBack("level", tolerance=0.1, within=HOUR)]) -> None:
            pass

        @query
        def level(self) -> float:
            return 0.0

    slow = lab.add("slow", DeviceConfig(twin=Slow)(Slow))

    @task
    def set_it(slow: Slow) -> None:
        slow.set_level(1)

    rehearsed = lab.rehearse.using(simulate=True)(set_it, slow)
    assert "after 3600 s" in rehearsed.reason
    assert rehearsed.makespan == pytest.approx(HOUR, abs=1)


def test_a_body_that_waits_in_real_time_is_given_up(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    gate = threading.Event()
    monkeypatch.setattr("actorlab.runtime.virtual_body.PATIENCE", 0.2)

    @task
    def stuck() -> None:
        gate.wait(5)

    threading.Timer(0.5, gate.set).start()
    with pytest.raises(ActorLabError, match="neither ended nor waited in virtual time"):
        lab.rehearse.using(simulate=True)(stuck)


def test_an_interrupt_ends_the_bodies_before_it_goes_on(lab: Lab) -> None:
    cleaned: list[str] = []

    @task
    def endless() -> None:
        try:
            while True:
                sleep(1)
                if not cleaned:
                    cleaned.append("began")
                    _thread.interrupt_main()
        finally:
            cleaned.append("ended")

    with pytest.raises(KeyboardInterrupt):
        lab.rehearse.using(simulate=True)(endless)
    assert cleaned == ["began", "ended"]


def test_what_never_ends_is_given_up(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("actorlab.runtime.simulating.MOST_TURNS", 1000)

    @task
    def endless() -> None:
        while True:
            sleep(1)

    with pytest.raises(ActorLabError, match=r"waited 1,000 times, the last is endless.* after 1000 s of virtual time"):
        lab.rehearse.using(simulate=True)(endless)


def test_the_same_simulation_gives_the_same(lab: Lab, heater: Heater) -> None:
    def told() -> dict[str, Any]:
        @workflow
        def three(heater: Heater) -> list[float]:
            return [soak(heater, level) for level in (1.0, 2.0, 3.0)]

        return lab.rehearse.using(simulate=True)(three, heater).to_dict()

    assert told() == told()
