"""Hold streams to their design: one production, a buffer for each who listens, the rules of the lease."""

from __future__ import annotations

import asyncio
import gc
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from queue import SimpleQueue
from typing import TYPE_CHECKING, Annotated, Any

import pytest

from actorlab import (
    ActorLabError,
    AskDeadlock,
    CallTimeout,
    ConfigError,
    Device,
    DeviceBusy,
    DeviceConfig,
    DeviceFault,
    DeviceUnavailable,
    Item,
    Lab,
    NotLeased,
    Pushed,
    Range,
    RestartPolicy,
    Run,
    RunCancelled,
    RunState,
    Shared,
    Stream,
    ask,
    query,
    sleep,
    stream,
)
from actorlab.runtime.production import Production

ROOT = str(Path(__file__).parents[2])
if ROOT not in sys.path:
    sys.path.insert(0, ROOT)  # the processes get our path, and import their drivers by it

from tests.runtime.isolated_streams import IsolatedCamera  # noqa: E402

if TYPE_CHECKING:
    from tests.runtime.conftest import Gate

PATIENCE = 5.0
Until = Callable[[Run[Any], RunState], None]


class Lens(Device):
    """A part of a camera."""

    @stream
    def positions(self) -> Iterator[int]:
        yield from (1, 2, 3)


class Sensor:
    """An object that stays with its device."""

    def __init__(self, number: int) -> None:
        self.number = number


class Camera(Device):
    """A camera that writes down what is done with it."""

    def __init__(self, log: list[str] | None = None) -> None:
        self.log = [] if log is None else log
        self.lens = Lens()
        self.pushing: threading.Thread | None = None
        self.go_on = threading.Event()
        self.threads: list[int] = []

    def disconnect(self) -> None:
        self.log.append("disconnect")

    def make_safe(self) -> None:
        self.log.append("safe")

    @stream
    def frames(self, exposure: float = 0.001) -> Iterator[int]:
        """Yield numbers, one each exposure (seconds)."""
        self.log.append("arm")
        number = 0
        try:
            while True:
                sleep(exposure)
                yield number
                number += 1
        finally:
            self.threads.append(threading.get_ident())
            self.log.append("disarm")

    @stream(buffer=1000)
    def count(self, below: int) -> Iterator[int]:
        """Count as soon as it may."""
        assert self.go_on.wait(PATIENCE)
        yield from range(below)

    @stream
    def endless(self) -> Iterator[int]:
        """Count without any rest."""
        number = 0
        while True:
            yield number
            number += 1

    @query
    @stream
    def temperature(self) -> Iterator[float]:
        self.log.append("warm")
        try:
            while True:
                sleep(0.001)
                yield 293.0
        finally:
            self.log.append("cold")

    @stream
    def waiting(self) -> Iterator[int]:
        """Yield one item, and then nothing for a long time."""
        yield 0
        sleep(60)
        yield 1

    @stream
    def failing(self, error: BaseException) -> Iterator[int]:
        assert self.go_on.wait(PATIENCE)
        yield 0
        raise error

    @stream
    def stuck(self, gate: Gate) -> Iterator[int]:
        yield 0
        gate.stop()

    @stream
    def sensors(self) -> Iterator[Sensor]:
        yield Sensor(1)
        yield Sensor(2)

    @stream
    def ranged(self, exposure: Annotated[float, Range(0.1, 1.0)]) -> Iterator[float]:
        yield exposure

    @stream
    def no_stream(self) -> Iterator[int]:
        return [1, 2, 3]  # type: ignore[return-value]  # pyright: ignore[reportReturnType]  the mistake under test

    @stream
    def pushed(self, scale: int = 1) -> Pushed[int]:
        self.log.append(f"start {scale}")
        return Pushed(lambda: self.log.append("stop"))

    def push(self, *values: int) -> None:
        for value in values:
            self.publish("pushed", value)

    def listen_to(self, other: Camera) -> None:
        for _ in other.frames():
            return

    def snap(self) -> str:
        self.log.append("snap")
        return "snapped"

    def block(self, gate: Gate) -> None:
        gate.stop()

    def who(self) -> int:
        return threading.get_ident()

    @query
    def read(self) -> list[str]:
        return list(self.log)

    def break_down(self) -> None:
        raise ConnectionResetError("unplugged")  # noqa: EM101 - the error under test


@pytest.fixture
def camera(lab: Lab) -> Camera:
    return lab.add("camera", Camera)


def take(stream_: Stream[Any], count: int) -> list[Any]:
    """Return the values of the next few items, and leave."""
    values: list[Any] = []
    for item in stream_:
        values.append(item.value)
        if len(values) == count:
            break
    return values


class Ear:
    """Somebody who listens in a thread of his own."""

    def __init__(self, stream_: Stream[Any]) -> None:
        self.items: list[Item[Any]] = []
        self.error: BaseException | None = None
        self._heard = threading.Semaphore(0)
        self._thread = threading.Thread(target=self._listen, args=(iter(stream_),), daemon=True)
        self._thread.start()

    def _listen(self, items: Iterator[Item[Any]]) -> None:
        try:
            for item in items:
                self.items.append(item)
                self._heard.release()
        except BaseException as error:  # noqa: BLE001 - the test looks at it
            self.error = error

    def heard(self, count: int = 1) -> list[Item[Any]]:
        for _ in range(count):
            assert self._heard.acquire(timeout=PATIENCE), "nothing was heard"
        return self.items

    def ended(self) -> BaseException | None:
        self._thread.join(PATIENCE)
        assert not self._thread.is_alive(), "the stream doesn't end"
        return self.error


def driver_of(lab: Lab) -> Any:
    actor = lab.cells["camera"].actor
    assert actor is not None
    return actor.driver.object  # type: ignore[union-attr]  # it serves


def hold(camera: Camera, gate: Gate) -> str:
    """Hold a device until the gate is opened: the body of a run."""
    gate.stop()
    return camera.snap()


def snap(camera: Camera | IsolatedCamera) -> str:
    return camera.snap()


def productions(lab: Lab, name: str = "camera") -> list[Production]:
    return list(lab.cells[name].streams._running.values())


def came_back(lab: Lab, name: str = "camera") -> None:
    ready = threading.Event()
    lab.ask(lambda: lab.lab_actor.lives.when_ready([lab.cells[name]], lambda _: ready.set()))
    assert ready.wait(PATIENCE)


def quiet(lab: Lab, name: str = "camera") -> None:
    """Wait until no stream of the device is left."""
    for production in productions(lab, name):
        assert production.over.wait(PATIENCE)
    assert not productions(lab, name)


# -- without a lab


def test_on_a_plain_object_a_stream_iterates_the_plain_generator() -> None:
    camera = Camera()
    assert take(camera.frames(0.0), 3) == [0, 1, 2]
    assert camera.log == ["arm", "disarm"]
    assert camera.threads == [threading.get_ident()]


def test_on_a_plain_object_nothing_begins_before_the_loop_and_a_wrong_argument_is_refused_at_once() -> None:
    camera = Camera()
    camera.frames(0.0)
    assert camera.log == []
    with pytest.raises(TypeError, match="argument"):
        camera.frames(1, 2)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]  the mistake under test


def test_on_a_plain_object_pushed_values_are_heard_and_the_oldest_are_lost() -> None:
    camera = Camera()
    camera.push(1, 2)
    with camera.pushed(3).buffered(2) as pushed:
        items = iter(pushed)
        camera.push(10, 11, 12)
        assert [(item.value, item.sequence, item.dropped) for item in (next(items), next(items))] == [
            (11, 1, 1),
            (12, 2, 1),
        ]
    assert list(items) == []
    assert camera.log == ["start 3", "stop"]
    camera.push(13)


def test_on_a_plain_object_a_pushed_stream_that_nobody_holds_any_more_is_stopped() -> None:
    camera = Camera()
    items = iter(camera.pushed())
    del items
    gc.collect()
    assert camera.log == ["start 1", "stop"]


def test_on_a_plain_object_async_for_works_as_well() -> None:
    camera = Camera()
    camera.go_on.set()

    async def listen() -> list[int]:
        return [item.value async for item in camera.count(3)]

    assert asyncio.run(listen()) == [0, 1, 2]


def numbers(camera: Camera) -> Iterator[int]:
    del camera
    yield 1


@pytest.mark.parametrize("size", [0, -1, 2.5])
def test_a_buffer_that_holds_nothing_is_refused(size: Any) -> None:
    with pytest.raises(ConfigError, match="whole number of items"):
        Camera().frames().buffered(size)
    with pytest.raises(ConfigError, match="whole number of items"):
        stream(buffer=size)(numbers)


# -- items


def test_an_item_tells_its_value_when_it_came_and_its_number(camera: Camera) -> None:
    before, begun = datetime.now(UTC), time.monotonic()
    items = []
    for item in camera.frames():
        items.append(item)
        if item.sequence == 2:
            break
    after, ended = datetime.now(UTC), time.monotonic()
    assert [(item.value, item.sequence, item.dropped) for item in items] == [(0, 0, 0), (1, 1, 0), (2, 2, 0)]
    times = [item.time for item in items]
    assert times == sorted(times)
    assert all(at.tzinfo is UTC for at in times)
    assert before - timedelta(seconds=1) <= times[0] <= times[-1] <= after + timedelta(seconds=1)
    assert begun <= items[0].monotonic < items[1].monotonic < items[2].monotonic <= ended
    assert "item 2 at " in repr(items[2])


def test_a_full_buffer_keeps_the_newest_and_counts_what_was_lost(lab: Lab, camera: Camera) -> None:
    few, all_ = iter(camera.count(100).buffered(3)), Ear(camera.count(100))
    driver_of(lab).go_on.set()
    assert all_.ended() is None
    assert [item.value for item in all_.items] == list(range(100))
    assert {item.dropped for item in all_.items} == {0}
    assert [(item.value, item.sequence, item.dropped) for item in few] == [(97, 97, 97), (98, 98, 97), (99, 99, 97)]


def test_an_object_that_stays_with_its_device_is_heard_as_a_part(camera: Camera) -> None:
    assert [item.value.number for item in camera.sensors()] == [1, 2]


def test_a_stream_of_a_part_is_heard_through_its_device(camera: Camera) -> None:
    assert [item.value for item in camera.lens.positions()] == [1, 2, 3]


def test_a_generator_that_ends_ends_the_loop(camera: Camera, lab: Lab) -> None:
    camera.log.clear()
    assert [item.value for item in camera.lens.positions()] == [1, 2, 3]
    quiet(lab)


# -- one production


def test_all_who_listen_with_equal_arguments_share_one_production(lab: Lab, camera: Camera) -> None:
    ears = [Ear(camera.frames()), Ear(camera.frames(0.001)), Ear(camera.frames(exposure=0.001))]
    for ear in ears:
        ear.heard(2)
    assert len(productions(lab)) == 1
    assert camera.read().count("arm") == 1
    Ear(camera.frames(0.002)).heard()
    assert camera.read().count("arm") == 2


def test_who_comes_later_hears_from_then_on(camera: Camera) -> None:
    first = Ear(camera.frames())
    first.heard(3)
    late = Ear(camera.frames()).heard()[0]
    assert late.sequence >= 3
    assert late.dropped == 0


def test_the_last_one_to_leave_closes_the_generator_on_the_devices_thread(lab: Lab, camera: Camera) -> None:
    here = camera.who()
    both = [iter(camera.frames()), iter(camera.frames())]
    next(both[0])
    del both[0]
    assert "disarm" not in camera.read()
    next(both[0])
    del both[0]
    quiet(lab)
    assert camera.read() == ["arm", "disarm"]
    assert driver_of(lab).threads == [here]


def test_a_call_after_the_loop_finds_the_generator_closed(camera: Camera) -> None:
    for round_ in range(20):
        take(camera.frames(), 1 + round_ % 3)
        camera.snap()
    assert camera.read() == ["arm", "disarm", "snap"] * 20


def test_a_loop_left_by_an_error_ends_the_listening(lab: Lab, camera: Camera) -> None:
    def fail() -> None:
        for _ in camera.frames():
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    quiet(lab)


def test_an_iterator_that_was_never_used_ends_the_listening_as_garbage(lab: Lab, camera: Camera) -> None:
    items = iter(camera.frames())
    assert productions(lab)
    del items
    quiet(lab)


def test_a_with_block_ends_the_listening(lab: Lab, camera: Camera) -> None:
    with camera.frames() as frames:
        items = iter(frames)
        next(items)
    assert list(items) == []
    quiet(lab)


def test_close_ends_a_loop_that_waits(camera: Camera) -> None:
    waiting = camera.waiting()
    ear = Ear(waiting)
    ear.heard()
    waiting.close()
    assert ear.ended() is None


def test_who_comes_while_the_generator_is_being_closed_gets_a_new_one(lab: Lab, camera: Camera) -> None:
    gone, opened = threading.Event(), threading.Event()

    def block() -> None:
        gone.set()
        assert opened.wait(PATIENCE)

    items = iter(camera.frames())
    next(items)
    blocker = threading.Thread(target=lambda: lab.ask(block))  # the deciding thread
    blocker.start()
    assert gone.wait(PATIENCE)
    del items
    late: SimpleQueue[Any] = SimpleQueue()
    listener = threading.Thread(target=lambda: late.put(take(camera.frames(), 2)))
    listener.start()
    opened.set()
    assert late.get(timeout=PATIENCE) == [0, 1]
    blocker.join()
    listener.join()
    quiet(lab)
    assert camera.read() == ["arm", "disarm"] * 2


def test_who_came_just_as_the_generator_was_closed_hears_on_from_a_new_one(lab: Lab, camera: Camera) -> None:
    ear = Ear(camera.frames())
    ear.heard(2)
    productions(lab)[0].close()  # as somebody would who left at the same moment
    while camera.read() != ["arm", "disarm", "arm"]:
        ear.heard()
    ear.heard(2)
    assert [item.sequence for item in ear.items] == list(range(len(ear.items)))
    assert {item.dropped for item in ear.items} == {0}


def test_who_still_listens_when_a_call_of_the_stream_was_cancelled_hears_on(lab: Lab, camera: Camera) -> None:
    ear = Ear(camera.waiting())
    ear.heard()
    productions(lab)[0].cut()
    assert [(item.value, item.sequence) for item in ear.heard()] == [(0, 0), (0, 1)]


# -- the device isn't held up


@pytest.fixture
def no_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a generator go on for as long as nobody else wants a turn."""
    monkeypatch.setattr("actorlab.runtime.production.TURN", 60.0)


@pytest.mark.usefixtures("no_limit")
def test_other_calls_get_their_turns_between_items(camera: Camera) -> None:
    ear = Ear(camera.endless())
    for _ in range(20):
        assert camera.snap() == "snapped"
    assert len(ear.heard(20)) >= 20


@pytest.mark.usefixtures("no_limit")
def test_a_holder_gets_his_turns_between_the_items_of_his_own_stream(lab: Lab, camera: Camera) -> None:
    def body(camera: Camera) -> int:
        for turn, item in enumerate(camera.endless(), 1):
            camera.snap()
            if turn == 20:
                return item.sequence
        return -1

    assert lab.run(body, camera) >= 19


def test_queries_are_answered_while_a_generator_sleeps(camera: Camera) -> None:
    ear = Ear(camera.waiting())
    ear.heard()
    begin = time.monotonic()
    assert camera.read() == []
    assert time.monotonic() - begin < PATIENCE


def test_one_who_never_takes_his_items_holds_nobody_up(camera: Camera) -> None:
    idle = iter(camera.frames().buffered(2))
    assert len(Ear(camera.frames()).heard(50)) >= 50
    item = next(idle)
    assert item.sequence >= 48
    assert item.dropped == item.sequence


def test_all_of_many_fast_items_reach_ten_listeners(lab: Lab, camera: Camera) -> None:
    ears = [Ear(camera.count(10_000).buffered(10_000)) for _ in range(10)]
    driver_of(lab).go_on.set()
    for ear in ears:
        assert ear.ended() is None
        assert [item.value for item in ear.items] == list(range(10_000))
        assert ear.items[-1].dropped == 0


# -- the lease


def test_an_outsider_starts_no_stream_on_a_held_device(lab: Lab, camera: Camera, gate: Gate) -> None:
    run = lab.start(hold, camera, gate)
    gate.reached()
    with pytest.raises(DeviceBusy, match=r"camera\.frames is a command, and camera is held by hold#1"):
        iter(camera.frames())
    gate.open()
    run.result(PATIENCE)


def test_an_outsider_hears_the_stream_of_a_holder_until_it_ends(lab: Lab, camera: Camera, gate: Gate) -> None:
    def body(camera: Camera) -> None:
        for item in camera.frames():
            if item.sequence > 2:
                gate.arrive()
            if opened.is_set():
                return

    opened = threading.Event()
    run = lab.start(body, camera)
    gate.reached()
    ear = Ear(camera.frames())
    ear.heard(3)
    opened.set()
    run.result(PATIENCE)
    assert ear.ended() is None
    assert camera.read() == ["arm", "disarm"]


def test_an_outsider_alone_keeps_no_holders_stream_running(lab: Lab, camera: Camera, gates: Any) -> None:
    def body(camera: Camera) -> list[str]:
        items = iter(camera.frames())
        next(items)
        begun.stop()
        del items
        camera.snap()
        left.stop()
        return camera.read()

    begun, left = gates(), gates()
    run = lab.start(body, camera)
    begun.reached()
    ear = Ear(camera.frames())
    ear.heard()
    begun.open()
    left.reached()
    assert ear.ended() is None
    left.open()
    assert run.result(PATIENCE) == ["arm", "disarm", "snap"]


def test_a_grant_ends_an_outsiders_stream_and_closes_it_before_the_first_call(lab: Lab, camera: Camera) -> None:
    ear = Ear(camera.frames())
    ear.heard(2)
    run = lab.start(snap, camera)
    run.result(PATIENCE)
    error = ear.ended()
    assert camera.read() == ["arm", "disarm", "snap"]
    assert error is None or isinstance(error, DeviceBusy)


def test_the_outsider_is_told_who_holds_the_device_now(lab: Lab, camera: Camera, gate: Gate) -> None:
    ear = Ear(camera.frames())
    ear.heard(2)
    run = lab.start(hold, camera, gate)
    error = ear.ended()
    assert isinstance(error, DeviceBusy)
    assert "camera is held by hold#1" in str(error)
    gate.open()
    run.result(PATIENCE)
    assert camera.read() == ["arm", "disarm", "snap"]


def test_a_query_stream_is_everybodys(lab: Lab, camera: Camera, gate: Gate) -> None:
    ear = Ear(camera.temperature())
    ear.heard()
    run = lab.start(hold, camera, gate)
    gate.reached()
    ear.heard(5)
    assert take(camera.temperature(), 2) == [293.0, 293.0]
    gate.open()
    run.result(PATIENCE)
    ear.heard(5)
    assert camera.read() == ["warm", "snap"]


def test_a_query_stream_can_be_started_and_ended_on_a_held_device(lab: Lab, camera: Camera, gate: Gate) -> None:
    run = lab.start(hold, camera, gate)
    gate.reached()
    assert take(camera.temperature(), 3) == [293.0] * 3
    quiet(lab)
    assert camera.read() == ["warm", "cold"]
    gate.open()
    run.result(PATIENCE)


def test_a_shared_holder_starts_query_streams_only(lab: Lab, camera: Camera) -> None:
    def body(camera: Shared[Camera]) -> list[float]:
        with pytest.raises(NotLeased, match="only shared"):
            iter(camera.frames())
        return take(camera.temperature(), 2)

    assert lab.run(body, camera) == [293.0, 293.0]


def test_in_a_body_a_device_that_is_not_an_argument_has_no_streams(lab: Lab, camera: Camera) -> None:
    def body() -> None:
        iter(camera.frames())

    with pytest.raises(NotLeased, match="not among its arguments"):
        lab.run(body)


def test_a_stream_ends_with_the_body_that_started_it_and_is_closed_before_its_run_ends(
    lab: Lab, camera: Camera
) -> None:
    kept: list[Any] = []

    def body(camera: Camera) -> None:
        kept.append(iter(camera.frames()))
        next(kept[0])

    lab.run(body, camera)
    assert camera.read() == ["arm", "disarm"]
    assert list(kept[0]) == []


def test_a_stream_is_closed_before_a_failed_runs_device_is_made_safe(lab: Lab, camera: Camera) -> None:
    def body(camera: Camera) -> None:
        for _ in camera.frames():
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        lab.run(body, camera)
    assert camera.read() == ["arm", "disarm", "safe"]


def test_a_cancellation_ends_a_wait_for_an_item_at_once(lab: Lab, camera: Camera, gate: Gate) -> None:
    def body(camera: Camera) -> None:
        for _ in camera.waiting():
            gate.arrive()

    run = lab.start(body, camera)
    gate.reached()
    begin = time.monotonic()
    run.cancel("enough")
    with pytest.raises(RunCancelled):
        run.result(PATIENCE)
    assert time.monotonic() - begin < PATIENCE
    quiet(lab)
    assert run.exception(0).safe == ("camera",)  # type: ignore[union-attr]  # RunCancelled's


def test_a_cancellation_ends_a_loop_whose_items_never_end(lab: Lab, camera: Camera, gate: Gate) -> None:
    def body(camera: Camera) -> None:
        for _ in camera.endless():
            gate.arrive()

    run = lab.start(body, camera)
    gate.reached()
    run.cancel("enough")
    with pytest.raises(RunCancelled):
        run.result(PATIENCE)


def test_a_stream_in_a_lease_block_is_the_blocks_and_ends_with_it(lab: Lab, camera: Camera) -> None:
    with lab.lease(camera):
        items = iter(camera.frames())
        next(items)
        assert camera.snap() == "snapped"
    assert camera.read() == ["arm", "snap", "disarm"]
    with pytest.raises(StopIteration):
        next(items)


def test_a_loan_ends_the_lenders_stream(lab: Lab, camera: Camera) -> None:
    def body(camera: Camera) -> str:
        items = iter(camera.frames())
        next(items)
        lab.run(snap, camera)
        with pytest.raises(NotLeased, match="lent out"):
            for _ in items:
                pass
        return "told"

    with suppress(AssertionError):  # the loan may be back before the lender looks: then the loop just ends
        lab.run(body, camera)
    assert camera.read()[:3] == ["arm", "disarm", "snap"]


def test_the_condition_of_an_interlock_has_no_streams(lab: Lab, camera: Camera) -> None:
    told: SimpleQueue[BaseException] = SimpleQueue()

    def condition() -> bool:
        try:
            iter(camera.frames())
        except NotLeased as error:
            told.put(error)
        return True

    interlock = lab.interlock(condition, then="pause", devices=(camera,), period=0.01)
    assert "only looks" in str(told.get(timeout=PATIENCE))
    interlock.remove()


def test_an_emergency_stop_ends_streams_but_not_those_of_queries(lab: Lab, camera: Camera) -> None:
    frames, temperature = Ear(camera.frames()), Ear(camera.temperature())
    frames.heard()
    temperature.heard()
    assert lab.emergency_stop("fire").result(PATIENCE) == {"camera": None}
    error = frames.ended()
    assert isinstance(error, DeviceUnavailable)
    assert "emergency stop: fire" in str(error)
    temperature.heard(5)
    lab.rearm()
    temperature.heard(5)
    assert [item.sequence for item in temperature.items] == list(range(len(temperature.items)))
    assert {item.dropped for item in temperature.items} == {0}
    assert "disarm" in camera.read()


# -- errors


def test_the_error_of_a_generator_reaches_all_who_listen_and_the_device_lives(lab: Lab, camera: Camera) -> None:
    error = ValueError("no light")
    ears = [Ear(camera.failing(error)), Ear(camera.failing(error))]
    driver_of(lab).go_on.set()
    assert [ear.ended() for ear in ears] == [error, error]
    assert [len(ear.items) for ear in ears] == [1, 1]
    assert camera.snap() == "snapped"
    quiet(lab)


def test_a_fault_in_a_generator_is_a_fault_of_the_device_and_the_next_loop_starts_anew(lab: Lab) -> None:
    factory = DeviceConfig(restart=RestartPolicy(delay=0.0))(Camera)
    log: list[str] = []
    camera = lab.add("camera", factory, log)
    ear = Ear(camera.failing(ConnectionResetError("unplugged")))
    driver_of(lab).go_on.set()
    error = ear.ended()
    assert isinstance(error, DeviceFault)
    assert "camera failed in failing: ConnectionResetError: unplugged" in str(error)
    came_back(lab)
    assert take(camera.frames(), 2) == [0, 1]


@pytest.mark.parametrize("name", ["frames", "pushed"])
def test_a_fault_elsewhere_ends_the_streams_of_the_device(lab: Lab, name: str) -> None:
    log: list[str] = []
    camera = lab.add("camera", DeviceConfig(restart=RestartPolicy(delay=0.0))(Camera), log)
    ear = Ear(getattr(camera, name)())
    if name == "frames":
        ear.heard()
    else:
        camera.push(1)
        ear.heard()
    with pytest.raises(DeviceFault):
        camera.break_down()
    assert isinstance(ear.ended(), DeviceFault)
    came_back(lab)
    assert log[-3:] == ["disarm" if name == "frames" else "stop", "disconnect", "safe"]
    quiet(lab)


def test_the_end_of_the_lab_closes_generators_before_it_disconnects() -> None:
    log: list[str] = []
    with Lab("closing") as lab:
        camera = lab.add("camera", Camera, log)
        ears = [Ear(camera.frames()), Ear(camera.waiting())]
        for ear in ears:
            ear.heard()
    for ear in ears:
        assert isinstance(ear.ended(), DeviceUnavailable)
    assert log == ["arm", "disarm", "disconnect"]


def test_a_generator_that_hangs_meets_the_running_limit(lab: Lab, gate: Gate) -> None:
    camera = lab.add("camera", DeviceConfig(timeout=0.2)(Camera))
    ear = Ear(camera.stuck(gate))
    gate.reached()
    begin = time.monotonic()
    error = ear.ended()
    assert isinstance(error, CallTimeout)
    assert "in stuck" in str(error)
    assert time.monotonic() - begin < 2.0
    gate.open()


def test_a_stream_whose_items_take_long_together_meets_no_limit(lab: Lab) -> None:
    camera = lab.add("camera", DeviceConfig(timeout=0.05)(Camera))
    ear = Ear(camera.frames(0.01))
    assert len(ear.heard(15)) >= 15
    assert ear.error is None


def test_what_is_no_generator_says_so(camera: Camera) -> None:
    with pytest.raises(TypeError, match=r"no_stream returned a list: it yields its values, or it publishes them"):
        take(camera.no_stream(), 1)


def test_units_and_ranges_of_arguments_are_checked_before_anything_is_sent(camera: Camera) -> None:
    with pytest.raises(ValueError, match=r"camera\.ranged"):
        camera.ranged(2.0)
    assert [item.value for item in camera.ranged(0.5)] == [0.5]


def test_wrong_arguments_are_refused_at_once(camera: Camera) -> None:
    with pytest.raises(TypeError, match="unexpected keyword argument 'gain'"):
        camera.frames(gain=3)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]  the mistake under test


def test_a_driver_may_not_listen_to_another_device(lab: Lab, camera: Camera) -> None:
    other = lab.add("other", Camera)
    with pytest.raises(AskDeadlock, match="may not wait for the lab or another device"):
        camera.listen_to(other)


def test_a_device_that_does_not_serve_has_no_streams(lab: Lab, camera: Camera) -> None:
    lab.remove("camera")
    with pytest.raises(DeviceUnavailable, match="closed"):
        iter(camera.frames())


# -- what the driver pushes


def test_pushing_starts_with_the_first_who_listens_and_stops_with_the_last(lab: Lab, camera: Camera) -> None:
    camera.push(0)
    first, second = iter(camera.pushed()), iter(camera.pushed())
    camera.push(1, 2)
    assert [next(first).value, next(first).value, next(second).value] == [1, 2, 1]
    del first
    assert camera.read() == ["start 1"]
    del second
    quiet(lab)
    assert camera.read() == ["start 1", "stop"]
    camera.push(3)


def test_a_call_after_the_loop_finds_the_pushing_stopped(lab: Lab, camera: Camera) -> None:
    items = iter(camera.pushed())
    camera.push(1)
    next(items)
    del items
    camera.snap()
    assert camera.read() == ["start 1", "stop", "snap"]
    quiet(lab)


def test_what_several_threads_of_a_driver_publish_arrives_in_the_order_of_its_numbers(lab: Lab, camera: Camera) -> None:
    items = iter(camera.pushed().buffered(10_000))
    driver = driver_of(lab)
    camera.snap()  # the stream is open
    threads = [threading.Thread(target=lambda: driver.push(*range(1000))) for _ in range(4)]
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    sys.setswitchinterval(before)
    assert [next(items).sequence for _ in range(4000)] == list(range(4000))


def test_values_can_be_published_by_the_stream_itself(lab: Lab, camera: Camera) -> None:
    items = iter(camera.pushed())
    camera.snap()
    driver_of(lab).pushed.publish(7)
    assert next(items).value == 7


def test_only_the_driver_publishes(camera: Camera) -> None:
    with pytest.raises(AttributeError, match="only the driver itself"):
        camera.pushed.publish(3)
    with pytest.raises(AttributeError, match="publish is private to the driver"):
        camera.publish("pushed", 3)


@pytest.mark.parametrize("name", ["frames", "snap", "nothing"])
def test_publishing_to_what_is_no_such_stream_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match=f"Camera publishes no stream '{name}'"):
        Camera().publish(name, 1)


def test_a_method_pushes_one_stream_at_a_time(camera: Camera) -> None:
    listening = [iter(camera.pushed(1))]
    with pytest.raises(ActorLabError, match="pushes one stream at a time"):
        iter(camera.pushed(2))
    for scale in range(3, 10):
        listening.clear()
        listening.append(iter(camera.pushed(scale)))
    assert camera.read()[-3:] == ["start 8", "stop", "start 9"]


def test_a_grant_stops_what_an_outsider_made_the_driver_push(lab: Lab, camera: Camera, gate: Gate) -> None:
    ear = Ear(camera.pushed())
    camera.push(1)
    ear.heard()
    run = lab.start(hold, camera, gate)
    error = ear.ended()
    assert isinstance(error, DeviceBusy)
    assert "held by hold#1" in str(error)
    gate.open()
    run.result(PATIENCE)
    assert camera.read() == ["start 1", "stop", "snap"]


def test_what_is_pushed_after_a_grant_is_not_heard(lab: Lab, camera: Camera, gates: Callable[[], Gate]) -> None:
    blocking, holding = gates(), gates()
    ear = Ear(camera.pushed())
    camera.push(1)
    ear.heard()
    blocked = ask(camera.block, blocking)
    blocking.reached()
    run = lab.start(hold, camera, holding)
    holding.reached()
    driver_of(lab).push(2)  # it can't be stopped yet
    blocking.open()
    blocked.result(PATIENCE)
    assert isinstance(ear.ended(), DeviceBusy)
    assert [item.value for item in ear.items] == [1]
    holding.open()
    run.result(PATIENCE)


def test_a_driver_that_pushes_for_a_run_stops_with_it(lab: Lab, camera: Camera) -> None:
    def body(camera: Camera) -> list[int]:
        pushed = camera.pushed()
        items = iter(pushed)
        camera.push(4, 5)
        return [next(items).value, next(items).value]

    assert lab.run(body, camera) == [4, 5]
    assert camera.read() == ["start 1", "stop"]


# -- event loops


def test_async_for_hears_a_stream_and_leaves_it(lab: Lab, camera: Camera) -> None:
    async def listen() -> list[int]:
        heard: list[int] = []
        async for item in camera.frames():
            heard.append(item.value)
            if len(heard) == 3:
                break
        return heard

    assert asyncio.run(listen()) == [0, 1, 2]
    quiet(lab)


def test_async_for_hears_the_end_and_the_error(lab: Lab, camera: Camera) -> None:
    async def listen() -> list[int]:
        return [item.value async for item in camera.lens.positions()]

    async def fail() -> None:
        async for _ in camera.failing(ValueError("no light")):
            pass

    assert asyncio.run(listen()) == [1, 2, 3]
    driver_of(lab).go_on.set()
    with pytest.raises(ValueError, match="no light"):
        asyncio.run(fail())


def test_async_for_on_a_held_device_is_refused(lab: Lab, camera: Camera, gate: Gate) -> None:
    async def listen() -> None:
        async for _ in camera.frames():
            pass

    run = lab.start(hold, camera, gate)
    gate.reached()
    with pytest.raises(DeviceBusy):
        asyncio.run(listen())
    gate.open()
    run.result(PATIENCE)


def test_the_event_loop_gets_its_turns_while_a_full_buffer_is_heard(lab: Lab, camera: Camera) -> None:
    async def listen() -> tuple[int, int]:
        ticks = 0

        async def tick() -> None:
            nonlocal ticks
            while True:
                await asyncio.sleep(0)
                ticks += 1

        items = aiter(camera.count(10_000).buffered(10_000))
        lab.ask(lambda: None)  # it has begun now
        production = productions(lab)[0]
        driver_of(lab).go_on.set()
        assert production.over.wait(PATIENCE)
        ticking = asyncio.create_task(tick())
        heard = [item.value async for item in items]
        ticking.cancel()
        return len(heard), ticks

    heard, ticks = asyncio.run(listen())
    assert heard == 10_000
    assert ticks > 100


def test_a_task_that_is_cancelled_leaves_the_stream(lab: Lab, camera: Camera) -> None:
    async def listen() -> None:
        async with asyncio.timeout(0.05):
            async for _ in camera.waiting():
                pass

    with pytest.raises(TimeoutError):
        asyncio.run(listen())
    for production in productions(lab):
        assert production.closing
        production.cut()
    quiet(lab)


def test_a_cancelled_run_ends_an_async_for_in_its_body(lab: Lab, camera: Camera, gate: Gate) -> None:
    def body(camera: Camera) -> None:
        async def listen() -> None:
            async for _ in camera.waiting():
                gate.arrive()

        asyncio.run(listen())

    run = lab.start(body, camera)
    gate.reached()
    run.cancel("enough")
    with pytest.raises(RunCancelled):
        run.result(PATIENCE)
    quiet(lab)


def test_a_coroutine_as_a_body_hears_its_stream_which_ends_with_it(lab: Lab, camera: Camera) -> None:
    async def body(camera: Camera) -> list[int]:
        kept.append(camera.frames())
        items.append(aiter(kept[0]))
        return [(await anext(items[0])).value, (await anext(items[0])).value]

    kept: list[Stream[int]] = []
    items: list[Any] = []
    assert lab.run(body, camera) == [0, 1]
    assert camera.read() == ["arm", "disarm"]


def test_a_coroutine_as_a_body_that_is_cancelled_leaves_its_stream(lab: Lab, camera: Camera, gate: Gate) -> None:
    async def body(camera: Camera) -> None:
        async for _ in camera.waiting():
            gate.arrive()

    run = lab.start(body, camera)
    gate.reached()
    run.cancel("enough")
    with pytest.raises(RunCancelled):
        run.result(PATIENCE)
    quiet(lab)


def test_a_plain_loop_on_the_labs_event_loop_is_refused(lab: Lab, camera: Camera) -> None:
    async def body(camera: Camera) -> None:
        for _ in camera.frames():
            pass

    with pytest.raises(AskDeadlock, match="use `async for`"):
        lab.run(body, camera)


# -- drivers in other processes, direct devices


def test_a_driver_in_another_process_streams_and_is_closed_in_time(lab: Lab) -> None:
    camera = lab.add("camera", DeviceConfig(isolation="process")(IsolatedCamera))
    for _ in range(3):
        assert take(camera.frames(), 3) == [0, 1, 2]
        camera.snap()
    assert camera.read() == ["arm", "disarm", "snap"] * 3
    assert [item.value.shape for item in camera.images(2)] == [(100, 200), (100, 200)]
    ear = Ear(camera.frames())
    ear.heard(2)
    with pytest.raises(TypeError, match="can't leave the driver's process"):
        take(camera.objects(), 1)
    assert lab.run(snap, camera) == "snapped"
    assert isinstance(ear.ended(), DeviceBusy)
    assert camera.read()[-3:] == ["arm", "disarm", "snap"]


def test_what_a_driver_in_another_process_publishes_is_heard(lab: Lab) -> None:
    camera = lab.add("camera", DeviceConfig(isolation="process")(IsolatedCamera))
    pushed = iter(camera.pushed(3).buffered(1000))
    other = iter(camera.lens.pushed(5).buffered(1000))
    assert [next(pushed).value for _ in range(20)] == [3 * number for number in range(20)]
    assert [next(other).value for _ in range(3)] == [0, 5, 10]
    del pushed
    camera.snap()
    assert camera.read() == ["start", "stop", "snap"]


def test_a_process_that_dies_ends_its_streams(lab: Lab) -> None:
    config = DeviceConfig(isolation="process", restart=RestartPolicy(delay=0.0))
    camera = lab.add("camera", config(IsolatedCamera))
    ears = [Ear(camera.frames()), Ear(camera.pushed(1))]
    for ear in ears:
        ear.heard()
    with pytest.raises(DeviceFault):
        camera.die()
    for ear in ears:
        assert isinstance(ear.ended(), DeviceFault)
    came_back(lab)
    assert take(camera.frames(), 2) == [0, 1]


def test_a_direct_device_streams_to_its_holder_between_his_own_calls(lab: Lab) -> None:
    def body(camera: Camera) -> list[str]:
        for round_ in range(10):
            camera.snap()
            for item in camera.frames():
                camera.snap()
                if item.sequence == round_ % 3:
                    break
            assert camera.read().count("arm") == camera.read().count("disarm")
        return camera.read()

    log = lab.run(body, lab.add("camera", DeviceConfig(direct=True)(Camera)))
    assert log.count("arm") == log.count("disarm") == 10


def test_a_stream_does_not_count_as_a_call_that_somebody_asked_for(camera: Camera) -> None:
    ear = Ear(camera.frames())
    ear.heard()
    assert ask(camera.snap).result(PATIENCE) == "snapped"
