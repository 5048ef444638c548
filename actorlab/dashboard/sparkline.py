"""Draw the course of a number as a small line."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

__all__ = ["sparkline"]

WIDTH: Final = 120
HEIGHT: Final = 28
MARGIN: Final = 2
SECONDS: Final = 120.0
"""It shows so much of the past."""


def sparkline(points: Sequence[tuple[float, float]], now: float) -> str:
    """Return a line through points (time, number) as SVG, or nothing if there are too few to make one."""
    recent = [(at, value) for at, value in points if now - at <= SECONDS]
    if len(recent) < 2:  # noqa: PLR2004 - a line has two ends
        return ""
    low, high = min(value for _, value in recent), max(value for _, value in recent)
    span = high - low
    inner = HEIGHT - 2 * MARGIN
    drawn = " ".join(
        f"{WIDTH * (1 - (now - at) / SECONDS):.1f},"
        f"{HEIGHT / 2 if span == 0 else HEIGHT - MARGIN - inner * ((value - low) / span):.1f}"
        for at, value in recent
    )
    return (
        f'<svg class="spark" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" aria-hidden="true">'
        f'<polyline points="{drawn}" fill="none" stroke="currentColor" stroke-width="1.5"/></svg>'
    )
