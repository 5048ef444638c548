"""Draw a rehearsal as an SVG picture: a bar for each step, a lane for each device; time runs to the right."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from html import escape
from typing import TYPE_CHECKING, Final, NamedTuple

from actorlab.drawing_svg import colours_of
from actorlab.rehearsal.words import in_words

if TYPE_CHECKING:
    from actorlab.rehearsal.rehearsal import DeviceUse, Entry, Rehearsal

__all__ = ["gantt_svg"]

INK: Final = "#1f2933"
FAINT: Final = "#7b8794"
GRID: Final = "#e4e7eb"
NO_DEVICE: Final = "#9aa5b1"
PAPER: Final = "white"
NOW: Final = "#c2410c"
TO_COME: Final = 0.45
"""How much of its colour has a step that hasn't begun."""

CHARACTER, ROW, BAR, MARGIN, WIDTH = 7.8, 26.0, 16.0, 20.0, 760.0  # pixels
TITLE, AXIS, GAP, MARK = 30.0, 22.0, 18.0, 34.0
MOST_ROWS: Final = 100
"""Of a longer workflow only the lanes of the devices are drawn, and the steps that determine its end."""
STEPS: Final = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14_400, 21_600, 43_200, 86_400)
"""Seconds between two lines of the grid that read well."""
LINES: Final = 8
MOST_BARS: Final = 500
"""Of more steps in a lane those are left out that stand in one another's place."""


class Scale(NamedTuple):
    """Where a time is drawn: `left` is 0 s."""

    left: float
    per_second: float

    def x(self, seconds: float) -> float:
        """Return the place of a time."""
        return self.left + seconds * self.per_second


def gantt_svg(rehearsal: Rehearsal) -> str:
    """Return the picture. A step's bar has the colours of its devices, hollow where it only relies on one.

    Steps that determine the end have a thick frame; a dotted line leads up to one that waits.
    """
    entries = shown(rehearsal)
    names = [label(entry) for entry in entries] + [use.device for use in rehearsal.devices]
    left = MARGIN + CHARACTER * max(map(len, names), default=0) + 12
    end = max(rehearsal.makespan, rehearsal.interval[1]) or 1.0
    scale = Scale(left, WIDTH / end)
    drawn = sorted(rehearsal.entries, key=lambda entry: (entry.depth, entry.step < 0, entry.step))  # as in the graph
    uses = [entry.devices + entry.shared for entry in drawn]
    colours = colours_of([*uses, tuple(use.device for use in rehearsal.devices)])
    top = MARGIN + TITLE + AXIS
    then = end if rehearsal.now is None else rehearsal.now
    lanes = top + ROW * len(entries) + (GAP if rehearsal.devices and entries else 0.0)
    bottom = lanes + ROW * len(rehearsal.devices)
    parts = [
        *heading(rehearsal),
        *grid(scale, end, top, bottom),
        *span(rehearsal, scale, top, bottom),
        *(part for row, entry in enumerate(entries) for part in step(entry, top + row * ROW, scale, colours, then)),
        *(
            part
            for row, use in enumerate(rehearsal.devices)
            for part in lane(use, rehearsal, lanes + row * ROW, scale, colours[use.device])
        ),
        *present(rehearsal, scale, top, bottom),
        *legend(left, bottom + GAP),
    ]
    width, height = left + WIDTH + MARGIN + MARK, bottom + GAP + ROW
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{height:.0f}" '
        f'viewBox="0 0 {width:.0f} {height:.0f}" font-family="system-ui, sans-serif" font-size="13">'
    )
    return "\n".join([head, '<rect width="100%" height="100%" fill="white"/>', *parts, "</svg>"]) + "\n"


def shown(rehearsal: Rehearsal) -> list[Entry]:
    """Return the steps that get a row."""
    if len(rehearsal.entries) <= MOST_ROWS:
        return list(rehearsal.entries)
    return [entry for entry in rehearsal.entries if entry.critical][:MOST_ROWS]


def label(entry: Entry) -> str:
    """Write a step's name, farther to the right the deeper it is."""
    return "\N{NO-BREAK SPACE}\N{NO-BREAK SPACE}" * entry.depth + entry.title


def heading(rehearsal: Rehearsal) -> Iterator[str]:
    """Yield the title, with the time that it all takes."""
    low, high = rehearsal.interval
    took = in_words(rehearsal.makespan)
    if high - low > 0.001 * rehearsal.makespan:
        took += f" (eight times out of ten {in_words(low)} to {in_words(high)})"
    yield (
        f'<text x="{MARGIN}" y="{MARGIN + 14}" fill="{INK}" font-size="15"><tspan font-weight="600">'
        f"{escape(rehearsal.name)}</tspan> {rehearsal.how}: {escape(took)}</text>"
    )


def grid(scale: Scale, end: float, top: float, bottom: float) -> Iterator[str]:
    """Yield a line for each round time, and its name above."""
    apart = next((step for step in STEPS if end / step <= LINES), STEPS[-1]) if end > 4 else end / 4  # noqa: PLR2004 - so that there are some
    if end / apart > LINES:
        apart *= -(-end // (apart * LINES))
    number = 0
    while number * apart <= end * 1.0001:
        x = scale.x(number * apart)
        yield f'<line x1="{x:.1f}" y1="{top - 4:.1f}" x2="{x:.1f}" y2="{bottom:.1f}" stroke="{GRID}"/>'
        yield f'<text x="{x:.1f}" y="{top - 9:.1f}" fill="{FAINT}" font-size="11" text-anchor="middle">'
        yield f"{escape(in_words(number * apart) if number else '0')}</text>"
        number += 1


def span(rehearsal: Rehearsal, scale: Scale, top: float, bottom: float) -> Iterator[str]:
    """Yield where the end probably lies."""
    low, high = rehearsal.interval
    if high > low:
        yield (
            f'<rect x="{scale.x(low):.1f}" y="{top - 4:.1f}" width="{(high - low) * scale.per_second:.1f}" '
            f'height="{bottom - top + 4:.1f}" fill="{FAINT}" fill-opacity="0.12"/>'
        )
    x = scale.x(rehearsal.makespan)
    yield f'<line x1="{x:.1f}" y1="{top - 4:.1f}" x2="{x:.1f}" y2="{bottom:.1f}" stroke="{INK}" stroke-width="1.2"/>'


def present(rehearsal: Rehearsal, scale: Scale, top: float, bottom: float) -> Iterator[str]:
    """Yield where what was done ends, and what is planned begins."""
    if rehearsal.now is not None:
        x = scale.x(rehearsal.now)
        place = f'x1="{x:.1f}" y1="{top - 4:.1f}" x2="{x:.1f}" y2="{bottom + 4:.1f}"'
        yield f'<line {place} stroke="{NOW}" stroke-width="2"/>'
        yield f'<text x="{x + 5:.1f}" y="{bottom + 9:.1f}" fill="{NOW}" font-size="11">now</text>'


def step(entry: Entry, y: float, scale: Scale, colours: Mapping[str, str], now: float) -> Iterator[str]:
    """Yield a step's name, the dotted line of its wait, and its bar with a stripe for each device."""
    x, width = scale.x(entry.begin), max(2.0, entry.seconds * scale.per_second)
    yield f"<g><title>{escape(told(entry))}</title>"
    weight = ' font-weight="600"' if entry.critical else ""
    yield f'<text x="{scale.left - 10:.1f}" y="{y + 17:.1f}" fill="{INK}" text-anchor="end"{weight}>'
    yield f"{escape(label(entry))}</text>"
    waited = max([wait.seconds for wait in entry.waits], default=0.0)
    if waited > 0:
        yield (
            f'<line x1="{scale.x(entry.begin - waited):.1f}" y1="{y + 13:.1f}" x2="{x:.1f}" y2="{y + 13:.1f}" '
            f'stroke="{FAINT}" stroke-width="1.5" stroke-dasharray="2 3"/>'
        )
    uses = [(colours[it], True) for it in entry.devices] + [(colours[it], False) for it in entry.shared]
    uses = uses or [(NO_DEVICE, True)]
    high = BAR / len(uses)
    for place, (colour, taken) in enumerate(uses):
        yield (
            f'<rect x="{x:.1f}" y="{y + 5 + place * high:.1f}" width="{width:.1f}" height="{high:.1f}" '
            f'fill="{colour}" fill-opacity="{(1 if taken else 0.25) * (TO_COME if entry.begin > now else 1):g}"/>'
        )
    frame = f'stroke="{INK}" stroke-width="2"' if entry.critical else 'stroke="none"'
    yield f'<rect x="{x:.1f}" y="{y + 5:.1f}" width="{width:.1f}" height="{BAR}" fill="none" {frame}/>'
    if entry.seconds > 0:
        yield f'<text x="{x + width + 5:.1f}" y="{y + 17:.1f}" fill="{FAINT}" font-size="11">'
        yield f"{escape(in_words(entry.seconds))}{'?' if entry.estimate.source == 'default' else ''}</text>"
    yield "</g>"


def told(entry: Entry) -> str:
    """Say all there is to say of a step."""
    waits = [f"waits {in_words(wait.seconds)} for {wait.what} (of {wait.by})" for wait in entry.waits]
    devices = ", ".join([*entry.devices, *(f"{device} (shared)" for device in entry.shared)]) or "no device"
    when = f"{in_words(entry.begin)} to {in_words(entry.end)}"
    return "; ".join([f"{entry.title}: {when}", devices, *waits, f"duration: {entry.estimate.why}"])


def lane(use: DeviceUse, rehearsal: Rehearsal, y: float, scale: Scale, colour: str) -> Iterator[str]:
    """Yield when a device is used, and how much of the time that is."""
    yield f'<text x="{scale.left - 10:.1f}" y="{y + 17:.1f}" fill="{colour}" text-anchor="end" font-weight="600">'
    yield f"{escape(use.device)}</text>"
    middle = y + 13
    end = scale.x(rehearsal.makespan)
    yield f'<line x1="{scale.left:.1f}" y1="{middle:.1f}" x2="{end:.1f}" y2="{middle:.1f}" stroke="{GRID}"/>'
    many = len(rehearsal.entries) > MOST_BARS
    drawn = {True: 0.0, False: 0.0}
    for entry in rehearsal.entries:
        if use.device not in entry.devices + entry.shared:
            continue
        x, width = scale.x(entry.begin), max(1.0, entry.seconds * scale.per_second)
        taken = use.device in entry.devices
        if many and x + width < drawn[taken] + 1:  # less than a pixel of it could be seen
            continue
        drawn[taken] = x + width
        yield (
            f'<rect x="{x:.1f}" y="{y + 8:.1f}" width="{width:.1f}" height="10" fill="{colour}" '
            f'fill-opacity="{0.85 if taken else 0.25}" stroke="{PAPER}" stroke-width="0.8">'
            f"<title>{escape(entry.title)}</title></rect>"
        )
    yield f'<text x="{scale.left + WIDTH + 8:.1f}" y="{y + 17:.1f}" fill="{FAINT}" font-size="11">'
    yield f"{use.utilisation:.0%}</text>"


def legend(left: float, y: float) -> Iterator[str]:
    """Yield what the looks mean."""
    words = "thick frame: determines the end · dotted: waits · pale: relies on it only · ?: a guess"
    yield f'<text x="{left:.1f}" y="{y + 8:.1f}" fill="{FAINT}" font-size="11">{escape(words)}</text>'
