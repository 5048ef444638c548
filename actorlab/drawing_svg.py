"""Draw a graph of steps as an SVG picture: time runs downwards, a colour stands for a device."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from html import escape
from itertools import pairwise
from typing import Final, NamedTuple, TypeAlias

from actorlab.core.graph import Graph, Kind, Node

__all__ = ["FAINT", "INK", "PAPER", "STEP", "Mark", "colours_of", "graph_svg"]

# Okabe and Ito's colours, which colour-blind readers can tell apart, without the yellow that is pale on white.
COLOURS: Final = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#7a5195", "#5f6b2d", "#a05a2c")
INK: Final = "#1f2933"
FAINT: Final = "#7b8794"
STEP: Final = "#f5f7fa"
PAPER: Final = "white"

CHARACTER, LINE, MARGIN, GAP, FALL, STRIPE = 7.4, 18.0, 24.0, 28.0, 64.0, 7.0  # pixels
HEIGHT: Final = 44.0  # of a step


Edge: TypeAlias = tuple[int, int]
Item: TypeAlias = int | Edge
"""What stands in a row: a step, or an edge that passes by on its way from a row above to one below."""


class Box(NamedTuple):
    """Where a step is drawn, or an edge passes a row: the left upper corner and the width."""

    x: float
    y: float
    width: float

    @property
    def middle(self) -> float:
        """The x of the points where edges begin and end."""
        return self.x + self.width / 2


class Mark(NamedTuple):
    """How a step stands, in colour and in words: the colours of its box and frame, a sign before its name."""

    fill: str
    frame: str
    sign: str
    words: str


def graph_svg(graph: Graph, marks: Mapping[int, Mark] | None = None) -> str:
    """Return the picture: values are solid arrows, order dashed ones, devices lines in their colour.

    Of the orders and devices only those are drawn that don't follow from others. `marks` say how steps stand.
    """
    marks = marks or {}
    colours = colours_of(node.exclusive + node.shared for node in graph.nodes)
    edges = _drawn_edges(graph)
    rows = _rows(graph, [edge for _, edge in edges])
    right = max([box.x + box.width for row in rows for box in row.values()] + [_legend_width(colours)])
    bottom = MARGIN + len(rows) * (HEIGHT + FALL) - FALL
    boxes = {item: box for row in rows for item, box in row.items() if isinstance(item, int)}
    parts = [
        *(line for kind, edge in edges for line in _lines(graph, kind, edge, rows, colours)),
        *(part for node in graph.nodes for part in _step(node, boxes[node.index], colours, marks.get(node.index))),
        *_legend(colours, bottom + GAP),
    ]
    width, height = right + MARGIN, bottom + GAP + LINE + MARGIN
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{height:.0f}" '
        f'viewBox="0 0 {width:.0f} {height:.0f}" font-family="system-ui, sans-serif" font-size="13">'
    )
    arrow = (
        '<defs><marker id="arrow" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="8" markerHeight="8" orient="auto">'
        f'<path d="M0 0 L8 4 L0 8 z" fill="{INK}"/></marker></defs>'
    )
    return "\n".join([head, arrow, '<rect width="100%" height="100%" fill="white"/>', *parts, "</svg>"]) + "\n"


def _drawn_edges(graph: Graph) -> list[tuple[Kind, Edge]]:
    """Return all values, and the orders and devices that don't follow from other edges."""
    from networkx import transitive_reduction  # noqa: PLC0415  networkx costs 0.1 s to import

    needed = transitive_reduction(graph.to_networkx())
    kinds: tuple[Kind, ...] = ("device", "order", "value")
    return [(kind, edge) for kind in kinds for edge in graph.edges(kind) if kind == "value" or needed.has_edge(*edge)]


def colours_of(uses: Iterable[tuple[str, ...]]) -> dict[str, str]:
    """Give each device a colour, in the order in which the steps name them: the same in every picture of a workflow."""
    devices = dict.fromkeys(device for use in uses for device in use)
    return {device: COLOURS[place % len(COLOURS)] for place, device in enumerate(devices)}


def _rows(graph: Graph, edges: list[Edge]) -> list[dict[Item, Box]]:
    """Put each layer in a row, its steps and passing edges as near below where they come from as there is room."""
    layers = graph.layers()
    depth = {step: row for row, layer in enumerate(layers) for step in layer}
    parents = graph.plan().parents
    rows: list[dict[Item, Box]] = []
    above: dict[Item, Box] = {}
    for row, layer in enumerate(layers):
        passing = [edge for edge in dict.fromkeys(edges) if depth[edge[0]] < row < depth[edge[1]]]
        wanted: dict[Item, float] = {edge: above.get(edge, above[edge[0]]).middle for edge in passing}
        wanted |= {
            step: _mean([above.get((parent, step), above[parent]).middle for parent in parents[step]]) for step in layer
        }
        widths: dict[Item, float] = dict.fromkeys(passing, GAP / 2)
        widths |= {step: max(90.0, CHARACTER * len(graph.nodes[step].name) + 2 * GAP) for step in layer}
        rows.append(_row(wanted, widths, MARGIN + row * (HEIGHT + FALL)))
        above |= rows[-1]
    return rows


def _row(wanted: Mapping[Item, float], widths: Mapping[Item, float], y: float) -> dict[Item, Box]:
    """Place the items of a row from left to right, without overlap."""
    boxes: dict[Item, Box] = {}
    edge = MARGIN
    for item in sorted(wanted, key=lambda item: wanted[item]):
        x = max(edge, wanted[item] - widths[item] / 2)
        boxes[item] = Box(x, y, widths[item])
        edge = x + widths[item] + GAP
    return boxes


def _mean(values: list[float]) -> float:
    return sum(values) / len(values) if values else 0.0


def _step(node: Node, box: Box, colours: Mapping[str, str], mark: Mark | None) -> Iterator[str]:
    """Yield a step's box, its name, and a stripe for each device: filled where taken, hollow where shared."""
    fill, stroke, sign, state = (STEP, INK, "", "") if mark is None else mark
    title = f"{node.title}: takes {', '.join(node.exclusive) or 'no device'}"
    title += f", relies on {', '.join(node.shared)}" if node.shared else ""
    title += f"; {state}" if state else ""
    yield f"<g><title>{escape(title)}</title>"
    frame = f'x="{box.x:.1f}" y="{box.y:.1f}" width="{box.width:.1f}" height="{HEIGHT}" rx="6"'
    yield f'<rect {frame} fill="{fill}" stroke="{stroke}"/>'
    place = f'x="{box.middle:.1f}" y="{box.y + 21:.1f}" text-anchor="middle"'
    yield f'<text {place} fill="{INK}">{escape(f"{sign} {node.name}".strip())}</text>'
    uses = [(device, True) for device in node.exclusive] + [(device, False) for device in node.shared]
    width = (box.width - 16) / max(len(uses), 1)
    for number, (device, taken) in enumerate(uses):
        colour = colours[device]
        yield (
            f'<rect x="{box.x + 8 + number * width + 1:.1f}" y="{box.y + HEIGHT - 14:.1f}" width="{width - 2:.1f}" '
            f'height="{STRIPE}" rx="2" fill="{colour if taken else PAPER}" stroke="{colour}" stroke-width="1.5"/>'
        )
    yield "</g>"


def _lines(
    graph: Graph, kind: Kind, edge: Edge, rows: list[dict[Item, Box]], colours: Mapping[str, str]
) -> Iterator[str]:
    """Yield the lines of an edge: one for a value or an order, one beside the other for devices."""
    boxes = [box for row in rows for item, box in row.items() if item in (*edge, edge)]
    if kind != "device":
        look = 'stroke-dasharray="5 4" ' if kind == "order" else ""
        yield _line(boxes, 0.0, f'{look}stroke="{INK}" marker-end="url(#arrow)"')
        return
    devices = graph.common_devices(*edge)
    for place, device in enumerate(devices):
        shift = 8.0 * (place + 1)
        yield _line(boxes, shift, f'stroke="{colours[device]}" stroke-width="3"')


def _line(boxes: list[Box], shift: float, look: str) -> str:
    """Return a line that leaves the first box and arrives at the last one downwards, and passes those between."""
    path = f"M{boxes[0].middle + shift:.1f} {boxes[0].y + HEIGHT:.1f}"
    for upper, lower in pairwise(boxes):
        x, y, end_x, end_y = upper.middle + shift, upper.y + HEIGHT, lower.middle + shift, lower.y
        bend = (end_y - y) / 2
        path += f" L{x:.1f} {y:.1f} C{x:.1f} {y + bend:.1f} {end_x:.1f} {end_y - bend:.1f} {end_x:.1f} {end_y:.1f}"
    return f'<path d="{path}" fill="none" {look}/>'


def _legend_places(colours: Mapping[str, str]) -> list[float]:
    places = [MARGIN]
    for device in colours:
        places.append(places[-1] + CHARACTER * len(device) + 2 * GAP)
    return places


def _legend_width(colours: Mapping[str, str]) -> float:
    return _legend_places(colours)[-1] + CHARACTER * len("hollow: shared")


def _legend(colours: Mapping[str, str], y: float) -> Iterator[str]:
    places = _legend_places(colours)
    for (device, colour), (x, _) in zip(colours.items(), pairwise(places), strict=True):
        yield f'<rect x="{x:.1f}" y="{y:.1f}" width="16" height="{STRIPE}" rx="2" fill="{colour}"/>'
        yield f'<text x="{x + 22:.1f}" y="{y + 8:.1f}" fill="{INK}">{escape(device)}</text>'
    if colours:
        yield f'<text x="{places[-1]:.1f}" y="{y + 8:.1f}" fill="{FAINT}">hollow: shared</text>'
