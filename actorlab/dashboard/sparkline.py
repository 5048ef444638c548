"""Draw the course of a number as a small line, which is broken where nothing is known."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Final

__all__ = ["sparkline"]

WIDTH: Final = 120
HEIGHT: Final = 28
MARGIN: Final = 2
SECONDS: Final = 120.0
"""It shows so much of the past."""
GAP: Final = 5.0
"""Between points that are farther apart (s) nothing is known."""


def sparkline(points: Sequence[tuple[float, float]], now: float) -> str:
    """Return lines through points (time, number) as SVG, or nothing if there are too few to make one."""
    recent = [(at, value) for at, value in points if now - at <= SECONDS]
    if len(recent) < 2:  # noqa: PLR2004 - a line has two ends
        return ""
    low, high = min(value for _, value in recent), max(value for _, value in recent)
    lines = " ".join(
        f"M{place(*before, now, low, high)} L{place(*after, now, low, high)}"
        for before, after in pairwise(recent)
        if after[0] - before[0] <= GAP
    )
    return (
        f'<svg class="spark" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" aria-hidden="true">'
        f'<path d="{lines}" fill="none" stroke="currentColor" stroke-width="1.5" stroke-linecap="round"/></svg>'
    )


def place(at: float, value: float, now: float, low: float, high: float) -> str:
    """Return where a point stands: the newest at the right, the highest at the top, constants in the middle."""
    height = 0.5 if high == low else (value - low) / (high - low)
    return f"{WIDTH * (1 - (now - at) / SECONDS):.1f},{HEIGHT - MARGIN - (HEIGHT - 2 * MARGIN) * height:.1f}"
