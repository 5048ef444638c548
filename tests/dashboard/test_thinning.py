"""A curve of any length is kept in few points, and loses neither its highest nor its lowest."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from actorlab.dashboard.thinning import Thinned

YS = st.lists(st.floats(-1e6, 1e6) | st.none() | st.just(math.nan), max_size=300)


def shown(curve: Thinned) -> list[tuple[float, float | None]]:
    return [(point.x, point.y) for point in curve.points()]


@given(YS, st.integers(2, 20))
def test_few_points_in_their_order_with_all_extremes(ys: list[float | None], most: int) -> None:
    curve = Thinned(most)
    for x, y in enumerate(ys):
        curve.add(x, y)
    points = shown(curve)
    assert len(points) <= 3 * most
    assert [x for x, _ in points] == sorted({x for x, _ in points})
    assert all(y is None or y == ys[int(x)] for x, y in points)
    numbers = [y for y in ys if y is not None and math.isfinite(y)]
    kept = [y for _, y in points if y is not None]
    assert (max(kept, default=0), min(kept, default=0)) == (max(numbers, default=0), min(numbers, default=0))
    assert any(y is None for _, y in points) == (len(numbers) < len(ys))


@given(YS, st.integers(2, 20), st.lists(st.integers(1, 40), min_size=1))
def test_what_is_told_of_changes_adds_up_to_the_curve(ys: list[float | None], most: int, steps: list[int]) -> None:
    curve = Thinned(most)
    told: list[tuple[float, float | None]] = []
    begin = 0
    for step in steps * len(ys):
        for x, y in enumerate(ys[begin : begin + step], begin):
            curve.add(x, y)
        patch = curve.changes()
        assert patch.begin <= len(told)
        told[patch.begin :] = patch.points
        assert told == shown(curve)
        begin += step
        if begin >= len(ys):
            break


def test_a_short_curve_is_all_there() -> None:
    curve = Thinned(100)
    for x in range(50):
        curve.add(x, -x)
    assert shown(curve) == [(float(x), float(-x)) for x in range(50)]


def test_a_long_curve_is_told_in_few_points_each_time() -> None:
    curve = Thinned(100)
    for x in range(10_000):
        curve.add(x, math.sin(x / 100))
    assert len(curve.changes().points) <= 300
    curve.add(10_000, 5.0)
    patch = curve.changes()
    assert len(patch.points) <= 3
    assert patch.points[-1] == (10_000, 5.0)


def test_a_place_that_is_no_number_is_left_out() -> None:
    curve = Thinned()
    curve.add(math.inf, 1.0)
    curve.add(math.nan, 1.0)
    assert not curve.points()
