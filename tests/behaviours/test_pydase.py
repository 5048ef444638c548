"""Do here what users of pydase do with the tasks of a service, and show that its faults can't happen."""

from __future__ import annotations

import asyncio
import enum
import itertools
import logging
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from textwrap import dedent
from typing import Annotated, Any

import numpy as np
import pint
import pytest
from numpy.typing import NDArray

from actorlab import (
    ActorLabError,
    Device,
    DeviceConfig,
    Lab,
    NotReached,
    Range,
    ReadBack,
    RestartPolicy,
    Run,
    RunState,
    Service,
    ServiceState,
    Unit,
    log,
    periodic,
    query,
    sleep,
    task,
)
from actorlab.simulation import Bench, Oven, PowerMeter

Eventually = Callable[[Callable[[], object]], None]
S = ServiceState
PATIENCE = 5.0


class Sensor(Device):
    """A part which reads by itself."""

    def __init__(self) -> None:
        self.readings = 0

    @periodic(0.002)
    def read(self) -> None:
        self.readings += 1


class Trap(Device):
    """A device service: attributes, nested parts in lists and dicts, tasks which start by themselves or by hand."""

    def __init__(self) -> None:
        self.readings = 0
        self.corrections = 0
        self.first = Sensor()
        self.row = [Sensor(), Sensor()]
        self.by_name = {"left": Sensor()}

    @periodic(0.002)
    def read(self) -> None:
        self.readings += 1

    @periodic(0.002, autostart=False)
    def lock(self) -> None:
        self.corrections += 1
        if self.corrections == 3:
            self.lock.stop()  # by itself


class Mode(enum.Enum):
    """How a source works."""

    VOLTAGE = "volt"
    CURRENT = "curr"


class Source(Device):
    """A source with units, a range, a mode and an image, which writes down what reaches the instrument."""

    def __init__(self) -> None:
        self.sent: list[Any] = []
        self._volts = 0.0
        self._mode = Mode.VOLTAGE

    def set_volts(
        self, volts: Annotated[float, Unit("V"), Range(0, 10), ReadBack("volts", tolerance=0.01, within=0.05)]
    ) -> None:
        self.sent.append(volts)
        self._volts = min(volts, 5.0)  # a limit that was set on the instrument itself

    @query
    def volts(self) -> Annotated[float, Unit("V")]:
        return self._volts

    def set_mode(self, mode: Mode) -> None:
        self.sent.append(mode)
        self._mode = mode

    @query
    def mode(self) -> Mode:
        return self._mode

    @query
    def image(self) -> NDArray[np.uint8]:
        return np.zeros((4, 3), np.uint8)

    def _reset_everything(self) -> None:
        self.sent.append("reset")


def lives(count: int, error: Exception) -> Callable[[], None]:
    """Make a task which fails so many times, and then returns."""
    numbers = itertools.count(1)

    def frail() -> None:
        if next(numbers) <= count:
            raise error

    return frail


def began(lab: Lab, service: Service[Any]) -> int:
    """Return how many lives a service has had, of those that are kept."""
    return len([run for run in lab.runs if run.service == service.name])


# -- tasks of a service


def test_tasks_start_by_themselves_also_in_nested_parts_lists_and_dicts(lab: Lab, eventually: Eventually) -> None:
    trap = lab.add("trap", Trap)
    eventually(lambda: trap.readings >= 3)
    for part in (trap.first, trap.row[0], trap.row[1], trap.by_name["left"]):
        eventually(lambda part=part: part.readings >= 3)  # type: ignore[misc]  # each its own
        assert part.read.status.state == "running"


def test_a_task_is_started_and_stopped_from_outside_and_by_itself(lab: Lab, eventually: Eventually) -> None:
    trap = lab.add("trap", Trap)
    assert trap.lock.status.state == "stopped"
    trap.lock.start()
    eventually(lambda: trap.lock.status.state == "stopped" and trap.corrections == 3)
    trap.read.stop()
    eventually(lambda: trap.read.status.state == "stopped")
    stood = trap.readings
    assert trap.first.read.status.state == "running", "the others go on"
    trap.read.start()
    eventually(lambda: trap.readings > stood)


def test_several_instances_of_a_service_have_their_own_tasks(lab: Lab, eventually: Eventually) -> None:
    one, other = lab.add("one", Trap), lab.add("other", Trap)
    one.read.stop()
    eventually(lambda: one.read.status.state == "stopped")
    assert other.read.status.state == "running"

    class Logbook:
        def __init__(self) -> None:
            self.begun = threading.Event()

        async def keep(self) -> None:
            self.begun.set()
            await asyncio.sleep(60)

    books = [Logbook(), Logbook()]
    services = [lab.serve(task(book.keep).options(name=f"logbook {number}")) for number, book in enumerate(books, 1)]
    assert all(book.begun.wait(PATIENCE) for book in books)
    services[0].stop()
    assert services[0].wait(PATIENCE) is S.STOPPED
    assert services[1].state is S.RUNNING


def test_an_async_task_of_a_service_reads_a_real_instrument_while_others_use_it(bench: Bench, lab: Lab) -> None:
    oven = lab.add("oven", Oven, bench.resources["oven"])
    read = threading.Event()

    @task(lease="step")
    async def keep_reading(oven: Oven) -> None:
        from actorlab import ask  # noqa: PLC0415 - what a coroutine uses instead of a plain call

        while True:
            kelvin = await ask(oven.temperature)
            log("temperature", kelvin=kelvin)
            read.set()
            await asyncio.sleep(0.001)

    service = lab.serve(keep_reading, oven)
    assert read.wait(PATIENCE)
    lab.run(Oven.heat_to, oven, 297)
    assert service.state is S.RUNNING
    assert oven.temperature() == pytest.approx(297, abs=0.5)


def test_the_status_of_a_task_is_seen_as_it_changes(lab: Lab) -> None:
    with lab.events.subscribe(kinds=["service"], snapshot=False) as changes:
        service = lab.serve(task(restart=RestartPolicy(delay=0.001))(lives(1, ValueError("no answer"))))
        assert service.wait(PATIENCE) is S.ENDED
        seen: list[str] = []
        while (event := changes.get(timeout=0.2)) is not None:
            seen.append(event.data["state"])
    assert [state for state, _ in itertools.groupby(seen)] == [
        "starting", "running", "waiting", "starting", "running", "ended",
    ]  # fmt: skip


def test_a_task_that_returns_is_not_started_again(lab: Lab) -> None:
    service = lab.serve(lambda: None)
    assert service.wait(PATIENCE) is S.ENDED
    assert began(lab, service) == 1


# -- restart options


def test_restart_on_exception_is_said_by_restart(lab: Lab) -> None:
    yes = lab.serve(task(name="yes", restart=RestartPolicy(delay=0))(lives(1, OSError("gone"))))
    no = lab.serve(task(name="no", restart=RestartPolicy(restart="never"))(lives(1, OSError("gone"))))
    assert (yes.wait(PATIENCE), began(lab, yes)) == (S.ENDED, 2)
    assert (no.wait(PATIENCE), began(lab, no)) == (S.GAVE_UP, 1)


def test_restart_sec_is_a_constant_delay_with_factor_one(lab: Lab) -> None:
    policy = RestartPolicy(delay=0.05, factor=1, limit=None)
    times: list[float] = []

    def frail() -> None:
        times.append(time.monotonic())
        if len(times) < 4:
            raise ConnectionError

    assert lab.serve(task(restart=policy)(frail)).wait(PATIENCE) is S.ENDED
    assert all(later - earlier >= 0.05 for earlier, later in itertools.pairwise(times))
    assert [policy.backoff(earlier, draw=0) for earlier in range(5)] == [0.05] * 5


def test_a_burst_of_two_means_two_restarts(lab: Lab) -> None:
    service = lab.serve(task(restart=RestartPolicy(limit=2, delay=0))(lives(100, ValueError("again"))))
    assert service.wait(PATIENCE) is S.GAVE_UP
    assert (service.restarts, began(lab, service)) == (2, 3)


def test_no_interval_means_no_limit(lab: Lab) -> None:
    service = lab.serve(task(restart=RestartPolicy(limit=None, delay=0))(lives(30, ValueError("again"))))
    assert service.wait(PATIENCE) is S.ENDED
    assert service.restarts == 30


def test_the_limit_holds_on_when_its_interval_has_passed_since_the_first_failure(lab: Lab) -> None:
    lives_begun = itertools.count(1)

    def frail() -> None:
        if next(lives_begun) == 2:  # the first failure, and then a rest that is longer than the interval
            threading.Event().wait(0.6)
        raise TimeoutError

    service = lab.serve(task(restart=RestartPolicy(limit=3, period=0.5, delay=0))(frail))
    assert service.wait(PATIENCE) is S.GAVE_UP, "it was started 21,078 times in 1.1 s there"
    assert service.restarts == 4, "one before the interval was over, and the three of another"


def test_exit_on_failure_stops_the_lab_and_the_program_exits_with_an_error(tmp_path: Path) -> None:
    program = tmp_path / "service.py"
    text = """
        import sys
        from actorlab import ActorLabError, Lab, RestartPolicy, sleep, task

        @task(restart=RestartPolicy(limit=1, delay=0, then="stop_lab"))
        def watch():
            raise ValueError("the gauge is gone")

        lab = Lab()
        try:
            with lab:
                lab.serve(watch)
                while True:
                    lab.run(sleep, 60)
        except ActorLabError as error:
            print(error)
        sys.exit(lab.exit_code)
    """
    program.write_text(dedent(text), encoding="utf-8")
    ended = subprocess.run([sys.executable, program], capture_output=True, text=True, timeout=30, check=False)
    assert ended.returncode == 1, "it exited with 0 there"
    assert "watch" in ended.stdout + ended.stderr
    assert "the gauge is gone" in ended.stdout + ended.stderr


def test_ended_well_is_told_from_gave_up_and_the_last_error_can_be_seen(lab: Lab) -> None:
    well = lab.serve(task(name="well", restart=RestartPolicy(delay=0))(lives(1, ValueError("once"))))
    badly = lab.serve(task(name="badly", restart=RestartPolicy(limit=1, delay=0))(lives(9, KeyError("channel"))))
    stopped = lab.serve(task(name="stopped")(sleep), 60)
    stopped.stop()
    assert [one.wait(PATIENCE) for one in (well, badly, stopped)] == [S.ENDED, S.GAVE_UP, S.STOPPED]
    assert repr(well.last_error) == "ValueError('once')"
    assert repr(badly.last_error) == "KeyError('channel')"
    assert "in frail" in badly.last_traceback
    assert "restarted once" in badly.status.why
    assert stopped.last_error is None


def test_stop_then_start_in_a_row_leaves_it_running(lab: Lab, eventually: Eventually) -> None:
    service = lab.serve(task(name="watch")(sleep), 60)
    eventually(lambda: service.state is S.RUNNING)
    first = service.run
    assert first is not None
    for _ in range(10):
        service.stop()
        service.start()
    first.exception(PATIENCE)
    eventually(lambda: service.state is S.RUNNING and service.run is not first)
    trap = lab.add("trap", Trap)
    trap.read.stop()
    trap.read.start()
    stood = trap.readings
    eventually(lambda: trap.readings > stood)


def test_a_task_that_swallows_its_cancellation_does_not_hang_the_end(caplog: pytest.LogCaptureFixture) -> None:
    go, begun = threading.Event(), threading.Event()
    lab = Lab(cancel_grace=0.2)

    async def stubborn() -> None:
        while not go.is_set():
            begun.set()
            try:
                await asyncio.sleep(0.01)
            except asyncio.CancelledError:
                continue

    service = lab.serve(stubborn)
    assert begun.wait(PATIENCE)
    start = time.monotonic()
    with caplog.at_level(logging.ERROR, "actorlab"):
        lab.close()
    assert time.monotonic() - start < 5.0
    assert service.state is S.ABANDONED
    assert "stubborn" in caplog.text
    go.set()


# -- values


def test_attributes_carry_units_ranges_choices_and_images(lab: Lab) -> None:
    source = lab.add("source", Source)
    units: Any = pint.UnitRegistry()
    source.set_volts(2500 * units.millivolt)
    assert source.volts() == pytest.approx(2.5)
    with pytest.raises(ValueError, match="10"):
        source.set_volts(11)
    source.set_mode(Mode.CURRENT)
    assert source.mode() is Mode.CURRENT
    assert source.image().shape == (4, 3)
    schema = lab.describe("source")["members"]["set_volts"]["parameters"]["properties"]["volts"]
    assert (schema["minimum"], schema["maximum"]) == (0, 10), "what a slider needs"


def test_a_set_value_is_validated_by_reading_it_back(lab: Lab) -> None:
    source = lab.add("source", Source)
    source.set_volts(4)
    with pytest.raises(NotReached) as caught:
        source.set_volts(8)
    assert (caught.value.wanted, caught.value.found) == (8, 5)


def test_setting_a_value_that_is_set_already_reaches_the_instrument(bench: Bench, lab: Lab) -> None:
    source = lab.add("source", Source)
    source.set_volts(3)
    source.set_volts(3)
    assert source.sent == [3, 3]
    oven = lab.add("oven", Oven, bench.resources["oven"])
    oven.set_target(300)
    oven.set_target(300)
    bench.wait_executed("oven", lambda commands: commands.count("SOUR:TEMP 300.0") == 2)


def test_private_members_can_not_be_reached_from_outside(lab: Lab) -> None:
    source: Any = lab.add("source", Source)
    with pytest.raises(AttributeError, match="private"):
        source._reset_everything()
    with pytest.raises(AttributeError, match="private"):
        source._volts = 9
    assert "_reset_everything" not in lab.describe("source")["members"]
    assert "_reset_everything" not in dir(source)
    assert source.sent == []


def test_a_device_that_is_not_there_or_goes_away_is_connected_again_and_again(
    bench: Bench, lab: Lab, eventually: Eventually
) -> None:
    tries = itertools.count(1)

    class Late(Source):
        def connect(self) -> None:
            if next(tries) < 4:
                raise ConnectionRefusedError

    quick = RestartPolicy(delay=0.001, limit=3, period=60)
    late = lab.add("late", DeviceConfig(optional=True, restart=quick)(Late))
    eventually(lambda: lab.status("late").state == "idle")
    late.set_volts(1)
    meter = lab.add("meter", DeviceConfig(restart=quick)(PowerMeter), bench.resources["meter"])
    bench.inject("meter", "drop")
    with pytest.raises(ActorLabError):
        meter.power()
    eventually(lambda: lab.status("meter").state == "idle")
    assert meter.power() >= 0


# -- nobody hurts the others


def test_one_synchronous_method_blocks_no_other_client_or_task(lab: Lab, eventually: Eventually) -> None:
    go, begun = threading.Event(), threading.Event()

    class Slow:
        def block(self) -> str:
            begun.set()
            assert go.wait(PATIENCE)
            return "done"

    slow = lab.add("slow", Slow)
    trap = lab.add("trap", Trap)
    ticks: list[int] = []

    async def tick() -> None:
        for number in itertools.count():
            ticks.append(number)
            await asyncio.sleep(0.001)

    lab.serve(tick)
    run: Run[str] = lab.start(Slow.block, slow)
    assert begun.wait(PATIENCE)
    counted, read = len(ticks), trap.readings
    eventually(lambda: len(ticks) > counted + 3 and trap.readings > read + 3)
    assert lab.run(len, "abc") == 3
    assert run.state is RunState.RUNNING
    go.set()
    assert run.result(PATIENCE) == "done"


def test_logging_from_any_thread_of_a_task_raises_into_nobody(lab: Lab, caplog: pytest.LogCaptureFixture) -> None:
    errors: list[BaseException] = []

    class Talkative:
        def talk(self) -> None:
            thread = threading.Thread(target=self._say, args=("driver",))
            thread.start()
            thread.join(PATIENCE)

        def _say(self, who: str) -> None:
            try:
                logging.getLogger("driver").info("a line of the %s's thread", who)
                log(f"a word of the {who}'s thread")
            except BaseException as error:  # noqa: BLE001 - whatever it is, it would be the fault
                errors.append(error)

    talkative = lab.add("talkative", Talkative)

    async def body() -> None:
        await asyncio.to_thread(Talkative()._say, "coroutine")

    with caplog.at_level(logging.INFO):
        talkative.talk()
        lab.run(body)
        lab.run(Talkative()._say, "body")
        lab.run(Talkative.talk, talkative)
    assert errors == []
    for who in ("driver", "coroutine", "body"):
        assert f"a line of the {who}'s thread" in caplog.text
        assert f"a word of the {who}'s thread" in caplog.text
