"""Hold `each` and `choose` to their law: in a lab they give what the comprehension and the conditional give."""

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
    RestartPolicy,
    Run,
    RunCancelled,
    RunState,
    RunTimeout,
    WorkflowError,
    choose,
    cleanup,
    each,
    query,
    sleep,
    task,
    track,
    workflow,
)

if TYPE_CHECKING:
    from tests.runtime.conftest import Gate

Until = Callable[[Run[Any], RunState], None]


class Lamp:
    """A device with a state, which writes down what it does."""

    def __init__(self, log: list[str] | None = None) -> None:
        self.log = [] if log is None else log
        self._level = 0

    def set(self, level: int) -> int:
        self.log.append(f"set {level}")
        self._level = level
        return level

    @query
    def level(self) -> int:
        return self._level

    def make_safe(self) -> None:
        self.log.append("safe")


@task
def light(lamp: Lamp, level: int) -> int:
    return lamp.set(level)


@task
def give(value: Any) -> Any:
    return value


@task
def add(*numbers: int) -> int:
    return sum(numbers)


@task
def fail(*_: Any) -> int:
    message = "it failed"
    raise ValueError(message)


# -- what they give


def test_items_that_a_step_gives_are_worked_off_in_order(lab: Lab) -> None:
    log: list[str] = []
    lamp = lab.add("lamp", Lamp, log)

    @workflow
    def steps(lamp: Lamp) -> dict[str, Any]:
        levels = each(lambda level: light(lamp, level), give([3, 1, 2]))
        return {"levels": levels, "first": levels[0], "sum": add(levels[1], levels[2])}

    assert lab.run(steps, lamp) == {"levels": [3, 1, 2], "first": 3, "sum": 3}
    assert log == ["set 3", "set 1", "set 2"]
    assert steps(Lamp()) == {"levels": [3, 1, 2], "first": 3, "sum": 3}


def test_no_items_give_an_empty_list(lab: Lab) -> None:
    @workflow
    def steps() -> list[int]:
        return each(lambda item: add(item), give([]))  # noqa: PLW0108  - as a user writes it

    assert lab.run(steps) == []


@pytest.mark.parametrize("is_fine", [True, False])
def test_only_what_is_chosen_is_done(lab: Lab, is_fine: bool) -> None:
    log: list[str] = []
    lamp = lab.add("lamp", Lamp, log)

    @workflow
    def steps(lamp: Lamp) -> int:
        return add(choose(give(is_fine), lambda: light(lamp, 1), lambda: light(lamp, 2)), 10)

    assert lab.run(steps, lamp) == (11 if is_fine else 12)
    assert log == ["set 1" if is_fine else "set 2"]


def test_values_of_the_workflow_around_are_known_inside(lab: Lab) -> None:
    @workflow
    def inner(offset: int, numbers: list[int]) -> list[int]:
        double = add(offset, offset)
        return each(lambda number: add(number, offset, double), numbers)

    @workflow
    def outer() -> list[list[int]]:
        offset = give(100)
        return each(lambda numbers: inner(offset, numbers), give([[1, 2], [3]]))

    assert outer() == [[301, 302], [303]]
    assert lab.run(outer) == [[301, 302], [303]]


def test_a_choice_may_return_what_was_known_before_without_any_step(lab: Lab) -> None:
    @workflow
    def steps() -> list[Any]:
        old = give({"x": 1})
        return [choose(give(True), lambda: old["x"], lambda: 2), choose(give(False), lambda: old, lambda: None)]

    assert lab.run(steps) == [1, None]


def test_a_workflow_may_call_itself_until_a_condition_is_met(lab: Lab) -> None:
    log: list[str] = []
    lamp = lab.add("lamp", Lamp, log)

    @task
    def is_enough(level: int) -> bool:
        return level >= 4

    @workflow
    def up(lamp: Lamp, level: int) -> int:
        reached = light(lamp, level)
        higher: int = choose(is_enough(reached), lambda: reached, lambda: up(lamp, add(reached, 1)))
        return higher

    assert lab.run(up, lamp, 1) == 4
    assert log == ["set 1", "set 2", "set 3", "set 4"]
    assert up(Lamp(), 1) == 4


def test_in_a_tasks_body_they_are_plain(lab: Lab) -> None:
    lamp = lab.add("lamp", Lamp)

    @task
    def body(lamp: Lamp) -> list[int]:
        return each(lambda level: choose(level > 1, lambda: lamp.set(level), lambda: 0), [1, 2, 3], width=1)

    run = lab.start(body, lamp)
    assert run.result(5) == [0, 2, 3]
    assert run.children == ()


# -- when it is drawn, and where


def test_it_is_drawn_when_its_value_is_known_and_not_on_the_deciding_thread(lab: Lab, gate: Gate) -> None:
    threads: list[threading.Thread] = []
    deciding: list[threading.Thread] = []
    lab.ask(lambda: deciding.append(threading.current_thread()))

    @task
    def levels() -> list[int]:
        gate.stop()
        return [1, 2]

    def item(level: int) -> int:
        threads.append(threading.current_thread())
        return add(level, 1)

    @workflow
    def steps() -> list[int]:
        return each(item, levels())

    run = lab.start(steps)
    gate.reached()
    assert threads == []
    gate.open()
    assert run.result(5) == [2, 3]
    assert len(threads) == 2
    assert threads[0] not in (*deciding, threading.current_thread())


def test_the_steps_of_the_run_show_it_with_its_own_run(lab: Lab) -> None:
    lamp = lab.add("lamp", Lamp)

    @workflow
    def steps(lamp: Lamp) -> list[int]:
        each(lambda level: light(lamp, level), give([1, 2]))
        return choose(give(True), lambda: [light(lamp, 5)], list)

    run = lab.start(steps, lamp)
    assert run.result(5) == [5]
    assert [step.name for step in run.steps] == ["give", "each of give", "give", "choose"]
    assert all(step.state is RunState.SUCCEEDED and step.attempts == 1 for step in run.steps)
    assert run.steps[1].devices == ("lamp",)
    inside = run.steps[1].child
    assert inside is not None
    assert [(step.name, step.values) for step in inside.steps] == [("light", (1,)), ("light", (2,))]
    assert inside.id.startswith(f"{run.id}/each of give#")


def test_other_runs_go_on_while_it_is_drawn(lab: Lab, gate: Gate) -> None:
    def item(level: int) -> int:
        gate.stop()
        return add(level, 1)

    @workflow
    def steps() -> list[int]:
        return each(item, give([1]))

    run = lab.start(steps)
    gate.reached()
    assert lab.run(add, 1, 2) == 3
    gate.open()
    assert run.result(5) == [2]


# -- overlapping


class Crowd:
    """Count how many are here at the same time."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._here = 0
        self.most = 0

    def visit(self) -> None:
        with self._lock:
            self._here += 1
            self.most = max(self.most, self._here)
        sleep(0.003)
        with self._lock:
            self._here -= 1


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("width", [1, 2, 3])
def test_at_most_so_many_items_as_the_width_says_are_under_way_at_once(lab: Lab, width: int, known: bool) -> None:
    crowd = Crowd()

    @task
    def visit(item: int) -> int:
        crowd.visit()
        return item

    @workflow
    def steps() -> list[int]:
        items = list(range(9))
        return each(lambda item: visit(visit(item)), items if known else give(items), width=width)

    assert lab.run(steps) == list(range(9))
    assert crowd.most <= width


@pytest.mark.parametrize("known", [True, False])
def test_without_a_width_items_that_share_no_device_all_overlap(lab: Lab, known: bool) -> None:
    together = threading.Barrier(5, timeout=5)

    @task
    def meet(item: int) -> int:
        together.wait()
        return item

    @workflow
    def steps() -> list[int]:
        return each(meet, range(5) if known else give(list(range(5))))

    assert lab.run(steps) == list(range(5))


def test_what_shares_no_device_with_it_overlaps_and_what_does_keeps_its_written_order(lab: Lab) -> None:
    log: list[str] = []
    together = threading.Barrier(2, timeout=5)
    lamp, other = lab.add("lamp", Lamp, log), lab.add("other", Lamp)

    @task
    def meet(lamp: Lamp, level: int) -> int:
        together.wait()
        return lamp.set(level)

    @workflow
    def steps(lamp: Lamp, other: Lamp) -> None:
        light(lamp, 1)
        each(lambda level: meet(lamp, level), give([2]))
        meet(other, 9)
        light(lamp, 3)

    lab.run(steps, lamp, other)
    assert log == ["set 1", "set 2", "set 3"]


# -- failures


def test_an_error_while_it_is_drawn_fails_that_step_by_name(lab: Lab) -> None:
    log: list[str] = []
    lamp = lab.add("lamp", Lamp, log)

    @workflow
    def steps(lamp: Lamp) -> list[int]:
        return each(lambda level: light(lamp, level["x"]), give([1]))

    @workflow
    def uneven() -> list[int]:
        return each(add, give(7))

    for run in (lab.start(steps, lamp), lab.start(uneven)):
        with pytest.raises(TypeError) as caught:
            run.result(5)
        assert f"in step each of give of {run.id}" in caught.value.__notes__
        assert [step.state.value for step in run.steps] == ["succeeded", "failed"]
    assert log == ["safe"]


def test_a_device_that_it_was_not_known_to_use_is_an_error_that_names_it(lab: Lab) -> None:
    log: list[str] = []
    lamp = lab.add("lamp", Lamp, log)
    namespace: dict[str, Any] = {"light": light, "lamp": lamp}
    function = eval("lambda level: light(lamp, level)", namespace)  # noqa: S307  - a global of its own

    @workflow
    def steps(lamp: Lamp) -> list[int]:
        del lamp
        return each(function, give([1]))

    with pytest.raises(WorkflowError, match="uses 'lamp', which was not found in the function that each of give"):
        lab.run(steps, lamp)
    assert log == ["safe"]


@pytest.mark.parametrize("known", [True, False])
def test_what_only_a_task_may_do_is_refused_while_it_is_drawn(lab: Lab, known: bool) -> None:
    log: list[str] = []
    lamp = lab.add("lamp", Lamp, log)

    @workflow
    def steps(lamp: Lamp) -> list[int]:
        return each(lambda level: lamp.set(level), [1] if known else give([1]))  # noqa: PLW0108  - a user's mistake

    @workflow
    def runs(lamp: Lamp) -> list[int]:
        return each(lambda level: lab.run(light, lamp, level), [1] if known else give([1]))

    for wrong in (steps, runs):
        with pytest.raises(WorkflowError, match="put it in a task"):
            lab.run(wrong, lamp)
    assert not any(line.startswith("set") for line in log)


def test_a_failing_step_inside_ends_the_others_and_makes_the_devices_safe(lab: Lab) -> None:
    log: list[str] = []
    lamp = lab.add("lamp", Lamp, log)

    @workflow
    def steps(lamp: Lamp) -> int:
        each(lambda level: choose(give(level == 2), lambda: fail(lamp), lambda: light(lamp, level)), give([1, 2, 3]))
        return light(lamp, 9)

    run = lab.start(steps, lamp)
    with pytest.raises(ValueError, match="it failed") as caught:
        run.result(5)
    assert any("in step fail of" in note for note in caught.value.__notes__)
    assert log == ["set 1", "safe"]


def test_keep_going_holds_for_the_items_too(lab: Lab) -> None:
    log: list[str] = []
    lamp = lab.add("lamp", Lamp, log)

    @workflow(keep_going=True)
    def steps(lamp: Lamp, known: bool) -> int:
        items = [1, 2, 3]
        each(lambda level: fail(level) if level == 2 else light(lamp, level), items if known else give(items), width=1)
        return light(lamp, 9)

    for known in (True, False):
        log.clear()
        with pytest.raises(ExceptionGroup) as caught:
            lab.run(steps, lamp, known)
        assert caught.value.subgroup(ValueError) is not None
        assert log == ["set 1", "set 3", "set 9", "safe"]


def test_a_step_inside_with_retries_is_tried_again_alone(lab: Lab) -> None:
    calls: list[int] = []

    @task(retries=2, restart=RestartPolicy(delay=0.01))
    def flaky(item: int) -> int:
        calls.append(item)
        if calls.count(item) < item:
            raise ValueError
        return item

    @workflow
    def steps() -> list[int]:
        return each(flaky, give([1, 2, 3]), width=1)

    assert lab.run(steps) == [1, 2, 3]
    assert calls == [1, 2, 2, 3, 3, 3]


def test_a_workflow_with_retries_draws_it_again(lab: Lab) -> None:
    calls: list[str] = []

    @task
    def flaky() -> None:
        calls.append("flaky")
        if len(calls) < 2:
            raise ValueError

    @workflow(retries=1, restart=RestartPolicy(delay=0.01))
    def steps() -> list[int]:
        numbers = each(lambda item: add(item, 1), give([1, 2]))
        flaky.options(after=numbers)()
        return numbers

    assert lab.run(steps) == [2, 3]


def test_a_clean_up_inside_comes_at_its_end_in_a_lab_and_without(lab: Lab) -> None:
    log: list[str] = []
    lamp = lab.add("lamp", Lamp, log)

    def item(level: int, lamp: Lamp) -> int:
        cleanup(light, lamp, -level)
        return light(lamp, level)

    @workflow
    def steps(lamp: Lamp) -> int:
        each(lambda level: item(level, lamp), give([1, 2]))
        return light(lamp, 9)

    assert lab.run(steps, lamp) == 9
    plain: list[str] = []
    steps(Lamp(plain))
    assert log == plain == ["set 1", "set 2", "set -2", "set -1", "set 9"]


# -- cancelling, pausing, leasing


def test_a_cancel_reaches_the_steps_inside(lab: Lab, gate: Gate) -> None:
    log: list[str] = []
    lamp = lab.add("lamp", Lamp, log)

    @task
    def wait(lamp: Lamp, level: int) -> None:
        try:
            gate.arrive()
            sleep(60)
        finally:
            lamp.set(-level)

    @workflow
    def steps(lamp: Lamp) -> None:
        each(lambda level: wait(lamp, level), give([1, 2]))

    run = lab.start(steps, lamp)
    gate.reached()
    run.cancel("enough")
    with pytest.raises(RunCancelled, match="enough"):
        run.result(5)
    assert log == ["set -1", "safe"]
    assert run.steps[1].state is RunState.CANCELLED


def test_cancelled_while_it_is_drawn_it_does_not_begin(lab: Lab, gate: Gate, until: Until) -> None:
    log: list[str] = []
    lamp = lab.add("lamp", Lamp, log)

    def item(level: int, lamp: Lamp) -> int:
        gate.stop()
        return light(lamp, level)

    @workflow
    def steps(lamp: Lamp) -> None:
        each(lambda level: item(level, lamp), give([1]))

    run = lab.start(steps, lamp)
    gate.reached()
    run.cancel("enough")
    until(run, RunState.CANCELLING)
    gate.open()
    with pytest.raises(RunCancelled, match="enough"):
        run.result(5)
    assert log == ["safe"]
    assert run.steps[1].state is RunState.CANCELLED
    assert run.steps[1].child is None


@pytest.mark.parametrize("how", ["cancel", "timeout"])
def test_a_function_that_never_returns_is_abandoned_by_name(lab: Lab, gate: Gate, how: str) -> None:
    log: list[str] = []
    lamp = lab.add("lamp", Lamp, log)

    def endless(level: int, lamp: Lamp) -> int:
        gate.stop()
        return light(lamp, level)

    @workflow
    def steps(lamp: Lamp) -> None:
        each(lambda level: endless(level, lamp), give([1]))

    run = lab.start(steps.options(timeout=0.1 if how == "timeout" else None), lamp)
    gate.reached()
    if how == "cancel":
        run.cancel("enough")
    with pytest.raises(RunTimeout if how == "timeout" else RunCancelled) as caught:
        run.result(5)
    assert run.state is RunState.ABANDONED
    assert "each of give didn't end within 0.3 s" in caught.value.abandoned[0]
    assert "in endless" in caught.value.abandoned[0]
    gate.open()
    assert lab.run(light, lamp, 5) == 5
    assert log == ["safe", "set 5"]


def test_an_emergency_stop_while_it_is_drawn_ends_the_run(lab: Lab, gate: Gate) -> None:
    log: list[str] = []
    lamp = lab.add("lamp", Lamp, log)

    def item(level: int, lamp: Lamp) -> int:
        gate.stop()
        return light(lamp, level)

    @workflow
    def steps(lamp: Lamp) -> None:
        each(lambda level: item(level, lamp), give([1]))

    run = lab.start(steps, lamp)
    gate.reached()
    lab.emergency_stop("smoke").result(5)
    gate.open()
    assert isinstance(run.exception(5), RunCancelled)
    lab.rearm()
    assert not any(line.startswith("set") for line in log)


def test_paused_while_it_is_drawn_it_begins_when_it_is_resumed(lab: Lab, gate: Gate, until: Until) -> None:
    log: list[str] = []
    drawn: list[int] = []
    lamp = lab.add("lamp", Lamp, log)

    def item(level: int, lamp: Lamp) -> int:
        drawn.append(level)
        gate.stop()
        return light(lamp, level)

    @workflow
    def steps(lamp: Lamp) -> list[int]:
        return each(lambda level: item(level, lamp), give([1]))

    run = lab.start(steps, lamp)
    gate.reached()
    run.pause("look")
    until(run, RunState.PAUSING)
    gate.open()
    until(run, RunState.PAUSED)
    assert log == []
    assert run.steps[1].state is RunState.WAITING
    run.resume()
    assert run.result(5) == [1]
    assert drawn == [1]
    assert run.steps[1].attempts == 1


def test_paused_while_it_is_drawn_it_can_be_cancelled(lab: Lab, gate: Gate, until: Until) -> None:
    def item(level: int) -> int:
        gate.stop()
        return add(level)

    @workflow
    def steps() -> list[int]:
        return each(item, give([1]))

    run = lab.start(steps)
    gate.reached()
    run.pause("look")
    until(run, RunState.PAUSING)
    gate.open()
    until(run, RunState.PAUSED)
    run.cancel("enough")
    with pytest.raises(RunCancelled, match="enough"):
        run.result(5)
    assert run.steps[1].state is RunState.SKIPPED


def test_a_pause_reaches_the_steps_inside(lab: Lab, gate: Gate, until: Until) -> None:
    @task
    def tracked(item: int) -> int:
        total = 0
        for number in track(range(3)):
            total += number + item
            gate.stop()
        return total

    @workflow
    def steps() -> list[int]:
        return each(tracked, give([1, 2]), width=1)

    run = lab.start(steps)
    gate.reached()
    run.pause("look")
    until(run, RunState.PAUSING)
    gate.open()
    until(run, RunState.PAUSED)
    run.resume()
    assert run.result(5) == [6, 9]


def test_with_lease_step_it_leases_what_it_uses_when_it_is_drawn(lab: Lab, gate: Gate) -> None:
    log: list[str] = []
    lamp = lab.add("lamp", Lamp, log)

    @task
    def levels() -> list[int]:
        gate.stop()
        return [1, 2]

    @workflow(lease="step")
    def steps(lamp: Lamp) -> list[int]:
        return each(lambda level: light(lamp, level), levels())

    run = lab.start(steps, lamp)
    gate.reached()
    assert lab.run(light, lamp, 7) == 7, "nobody holds it yet"
    gate.open()
    assert run.result(5) == [1, 2]
    assert log == ["set 7", "set 1", "set 2"]


# -- many


def test_ten_thousand_items_that_a_step_gives_are_worked_off(lab: Lab) -> None:
    @workflow
    def steps() -> list[int]:
        return each(lambda item: add(item, 1), give(list(range(10_000))), width=8)

    assert lab.run(steps) == list(range(1, 10_001))


def test_a_thousand_choices_at_once_need_no_thousand_threads(lab: Lab) -> None:
    most = 0

    @task
    def count(item: int) -> int:
        nonlocal most
        most = max(most, threading.active_count())
        return item

    @workflow
    def steps() -> list[int]:
        return each(lambda item: choose(give(item % 2 == 0), lambda: count(item), lambda: -item), range(1_000))

    assert lab.run(steps) == [item if item % 2 == 0 else -item for item in range(1_000)]
    assert most < 300


# -- the law


@dataclass(frozen=True)
class Light:
    """Command a lamp, by its own level and the innermost item."""

    lamp: int
    number: int


@dataclass(frozen=True)
class Each:
    """Do something for each item; a step gives the items, unless they are known."""

    items: tuple[int, ...]
    known: bool
    width: int | None
    inside: tuple[Any, ...]


@dataclass(frozen=True)
class Choose:
    """Do one thing or another; a step gives the condition, by the values so far, unless it is known."""

    known: bool | None
    then: tuple[Any, ...]
    otherwise: tuple[Any, ...]


LAMPS = 2
LIGHTS = st.builds(Light, st.integers(0, LAMPS - 1), st.integers(0, 9))
WIDTHS = st.sampled_from([None, 1, 2])


def blocks(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    some = st.lists(inner, max_size=3).map(tuple)
    items = st.lists(st.integers(0, 9), max_size=3).map(tuple)
    return st.one_of(
        st.builds(Each, items, st.booleans(), WIDTHS, some),
        st.builds(Choose, st.sampled_from([None, True]), some, some),
    )


PROGRAMS = st.lists(st.recursive(LIGHTS, blocks, max_leaves=8), min_size=1, max_size=4).map(tuple)


@task
def shine(lamp: Lamp, *numbers: Any) -> int:
    sleep(sum(flat(list(numbers))) % 3 / 1000)  # as instruments do, so that steps out of order overtake one another
    return lamp.set((sum(flat(list(numbers))) + 3 * lamp.level() + 1) % 1009)


@task
def is_even(*values: Any) -> bool:
    return sum(flat(list(values))) % 2 == 0


def flat(values: Any) -> list[int]:
    return [number for value in values for number in flat(value)] if isinstance(values, list) else [values]


def perform(part: Any, lamps: list[Lamp], item: Any, before: list[Any]) -> Any:
    """Do a part of a program, which may use the innermost item and the values before."""
    match part:
        case Light(lamp, number):
            return shine(lamps[lamp], number, item, *before[-2:])
        case Each(items, known, width, inside):
            given = list(items) if known else give(list(items))
            return each(lambda item: everything(inside, lamps, item, before), given, width=width)
        case Choose(known, then, otherwise):
            condition = is_even(item, *before) if known is None else known
            return choose(
                condition,
                lambda: everything(then, lamps, item, before),
                lambda: everything(otherwise, lamps, item, before),
            )
        case _:
            raise AssertionError


def everything(parts: tuple[Any, ...], lamps: list[Lamp], item: Any, before: list[Any]) -> list[Any]:
    """Do the parts of a program in order."""
    values: list[Any] = []
    for part in parts:
        values.append(perform(part, lamps, item, [*before[-2:], *values]))
    return values


def test_random_nestings_give_in_a_lab_what_they_give_as_plain_functions(lab: Lab) -> None:
    devices = [lab.add(f"lamp{number}", Lamp) for number in range(LAMPS)]

    @settings(max_examples=120, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(PROGRAMS)
    def law(program: tuple[Any, ...]) -> None:
        @workflow
        def steps(lamps: list[Lamp]) -> list[Any]:
            return everything(program, lamps, 1, [])

        for device in devices:
            device.set(0)
        plain = [Lamp() for _ in range(LAMPS)]
        assert lab.run(steps, devices) == steps(plain)
        assert [device.level() for device in devices] == [lamp.level() for lamp in plain]

    law()
