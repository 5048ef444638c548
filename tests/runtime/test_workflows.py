"""Hold workflows to their law: they mean what they say; a lab gives what the plain function gives, only sooner."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from actorlab import (
    Lab,
    NotLeased,
    RestartPolicy,
    Run,
    RunCancelled,
    RunState,
    RunTimeout,
    Shared,
    WorkflowError,
    checkpoint,
    cleanup,
    progress,
    query,
    sleep,
    spawn,
    task,
    track,
    workflow,
)

if TYPE_CHECKING:
    from tests.runtime.conftest import Gate

Until = Callable[[Run[Any], RunState], None]


class Lamp:
    """A device with a state, which writes down what it does."""

    def __init__(self, log: list[str] | None = None, name: str = "lamp") -> None:
        self.log = [] if log is None else log
        self.name = name
        self._level = 0

    def set(self, level: int) -> int:
        self.log.append(f"{self.name} {level}")
        self._level = level
        return level

    def off(self) -> None:
        self.log.append(f"{self.name} off")

    @query
    def level(self) -> int:
        return self._level

    def make_safe(self) -> None:
        self.log.append(f"{self.name} safe")


@task
def light(lamp: Lamp, level: int) -> int:
    return lamp.set(level)


@task
def add(*numbers: int) -> int:
    return sum(numbers)


@task
def turn_off(lamp: Lamp) -> None:
    lamp.off()


@task
def fail(*_: Any) -> int:
    message = "it failed"
    raise ValueError(message)


# -- order and values


def test_steps_that_share_a_device_keep_their_written_order(lab: Lab) -> None:
    log: list[str] = []
    lamp = lab.add("lamp", Lamp, log)

    @workflow
    def steps(lamp: Lamp) -> None:
        for level in range(30):
            light(lamp, level)

    lab.run(steps, lamp)
    assert log == [f"lamp {level}" for level in range(30)]


def test_values_are_passed_on_whatever_they_are_in(lab: Lab) -> None:
    lamp = lab.add("lamp", Lamp)

    @dataclass
    class Pair:
        first: int
        second: int

    @task
    def both(pair: Pair, rest: dict[str, list[int]]) -> tuple[int, int]:
        return pair.first + pair.second, sum(rest["all"])

    @workflow
    def steps(lamp: Lamp) -> dict[str, Any]:
        one, two = light(lamp, 1), light(lamp, 2)
        sums = both(Pair(one, two), {"all": [one, two, 3]})
        return {"sums": sums, "first": sums[0], "lights": [one, two]}

    assert lab.run(steps, lamp) == {"sums": (3, 6), "first": 3, "lights": [1, 2]}
    assert steps(Lamp()) == {"sums": (3, 6), "first": 3, "lights": [1, 2]}


def test_steps_that_share_neither_device_nor_value_overlap(lab: Lab) -> None:
    together = threading.Barrier(3, timeout=5)

    @task
    def meet(lamp: Lamp) -> int:
        together.wait()
        return lamp.level()

    @workflow
    def steps(lamps: list[Lamp]) -> list[int]:
        return [meet(lamp) for lamp in lamps]

    lamps = [lab.add(name, Lamp) for name in "abc"]
    assert lab.run(steps, lamps) == [0, 0, 0]


def test_steps_that_only_rely_on_a_device_overlap_and_those_that_command_it_do_not(lab: Lab) -> None:
    log: list[str] = []
    together = threading.Barrier(2, timeout=5)
    lamp = lab.add("lamp", Lamp, log)

    @task
    def rely(lamp: Shared[Lamp]) -> int:
        together.wait()
        return lamp.level()

    @workflow
    def steps(lamp: Lamp) -> list[int]:
        light(lamp, 1)
        seen = [rely(lamp), rely(lamp)]
        light(lamp, 2)
        return seen

    assert lab.run(steps, lamp) == [1, 1]
    assert log == ["lamp 1", "lamp 2"]


def test_a_nested_workflow_is_one_step_with_steps_inside(lab: Lab) -> None:
    lamps = [lab.add("a", Lamp), lab.add("b", Lamp)]
    together = threading.Barrier(2, timeout=5)

    @task
    def meet(lamp: Lamp, level: int) -> int:
        together.wait()
        return lamp.set(level)

    @workflow
    def inner(first: Lamp, second: Lamp, level: int) -> list[int]:
        return [meet(first, level), meet(second, add(level, 1))]

    @workflow
    def outer(first: Lamp, second: Lamp) -> int:
        start = light(first, 5)
        levels = inner(first, second, start)
        return add(levels[0], levels[1])

    run = lab.start(outer, *lamps)
    assert run.result(5) == 11
    assert [step.name for step in run.steps] == ["light", "inner", "add"]
    assert all(step.state is RunState.SUCCEEDED for step in run.steps)


def test_a_workflow_called_with_the_labs_devices_outside_a_run_is_a_run_of_it(lab: Lab) -> None:
    lamp = lab.add("lamp", Lamp)

    @workflow
    def steps(lamp: Lamp) -> int:
        return add(light(lamp, 1), light(lamp, 2))

    assert steps(lamp) == 3
    assert light(lamp, 4) == 4
    assert [run.name for run in lab.runs] == ["steps", "light"]


def test_a_task_called_in_a_body_is_a_plain_call(lab: Lab) -> None:
    lamp = lab.add("lamp", Lamp)

    @task
    def body(lamp: Lamp) -> int:
        return light(lamp, 1) + light(lamp, 2)

    run = lab.start(body, lamp)
    assert run.result(5) == 3
    assert run.children == ()


def test_a_task_may_not_return_a_device(lab: Lab) -> None:
    lamp = lab.add("lamp", Lamp)
    for wrapped in (lambda lamp: lamp, lambda lamp: [lamp], lambda lamp: {"lamp": (lamp,)}):
        with pytest.raises(WorkflowError, match="returned a device"):
            lab.run(wrapped, lamp)


# -- failures


def test_a_failing_step_ends_the_others_and_is_raised_as_itself(lab: Lab, gate: Gate) -> None:
    log: list[str] = []
    lamp = lab.add("lamp", Lamp, log)

    @task
    def wait(lamp: Lamp) -> None:
        gate.arrive()
        try:
            sleep(60)
        finally:
            lamp.off()

    @task
    def fail_then() -> None:
        gate.reached()
        raise KeyError

    @workflow
    def steps(lamp: Lamp) -> int:
        wait(lamp)
        light(lamp, 9)
        fail_then()
        return 1

    run = lab.start(steps, lamp)
    with pytest.raises(KeyError) as caught:
        run.result(5)
    assert any(f"step fail_then of {run.id}" in note for note in caught.value.__notes__)
    assert log == ["lamp off", "lamp safe"]
    assert [step.state.value for step in run.steps] == ["cancelled", "skipped", "failed"]


def test_keep_going_finishes_what_does_not_depend_on_a_failure_and_raises_a_group(lab: Lab) -> None:
    log: list[str] = []
    lamp = lab.add("lamp", Lamp, log)

    @workflow(keep_going=True)
    def steps(lamp: Lamp) -> int:
        broken = fail()
        other = fail(1)
        light(lamp, 1)
        return add(broken, other)

    run = lab.start(steps, lamp)
    with pytest.raises(ExceptionGroup) as caught:
        run.result(5)
    assert [type(error) for error in caught.value.exceptions] == [ValueError, ValueError]
    assert log == ["lamp 1", "lamp safe"]
    assert [step.state.value for step in run.steps] == ["failed", "failed", "succeeded", "skipped"]


def test_a_step_with_retries_is_tried_again_alone(lab: Lab) -> None:
    calls: list[str] = []
    policy = RestartPolicy(delay=0.01)

    @task(retries=2, restart=policy)
    def flaky() -> int:
        calls.append("flaky")
        if calls.count("flaky") < 3:
            raise ValueError
        return 7

    @task
    def once() -> int:
        calls.append("once")
        return 1

    @workflow
    def steps() -> int:
        return add(once(), flaky())

    assert lab.run(steps) == 8
    assert calls.count("flaky") == 3
    assert calls.count("once") == 1


def test_a_step_that_takes_longer_than_its_timeout_fails_by_it(lab: Lab) -> None:
    log: list[str] = []
    lamp = lab.add("lamp", Lamp, log)

    @task(timeout=0.05)
    def slow(lamp: Lamp) -> None:
        try:
            sleep(60)
        finally:
            lamp.off()

    @workflow
    def steps(lamp: Lamp) -> int:
        slow(lamp)
        return light(lamp, 1)

    run = lab.start(steps, lamp)
    with pytest.raises(RunTimeout, match=r"timeout of 0\.05 s"):
        run.result(5)
    assert log == ["lamp off", "lamp safe"]
    assert run.steps[0].state is RunState.TIMED_OUT


def test_a_workflow_with_retries_begins_again_as_a_whole(lab: Lab) -> None:
    log: list[str] = []
    lamp = lab.add("lamp", Lamp, log)

    @task
    def flaky() -> None:
        if len(log) < 2:
            raise ValueError

    @workflow(retries=1, restart=RestartPolicy(delay=0.01))
    def steps(lamp: Lamp) -> int:
        level = light(lamp, 1)
        flaky.options(after=level)()
        return level

    assert lab.run(steps, lamp) == 1
    assert log == ["lamp 1", "lamp 1"]


# -- clean-ups


def test_clean_ups_run_last_registered_first_after_the_bodies(lab: Lab) -> None:
    log: list[str] = []
    lamp = lab.add("lamp", Lamp, log)

    @workflow
    def steps(lamp: Lamp) -> None:
        cleanup(turn_off, lamp)
        cleanup(light, lamp, 0)
        light(lamp, 1)

    lab.run(steps, lamp)
    assert log == ["lamp 1", "lamp 0", "lamp off"], "and nothing is made safe: it succeeded"
    plain: list[str] = []
    steps(Lamp(plain))
    assert plain == log


def test_clean_ups_run_after_a_failure_and_before_the_devices_are_made_safe(lab: Lab) -> None:
    log: list[str] = []
    lamp = lab.add("lamp", Lamp, log)

    @workflow
    def steps(lamp: Lamp) -> None:
        cleanup(turn_off, lamp)
        light(lamp, 1)
        fail(lamp)

    with pytest.raises(ValueError, match="it failed"):
        lab.run(steps, lamp)
    assert log == ["lamp 1", "lamp off", "lamp safe"]


def test_clean_ups_run_after_a_cancel(lab: Lab, gate: Gate) -> None:
    log: list[str] = []
    lamp = lab.add("lamp", Lamp, log)

    @task
    def wait(lamp: Lamp) -> None:
        lamp.set(1)
        gate.arrive()
        sleep(60)

    @workflow
    def steps(lamp: Lamp) -> None:
        cleanup(turn_off, lamp)
        wait(lamp)

    run = lab.start(steps, lamp)
    gate.reached()
    run.cancel()
    with pytest.raises(RunCancelled):
        run.result(5)
    assert log == ["lamp 1", "lamp off", "lamp safe"]


def test_clean_ups_do_not_run_if_no_step_had_begun(lab: Lab, gate: Gate) -> None:
    log: list[str] = []
    lamp = lab.add("lamp", Lamp, log)

    @workflow
    def steps(lamp: Lamp) -> None:
        cleanup(turn_off, lamp)
        light(lamp, 1)

    holder = lab.start(lambda _: gate.stop(), lamp)
    gate.reached()
    run = lab.start(steps, lamp)
    run.cancel()
    with pytest.raises(RunCancelled):
        run.result(5)
    gate.open()
    holder.result(5)
    assert log == []


def test_a_clean_up_that_fails_is_told_and_the_others_run_all_the_same(lab: Lab) -> None:
    log: list[str] = []
    lamp = lab.add("lamp", Lamp, log)

    @workflow
    def steps(lamp: Lamp) -> None:
        cleanup(turn_off, lamp)
        cleanup(fail, lamp)
        light(lamp, 1)

    with pytest.raises(ValueError, match="it failed"):
        lab.run(steps, lamp)
    assert log == ["lamp 1", "lamp off", "lamp safe"]

    @workflow
    def two(lamp: Lamp) -> None:
        cleanup(fail, lamp)
        first = light(lamp, 1)
        broken(first)

    with pytest.raises(KeyError) as caught:
        lab.run(two, lamp)
    assert any("the clean-up fail failed: ValueError('it failed')" in note for note in caught.value.__notes__)


@task
def broken(*_: Any) -> None:
    raise KeyError


def test_a_clean_up_that_hangs_is_given_up(lab: Lab, gate: Gate) -> None:
    log: list[str] = []
    lamp = lab.add("lamp", Lamp, log)

    @task
    def hang(lamp: Lamp) -> None:
        del lamp
        gate.stop()

    @workflow
    def steps(lamp: Lamp) -> None:
        cleanup(turn_off, lamp)
        cleanup(hang.options(timeout=0.05), lamp)
        light(lamp, 1)

    with pytest.raises(TimeoutError, match=r"the clean-up .*hang didn't end within 0\.05 s"):
        lab.run(steps, lamp)
    assert log == ["lamp 1", "lamp off", "lamp safe"]


def test_a_nested_workflows_clean_ups_are_its_own(lab: Lab) -> None:
    log: list[str] = []
    lamp = lab.add("lamp", Lamp, log)

    @workflow
    def inner(lamp: Lamp) -> int:
        cleanup(turn_off, lamp)
        return light(lamp, 1)

    @workflow
    def outer(lamp: Lamp) -> int:
        cleanup(light, lamp, 0)
        inner(lamp)
        return light(lamp, 2)

    assert lab.run(outer, lamp) == 2
    assert log == ["lamp 1", "lamp off", "lamp 2", "lamp 0"]


# -- lease="step"


def test_with_lease_step_each_step_leases_its_devices_for_itself(lab: Lab, gates: Any) -> None:
    between, after = gates(), gates()
    log: list[str] = []
    lamp = lab.add("lamp", Lamp, log)

    @task
    def pause() -> int:
        between.stop()
        return 1

    @workflow(lease="step")
    def steps(lamp: Lamp) -> int:
        number = pause.options(after=light(lamp, 1))()
        return light(lamp, number)

    run = lab.start(steps, lamp)
    between.reached()
    assert lamp.set(5) == 5, "nobody holds it between two steps"
    holder = lab.start(lambda _: after.stop(), lamp)
    after.reached()
    between.open()
    after.open()
    holder.result(5)
    assert run.result(5) == 1
    assert log == ["lamp 1", "lamp 5", "lamp 1"]


def test_with_lease_step_a_waiting_step_says_for_what_and_a_failing_one_makes_its_devices_safe(
    lab: Lab, gate: Gate
) -> None:
    log: list[str] = []
    lamp, other = lab.add("lamp", Lamp, log), lab.add("other", Lamp, log, "other")

    @workflow(lease="step")
    def steps(lamp: Lamp, other: Lamp) -> None:
        light(other, 1)
        fail_with(lamp)

    holder = lab.start(lambda _: gate.stop(), lamp)
    gate.reached()
    run = lab.start(steps, lamp, other)
    while not ((reasons := run.reasons) and log and not lab.status("other").holder):  # the other step has run
        checkpoint()
    assert f"waits for lamp, held by {holder.id}" in reasons[0]
    gate.open()
    with pytest.raises(ValueError, match="it failed"):
        run.result(5)
    assert log == ["other 1", "lamp 9", "lamp safe"]


@task
def fail_with(lamp: Lamp) -> None:
    lamp.set(9)
    message = "it failed"
    raise ValueError(message)


def test_a_task_with_lease_step_uses_no_device_itself_and_its_children_lease_one_by_one(lab: Lab) -> None:
    log: list[str] = []
    lamp = lab.add("lamp", Lamp, log)

    @task(lease="step")
    def optimise(lamp: Lamp) -> int:
        return sum(spawn(light, lamp, level).result() for level in (1, 2, 3))

    @task(lease="step")
    def cheat(lamp: Lamp) -> int:
        return lamp.set(9)

    assert lab.run(optimise, lamp) == 6
    with pytest.raises(NotLeased):
        lab.run(cheat, lamp)
    assert log == ["lamp 1", "lamp 2", "lamp 3"]


def test_with_lease_step_a_workflow_within_one_that_holds_its_devices_borrows_them(lab: Lab) -> None:
    lamp = lab.add("lamp", Lamp)

    @workflow(lease="step")
    def inner(lamp: Lamp) -> int:
        return light(lamp, 1)

    @workflow
    def outer(lamp: Lamp) -> list[int]:
        return [inner(lamp), light(lamp, 2)]

    @task
    def body(lamp: Lamp) -> int:
        return spawn(inner, lamp).result()

    assert lab.start(outer, lamp).result(5) == [1, 2]
    assert lab.start(body, lamp).result(5) == 1


# -- drawing pitfalls


class Pitfalls:
    """Workflow bodies which do what can't be drawn."""

    @staticmethod
    def compares(lamp: Lamp) -> Any:
        return light(lamp, 1) > 3

    @staticmethod
    def branches(lamp: Lamp) -> Any:
        return light(lamp, 1) or 0

    @staticmethod
    def calculates(lamp: Lamp) -> Any:
        return light(lamp, 1) + 1

    @staticmethod
    def formats(lamp: Lamp) -> Any:
        return f"{light(lamp, 1)}"

    @staticmethod
    def iterates(lamp: Lamp) -> Any:
        return [number for number in light(lamp, 1)]  # type: ignore[attr-defined]  # noqa: C416 - the mistake

    @staticmethod
    def counts(lamp: Lamp) -> Any:
        return len(light(lamp, 1))  # type: ignore[arg-type]  # the mistake

    @staticmethod
    def hashes(lamp: Lamp) -> Any:
        return {light(lamp, 1): 2}

    @staticmethod
    def looks(lamp: Lamp) -> Any:
        return isinstance(light(lamp, 1), int)

    @staticmethod
    def commands(lamp: Lamp) -> Any:
        return lamp.set(1)

    @staticmethod
    def queries(lamp: Lamp) -> Any:
        return lamp.level()

    @staticmethod
    def sleeps(lamp: Lamp) -> Any:
        sleep(1)
        return light(lamp, 1)

    @staticmethod
    def checks(lamp: Lamp) -> Any:
        checkpoint()
        return light(lamp, 1)

    @staticmethod
    def tells(lamp: Lamp) -> Any:
        progress(1, 2)
        return light(lamp, 1)

    @staticmethod
    def tracks(lamp: Lamp) -> Any:
        return [light(lamp, level) for level in track([1, 2])]

    @staticmethod
    def spawns(lamp: Lamp) -> Any:
        return spawn(light, lamp, 1)

    @staticmethod
    def tries(lamp: Lamp) -> Any:
        try:
            return light(lamp, 1)
        finally:
            turn_off(lamp)

    @staticmethod
    def hides(lamp: Lamp) -> Any:
        level = light(lamp, 1)
        return add(lambda: level)  # type: ignore[arg-type]  # the mistake


PITFALLS: dict[str, Callable[[Lamp], Any]] = {
    name: body.__func__ for name, body in vars(Pitfalls).items() if isinstance(body, staticmethod)
}


@pytest.mark.parametrize("name", list(PITFALLS))
def test_each_drawing_pitfall_is_an_error_that_says_what_to_do_and_touches_nothing(lab: Lab, name: str) -> None:
    log: list[str] = []
    lamp = lab.add("lamp", Lamp, log)
    advice = r"(?i)put it in a task|pass it on to a task|look at it there|argument of its own"
    with pytest.raises(WorkflowError, match=advice):
        lab.run(workflow(PITFALLS[name]), lamp)
    assert log == []
    assert lamp.set(1) == 1, "it isn't leased"


def test_starting_a_run_while_drawing_is_refused(lab: Lab) -> None:
    lamp = lab.add("lamp", Lamp)

    @workflow
    def runs(lamp: Lamp) -> int:
        return lab.run(light, lamp, 1)

    with pytest.raises(WorkflowError, match="put it in a task"):
        lab.run(runs, lamp)


def test_a_step_that_uses_a_device_which_its_workflow_was_not_given_is_refused(lab: Lab) -> None:
    log: list[str] = []
    lamp, other = lab.add("lamp", Lamp, log), lab.add("other", Lamp, log)

    @workflow
    def steps(lamp: Lamp) -> int:
        light(lamp, 1)
        return light(other, 2)

    with pytest.raises(NotLeased, match=r"'other'.*not among the arguments of workflow steps"):
        lab.run(steps, lamp)
    assert log == []


# -- the law


@dataclass(frozen=True)
class Drawn:
    """One step of a random workflow: what it does to which devices, and whose values it takes."""

    commands: tuple[int, ...]
    relies: tuple[int, ...]
    values: tuple[int, ...]
    milliseconds: int


@task
def work(commanded: list[Lamp], relied: Shared[list[Lamp]], values: list[int], number: int, milliseconds: int) -> int:
    """Give something that depends on all that it uses, and change all that it commands."""
    sleep(milliseconds / 1000)  # as instruments do, so that steps which aren't kept in order overtake one another
    seen = sum(lamp.level() for lamp in relied) + sum(values) + number
    for lamp in commanded:
        seen += lamp.level()
        lamp.set(seen % 1009)
    return seen % 1009


DEVICES = 3


@st.composite
def workflows(draw: st.DrawFn) -> list[Drawn]:
    steps: list[Drawn] = []
    for number in range(draw(st.integers(1, 10))):
        uses = draw(st.lists(st.sampled_from(["no", "command", "rely"]), min_size=DEVICES, max_size=DEVICES))
        commands = tuple(device for device, use in enumerate(uses) if use == "command")
        relies = tuple(device for device, use in enumerate(uses) if use == "rely")
        values = draw(st.lists(st.integers(0, number - 1), max_size=3)) if number else []
        steps.append(Drawn(commands, relies, tuple(values), draw(st.sampled_from([0, 0, 1, 3]))))
    return steps


def written(steps: list[Drawn]) -> Any:
    """Return the workflow that has these steps."""

    def body(lamps: list[Lamp]) -> list[int]:
        results: list[int] = []
        for number, step in enumerate(steps):
            commanded = [lamps[device] for device in step.commands]
            relied = [lamps[device] for device in step.relies]
            values = [results[value] for value in step.values]
            results.append(work(commanded, relied, values, number, step.milliseconds))
        return results

    return workflow(body)


def test_a_workflow_gives_in_a_lab_what_it_gives_as_a_plain_function(lab: Lab) -> None:
    devices = [lab.add(f"lamp{number}", Lamp) for number in range(DEVICES)]

    @settings(max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(workflows())
    def law(steps: list[Drawn]) -> None:
        for device in devices:
            device.set(0)
        plain = [Lamp() for _ in range(DEVICES)]
        assert lab.run(written(steps), devices) == written(steps)(plain)
        assert [device.level() for device in devices] == [lamp.level() for lamp in plain]

    law()


# -- within some time


def test_a_step_that_cannot_start_within_its_time_fails_the_run_naming_both(lab: Lab, gate: Gate) -> None:
    lamp, reader = lab.add("lamp", Lamp), lab.add("reader", Lamp, None, "reader")

    @task
    def occupy(reader: Lamp) -> None:
        reader.set(1)
        gate.arrive()
        while True:
            sleep(60)

    @workflow
    def steps(lamp: Lamp, reader: Lamp) -> int:
        occupy(reader)
        soaked = light(lamp, 1)
        return light.options(after=soaked, within=0.05, name="read")(reader, 2)

    with pytest.raises(RunTimeout, match=r"read \(.*\) didn't start within 0.05 s of the end of light"):
        lab.start(steps, lamp, reader).result(5)


def test_a_step_that_starts_within_its_time_is_left_in_peace(lab: Lab) -> None:
    lamp, reader = lab.add("lamp", Lamp), lab.add("reader", Lamp, None, "reader")

    @workflow
    def steps(lamp: Lamp, reader: Lamp) -> int:
        soaked = light(lamp, 1)
        return light.options(after=soaked, within=5)(reader, 2)

    assert lab.run(steps, lamp, reader) == 2


def test_an_emergency_stop_fences_a_clean_up_that_is_under_way(lab: Lab, gate: Gate) -> None:
    log: list[str] = []
    lamp = lab.add("lamp", Lamp, log)

    def linger(lamp: Lamp) -> None:
        gate.arrive()
        sleep(60)
        lamp.set(7)

    @workflow
    def steps(lamp: Lamp) -> int:
        cleanup(linger, lamp)
        return light(lamp, 1)

    run = lab.start(steps, lamp)
    gate.reached()
    assert lab.emergency_stop("smoke").result(5) == {"lamp": None}
    assert run.exception(5) is not None
    lab.rearm()
    assert log == ["lamp 1", "lamp safe", "lamp safe"]
