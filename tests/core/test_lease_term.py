"""A lease expires when its holder is silent, not when nobody could hear it."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from actorlab.core.lease_term import LeaseTerm

seconds = st.floats(0.0, 100.0, allow_nan=False)
stalls = st.lists(st.tuples(st.floats(0.1, 5.0), st.floats(0.0, 50.0)), max_size=6)
"""How long all goes well, and how long it then stands still."""


@given(
    st.floats(0.5, 100.0), st.lists(st.tuples(st.sampled_from(["look", "look", "look", "renew"]), seconds), max_size=60)
)
def test_it_is_never_over_before_its_time_since_the_last_renewal_and_then_for_good(
    ttl: float, events: list[tuple[str, float]]
) -> None:
    now = renewed = 0.0
    term = LeaseTerm(ttl, now)
    for kind, gap in events:
        now += gap
        before = term.over
        if kind == "renew":
            assert term.renew(now) is not before
            renewed = renewed if before else now
        elif term.look(now):
            assert now - renewed >= ttl * (1 - 1e-9)
        assert term.over or not before, "nobody gets back what may be somebody else's by now"
        assert 0.0 <= term.left <= ttl


@given(st.floats(0.5, 100.0), st.floats(0.0, 0.999))
def test_one_that_is_looked_at_in_time_is_over_within_a_pace(ttl: float, part: float) -> None:
    term = LeaseTerm(ttl, 0.0)
    now = part * term.pace
    while not term.look(now):
        now += term.pace
        assert now < ttl + 2 * term.pace
    assert now <= ttl + term.pace * (1 + 1e-9)
    assert not term.renew(now), "it is over for good"
    assert term.look(now)


@given(st.floats(0.5, 30.0), stalls, st.floats(0.0, 1.0))
def test_who_renews_three_times_in_a_term_keeps_it_through_any_stalls(
    ttl: float, stood: list[tuple[float, float]], phase: float
) -> None:
    """Renewals sent while all stands still are heard only after the first look that follows."""
    term = LeaseTerm(ttl, 0.0)
    still: list[tuple[float, float]] = []
    now = 0.0
    for well, stall in stood:
        still.append((now + well * ttl, now + well * ttl + stall))
        now = still[-1][1]
    end = now + 3 * ttl
    renewal, look = ttl / 3 * phase, term.pace
    while min(renewal, look) < end:
        looked, heard = awake(look, still), awake(renewal, still)
        if looked <= heard:
            assert not term.look(looked)
            look = looked + term.pace
        else:
            term.renew(heard)
            renewal += ttl / 3


def awake(now: float, still: list[tuple[float, float]]) -> float:
    """Return when something is done that is due now."""
    return next((end for begin, end in still if begin <= now < end), now)


def test_a_stall_costs_little_of_a_term() -> None:
    term = LeaseTerm(10.0, 0.0)
    assert not term.look(1e6)
    assert term.left == 8.0
    assert term.renew(1e6)
    assert term.left == 10.0
