"""Progress through phases adds up, never goes back, and ends at 1."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actorlab.core.progress import PhaseProgress


def near(progress: PhaseProgress, fraction: float, message: str) -> bool:
    told = progress.told()
    return told.message == message and bool(told.fraction == pytest.approx(fraction))


def test_a_phase_counts_with_its_share_of_the_phase_around_it() -> None:
    progress = PhaseProgress()
    progress.enter("warm up", 0.2)
    assert progress.told() == (0.0, "warm up")
    progress.report(1, 2, "heating")
    assert near(progress, 0.1, "warm up: heating")
    progress.leave()
    progress.enter("measure", 0.5)
    progress.enter("dark", 0.5)
    progress.report(5, 10, "")
    assert near(progress, 0.2 + 0.5 * 0.25, "measure: dark")
    progress.leave()
    progress.leave()
    assert near(progress, 0.7, "")


def test_a_phase_without_a_weight_is_all_that_is_left() -> None:
    progress = PhaseProgress()
    progress.report(3, 10, "")
    progress.enter("the rest", None)
    progress.report(1, 2, "")
    assert progress.told().fraction == pytest.approx(0.3 + 0.7 / 2)
    progress.leave()
    assert progress.told().fraction == pytest.approx(1.0)


def test_what_has_no_total_is_indeterminate() -> None:
    progress = PhaseProgress()
    progress.report(3, None, "looking")
    assert progress.told() == (None, "looking")
    progress.enter("known", 0.5)
    progress.leave()
    assert progress.told().fraction == 0.5


ACTS = st.lists(
    st.one_of(
        st.tuples(st.just("enter"), st.none() | st.floats(0.01, 1.0)),
        st.tuples(st.just("leave"), st.none()),
        st.tuples(st.just("report"), st.floats(0, 1)),
    ),
    max_size=40,
)


@given(ACTS)
def test_it_stays_within_0_and_1_and_entering_and_leaving_never_takes_anything_back(
    acts: list[tuple[str, float | None]],
) -> None:
    progress, depth = PhaseProgress(), 0
    for act, number in acts:
        before = progress.told().fraction or 0.0
        if act == "enter":
            progress.enter("phase", number)
            depth += 1
        elif act == "leave" and depth:
            progress.leave()
            depth -= 1
        elif act == "report":
            progress.report(number or 0.0, 1.0, "")
        told = progress.told().fraction or 0.0
        assert -1e-9 <= told <= 1 + 1e-9
        if act != "report":
            assert told >= before - 1e-9
    for _ in range(depth):
        progress.leave()
    progress.enter("the rest", None)
    progress.leave()
    assert progress.told().fraction == pytest.approx(1.0)
