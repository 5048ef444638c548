"""Hold the runtime to its leases: arguments are the lease, holders never wait, the device refuses everybody else."""

from __future__ import annotations

import copy
import logging
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from actorlab import (
    ActorLabError,
    DeviceBusy,
    Lab,
    LeaseTimeout,
    NotLeased,
    RunCancelled,
    RunState,
    Shared,
    ask,
    query,
    sleep,
    task,
)
from actorlab.driving.member import Member
from actorlab.kernel import HOLDER
from actorlab.runtime.calls import Call
from actorlab.simulation import Bench, Oven

if TYPE_CHECKING:
    from tests.runtime.conftest import Gate


class Lamp:
    """A device that writes down what it does."""

    def __init__(self, log: list[str]) -> None:
        self.log = log

    def set(self, level: int) -> int:
        self.log.append(f"set {level}")
        return level

    @query
    def level(self) -> int:
        return len(self.log)

    def make_safe(self) -> None:
        self.log.append("safe")


def light(lamp: Lamp, level: int) -> int:
    return lamp.set(level)


def hold(lamp: Lamp, gate: Gate) -> None:
    del lamp
    gate.stop()


def hold_both(first: Lamp, second: Lamp, gate: Gate) -> None:
    del first, second
    gate.stop()


# -- who waits, and what he hears


def test_a_queued_run_touches_nothing_and_says_who_it_waits_for(lab: Lab, gate: Gate) -> None:
    log: list[str] = []
    lamp = lab.add("lamp", Lamp, log)
    holder = lab.start(hold, lamp, gate)
    gate.reached()
    queued = lab.start(light, lamp, 3)
    (reason,) = queued.reasons
    assert reason == f"{queued.id} waits for lamp, held by {holder.id}"
    assert (reason.kind, reason.run, reason.resource, reason.by) == ("held", queued.id, "lamp", (holder.id,))
    assert copy.copy(reason).data == reason.data  # as it is pickled
    assert queued.state is RunState.WAITING
    assert log == []
    gate.open()
    assert queued.result(5) == 3
    assert not queued.reasons
    assert log == ["set 3"]


def test_a_run_of_several_devices_takes_none_before_it_can_have_all(lab: Lab, gate: Gate) -> None:
    log: list[str] = []
    first, second = lab.add("first", Lamp, log), lab.add("second", Lamp, log)
    lab.start(hold, first, gate)
    gate.reached()
    both = lab.start(hold_both, first, second, gate)
    assert both.reasons
    assert second.set(1) == 1, "nobody holds it yet"
    gate.open()
    both.result(5)


def test_a_command_from_outside_a_lease_names_the_holder_and_who_waits(lab: Lab, gate: Gate) -> None:
    log: list[str] = []
    lamp = lab.add("lamp", Lamp, log)
    holder = lab.start(hold, lamp, gate)
    gate.reached()
    queued = lab.start(light, lamp, 3)
    assert queued.reasons
    with pytest.raises(DeviceBusy, match=rf"lamp\.set .* held by {holder.id}; {queued.id} waits for it too"):
        lamp.set(1)
    assert lamp.level() == 0, "queries are answered"
    assert log == []


def test_a_command_sent_before_the_grant_is_refused_by_the_device_itself(lab: Lab, gates: Callable[[], Gate]) -> None:
    """It waits in the mailbox while somebody gets the lease, and is judged as it begins."""
    busy, holding = gates(), gates()
    log: list[str] = []

    class Slow(Lamp):
        @query
        def slowly(self) -> None:
            busy.stop()

    lamp = lab.add("lamp", Slow, log)
    reader = threading.Thread(target=lamp.slowly)
    reader.start()
    busy.reached()
    errors: list[BaseException] = []
    sent = threading.Event()

    def command() -> None:
        call = Call(HOLDER + 1, None, lab.cells["lamp"], Member("set", query=False, action=_set), (9,), {})
        lab.cells["lamp"].mailbox.put(call)
        sent.set()
        call.wait(5)
        error = call.exception(0)
        assert error is not None
        errors.append(error)

    sender = threading.Thread(target=command)
    sender.start()
    assert sent.wait(5)
    holder = lab.start(hold, lamp, holding)
    holding.reached()
    busy.open()
    sender.join(5)
    reader.join(5)
    assert isinstance(errors[0], DeviceBusy)
    assert holder.id in str(errors[0])
    assert log == []


def _set(target: Any, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    del name, kwargs
    target.set(*args)


def test_queries_are_answered_while_an_oven_heats_in_its_drivers_sleep(bench: Bench, lab: Lab) -> None:
    oven = lab.add("oven", Oven, bench.resources["oven"])
    heating = lab.start(lambda oven: oven.heat_to(440), oven)
    bench.wait_executed("oven", lambda sent: sent.count("MEAS:TEMP?") > 1)
    assert 290 < oven.temperature() < 440
    assert oven.is_on()
    with pytest.raises(DeviceBusy, match=heating.id):
        oven.off()
    heating.cancel("seen enough")
    with pytest.raises(RunCancelled) as caught:
        heating.result(5)
    assert caught.value.safe == ("oven",)
    assert not oven.is_on()
    commands = [sent for sent in bench.executed("oven") if not sent.endswith("?")]
    assert commands == ["SOUR:TEMP 440.0", "OUTP 1", "SOUR:TEMP 295.0", "OUTP 0"]


def test_a_device_that_is_not_among_the_arguments_is_refused(lab: Lab) -> None:
    log: list[str] = []
    lamp, other = lab.add("lamp", Lamp, log), lab.add("other", Lamp, log)

    def closure(lamp: Lamp) -> None:
        lamp.set(1)
        other.set(2)

    with pytest.raises(NotLeased, match=r"closure#\d+ uses 'other'.*not among its arguments"):
        lab.run(closure, lamp)
    assert log == ["set 1", "safe"]


def test_a_query_of_a_device_that_is_not_among_the_arguments_is_refused_too(lab: Lab) -> None:
    lamp, other = lab.add("lamp", Lamp, []), lab.add("other", Lamp, [])
    with pytest.raises(NotLeased, match="'other'"):
        lab.run(lambda _: other.level(), lamp)


def test_devices_are_found_at_any_depth_of_the_arguments(lab: Lab) -> None:
    log: list[str] = []
    lamps = {"all": [lab.add("first", Lamp, log), (lab.add("second", Lamp, log),)]}

    def nested(lamps: dict[str, list[Any]]) -> None:
        lamps["all"][0].set(1)
        lamps["all"][1][0].set(2)

    run = lab.start(nested, lamps)
    run.result(5)
    assert run.devices == ("first", "second")
    assert log == ["set 1", "set 2"]


# -- whoever holds a lease never waits for another


@pytest.mark.parametrize("verb", ["run", "start", "lease", "spawn"])
def test_a_run_that_asks_for_more_is_answered_at_once(lab: Lab, verb: str) -> None:
    from actorlab import spawn  # noqa: PLC0415 - one of four verbs

    lamp, other = lab.add("lamp", Lamp, []), lab.add("other", Lamp, [])

    def greedy(lamp: Lamp) -> None:
        del lamp
        if verb == "run":
            lab.run(light, other, 1)
        elif verb == "start":
            lab.start(light, other, 1).result()
        elif verb == "spawn":
            spawn(light, other, 1).result()
        else:
            lab.lease(other).__enter__()

    with pytest.raises(NotLeased):
        lab.run(greedy, lamp)


def test_a_lease_block_that_asks_for_more_is_answered_at_once(lab: Lab) -> None:
    lamp, other = lab.add("lamp", Lamp, []), lab.add("other", Lamp, [])
    with lab.lease(lamp):
        with pytest.raises(NotLeased):
            lab.run(light, other, 1)
        with pytest.raises(NotLeased):
            lab.lease(other).__enter__()
        with pytest.raises(NotLeased, match="other"):
            other.set(1)
        assert other.level() == 0


def test_exclusive_or_a_key_asked_for_by_a_child_is_refused_at_once(lab: Lab) -> None:
    lamp = lab.add("lamp", Lamp, [])
    alone = task(light).options(exclusive=True)
    with pytest.raises(NotLeased, match="exclusive"):
        lab.run(lambda lamp: lab.run(alone, lamp, 1), lamp)


# -- lab.lease


def test_a_lease_block_uses_its_devices_and_lends_them_to_runs(lab: Lab) -> None:
    log: list[str] = []
    lamp = lab.add("lamp", Lamp, log)
    with lab.lease(lamp):
        assert lamp.set(1) == 1
        assert lab.run(light, lamp, 2) == 2
        assert task(light)(lamp, 3) == 3
        assert lamp.set(4) == 4
    assert log == ["set 1", "set 2", "set 3", "set 4"], "it succeeded, so nothing was made safe"
    assert lamp.set(5) == 5


def test_other_threads_are_refused_while_a_lease_block_holds_the_device(lab: Lab) -> None:
    lamp = lab.add("lamp", Lamp, [])
    errors: list[BaseException] = []

    def outside() -> None:
        try:
            lamp.set(9)
        except DeviceBusy as error:
            errors.append(error)

    with lab.lease(lamp):
        thread = threading.Thread(target=outside)
        thread.start()
        thread.join(5)
    assert "held by lease#" in str(errors[0])


def test_a_lease_block_gives_up_in_time_naming_the_holder(lab: Lab, gate: Gate) -> None:
    lamp = lab.add("lamp", Lamp, [])
    holder = lab.start(hold, lamp, gate)
    gate.reached()
    with pytest.raises(LeaseTimeout, match=rf"lamp, held by {holder.id}.*gave up after 0.05 s"):
        lab.lease(lamp, timeout=0.05).__enter__()
    gate.open()
    holder.result(5)
    assert lamp.set(1) == 1, "the request was withdrawn"


def test_a_run_gives_up_in_time_naming_the_holder(lab: Lab, gate: Gate) -> None:
    lamp = lab.add("lamp", Lamp, [])
    holder = lab.start(hold, lamp, gate)
    gate.reached()
    with pytest.raises(LeaseTimeout, match=f"lamp, held by {holder.id}"):
        lab.run(task(light).options(lease_timeout=0.05), lamp, 1)


def test_a_lease_block_left_by_an_exception_makes_its_devices_safe_in_reverse_order(lab: Lab) -> None:
    log: list[str] = []

    class Named(Lamp):
        def __init__(self, name: str) -> None:
            super().__init__(log)
            self.name = name

        def make_safe(self) -> None:
            log.append(f"{self.name} safe")

    first, second = lab.add("first", Named, "first"), lab.add("second", Named, "second")
    with pytest.raises(ZeroDivisionError) as caught, lab.lease(first, second):  # noqa: PT012 - the block is the subject
        first.set(1)
        raise ZeroDivisionError
    assert log == ["set 1", "second safe", "first safe"]
    assert first.set(2) == 2
    assert caught.value.__class__ is ZeroDivisionError


def test_a_lease_of_what_is_no_device_is_an_error(lab: Lab) -> None:
    with pytest.raises(ActorLabError, match="takes devices of this lab"):
        lab.lease(3)


def test_a_revoked_lease_is_lost_at_the_next_call(lab: Lab) -> None:
    from actorlab import LeaseLost  # noqa: PLC0415 - only here

    log: list[str] = []
    lamp = lab.add("lamp", Lamp, log)

    def busy(lamp: Lamp) -> None:
        lamp.set(1)
        sleep(60)

    run = lab.start(busy, lamp)
    while not log:
        lamp.level()
    lab.revoke(run.id, "the operator needs it")
    with pytest.raises(LeaseLost, match="the operator needs it"):
        run.result(5)
    assert log == ["set 1", "safe"]
    assert lamp.set(2) == 2


# -- shared


def test_two_runs_share_a_device_at_the_same_time_and_may_not_command_it(lab: Lab) -> None:
    log: list[str] = []
    lamp = lab.add("lamp", Lamp, log)
    both = threading.Barrier(2, timeout=5)

    def rely(lamp: Shared[Lamp]) -> int:
        both.wait()
        assert lamp.level() == 0
        both.wait()
        with pytest.raises(NotLeased, match=r"only shared, and lamp\.set is a command"):
            lamp.set(1)
        return 1

    runs = [lab.start(rely, lamp) for _ in range(2)]
    assert [run.result(5) for run in runs] == [1, 1]
    assert log == [], "a shared holder has nothing to make safe"


def test_whoever_takes_it_for_himself_waits_for_those_who_share(lab: Lab, gate: Gate) -> None:
    log: list[str] = []
    lamp = lab.add("lamp", Lamp, log)

    def rely(lamp: Shared[Lamp]) -> None:
        del lamp
        gate.stop()

    sharing = lab.start(rely, lamp)
    gate.reached()
    alone = lab.start(light, lamp, 1)
    assert alone.reasons == (f"{alone.id} waits for lamp, held by {sharing.id}",)
    with pytest.raises(DeviceBusy, match=sharing.id):
        lamp.set(9)
    gate.open()
    assert alone.result(5) == 1
    assert log == ["set 1"]


def test_a_shared_holder_may_not_lend_the_device_for_commands(lab: Lab) -> None:
    lamp = lab.add("lamp", Lamp, [])

    def rely(lamp: Shared[Lamp]) -> int:
        return lab.run(light, lamp, 1)

    with pytest.raises(NotLeased, match="only shared"):
        lab.run(rely, lamp)


# -- after the end


def test_a_handle_is_refused_after_its_run_has_ended(lab: Lab) -> None:
    log: list[str] = []
    lamp = lab.add("lamp", Lamp, log)
    kept: list[Lamp] = []
    lab.run(kept.append, lamp)
    with pytest.raises(NotLeased, match="has ended"):
        kept[0].set(1)
    assert log == []


def test_a_call_with_a_stale_token_is_refused_by_the_device_itself(lab: Lab, gate: Gate) -> None:
    log: list[str] = []
    lamp = lab.add("lamp", Lamp, log)
    kept: list[Any] = []
    lab.run(lambda lamp: kept.append(lamp.__dict__["_actorlab_hold"]), lamp)
    holder = lab.start(hold, lamp, gate)
    gate.reached()
    call = Call(HOLDER, kept[0], lab.cells["lamp"], Member("set", query=False, action=_set), (9,), {})
    lab.cells["lamp"].mailbox.put(call)
    with pytest.raises(NotLeased, match=rf"lease it was sent under has ended.*held by {holder.id}"):
        call.result(5)
    assert log == []


def test_a_body_uses_its_devices_in_threads_that_it_starts(lab: Lab) -> None:
    log: list[str] = []
    lamp = lab.add("lamp", Lamp, log)

    def threaded(lamp: Lamp) -> None:
        thread = threading.Thread(target=lamp.set, args=(1,))
        thread.start()
        thread.join(5)

    lab.run(threaded, lamp)
    assert log == ["set 1"]


# -- who is served meanwhile


def test_an_outsiders_query_gets_its_turn_within_eight_of_the_holders_calls(lab: Lab, gate: Gate) -> None:
    log: list[str] = []
    seen: list[int] = []

    class Busy(Lamp):
        def begin(self) -> None:
            gate.stop()

        @query
        def look(self) -> None:
            seen.append(len(self.log))

    lamp = lab.add("lamp", Busy, log)

    def flood(lamp: Busy) -> None:
        ask(lamp.begin)
        for level in range(100):
            ask(lamp.set, level)
        gate.reached()
        sent.set()

    sent = threading.Event()
    run = lab.start(flood, lamp)
    assert sent.wait(5)
    looking = ask(lamp.look)
    gate.open()
    looking.result(5)
    run.result(5)
    assert seen[0] <= 8
    assert len(log) == 100


def test_a_blocking_run_that_waits_says_for_what(
    lab: Lab, gate: Gate, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("actorlab.runtime.run.PATIENCE", 0.02)
    lamp = lab.add("lamp", Lamp, [])
    holder = lab.start(hold, lamp, gate)
    gate.reached()
    told = threading.Event()

    class Listener(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if f"waits for lamp, held by {holder.id}" in record.getMessage():
                told.set()

    listener = Listener()
    logging.getLogger("actorlab").addHandler(listener)
    try:
        waiting = threading.Thread(target=lab.run, args=(light, lamp, 1))
        waiting.start()
        assert told.wait(5)
        gate.open()
        waiting.join(5)
    finally:
        logging.getLogger("actorlab").removeHandler(listener)
    assert "waits for lamp" in caplog.text


# -- who is next


def order_of(lab: Lab, lamp: Lamp, gate: Gate, requests: list[tuple[str, float]]) -> list[str]:
    """Let requests queue behind a holder, and return in which order they were served."""
    served: list[str] = []
    blocker = lab.start(hold, lamp, gate)
    gate.reached()

    def serve(lamp: Lamp, name: str) -> None:
        del lamp
        served.append(name)

    runs = [lab.start(task(serve).options(priority=priority), lamp, name) for name, priority in requests]
    assert all(run.reasons for run in runs)
    gate.open()
    blocker.result(5)
    for run in runs:
        run.result(5)
    return served


def test_the_more_urgent_is_served_first_and_equals_in_order(lab: Lab, gate: Gate) -> None:
    lamp = lab.add("lamp", Lamp, [])
    requests = [("a", 0.0), ("b", 0.0), ("urgent", 10000.0), ("c", 0.0)]
    assert order_of(lab, lamp, gate, requests) == ["urgent", "a", "b", "c"]


def test_runs_with_the_same_key_follow_one_another(lab: Lab, gate: Gate) -> None:
    wait = task(gate.stop).options(key="sample 3", name="wait")
    first = lab.start(wait)
    gate.reached()
    second = lab.start(wait)
    assert second.reasons == (f"{second.id} waits for the key sample 3, held by {first.id}",)
    gate.open()
    second.result(5)


def test_an_exclusive_run_is_alone_in_its_lab(lab: Lab, gate: Gate) -> None:
    first = lab.start(gate.stop)
    gate.reached()
    alone = lab.start(task(lambda: 1).options(exclusive=True, name="alone"))
    (reason,) = alone.reasons
    assert reason.startswith(f"{alone.id} waits for the whole lab")
    assert first.id in reason
    gate.open()
    assert alone.result(5) == 1


def test_max_runs_bounds_how_many_hold_a_lease(gate: Gate) -> None:
    with Lab(cancel_grace=0.3, max_runs=1) as lab:
        first = lab.start(gate.stop)
        gate.reached()
        second = lab.start(lambda: 2)
        assert second.reasons == (f"{second.id} waits for a free place among runs, taken by {first.id}",)
        gate.open()
        assert second.result(5) == 2


def test_limits_bound_how_many_runs_with_a_tag_hold_a_lease(gate: Gate) -> None:
    with Lab(cancel_grace=0.3, limits={"loud": 1}) as lab:
        first = lab.start(task(gate.stop).options(tags=("loud",), name="first"))
        gate.reached()
        second = lab.start(task(lambda: 2).options(tags=("loud",), name="second"))
        assert second.reasons == (f"{second.id} waits for a free place among tag:loud, taken by {first.id}",)
        assert lab.run(lambda: 3) == 3, "others aren't concerned"
        gate.open()
        assert second.result(5) == 2


def test_a_run_of_two_devices_gets_its_turn_although_others_keep_taking_each(lab: Lab) -> None:
    first, second = lab.add("first", Lamp, []), lab.add("second", Lamp, [])
    over = threading.Event()
    busy = threading.Barrier(3, timeout=5)

    def traffic(lamp: Lamp) -> None:
        lab.run(light, lamp, 0)
        busy.wait()
        while not over.is_set():
            lab.run(light, lamp, 1)

    threads = [threading.Thread(target=traffic, args=(lamp,)) for lamp in (first, second)]
    for thread in threads:
        thread.start()
    busy.wait()
    try:
        assert lab.start(lambda a, b: a.set(2) + b.set(2), first, second).result(5) == 4
    finally:
        over.set()
        for thread in threads:
            thread.join(5)
