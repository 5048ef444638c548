"""Hold services to their word: started again by policy and no more, in nobody's way, and ended in order."""

from __future__ import annotations

import asyncio
import itertools
import logging
import os
import random
import re
import threading
import time
from collections.abc import AsyncGenerator, Callable, Generator, Iterator
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

import pytest

from actorlab import (
    ActorLabError,
    AskDeadlock,
    ConfigError,
    Device,
    DeviceConfig,
    DeviceFault,
    DeviceUnavailable,
    Lab,
    LeaseLost,
    LeaseTimeout,
    NotLeased,
    RestartPolicy,
    Run,
    RunCancelled,
    RunState,
    RunTimeout,
    Service,
    ServiceState,
    Shared,
    WorkflowError,
    ask,
    checkpoint,
    perform,
    query,
    sleep,
    spawn,
    stream,
    task,
    workflow,
)
from actorlab.core.service_group import Began, Ended, Start, Stop

if TYPE_CHECKING:
    from tests.runtime.conftest import Gate

S = ServiceState
Gates = Callable[[], "Gate"]
Until = Callable[[Run[Any], RunState], None]
Becomes = Callable[[Service[Any], ServiceState], None]
QUICKLY = RestartPolicy(delay=0.001, max_delay=0.001)
AT_ONCE = RestartPolicy(delay=0)
ONCE = RestartPolicy(limit=0)
GRAVE = RestartPolicy(limit=0, then="stop_lab")
LONG = 60.0


class Gauge:
    """A device that can be read and set, and breaks when told so."""

    def __init__(self, log: list[str] | None = None, name: str = "gauge") -> None:
        self.log = [] if log is None else log
        self.name = name
        self.value = 1.0
        self.channel = {1: Channel()}

    @query
    def pressure(self) -> float:
        return self.value

    @query
    def fail(self) -> None:
        message = "the cable is out"
        raise ConnectionError(message)

    @query
    def hold(self, gate: Gate) -> None:
        gate.stop()

    def set(self, value: float) -> float:
        self.log.append(f"{self.name} {value:g}")
        self.value = value
        return value

    def make_safe(self) -> None:
        self.log.append(f"{self.name} safe")

    def close(self) -> None:
        self.log.append(f"{self.name} closed")


class Channel:
    """A part of a gauge."""

    def gain(self) -> int:
        return 7


@pytest.fixture
def becomes(lab: Lab) -> Becomes:
    """Wait until a service of the lab stands so."""

    def wait(service: Service[Any], state: ServiceState) -> None:
        events = lab.events.subscribe()
        end = time.monotonic() + 5.0
        while service.state is not state:
            left = end - time.monotonic()
            assert left > 0, f"{service!r} isn't {state}"
            events.get(timeout=min(left, 0.5))
        events.close()

    return wait


def watch(gauge: Shared[Gauge]) -> None:
    while True:
        gauge.pressure()
        sleep(0.005)


def idle() -> None:
    sleep(LONG)


def negated(number: int) -> int:
    return -number


def breaks() -> None:
    message = "it broke"
    raise ValueError(message)


def adjust(gauge: Gauge, value: float = 2.0) -> float:
    return gauge.set(value)


# -- what can be a service


def test_a_service_that_takes_a_device_for_itself_is_refused_with_the_two_ways_out(lab: Lab) -> None:
    gauge = lab.add("gauge", Gauge)
    with pytest.raises(ConfigError) as caught:
        lab.serve(adjust, gauge)
    told = str(caught.value)
    assert "a service never ends, so it would hold gauge for ever" in told
    assert "Shared[…]" in told
    assert "adjust.options(lease='step')" in told
    assert lab.services == {}
    assert lab.runs == ()


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"exclusive": True}, "exclusive=True would keep everything else"),
        ({"retries": 3}, "retries=3 means nothing here"),
        ({"after": 3}, "for the steps of a workflow"),
    ],
)
def test_options_that_mean_nothing_to_a_service_are_refused(lab: Lab, options: Any, told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        lab.serve(task(idle).options(**options))


def test_there_is_one_service_of_a_name_until_it_rests(lab: Lab) -> None:
    first = lab.serve(idle)
    with pytest.raises(ConfigError, match=r"there is a service named 'idle' already.*options\(name=…\)"):
        lab.serve(idle)
    other = lab.serve(task(idle).options(name="other"))
    first.stop()
    first.wait(5)
    second = lab.serve(idle)
    assert lab.services == {"idle": second, "other": other}
    with pytest.raises(ConfigError, match="idle was replaced"):
        first.start()


def test_a_service_is_served_where_the_lab_is_made_and_not_in_what_ends(lab: Lab) -> None:
    gauge = lab.add("gauge", Gauge)

    def body() -> None:
        lab.serve(idle)

    @workflow
    def drawn() -> None:
        lab.serve(idle)

    with pytest.raises(NotLeased, match="a service would outlive it"):
        lab.run(body)
    with pytest.raises(WorkflowError):
        lab.run(drawn)
    with lab.lease(gauge), pytest.raises(NotLeased, match="a service would outlive it"):
        lab.serve(idle)
    with pytest.raises(AskDeadlock):
        perform(gauge, lambda _: lab.serve(idle).state)


def test_a_lab_that_is_closed_serves_nothing(lab: Lab) -> None:
    idler = lab.serve(idle)
    lab.close()
    assert idler.state is S.STOPPED
    for verb in (lambda: lab.serve(idle), lambda: lab.group("cryo"), idler.start, idler.restart):
        with pytest.raises(ConfigError, match="is closed"):
            verb()
    idler.stop()


# -- one life after the other


def test_each_life_is_a_run_that_names_its_service(lab: Lab, becomes: Becomes) -> None:
    gauge = lab.add("gauge", Gauge)
    service = lab.serve(watch, gauge)
    becomes(service, S.RUNNING)
    run = service.run
    assert run is not None
    assert (run.id, run.service, run.state) == ("watch#1", "watch", RunState.RUNNING)
    assert run.devices == ("gauge",)
    assert lab.runs == (run,)
    assert lab.start(idle).service == ""
    assert service.status.run == "watch#1"
    assert service.status.devices == ("gauge",)


def test_one_that_fails_is_started_again_and_remembers_its_last_error(lab: Lab, gates: Gates, becomes: Becomes) -> None:
    lives = itertools.count(1)
    third = gates()

    def frail() -> None:
        if next(lives) < 3:
            breaks()
        third.stop()

    service = lab.serve(task(restart=QUICKLY)(frail))
    third.reached()
    becomes(service, S.RUNNING)
    assert service.restarts == 2
    assert isinstance(service.last_error, ValueError)
    assert "in breaks" in service.last_traceback
    assert service.status.last_error == "ValueError: it broke"
    assert [run.id for run in lab.runs] == ["frail#1", "frail#2", "frail#3"]
    third.open()
    assert service.wait(5) is S.ENDED
    assert repr(service) == "<service frail: ended, it returned>"


def test_one_that_returned_has_ended_well_and_one_beyond_its_policy_gave_up_and_the_lab_goes_on(lab: Lab) -> None:
    well = lab.serve(lambda: None)
    service = lab.serve(task(restart=RestartPolicy(limit=2, delay=0.001))(breaks))
    assert service.wait(5) is S.GAVE_UP
    assert service.restarts == 2
    assert "it was restarted 2 times within 60 s, which is its limit" in service.status.why
    assert isinstance(service.last_error, ValueError)
    assert (well.wait(5), well.last_error, well.last_traceback) == (S.ENDED, None, "")
    assert lab.run(len, "abc") == 3
    assert lab.exit_code == 0


def test_one_that_always_begins_again_does_so_after_a_good_end_too(lab: Lab, gate: Gate) -> None:
    lives = itertools.count(1)

    def periodic() -> None:
        if next(lives) == 4:
            gate.stop()

    service = lab.serve(task(restart=RestartPolicy(restart="always", limit=None, delay=0.001))(periodic))
    gate.reached()
    assert service.restarts == 3


def test_one_that_waits_for_its_next_life_says_for_how_long_and_start_begins_it_now(lab: Lab, becomes: Becomes) -> None:
    service = lab.serve(task(restart=RestartPolicy(delay=LONG, max_delay=LONG))(breaks))
    becomes(service, S.WAITING)
    assert service.retry_in is not None
    assert LONG - 10 < service.retry_in <= LONG
    assert service.status.retry_in is not None
    first = service.run
    service.start()
    becomes(service, S.WAITING)
    assert service.run is not first
    service.stop()
    assert service.wait(5) is S.STOPPED
    assert service.retry_in is None


def test_stop_rests_start_begins_and_restart_begins_another(lab: Lab, becomes: Becomes) -> None:
    service = lab.serve(idle)
    becomes(service, S.RUNNING)
    service.stop()
    assert service.wait(5) is S.STOPPED
    assert service.status.why == "it was stopped"
    service.start()
    service.start()
    becomes(service, S.RUNNING)
    second = service.run
    service.restart()
    assert second is not None
    assert second.exception(5) is not None
    becomes(service, S.RUNNING)
    assert [run.state for run in lab.runs] == [RunState.CANCELLED, RunState.CANCELLED, RunState.RUNNING]
    assert service.restarts == 0


def test_stop_then_start_in_one_tick_leaves_it_running(lab: Lab, becomes: Becomes) -> None:
    service = lab.serve(idle)
    becomes(service, S.RUNNING)
    first = service.run
    services, served = lab.lab_actor.services, service._served
    lab.ask(lambda: [services._requested(served, served.group, event) for event in (Stop("idle"), Start("idle"))])
    assert first is not None
    first.exception(5)
    becomes(service, S.RUNNING)
    assert service.run is not first
    service.stop()
    service.start()
    service.stop()
    assert service.wait(5) is S.STOPPED


@pytest.mark.parametrize("restart", ["on_failure", "always"])
def test_one_whose_run_somebody_cancels_is_stopped_and_not_started_again(
    lab: Lab, becomes: Becomes, restart: Any
) -> None:
    service = lab.serve(task(restart=RestartPolicy(restart=restart, delay=0))(idle))
    becomes(service, S.RUNNING)
    assert service.run is not None
    service.run.cancel("Ctrl-C")
    assert service.wait(5) is S.STOPPED
    assert service.status.why == "idle#1 was cancelled: Ctrl-C"
    assert service.last_error is None
    service.start()
    becomes(service, S.RUNNING)


def test_one_whose_lease_is_revoked_is_stopped(lab: Lab, becomes: Becomes) -> None:
    gauge = lab.add("gauge", Gauge)
    service = lab.serve(watch, gauge)
    becomes(service, S.RUNNING)
    assert service.run is not None
    lab.revoke(service.run.id, "I need it")
    assert service.wait(5) is S.STOPPED
    with pytest.raises(LeaseLost):
        service.run.result(5)
    assert lab.run(adjust, gauge) == 2


def test_one_that_takes_longer_than_its_timeout_has_failed(lab: Lab) -> None:
    service = lab.serve(task(timeout=0.02, restart=RestartPolicy(limit=1, delay=0))(idle))
    assert service.wait(5) is S.GAVE_UP
    assert service.restarts == 1
    assert isinstance(service.last_error, RunTimeout)


def test_a_body_of_any_kind_can_be_a_service(lab: Lab, gates: Gates, becomes: Becomes) -> None:  # noqa: C901 - four kinds
    gauge = lab.add("gauge", Gauge)
    arrived = [gates() for _ in range(4)]

    async def coroutine(gauge: Shared[Gauge]) -> None:
        while True:
            await ask(gauge.pressure)
            arrived[0].arrive()
            await asyncio.sleep(0.005)

    async def asynchronous_generator(gauge: Shared[Gauge]) -> AsyncGenerator[float]:
        while True:
            yield await ask(gauge.pressure)
            arrived[1].arrive()

    def generator(gauge: Shared[Gauge]) -> Generator[float]:
        while True:
            yield gauge.pressure()
            arrived[2].arrive()

    class Watcher:
        def __init__(self, gauge: Shared[Gauge]) -> None:
            self.gauge = gauge

        def run(self) -> None:
            while True:
                self.gauge.pressure()
                arrived[3].arrive()
                checkpoint()

    kinds: list[Any] = [coroutine, asynchronous_generator, generator, Watcher]
    services = [lab.serve(kind, gauge) for kind in kinds]
    for here in arrived:
        here.reached()
    for service in services:
        becomes(service, S.RUNNING)
        service.stop()
        assert service.wait(5) is S.STOPPED


def test_a_coroutine_that_fails_on_the_loop_is_started_again(lab: Lab, gate: Gate) -> None:
    lives = itertools.count(1)

    async def frail() -> None:
        await asyncio.sleep(0)
        if next(lives) < 3:
            breaks()
        gate.arrive()
        await asyncio.sleep(LONG)

    service = lab.serve(task(restart=QUICKLY)(frail))
    gate.reached()
    assert service.restarts == 2


def test_each_life_sees_the_context_in_which_the_service_was_served(lab: Lab, gate: Gate) -> None:
    operator: ContextVar[str] = ContextVar("operator", default="nobody")
    seen: list[str] = []

    def note() -> None:
        seen.append(operator.get())
        operator.set("changed")
        if len(seen) < 3:
            breaks()
        gate.stop()

    operator.set("Ada")
    lab.serve(task(restart=QUICKLY)(note))
    operator.set("Grace")
    gate.reached()
    assert seen == ["Ada", "Ada", "Ada"]


def test_a_body_that_waits_for_a_service_to_rest_can_be_cancelled(lab: Lab, until: Until) -> None:
    service = lab.serve(idle)
    with pytest.raises(TimeoutError, match="the service idle is running"):
        service.wait(0.01)
    run = lab.start(service.wait)
    until(run, RunState.RUNNING)
    run.cancel()
    assert isinstance(run.exception(5), RunCancelled)
    assert service.state is S.RUNNING


def test_only_the_last_lives_are_kept_so_that_other_runs_stay_known(lab: Lab) -> None:
    other = lab.start(len, "abc")
    other.result(5)
    service = lab.serve(task(restart=RestartPolicy(limit=30, delay=0))(breaks))
    assert service.wait(5) is S.GAVE_UP
    assert service.restarts == 30
    assert [run.id for run in lab.runs] == [other.id, *(f"breaks#{number}" for number in range(23, 33))]


def test_children_of_a_service_that_ended_long_ago_are_forgotten(lab: Lab, gate: Gate) -> None:
    def busy() -> None:
        for number in range(300):
            assert spawn(negated, -number).result() == number
        gate.stop()

    service = lab.serve(busy)
    gate.reached()
    assert service.run is not None
    assert len(service.run.children) < 100
    (body,) = service.run.supervisor.bodies.values()
    assert len(body.children) < 100


def test_each_change_is_told_as_an_event(lab: Lab) -> None:
    events = lab.events.subscribe()
    service = lab.serve(task(restart=RestartPolicy(limit=1, delay=0.001))(breaks))
    service.wait(5)
    events.close()
    told = [event.data for event in events if event.kind == "service" and event.subject == "breaks"]
    assert [data["state"] for data in told] == [
        "starting", "running", "waiting", "starting", "running", "gave_up",
    ]  # fmt: skip
    assert told[2]["error"] == "ValueError: it broke"
    assert told[-1]["restarts"] == 1
    assert told[-1]["run"] == "breaks#2"
    snapshot = lab.events.subscribe(subjects="breaks").get(5)
    assert snapshot is not None
    assert snapshot.data == {"of": "service", **told[-1]}


def test_a_workflow_can_be_a_service_that_takes_its_devices_step_by_step(lab: Lab, gate: Gate) -> None:
    log: list[str] = []
    gauge = lab.add("gauge", Gauge, log)
    rounds = itertools.count(1)

    @task
    def note(value: float) -> float:
        if next(rounds) == 3:
            gate.stop()
        return value

    @workflow(lease="step", restart=RestartPolicy(restart="always", limit=None, delay=0))
    def nightly(gauge: Gauge) -> float:
        return note(task(adjust)(gauge, 5.0))

    service = lab.serve(nightly, gauge)
    gate.reached()
    assert log == ["gauge 5"] * 3
    assert service.restarts == 2
    assert lab.run(adjust, gauge) == 2


class HostileError(Exception):
    """An error that can't be shown."""

    def __repr__(self) -> str:
        raise RuntimeError

    __str__ = __repr__


@pytest.mark.parametrize("policy", [RestartPolicy(limit=1, delay=0), RestartPolicy(restart="never"), GRAVE])
def test_an_error_that_cannot_be_shown_hurts_nobody_else(policy: RestartPolicy) -> None:
    def hostile() -> None:
        raise HostileError

    lab = Lab(cancel_grace=0.3)
    service = lab.group("cryo").serve(task(restart=policy)(hostile))
    assert service.wait(5) is S.GAVE_UP
    assert "HostileError" in service.status.last_error
    assert "HostileError" in service.last_traceback
    if policy.then == "fail":
        assert lab.run(negated, 3) == -3
    lab.close()


# -- what swallows its cancellation


def stubborn(gate: Gate) -> None:
    while True:
        try:
            sleep(LONG)
        except BaseException:  # noqa: BLE001 - it swallows everything, which is what is tested
            gate.stop()
            return


def test_a_body_that_swallows_its_cancellation_is_abandoned_and_blocks_the_next_life(
    lab: Lab, gate: Gate, becomes: Becomes
) -> None:
    service = lab.serve(stubborn, gate)
    becomes(service, S.RUNNING)
    service.stop()
    assert service.wait(5) is S.ABANDONED
    assert service.run is not None
    assert service.run.state is RunState.ABANDONED
    assert service.status.why == "stubborn#1 didn't end within 0.3 s, and is still there"
    for verb in (service.start, service.restart):
        with pytest.raises(ConfigError, match="stubborn can't be started: stubborn#1 didn't end"):
            verb()
    with pytest.raises(ConfigError, match="there is a service named 'stubborn' already, which is abandoned"):
        lab.serve(stubborn, gate)
    gate.open()
    becomes(service, S.STOPPED)
    service.start()
    becomes(service, S.RUNNING)


def test_a_coroutine_that_swallows_its_cancellation_is_abandoned_too(lab: Lab, gate: Gate, becomes: Becomes) -> None:
    free = threading.Event()

    async def deaf() -> None:
        while not free.is_set():
            gate.arrive()
            try:
                await asyncio.sleep(0.01)
            except asyncio.CancelledError:
                continue

    service = lab.serve(deaf)
    gate.reached()
    service.stop()
    assert service.wait(5) is S.ABANDONED
    free.set()
    becomes(service, S.STOPPED)


def test_a_coroutine_that_is_stopped_before_its_first_step_is_not_taken_for_one_that_hangs(lab: Lab) -> None:
    async def idles() -> None:
        await asyncio.sleep(LONG)

    service = lab.serve(idles)
    for looks in range(60):
        for _ in range(looks % 15):
            lab.ask(lambda: None)
        service.stop()
        assert service.wait(5) is S.STOPPED
        service.start()


def test_closing_the_lab_is_bounded_and_names_the_services_that_were_abandoned(
    gates: Gates, caplog: pytest.LogCaptureFixture
) -> None:
    hung = [gates() for _ in range(4)]
    well: list[str] = []

    def tidy() -> None:
        try:
            sleep(LONG)
        finally:
            well.append("tidied up")

    began = 0.0
    services: list[Service[None]] = []
    with (  # noqa: PT012 - the block is what is tested
        pytest.raises(ActorLabError, match=r"stubborn 0#\d+ didn't end, and was abandoned"),
        caplog.at_level(logging.ERROR),
        Lab(cancel_grace=0.4) as lab,
    ):
        first = lab.serve(tidy)
        others = [
            lab.serve(task(stubborn).options(name=f"stubborn {number}"), gate) for number, gate in enumerate(hung)
        ]
        last = lab.serve(task(tidy).options(name="last"))
        services += [first, *others, last]
        while any(service.state is not S.RUNNING for service in services):
            lab.ask(lambda: None)
        began = time.monotonic()
    assert time.monotonic() - began < 3.0
    assert [service.state for service in services] == [S.STOPPED, *[S.ABANDONED] * 4, S.STOPPED]
    assert well == ["tidied up"] * 2
    for number, gate in enumerate(hung):
        assert re.search(rf"stubborn {number}#\d+ didn't end, and was abandoned", caplog.text)
        gate.open()
    assert "in stubborn" in caplog.text
    end = time.monotonic() + 5.0
    while any(service.state is S.ABANDONED for service in services) and time.monotonic() < end:
        threading.Event().wait(0.01)
    assert {service.state for service in services} == {S.STOPPED}


def test_a_lab_that_is_closed_within_a_time_gives_its_services_no_more_than_that(lab: Lab, gates: Gates) -> None:
    patient = Lab(cancel_grace=LONG)
    hung = [gates() for _ in range(3)]
    services = [
        patient.serve(task(stubborn).options(name=f"stubborn {number}"), gate) for number, gate in enumerate(hung)
    ]
    for service in services:
        while service.state is not S.RUNNING:
            lab.ask(lambda: None)
    began = time.monotonic()
    patient.close(timeout=0.4)
    assert time.monotonic() - began < 3.0
    assert {service.state for service in services} == {S.ABANDONED}
    for gate in hung:
        gate.open()


# -- leases: in nobody's way


def test_a_service_that_holds_a_gauge_stalls_no_request_that_could_run(lab: Lab, becomes: Becomes) -> None:
    gauge, laser = lab.add("gauge", Gauge), lab.add("laser", Gauge)
    becomes(lab.serve(watch, gauge), S.RUNNING)

    def read(gauge: Shared[Gauge], laser: Gauge) -> float:
        return gauge.pressure() + laser.set(1)

    runs = [lab.start(read, gauge, laser) for _ in range(20)]
    assert [run.result(5) for run in runs] == [2.0] * 20
    assert lab.run(adjust, laser) == 2
    assert gauge.pressure() == 1.0


def test_a_request_that_conflicts_with_a_service_is_refused_at_once_naming_it(lab: Lab, becomes: Becomes) -> None:
    gauge, laser = lab.add("gauge", Gauge), lab.add("laser", Gauge)
    service = lab.serve(watch, gauge)
    becomes(service, S.RUNNING)

    def both(gauge: Gauge, laser: Gauge) -> None:
        gauge.set(laser.pressure())

    told = r"needs gauge, which the service watch \(watch#1\) holds and never gives back: lab.services\['watch'\].stop"
    for start in (lambda: lab.run(adjust, gauge), lambda: lab.run(both, gauge, laser)):
        with pytest.raises(LeaseTimeout, match=told):
            start()
    with pytest.raises(LeaseTimeout, match=told), lab.lease(gauge):
        pass

    @task(lease="step")
    def indirectly(gauge: Gauge) -> None:
        spawn(adjust, gauge).result()

    with pytest.raises(LeaseTimeout, match=told):
        lab.run(indirectly, gauge)
    lab.services["watch"].stop()
    service.wait(5)
    assert lab.run(adjust, gauge) == 2


def test_those_who_wait_for_what_a_service_gets_before_them_are_refused_when_it_does(
    lab: Lab, gate: Gate, until: Until, settled: Callable[[], None]
) -> None:
    gauge = lab.add("gauge", Gauge)

    def holds(gauge: Gauge) -> None:
        gauge.pressure()
        gate.stop()

    holder = lab.start(holds, gauge)
    gate.reached()
    service = lab.serve(watch, gauge)
    settled()
    assert service.state is S.STARTING
    assert service.status.reasons == ("watch#2 waits for gauge, held by holds#1",)
    later = lab.start(adjust, gauge)
    until(later, RunState.WAITING)
    gate.open()
    holder.result(5)
    with pytest.raises(LeaseTimeout, match=r"adjust#3 needs gauge, which the service watch \(watch#2\) holds"):
        later.result(5)


def test_those_who_came_before_a_service_have_their_turn_before_it(lab: Lab, gate: Gate, becomes: Becomes) -> None:
    gauge = lab.add("gauge", Gauge)

    def holds(gauge: Gauge) -> None:
        gauge.pressure()
        gate.stop()

    lab.start(holds, gauge)
    gate.reached()
    before = lab.start(adjust, gauge)
    service = lab.serve(watch, gauge)
    gate.open()
    assert before.result(5) == 2
    becomes(service, S.RUNNING)


def test_a_service_that_was_paused_and_resumed_still_lets_nobody_wait_for_it(
    lab: Lab, until: Until, becomes: Becomes
) -> None:
    gauge = lab.add("gauge", Gauge)

    def watchful(gauge: Shared[Gauge]) -> None:
        while True:
            gauge.pressure()
            checkpoint()

    service = lab.serve(watchful, gauge)
    becomes(service, S.RUNNING)
    run = service.run
    assert run is not None
    run.pause("look")
    until(run, RunState.PAUSED)
    with pytest.raises(LeaseTimeout, match="the service watchful"):
        lab.run(adjust, gauge)
    run.resume()
    until(run, RunState.RUNNING)
    with pytest.raises(LeaseTimeout, match="the service watchful"):
        lab.run(adjust, gauge)
    assert service.state is S.RUNNING


def test_services_take_none_of_the_places_of_max_runs() -> None:
    with Lab(max_runs=1, cancel_grace=0.3) as lab:
        gauge = lab.add("gauge", Gauge)
        services = [lab.serve(watch, gauge), lab.serve(idle)]

        def nested() -> int:
            return spawn(negated, -3).result()

        assert lab.run(nested) == 3
        while any(service.state is not S.RUNNING for service in services):
            lab.ask(lambda: None)
        assert lab.run(nested) == 3


def test_one_who_wants_the_whole_lab_gets_it_beside_a_service_that_holds_nothing_and_is_refused_beside_another(
    lab: Lab, becomes: Becomes
) -> None:
    alone = task(exclusive=True)(negated)
    becomes(lab.serve(idle), S.RUNNING)
    assert lab.run(alone, -3) == 3
    gauge = lab.add("gauge", Gauge)
    becomes(lab.serve(watch, gauge), S.RUNNING)
    with pytest.raises(LeaseTimeout, match=r"the whole lab, of which the service watch \(watch#3\) holds a part"):
        lab.run(alone, -3)


def test_a_key_or_a_place_that_a_service_has_is_refused_to_others_naming_it() -> None:
    with Lab(limits={"night": 1}, cancel_grace=0.3) as lab:
        keyed = lab.serve(task(idle).options(key="sample 3"))
        tagged = lab.serve(task(idle).options(name="tagged", tags=("night",)))
        while keyed.state is not S.RUNNING or tagged.state is not S.RUNNING:
            lab.ask(lambda: None)
        with pytest.raises(LeaseTimeout, match="the key sample 3, which the service idle"):
            lab.run(task(key="sample 3")(negated), 3)
        with pytest.raises(LeaseTimeout, match="a place among tag:night, taken for good by the service tagged"):
            lab.run(task(tags=("night",))(negated), 3)


# -- leases: for each call


def test_a_service_per_call_asks_queries_as_anybody_and_leases_each_command(
    lab: Lab, gates: Gates, becomes: Becomes
) -> None:
    log: list[str] = []
    gauge = lab.add("gauge", Gauge, log)
    read, held, done = gates(), gates(), gates()

    @task(lease="step")
    def control(gauge: Gauge) -> None:
        held.reached()
        assert gauge.pressure() == 1.0  # though somebody holds it
        read.arrive()
        gauge.set(gauge.pressure() + 1)
        done.stop()

    def holds(gauge: Gauge) -> None:
        gauge.set(1)
        held.stop()

    service = lab.serve(control, gauge)
    becomes(service, S.RUNNING)
    holder = lab.start(holds, gauge)
    read.reached()
    waiting = [run for run in lab.runs if run.name == "gauge.set"]
    held.open()
    holder.result(5)
    done.reached()
    assert log == ["gauge 1", "gauge 2"]
    assert all(run.state is RunState.SUCCEEDED for run in waiting)
    assert lab.run(adjust, gauge, 9) == 9
    assert service.state is S.RUNNING


def test_a_coroutine_per_call_awaits_its_calls_and_may_not_block(lab: Lab, gate: Gate) -> None:
    gauge = lab.add("gauge", Gauge)
    found: list[Any] = []

    @task(lease="step")
    async def control(gauge: Gauge) -> None:
        found.append(await ask(gauge.pressure))
        found.append(await ask(gauge.set, 4.0))
        for blocking in (gauge.pressure, lambda: gauge.set(1)):
            with pytest.raises(AskDeadlock, match="await ask"):
                blocking()
        gate.arrive()
        await asyncio.sleep(LONG)

    lab.serve(control, gauge)
    gate.reached()
    assert found == [1.0, 4.0]


def test_a_command_that_fails_is_the_callers_error_and_leaves_the_device_safe(lab: Lab) -> None:
    log: list[str] = []
    gauge = lab.add("gauge", Gauge, log)

    @task(lease="step", restart=ONCE)
    def control(gauge: Gauge) -> None:
        gauge.set("high")  # type: ignore[arg-type]  # the mistake

    service = lab.serve(control, gauge)
    assert service.wait(5) is S.GAVE_UP
    assert isinstance(service.last_error, ValueError)
    assert log == ["gauge safe"]


def test_an_asked_command_that_fails_fails_its_reply_and_not_the_body_that_has_heard_of_it(lab: Lab) -> None:
    gauge = lab.add("gauge", Gauge)

    @task(lease="step")
    def control(gauge: Gauge) -> str:
        reply = ask(gauge.set, "high")  # type: ignore[arg-type]  # the mistake
        return type(reply.exception(5)).__name__

    service = lab.serve(control, gauge)
    assert service.wait(5) is S.ENDED
    assert service.run is not None
    assert service.run.result(5) == "ValueError"


def test_parts_and_functions_work_per_call_as_well(lab: Lab) -> None:
    gauge = lab.add("gauge", Gauge)

    @task(lease="step")
    def control(gauge: Gauge) -> tuple[int, float]:
        channel = gauge.channel[1]
        return channel.gain(), perform(gauge, lambda own: own.value + 1)

    service = lab.serve(control, gauge)
    assert service.wait(5) is S.ENDED
    assert service.run is not None
    assert service.run.result(5) == (7, 2.0)


def test_what_is_only_relied_on_or_is_no_argument_is_refused_per_call(lab: Lab) -> None:
    gauge, laser = lab.add("gauge", Gauge), lab.add("laser", Gauge)
    found: list[str] = []

    @task(lease="step")
    def control(gauge: Shared[Gauge]) -> float:
        attempts: list[Callable[[], float]] = [lambda: gauge.set(1), laser.pressure]
        for attempt in attempts:
            try:
                attempt()
            except NotLeased as error:
                found.append(str(error))
        return gauge.pressure()

    service = lab.serve(control, gauge)
    assert service.wait(5) is S.ENDED
    assert "only relies on gauge, and gauge.set is a command: drop Shared[…]" in found[0]
    assert "which is not among its arguments" in found[1]


def test_a_query_per_call_that_hangs_ends_with_the_cancellation_of_its_service(lab: Lab, gates: Gates) -> None:
    hangs, behind = gates(), gates()
    gauge = lab.add("gauge", Gauge)

    @task(lease="step")
    def control(gauge: Gauge) -> None:
        behind.arrive()
        gauge.pressure()

    hung = ask(gauge.hold, hangs)
    hangs.reached()
    service = lab.serve(control, gauge)
    behind.reached()
    service.stop()
    assert service.wait(5) is S.STOPPED
    hangs.open()
    hung.result(5)


class Camera(Device):
    """A device with a stream."""

    @stream
    def frames(self) -> Iterator[int]:
        for number in itertools.count():
            yield number
            sleep(0.002)


def test_a_service_per_call_hears_a_stream_that_runs_starts_none_and_can_be_stopped_meanwhile(
    lab: Lab, gates: Gates
) -> None:
    camera = lab.add("camera", Camera)
    refused, runs, heard = gates(), threading.Event(), gates()

    @task(lease="step")
    def listen(camera: Camera) -> None:
        with pytest.raises(NotLeased):
            next(iter(camera.frames()))
        refused.arrive()
        assert runs.wait(5)
        for item in camera.frames():
            if item.sequence > 3:
                heard.arrive()

    service = lab.serve(listen, camera)
    refused.reached()
    frames = iter(camera.frames())
    next(frames)
    runs.set()
    heard.reached()
    service.stop()
    assert service.wait(5) is S.STOPPED
    assert next(frames).sequence > 0


# -- devices come and go under a service


def test_its_next_life_waits_for_its_devices_and_the_fault_counts(lab: Lab, gates: Gates, becomes: Becomes) -> None:
    made = itertools.count(1)
    back = gates()

    def flaky() -> Gauge:
        if next(made) == 2:
            back.stop()
        return Gauge()

    lives = itertools.count(1)

    def breaking(gauge: Shared[Gauge]) -> None:
        if next(lives) == 1:
            gauge.fail()
        while True:
            gauge.pressure()
            checkpoint()

    config = DeviceConfig(restart=RestartPolicy(delay=0))
    gauge = lab.add("gauge", config(flaky))
    service = lab.serve(task(restart=RestartPolicy(limit=1, delay=0))(breaking), gauge)
    back.reached()
    becomes(service, S.STARTING)
    assert service.status.reasons == ("breaking waits for gauge, which is restarting",)
    back.open()
    becomes(service, S.RUNNING)
    assert service.restarts == 1
    assert isinstance(service.last_error, (DeviceFault, DeviceUnavailable, ConnectionError))


def test_one_that_waits_for_its_devices_can_be_stopped_and_never_begins(
    lab: Lab, gates: Gates, becomes: Becomes, stands: Callable[[str, str], None]
) -> None:
    made = itertools.count(1)
    back = gates()

    def flaky() -> Gauge:
        if next(made) == 2:
            back.stop()
        return Gauge()

    gauge = lab.add("gauge", DeviceConfig(restart=RestartPolicy(delay=0))(flaky))
    with pytest.raises(ActorLabError):
        gauge.fail()
    back.reached()
    service = lab.serve(watch, gauge)
    becomes(service, S.STARTING)
    service.stop()
    assert service.wait(5) is S.STOPPED
    back.open()
    stands("gauge", "idle")
    assert service.run is None
    assert service.state is S.STOPPED


def test_one_whose_device_is_quarantined_or_removed_fails_by_its_policy(
    lab: Lab, becomes: Becomes, stands: Callable[[str, str], None]
) -> None:
    gauge = lab.add("gauge", DeviceConfig(restart=RestartPolicy(restart="never"))(Gauge))
    service = lab.serve(task(restart=RestartPolicy(limit=2, delay=0.001))(watch), gauge)
    becomes(service, S.RUNNING)
    with pytest.raises(ActorLabError):
        gauge.fail()
    stands("gauge", "quarantined")
    assert service.wait(5) is S.GAVE_UP
    assert service.restarts == 2
    lab.reset("gauge")
    service.start()
    becomes(service, S.RUNNING)
    service.stop()
    service.wait(5)
    lab.remove("gauge")
    service.start()
    assert service.wait(5) is S.GAVE_UP
    assert "this lab doesn't have any more" in str(service.last_error)


# -- groups


class Cryostat:
    """Three services that write down what they do, and fail when told so."""

    def __init__(self, lab: Lab, becomes: Becomes, **group: Any) -> None:
        self.log: list[str] = []
        self.break_down: dict[str, threading.Event] = {name: threading.Event() for name in "abc"}
        self.group = lab.group("cryo", **group)
        for name in "abc":
            policy = RestartPolicy(delay=0, limit=1) if not group.get("intensity") else AT_ONCE
            service = self.group.serve(task(self.body).options(name=name, restart=policy), name)
            becomes(service, S.RUNNING)
        self.becomes = becomes
        self.lab = lab
        self.logged(3)

    def body(self, name: str) -> None:
        self.log.append(f"+{name}")
        try:
            while not self.break_down[name].is_set():
                sleep(0.001)
            self.break_down[name].clear()
            breaks()
        finally:
            self.log.append(f"-{name}")

    def logged(self, count: int) -> None:
        """Wait until so many things are written down."""
        end = time.monotonic() + 5.0
        while len(self.log) < count and time.monotonic() < end:
            self.lab.ask(lambda: None)

    def fails(self, name: str) -> None:
        """Let one fail, and wait until all run again."""
        self.log.clear()
        service = self.group.services[name]
        life = service.run
        self.break_down[name].set()
        assert life is not None
        life.exception(5)
        for service in self.group.services.values():
            self.becomes(service, S.RUNNING)


@pytest.mark.parametrize(
    ("strategy", "done"),
    [("one_for_one", "-b +b"), ("rest_for_one", "-b -c +b +c"), ("one_for_all", "-b -c -a +a +b +c")],
)
def test_the_strategy_of_a_group_says_who_begins_again(lab: Lab, becomes: Becomes, strategy: Any, done: str) -> None:
    cryo = Cryostat(lab, becomes, strategy=strategy)
    cryo.fails("b")
    cryo.logged(len(done.split()))
    assert cryo.log == done.split()
    assert [service.restarts for service in cryo.group.services.values()] == [int(f"+{name}" in done) for name in "abc"]


def test_a_group_gives_up_as_a_whole_and_begins_anew_when_it_is_started(lab: Lab, becomes: Becomes) -> None:
    cryo = Cryostat(lab, becomes)
    cryo.fails("b")
    a, b, c = cryo.group.services.values()
    cryo.break_down["b"].set()
    assert [service.wait(5) for service in (b, c, a)] == [S.GAVE_UP, S.STOPPED, S.STOPPED]
    assert cryo.log[-2:] == ["-c", "-a"]
    assert "the group cryo gave up, since 'b' failed" in cryo.group.gave_up
    assert "the group cryo gave up" in a.status.why
    assert isinstance(b.last_error, ValueError)
    assert lab.exit_code == 0
    with pytest.raises(ConfigError, match="start the group"):
        a.start()
    with pytest.raises(ConfigError, match="start the group first"):
        cryo.group.serve(task(idle).options(name="a"))
    assert lab.services["a"] is a
    cryo.group.start()
    for service in (a, b, c):
        becomes(service, S.RUNNING)
    assert cryo.group.gave_up == ""
    assert repr(cryo.group) == "<service group cryo: a running, b running, c running>"


def test_the_restarts_of_a_group_with_an_intensity_are_counted_together(lab: Lab, becomes: Becomes) -> None:
    cryo = Cryostat(lab, becomes, intensity=RestartPolicy(limit=2, delay=0))
    cryo.fails("a")
    cryo.fails("c")
    cryo.break_down["b"].set()
    assert cryo.group.services["b"].wait(5) is S.GAVE_UP
    assert cryo.group.services["a"].wait(5) is S.STOPPED


def test_a_group_stops_in_reverse_and_one_that_was_stopped_stays_so_whatever_the_others_do(
    lab: Lab, becomes: Becomes
) -> None:
    cryo = Cryostat(lab, becomes, strategy="one_for_all")
    a, b, c = cryo.group.services.values()
    assert (a.group, lab.serve(idle).group) == (cryo.group, None)
    b.stop()
    b.wait(5)
    cryo.break_down["a"].set()
    cryo.logged(8)
    assert cryo.log[3:] == ["-b", "-a", "-c", "+a", "+c"]
    assert b.state is S.STOPPED
    becomes(a, S.RUNNING)
    becomes(c, S.RUNNING)
    cryo.log.clear()
    cryo.group.stop()
    assert [service.wait(5) for service in (a, b, c)] == [S.STOPPED] * 3
    assert cryo.log == ["-c", "-a"]
    cryo.group.start()
    for service in (a, b, c):
        becomes(service, S.RUNNING)
    cryo.logged(5)
    assert cryo.log[2:] == ["+a", "+b", "+c"]


def test_a_group_of_a_name_is_replaced_when_it_rests(lab: Lab) -> None:
    old = lab.group("cryo")
    service = old.serve(idle)
    with pytest.raises(ConfigError, match="there is a group named 'cryo' already, in which idle has not ended"):
        lab.group("cryo")
    old.stop()
    service.wait(5)
    new = lab.group("cryo", strategy="one_for_all")
    assert new.strategy == "one_for_all"
    assert lab.services == {}
    with pytest.raises(ConfigError, match="has replaced this one"):
        old.serve(idle)
    with pytest.raises(ConfigError, match="was replaced"):
        old.start()
    with pytest.raises(ConfigError, match="was replaced"):
        service.start()
    with pytest.raises(ConfigError, match="a group needs a name"):
        lab.group("")
    with pytest.raises(ConfigError, match="strategy"):
        lab.group("other", strategy="all_for_one")  # type: ignore[arg-type]  # the mistake


# -- the end of the lab


def test_a_lab_waits_for_its_runs_then_stops_its_services_in_reverse_then_its_devices(gate: Gate) -> None:
    log: list[str] = []

    def serving(name: str, gauge: Shared[Gauge]) -> None:
        try:
            while True:
                gauge.pressure()
                sleep(0.001)
        finally:
            log.append(f"{name} stopped")

    def long(laser: Gauge) -> None:
        assert laser.pressure() == 1.0
        gate.stop()
        log.append("run ended")

    with Lab(cancel_grace=0.3) as lab:
        gauge, laser = lab.add("gauge", Gauge, log), lab.add("laser", Gauge, log, "laser")
        first = lab.serve(task(serving).options(name="first"), "first", gauge)
        second = lab.serve(task(serving).options(name="second"), "second", gauge)
        while first.state is not S.RUNNING or second.state is not S.RUNNING:
            lab.ask(lambda: None)
        lab.start(long, laser)
        gate.reached()
        threading.Timer(0.05, gate.open).start()
    assert log == ["run ended", "second stopped", "first stopped", "laser closed", "gauge closed"]
    assert first.status.why == "the lab is closed"


def test_a_lab_that_is_left_by_an_error_stops_its_services_too() -> None:
    message = "oops"
    lab = Lab(cancel_grace=0.3)
    service = lab.serve(idle)
    with pytest.raises(KeyError), lab:
        raise KeyError(message)
    assert service.state is S.STOPPED
    assert lab.exit_code == 0


def test_a_service_may_start_children_as_long_as_the_last_runs_end() -> None:
    children: list[int] = []
    more, enough, running = threading.Event(), threading.Event(), threading.Event()

    def parent() -> None:
        while not enough.is_set():
            children.append(spawn(negated, -3).result())
            running.set()
            if more.is_set() and len(children) > 5:
                enough.set()
        sleep(LONG)

    def late() -> None:
        try:
            sleep(LONG)
        finally:
            children.clear()
            more.set()
            assert enough.wait(5)

    def program() -> None:
        with lab:
            lab.serve(task(restart=GRAVE)(parent))
            lab.start(late)
            assert running.wait(5)
            raise KeyError

    lab = Lab(cancel_grace=5.0)
    with pytest.raises(KeyError):
        program()
    service = lab.services["parent"]
    assert (service.state, service.last_error, lab.exit_code) == (S.STOPPED, None, 0)


def test_a_service_that_fails_while_the_lab_closes_is_no_alarm_and_not_started_again() -> None:
    failed, closing, running = threading.Event(), threading.Event(), threading.Event()

    def frail() -> None:
        try:
            running.set()
            closing.wait(5)
            breaks()
        finally:
            failed.set()

    def late() -> None:
        try:
            sleep(LONG)
        finally:
            closing.set()
            assert failed.wait(5)

    def program() -> None:
        with lab:
            lab.serve(task(restart=GRAVE)(frail))
            run = lab.start(late)
            assert running.wait(5)
            while run.state is not RunState.RUNNING:
                lab.ask(lambda: None)
            raise KeyError

    lab = Lab(cancel_grace=5.0)
    with pytest.raises(KeyError):
        program()
    service = lab.services["frail"]
    assert (service.state, service.restarts, lab.exit_code) == (S.STOPPED, 0, 0)
    assert isinstance(service.last_error, ValueError)


def test_a_waiting_service_does_not_begin_in_a_lab_that_closes() -> None:
    with Lab(cancel_grace=0.3) as lab:
        service = lab.serve(task(restart=RestartPolicy(delay=0.05))(breaks))
        while service.state is not S.WAITING:
            lab.ask(lambda: None)
    assert service.wait(0) is S.STOPPED
    assert service.restarts == 0


def test_an_emergency_stop_stops_services_also_those_which_wait_until_somebody_starts_them(
    lab: Lab, becomes: Becomes
) -> None:
    gauge = lab.add("gauge", Gauge)
    running = lab.serve(watch, gauge)
    waiting = lab.serve(task(restart=RestartPolicy(delay=0.02))(breaks))
    becomes(running, S.RUNNING)
    becomes(waiting, S.WAITING)
    lab.emergency_stop("smoke").result(5)
    assert (running.wait(5), waiting.wait(5)) == (S.STOPPED, S.STOPPED)
    assert running.status.why == "emergency stop: smoke"
    lab.rearm()
    running.start()
    becomes(running, S.RUNNING)
    assert waiting.state is S.STOPPED


def test_an_interlock_pauses_a_service_and_resumes_it(lab: Lab, until: Until, becomes: Becomes) -> None:
    well = [True]
    gauge = lab.add("gauge", Gauge)

    def watchful(gauge: Shared[Gauge]) -> None:
        while True:
            gauge.pressure()
            checkpoint()

    service = lab.serve(watchful, gauge)
    becomes(service, S.RUNNING)
    lab.interlock(lambda: well[0], "pause", devices=gauge, period=0.01, grace=LONG)
    well[0] = False
    run = service.run
    assert run is not None
    until(run, RunState.PAUSED)
    well[0] = True
    until(run, RunState.RUNNING)
    assert service.state is S.RUNNING


# -- then="stop_lab"


def test_a_service_without_which_the_lab_is_nothing_closes_it_when_it_gives_up() -> None:
    log: list[str] = []
    lab = Lab(cancel_grace=0.3)
    go = threading.Event()

    def guard() -> None:
        go.wait(5)
        breaks()

    def long(gauge: Gauge) -> None:
        gauge.set(1)
        go.set()
        sleep(LONG)

    def program() -> None:
        with lab:
            gauge = lab.add("gauge", Gauge, log)
            lab.serve(task(restart=GRAVE)(guard))
            lab.serve(idle)
            with pytest.raises(RunCancelled, match="the lab stops, since 'guard' failed") as cancelled:
                lab.run(long, gauge)
            assert cancelled.value.safe == ("gauge",)

    with pytest.raises(ActorLabError, match="stopped itself: 'guard' failed, and its policy allows no") as caught:
        program()
    assert isinstance(caught.value.__cause__, ValueError)
    assert lab.exit_code == 1
    assert log == ["gauge 1", "gauge safe", "gauge closed"]
    assert {name: service.state for name, service in lab.services.items()} == {"guard": S.GAVE_UP, "idle": S.STOPPED}
    with pytest.raises(ConfigError, match="since it stopped itself: 'guard' failed"):
        lab.run(len, "abc")


def breaks_after(gate: Gate) -> None:
    gate.reached()
    breaks()


def idle_at(gate: Gate) -> None:
    gate.arrive()
    sleep(LONG)


def test_an_error_that_leaves_the_block_is_not_replaced_by_that_of_the_lab(gate: Gate) -> None:
    lab = Lab(cancel_grace=0.3)

    def program() -> None:
        with lab:
            lab.serve(task(restart=GRAVE)(breaks_after), gate)
            lab.run(idle_at, gate)

    with pytest.raises(RunCancelled, match="the lab stops"):
        program()
    assert lab.exit_code == 1


def test_a_lab_that_only_waits_for_its_last_run_is_stopped_as_well(gate: Gate) -> None:
    lab = Lab(cancel_grace=0.3)

    def guard() -> None:
        gate.stop()
        breaks()

    def program() -> None:
        with lab:
            lab.start(idle)
            lab.serve(task(restart=GRAVE)(guard))
            gate.reached()
            threading.Timer(0.05, gate.open).start()

    with pytest.raises(ActorLabError, match="stopped itself"):
        program()
    assert lab.get("idle#1").state is RunState.INTERRUPTED


def test_a_lab_without_a_block_closes_by_itself(lab: Lab) -> None:
    gauge = lab.add("gauge", Gauge)
    lab.serve(task(restart=GRAVE)(breaks)).wait(5)
    lab.close()
    assert lab.states()["gauge"].value == "closed"
    assert lab.exit_code == 1
    with pytest.raises(ActorLabError):
        gauge.set(1)


def test_an_asynchronous_block_hears_of_it_too(gate: Gate) -> None:
    async def main() -> None:
        async with Lab(cancel_grace=0.3) as lab:
            lab.serve(task(restart=GRAVE)(breaks_after), gate)
            await lab.start(idle_at, gate)

    with pytest.raises(RunCancelled, match="the lab stops"):
        asyncio.run(main())


def test_a_group_stops_the_lab_only_if_the_one_that_failed_or_its_intensity_says_so() -> None:
    with Lab(cancel_grace=0.3) as lab:
        mild = lab.group("mild")
        mild.serve(task(restart=GRAVE, name="guard")(idle))
        assert mild.serve(task(restart=ONCE)(breaks)).wait(5) is S.GAVE_UP
    assert lab.exit_code == 0
    lab = Lab(cancel_grace=0.3)
    grave = lab.group("grave", intensity=RestartPolicy(limit=1, delay=0, then="stop_lab"))
    assert grave.serve(task(restart=AT_ONCE)(breaks)).wait(5) is S.GAVE_UP
    with pytest.raises(ActorLabError, match="the group grave gave up"):
        lab.__exit__(None, None, None)
    assert lab.exit_code == 1


def test_a_service_that_ends_well_or_is_stopped_by_hand_does_not_stop_the_lab() -> None:
    with Lab(cancel_grace=0.3) as lab:
        assert lab.serve(task(restart=GRAVE, name="well")(len), "abc").wait(5) is S.ENDED
        service = lab.serve(task(restart=GRAVE)(idle))
        service.stop()
        assert service.wait(5) is S.STOPPED
    assert lab.exit_code == 0


def test_one_that_hangs_beyond_its_timeout_stops_the_lab_as_well(gate: Gate) -> None:
    lab = Lab(cancel_grace=0.1)
    service = lab.serve(task(restart=GRAVE, timeout=0.02)(stubborn), gate)
    assert service.wait(5) is S.ABANDONED
    with pytest.raises(ActorLabError, match="stubborn was abandoned"):
        lab.__exit__(None, None, None)


def test_nobody_waits_for_a_service_of_a_lab_whose_decisions_have_failed(lab: Lab) -> None:
    service = lab.serve(idle)

    def fault(_: Any) -> None:
        message = "our bug"
        raise RuntimeError(message)

    lab.decider.post(fault)
    assert service.wait(5) is S.GAVE_UP
    assert "fault of its own" in service.status.why


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_forked_child_refuses_to_serve(lab: Lab) -> None:
    service = lab.serve(idle)
    child = os.fork()
    if child == 0:  # pragma: no cover - another process
        code = 1
        try:
            service.start()
        except ConfigError:
            code = 0
        finally:
            os._exit(code)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0


# -- the limiter, through the whole stack


def test_there_are_never_more_restarts_in_a_window_than_the_limit_and_a_burst_of_two_means_two(lab: Lab) -> None:
    """Lives of random lengths, against a model that knows nothing but when each of them began."""
    period, chance = 0.08, random.Random(7)
    lengths = {f"{limit} {number}": chance.uniform(0.0, 0.06) for limit in (1, 2, 3) for number in range(4)}
    began: dict[str, list[float]] = {name: [] for name in (*lengths, "breaks")}
    services = {}

    def lives(name: str) -> None:
        sleep(chance.uniform(0, lengths[name]))
        breaks()

    handled = lab.lab_actor.services._handle

    def handle(group: Any, event: Any) -> list[str]:
        if isinstance(event, Began):
            began[event.name].append(time.monotonic())
        assert not isinstance(event, Ended) or began[event.name]
        return handled(group, event)

    lab.lab_actor.services._handle = handle  # type: ignore[method-assign]  # only looked at
    for name in lengths:
        policy = RestartPolicy(limit=int(name[0]), period=period, delay=0.001, factor=1.0)
        services[name] = lab.serve(task(lives).options(name=name, restart=policy), name)
    end = time.monotonic() + 3.0
    while any(not service.state.resting for service in services.values()) and time.monotonic() < end:
        lab.ask(lambda: None)
        threading.Event().wait(0.01)
    for name, service in services.items():
        limit, restarts = int(name[0]), began[name][1:]
        assert service.restarts == len(restarts)
        for first, beyond in zip(restarts, restarts[limit:], strict=False):
            assert beyond - first > period, f"{name}: {limit + 1} restarts within {beyond - first:g} s"
        if service.state is S.GAVE_UP:
            assert len(restarts) >= limit
    at_once = lab.serve(task(restart=RestartPolicy(limit=2, period=period, delay=0))(breaks))
    assert at_once.wait(5) is S.GAVE_UP
    assert at_once.restarts == 2
    for service in services.values():
        service.stop()
