"""A resumed run takes what had finished from its record, and begins nothing that may rely on what was lost."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import hypothesis.strategies as st
import pytest
from hypothesis import given

from actorlab.core.resumption import DEVICES, PastStep, Resumption, decide
from actorlab.core.run_state import RunState

if TYPE_CHECKING:
    from actorlab.core.resumption import Was

S = RunState


def step(name: str, was: Was = "finished", *devices: str, **known: Any) -> PastStep:
    return PastStep(name, was, devices, devices)._replace(**known)


def texts(resumption: Resumption) -> list[str]:
    return [doubt.text for doubt in resumption.doubts]


def test_what_had_finished_is_not_done_again_and_the_rest_begins() -> None:
    assert decide([step("draw"), step("report", "not_begun")]) == Resumption({0: S.SUCCEEDED})


@pytest.mark.parametrize(
    ("known", "passed", "asked"),
    [
        ({"on_resume": "redo"}, {}, False),
        ({"repeatable": True}, {}, False),
        ({"on_resume": "skip"}, {0: S.SKIPPED}, False),
        ({"on_resume": "ask", "repeatable": True}, {}, True),
        ({}, {}, True),
    ],
)
def test_the_step_under_way_follows_its_option(known: dict[str, Any], passed: dict[int, S], asked: bool) -> None:
    resumption = decide([step("move", "in_flight", "stage", **known)])
    assert resumption.passed == passed
    assert bool(resumption.doubts) == asked
    assert not resumption.refusal


def test_a_step_under_way_that_aborts_refuses_the_resumption_by_name() -> None:
    assert "move was under way" in decide([step("move", "in_flight", "stage", on_resume="abort")]).refusal


def test_a_person_decides_over_the_step_under_way() -> None:
    steps = [step("move", "in_flight", "stage"), step("report", "not_begun")]
    assert decide(steps, {0: "skip"}) == Resumption({0: S.SKIPPED})
    assert decide(steps, {0: "redo"}) == Resumption({})
    assert decide(steps, {0: "abort"}).refusal


def test_a_unit_under_way_decides_for_itself() -> None:
    assert decide([step("characterise", "in_flight", "stage", unit=True)]) == Resumption({})


def test_a_step_on_a_device_that_finished_ones_had_set_up_is_asked_about() -> None:
    resumption = decide([step("mount", "finished", "stage"), step("scan", "not_begun", "stage")])
    assert [doubt.step for doubt in resumption.doubts] == [DEVICES]
    assert (
        "scan may rely on what was set up before the interruption, but stage began a new life" in texts(resumption)[0]
    )
    assert "again begins at mount" in texts(resumption)[0]


def test_a_step_that_relies_on_nothing_begins_by_itself() -> None:
    assert not decide([step("mount", "finished", "stage"), step("scan", "not_begun", "stage", repeatable=True)]).doubts
    assert not decide([step("mount", "finished", "stage"), step("warm", "not_begun", "oven")]).doubts


def test_a_step_that_may_be_repeated_sets_up_nothing_that_it_only_shares() -> None:
    mounted, heated = step("mount", "finished", "stage"), step("heat", "finished", "oven")
    curve = step("curve", "not_begun", "oven", "stage", changes=("oven",), repeatable=True)
    resumption = decide([mounted, heated, curve])
    assert "curve may rely on what was set up before the interruption, but stage began" in texts(resumption)[0]
    assert not decide([heated, curve]).doubts
    assert decide([mounted, curve], {DEVICES: "again"}) == Resumption({}, again_from=0)


def test_what_was_only_looked_at_is_not_lost() -> None:
    looked = step("look", "finished", "stage", changes=())
    assert not decide([looked, step("scan", "not_begun", "stage")]).doubts


def test_a_finished_step_marked_redo_is_done_again_before_what_shares_its_device() -> None:
    steps = [
        step("home", "finished", "stage", on_resume="redo"),
        step("mount", "finished", "stage", "oven", on_resume="redo"),
        step("lamp", "finished", "lamp", on_resume="redo"),
        step("scan", "not_begun", "oven"),
    ]
    resumption = decide(steps)
    assert resumption.passed == {2: S.SUCCEEDED}  # mount for scan, and home for mount
    assert not resumption.doubts


def test_the_answer_may_be_again_from_where_it_was_set_up() -> None:
    steps = [
        step("lamp", "finished", "lamp"),
        step("mount", "finished", "stage"),
        step("look", "finished", "meter"),
        step("scan", "not_begun", "stage"),
    ]
    assert decide(steps, {DEVICES: "go on"}).passed == dict.fromkeys((0, 1, 2), S.SUCCEEDED)
    assert decide(steps, {DEVICES: "again"}).passed == {0: S.SUCCEEDED}
    assert decide(steps, {DEVICES: "all again"}).passed == {}
    assert "scan may rely" in decide(steps, {DEVICES: "abort"}).refusal


def test_a_step_whose_window_has_passed_is_asked_about() -> None:
    resumption = decide([step("soak"), step("read", "not_begun", soon_after=(0,))])
    assert "the time within which it had to begin has passed" in texts(resumption)[0]
    assert "again begins at soak" in texts(resumption)[0]


def test_a_person_may_begin_again_anywhere() -> None:
    steps = [step("mount", "finished", "stage"), step("scan", "finished", "stage"), step("last", "in_flight", "stage")]
    assert decide(steps, again_from=1) == Resumption({0: S.SUCCEEDED}, again_from=1)


names = st.sampled_from(("laser", "meter", "stage"))
pasts = st.builds(
    PastStep,
    st.just("step"),
    st.sampled_from(("finished", "finished", "in_flight", "left_out", "not_begun")),
    st.lists(names, unique=True).map(tuple),
    on_resume=st.sampled_from((None, "redo", "skip", "ask")),
    repeatable=st.booleans(),
    soon_after=st.sampled_from(((), (), (0,))),
).flatmap(
    lambda past: st.lists(names, unique=True).map(lambda all_: past._replace(changes=tuple(set(all_) & set(past.uses))))
)
answers = st.sampled_from(("go on", "again", "all again"))


@given(st.lists(pasts, min_size=1, max_size=8), answers, st.sampled_from(("redo", "skip")))
def test_no_step_is_taken_for_finished_that_was_not_and_nothing_lost_is_relied_on_unasked(
    steps: list[PastStep], about_devices: str, about_a_step: str
) -> None:
    first = decide(steps)
    assert not first.refusal
    assert all(steps[n].was == "finished" for n, state in first.passed.items() if state is S.SUCCEEDED)
    assert all(
        n in first.passed or steps[n].on_resume == "redo" for n in range(len(steps)) if steps[n].was == "finished"
    )
    for number, past in enumerate(steps):
        if number in first.passed or any(doubt.step in (number, DEVICES) for doubt in first.doubts):
            continue
        kept = [steps[n] for n in range(number) if n in first.passed and steps[n].was == "finished"]
        assert not any(set(earlier.changes) & relied_on(past) for earlier in kept)
    answered = {doubt.step: about_devices if doubt.step == DEVICES else about_a_step for doubt in first.doubts}
    assert not decide(steps, answered).refusal


def relied_on(past: PastStep) -> set[str]:
    if past.was == "in_flight" and past.on_resume == "redo":
        return set()
    return set(past.uses) - set(past.changes) if past.repeatable else set(past.uses)


@given(st.lists(pasts, min_size=1, max_size=8), answers, st.sampled_from(("redo", "skip")))
def test_whoever_answers_each_question_comes_to_an_end(steps: list[PastStep], devices: str, one: str) -> None:
    given_so_far: dict[int, str] = {}
    for _ in range(len(steps) + 3):
        doubts = decide(steps, given_so_far).doubts
        if not doubts:
            return
        given_so_far |= {doubt.step: devices if doubt.step == DEVICES else one for doubt in doubts}
    pytest.fail("it asks again and again")
