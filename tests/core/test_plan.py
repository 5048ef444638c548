"""A plan counts down: whatever order the steps end in, each begins after all that it waits for, and only then."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from actorlab.core.plan import Countdown, Plan, Steps


@st.composite
def plans(draw: st.DrawFn) -> Plan:
    """Make a plan of a few steps, some of whose parents are loose."""
    size = draw(st.integers(0, 9))
    parents: list[Steps] = []
    loose: list[Steps] = []
    for step in range(size):
        earlier = draw(st.lists(st.sampled_from(range(step)), unique=True)) if step else []
        parents.append(tuple(sorted(earlier)))
        loose.append(tuple(parent for parent in parents[-1] if draw(st.booleans())))
    return Plan(tuple(parents), tuple(loose) if draw(st.booleans()) else ())


@given(plans(), st.data())
def test_whatever_order_they_end_in_steps_begin_after_all_that_they_wait_for_and_no_later(
    plan: Plan, data: st.DataObject
) -> None:
    countdown = Countdown(plan)
    ended: list[int] = []
    running = countdown.ready()
    begun = list(running)
    while running:
        step = data.draw(st.sampled_from(running))
        running.remove(step)
        ended.append(step)
        ready = countdown.ended(step)
        assert ready == sorted(ready)
        running += ready
        begun += ready
        assert sorted(begun) == [step for step in range(plan.size) if set(plan.parents[step]) <= set(ended)]
        assert countdown.left == plan.size - len(ended)
    assert sorted(ended) == list(range(plan.size))


@given(plans(), st.data())
def test_after_failures_exactly_what_does_not_need_them_goes_on_and_still_in_order(
    plan: Plan, data: st.DataObject
) -> None:
    fails = data.draw(st.lists(st.booleans(), min_size=plan.size, max_size=plan.size))
    hopeless = doomed(plan, fails)
    countdown = Countdown(plan)
    running, ended, skipped = countdown.ready(), list[int](), list[int]()
    while running:
        step = data.draw(st.sampled_from(running))
        running.remove(step)
        ended.append(step)
        if fails[step]:
            more = countdown.skip(step)
            assert more == sorted(more)
            skipped += more
        released = countdown.ended(step)
        assert released == sorted(released)
        for ready in released:
            before = set(ancestors(plan, ready))
            assert before <= {*ended, *skipped}, "a skipped step still keeps the order of those around it"
            running.append(ready)
    assert sorted(skipped) == hopeless
    assert sorted(ended) == [step for step in range(plan.size) if step not in hopeless]
    assert countdown.left == 0


def doomed(plan: Plan, fails: list[bool]) -> list[int]:
    """Return the steps that need, directly or not, the success of one that fails or can't run."""
    lost: list[int] = []
    for step in range(plan.size):
        firm = [parent for parent in plan.parents[step] if not plan.loose or parent not in plan.loose[step]]
        if any(parent in lost or fails[parent] for parent in firm):
            lost.append(step)
    return lost


def ancestors(plan: Plan, step: int) -> list[int]:
    """Return all steps that a step comes after."""
    found = list(plan.parents[step])
    for parent in found:
        found.extend(further for further in plan.parents[parent] if further not in found)
    return found


def test_a_step_waits_for_the_devices_that_a_skipped_step_would_have_waited_for() -> None:
    # 0 fails; 1 is still using the oven; 2 needs 0's value and, after 1, the oven; 3 wants the oven after 2.
    countdown = Countdown(Plan(((), (), (0, 1), (2,)), ((), (), (1,), (2,))))
    assert countdown.ready() == [0, 1]
    assert countdown.skip(0) == [2]
    assert countdown.ended(0) == []
    assert countdown.ended(1) == [3]


def test_what_a_skipped_step_lets_go_stands_in_its_written_place_among_the_others() -> None:
    # 0 fails, so that 2 is skipped; 3 and 4 await devices, 3 those of 2.
    countdown = Countdown(Plan(((), (), (0, 1), (2,), (1,)), ((), (), (1,), (2,), (1,))))
    assert countdown.skip(0) == [2]
    assert countdown.ended(0) == []
    assert countdown.ended(1) == [3, 4]


def test_a_plan_without_steps_has_nothing_left() -> None:
    assert Countdown(Plan(())).ready() == []
    assert Countdown(Plan(())).left == 0


def test_two_executions_of_a_plan_do_not_disturb_each_other() -> None:
    plan = Plan(((), (0,)))
    first, second = Countdown(plan), Countdown(plan)
    assert first.ended(0) == [1]
    assert second.ready() == [0]
    assert second.ended(0) == [1]


def test_a_hundred_thousand_steps_in_a_row_are_counted_without_recursion() -> None:
    size = 100_000
    countdown = Countdown(Plan(((), *((step,) for step in range(size - 1)))))
    begun = countdown.ready()
    for step in begun:
        begun.extend(countdown.ended(step))
    assert begun == list(range(size))
    assert len(Countdown(Plan(((), *((step,) for step in range(size - 1))))).skip(0)) == size - 1
