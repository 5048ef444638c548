"""Each fault strikes once, at the command that it was planned for."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actorlab.simulation.faults import Fault, FaultPlan


@given(delays=st.lists(st.integers(0, 10), unique=True))
def test_faults_with_different_delays_strike_exactly_then(delays: list[int]) -> None:
    plan = FaultPlan()
    for after in delays:
        plan.add(Fault("drop", after))

    struck = [number for number in range(12) if plan.next() is not None]

    assert struck == sorted(delays)


@given(delays=st.lists(st.integers(0, 10), max_size=6))
def test_no_fault_is_lost_and_none_strikes_early(delays: list[int]) -> None:
    plan = FaultPlan()
    for after in delays:
        plan.add(Fault("hang", after, seconds=after))

    struck = {number: fault for number in range(20) if (fault := plan.next()) is not None}

    assert sorted(fault.seconds or 0 for fault in struck.values()) == sorted(delays)
    assert all(number >= (fault.seconds or 0) for number, fault in struck.items())


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ({"kind": "explode"}, "unknown fault 'explode': use one of drop, hang, garbage, slow, power_cycle"),
        ({"kind": "drop", "after": -1}, "it must be 0"),
        ({"kind": "slow"}, "by how many `seconds`"),
    ],
)
def test_a_fault_that_makes_no_sense_is_refused(arguments: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        Fault(**arguments)
