"""In any window of time nobody makes more attempts than allowed, and what is remembered of them is bounded."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from actorlab.core.attempts import Attempts

TIMES = st.lists(st.tuples(st.sampled_from("abc"), st.floats(0, 30)), max_size=60)


@given(TIMES, st.integers(1, 5), st.floats(0.5, 60))
def test_no_window_has_more_allowed_attempts_than_the_limit(
    gaps: list[tuple[str, float]], limit: int, seconds: float
) -> None:
    attempts = Attempts(limit, seconds)
    allowed: dict[str, list[float]] = {}
    now = 0.0
    for who, gap in gaps:
        now += gap
        wait = attempts.failed(who, now)
        mine = allowed.setdefault(who, [])
        recent = [at for at in mine if at > now - seconds]
        assert (wait is None) == (len(recent) < limit)
        if wait is None:
            mine.append(now)
        else:
            assert 0 <= wait <= seconds + 1e-6


def test_whoever_attempted_longest_ago_is_forgotten_first() -> None:
    attempts = Attempts(1, 60, known=2)
    assert attempts.failed("a", 0) is None
    assert attempts.failed("b", 1) is None
    assert attempts.failed("a", 2) == 58
    assert attempts.failed("c", 3) is None
    assert attempts.failed("a", 4) is not None
    assert attempts.failed("b", 5) is None
