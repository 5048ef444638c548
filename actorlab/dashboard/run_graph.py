"""Draw the steps of a run coloured by their states: as a graph, or of very many as a mosaic of small squares."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final

from actorlab.core.graph import Graph, Node
from actorlab.core.run_state import RunState
from actorlab.dashboard.run_look import SIGNS, TONES, Tone, state_words
from actorlab.drawing_svg import FAINT, INK, PAPER, STEP, Mark, graph_svg
from actorlab.rehearsal import gantt_svg

if TYPE_CHECKING:
    from actorlab.rehearsal.rehearsal import Rehearsal

__all__ = ["MOST_BOXES", "coloured_gantt", "coloured_graph", "counted", "graph_after", "mosaic"]

S = RunState
MOST_BOXES: Final = 120
"""The graph of a longer workflow would be read by nobody."""
MOST_SQUARES: Final = 800
"""Of more steps each square stands for several."""
SQUARE, APART, ACROSS = 11, 3, 32
WORST_FIRST: Final = (
    S.FAILED, S.ABANDONED, S.TIMED_OUT, S.INTERRUPTED, S.CANCELLED, S.CANCELLING, S.RETRYING, S.PAUSED, S.PAUSING,
    S.RUNNING, S.WAITING, S.SKIPPED, S.SUCCEEDED,
)  # fmt: skip
FROM_PAGE: Final = {INK: "var(--text)", FAINT: "var(--muted)", STEP: "var(--raised)", PAPER: "var(--panel)"}
"""The page's own colours, light or dark, for those of a drawing on paper."""
GANTT_FROM_PAGE: Final = {
    gantt_svg.INK: "var(--text)", gantt_svg.FAINT: "var(--muted)", gantt_svg.GRID: "var(--line)",
    gantt_svg.PAPER: "var(--panel)", gantt_svg.NOW: "var(--bad)",
}  # fmt: skip


def coloured_graph(graph: Graph, states: Mapping[int, RunState]) -> str:
    """Return the picture of a graph, each step in the colour of its state, in the colours of the page it stands in."""
    marks = {step: mark_of(state) for step, state in states.items()}
    return in_page_colours(graph_svg(graph, marks), FROM_PAGE)


def coloured_gantt(rehearsal: Rehearsal) -> str:
    """Return the Gantt picture of a rehearsal in the colours of the page it stands in."""
    return in_page_colours(rehearsal.to_svg(), GANTT_FROM_PAGE)


def mark_of(state: RunState) -> Mark:
    """Return how a state looks."""
    tone = TONES[state]
    return Mark(f"var(--{tone}-soft)", f"var(--{tone})", SIGNS[state], state_words(state))


def in_page_colours(svg: str, colours: Mapping[str, str]) -> str:
    """Return a drawing with other colours; they stand in quotation marks there, which no text does."""
    for old, new in colours.items():
        svg = svg.replace(f'"{old}"', f'"{new}"')
    return svg


def graph_after(
    names: Sequence[str],
    after: Sequence[tuple[int, ...]],
    devices: Sequence[tuple[str, ...]],
    shared: Sequence[tuple[str, ...]],
) -> Graph:
    """Return the graph of steps of which it is only known after which others each comes.

    What doesn't follow from a common device is taken for the use of a value.
    """
    bare = Graph([
        Node(step, name, exclusive=devices[step], shared=shared[step]) for step, name in enumerate(names)
    ])  # fmt: skip
    follows = set(bare.edges("device"))
    values = [tuple([other for other in after[step] if (other, step) not in follows]) for step in range(len(names))]
    return Graph([
        Node(step, name, values[step], exclusive=devices[step], shared=shared[step]) for step, name in enumerate(names)
    ])  # fmt: skip


def counted(states: Sequence[RunState]) -> list[tuple[RunState, int]]:
    """Return how many are in each state, the worst first."""
    counts = Counter(states)
    return [(state, counts[state]) for state in WORST_FIRST if counts[state]]


def mosaic(states: Sequence[RunState]) -> str:
    """Return a picture of many steps: a square for each, or of more for several, in the colour of the worst of them."""
    each = -(-len(states) // MOST_SQUARES) or 1
    step = SQUARE + APART
    outlines: dict[Tone, list[str]] = {}
    for place, begin in enumerate(range(0, len(states), each)):
        worst = counted(states[begin : begin + each])[0][0]
        corner = f"M{place % ACROSS * step} {place // ACROSS * step}"
        outlines.setdefault(TONES[worst], []).append(f"{corner}h{SQUARE}v{SQUARE}h-{SQUARE}z")
    width, height = ACROSS * step, -(-len(states) // each // ACROSS) * step
    several = f", {each} to a square" if each > 1 else ""
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="-1 -1 {width} {height}" '
        f'role="img" aria-label="{len(states)} steps by state{several}">'
    )
    paths = [
        f'<path d="{"".join(squares)}" fill="var(--{tone}-soft)" stroke="var(--{tone})"/>'
        for tone, squares in outlines.items()
    ]
    return "\n".join([head, *paths, "</svg>"])
