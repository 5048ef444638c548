"""Compare who waits for ever with a world in which everybody ends as soon as it can."""

from __future__ import annotations

from itertools import pairwise
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from actorlab.core.waits import Wait, circle

WHO = range(5)
waits = st.lists(st.builds(Wait, st.lists(st.sampled_from(WHO), max_size=3).map(tuple), st.booleans()), max_size=2)


@given(st.fixed_dictionaries(dict.fromkeys(WHO, waits)), st.randoms(use_true_random=False))
def test_who_waits_for_ever_is_in_a_circle_and_nobody_else(world: dict[int, list[Wait[int]]], chance: Random) -> None:
    ended: set[int] = set()
    while able := [who for who in WHO if who not in ended and all(over(wait, ended) for wait in world[who])]:
        ended.add(chance.choice(able))
    for who in WHO:
        path = circle(world, who)
        assert bool(path) == (who not in ended)
        for waiting, other in pairwise(path):
            assert any(other in wait.whom and not over(wait, ended) for wait in world[waiting])
        assert len(path) == len(set(path)) + bool(path)


def over(wait: Wait[int], ended: set[int]) -> bool:
    """Tell whether a wait is over."""
    if wait.any and wait.whom:
        return any(who in ended for who in wait.whom)
    return all(who in ended for who in wait.whom)


def test_a_long_chain_without_a_circle_is_nobodys_trouble() -> None:
    assert circle({number: [Wait((number + 1,))] for number in range(2000)}, 0) == []
