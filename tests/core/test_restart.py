"""RestartPolicy refuses nonsense; RestartLimiter keeps to its limit in every window, and comes back after it."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actorlab.core.restart import Decision, GiveUp, Leave, Restart, RestartLimiter, RestartPolicy
from actorlab.errors import ConfigError

FAULT = ConnectionError("unplugged")


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"restart": "sometimes"}, "restart='sometimes' is none of 'never', 'on_failure', 'always'"),
        ({"then": "explode"}, "then='explode' is none of"),
        ({"limit": -1}, "limit=-1"),
        ({"limit": 2.5}, "whole number"),
        ({"period": 0}, "window"),
        ({"period": math.nan}, "window"),
        ({"delay": -0.1}, "delay=-0.1"),
        ({"delay": math.inf, "max_delay": math.inf}, "delay=inf"),
        ({"factor": 0.5}, "factor=0.5"),
        ({"delay": 20}, "max_delay=10.0 has to be finite, and no less than delay=20"),
        ({"max_delay": math.inf}, "max_delay=inf"),
        ({"jitter": 1.5}, "jitter=1.5"),
        ({"jitter": -0.5}, "jitter=-0.5"),
        ({"on": ()}, "restart='never'"),
        ({"on": OSError}, "tuple"),
        ({"on": (OSError, "timeout")}, "no exception class"),
        ({"on": (OSError, int)}, "no exception class"),
        ({"restart": "never", "limit": 2}, "restart='never' leaves no meaning to limit=2"),
        ({"restart": "never", "delay": 1.0}, "restart='never' leaves no meaning to delay=1.0"),
        ({"restart": "never", "on": (OSError,)}, "restart='never' leaves no meaning to on="),
    ],
)
def test_a_contradictory_policy_is_refused_with_its_reason(settings: dict[str, Any], reason: str) -> None:
    with pytest.raises(ConfigError) as caught:
        RestartPolicy(**settings)
    assert reason in str(caught.value)


@pytest.mark.parametrize(
    "settings",
    [{}, {"limit": None}, {"limit": 0}, {"restart": "never", "then": "stop_lab"}, {"delay": 0, "max_delay": 0}],
)
def test_a_sensible_policy_is_taken(settings: dict[str, Any]) -> None:
    assert RestartPolicy(**settings) == RestartPolicy(**settings)


@pytest.mark.parametrize(
    ("policy", "error", "expected"),
    [
        (RestartPolicy(restart="always"), None, Restart),
        (RestartPolicy(restart="always"), FAULT, Restart),
        (RestartPolicy(restart="on_failure"), None, Leave),
        (RestartPolicy(restart="on_failure"), FAULT, Restart),
        (RestartPolicy(restart="never"), None, Leave),
        (RestartPolicy(restart="never"), FAULT, Leave),
        (RestartPolicy(on=(OSError,)), FAULT, Restart),
        (RestartPolicy(on=(OSError,)), ValueError("wrong"), Leave),
        (RestartPolicy(restart="always", on=(OSError,)), ValueError("wrong"), Leave),
        (RestartPolicy(), KeyboardInterrupt(), Leave),
    ],
)
def test_the_policy_says_which_ends_are_worth_a_restart(
    policy: RestartPolicy, error: BaseException | None, expected: type[Decision]
) -> None:
    assert isinstance(RestartLimiter(policy).ended(0.0, error, 0.0), expected)


def test_a_limit_of_two_means_exactly_two() -> None:
    limiter = RestartLimiter(RestartPolicy(limit=2, period=60, delay=0, max_delay=0))
    decisions = [limiter.ended(now, FAULT, 0.0) for now in (0.0, 1.0, 2.0)]
    assert decisions[:2] == [Restart(0.0, 1), Restart(1.0, 2)]
    assert isinstance(decisions[2], GiveUp)
    assert "restarted 2 times within 60 s" in decisions[2].reason
    assert "unplugged" in decisions[2].reason


def test_the_limiter_still_limits_after_its_window_is_over() -> None:
    limiter = RestartLimiter(RestartPolicy(limit=2, period=60, delay=0, max_delay=0))
    for begin in (0.0, 1000.0, 2000.0):
        kinds = [type(limiter.ended(begin + second, FAULT, 0.0)) for second in range(3)]
        assert kinds == [Restart, Restart, GiveUp]


def test_the_window_slides_over_each_restart_by_itself() -> None:
    limiter = RestartLimiter(RestartPolicy(limit=2, period=60, delay=0, max_delay=0))
    allowed = {0.0: True, 40.0: True, 60.0: False, 60.5: True, 100.0: False, 100.5: True}
    assert {now: isinstance(limiter.ended(now, FAULT, 0.0), Restart) for now in allowed} == allowed


def test_a_limit_of_none_never_gives_up_and_its_back_off_never_overflows() -> None:
    limiter = RestartLimiter(RestartPolicy(limit=None, period=1e9))
    decisions = [limiter.ended(now * 20.0, FAULT, 0.0) for now in range(2000)]
    assert decisions[-1] == Restart(1999 * 20.0 + 10.0, 2000)


def test_a_reset_forgets_the_restarts() -> None:
    limiter = RestartLimiter(RestartPolicy(limit=1))
    limiter.ended(0.0, FAULT, 0.0)
    limiter.reset()
    assert limiter.ended(1.0, FAULT, 0.0) == Restart(1.5, 1)


def test_the_back_off_begins_anew_when_the_window_is_over() -> None:
    limiter = RestartLimiter(RestartPolicy(limit=None))
    waits = [limiter.ended(now, FAULT, 0.0) for now in (0.0, 10.0, 20.0, 100.0)]
    assert waits == [Restart(0.5, 1), Restart(11.0, 2), Restart(22.0, 3), Restart(100.5, 1)]


# The law, against a list of all times ---------------------------------------------------------------------------------


@dataclass
class Model:
    """Keep every restart for ever, and look through all of them for each decision."""

    policy: RestartPolicy
    restarts: list[float] = field(default_factory=list[float])

    def ended(self, now: float, draw: float) -> Restart | None:
        policy = self.policy
        recent = sum(at >= now - policy.period for at in self.restarts)
        if policy.limit is not None and recent >= policy.limit:
            return None
        wait = policy.delay
        for _ in range(recent):
            wait *= policy.factor
        at = now + min(wait, policy.max_delay) * (1 - policy.jitter * draw)
        self.restarts.append(at)
        return Restart(at, recent + 1)


# Whole quarters of a second meet the edges of the window often, and are exact as floats.
quarters = st.integers(0, 80).map(lambda number: number / 4)


def policy_of(
    limit: int | None, period: float, delay: float, factor: float, more: float, jitter: float
) -> RestartPolicy:
    return RestartPolicy(
        restart="always", limit=limit, period=period, delay=delay, factor=factor, max_delay=delay + more, jitter=jitter
    )


policies = st.builds(
    policy_of,
    limit=st.none() | st.integers(0, 4),
    period=st.sampled_from((0.25, 5.0, 20.0)),
    delay=quarters,
    factor=st.sampled_from((1.0, 2.0, 3.0)),
    more=quarters,
    jitter=st.sampled_from((0.0, 0.5, 1.0)),
)
ends = st.lists(st.tuples(quarters, st.sampled_from((0.0, 0.25, 1.0))), min_size=1, max_size=40)


@given(policies, ends)
@settings(max_examples=200, deadline=None)
def test_no_window_holds_more_restarts_than_the_limit(policy: RestartPolicy, ends: list[tuple[float, float]]) -> None:
    limiter, model, now = RestartLimiter(policy), Model(policy), 0.0
    for pause, draw in ends:
        now += pause  # also before the last planned restart: one limiter may serve several children
        assert _plain(limiter.ended(now, FAULT, draw)) == model.ended(now, draw)
    if policy.limit is not None:
        for begin in model.restarts:
            assert sum(begin <= at <= begin + policy.period for at in model.restarts) <= policy.limit


@given(policies, st.integers(0, 2000), st.floats(0, 1))
@settings(max_examples=100, deadline=None)
def test_a_wait_lies_between_nothing_and_the_greatest_delay(policy: RestartPolicy, earlier: int, draw: float) -> None:
    assert 0 <= policy.backoff(earlier, draw) <= policy.max_delay
    assert policy.backoff(earlier, draw) >= policy.delay * (1 - policy.jitter)


def _plain(decision: Decision) -> Restart | None:
    assert not isinstance(decision, Leave)
    return decision if isinstance(decision, Restart) else None
