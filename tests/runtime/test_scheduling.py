"""When a run begins, and what happens when it can't: keys, conflicts, earliest times, deadlines."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from actorlab import (
    ConfigError,
    Lab,
    LeaseTimeout,
    Run,
    RunCancelled,
    RunState,
    RunTimeout,
    WorkflowError,
    sleep,
    task,
    workflow,
)

Until = Callable[[Run[Any], RunState], None]


class Lamp:
    """A device that can be switched."""

    def set(self, value: int) -> int:
        return value


@task
def nothing() -> str:
    return "done"


def wait_at(gate: Any) -> str:
    gate.stop()
    return "went on"


def endless() -> None:
    while True:
        sleep(10)


def test_a_run_with_the_key_of_another_waits_for_its_end(lab: Lab, gate: Any) -> None:
    first = lab.start(task(wait_at).options(key="k"), gate)
    gate.reached()
    second = lab.start(nothing.options(key="k"))
    assert second.reasons == (f"{second.id} waits for the key k, held by {first.id}",)
    gate.open()
    assert second.result(5) == "done"


def test_one_that_wants_no_conflict_is_rejected_at_once_with_all_who_are_in_its_way(lab: Lab, gates: Any) -> None:
    lamp = lab.add("lamp", Lamp)
    one, other = gates(), gates()
    keyed = lab.start(task(wait_at).options(key="k"), one)
    holder = lab.start(lambda _, gate: gate.stop(), lamp, other)
    one.reached()
    other.reached()

    @task(key="k", on_conflict="reject")
    def light(lamp: Lamp) -> int:
        return lamp.set(1)

    with pytest.raises(LeaseTimeout) as caught:
        lab.run(light, lamp)
    assert f"lamp, held by {holder.id}" in str(caught.value)
    assert f"the key k, held by {keyed.id}" in str(caught.value)
    one.open()
    other.open()
    keyed.result(5)
    holder.result(5)
    assert lab.run(light, lamp) == 1, "it holds nothing and burns nothing"


def test_one_that_replaces_begins_only_when_the_old_one_has_ended(lab: Lab, gate: Any) -> None:
    order: list[str] = []

    def old() -> None:
        try:
            gate.arrive()
            endless()
        finally:
            order.append("old cleaned up")

    first = lab.start(task(old).options(key="k"))
    waiting = lab.start(nothing.options(key="k"))
    gate.reached()
    second = lab.start(task(lambda: order.append("new")).options(key="k", on_conflict="replace"))
    second.result(5)
    assert order == ["old cleaned up", "new"]
    for run in (first, waiting):
        with pytest.raises(RunCancelled, match=f"{second.id} replaces it"):
            run.result(5)


def test_keys_are_values_so_the_work_on_one_machine_replaces_nothing_on_another(lab: Lab, gate: Any) -> None:
    other = lab.start(task(wait_at).options(key="other machine"), gate)
    gate.reached()
    assert lab.run(nothing.options(key="this machine", on_conflict="replace")) == "done"
    gate.open()
    assert other.result(5) == "went on"


def test_it_does_not_begin_before_its_time_and_says_so(lab: Lab, until: Until) -> None:
    late = lab.start(nothing.options(not_before=3600))
    until(late, RunState.WAITING)
    assert late.reasons == (f"{late.id} doesn't begin before 3600",)
    late.cancel("no longer wanted")
    with pytest.raises(RunCancelled, match="no longer wanted"):
        late.result(5)
    soon = datetime.now(UTC) + timedelta(milliseconds=20)
    assert lab.run(nothing.options(not_before=soon)) == "done"
    assert datetime.now(UTC) >= soon
    assert lab.run(nothing.options(not_before=datetime.now(UTC) - timedelta(days=1))) == "done"


def test_its_deadline_ends_it_whether_it_runs_waits_or_is_paused(lab: Lab, gate: Any, until: Until) -> None:
    with pytest.raises(RunTimeout, match="deadline"):
        lab.run(task(endless).options(deadline=0.05))
    with pytest.raises(RunTimeout, match="deadline"):
        lab.run(nothing.options(not_before=60, deadline=0.05))
    holder = lab.start(task(wait_at).options(key="k"), gate)
    gate.reached()
    with pytest.raises(RunTimeout, match="deadline"):
        lab.run(nothing.options(key="k", deadline=datetime.now(UTC) + timedelta(seconds=0.05)))
    gate.open()
    holder.result(5)

    def stands() -> None:
        while True:
            sleep(0.001)
            from actorlab import checkpoint  # noqa: PLC0415 - what a user's body does

            checkpoint()

    paused = lab.start(task(stands).options(deadline=0.3))
    until(paused, RunState.RUNNING)
    paused.pause()
    with pytest.raises(RunTimeout, match="deadline"):
        paused.result(5)


@pytest.mark.parametrize(
    "options", [{"key": "k"}, {"exclusive": True}, {"not_before": 1.0}, {"deadline": 1.0}], ids=str
)
def test_a_step_with_an_option_for_runs_is_refused_when_it_is_drawn(lab: Lab, options: Any) -> None:
    @workflow
    def steps() -> str:
        return nothing.options(**options)()

    with pytest.raises(WorkflowError, match=f"has the option {next(iter(options))}=.*which is for runs"):
        lab.run(steps)


@pytest.mark.parametrize(
    "options",
    [
        {"on_conflict": "wait"},
        {"on_conflict": "replace"},
        {"not_before": -1},
        {"not_before": "noon"},
        {"deadline": 0},
        {"deadline": True},
    ],
    ids=str,
)
def test_options_that_make_no_sense_are_refused(options: Any) -> None:
    with pytest.raises(ConfigError, match=next(iter(options))):
        nothing.options(**options)
