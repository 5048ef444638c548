"""Count runs and weigh steps: nothing goes back while a batch lasts, and what has ended counts as one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actorlab.core.progress import Batch, weighed

fractions = st.floats(0.0, 1.0)


@given(st.lists(st.tuples(st.integers(0, 5), st.booleans()), max_size=30))
def test_a_batch_counts_its_runs_until_none_is_under_way(events: list[tuple[int, bool]]) -> None:
    batch, under_way, total, ended = Batch(), dict[str, None](), 0, 0
    for number, (who, begins) in enumerate(events):
        name = f"run{who}"
        if begins and name not in under_way:
            if not under_way:
                total = ended = 0
            under_way[name] = None
            total += 1
            batch.begin(name, float(number))
        elif not begins:
            ended += under_way.pop(name, 0) is None
            batch.end(name)
        assert (batch.total, batch.ended, list(batch.running)) == (total, ended, list(under_way))
        done = batch.done(dict.fromkeys(under_way, 0.5))
        assert done == (None if not (ended or under_way) else ended + 0.5 * len(under_way))


def test_what_nobody_tells_is_not_known_until_one_has_ended() -> None:
    batch = Batch()
    batch.begin("a", 0.0)
    batch.begin("b", 0.0)
    assert batch.done({}) is None
    assert batch.done({"a": None, "b": 0.25}) == 0.25
    batch.end("a")
    assert batch.done({}) == 1


@given(st.lists(st.tuples(st.none() | st.floats(0.0, 1e6), fractions), min_size=1))
def test_weighed_parts_are_done_together_when_each_is(parts: list[tuple[float | None, float]]) -> None:
    done, total = weighed(parts)
    assert 0 <= done <= total * (1 + 1e-9)
    assert total > 0
    assert weighed([(weight, 1.0) for weight, _ in parts])[0] == pytest.approx(total)
    assert weighed([(weight, 0.0) for weight, _ in parts])[0] == 0
