"""Hold devices to their design: typed proxies without hidden I/O, hooks, queries, exchanges, guarded interrupts."""

from __future__ import annotations

import concurrent.futures
import inspect
import os
import random
import select
import signal
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast

import pytest

from actorlab import (
    ActorLabError,
    AskDeadlock,
    Cancelled,
    ConfigError,
    Device,
    DeviceBusy,
    DeviceConfig,
    DeviceFault,
    Lab,
    MailboxFull,
    RestartPolicy,
    RunCancelled,
    ask,
    exchange,
    perform,
    query,
    sleep,
    task,
    workflow,
)
from actorlab.driving.in_thread import InThread
from actorlab.driving.member import Member
from actorlab.kernel import OTHERS, URGENT
from actorlab.runtime.calls import Call
from actorlab.simulation import Bench, Laser

if TYPE_CHECKING:
    from tests.runtime.conftest import Gate


class Channel:
    """A part of a source-meter."""

    def __init__(self) -> None:
        self.voltage = 0.0

    def measure(self) -> float:
        return 2 * self.voltage


class SourceMeter:
    """A plain class with all that proxies stand for."""

    range = 10

    def __init__(self, log: list[str] | None = None) -> None:
        self.log = [] if log is None else log
        self.channel = {1: Channel(), 2: Channel()}
        self.output = Channel()
        self.gain = 1
        self._hidden = "kept"
        self._level = 0.0

    @property
    def level(self) -> float:
        """The level in V."""
        self.log.append("level read")
        return self._level

    @level.setter
    def level(self, volts: float) -> None:
        self.log.append(f"level = {volts}")
        self._level = volts

    @property
    def serial(self) -> str:
        return "SN 1"

    def set(self, volts: float, *, ramp: bool = False) -> str:
        """Set the voltage."""
        self.log.append(f"set {volts} {ramp}")
        return "set"

    def make_channel(self) -> Channel:
        return Channel()

    def break_down(self) -> None:
        raise ConnectionResetError

    def block(self, gate: Gate) -> None:
        gate.stop()

    @query
    def busy(self, gate: Gate) -> None:
        gate.stop()

    @query
    def read(self) -> int:
        return len(self.log)

    @staticmethod
    def model() -> str:
        return "SMU 1"

    def _private(self) -> None: ...


def came_back(lab: Lab, name: str) -> None:
    """Wait until a device serves again."""
    ready = threading.Event()
    lab.ask(lambda: lab.lab_actor.lives.when_ready([lab.cells[name]], lambda _: ready.set()))
    assert ready.wait(5)


# -- the proxy


def test_a_proxy_is_typed_as_its_device(lab: Lab) -> None:
    smu = lab.add("smu", SourceMeter)
    assert isinstance(smu, SourceMeter)
    assert inspect.getdoc(type(smu).set) == "Set the voltage."
    assert repr(smu) == "<smu: SourceMeter>"
    assert lab.device("smu").model() == "SMU 1"


def test_methods_properties_and_attributes_are_used_as_on_the_object(lab: Lab) -> None:
    log: list[str] = []
    smu = lab.add("smu", SourceMeter, log)
    assert smu.set(1.5, ramp=True) == "set"
    smu.level = 2.0
    assert smu.level == 2.0
    assert log == ["set 1.5 True", "level = 2.0", "level read"]
    assert smu.gain == 1
    smu.gain = 5
    assert smu.gain == 5
    assert smu.range == 10
    assert smu.model() == "SMU 1"


def test_it_is_used_so_in_a_run_too(lab: Lab) -> None:
    def body(smu: SourceMeter) -> tuple[float, int]:
        smu.level = 3.0
        smu.gain += 1
        return smu.level, smu.gain

    assert lab.run(body, lab.add("smu", SourceMeter)) == (3.0, 2)


class Stack(SourceMeter):
    """A driver that derives from another one, and has a function for a device of any class."""

    def where(self) -> str:
        return f"{self._hidden} in {threading.current_thread().name}"

    @staticmethod
    def set_up(smu: SourceMeter) -> str:
        return smu.set(1.0)


def test_a_function_of_a_drivers_class_is_its_devices_own_method_in_a_run(lab: Lab) -> None:
    stack, smu = lab.add("stack", Stack), lab.add("smu", SourceMeter)
    where = task(Stack.where)

    @workflow
    def steps(stack: Stack) -> list[str]:
        return [where(stack)]

    assert lab.run(Stack.where, stack) == "kept in stack", "and not the driver's code in a thread of the lab's"
    assert lab.run(SourceMeter.set, stack, 2.0, ramp=True) == "set"
    assert stack.log == ["set 2.0 True"]
    assert lab.run(steps, stack) == ["kept in stack"]
    assert lab.run(Stack.set_up, smu) == "set", "a function that only stands in a class stays one"
    assert task(Stack.set)(Stack(), 3.0) == "set"
    assert where(Stack()) == f"kept in {threading.current_thread().name}"


def test_an_attribute_that_the_driver_does_not_have_is_an_attribute_error(lab: Lab) -> None:
    smu: Any = lab.add("smu", SourceMeter)
    with pytest.raises(AttributeError, match=r"smu \(SourceMeter\) has no attribute 'voltage'"):
        smu.voltage  # noqa: B018 - reading is the subject
    with pytest.raises(AttributeError, match="no attribute 'voltage' to be set"):
        smu.voltage = 3
    with pytest.raises(AttributeError, match="serial"):
        smu.serial = "SN 2"


def test_private_names_are_refused(lab: Lab) -> None:
    smu: Any = lab.add("smu", SourceMeter)
    for name in ("_hidden", "_private", "_nothing"):
        with pytest.raises(AttributeError, match=f"{name} is private to the driver"):
            getattr(smu, name)
        with pytest.raises(AttributeError, match="private"):
            setattr(smu, name, 1)


def test_dir_hasattr_and_completion_do_no_io(lab: Lab, gate: Gate) -> None:
    log: list[str] = []
    smu = lab.add("smu", SourceMeter, log)
    blocked = ask(smu.block, gate)  # a call to it would wait for that one
    gate.reached()
    names = dir(smu)
    assert {"level", "set", "channel", "gain", "range", "read"} <= set(names)
    assert not [name for name in names if name.startswith("_")]
    assert hasattr(smu, "set")
    assert not hasattr(smu, "nothing")
    assert inspect.getdoc(smu) == "A plain class with all that proxies stand for."
    gate.open()
    blocked.result(5)
    assert log == []


def test_parts_stay_with_their_device_and_are_reached_through_it(lab: Lab) -> None:
    smu = lab.add("smu", SourceMeter)
    smu.channel[1].voltage = 2.5
    assert smu.channel[1].voltage == 2.5
    assert smu.channel[2].voltage == 0.0
    assert smu.channel[1].measure() == 5.0
    assert smu.output.measure() == 0.0
    assert isinstance(smu.channel[1], Channel)
    assert len(smu.channel) == 2
    assert smu.make_channel().measure() == 0.0
    assert repr(smu.output) == "<smu.output: Channel>"


def test_a_part_is_under_its_devices_lease(lab: Lab, gate: Gate) -> None:
    smu = lab.add("smu", SourceMeter)
    output = smu.output

    def body(output: Channel) -> float:
        output.voltage = 4.0
        gate.stop()
        return output.voltage

    run = lab.start(body, output)
    gate.reached()
    assert run.devices == ("smu",)
    with pytest.raises(DeviceBusy, match=run.id):
        smu.set(1)
    with pytest.raises(DeviceBusy, match=run.id):
        output.voltage = 5.0
    gate.open()
    assert run.result(5) == 4.0


def test_parts_by_name_or_key_are_found_again_after_a_restart_results_of_calls_are_not(lab: Lab) -> None:
    smu = lab.add("smu", DeviceConfig(restart=RestartPolicy(delay=0.01))(SourceMeter))
    by_key, by_name, by_call = smu.channel[1], smu.output, smu.make_channel()
    by_key.voltage = 1.0
    with pytest.raises(DeviceFault):
        smu.break_down()
    came_back(lab, "smu")
    assert by_key.voltage == 0.0
    assert by_name.measure() == 0.0
    with pytest.raises(DeviceFault, match="belongs to the device before it restarted"):
        by_call.measure()


def test_data_travels_at_any_size_and_shape(lab: Lab) -> None:
    numpy = pytest.importorskip("numpy")

    class Camera:
        def image(self) -> Any:
            return {"pixels": numpy.ones((4, 4)), "list": [1.0] * 1000, "nested": [({"a": 1},)]}

    image = lab.add("camera", Camera).image()
    assert image["pixels"].sum() == 16
    assert len(image["list"]) == 1000


def test_a_device_may_be_made_by_a_function(lab: Lab) -> None:
    def make() -> SourceMeter:
        return SourceMeter()

    assert lab.add("smu", make).set(1) == "set"


# -- perform and ask


def test_perform_runs_a_function_on_the_object_in_its_thread_as_one_call(lab: Lab) -> None:
    log: list[str] = []
    smu = lab.add("smu", SourceMeter, log)

    def both(smu: SourceMeter, volts: float) -> str:
        smu.set(volts)
        smu.level = volts
        return threading.current_thread().name + smu._hidden

    assert perform(smu, both, 2.0) == "smukept"
    assert lab.run(lambda smu: perform(smu, both, 3.0), smu) == "smukept"
    assert log == ["set 2.0 False", "level = 2.0", "set 3.0 False", "level = 3.0"]


def test_a_sleep_in_perform_serves_nobody(lab: Lab, gate: Gate) -> None:
    smu = lab.add("smu", SourceMeter)
    order: list[str] = []

    def slowly(smu: SourceMeter) -> None:
        del smu
        gate.stop()
        sleep(0.05)
        order.append("performed")

    thread = threading.Thread(target=perform, args=(smu, slowly))
    thread.start()
    gate.reached()
    reading = ask(smu.read)
    reading.add_done_callback(lambda _: order.append("read"))
    gate.open()
    reading.result(5)
    thread.join(5)
    assert order == ["performed", "read"]


def test_ask_returns_a_reply_that_works_as_a_future(lab: Lab) -> None:
    smu = lab.add("smu", SourceMeter)
    replies = [ask(smu.set, volts) for volts in range(5)]
    assert [reply.result(5) for reply in replies] == ["set"] * 5
    futures: Any = [ask(smu.set, volts) for volts in range(5)]
    assert len(concurrent.futures.wait(futures, 5).done) == 5
    assert len(list(concurrent.futures.as_completed(futures, 5))) == 5


def test_ask_can_be_awaited(lab: Lab) -> None:
    import asyncio  # noqa: PLC0415 - only here

    smu = lab.add("smu", SourceMeter)

    async def main() -> list[str]:
        return [await ask(smu.set, 1), *await asyncio.gather(ask(smu.set, 2), ask(smu.set, 3))]

    assert asyncio.run(main()) == ["set"] * 3


def test_cancelling_a_reply_drops_a_call_that_has_not_begun_and_says_so(lab: Lab, gate: Gate) -> None:
    log: list[str] = []
    smu = lab.add("smu", SourceMeter, log)
    blocked = ask(smu.block, gate)
    gate.reached()
    waiting = ask(smu.set, 1)
    assert waiting.cancel()
    assert waiting.cancelled()
    gate.open()
    blocked.result(5)
    assert smu.read() == 0


def test_cancelling_a_reply_interrupts_a_call_that_has_begun_and_says_so(lab: Lab) -> None:
    begun = threading.Event()

    class Slow(SourceMeter):
        def wait(self) -> None:
            begun.set()
            sleep(60)

    smu = lab.add("smu", Slow)
    reply = ask(smu.wait)
    assert begun.wait(5)
    assert not reply.cancel(), "it had begun"
    with pytest.raises(Cancelled):
        reply.result(5)
    assert smu.set(1) == "set"


def test_asked_calls_of_a_body_that_returns_are_waited_for_in_their_order(lab: Lab) -> None:
    log: list[str] = []
    smu = lab.add("smu", SourceMeter, log)

    def body(smu: SourceMeter) -> None:
        for volts in range(20):
            ask(smu.set, volts)

    lab.run(body, smu)
    assert log == [f"set {volts} False" for volts in range(20)]


def test_a_flood_from_outside_is_refused_when_its_own_small_bound_is_reached(lab: Lab, gate: Gate) -> None:
    smu = lab.add("smu", SourceMeter)
    blocked = ask(smu.block, gate)
    gate.reached()
    asked: list[Any] = []
    with pytest.raises(MailboxFull):
        asked.extend(ask(smu.set, volts) for volts in range(1000))
    gate.open()
    blocked.result(5)
    assert [reply.result(5) for reply in asked] == ["set"] * len(asked)


def test_equal_waiting_queries_are_answered_by_one_execution(lab: Lab, gate: Gate) -> None:
    class Counting(SourceMeter):
        @query
        def count(self) -> int:
            self.gain += 1
            return self.gain

    smu = lab.add("smu", Counting)
    blocked = ask(smu.block, gate)
    gate.reached()
    counts = [ask(smu.count) for _ in range(5)]
    gate.open()
    blocked.result(5)
    assert [reply.result(5) for reply in counts] == [2] * 5


def test_equal_queries_hear_of_it_when_the_one_that_is_executed_is_given_up(
    lab: Lab, gates: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("actorlab.runtime.call_limits.INTERRUPT_GRACE", 0.1)
    first, hang = gates(), gates()

    class Hanging(SourceMeter):
        @query
        def hang(self) -> None:
            hang.stop()

    smu = lab.add("smu", DeviceConfig(timeout=0.1)(Hanging))
    blocked = ask(smu.block, first)
    first.reached()
    replies = [ask(smu.hang) for _ in range(3)]
    first.open()
    blocked.exception(5)
    for reply in replies:
        assert isinstance(reply.exception(5), ActorLabError)


# -- queries


def test_members_named_in_the_config_are_queries_and_all_others_of_a_plain_class_commands(lab: Lab, gate: Gate) -> None:
    config = DeviceConfig(queries=("level", "model", "output.*"))
    smu = lab.add("smu", config(SourceMeter))

    def body(smu: SourceMeter) -> None:
        del smu
        gate.stop()

    run = lab.start(body, smu)
    gate.reached()
    assert smu.level == 0.0
    assert smu.model() == "SMU 1"
    for command in (lambda: smu.gain, lambda: smu.serial, smu.make_channel):
        with pytest.raises(DeviceBusy, match=run.id):
            command()
    with pytest.raises(DeviceBusy):
        smu.level = 3.0
    gate.open()
    run.result(5)


def test_reading_an_attribute_of_a_device_is_a_query(lab: Lab, gate: Gate) -> None:
    class Oven(Device):
        def __init__(self) -> None:
            self.kelvin = 300.0

        @property
        def celsius(self) -> float:
            return self.kelvin - 273

        def heat(self, kelvin: float) -> None:
            self.kelvin = kelvin

    oven = lab.add("oven", Oven)

    def body(oven: Oven) -> None:
        oven.heat(373.0)
        gate.stop()

    run = lab.start(body, oven)
    gate.reached()
    assert (oven.kelvin, oven.celsius) == (373.0, 100.0)
    with pytest.raises(DeviceBusy):
        oven.kelvin = 4.0
    with pytest.raises(DeviceBusy):
        oven.heat(4.0)
    gate.open()
    run.result(5)


# -- hooks


def life_of(factory: Callable[..., Any], log: list[str]) -> list[str]:
    """Let a device live through one failed run, and return what was called on it."""
    with Lab(cancel_grace=0.3) as lab:
        device = lab.add("device", factory, log)

        def body(device: Any) -> None:
            del device
            raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            lab.run(body, device)
    return log


class Logged:
    """Write down the calls of methods which may be hooks."""

    def __init__(self, log: list[str]) -> None:
        self.log = log


def test_hooks_are_taken_by_their_usual_names() -> None:
    class Driver(Logged):
        def connect(self) -> None:
            self.log.append("connect")

        def close(self) -> None:
            self.log.append("close")

        def shutdown(self) -> None:
            self.log.append("shutdown")

    assert life_of(Driver, []) == ["connect", "shutdown", "close"]


def test_the_more_exact_name_is_preferred() -> None:
    class Driver(Logged):
        def disconnect(self) -> None:
            self.log.append("disconnect")

        def close(self) -> None:
            self.log.append("close")

        def stop(self) -> None:
            self.log.append("stop")

        def make_safe(self) -> None:
            self.log.append("make_safe")

    assert life_of(Driver, []) == ["make_safe", "disconnect"]


def test_a_method_that_needs_arguments_is_no_hook() -> None:
    class Relay(Logged):
        def close(self, channel: int) -> None:
            self.log.append(f"close {channel}")

        def stop(self, *, now: bool) -> None:
            self.log.append(f"stop {now}")

        def shutdown(self, seconds: float = 1.0) -> None:
            self.log.append(f"shutdown {seconds}")

    assert life_of(Relay, []) == ["shutdown 1.0"]


def test_a_hook_may_be_named_given_as_a_function_or_be_none() -> None:
    class Shutter(Logged):
        def park(self) -> None:
            self.log.append("park")

        def close(self) -> None:
            self.log.append("close")

        def stop(self) -> None:
            self.log.append("stop")

    named = DeviceConfig(make_safe="park", disconnect=None)
    assert life_of(named(Shutter), []) == ["park"]
    given = DeviceConfig(make_safe=lambda shutter: shutter.log.append("given"), connect=lambda shutter: shutter.park())
    assert life_of(given(Shutter), []) == ["park", "given", "close"]
    assert life_of(DeviceConfig(make_safe=None)(Shutter), []) == ["close"]


def test_a_hook_that_is_named_but_does_not_exist_is_an_error_at_once(lab: Lab) -> None:
    with pytest.raises(ActorLabError, match="park"):
        lab.add("shutter", DeviceConfig(make_safe="park")(Logged), [])


def test_the_config_on_the_class_holds_unless_add_says_otherwise(lab: Lab) -> None:
    class Oven(Device):
        device_config = DeviceConfig(timeout=5, safe_timeout=2)

    lab.add("oven", DeviceConfig(timeout=7)(Oven))
    config = lab.cells["oven"].config
    assert (config.timeout, config.safe_timeout) == (7, 2)


def test_the_object_is_made_used_and_closed_in_one_thread_of_its_own() -> None:
    threads: dict[str, int] = {}

    class Driver:
        def __init__(self) -> None:
            threads["made"] = threading.get_ident()

        def connect(self) -> None:
            threads["connected"] = threading.get_ident()

        def use(self) -> None:
            threads["used"] = threading.get_ident()

        def make_safe(self) -> None:
            threads["safe"] = threading.get_ident()

        def close(self) -> None:
            threads["closed"] = threading.get_ident()

    with Lab() as lab:
        driver = lab.add("driver", Driver)
        driver.use()

        def fail(_: Driver) -> None:
            raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            lab.run(fail, driver)
    assert len(threads) == 5
    assert len(set(threads.values())) == 1
    assert threading.get_ident() not in threads.values()


# -- what a driver may not do


def test_a_drivers_thread_may_not_wait_for_the_lab_or_another_device(lab: Lab) -> None:
    found: dict[str, Any] = {}

    class Wily:
        def use_other(self) -> None:
            found["other"].read()

        def use_itself(self) -> None:
            found["wily"].read()

        def ask_other(self) -> None:
            ask(found["other"].set, 1).result()

        def run(self) -> None:
            lab.run(sum, [1])

        def start(self) -> None:
            lab.start(sum, [1])

        def lease(self) -> None:
            lab.lease(found["other"]).__enter__()

        @query
        def read(self) -> int:
            return 1

    found["other"] = lab.add("other", SourceMeter)
    wily = found["wily"] = lab.add("wily", Wily)
    for use in (wily.use_other, wily.use_itself, wily.ask_other, wily.run, wily.start, wily.lease):
        with pytest.raises(AskDeadlock, match="the driver of wily"):
            use()

    def thread_of_its_own(wily: Wily) -> None:
        wily.use_other()

    with pytest.raises(AskDeadlock):
        lab.run(thread_of_its_own, wily)


# -- sleep and exchanges


class Serial:
    """An instrument on a wire, where a query between a write and its read steals the answer."""

    def __init__(self) -> None:
        self.wire: deque[str] = deque()
        self.heater = False
        self.kelvin = 20
        self.log: list[str] = []

    def power(self, gate: Gate) -> str:
        with exchange():
            self.wire.append("POW 5")
            gate.arrive()
            sleep(0.1)
            return self.wire.popleft()

    @query
    def temperature(self) -> str:
        with exchange():
            self.wire.append("TEMP 20")
            sleep(0)
            return self.wire.popleft()

    def heat_to(self, kelvin: int, gate: Gate) -> None:
        while self.kelvin < kelvin:
            self.heater = True
            gate.arrive()
            sleep(0.01)
            self.kelvin += 1

    @query
    def is_on(self) -> bool:
        return self.heater

    def resync(self) -> None:
        self.wire.clear()

    def make_safe(self) -> None:
        self.heater = False


def test_a_query_never_gets_between_a_write_and_its_read(lab: Lab, gate: Gate) -> None:
    oven = lab.add("oven", Serial)
    run = lab.start(lambda oven: oven.power(gate), oven)
    gate.reached()
    assert oven.temperature() == "TEMP 20"
    assert run.result(5) == "POW 5"


def test_an_exchange_that_is_cut_short_is_brought_back_into_step(lab: Lab, gate: Gate) -> None:
    oven = lab.add("oven", Serial)

    class Long(Serial):
        def power(self, gate: Gate) -> str:
            with exchange():
                self.wire.append("POW 5")
                gate.arrive()
                sleep(60)
                return self.wire.popleft()

    long = lab.add("long", Long)
    run = lab.start(lambda oven: oven.power(gate), long)
    gate.reached()
    run.cancel()
    with pytest.raises(RunCancelled):
        run.result(5)
    assert long.temperature() == "TEMP 20"
    assert lab.cells["long"].restarts == 0
    assert oven.temperature() == "TEMP 20"


def test_a_safe_state_is_never_undone_by_the_loop_that_it_ended(lab: Lab, gate: Gate) -> None:
    oven = lab.add("oven", Serial)
    run = lab.start(lambda oven: oven.heat_to(10_000, gate), oven)
    gate.reached()
    assert lab.emergency_stop("smoke").result(5) == {"oven": None}
    assert run.exception(5) is not None
    for _ in range(5):
        assert not oven.is_on()


def test_an_urgent_command_in_a_drivers_sleep_ends_the_sleeping_call_first(lab: Lab, gate: Gate) -> None:
    oven = lab.add("oven", Serial)
    heating = ask(oven.heat_to, 10_000, gate)
    gate.reached()
    order: list[str] = []
    heating.add_done_callback(lambda _: order.append("heating ended"))
    safe = Call(URGENT, None, lab.cells["oven"], Member("make_safe", query=False, action=_call), (), {})
    safe.add_done_callback(lambda _: order.append("safe"))
    lab.cells["oven"].mailbox.put(safe)
    safe.result(5)
    assert isinstance(heating.exception(5), BaseException)
    assert order == ["heating ended", "safe"]
    assert not oven.is_on()


def _call(target: Any, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    return getattr(target, name)(*args, **kwargs)


def test_many_queries_while_a_driver_sleeps_are_all_answered_rightly(lab: Lab, gate: Gate) -> None:
    oven = lab.add("oven", Serial)
    run = lab.start(lambda oven: oven.heat_to(10_000, gate), oven)
    gate.reached()
    assert [oven.temperature() for _ in range(100)] == ["TEMP 20"] * 100
    run.cancel()
    assert run.exception(5) is not None


# -- guarded interrupts


class Selector:
    """A driver that waits for data or for its interrupt, and notices an interrupt that hits the wrong call."""

    def __init__(self) -> None:
        self.wake, self.waker = os.pipe()
        self.data, self.source = os.pipe()
        self.hit = 0

    def acquire(self) -> str:
        ready, _, _ = select.select([self.data, self.wake], [], [], 5)
        if self.wake in ready:
            os.read(self.wake, 1)
            return "interrupted"
        os.read(self.data, 1)
        return "data"

    def next_call(self) -> None:
        if select.select([self.wake], [], [], 0.0005)[0]:
            os.read(self.wake, 1)
            self.hit += 1

    def interrupt(self) -> None:
        os.write(self.waker, b"!")

    def resync(self) -> None:
        for end in (self.wake, self.data):
            while select.select([end], [], [], 0)[0]:
                os.read(end, 1)

    def close(self) -> None:
        for end in (self.wake, self.waker, self.data, self.source):
            os.close(end)


def test_an_interrupt_near_the_completion_of_a_call_never_hits_the_next_one(lab: Lab) -> None:
    lab.add("selector", Selector)
    cell = lab.cells["selector"]
    actor = cell.actor
    assert actor is not None
    driver: Any = cast("InThread", actor.driver).object
    for _ in range(200):
        call = Call(OTHERS, None, cell, Member("acquire", query=False, action=_call), (), {})
        after = Call(OTHERS, None, cell, Member("next_call", query=False, action=_call), (), {})
        cell.mailbox.put(call)
        cell.mailbox.put(after)
        while not call.begun:
            pass
        thread = threading.Thread(target=os.write, args=(driver.source, b"x"))
        thread.start()
        for _spin in range(random.randrange(1500)):
            pass
        actor.interrupt(call, "cancel")
        thread.join(5)
        assert call.wait(5)
        assert after.wait(5)
        driver.resync()
    assert driver.hit == 0
    assert cell.restarts == 0


# -- signals


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # it may strike in a weakref's callback
def test_ctrl_c_at_any_moment_of_a_call_leaves_the_device_usable(lab: Lab) -> None:
    """A short run of what the kernel's tests do at length, through the proxy and through `lab.run`."""
    smu = lab.add("smu", SourceMeter)

    armed: list[bool] = []

    def interrupt(*_: Any) -> None:
        if armed:
            armed.clear()
            raise KeyboardInterrupt

    def body(smu: SourceMeter) -> None:
        smu.set(1)

    before = signal.signal(signal.SIGALRM, interrupt)
    hits = 0
    try:
        for number in range(200):
            try:
                armed.append(True)
                signal.setitimer(signal.ITIMER_REAL, random.uniform(0.00001, 0.0006))
                if number % 2:
                    smu.set(2)
                else:
                    lab.run(body, smu)
                armed.clear()
            except KeyboardInterrupt:
                hits += 1
            finally:
                signal.setitimer(signal.ITIMER_REAL, 0)
    finally:
        signal.signal(signal.SIGALRM, before)
    assert hits > 10
    assert lab.start(body, smu).result(5) is None, "nobody holds it any more"
    assert smu.set(1) == "set"


def test_a_signal_handler_may_call_a_device_and_steer_the_lab(lab: Lab) -> None:
    smu = lab.add("smu", SourceMeter)
    seen: list[Any] = []

    def handler(*_: Any) -> None:
        seen.append(smu.set(1))
        seen.append(lab.states()["smu"].value)
        lab.start(sum, [1, 2]).cancel()

    before = signal.signal(signal.SIGUSR1, handler)
    try:
        for _ in range(50):
            signal.raise_signal(signal.SIGUSR1)
            assert smu.set(2) == "set"
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert seen.count("set") == 50


def test_a_call_from_a_finaliser_is_answered(lab: Lab) -> None:
    smu = lab.add("smu", SourceMeter)
    seen: list[str] = []

    class Final:
        def __del__(self) -> None:
            seen.append(smu.set(1))

    for _ in range(20):
        Final()
        smu.set(2)
    assert seen == ["set"] * 20


def test_the_time_of_a_call_is_not_counted_while_it_waits(lab: Lab, gate: Gate) -> None:
    """A holder's own calls wait for one another without any limit."""
    smu = lab.add("smu", DeviceConfig(timeout=0.2)(SourceMeter))

    def body(smu: SourceMeter) -> str:
        def slowly(_: SourceMeter) -> None:
            for _number in range(4):
                sleep(0.1)

        thread = threading.Thread(target=perform, args=(smu, slowly))
        thread.start()
        try:
            return smu.set(1)
        finally:
            thread.join(5)

    began = time.monotonic()
    assert lab.run(body, smu) == "set"
    assert time.monotonic() - began < 5
    gate.open()


def test_two_names_on_one_visa_resource_are_refused(lab: Lab, bench: Bench) -> None:
    lab.add("laser", Laser, bench.resources["laser"])
    with pytest.raises(ConfigError, match="'laser' has it already"):
        lab.add("other", Laser, bench.resources["laser"].lower())
