"""Look at the steps of a run: by number and name, their values and errors, while it goes on and after it has ended."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from actorlab import ConfigError, Lab, RestartPolicy, Run, RunState, RunTimeout, choose, each, progress, task, workflow
from actorlab.runtime.run import Steps

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.runtime.conftest import Gate

PATIENCE = 5.0


@task
def double(number: int) -> int:
    return 2 * number


@task
def total(numbers: list[int]) -> int:
    return sum(numbers)


@task
def fail(_: object = None) -> int:
    message = "it failed"
    raise ValueError(message)


@workflow
def inner(number: int) -> int:
    return double(double(number))


@workflow
def doubled(numbers: list[int]) -> int:
    return total([double(number) for number in numbers])


def test_a_step_is_found_by_number_by_name_and_by_its_place_among_those_of_its_name(lab: Lab) -> None:
    run = lab.start(doubled, [1, 2, 3])
    assert run.result(PATIENCE) == 12
    steps = run.steps
    assert isinstance(steps, Steps)
    assert len(steps) == 4
    assert [step.label for step in steps] == ["double[0]", "double[1]", "double[2]", "total"]
    assert [step.value for step in steps] == [2, 4, 6, 12]
    assert steps["total"] == steps[3] == steps[-1]
    assert steps["double[1]"].value == 4
    assert steps["double[1]"].values == (2,)
    assert [step.number for step in steps[1:3]] == [1, 2]
    assert steps.counts == {RunState.SUCCEEDED: 4}
    seconds = steps["total"].seconds
    assert seconds is not None
    assert seconds >= 0


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("double", "has 3 steps named 'double': take 'double[0]' to 'double[2]'"),
        ("double[3]", "has no step 'double[3]': there are 3 of that name"),
        ("totl", "has no step 'totl': did you mean 'total'?"),
        ("x", "has no step 'x': there are double, total"),
        ("total[1]", "there are 1 of that name"),
    ],
)
def test_a_name_that_is_no_steps_says_which_there_are(lab: Lab, name: str, said: str) -> None:
    run = lab.start(doubled, [1, 2, 3])
    run.result(PATIENCE)
    with pytest.raises(ConfigError) as caught:
        _ = run.steps[name]
    assert said in str(caught.value)
    with pytest.raises(IndexError, match="has no step 4: it has 4 steps"):
        _ = run.steps[4]


def test_values_are_there_while_the_run_goes_on_and_after_it_has_failed(lab: Lab, gate: Gate) -> None:
    @task
    def stand(number: int) -> int:
        gate.stop()
        message = f"{number} is too much"
        raise ValueError(message)

    @workflow
    def steps(number: int) -> int:
        return double(stand(double(number)))

    run = lab.start(steps, 1)
    gate.reached()
    assert run.steps["double[0]"].value == 2
    assert run.steps["stand"].state is RunState.RUNNING
    with pytest.raises(ConfigError, match="stand is running, so it has no value yet"):
        _ = run.steps["stand"].value
    gate.open()
    error = run.exception(PATIENCE)
    assert run.steps["double[0]"].value == 2
    assert run.steps["stand"].error is error
    with pytest.raises(ValueError, match="2 is too much"):
        _ = run.steps["stand"].value
    assert run.steps["double[1]"].state is RunState.SKIPPED
    with pytest.raises(ConfigError, match=r"double\[1\] is skipped, so it has no value$"):
        _ = run.steps["double[1]"].value


def test_the_steps_inside_a_nested_workflow_are_its_runs(lab: Lab) -> None:
    @workflow
    def outer(number: int) -> int:
        return double(inner(number))

    run = lab.start(outer, 1)
    assert run.result(PATIENCE) == 8
    nested = run.steps["inner"]
    assert nested.value == 4
    assert nested.child is not None
    assert nested.child.steps["double[0]"].value == 2


def test_a_task_is_a_run_of_one_step(lab: Lab) -> None:
    run = lab.start(double, 2)
    run.result(PATIENCE)
    assert run.steps["double"].value == 4
    assert run.steps[0].error is None
    failed = lab.start(fail)
    assert failed.exception(PATIENCE) is failed.steps[0].error


# -- retries and timeouts of single steps, wherever they are

NOW = RestartPolicy(delay=0.0)


class Sometimes:
    """A body that fails so many times first."""

    def __init__(self, failures: int) -> None:
        self.left = failures
        self.calls = 0

    def __call__(self) -> str:
        self.calls += 1
        if self.left:
            self.left -= 1
            message = "not yet"
            raise ValueError(message)
        return "at last"


def around(place: str, make: Callable[[], str]) -> Any:
    """Return a workflow in which a step stands somewhere."""

    @workflow
    def plain() -> str:
        return make()

    @workflow
    def nested() -> str:
        return plain()

    @workflow
    def known() -> list[str]:
        return each(lambda _: make(), [1], width=1)

    @workflow
    def unknown() -> list[str]:
        return each(lambda _: make(), one_item(), width=1)

    @workflow
    def chosen() -> str:
        return choose(is_true(), lambda: make(), lambda: make())  # noqa: PLW0108 - as its users write it

    @workflow(lease="step")
    def by_step() -> str:
        return make()

    return {
        "plain": plain, "nested": nested, "each": known, "each of a value": unknown, "choose": chosen, "step": by_step,
    }[place]  # fmt: skip


@task
def one_item() -> list[int]:
    return [1]


@task
def is_true() -> bool:
    return True


PLACES = ["plain", "nested", "each", "each of a value", "choose", "step"]


def innermost(run: Run[Any]) -> Any:
    """Return the view of the last step of the innermost run."""
    step = run.steps[-1]
    while step.child is not None and step.child.steps[-1].name != step.name:
        step = step.child.steps[-1]
    return step


@pytest.mark.parametrize("place", PLACES)
def test_a_step_is_tried_again_wherever_it_stands(lab: Lab, place: str) -> None:
    body = Sometimes(2)
    step = task(name="sometimes", retries=2, restart=NOW)(body.__call__)
    run = lab.start(around(place, lambda: step()))  # noqa: PLW0108 - a step is a call
    assert run.result(PATIENCE) in ("at last", ["at last"])
    assert body.calls == 3


@pytest.mark.parametrize("place", PLACES)
def test_a_step_that_fails_more_often_than_it_may_fails_its_run(lab: Lab, place: str) -> None:
    body = Sometimes(9)
    step = task(name="sometimes", retries=2, restart=NOW)(body.__call__)
    with pytest.raises(ValueError, match="not yet"):
        lab.run(around(place, lambda: step()))  # noqa: PLW0108 - a step is a call
    assert body.calls == 3


@pytest.mark.parametrize("place", PLACES)
def test_a_step_is_stopped_at_its_timeout_wherever_it_stands(lab: Lab, place: str) -> None:
    from actorlab import sleep  # noqa: PLC0415 - only here

    @task(timeout=0.05)
    def endless() -> str:
        sleep(60)
        return "never"

    run = lab.start(around(place, lambda: endless()))  # noqa: PLW0108 - a step is a call
    with pytest.raises(RunTimeout, match=r"longer than its timeout of 0\.05 s"):
        run.result(PATIENCE)


@pytest.mark.parametrize("place", ["plain", "each of a value", "step"])
def test_a_nested_workflow_is_tried_again_and_stopped_as_a_unit(lab: Lab, place: str) -> None:
    body = Sometimes(1)
    unreliable = task(name="sometimes")(body.__call__)

    @workflow(retries=1, restart=NOW, timeout=30)
    def unit() -> str:
        double(1)
        return unreliable()

    run = lab.start(around(place, lambda: unit()))  # noqa: PLW0108 - a step is a call
    assert run.result(PATIENCE) in ("at last", ["at last"])
    assert body.calls == 2


# -- progress


def test_a_workflows_progress_adds_up_that_of_its_steps(lab: Lab, gates: Any) -> None:
    halfway, quarter = gates(), gates()

    @task
    def tells(part: float, gate: Gate) -> None:
        progress(part, 1.0)
        gate.stop()

    @workflow
    def steps() -> None:
        double(1)
        tells(0.5, halfway)
        nested_tells(0.5, quarter)
        double(double(1))

    @workflow
    def nested_tells(part: float, gate: Gate) -> None:
        tells(part, gate)
        double(1)

    run = lab.start(steps)
    for gate in (halfway, quarter):
        gate.reached()
    while run.steps.counts.get(RunState.SUCCEEDED, 0) < 3 or (told := run.progress) is None or told.done < 3.75:
        time.sleep(0)
    assert told.total == 5
    nested = run.steps["nested_tells"].child
    assert nested is not None
    assert nested.progress is not None
    if nested.steps["double"].state is RunState.SUCCEEDED:
        assert told.done == pytest.approx(3 + 0.5 + 0.75)
    assert told.message == "3 of 5 steps"
    assert told.seconds_left is not None
    halfway.open()
    quarter.open()
    run.result(PATIENCE)
    assert run.progress is not None
    assert run.progress.fraction == 1.0


def test_steps_count_by_the_seconds_that_they_take(lab: Lab, gate: Gate) -> None:
    @task(takes=3)
    def long() -> None:
        gate.stop()

    @task(takes=(0.5, 1, 2))
    def short() -> None: ...

    @workflow
    def steps() -> None:
        long.options(after=short())()

    run = lab.start(steps)
    gate.reached()
    assert run.progress is not None
    assert run.progress.fraction == pytest.approx(0.25)
    gate.open()
    run.result(PATIENCE)
    assert run.progress.fraction == 1.0


def test_the_labs_progress_counts_what_has_ended_as_one_and_leaves_hidden_runs_out(lab: Lab, gates: Any) -> None:
    first, second, third = gates(), gates(), gates()

    @task
    def stand(gate: Gate) -> None:
        progress(1, 4)
        gate.stop()

    @task(hidden=True)
    def background() -> None:
        third.stop()

    assert lab.progress is None
    hidden = lab.start(background)
    third.reached()
    assert lab.progress is None, "what is hidden isn't counted"
    runs = [lab.start(stand, first), lab.start(stand, second)]
    for gate in (first, second):
        gate.reached()
    told = lab.progress
    assert told is not None
    assert (told.done, told.total, told.message) == (0.5, 2, "0 of 2 runs")
    first.open()
    runs[0].result(PATIENCE)
    told = lab.progress
    assert told is not None
    assert (told.done, told.total, told.message) == (1.25, 2, "1 of 2 runs")
    assert told.seconds_left is not None
    second.open()
    runs[1].result(PATIENCE)
    assert lab.progress is not None
    assert lab.progress.fraction == 1.0
    assert lab.run(double, 1) == 2
    assert lab.progress.total == 1, "the next batch begins anew"
    assert hidden in lab.runs
    assert hidden.hidden
    third.open()


def test_progress_that_nobody_tells_is_not_known(lab: Lab, gate: Gate) -> None:
    run = lab.start(gate.stop)
    gate.reached()
    told = lab.progress
    assert told is not None
    assert told.fraction is None
    assert told.seconds_left is None
    gate.open()
    run.result(PATIENCE)
    assert lab.progress is not None
    assert lab.progress.fraction == 1.0


def test_ten_thousand_reports_are_a_few_events_by_one_timer_and_no_thread(lab: Lab) -> None:
    seen: list[int] = []
    timers: list[int] = []

    def sweep() -> None:
        for number in range(1, 10_001):
            progress(number, 10_000)
            if number % 1000 == 0:
                seen.append(threading.active_count())
                timers.append(lab.ask(lambda: sum(timer.function is not None for timer in lab.decider._timers)))

    with lab.events.subscribe(kinds="progress", snapshot=False) as events:
        before = threading.active_count()
        begun = time.monotonic()
        lab.run(sweep)
        took = time.monotonic() - begun
        told: list[float] = []
        while (event := events.get(timeout=0.2)) is not None:
            told.append(event.data["done"])
    assert told[0] < 10_000 or len(told) == 1
    assert told[-1] == 10_000
    assert len(told) <= took / 0.1 + 2
    assert max(seen) <= before + 4, "workers of the pool only"
    assert max(timers) <= 2, "that of the window, and that of the pool"


# -- a hundred thousand steps


@task
def one() -> int:
    return 1


@task
def plus(value: int) -> int:
    return value + 1


@task
def numbers(count: int) -> list[int]:
    return list(range(count))


@workflow
def chain(count: int) -> int:
    value = one()
    for _ in range(count - 1):
        value = plus(value)
    return value


@workflow
def wide(count: int) -> int:
    return total([one() for _ in range(count - 1)])


@workflow
def layered(count: int) -> int:
    layer = [one() for _ in range(100)]
    for _ in range(count // 100 - 1):
        layer = [plus(value) for value in layer]
    return total(layer)


@workflow
def by_each_late(count: int) -> list[int]:
    return each(plus, numbers(count), width=50)


MANY = 100_000


@pytest.mark.slow
@pytest.mark.timeout(120)
@pytest.mark.parametrize(
    ("made", "count", "value"),
    [
        (chain, MANY // 4, MANY // 4), (wide, MANY, MANY - 1), (layered, MANY, MANY),
        (by_each_late, MANY, list(range(1, MANY + 1))),
    ],
    ids=["chain", "wide", "layered", "each of a value"],
)  # fmt: skip
def test_a_hundred_thousand_steps_are_drawn_checked_and_run(lab: Lab, made: Any, count: int, value: Any) -> None:
    run = lab.start(made, count)
    assert run.result(100) == value
    assert run.progress is not None
    assert run.progress.fraction == 1.0
    assert run.steps[-1].state is RunState.SUCCEEDED


class Flaky:
    """Fail the first time for each number."""

    def __init__(self) -> None:
        self.tried: dict[int, None] = {}

    def __call__(self, number: int) -> int:
        if number not in self.tried:
            self.tried[number] = None
            message = "not yet"
            raise ValueError(message)
        return number


@workflow
def many(count: int, step: Callable[[int], object]) -> None:
    for number in range(count):
        step(number)


@workflow
def soon(count: int, _: object) -> int:
    last = one()
    for _number in range(count):
        last = one.options(after=last, within=60)()
    return last


KINDS: dict[str, tuple[Any, Callable[[], Any]]] = {
    "timeouts": (many, lambda: double.options(timeout=60)),
    "retries": (many, lambda: task(retries=1, restart=NOW)(Flaky().__call__)),
    "failures": (many.options(keep_going=True), lambda: fail),
    "units": (many.options(lease="step"), lambda: double),
    "children": (many, lambda: inner),
    "windows": (soon, lambda: None),
}


@pytest.mark.slow
@pytest.mark.timeout(120)
@pytest.mark.parametrize("kind", KINDS)
def test_five_thousand_steps_with_options_take_no_longer_each_than_five_hundred(lab: Lab, kind: str) -> None:
    made, step = KINDS[kind]

    def seconds_each(count: int) -> float:
        run = lab.start(made, count, step())
        begun = time.process_time()
        assert (run.exception(100) is None) == (kind != "failures")
        return (time.process_time() - begun) / count

    few = min(seconds_each(500) for _ in range(3))
    assert min(seconds_each(5_000) for _ in range(2)) < 6 * few, "it grows faster than the workflow"
    assert threading.active_count() < 300, "one thread for each that nobody has had time for yet would be thousands"
