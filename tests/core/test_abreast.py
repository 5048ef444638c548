"""Hold the order of `each` to its law: never more items under way than its width, and none waits without need."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actorlab.core.abreast import Abreast, firsts, lasts
from actorlab.core.graph import Graph, Node
from actorlab.core.plan import Countdown, Steps
from actorlab.errors import WorkflowError


def test_the_first_and_the_last_steps_of_an_item_are_those_that_nothing_of_it_is_before_or_after() -> None:
    parents: list[Steps] = [(1,), (5,), (), (5, 6, 7)]  # of the steps 5, 6, 7, 8
    assert firsts(5, parents) == [5, 7]
    assert lasts(5, parents) == [8]
    assert lasts(5, []) == firsts(5, []) == []


def test_items_take_the_places_in_turn_and_those_without_steps_take_none() -> None:
    abreast = Abreast(2)
    behind: list[Steps] = []
    for ends in ((1,), (), (2, 3), (4,), (5,)):
        behind.append(abreast.behind())
        abreast.take(ends)
    assert behind == [(), (), (), (1,), (2, 3)]
    abreast.join(9)
    assert abreast.behind() == (9,)


ITEMS = st.lists(st.lists(st.lists(st.integers(1, 3), max_size=2), max_size=4), max_size=8)
"""Each item's steps, each with how far before it those stand that it waits for."""


@given(ITEMS, st.integers(1, 4), st.randoms())
def test_however_long_the_steps_take_and_however_they_end_no_more_items_than_the_width_are_under_way(
    items: list[list[list[int]]], width: int, random: Random
) -> None:
    abreast = Abreast(width)
    nodes: list[Node] = []
    item_of: list[int] = []
    for number, steps in enumerate(items):
        begin = len(nodes)
        parents = [tuple({at - back for back in waits if at - back >= begin}) for at, waits in enumerate(steps, begin)]
        heads = firsts(begin, parents)
        for step, waits in enumerate(parents, begin):
            nodes.append(Node(step, "step", waits, behind=abreast.behind() if step in heads else ()))
            item_of.append(number)
        abreast.take(tuple(lasts(begin, parents)))
    left = {number: len(steps) for number, steps in enumerate(items)}
    begun: set[int] = set()
    countdown = Countdown(Graph(nodes).plan())
    ready = countdown.ready()
    while ready:
        begun.update(item_of[step] for step in ready)
        assert sum(left[number] > 0 for number in begun) <= width
        step = ready.pop(random.randrange(len(ready)))
        left[item_of[step]] -= 1
        if random.random() < 0.2:
            for skipped in countdown.skip(step):
                left[item_of[skipped]] -= 1
        ready += countdown.ended(step)
    assert countdown.left == 0


def test_a_step_comes_behind_another_also_if_that_has_failed() -> None:
    graph = Graph([Node(0, "a"), Node(1, "b", behind=(0,)), Node(2, "c", values=(0,), behind=(0,))])
    plan = graph.plan()
    assert plan.parents == ((), (0,), (0,))
    assert plan.loose == ((), (0,), ())
    assert graph.edges("order") == [(0, 1), (0, 2)]
    countdown = Countdown(plan)
    assert countdown.skip(0) == [2]
    assert countdown.ended(0) == [1]


def test_a_step_behind_one_that_does_not_exist_or_behind_itself_is_refused() -> None:
    with pytest.raises(WorkflowError, match="comes after step 3, but there are only 1 steps"):
        Graph([Node(0, "a", behind=(3,))])
    with pytest.raises(WorkflowError, match="cycle"):
        Graph([Node(0, "a", behind=(1,)), Node(1, "b", behind=(0,))])
