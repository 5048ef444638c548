"""Decide who waits for ever, where runs wait for one another's ends."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Generic, NamedTuple, TypeVar

__all__ = ["Wait", "circle"]

K = TypeVar("K", bound=Hashable)


class Wait(NamedTuple, Generic[K]):
    """Somebody waits for the ends of others: of all of them, or of any."""

    whom: tuple[K, ...]
    any: bool = False


def circle(waits: Mapping[K, Sequence[Wait[K]]], who: K) -> list[K]:
    """Return the path on which one waits for itself, if it waits for ever; else nothing.

    Everybody ends who has no wait that lasts for ever.

    >>> circle({"a": [Wait(("b",))], "b": [Wait(("a", "c"), any=True)]}, "a")
    []
    >>> circle({"a": [Wait(("b",))], "b": [Wait(("a", "c"))]}, "a")
    ['a', 'b', 'a']
    """
    stuck = dict.fromkeys(waits)
    while ended := [it for it in stuck if not any(_lasts(wait, stuck) for wait in waits[it])]:
        for it in ended:
            del stuck[it]
    path: list[K] = []
    while who in stuck and who not in path:
        path.append(who)
        wait = next(wait for wait in waits[who] if _lasts(wait, stuck))
        stuck_ones = [other for other in wait.whom if other in stuck]
        who = next((other for other in stuck_ones if other == path[0]), stuck_ones[0])
    return [*path, who] if path else []


def _lasts(wait: Wait[K], stuck: Mapping[K, None]) -> bool:
    """Tell whether a wait lasts for ever, if those do who are stuck."""
    if wait.any and wait.whom:
        return all(other in stuck for other in wait.whom)
    return any(other in stuck for other in wait.whom)
