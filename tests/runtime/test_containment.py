"""Let drivers do the worst they can in a thread: neither the lab nor any other device notices."""

from __future__ import annotations

import logging
import sys
import threading
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest

from actorlab import (
    ActorLabError,
    AskDeadlock,
    CallTimeout,
    Cancelled,
    DeviceBusy,
    DeviceConfig,
    DeviceFault,
    DeviceQuarantined,
    DeviceUnavailable,
    Lab,
    NotLeased,
    RestartPolicy,
    Run,
    ask,
    query,
    sleep,
)
from actorlab.driving.member import Member, invoke
from actorlab.kernel import HOLDER, OTHERS
from actorlab.runtime.body import Hold
from actorlab.runtime.calls import Call
from actorlab.runtime.proxy import DeviceProxy

if TYPE_CHECKING:
    from tests.runtime.conftest import Gate

Gates = Callable[[], "Gate"]
Stands = Callable[[str, str], None]
QUICKLY = RestartPolicy(delay=0.01, max_delay=0.01)


class Valve:
    """A device that writes down what it does."""

    def __init__(self, log: list[str]) -> None:
        log.append("made")
        self.log = log
        self.opening = 0

    def connect(self) -> None:
        self.log.append("connected")

    def set(self, level: object) -> object:
        self.log.append(f"set {level}")
        return level

    def block(self, gate: Gate) -> None:
        gate.stop()

    def nap(self, begun: Gate) -> None:
        begun.arrive()
        sleep(60)

    def break_down(self) -> None:
        message = "the pipe is off"
        raise ConnectionResetError(message)

    @query
    def level(self, number: int = 0) -> int:
        self.log.append(f"query {number}")
        return number

    def make_safe(self) -> None:
        self.log.append("safe")

    def close(self) -> None:
        self.log.append("closed")


class Bystander:
    """Another device of the lab, a run that holds it, and the lab itself: what must notice nothing."""

    def __init__(self, lab: Lab, gate: Gate) -> None:
        self.lab = lab
        self.log: list[str] = []
        self.valve = lab.add("bystander", Valve, self.log)
        self.free = lab.add("free", Valve, self.log)
        self._gate = gate
        self._threads = self._living()
        self.run = lab.start(self._hold, self.valve)
        gate.reached()

    def _hold(self, valve: Valve) -> object:
        valve.set("held")
        self._gate.stop()
        return valve.set("still held")

    def _living(self) -> list[Any]:
        return [self.lab.cells[name].actor for name in ("bystander", "free")]

    def notices_nothing(self) -> None:
        """Use the lab and the other devices in all ways, now."""
        lab = self.lab
        assert lab.run(sum, [1, 2, 3]) == 6
        assert self.valve.level(3) == 3
        assert self.free.set(1) == 1
        assert lab.start(lambda free: free.set(2), self.free).result(5) == 2
        with lab.lease(self.free, timeout=5):
            assert self.free.set(3) == 3
        for name in ("bystander", "free"):
            assert (lab.status(name).restarts, lab.status(name).last_error) == (0, "")
        assert self._living() == self._threads
        assert not self.run.done()

    def noticed_nothing(self) -> None:
        """Let the run go on, and see that all went well."""
        self.notices_nothing()
        self._gate.open()
        assert self.run.result(5) == "still held"
        assert "safe" not in self.log


@pytest.fixture
def bystander(lab: Lab, gates: Gates) -> Iterator[Bystander]:
    """Give the lab another device and a run; when the test is over they must have noticed nothing."""
    made = Bystander(lab, gates())
    yield made
    made.noticed_nothing()


# -- what drivers do


def test_a_driver_that_spins_in_python(
    lab: Lab, bystander: Bystander, stands: Stands, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("actorlab.runtime.call_limits.INTERRUPT_GRACE", 0.1)
    over: list[bool] = []

    class Spinning(Valve):
        def spin(self) -> None:
            while not over:
                pass

    valve = lab.add("valve", DeviceConfig(timeout=0.1)(Spinning), [])
    try:
        reply = ask(valve.spin)
        bystander.notices_nothing()
        assert isinstance(reply.exception(5), CallTimeout)
        stands("valve", "quarantined")
        assert "while not over" in lab.status("valve").abandoned[0].stack
        bystander.notices_nothing()
    finally:
        over.append(True)


@pytest.mark.parametrize("raised", [SystemExit(3), KeyboardInterrupt(), GeneratorExit(), Cancelled("mine")], ids=repr)
def test_a_driver_that_raises_what_is_no_exception(lab: Lab, bystander: Bystander, raised: BaseException) -> None:
    class Raising(Valve):
        def leave(self) -> None:
            raise raised

        @property
        def pressure(self) -> float:
            raise raised

    valve = lab.add("valve", Raising, [])
    for leave in (valve.leave, lambda: valve.pressure, lambda: ask(valve.leave).result(5)):
        with pytest.raises(ActorLabError, match=r"valve\.\w+ raised") as caught:
            leave()
        assert caught.value.__cause__ is raised
    with pytest.raises(ActorLabError, match=r"valve\.leave raised"):
        lab.run(lambda valve: valve.leave(), valve)
    assert valve.set(1) == 1
    assert lab.status("valve").restarts == 0
    bystander.notices_nothing()


@pytest.mark.parametrize("hook", ["__init__", "connect"])
@pytest.mark.parametrize("raised", [SystemExit(3), KeyboardInterrupt()], ids=repr)
def test_a_driver_that_exits_as_it_connects(lab: Lab, bystander: Bystander, raised: BaseException, hook: str) -> None:
    def leave(*_: object) -> None:
        raise raised

    with pytest.raises(DeviceUnavailable, match="valve can't be added") as caught:
        lab.add("valve", type("Leaving", (), {hook: leave}))
    assert caught.value.__cause__ is raised
    assert "valve" not in lab.devices
    bystander.notices_nothing()


@pytest.mark.parametrize("raised", [SystemExit(3), KeyboardInterrupt(), ValueError("no")], ids=repr)
def test_a_driver_that_raises_in_the_hooks_of_its_end(lab: Lab, bystander: Bystander, raised: BaseException) -> None:
    class Raising(Valve):
        def make_safe(self) -> None:
            raise raised

        def close(self) -> None:
            raise raised

    def body(valve: Valve) -> None:
        valve.set(1)
        raise ZeroDivisionError

    valve = lab.add("valve", Raising, [])
    with pytest.raises(ZeroDivisionError) as caught:
        lab.run(body, valve)
    assert caught.value.unsafe == ("valve",)  # type: ignore[attr-defined]  # set by the run
    bystander.notices_nothing()
    lab.remove("valve")
    assert "valve" not in lab.status()
    bystander.notices_nothing()


def test_a_driver_that_raises_in_its_interrupt(
    lab: Lab, bystander: Bystander, gate: Gate, caplog: pytest.LogCaptureFixture
) -> None:
    class Raising(Valve):
        def interrupt(self) -> None:
            gate.open()
            message = "interrupt failed"
            raise ValueError(message)

        def resync(self) -> None:
            self.log.append("in step")

    log: list[str] = []
    valve = lab.add("valve", DeviceConfig(timeout=0.1)(Raising), log)
    with caplog.at_level(logging.ERROR), pytest.raises(CallTimeout):
        valve.block(gate)
    assert valve.set(1) == 1
    assert log[-2:] == ["in step", "set 1"]
    bystander.notices_nothing()


def test_a_driver_that_returns_what_can_not_be_pickled(lab: Lab, bystander: Bystander) -> None:
    class Wire:
        """What holds a lock, a thread and a function can't be pickled."""

        def __init__(self) -> None:
            self.lock = threading.Lock()
            self.thread = threading.current_thread()
            self.function: Callable[[], int] = lambda: 7

        def ring(self) -> int:
            return self.function()

        def __reduce__(self) -> Any:
            message = "not me"
            raise TypeError(message)

    class Wired(Valve):
        def wire(self) -> Wire:
            return Wire()

        def lock(self) -> Any:
            return threading.Lock()

        def numbers(self) -> Any:
            return (number for number in range(3))

    valve = lab.add("valve", Wired, [])
    assert isinstance(valve.wire(), DeviceProxy), "it stays with its device"
    assert valve.wire().ring() == 7
    assert lab.run(lambda valve: valve.wire().ring(), valve) == 7
    assert isinstance(valve.lock(), DeviceProxy)
    assert isinstance(valve.numbers(), DeviceProxy)
    assert valve.set(1) == 1
    bystander.notices_nothing()


def test_a_driver_that_logs_ten_thousand_lines(lab: Lab, bystander: Bystander) -> None:
    logger = logging.getLogger("driver.of.a.valve")
    lines: list[str] = []

    class Kept(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append(record.getMessage())

    class Talkative(Valve):
        def talk(self) -> None:
            for number in range(10_000):
                logger.warning("line %d of %s", number, threading.current_thread().name)

    handler = Kept()
    logger.addHandler(handler)
    logger.propagate = False
    try:
        valve = lab.add("valve", Talkative, [])
        reply = ask(valve.talk)
        bystander.notices_nothing()
        reply.result(30)
    finally:
        logger.removeHandler(handler)
        logger.propagate = True
    assert lines == [f"line {number} of valve" for number in range(10_000)]


def test_a_driver_whose_properties_raise_until_it_is_connected(lab: Lab, bystander: Bystander) -> None:
    read: list[str] = []

    class Strict:
        """Nothing of it may be looked at before it is connected, and nothing without need."""

        def __init__(self) -> None:
            self._connected = False

        def __getattribute__(self, name: str) -> Any:
            if not name.startswith("__"):
                read.append(name)
            return super().__getattribute__(name)

        def connect(self) -> None:
            self._connected = True

        @property
        def pressure(self) -> float:
            if not self._connected:
                message = "not connected"
                raise RuntimeError(message)
            return 1.5

        @property
        def broken(self) -> float:
            message = "always broken"
            raise RuntimeError(message)

        def set(self, level: float) -> float:
            return level

    valve = lab.add("valve", Strict)
    assert set(read) <= {"connect", "_connected"}
    read.clear()
    assert {"pressure", "broken", "set"} <= set(dir(valve))
    assert hasattr(valve, "set")
    assert not hasattr(valve, "nothing")
    assert isinstance(valve, Strict)
    assert "valve" in repr(valve)
    assert lab.status("valve").state == "idle"
    assert lab.states()["valve"] == "idle"
    assert lab.device("valve") is not None
    assert read == [], "nothing was read"
    assert valve.pressure == 1.5
    with pytest.raises(RuntimeError, match="always broken"):
        valve.broken  # noqa: B018 - reading is the subject
    assert valve.set(2.0) == 2.0
    assert lab.run(lambda valve: valve.pressure, valve) == 1.5
    bystander.notices_nothing()


def test_a_driver_with_a_property_that_raises_and_no_connection(lab: Lab, bystander: Bystander) -> None:
    class Absent:
        def connect(self) -> None:
            message = "nobody there"
            raise ConnectionRefusedError(message)

        @property
        def pressure(self) -> float:
            message = "not connected"
            raise RuntimeError(message)

    policy = RestartPolicy(delay=60, max_delay=60)
    valve = lab.add("valve", DeviceConfig(optional=True, restart=policy)(Absent))
    assert "pressure" in dir(valve)
    assert lab.status("valve").last_error == "ConnectionRefusedError: nobody there"
    with pytest.raises(DeviceUnavailable, match="nobody there"):
        valve.pressure  # noqa: B018 - reading is the subject
    bystander.notices_nothing()


def test_a_driver_whose_init_takes_half_a_minute(lab: Lab, bystander: Bystander, gate: Gate) -> None:
    """Within the patience it has all the time it wants, and holds nobody but whoever adds it."""

    class Slow(Valve):
        def __init__(self, log: list[str]) -> None:
            gate.stop()
            super().__init__(log)

    added: list[Any] = []
    thread = threading.Thread(
        target=lambda: added.append(lab.add("valve", DeviceConfig(timeout=30)(Slow), [])), name="actorlab-adding"
    )
    thread.start()
    gate.reached()
    bystander.notices_nothing()
    assert lab.status("valve").state == "connecting"
    with pytest.raises(DeviceUnavailable, match="still connecting"):
        lab.device("valve").set(1)
    gate.open()
    thread.join(5)
    assert added[0].set(2) == 2


def test_a_driver_whose_init_never_ends(lab: Lab, bystander: Bystander) -> None:
    never = threading.Event()

    class Slow(Valve):
        def __init__(self, log: list[str]) -> None:
            never.wait()
            super().__init__(log)

    began = time.monotonic()
    with pytest.raises(DeviceUnavailable, match=r"hasn't connected within 0\.2 s"):
        lab.add("valve", DeviceConfig(timeout=0.2)(Slow), [])
    assert time.monotonic() - began < 1.5
    bystander.notices_nothing()
    assert "never.wait()" in lab.status("valve").abandoned[0].stack
    with pytest.raises(DeviceQuarantined):
        lab.device("valve").set(1)
    with pytest.raises(DeviceQuarantined):
        lab.run(lambda valve: valve.set(1), lab.device("valve"))
    never.set()


def test_a_driver_that_uses_the_lab_from_its_own_thread(lab: Lab, bystander: Bystander, gate: Gate) -> None:
    waiting: Run[None] = lab.start(gate.stop)
    verbs: dict[str, Callable[[], object]] = {
        "run": lambda: lab.run(sum, [1]),
        "start": lambda: lab.start(sum, [1]),
        "lease": lambda: lab.lease(bystander.free, timeout=1).__enter__(),
        "call": lambda: bystander.free.set(1),
        "query": bystander.valve.level,
        "ask": lambda: ask(bystander.free.set, 1).result(5),
        "itself": lambda: lab.device("valve").set(1),
        "ask itself": lambda: ask(lab.device("valve").set, 1).result(5),
        "result": lambda: waiting.result(5),
        "exception": lambda: waiting.exception(5),
    }

    class Wily(Valve):
        def use(self, verb: str) -> object:
            return verbs[verb]()

    valve = lab.add("valve", Wily, [])
    before = len(bystander.log)
    began = time.monotonic()
    for verb in verbs:
        with pytest.raises(AskDeadlock, match="the driver of valve"):
            valve.use(verb)
        with pytest.raises(AskDeadlock, match="the driver of valve"):
            lab.run(lambda valve, verb: valve.use(verb), valve, verb)
    assert time.monotonic() - began < 4, "at once"
    assert bystander.log[before:] == []
    bystander.notices_nothing()
    gate.open()
    waiting.result(5)


def test_a_make_safe_that_depends_on_another_device_is_refused_and_named(lab: Lab, bystander: Bystander) -> None:
    class Dependent(Valve):
        def make_safe(self) -> None:
            bystander.free.set("by another")

    def body(valve: Valve) -> None:
        valve.set(1)
        raise ZeroDivisionError

    valve = lab.add("valve", Dependent, [])
    with pytest.raises(ZeroDivisionError) as caught:
        lab.run(body, valve)
    assert caught.value.unsafe == ("valve",)  # type: ignore[attr-defined]  # set by the run
    assert "AskDeadlock" in lab.status("valve").why
    assert "set by another" not in bystander.log
    bystander.notices_nothing()


def test_a_driver_that_recurses_without_end(lab: Lab, bystander: Bystander) -> None:
    class Deep(Valve):
        def dive(self) -> None:
            self.dive()

    valve = lab.add("valve", Deep, [])
    with pytest.raises(RecursionError):
        valve.dive()
    assert valve.set(1) == 1
    bystander.notices_nothing()


def test_a_driver_with_threads_of_its_own(lab: Lab, bystander: Bystander) -> None:
    """They are the driver's affair; what they do with the lab they do as anybody outside."""
    outcomes: list[object] = []

    class Threaded(Valve):
        def work(self) -> None:
            def of_its_own() -> None:
                outcomes.append(bystander.free.set("from a thread"))
                try:
                    bystander.valve.set("from a thread")
                except DeviceBusy as error:
                    outcomes.append(type(error))

            thread = threading.Thread(target=of_its_own, name="actorlab-of-a-driver")
            thread.start()
            thread.join(5)

    lab.add("valve", Threaded, []).work()
    assert outcomes == ["from a thread", DeviceBusy]
    bystander.notices_nothing()


def test_a_driver_that_dies_again_and_again(lab: Lab, bystander: Bystander, stands: Stands) -> None:
    class Dying(Valve):
        def connect(self) -> None:
            if self.log.count("made") > 1:
                sys.exit(1)

    valve = lab.add("valve", DeviceConfig(restart=RestartPolicy(limit=3, delay=0.01))(Dying), [])
    with pytest.raises(DeviceFault):
        valve.break_down()
    stands("valve", "quarantined")
    assert "SystemExit: 1" in lab.status("valve").last_error
    bystander.notices_nothing()


# -- stale tokens, at the device itself

SET = Member("set", query=False, action=invoke)


def sent_to(lab: Lab, name: str, hold: Hold | None, level: object) -> Call:
    """Send a command past all that the caller's side looks at, under somebody's token."""
    cell = lab.cells[name]
    call = Call(OTHERS if hold is None else HOLDER, hold, cell, SET, (level,), {})
    cell.mailbox.put(call)
    return call


def hold_of(run: Run[Any], name: str) -> Hold:
    return run.supervisor.bodies[0].holds[name]


def test_a_stale_token_is_refused_by_the_device_after_a_release_with_nobody_waiting(lab: Lab, gate: Gate) -> None:
    log: list[str] = []
    valve = lab.add("valve", Valve, log)
    run = lab.start(lambda valve: valve.block(gate), valve)
    gate.reached()
    hold = hold_of(run, "valve")
    gate.open()
    run.result(5)
    assert isinstance(sent_to(lab, "valve", hold, "stale").exception(5), NotLeased)
    assert sent_to(lab, "valve", None, "nobody's").result(5) == "nobody's"
    assert "set stale" not in log


def test_a_stale_token_is_refused_by_the_device_while_somebody_else_holds_it(lab: Lab, gates: Gates) -> None:
    first, second = gates(), gates()
    log: list[str] = []
    valve = lab.add("valve", Valve, log)
    run = lab.start(lambda valve: valve.block(first), valve)
    first.reached()
    hold = hold_of(run, "valve")
    first.open()
    run.result(5)

    def keep(valve: Valve) -> None:
        del valve
        second.stop()

    other = lab.start(keep, valve)
    second.reached()
    assert isinstance(sent_to(lab, "valve", hold, "stale").exception(5), NotLeased)
    assert isinstance(sent_to(lab, "valve", None, "nobody's").exception(5), DeviceBusy)
    assert sent_to(lab, "valve", hold_of(other, "valve"), "rightful").result(5) == "rightful"
    second.open()
    other.result(5)
    assert log.count("set rightful") == 1
    assert "set stale" not in log
    assert "set nobody's" not in log


def test_a_token_that_gets_stale_while_its_call_waits_is_refused_as_the_call_begins(lab: Lab, gate: Gate) -> None:
    log: list[str] = []
    valve = lab.add("valve", DeviceConfig(make_safe=None)(Valve), log)
    run = lab.start(lambda valve: valve.block(gate), valve)
    gate.reached()
    waiting = sent_to(lab, "valve", hold_of(run, "valve"), "too late")
    run.cancel()
    lab.ask(lambda: None)
    lab.ask(lambda: lab.cells["valve"].entitle(None))
    gate.open()
    assert isinstance(waiting.exception(5), NotLeased)
    run.exception(5)
    assert "set too late" not in log


def test_what_was_sent_to_an_earlier_life_is_refused_after_a_restart(lab: Lab, gates: Gates) -> None:
    standing, blocked = gates(), gates()
    log: list[str] = []
    valve = lab.add("valve", Valve, log)

    def body(valve: Valve) -> None:
        del valve
        standing.stop()

    run = lab.start(body, valve)
    standing.reached()
    hold = hold_of(run, "valve")
    old = lab.cells["valve"].mailbox
    busy = sent_to(lab, "valve", hold, "before")
    busy.result(5)
    block = Call(HOLDER, hold, lab.cells["valve"], Member("block", query=False, action=invoke), (blocked,), {})
    old.put(block)
    blocked.reached()
    waiting = sent_to(lab, "valve", hold, "waiting")
    thread = threading.Thread(target=lab.restart, args=("valve",), name="actorlab-restarting")
    thread.start()
    while not lab.status("valve").why:
        lab.ask(lambda: None)
    lab.ask(lambda: None)
    blocked.open()
    thread.join(5)
    assert isinstance(waiting.exception(5), ActorLabError)
    with pytest.raises(ActorLabError):
        old.put(Call(HOLDER, hold, lab.cells["valve"], SET, ("late",), {}))
    standing.open()
    run.result(5)
    assert "set waiting" not in log
    assert "set late" not in log
    assert isinstance(sent_to(lab, "valve", hold, "stale").exception(5), NotLeased)


def test_a_stale_token_is_refused_after_an_abandonment_by_the_old_life_and_the_new(
    lab: Lab, gate: Gate, stands: Stands, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("actorlab.runtime.call_limits.INTERRUPT_GRACE", 0.1)
    log: list[str] = []
    valve = lab.add("valve", DeviceConfig(timeout=0.1)(Valve), log)
    run = lab.start(lambda valve: valve.block(gate), valve)
    gate.reached()
    hold = hold_of(run, "valve")
    old = lab.cells["valve"].mailbox
    waiting = sent_to(lab, "valve", hold, "waiting")
    assert isinstance(run.exception(5), CallTimeout)
    stands("valve", "quarantined")
    assert isinstance(waiting.exception(5), ActorLabError)
    lab.reset("valve", force=True)
    with pytest.raises(ActorLabError):
        old.put(Call(HOLDER, hold, lab.cells["valve"], SET, ("late",), {}))
    assert isinstance(sent_to(lab, "valve", hold, "stale").exception(5), NotLeased)
    assert valve.set(1) == 1
    gate.open()
    (lost,) = lab.cells["valve"].abandoned
    lost.down.result(5)
    assert [entry for entry in log if entry.startswith("set")] == ["set 1"]


# -- who waits for whom


def test_forty_readers_get_one_turn_after_eight_calls_of_the_holder(lab: Lab, gate: Gate) -> None:
    """All of them wait already, the holder's calls behind them."""
    log: list[str] = []
    valve = lab.add("valve", Valve, log)
    flooded = threading.Event()

    def body(valve: Valve) -> None:
        ask(valve.block, gate)
        assert flooded.wait(5)
        for number in range(40):
            ask(valve.set, number)
        gate.open()

    run = lab.start(body, valve)
    gate.reached()
    readers = [ask(valve.level, number) for number in range(40)]
    flooded.set()
    run.result(5)
    assert [reader.result(5) for reader in readers] == list(range(40))
    order = [entry.split()[0] for entry in log if entry.startswith(("set", "query"))]
    turns = [place for place, who in enumerate(order) if who == "query"]
    while turns[-2] == turns[-1] - 1:  # when the holder has no more calls, the readers are alone
        turns.pop()
    assert len(turns) <= 6
    assert all(after - before == 9 for before, after in pairwise(turns[:-1]))


class Watched(Valve):
    """A valve that writes down in which order it serves."""

    def __init__(self, order: list[tuple[str, int]]) -> None:
        super().__init__([])
        self.order = order

    def mark(self, number: int) -> None:
        self.order.append(("holder", number))

    @query
    def read(self, reader: int) -> int:
        self.order.append(("reader", reader))
        return reader


@pytest.fixture
def flooded(lab: Lab) -> Iterator[list[tuple[str, int]]]:
    """Let forty threads read a device as fast as they can, and give the order in which it serves."""
    order: list[tuple[str, int]] = []
    valve = lab.add("valve", Watched, order)
    over = threading.Event()
    reading = threading.Semaphore(0)
    wrong: list[int] = []

    def flood(reader: int) -> None:
        while not over.is_set():
            if valve.read(reader) != reader:
                wrong.append(reader)
            reading.release()

    threads = [threading.Thread(target=flood, args=(number,), name=f"actorlab-reader-{number}") for number in range(40)]
    for thread in threads:
        thread.start()
    for _ in threads:
        assert reading.acquire(timeout=5)
    yield order
    over.set()
    for thread in threads:
        thread.join(10)
    assert wrong == []
    assert sum(who == "reader" for who, _ in order) > 40, "they were answered meanwhile"


def test_forty_readers_that_flood_a_held_device_delay_a_call_by_no_more_than_the_query_in_progress(
    lab: Lab, flooded: list[tuple[str, int]]
) -> None:
    """From the moment a call of the holder is in the mailbox, at most two queries begin before it.

    One was taken from the mailbox before; and after eight calls of the holder one of the others has its turn.
    """

    def body(valve: Watched) -> None:
        for number in range(200):
            call = ask(valve.mark, number)
            flooded.append(("sent", number))
            call.result(5)

    lab.run(body, lab.device("valve"))
    order = list(flooded)
    spans = [(order.index(("sent", number)), order.index(("holder", number))) for number in range(200)]
    delays = [sum(who == "reader" for who, _ in order[sent:begun]) for sent, begun in spans if sent < begun]
    assert delays, "the holder never had to wait: nothing was tried"
    assert max(delays) <= 2


# -- nothing twice, nothing left out


@pytest.mark.parametrize("direct", [False, True])
def test_setting_the_same_value_twice_reaches_the_instrument_twice(lab: Lab, *, direct: bool) -> None:
    log: list[str] = []

    class Written(Valve):
        @property
        def pressure(self) -> float:
            return 1.0

        @pressure.setter
        def pressure(self, bar: float) -> None:
            log.append(f"pressure {bar}")

    def body(valve: Any) -> None:
        for _ in range(3):
            valve.pressure = 1.0
            valve.set(1)
            ask(valve.set, 2)

    valve = lab.add("valve", DeviceConfig(direct=direct)(Written), log)
    lab.run(body, valve)
    for _ in range(2):
        valve.pressure = 1.0
        valve.set(1)
    assert log[2:] == ["pressure 1.0", "set 1", "set 2"] * 3 + ["pressure 1.0", "set 1"] * 2


def test_connect_and_disconnect_are_called_once_in_each_life_whatever_ends_it() -> None:
    lives: list[list[str]] = []

    class Counted(Valve):
        def __init__(self) -> None:
            lives.append([])
            super().__init__(lives[-1])

    with Lab(cancel_grace=0.3) as lab:
        valve = lab.add("valve", DeviceConfig(restart=QUICKLY)(Counted))
        valve.set(1)
        lab.restart("valve")
        with pytest.raises(DeviceFault):
            valve.break_down()
        came_back(lab)
        lab.run(lambda valve: valve.set(2), valve)
        with pytest.raises(ZeroDivisionError):
            lab.run(lambda _: 1 / 0, valve)
        lab.emergency_stop("smoke").result(5)
        lab.rearm()
        lab.remove("valve")
        again = lab.add("valve", Counted)
        again.set(3)
    assert len(lives) == 4
    for life in lives:
        assert (life.count("connected"), life.count("closed")) == (1, 1)
        assert (life[0], life[1], life[-1]) == ("made", "connected", "closed")


def came_back(lab: Lab, name: str = "valve") -> None:
    """Wait until a device serves again."""
    ready = threading.Event()
    lab.ask(lambda: lab.lab_actor.lives.when_ready([lab.cells[name]], lambda _: ready.set()))
    assert ready.wait(5)


# -- emergency stop


class Worker(Valve):
    """A valve at work that never ends by itself; it tells when it has begun and when it is told to end."""

    def __init__(self, log: list[str], begun: threading.Semaphore, told: threading.Semaphore, hang: Gate) -> None:
        super().__init__(log)
        self.begun = begun
        self.told = told
        self.hang = hang

    def work(self) -> None:
        self.begun.release()
        try:
            self.go_on()
        finally:
            self.log.append("told")
            self.told.release()

    def go_on(self) -> None:
        while True:
            sleep(60)


class Interruptible(Worker):
    """One whose driver waits by itself, and can be interrupted."""

    def __init__(self, log: list[str], begun: threading.Semaphore, told: threading.Semaphore, hang: Gate) -> None:
        super().__init__(log, begun, told, hang)
        self.stopped = threading.Event()

    def go_on(self) -> None:
        assert self.stopped.wait(30)

    def interrupt(self) -> None:
        self.stopped.set()

    def resync(self) -> None: ...


class Hanging(Worker):
    """One whose driver hangs."""

    def go_on(self) -> None:
        self.hang.stop()


def test_an_emergency_stop_with_two_hundred_busy_devices_tells_all_of_them_and_names_those_that_hang(
    lab: Lab, gate: Gate
) -> None:
    """Most wait in `sleep`, some in their drivers, some hang."""
    kinds = [Hanging] * 10 + [Interruptible] * 40 + [Worker] * 150
    names = [f"valve{number}" for number in range(len(kinds))]
    logs: list[list[str]] = [[] for _ in kinds]
    begun, told = threading.Semaphore(0), threading.Semaphore(0)
    for name, kind, log in zip(names, kinds, logs, strict=True):
        config = DeviceConfig(safe_timeout=0.5 if kind is Hanging else 30.0)
        ask(lab.add(name, config(kind), log, begun, told, gate).work)
    for _ in kinds:
        assert begun.acquire(timeout=10)
    began = time.monotonic()
    stopping = lab.emergency_stop("smoke")
    for _ in range(190):
        assert told.acquire(timeout=10), "not all were told"
    outcome = stopping.result(20)
    assert time.monotonic() - began < 20
    assert set(outcome) == set(names)
    lost = [name for name in names if outcome[name] is not None]
    assert lost == names[:10]
    assert all("couldn't be made safe within 0.5 s" in str(outcome[name]) for name in lost)
    assert all(log[-2:] == ["told", "safe"] for log in logs[10:])
    assert [name for name in names if lab.status(name).state == "quarantined"] == lost
    for name in (names[0], names[-1]):
        with pytest.raises(DeviceUnavailable):
            lab.device(name).set(1)


def test_after_an_emergency_stop_the_devices_of_a_run_that_ended_by_it_serve_again(lab: Lab, gate: Gate) -> None:
    log: list[str] = []
    held, lent, idle = (lab.add(name, Valve, log) for name in ("held", "lent", "idle"))

    def child(valve: Valve) -> None:
        gate.arrive()
        valve.nap(gate)

    def body(held: Valve, lent: Valve) -> None:
        held.set("by the run")
        lab.run(child, lent)

    run = lab.start(body, held, lent)
    gate.reached()
    assert lab.emergency_stop("smoke").result(5) == {"held": None, "lent": None, "idle": None}
    assert run.exception(5) is not None
    for valve in (held, lent, idle):
        with pytest.raises(ActorLabError, match="emergency stop: smoke"):
            valve.set("too early")
    lab.rearm()
    for valve in (held, lent, idle):
        assert valve.set("again") == "again"
        assert lab.run(lambda valve: valve.set("by a run"), valve) == "by a run"
    assert "set too early" not in log


# -- and worse


def test_a_driver_whose_errors_can_not_even_be_written(lab: Lab, bystander: Bystander) -> None:
    class Unspeakable(ConnectionError):
        def __str__(self) -> str:
            message = "no words"
            raise ValueError(message)

    class Refusal(Exception):
        __str__ = Unspeakable.__str__

    class Speechless(Valve):
        def fail(self) -> None:
            raise Unspeakable

        def refuse(self) -> None:
            raise Refusal

    valve = lab.add("valve", DeviceConfig(restart=QUICKLY)(Speechless), [])
    assert isinstance(ask(valve.refuse).exception(5), Refusal)
    assert isinstance(ask(valve.fail).exception(5), DeviceFault)
    came_back(lab)
    assert valve.set(1) == 1
    assert "Unspeakable" in lab.status("valve").last_error
    bystander.notices_nothing()


def test_forty_readers_do_not_keep_a_holders_call_from_ending_its_sleep(lab: Lab) -> None:
    """There is always a query that waits, since each takes a moment."""

    class Oven(Valve):
        def heat(self) -> str:
            heating.set()
            for _ in range(5):
                sleep(0.01)
            return "hot"

        @query
        def read(self, reader: int) -> int:
            heating.wait(0)
            over.wait(0.002)
            return reader

    over, heating = threading.Event(), threading.Event()
    oven = lab.add("oven", Oven, [])

    def flood(reader: int) -> None:
        while not over.is_set():
            oven.read(reader)

    threads = [threading.Thread(target=flood, args=(number,), name=f"actorlab-reader-{number}") for number in range(40)]
    run = lab.start(lambda oven: oven.heat(), oven)
    assert heating.wait(5)
    for thread in threads:
        thread.start()
    try:
        assert run.result(5) == "hot"
    finally:
        over.set()
        for thread in threads:
            thread.join(5)
