"""Say how far the end of a schedule can be off: by many random draws of the durations, always the same ones."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from actorlab.rehearsal.durations import EDGE, Estimate

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from actorlab.core.timeline import Activity

__all__ = ["makespan_interval"]

DRAWS: Final = 200
MOST: Final = 4_000_000
"""So many numbers at most are kept at once: of a very long schedule there are fewer draws."""
FEWEST: Final = 20
SEED: Final = 1
TENTHS: Final = (0.1, 0.9)


def makespan_interval(
    activities: Sequence[Activity], estimates: Mapping[int, Estimate], last: int
) -> tuple[float, float]:
    """Return between which times (s) an activity's end lies eight times out of ten.

    `estimates` are those of the activities that take time, by their numbers. What is behind what stays as it came about
    with the likely durations: another order of grants isn't tried.
    """
    spread = {number: its for number, its in estimates.items() if not its.certain}
    end = activities[last].end
    if not spread:
        return end, end
    import numpy as np  # noqa: PLC0415 - `import actorlab` has to be cheap

    chance = np.random.default_rng(SEED)
    draws = max(FEWEST, min(DRAWS, MOST // len(activities)))
    ends = np.zeros((len(activities), draws))
    for activity in sorted(activities, key=lambda activity: activity.rank):
        number = activity.number
        begins = latest(ends, activity.behind) + activity.delay
        if activity.kind == "lease":
            ends[number] = np.maximum(begins, latest(ends, activity.until)) if activity.until else begins
        elif number in spread:
            ends[number] = begins + drawn(chance, spread[number], draws)
        else:
            ends[number] = begins + activity.seconds
    low, high = np.quantile(ends[last], TENTHS)
    return float(low), float(high)


def latest(ends: Any, others: tuple[int, ...]) -> Any:
    """Return when the last of some activities ends, in each draw."""
    if len(others) == 1:
        return ends[others[0]]
    return ends[list(others)].max(axis=0) if others else 0.0


def drawn(chance: Any, estimate: Estimate, draws: int) -> Any:
    """Draw durations: a triangle between extremes, else a normal distribution that knows no negative ones."""
    if estimate.extremes:
        return chance.triangular(estimate.low, estimate.seconds, estimate.high, draws)
    return chance.normal(estimate.seconds, (estimate.high - estimate.seconds) / EDGE, draws).clip(0.0)
