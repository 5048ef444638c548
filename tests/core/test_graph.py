"""A graph orders steps that share a value, a wish for order or a device, and no others."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actorlab.core.graph import Graph, Node
from actorlab.core.plan import Countdown
from actorlab.errors import WorkflowError

DEVICES = ("laser", "oven", "stage")


@st.composite
def graphs(draw: st.DrawFn) -> Graph:
    """Make a graph as a drawing makes it: its edges point to earlier steps only."""
    nodes: list[Node] = []
    for index in range(draw(st.integers(0, 8))):
        earlier = st.lists(st.sampled_from(range(index)), max_size=2).map(tuple) if index else st.just(())
        use = draw(st.lists(st.sampled_from(["no", "no", "takes", "shares"]), min_size=3, max_size=3))
        taken = tuple(device for device, how in zip(DEVICES, use, strict=True) if how == "takes")
        shared = tuple(device for device, how in zip(DEVICES, use, strict=True) if how == "shares")
        nodes.append(Node(index, f"step{index}", draw(earlier), draw(earlier), taken, shared))
    return Graph(nodes)


def conflict(first: Node, second: Node) -> bool:
    """Tell whether two steps share a device that at least one of them takes for itself."""
    return bool(
        {*first.exclusive} & {*second.exclusive, *second.shared}
        or {*second.exclusive} & {*first.exclusive, *first.shared}
    )


def ordered(graph: Graph) -> set[tuple[int, int]]:
    """Return, by brute force from the law, all pairs (earlier, later) that have to follow each other."""
    pairs = {(parent, node.index) for node in graph.nodes for parent in node.values + node.after}
    pairs |= {
        (first.index, second.index)
        for first, second in itertools.combinations(graph.nodes, 2)
        if conflict(first, second)
    }
    for middle, first, last in itertools.product(range(len(graph.nodes)), repeat=3):
        if (first, middle) in pairs and (middle, last) in pairs:
            pairs.add((first, last))
    return pairs


@given(graphs())
def test_exactly_the_pairs_that_the_law_does_not_order_may_overlap(graph: Graph) -> None:
    allowed = [pair for pair in itertools.combinations(range(len(graph.nodes)), 2) if pair not in ordered(graph)]
    assert list(graph.may_overlap()) == allowed


@given(graphs(), st.data())
def test_any_execution_that_the_plan_allows_keeps_values_order_and_devices(graph: Graph, data: st.DataObject) -> None:
    countdown = Countdown(graph.plan())
    running, begun, ended = countdown.ready(), list[int](), list[int]()
    begun += running
    while running:
        for one, other in itertools.combinations(sorted(running), 2):
            assert not conflict(graph.nodes[one], graph.nodes[other]), "two steps have one device at the same time"
        step = data.draw(st.sampled_from(running))
        running.remove(step)
        ended.append(step)
        for ready in countdown.ended(step):
            node = graph.nodes[ready]
            assert {*node.values, *node.after} <= {*ended}
            running.append(ready)
            begun.append(ready)
    place = {step: number for number, step in enumerate(begun)}
    for first, second in itertools.combinations(graph.nodes, 2):
        if conflict(first, second):
            assert place[first.index] < place[second.index], "steps that share a device keep their written order"
    assert len(ended) == len(graph.nodes)


@given(graphs())
def test_no_device_edge_could_be_left_out_for_the_sake_of_the_other_edges_of_its_device(graph: Graph) -> None:
    for device in DEVICES:
        users = [
            Node(
                number,
                node.name,
                exclusive=(device,) if device in node.exclusive else (),
                shared=(device,) if device in node.shared else (),
            )
            for number, node in enumerate(node for node in graph.nodes if device in node.exclusive + node.shared)
        ]
        edges = set(Graph(users).edges("device"))
        for first, last in edges:
            assert not any((first, middle) in edges and (middle, last) in edges for middle in range(first, last))


@given(graphs())
def test_only_devices_whose_use_must_not_fail_are_loose_in_the_plan(graph: Graph) -> None:
    plan = graph.plan()
    for node, parents in zip(graph.nodes, plan.parents, strict=True):
        loose = plan.loose[node.index] if plan.loose else ()
        assert {*parents} - {*loose} == {*node.values, *node.after}


@given(graphs())
def test_each_step_is_in_the_layer_below_its_lowest_parent(graph: Graph) -> None:
    depth = {step: row for row, layer in enumerate(graph.layers()) for step in layer}
    for step, parents in enumerate(graph.plan().parents):
        assert depth[step] == max((depth[parent] + 1 for parent in parents), default=0)


@given(graphs(), st.data())
def test_the_critical_path_takes_as_long_as_an_execution_without_limits(graph: Graph, data: st.DataObject) -> None:
    size = len(graph.nodes)
    durations = data.draw(st.lists(st.integers(0, 9), min_size=size, max_size=size))
    finish: list[int] = []
    for step, parents in enumerate(graph.plan().parents):
        finish.append(durations[step] + max((finish[parent] for parent in parents), default=0))
    path, seconds = graph.critical_path(durations)
    assert seconds == max(finish, default=0)
    assert sum(durations[step] for step in path) == seconds
    assert all(first in graph.plan().parents[second] for first, second in itertools.pairwise(path))


def test_shared_users_run_together_between_those_who_take_the_device() -> None:
    stage = ("stage",)
    uses = [Node(0, "mount", exclusive=stage), Node(1, "curve", shared=stage), Node(2, "curve", shared=stage)]
    graph = Graph([*uses, Node(3, "unload", exclusive=stage), Node(4, "look", shared=stage)])
    assert graph.edges("device") == [(0, 1), (0, 2), (1, 3), (2, 3), (3, 4)]
    assert list(graph.may_overlap()) == [(1, 2)]


def test_a_cycle_is_an_error_that_names_its_steps() -> None:
    with pytest.raises(WorkflowError, match=r"cycle: .*soak \(step 0\) waits for read \(step 1\)"):
        Graph([Node(0, "soak", after=(1,)), Node(1, "read", values=(0,))])


def test_an_order_against_the_written_order_of_a_shared_device_is_a_cycle() -> None:
    with pytest.raises(WorkflowError, match="cycle"):
        Graph([Node(0, "soak", after=(1,), exclusive=("oven",)), Node(1, "read", exclusive=("oven",))])


def test_a_step_that_waits_for_itself_is_a_cycle() -> None:
    with pytest.raises(WorkflowError, match=r"soak \(step 0\) waits for soak \(step 0\)"):
        Graph([Node(0, "soak", after=(0,))])


def test_an_edge_may_point_to_a_later_step_where_nothing_forbids_it() -> None:
    graph = Graph([Node(0, "read", after=(1,)), Node(1, "soak")])
    assert graph.layers() == [[1], [0]]
    assert list(graph.may_overlap()) == []
    assert graph.critical_path([2, 3]) == ([1, 0], 5)


@pytest.mark.parametrize("stranger", [7, -1])
def test_a_step_that_does_not_exist_is_an_error(stranger: int) -> None:
    with pytest.raises(WorkflowError, match=rf"read \(step 0\) comes after step {stranger}, but there are only 1"):
        Graph([Node(0, "read", after=(stranger,))])
    with pytest.raises(WorkflowError, match=rf"uses the value of step {stranger}"):
        Graph([Node(0, "read", values=(stranger,))])


def test_steps_out_of_place_are_an_error() -> None:
    with pytest.raises(WorkflowError, match="stands in place 0"):
        Graph([Node(1, "read")])


def test_durations_that_do_not_fit_are_an_error() -> None:
    with pytest.raises(ValueError, match="1 steps need as many durations"):
        Graph([Node(0, "read")]).critical_path([])
    with pytest.raises(ValueError, match="0 or more"):
        Graph([Node(0, "read")]).critical_path([float("nan")])


def test_a_flow_chart_tells_the_three_kinds_of_edges_apart() -> None:
    oven = ("oven",)
    graph = Graph([Node(0, 'a "b"', exclusive=oven), Node(1, "c", values=(0,)), Node(2, "d", (), (1,), exclusive=oven)])
    assert graph.mermaid().splitlines() == [
        "flowchart TD",
        '    s0["a #quot;b#quot;"]',
        '    s1["c"]',
        '    s2["d"]',
        "    s0 --> s1",
        '    s1 -. "after" .-> s2',
        '    s0 -. "oven" .-> s2',
    ]


def test_for_networkx_an_edge_tells_all_its_reasons() -> None:
    network = Graph([Node(0, "a", exclusive=("oven",)), Node(1, "b", (0,), (0,), exclusive=("oven",))]).to_networkx()
    assert network.edges[0, 1]["kinds"] == ("value", "order", "device")
    assert network.nodes[1]["node"].name == "b"
