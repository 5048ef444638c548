"""Hold the lab to its limits: who waits for a hung driver is free in time, and the driver's thread can do no more."""

from __future__ import annotations

import asyncio
import logging
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from actorlab import (
    AskDeadlock,
    CallTimeout,
    Cancelled,
    DeviceConfig,
    DeviceQuarantined,
    DeviceUnavailable,
    Lab,
    RestartPolicy,
    Run,
    RunCancelled,
    RunState,
    ask,
    checkpoint,
    perform,
    query,
    sleep,
)
from actorlab.driving.member import Member
from actorlab.runtime import call_limits
from actorlab.runtime.recorder import Recorder

if TYPE_CHECKING:
    from tests.runtime.conftest import Gate

Gates = Callable[[], "Gate"]
Stands = Callable[[str, str], None]
LIMIT = 0.2
MACHINE = 1.0
"""So many seconds a slow machine may add: less than the grace of an interrupted call, which is 2 s."""


class Press:
    """A device that hangs when it is told to, and writes down what it does."""

    def __init__(self, log: list[str]) -> None:
        log.append("made")
        self.log = log

    def hang(self, gate: Gate) -> str:
        gate.stop()
        self.log.append("hung no longer")
        return "late"

    def set(self, level: int) -> int:
        self.log.append(f"set {level}")
        return level

    @query
    def level(self) -> int:
        return len(self.log)

    def make_safe(self) -> None:
        self.log.append("safe")

    def close(self) -> None:
        self.log.append("closed")


class Stoppable(Press):
    """A press whose driver can be interrupted, and brought back into step."""

    def __init__(self, log: list[str]) -> None:
        super().__init__(log)
        self.stopped = threading.Event()

    def wait(self) -> None:
        assert self.stopped.wait(5), "nobody interrupted it"
        message = "stopped"
        raise InterruptedError(message)

    def interrupt(self) -> None:
        self.log.append("interrupted")
        self.stopped.set()

    def resync(self) -> None:
        self.log.append("in step")
        self.stopped.clear()


@contextmanager
def within(limit: float) -> Generator[None]:
    """Fail if the block takes longer than its limit and a tenth, but for what the machine may add."""
    began = time.monotonic()
    yield
    seconds = time.monotonic() - began
    assert seconds < 1.1 * limit + MACHINE, f"a limit of {limit} s took {seconds:.2f} s"


def limited(cls: Any = Press, **config: Any) -> Any:
    given: dict[str, Any] = {"timeout": LIMIT, "safe_timeout": 5.0, **config}
    return DeviceConfig(**given)(cls)


def hold_on(press: Press, gate: Gate) -> None:
    press.hang(gate)


def ended(lab: Lab, name: str) -> None:
    """Wait until the thread of a device's present life has ended, and the lab has heard of it."""
    actor = lab.cells[name].actor
    assert actor is not None
    actor.down.result(5)
    lab.ask(lambda: None)
    lab.ask(lambda: None)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give an interrupted call no two seconds to end, but a tenth of one."""
    monkeypatch.setattr("actorlab.runtime.call_limits.INTERRUPT_GRACE", 0.1)


# -- whoever waits is free in time


def test_what_the_machine_may_add_is_less_than_the_grace() -> None:
    assert 1.1 * LIMIT + MACHINE < call_limits.INTERRUPT_GRACE


@pytest.mark.parametrize(
    "use",
    [
        lambda press, gate: press.hang(gate),
        lambda press, gate: ask(press.hang, gate).result(5),
        lambda press, gate: perform(press, lambda its: its.hang(gate)),
        lambda press, gate: asyncio.run(awaited(press, gate)),
    ],
    ids=["a call", "an ask", "perform", "await"],
)
def test_a_caller_from_outside_is_free_at_the_limit(lab: Lab, gate: Gate, use: Callable[[Any, Any], Any]) -> None:
    press = lab.add("press", limited(), [])
    began = time.monotonic()
    with within(LIMIT), pytest.raises(CallTimeout) as caught:
        use(press, gate)
    assert time.monotonic() - began >= LIMIT
    assert "gate.stop()" in caught.value.stack, "where it hangs"
    assert "actorlab/runtime" not in caught.value.stack, "and not where the framework is"


async def awaited(press: Any, gate: Gate) -> Any:
    return await ask(press.hang, gate)


def test_a_property_that_hangs_frees_its_reader_at_the_limit(lab: Lab, gate: Gate) -> None:
    class Gauge:
        @property
        def pressure(self) -> float:
            gate.stop()
            return 1.0

        @pressure.setter
        def pressure(self, _: float) -> None:
            gate.stop()

    gauge = lab.add("gauge", limited(Gauge))
    with within(LIMIT), pytest.raises(CallTimeout, match=r"gauge\.pressure"):
        gauge.pressure  # noqa: B018 - reading is the subject
    other = lab.add("other", limited(Gauge))
    with within(LIMIT), pytest.raises(CallTimeout, match=r"other\.pressure"):
        other.pressure = 2.0


def test_a_body_is_free_at_the_limit_and_its_run_ends_when_it_is_known_what_became_of_the_device(
    lab: Lab, gate: Gate
) -> None:
    press = lab.add("press", limited(), [])
    seconds: list[float] = []

    def body(press: Press) -> None:
        began = time.monotonic()
        try:
            press.hang(gate)
        finally:
            seconds.append(time.monotonic() - began)

    with pytest.raises(CallTimeout) as caught:
        lab.run(body, press)
    assert LIMIT <= seconds[0] < 1.1 * LIMIT + MACHINE
    assert caught.value.unsafe == ("press",)
    assert lab.status("press").state == "quarantined"


def test_a_body_that_bears_a_hung_call_goes_on_with_its_other_devices(lab: Lab, gate: Gate) -> None:
    log: list[str] = []
    press, other = lab.add("press", limited(), []), lab.add("other", Press, log)

    def body(press: Press, other: Press) -> int:
        with pytest.raises(CallTimeout):
            press.hang(gate)
        return other.set(3)

    with within(LIMIT):
        assert lab.run(body, press, other) == 3
    assert log == ["made", "set 3"]


def test_a_lease_block_is_free_at_the_limit(lab: Lab, gate: Gate) -> None:
    press = lab.add("press", limited(), [])
    with lab.lease(press):
        with within(LIMIT), pytest.raises(CallTimeout):
            press.hang(gate)
        gate.open()


def test_a_query_that_hangs_inside_a_sleep_frees_its_own_caller_and_no_other(lab: Lab, gate: Gate) -> None:
    asleep = threading.Event()

    class Oven(Press):
        def heat(self) -> None:
            asleep.set()
            sleep(60)

        @query
        def stuck(self) -> None:
            gate.stop()

    oven = lab.add("oven", limited(Oven), [])
    heating = ask(oven.heat)
    assert asleep.wait(5)
    with within(LIMIT), pytest.raises(CallTimeout, match=r"oven\.stuck"):
        oven.stuck()
    assert not heating.done()
    gate.open()
    assert oven.level() == 1, "it sleeps on, and answers"
    assert not heating.cancel(), "it had begun"
    assert isinstance(heating.exception(5), Cancelled)


def test_an_interrupt_that_hangs_itself_holds_nobody(lab: Lab, gates: Gates) -> None:
    hang, interrupted = gates(), gates()

    class Stubborn(Press):
        def interrupt(self) -> None:
            interrupted.stop()

    press = lab.add("press", limited(Stubborn), [])
    with within(LIMIT), pytest.raises(CallTimeout):
        press.hang(hang)
    interrupted.reached()
    other = lab.add("other", limited(Stoppable), [])
    with within(LIMIT), pytest.raises(CallTimeout):
        other.wait()
    assert other.set(1) == 1


# -- connect, disconnect, make safe, close


@pytest.mark.parametrize("place", ["__init__", "connect"])
def test_adding_a_device_that_hangs_takes_its_limit(lab: Lab, gate: Gate, place: str) -> None:
    def hang(*_: object) -> None:
        gate.stop()

    hanging = type("Hanging", (), {place: hang})
    with within(LIMIT), pytest.raises(DeviceUnavailable, match=r"press .*hasn't connected within 0\.2 s"):
        lab.add("press", limited(hanging))
    status = lab.status("press")
    assert status.state == "quarantined"
    assert "gate.stop()" in status.abandoned[0].stack
    with pytest.raises(DeviceQuarantined, match=r"gate\.stop\(\)"):
        lab.reset("press")


def test_adding_an_optional_device_that_hangs_takes_its_limit_and_no_error(lab: Lab, gate: Gate) -> None:
    class Hanging(Press):
        def connect(self) -> None:
            gate.stop()

    with within(LIMIT):
        press = lab.add("press", limited(Hanging, optional=True), [])
    with pytest.raises(DeviceQuarantined, match=r"hasn't connected within 0\.2 s"):
        press.set(1)


def test_removing_a_device_whose_disconnect_hangs_takes_its_limit(lab: Lab, gate: Gate) -> None:
    class Hanging(Press):
        def disconnect(self) -> None:
            gate.stop()

    lab.add("press", limited(Hanging, safe_timeout=LIMIT), [])
    with within(LIMIT), pytest.raises(DeviceQuarantined, match="doesn't stop"):
        lab.remove("press")
    assert "gate.stop()" in lab.status("press").abandoned[0].stack


def test_removing_a_device_in_a_call_that_hangs_takes_its_limit(lab: Lab, gate: Gate) -> None:
    press = lab.add("press", limited(timeout=60.0, safe_timeout=LIMIT), [])
    reply = ask(press.hang, gate)
    gate.reached()
    with within(LIMIT), pytest.raises(DeviceQuarantined, match="doesn't stop"):
        lab.remove("press")
    assert isinstance(reply.exception(5), CallTimeout)


def test_a_wait_for_a_removal_ends_when_its_caller_says_so(lab: Lab, gate: Gate) -> None:
    press = lab.add("press", limited(timeout=60.0), [])
    reply = ask(press.hang, gate)
    gate.reached()
    with within(LIMIT), pytest.raises(TimeoutError):
        lab.remove("press", timeout=LIMIT)
    gate.open()
    reply.exception(5)


def test_a_make_safe_that_hangs_holds_the_end_of_its_run_for_its_limit(lab: Lab, gate: Gate) -> None:
    class Hanging(Press):
        def make_safe(self) -> None:
            gate.stop()

    def body(press: Press) -> None:
        del press
        raise ZeroDivisionError

    press = lab.add("press", limited(Hanging, timeout=60.0, safe_timeout=LIMIT), [])
    with within(LIMIT), pytest.raises(ZeroDivisionError) as caught:
        lab.run(body, press)
    assert caught.value.unsafe == ("press",)  # type: ignore[attr-defined]  # set by the run


def test_closing_a_lab_in_which_all_hangs_takes_the_time_it_is_given(
    gates: Gates, caplog: pytest.LogCaptureFixture
) -> None:
    """Devices in a call, in a disconnect and in a run, each with bounds far beyond the time for all."""
    last, *each = (gates() for _ in range(5))

    class Hanging(Press):
        def close(self) -> None:
            last.stop()

    lab = Lab("doomed", cancel_grace=60.0)
    names = [f"press{number}" for number in range(4)]
    presses = [lab.add(name, limited(timeout=60.0, safe_timeout=60.0), []) for name in names]
    lab.add("last", limited(Hanging, safe_timeout=60.0), [])
    for press, gate in zip(presses[:2], each[:2], strict=True):
        ask(press.hang, gate)
    for press, gate in zip(presses[2:], each[2:], strict=True):
        lab.start(hold_on, press, gate)
    for gate in each:
        gate.reached()
    with caplog.at_level(logging.ERROR), within(0.5):
        lab.close(timeout=0.5)
    for name in names:
        assert f"{name} was given up" in caplog.text


def test_closing_a_lab_disconnects_those_that_do_not_hang(gate: Gate) -> None:
    logs: list[list[str]] = [[] for _ in range(4)]
    lab = Lab("half", cancel_grace=0.2)
    good = [lab.add(f"good{number}", Press, log) for number, log in enumerate(logs)]
    bad = lab.add("bad", limited(timeout=60.0, safe_timeout=LIMIT), [])
    ask(bad.hang, gate)
    gate.reached()
    assert good[0].set(1) == 1
    with within(0.5):
        lab.close()
    assert [log[-1] for log in logs] == ["closed"] * 4


# -- while it hangs, nobody else gets the device


def freed(press: Any, gate: Gate) -> None:
    """Have a caller freed from a call which hangs on at a gate."""
    with pytest.raises(CallTimeout, match="was told to end and hasn't yet"):
        press.hang(gate)


def test_a_run_that_wants_a_device_with_a_freed_call_waits_and_says_why(lab: Lab, gate: Gate) -> None:
    log: list[str] = []
    press = lab.add("press", limited(), log)
    freed(press, gate)
    run = lab.start(lambda press: press.set(1), press)
    assert run.reasons == (f"{run.id} waits for press, which doesn't serve now",)
    assert run.state is RunState.WAITING
    assert lab.status("press").in_progress.startswith("hang(<Gate>) for ")
    assert log == ["made"]
    gate.open()
    assert run.result(5) == 1
    assert log == ["made", "hung no longer", "set 1"]
    assert lab.status("press").restarts == 0


def test_a_late_value_is_nobodys(lab: Lab, gate: Gate) -> None:
    press = lab.add("press", limited(), [])
    reply = ask(press.hang, gate)
    assert isinstance(reply.exception(5), CallTimeout)
    gate.open()
    assert press.set(1) == 1
    assert isinstance(reply.exception(0), CallTimeout)


def test_a_call_that_can_be_interrupted_ends_at_its_limit_and_is_brought_into_step_before_anything_else(
    lab: Lab,
) -> None:
    log: list[str] = []
    press = lab.add("press", limited(Stoppable), log)
    waiting = ask(press.wait)
    after = ask(press.set, 1)
    error = waiting.exception(5)
    assert isinstance(error, CallTimeout)
    assert "was interrupted" in str(error)
    assert "self.stopped.wait" in error.stack
    assert after.result(5) == 1
    assert log == ["made", "interrupted", "in step", "set 1"]
    assert lab.run(lambda press: press.set(2), press) == 2
    assert lab.status("press").restarts == 0


def test_one_that_can_not_be_brought_into_step_gets_a_new_life(lab: Lab) -> None:
    class Lost(Stoppable):
        resync = None  # type: ignore[assignment]  # there is none

    log: list[str] = []
    press = lab.add("press", limited(Lost, restart=RestartPolicy(delay=0.01)), log)
    with pytest.raises(CallTimeout):
        press.wait()
    assert lab.start(lambda press: press.set(1), press).result(5) == 1
    assert log == ["made", "interrupted", "closed", "made", "safe", "set 1"]


def test_what_waits_behind_a_hung_call_begins_when_that_has_ended(lab: Lab, gate: Gate) -> None:
    log: list[str] = []
    press = lab.add("press", limited(), log)
    hanging, behind = ask(press.hang, gate), ask(press.set, 1)
    assert isinstance(hanging.exception(5), CallTimeout)
    assert not behind.begun
    gate.open()
    assert behind.result(5) == 1
    assert log == ["made", "hung no longer", "set 1"]


@pytest.mark.usefixtures("impatient")
def test_what_waits_behind_a_call_that_is_given_up_never_begins(lab: Lab, gate: Gate) -> None:
    log: list[str] = []
    press = lab.add("press", limited(), log)
    hanging = ask(press.hang, gate)
    gate.reached()
    behind = ask(press.set, 1)
    run = lab.start(lambda press: press.set(2), press)
    assert isinstance(hanging.exception(5), CallTimeout)
    assert behind.exception(5) is not None
    assert run.exception(5) is not None
    gate.open()
    ended(lab, "press")
    assert log == ["made", "hung no longer", "closed"]


# -- the waiting limit


def test_a_call_that_waits_longer_than_its_waiting_limit_never_begins_though_the_device_serves_again(
    lab: Lab, gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("actorlab.runtime.calls.OUTSIDE_WAITING", 0.05)
    log: list[str] = []
    press = lab.add("press", limited(timeout=60.0), log)
    hanging = ask(press.hang, gate)
    gate.reached()
    with within(0.05), pytest.raises(CallTimeout, match=r"press\.set hadn't begun after 0\.05 s and now never will"):
        press.set(1)
    with within(0.05), pytest.raises(CallTimeout, match="never will"):
        ask(press.set, 2).result(5)
    with within(0.05), pytest.raises(CallTimeout, match="never will"):
        press.level()
    assert not hanging.done(), "it isn't disturbed"
    gate.open()
    assert hanging.result(5) == "late"
    assert press.set(3) == 3
    assert log == ["made", "hung no longer", "set 3"]


def test_a_call_in_a_run_waits_for_the_runs_own_earlier_calls_without_a_limit(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("actorlab.runtime.calls.OUTSIDE_WAITING", 0.02)
    log: list[str] = []
    press = lab.add("press", limited(), log)
    slept = threading.Event()

    def body(press: Press) -> int:
        def slowly(press: Press) -> None:
            del press
            for _ in range(4):
                sleep(0.1)  # each is shorter than the running limit, all of them are longer
            slept.set()

        thread = threading.Thread(target=perform, args=(press, slowly), name="actorlab-of-the-body")
        thread.start()
        try:
            return press.set(1)
        finally:
            thread.join(5)

    assert lab.run(body, press) == 1
    assert slept.is_set()


# -- a call that hangs on is given up


@pytest.mark.usefixtures("impatient")
def test_a_device_is_given_up_quarantined_and_named_with_its_stack_until_its_thread_has_ended(
    lab: Lab, gate: Gate, stands: Stands
) -> None:
    log: list[str] = []
    press = lab.add("press", limited(), log)
    waiting: list[Run[Any]] = []

    def body(press: Press) -> None:
        waiting.append(lab.start(lambda: None))
        press.hang(gate)

    with pytest.raises(CallTimeout) as caught:
        lab.run(body, press)
    assert caught.value.unsafe == ("press",)
    stands("press", "quarantined")
    status = lab.status("press")
    assert status.owes_safe
    assert "hang took longer than 0.2 s and couldn't be interrupted" in status.why
    (lost,) = status.abandoned
    assert lost.thread == "press"
    assert "gate.stop()" in lost.stack
    for _ in range(2):
        with pytest.raises(DeviceQuarantined, match=r"(?s)old life hasn't ended.*gate\.stop\(\)"):
            lab.reset("press")
    with pytest.raises(DeviceQuarantined, match=r"lab\.reset\('press'\)"):
        press.set(1)
    assert log == ["made"]
    gate.open()
    ended(lab, "press")
    assert lab.status("press").abandoned == ()
    assert lab.status("press").state == "quarantined", "until somebody answers for it"
    lab.reset("press")
    assert log == ["made", "hung no longer", "closed", "made", "safe"], "it owed that"
    assert not lab.status("press").owes_safe
    assert press.set(1) == 1
    assert lab.run(lambda press: press.set(2), press) == 2


@pytest.mark.usefixtures("impatient")
def test_by_the_operators_word_a_new_life_begins_beside_the_thread_that_hangs(
    lab: Lab, gate: Gate, stands: Stands
) -> None:
    log: list[str] = []
    press = lab.add("press", limited(), log)
    with pytest.raises(CallTimeout):
        press.hang(gate)
    stands("press", "quarantined")
    assert lab.status("press").owes_safe
    lab.reset("press", force=True)
    assert press.set(1) == 1
    assert log == ["made", "made", "safe", "set 1"]
    assert "gate.stop()" in lab.status("press").abandoned[0].stack, "it is still named"
    old = lab.cells["press"].abandoned[0]
    gate.open()
    old.down.result(5)
    assert lab.status("press").abandoned == ()
    assert lab.status("press").state == "idle", "the end of the old thread is no end of the new life"
    assert press.set(2) == 2


@pytest.mark.usefixtures("impatient")
def test_an_abandoned_thread_can_do_nothing_more_through_the_framework(lab: Lab, gate: Gate, stands: Stands) -> None:
    other = lab.add("other", Press, [])
    tried: dict[str, BaseException | str] = {}

    class Wily(Press):
        def hang_and_try(self) -> str:
            gate.stop()
            for name, verb in verbs.items():
                try:
                    verb()
                    tried[name] = "nothing happened"
                except BaseException as error:  # noqa: BLE001 - which one is the subject
                    tried[name] = error
            return "late"

    press = lab.add("press", limited(Wily), [])
    held = lab.start(lambda other: gate.stop(), other)  # noqa: ARG005 - it only holds the device
    verbs: dict[str, Callable[[], Any]] = {
        "sleep": partial(sleep, 0.0),
        "checkpoint": checkpoint,
        "run": lambda: lab.run(sum, [1]),
        "start": lambda: lab.start(sum, [1]),
        "lease": lambda: lab.lease(other),
        "call": lambda: other.set(1),
        "query": other.level,
        "itself": lambda: press.set(1),
    }
    reply = ask(press.hang_and_try)
    error = reply.exception(5)
    assert isinstance(error, CallTimeout)
    stands("press", "quarantined")
    gate.open()
    ended(lab, "press")
    for verb in ("sleep", "checkpoint"):
        assert isinstance(tried.pop(verb), Cancelled)
    assert {name: type(outcome) for name, outcome in tried.items()} == dict.fromkeys(tried, AskDeadlock)
    assert reply.exception(0) is error, "its late result is nobody's"
    held.result(5)
    assert other.log == ["made"]
    assert lab.run(lambda other: other.set(2), other) == 2


@pytest.mark.parametrize(
    ("hook", "end"),
    [
        ("connect", lambda lab: lab.status("press")),
        ("make_safe", lambda lab: lab.emergency_stop("smoke").result(5)),
        ("disconnect", lambda lab: lab.remove("press")),
    ],
)
def test_a_hook_that_was_given_up_can_do_nothing_more_either(
    lab: Lab, gate: Gate, stands: Stands, hook: str, end: Callable[[Lab], object]
) -> None:
    tried: list[BaseException | None] = []

    def hang(*_: object) -> None:
        gate.stop()
        try:
            sleep(0.0)
            tried.append(None)
        except BaseException as error:  # noqa: BLE001 - which one is the subject
            tried.append(error)

    hanging = type("Hanging", (), {hook: hang})
    with suppress(DeviceUnavailable):
        lab.add("press", limited(hanging, safe_timeout=LIMIT))
        end(lab)
    stands("press", "quarantined")
    gate.open()
    ended(lab, "press")
    assert isinstance(tried[0], Cancelled)


@pytest.mark.usefixtures("impatient")
def test_what_an_abandoned_thread_raises_or_breaks_disturbs_nobody(lab: Lab, gate: Gate, stands: Stands) -> None:
    class Breaking(Press):
        def hang_and_break(self) -> None:
            gate.stop()
            raise ConnectionResetError

    press = lab.add("press", limited(Breaking), [])
    with pytest.raises(CallTimeout):
        press.hang_and_break()
    stands("press", "quarantined")
    lab.reset("press", force=True)
    old = lab.cells["press"].abandoned[0]
    gate.open()
    old.down.result(5)
    lab.ask(lambda: None)
    assert press.set(1) == 1
    assert (lab.status("press").state, lab.status("press").restarts) == ("idle", 1)


@pytest.mark.usefixtures("impatient")
def test_others_go_on_while_a_device_hangs_and_when_it_is_given_up(lab: Lab, gates: Gates, stands: Stands) -> None:
    first, second = gates(), gates()
    presses = [lab.add(f"press{number}", limited(), []) for number in range(2)]
    log: list[str] = []
    other = lab.add("other", Press, log)
    replies = [ask(press.hang, gate) for press, gate in zip(presses, (first, second), strict=True)]
    assert other.set(1) == 1
    for reply in replies:
        assert isinstance(reply.exception(5), CallTimeout)
    assert lab.run(lambda other: other.set(2), other) == 2
    stands("press0", "quarantined")
    stands("press1", "quarantined")
    assert other.set(3) == 3
    assert log == ["made", "set 1", "set 2", "set 3"]


def test_a_cancelled_run_whose_device_hangs_ends_bounded_and_names_it(lab: Lab, gate: Gate) -> None:
    """Nothing can interrupt the call, so after the grace the run is fenced, and its device can't be made safe."""
    press = lab.add("press", limited(timeout=60.0, safe_timeout=LIMIT), [])
    run = lab.start(lambda press: press.hang(gate), press)
    gate.reached()
    with within(lab.cancel_grace + LIMIT):
        run.cancel()
        error = run.exception(5)
    assert isinstance(error, RunCancelled)
    assert error.unsafe == ("press",)
    assert lab.status("press").state == "quarantined"


# -- and the program can end


LEFT = """
import threading
from actorlab import CallTimeout, DeviceConfig, Lab, ask

class Stuck:
    def hang(self):
        threading.Event().wait()

    def spin(self):
        while True:
            pass

    def close(self):
        threading.Event().wait()
"""

BY_WITH = """
with Lab(cancel_grace=0.2) as lab:
    stuck = lab.add("stuck", DeviceConfig(timeout=0.1, safe_timeout=0.2)(Stuck))
    try:
        stuck.VERB()
    except CallTimeout:
        print("free", flush=True)
print("left", flush=True)
"""

BY_THE_END = """
lab = Lab(cancel_grace=0.2)
stuck = lab.add("stuck", DeviceConfig(timeout=0.1, safe_timeout=0.2)(Stuck))
try:
    stuck.VERB()
except CallTimeout:
    print("free", flush=True)
print("left", flush=True)
"""


@pytest.mark.parametrize("verb", ["hang", "spin"])
@pytest.mark.parametrize(
    ("ending", "code", "said"),
    [(BY_WITH, 1, "free\n"), (BY_THE_END, 0, "free\nleft\n")],
    ids=["its lab is closed", "it just ends"],
)
def test_a_program_with_a_hung_driver_ends(ending: str, code: int, said: str, verb: str) -> None:
    script = LEFT + ending.replace("VERB", verb)
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=30, check=False)
    assert (done.returncode, done.stdout) == (code, said), done.stderr
    if code:
        assert "stuck was given up: it doesn't stop" in done.stderr, "and that is no success"


# -- at the same moment, and once more


def test_whoever_is_answered_by_anothers_execution_is_free_at_the_limit_too(lab: Lab, gates: Gates) -> None:
    first, hang = gates(), gates()

    class Gauge(Press):
        @query
        def pressure(self) -> None:
            hang.stop()

    gauge = lab.add("gauge", limited(Gauge), [])
    blocking = ask(gauge.hang, first)
    first.reached()
    replies = [ask(gauge.pressure) for _ in range(3)]
    with within(2 * LIMIT):
        first.open()
        blocking.exception(5)
        for reply in replies:
            assert isinstance(reply.exception(5), CallTimeout)
    hang.open()
    assert gauge.level() == 2


def test_a_call_that_ends_at_the_moment_at_which_its_caller_is_freed_leaves_the_device_in_service(
    lab: Lab, gates: Gates, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The driver's thread stands just before it answers, when the deciding thread answers."""
    monkeypatch.setattr("actorlab.runtime.call_limits.TOLERANCE", 5.0)  # there is a second to come in between
    hang, answering = gates(), gates()
    note = Recorder.note

    def stand(its: Recorder, member: Member, *rest: Any) -> None:
        if member.name == "hang":
            answering.stop()
        note(its, member, *rest)

    monkeypatch.setattr(Recorder, "note", stand)
    press = lab.add("press", limited(), [])
    call: Any = ask(press.hang, hang)
    while not call.why and not call.done():
        pass
    hang.open()
    answering.reached()
    assert isinstance(call.exception(5), CallTimeout)
    answering.open()
    assert lab.start(lambda press: press.set(1), press).result(5) == 1


def test_a_resync_that_hangs_frees_the_caller_and_is_given_up(
    lab: Lab, gate: Gate, stands: Stands, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("actorlab.runtime.call_limits.INTERRUPT_GRACE", 0.1)
    begun = threading.Event()

    class Lost(Stoppable):
        def wait(self) -> None:
            begun.set()
            super().wait()

        def resync(self) -> None:
            gate.stop()

    press = lab.add("press", limited(Lost), [])
    reply = ask(press.wait)
    assert begun.wait(5)
    with within(LIMIT):
        assert not reply.cancel(), "it had begun"
        assert isinstance(reply.exception(5), CallTimeout)
    stands("press", "quarantined")


def test_a_device_that_connected_too_late_can_be_reset(lab: Lab, gate: Gate) -> None:
    slow = [True]

    class Slow(Press):
        def connect(self) -> None:
            if slow:
                gate.stop()

    log: list[str] = []
    with pytest.raises(DeviceUnavailable):
        lab.add("press", limited(Slow), log)
    with pytest.raises(DeviceQuarantined, match=r"gate\.stop\(\)"):
        lab.reset("press")
    slow.clear()
    gate.open()
    ended(lab, "press")
    assert lab.status("press").state == "quarantined"
    lab.reset("press")
    assert lab.device("press").set(1) == 1
    assert log == ["made", "closed", "made", "safe", "set 1"]


def test_an_object_that_was_made_too_late_is_not_connected(lab: Lab, gate: Gate) -> None:
    log: list[str] = []

    class Slow(Press):
        def __init__(self) -> None:
            gate.stop()
            super().__init__(log)

        def connect(self) -> None:
            log.append("connected")

    with pytest.raises(DeviceUnavailable):
        lab.add("press", limited(Slow))
    gate.open()
    ended(lab, "press")
    assert "connected" not in log


@pytest.mark.usefixtures("impatient")
def test_a_device_that_is_given_up_for_two_reasons_is_named_once(lab: Lab, gate: Gate) -> None:
    """Its call takes too long, and it doesn't stop for a restart."""
    press = lab.add("press", limited(safe_timeout=0.6), [])
    reply = ask(press.hang, gate)
    gate.reached()
    with pytest.raises(DeviceQuarantined):
        lab.restart("press")
    assert isinstance(reply.exception(5), CallTimeout)
    over = threading.Event()
    lab.ask(lambda: lab.decider.after(0.7, lambda _: over.set()))
    assert over.wait(5)
    assert len(lab.status("press").abandoned) == 1
    assert "took longer than 0.2 s" in lab.status("press").why


@pytest.mark.usefixtures("impatient")
def test_a_device_whose_old_thread_hangs_is_not_removed_and_says_so_at_once(
    lab: Lab, gate: Gate, stands: Stands
) -> None:
    press = lab.add("press", limited(safe_timeout=LIMIT), [])
    with pytest.raises(CallTimeout):
        press.hang(gate)
    stands("press", "quarantined")
    with within(LIMIT), pytest.raises(DeviceQuarantined, match=r"(?s)can't be removed.*gate\.stop\(\)"):
        lab.remove("press")
    gate.open()
    ended(lab, "press")
    lab.remove("press")
    assert lab.add("press", Press, []).set(1) == 1


# -- Ctrl-C


@contextmanager
def ctrl_c_after(seconds: float) -> Generator[None]:
    """Interrupt the main thread once, within the block, and take the interrupt."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        with pytest.raises(KeyboardInterrupt):  # noqa: PT012 - the block is the subject
            signal.setitimer(signal.ITIMER_REAL, seconds)
            yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="this system has no interval timers")
@pytest.mark.timeout(60, method="thread")  # the alarm is ours
@pytest.mark.usefixtures("impatient")
def test_a_hung_call_whose_caller_was_interrupted_is_given_up_all_the_same(
    lab: Lab, gate: Gate, stands: Stands
) -> None:
    press = lab.add("press", limited(timeout=0.4), [])
    with ctrl_c_after(0.1):
        press.hang(gate)
    stands("press", "quarantined")


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="this system has no interval timers")
@pytest.mark.timeout(60, method="thread")  # the alarm is ours
def test_a_device_whose_adding_was_interrupted_is_there_and_can_be_removed(lab: Lab, gate: Gate) -> None:
    class Slow(Press):
        def connect(self) -> None:
            gate.stop()

    with ctrl_c_after(0.1):
        lab.add("press", Slow, [])
    assert lab.status("press").state == "connecting"
    gate.open()
    assert lab.run(lambda press: press.set(1), lab.device("press")) == 1
    lab.remove("press")
    assert lab.add("press", Slow, []).set(1) == 1
