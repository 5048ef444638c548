"""Know which steps have to follow which: by a value, by a wish for order, or because they share a device."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations
from typing import TYPE_CHECKING, Literal, TypeAlias, get_args

from actorlab.core.plan import Countdown, Plan, Steps
from actorlab.errors import WorkflowError

if TYPE_CHECKING:
    from networkx import DiGraph

__all__ = ["Graph", "Kind", "Node"]

Kind: TypeAlias = Literal["value", "order", "device"]
Edge: TypeAlias = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Node:
    """One step: whose values it uses, whom else it comes after, which devices it takes.

    It comes `behind` others when they have ended, well or not.
    """

    index: int
    name: str
    values: Steps = ()
    after: Steps = ()
    exclusive: tuple[str, ...] = ()
    shared: tuple[str, ...] = ()
    behind: Steps = ()

    @property
    def title(self) -> str:
        """How messages and pictures name the step."""
        return f"{self.name} (step {self.index})"


class Graph:
    """The steps of a workflow in written order, and the edges between them.

    Steps that share a device keep their written order, except that two which only rely on it (shared) aren't ordered.
    Raises `WorkflowError` if a step names one that doesn't exist, or if the edges form a cycle. A graph whose edges all
    point from earlier to later steps can't have one; only where an edge points forward (in graphs made by hand: while a
    workflow is drawn, a step can name earlier ones only) is a cycle looked for.
    """

    def __init__(self, nodes: Sequence[Node]) -> None:
        self.nodes = tuple(nodes)
        for number, node in enumerate(self.nodes):
            self._check_node(number, node)
        if any(max(node.values + node.after + node.behind, default=-1) >= node.index for node in self.nodes):
            self._check_cycles()

    def edges(self, kind: Kind) -> list[Edge]:
        """Return the edges of one kind as pairs (earlier, later): "value", "order" or "device"."""
        parents = self._parents(kind)
        return [(parent, child) for child, earlier in enumerate(parents) for parent in earlier]

    def plan(self) -> Plan:
        """Compile the graph to the numbers that an execution needs."""
        firm = [node.values + node.after for node in self.nodes]
        ends = [
            _unique(second + node.behind) if node.behind else second
            for node, second in zip(self.nodes, self._device_parents, strict=True)
        ]
        parents = [
            _unique(first + second) if first and second else first or second
            for first, second in zip(map(_unique, firm), ends, strict=True)
        ]
        loose = [
            tuple(parent for parent in second if parent not in first) if first else second
            for first, second in zip(firm, ends, strict=True)
        ]
        return Plan(tuple(parents), tuple(loose) if any(loose) else ())

    def layers(self) -> list[list[int]]:
        """Return the steps by depth: each stands in the first layer below all those that it waits for."""
        countdown = Countdown(self.plan())
        layers = [countdown.ready()]
        while layers[-1]:
            layers.append(sorted([ready for step in layers[-1] for ready in countdown.ended(step)]))
        return layers[:-1]

    def may_overlap(self) -> Iterator[Edge]:
        """Yield the pairs of steps (earlier, later) that may run at the same time, in written order.

        It takes time and memory in proportion to the square of the number of steps: for graphs that people look at.
        """
        above = self._ancestors()
        for earlier, later in combinations(range(len(above)), 2):
            if not above[later] >> earlier & 1 and not above[earlier] >> later & 1:
                yield earlier, later

    def critical_path(self, durations: Sequence[float]) -> tuple[list[int], float]:
        """Return the chain of steps that takes longest, and its seconds; `durations` holds the seconds of each step."""
        from networkx import dag_longest_path  # noqa: PLC0415  networkx costs 0.1 s to import: `import actorlab` is cheap

        if len(durations) != len(self.nodes) or not all(seconds >= 0 for seconds in durations):
            message = f"critical_path: {len(self.nodes)} steps need as many durations, each 0 or more seconds"
            raise ValueError(message)
        network = self.to_networkx()
        end = len(self.nodes)  # durations are the weights of leaving edges, so the last steps need one too
        network.add_edges_from((step, end) for step in range(end))
        for step, _, weight in network.edges(data=True):
            weight["seconds"] = durations[step]
        path = [int(step) for step in dag_longest_path(network, weight="seconds")][:-1]
        return path, sum(durations[step] for step in path)

    def mermaid(self) -> str:
        """Return the graph as a Mermaid flow chart: values solid, order dashed, devices dotted and named."""
        lines = ["flowchart TD", *(f'    s{node.index}["{_quoted(node.name)}"]' for node in self.nodes)]
        lines += [f"    s{parent} --> s{child}" for parent, child in self.edges("value")]
        lines += [f'    s{parent} -. "after" .-> s{child}' for parent, child in self.edges("order")]
        for parent, child in self.edges("device"):
            devices = ", ".join(self.common_devices(parent, child))
            lines.append(f'    s{parent} -. "{_quoted(devices)}" .-> s{child}')
        return "\n".join(lines) + "\n"

    def to_networkx(self) -> DiGraph[int]:
        """Return the graph for networkx: an edge's `kinds` say why it is there, a node's `node` is its `Node`."""
        import networkx as nx  # noqa: PLC0415  networkx costs 0.1 s to import, and `import actorlab` has to be cheap

        network: DiGraph[int] = nx.DiGraph()
        network.add_nodes_from((node.index, {"node": node}) for node in self.nodes)
        for kind in get_args(Kind):
            for parent, child in self.edges(kind):
                kinds = network.edges[parent, child]["kinds"] if network.has_edge(parent, child) else ()
                network.add_edge(parent, child, kinds=(*kinds, kind))
        return network

    @cached_property
    def _device_parents(self) -> list[Steps]:
        uses = _DeviceUses()
        return [uses.add(node) for node in self.nodes]

    def _parents(self, kind: Kind) -> Sequence[Steps]:
        match kind:
            case "value":
                return [_unique(node.values) for node in self.nodes]
            case "order":
                return [_unique(node.after + node.behind) for node in self.nodes]
            case "device":
                return self._device_parents

    def common_devices(self, parent: int, child: int) -> list[str]:
        """Return the devices because of which one step follows another."""
        earlier, later = self.nodes[parent], self.nodes[child]
        taken = later.exclusive + later.shared
        return [
            device
            for device in _names(earlier.exclusive + earlier.shared)
            if device in taken and (device in earlier.exclusive or device in later.exclusive)
        ]

    def _ancestors(self) -> list[int]:
        """Return for each step the set of those which it comes after, as the bits of a number."""
        plan = self.plan()
        above = [0] * plan.size
        for step in (step for layer in self.layers() for step in layer):
            for parent in plan.parents[step]:
                above[step] |= above[parent] | 1 << parent
        return above

    def _check_node(self, number: int, node: Node) -> None:
        if node.index != number:
            message = f"{node.title} stands in place {number}: steps are numbered 0, 1, 2, … in written order"
            raise WorkflowError(message)
        for kind, parents in (("uses the value of", node.values), ("comes after", node.after + node.behind)):
            for parent in parents:
                if not 0 <= parent < len(self.nodes):
                    message = f"{node.title} {kind} step {parent}, but there are only {len(self.nodes)} steps"
                    raise WorkflowError(message)

    def _check_cycles(self) -> None:
        from networkx import simple_cycles  # noqa: PLC0415  see to_networkx

        cycle = next(simple_cycles(self.to_networkx()), None)
        if cycle is None:
            return
        waits = zip([*cycle[1:], cycle[0]], cycle, strict=True)
        reasons = [f"{self.nodes[child].title} waits for {self.nodes[parent].title}" for child, parent in waits]
        message = f"the steps form a cycle: {'; '.join(reasons)}. Remove one of these values, orders or shared devices."
        raise WorkflowError(message)


class _DeviceUses:
    """Remember who used each device last: enough to know whom the next user has to wait for."""

    def __init__(self) -> None:
        self._exclusive: dict[str, int] = {}
        self._shared_since: dict[str, list[int]] = {}

    def add(self, node: Node) -> Steps:
        """Return the steps whose end a step awaits because of its devices."""
        parents: list[int] = []
        for device in _names(node.exclusive):
            parents += self._shared_since.pop(device, []) or self._last(device)
            self._exclusive[device] = node.index
        for device in _names(node.shared):
            if device not in node.exclusive:
                parents += self._last(device)
                self._shared_since.setdefault(device, []).append(node.index)
        return _unique(tuple(parents))

    def _last(self, device: str) -> list[int]:
        return [self._exclusive[device]] if device in self._exclusive else []


def _names(devices: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(devices)) if len(devices) > 1 else devices


def _unique(steps: Steps) -> Steps:
    return tuple(sorted(dict.fromkeys(steps))) if len(steps) > 1 else steps


def _quoted(text: str) -> str:
    return text.replace('"', "#quot;")
