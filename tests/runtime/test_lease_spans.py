"""Hold some devices throughout and lease the others step by step: what that means, and that nobody waits for ever."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import TYPE_CHECKING, Any

import pytest

from actorlab import (
    ConfigError,
    Device,
    Lab,
    NotLeased,
    Run,
    RunCancelled,
    RunState,
    Shared,
    cleanup,
    each,
    query,
    spawn,
    task,
    workflow,
)

if TYPE_CHECKING:
    from tests.runtime.conftest import Gate

PATIENCE = 5.0
Until = Callable[[Run[Any], RunState], None]


class Instrument(Device):
    """A device that writes down what it does."""

    def __init__(self, log: list[str], name: str) -> None:
        self.log = log
        self.name = name

    def use(self, what: str = "used") -> str:
        self.log.append(f"{self.name} {what}")
        return what

    @query
    def look(self) -> str:
        return self.name

    def make_safe(self) -> None:
        self.log.append(f"{self.name} safe")


class Devices:
    """A stage, an oven and a meter, added in this order."""

    def __init__(self, lab: Lab) -> None:
        self.log: list[str] = []
        self.stage = lab.add("stage", Instrument, self.log, "stage")
        self.oven = lab.add("oven", Instrument, self.log, "oven")
        self.meter = lab.add("meter", Instrument, self.log, "meter")


@pytest.fixture
def its(lab: Lab) -> Devices:
    return Devices(lab)


@task
def use(device: Instrument, what: str = "used") -> str:
    return device.use(what)


@task
def use_both(first: Instrument, second: Instrument, gate: Gate | None = None) -> str:
    first.use()
    second.use()
    if gate is not None:
        gate.stop()
    return "both"


@task
def fail_with(*devices: Instrument) -> None:
    for device in devices:
        device.use("before the failure")
    message = "it failed"
    raise ValueError(message)


def test_what_is_named_is_held_throughout_and_the_rest_only_by_its_steps(lab: Lab, its: Devices, gate: Gate) -> None:
    @task
    def stand() -> str:
        gate.stop()
        return "later"

    @workflow(lease=("oven",))
    def steps(oven: Instrument, meter: Instrument) -> str:
        use_both(oven, meter)
        return use(meter, use(oven, stand()))

    run = lab.start(steps, its.oven, its.meter)
    gate.reached()
    assert run.devices == ("oven",)
    assert lab.run(use, its.meter, "by another") == "by another", "between the steps nobody holds it"
    waiting = lab.start(use, its.oven, "after all")
    assert f"{waiting.id} waits for oven, held by {run.id}" in waiting.reasons[0]
    gate.open()
    assert run.result(PATIENCE) == "later"
    assert waiting.result(PATIENCE) == "after all"
    assert its.log == [
        "oven used", "meter used", "meter by another", "oven later", "meter later", "oven after all",
    ]  # fmt: skip


def test_a_failing_step_makes_safe_what_it_leased_and_the_run_what_it_held(lab: Lab, its: Devices) -> None:
    @workflow(lease=("oven",))
    def steps(oven: Instrument, meter: Instrument) -> None:
        fail_with(oven, meter)

    with pytest.raises(ValueError, match="it failed") as caught:
        lab.run(steps, its.oven, its.meter)
    assert its.log[2:] == ["meter safe", "oven safe"]
    assert "oven" in caught.value.safe  # type: ignore[attr-defined]  # put there by the run
    assert lab.run(use_both, its.oven, its.meter) == "both", "nothing is left held"


def test_a_step_waits_only_for_devices_that_were_added_later_than_those_held(lab: Lab, its: Devices) -> None:
    @workflow(lease=("oven",))
    def steps(stage: Instrument, oven: Instrument) -> None:
        use_both(stage, oven)

    with pytest.raises(ConfigError, match="a step of steps would wait for stage while oven is held") as caught:
        lab.start(steps, its.stage, its.oven)
    assert "Add stage to the lab after oven, or hold both: lease=('oven', 'stage')" in str(caught.value)
    lab.run(steps.options(lease=("oven", "stage")), its.stage, its.oven)
    assert its.log == ["stage used", "oven used"]


def test_a_name_that_is_no_device_of_the_run_is_an_error_that_says_which_are(lab: Lab, its: Devices) -> None:
    with pytest.raises(ConfigError, match=r"use has lease=.*'laser' is no device among its arguments; these are: oven"):
        lab.start(use.options(lease=("laser",)), its.oven)

    @workflow
    def outer(oven: Instrument) -> str:
        return inner(oven)

    @workflow(lease=("laser",))
    def inner(oven: Instrument) -> str:
        return use(oven)

    with pytest.raises(
        ConfigError, match=r"inner has lease=.*'laser' is no device among its arguments; these are: oven"
    ):
        lab.start(outer, its.oven)
    with pytest.raises(ConfigError, match=r"option lease='oven': it takes \"run\", \"step\", or the names"):
        task(lease="oven")  # type: ignore[call-overload]  # the mistake
    with pytest.raises(ConfigError, match=r"option lease=\(\)"):
        task(lease=())
    assert its.log == []


def test_the_workflows_inside_one_are_checked_before_anything_begins(lab: Lab, its: Devices) -> None:
    @workflow(lease="step")
    def outer(stage: Instrument, oven: Instrument) -> str:
        use(stage)
        return inner(stage, oven)

    @workflow(lease=("oven",))
    def inner(stage: Instrument, oven: Instrument) -> str:
        return use_both(stage, oven)

    with pytest.raises(ConfigError, match="a step of inner would wait for stage while oven is held"):
        lab.start(outer, its.stage, its.oven)
    assert its.log == []


def test_one_that_is_drawn_late_is_checked_when_it_is_drawn(lab: Lab, its: Devices) -> None:
    @task
    def words() -> list[str]:
        return ["one"]

    @workflow(lease=("stage",))
    def inner(oven: Instrument, word: str) -> str:
        return use(oven, word)

    @workflow
    def outer(oven: Instrument) -> list[str]:
        return each(lambda word: inner(oven, word), words())

    with pytest.raises(ConfigError, match=r"inner has lease=.*'stage' is no device among its arguments"):
        lab.run(outer, its.oven)


def test_a_nested_workflow_borrows_what_is_held_and_leases_the_rest_as_it_says(
    lab: Lab, its: Devices, gate: Gate
) -> None:
    @workflow(lease=("oven",))
    def inner(stage: Instrument, oven: Instrument, meter: Instrument) -> str:
        use_both(stage, oven)
        return use_both(oven, meter, gate)

    @workflow(lease=("stage",))
    def outer(stage: Instrument, oven: Instrument, meter: Instrument) -> str:
        use(stage)
        return inner(stage, oven, meter)

    run = lab.start(outer, its.stage, its.oven, its.meter)
    gate.reached()
    nested = next(step.child for step in run.steps if step.child is not None and step.name == "inner")
    assert nested.devices == ("stage", "oven")
    gate.open()
    assert run.result(PATIENCE) == "both"
    assert its.log == ["stage used", "stage used", "oven used", "oven used", "meter used"]


def test_steps_that_rely_on_what_is_held_overlap(lab: Lab, its: Devices, gates: Any) -> None:
    first, second = gates(), gates()

    @task
    def rely(stage: Shared[Instrument], device: Instrument, gate: Gate, other: Gate) -> str:
        gate.arrive()
        other.reached()
        return stage.look() + device.use()

    @workflow(lease=("stage",))
    def steps(stage: Instrument, oven: Instrument, meter: Instrument) -> list[str]:
        use(stage)
        return [rely(stage, oven, first, second), rely(stage, meter, second, first)]

    assert lab.run(steps, its.stage, its.oven, its.meter) == ["stageused", "stageused"]


def test_a_task_uses_what_it_holds_and_its_children_lease_the_rest(lab: Lab, its: Devices) -> None:
    @task(lease=("oven",))
    def optimise(oven: Instrument, meter: Instrument) -> str:
        oven.use("by itself")
        return spawn(use_both, oven, meter).result()

    @task(lease=("oven",))
    def cheat(oven: Instrument, meter: Instrument) -> str:
        oven.use()
        return meter.use()

    assert lab.run(optimise, its.oven, its.meter) == "both"
    with pytest.raises(NotLeased, match=r"leased by its children, .*: spawn a task that uses it, or name it .*'meter'"):
        lab.run(cheat, its.oven, its.meter)


def test_a_child_waits_only_for_devices_that_were_added_later(lab: Lab, its: Devices) -> None:
    @task(lease=("oven",))
    def body(oven: Instrument, stage: Instrument) -> str:
        oven.use()
        return spawn(use, stage).result()

    @task(lease=("oven",))
    def sly(oven: Instrument, other: list[Callable[[], str]]) -> str:
        oven.use()
        return other[0]()

    with pytest.raises(ConfigError, match="a step of body would wait for stage while oven is held"):
        lab.run(body, its.oven, its.stage)
    with pytest.raises(ConfigError, match="use would wait for stage while oven is held"):
        lab.run(sly, its.oven, [lambda: spawn(use, its.stage).result()])


def test_a_workflow_with_retries_holds_them_over_all_attempts(lab: Lab, its: Devices) -> None:
    attempts: list[int] = []

    @task
    def sometimes(oven: Instrument, meter: Instrument) -> int:
        attempts.append(1)
        if len(attempts) < 3:
            message = "not yet"
            raise ValueError(message)
        return len(oven.use() + meter.use())

    @workflow(lease=("oven",), retries=2)
    def steps(oven: Instrument, meter: Instrument) -> int:
        return sometimes(oven, meter)

    assert lab.run(steps, its.oven, its.meter) == 8
    assert its.log.count("oven safe") == 0, "it is lent to each attempt, and the last one succeeded"
    assert its.log.count("meter safe") == 2, "each failing attempt's step gave it back"


def test_a_run_cancelled_while_its_step_waits_gives_everything_back(lab: Lab, its: Devices, gate: Gate) -> None:
    @workflow(lease=("oven",))
    def steps(oven: Instrument, meter: Instrument) -> str:
        return use_both(oven, meter)

    other = lab.start(lambda _: gate.stop(), its.meter)
    gate.reached()
    run = lab.start(steps, its.oven, its.meter)
    while not run.reasons:
        assert not run.done()
    assert f"waits for meter, held by {other.id}" in run.reasons[0]
    run.cancel("no more")
    with pytest.raises(RunCancelled, match="no more"):
        run.result(PATIENCE)
    assert lab.run(use, its.oven) == "used", "though the meter is still held"
    gate.open()
    other.result(PATIENCE)
    assert lab.run(use_both, its.oven, its.meter) == "both"


def test_a_clean_up_needs_what_is_held_throughout(lab: Lab, its: Devices) -> None:
    @workflow(lease="step")
    def steps(oven: Instrument, meter: Instrument) -> None:
        cleanup(use, oven, "cleaned up")
        use(oven)
        use(meter)

    with pytest.raises(ConfigError, match=r"the clean-up use .* uses oven, which steps doesn't hold throughout"):
        lab.run(steps, its.oven, its.meter)
    lab.run(steps.options(lease=("oven",)), its.oven, its.meter)
    assert its.log[-1] == "oven cleaned up"


def test_a_service_relies_on_what_it_names_and_commands_the_rest_call_by_call(
    lab: Lab, its: Devices, gates: Any
) -> None:
    begun, end = gates(), gates()

    @task(lease=("oven",))
    def watch(oven: Shared[Instrument], meter: Instrument) -> None:
        oven.look()
        meter.use("by the service")
        begun.arrive()
        end.stop()

    service = lab.serve(watch, its.oven, its.meter)
    begun.reached()
    assert lab.run(use, its.meter) == "used", "it is held for the call only"
    with pytest.raises(Exception, match=r"oven, which the service watch .* holds and never gives back"):
        lab.run(use, its.oven)
    end.open()
    service.stop()

    @task(lease=("oven",))
    def greedy(oven: Instrument, meter: Instrument) -> None: ...

    with pytest.raises(ConfigError, match="it would hold oven for ever"):
        lab.serve(greedy, its.oven, its.meter)


# -- what could have waited for ever


@pytest.mark.parametrize("what", ["a place", "a key", "the whole lab", "a device"])
def test_a_run_that_waits_for_one_whose_steps_wait_is_in_nobodys_way(gate: Gate, what: str) -> None:
    with Lab(max_runs=1 if what == "a place" else None, cancel_grace=0.3) as lab:
        its = Devices(lab)

        @task
        def stand(device: Instrument) -> None:
            device.use()
            gate.stop()

        @workflow(lease=("stage",))
        def steps(stage: Instrument, oven: Instrument) -> str:
            return use.options(after=stand(stage))(oven)

        key = "k" if what == "a key" else None
        run = lab.start(steps.options(key=key), its.stage, its.oven)
        gate.reached()
        others = (its.stage, its.oven) if what == "a device" else (its.oven, its.meter)
        waiting = lab.start(use_both.options(exclusive=what == "the whole lab", key=key), *others)
        if what in ("a device", "a place", "a key"):
            assert waiting.reasons
        gate.open()
        assert run.result(PATIENCE) == "used"
        assert waiting.result(PATIENCE) == "both"


@pytest.mark.parametrize("lease", ["step", ("stage",)])
def test_the_steps_of_a_run_that_has_the_whole_lab_go_on(lab: Lab, its: Devices, lease: Any) -> None:
    @workflow(lease=lease, exclusive=True)
    def steps(stage: Instrument, oven: Instrument) -> str:
        use(stage)
        return use_both(stage, oven)

    assert lab.start(steps, its.stage, its.oven).result(PATIENCE) == "both"


def test_a_nested_workflow_with_lease_step_borrows_what_its_workflow_holds(lab: Lab, its: Devices) -> None:
    @workflow(lease="step")
    def inner(stage: Instrument, oven: Instrument) -> str:
        use(stage)
        return use(oven)

    @workflow
    def outer(stage: Instrument, oven: Instrument) -> str:
        return inner(stage, oven)

    assert lab.start(outer, its.stage, its.oven).result(PATIENCE) == "used"


@pytest.mark.parametrize("seed", range(4))
def test_random_experiments_on_the_same_devices_all_end(seed: int) -> None:
    chance = Random(seed)

    @task
    def work(*devices: Instrument) -> int:
        for device in devices:
            device.use()
        return len(devices)

    @workflow
    def inner(devices: list[Instrument]) -> list[int]:
        return [work(device) for device in devices] + [work(*devices)]

    @workflow
    def outer(devices: list[Instrument], leases: list[Any]) -> list[Any]:
        return [work(*devices), *[inner.options(lease=lease)(devices) for lease in leases], work(*reversed(devices))]

    with Lab(max_runs=6, cancel_grace=0.3) as lab:
        devices = [lab.add(name, Instrument, [], name) for name in "abcd"]
        runs: list[Run[Any]] = []
        for _ in range(25):
            some = sorted(chance.sample(range(4), chance.randint(1, 4)))
            spans: list[Any] = ["run", "step", *(tuple("abcd"[place] for place in some[:held]) for held in (1, 2))]
            lease, leases = chance.choice(spans), chance.choices(spans, k=2)
            mine = [devices[place] for place in some]
            chance.shuffle(mine)
            runs.append(lab.start(outer.options(lease=lease, exclusive=chance.random() < 0.1), mine, leases))
        assert all(run.exception(20) is None for run in runs)
