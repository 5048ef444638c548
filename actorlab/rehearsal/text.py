"""Write a rehearsal for a terminal: the steps as bars over time, and what there is to know about them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from io import StringIO
from itertools import islice
from typing import TYPE_CHECKING, Final

from rich.console import Console, Group
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from actorlab.core.run_state import RunState
from actorlab.rehearsal.words import in_words

if TYPE_CHECKING:
    from rich.console import RenderableType

    from actorlab.rehearsal.rehearsal import Conflict, Entry, Rehearsal

__all__ = ["in_text", "report"]

WIDTH: Final = 30
"""Characters of a bar."""
LONGEST: Final = 32
"""Characters of a name."""
EIGHTHS: Final = " ▏▎▍▌▋▊▉█"
ROOM: Final = 40
"""So many steps are shown; a longer workflow is told by its beginning, and by what determines its end."""
PAIRS: Final = 12
PAIRS_LOOKED_AT: Final = 300
"""Steps that may overlap are looked for in workflows of so many steps at most: it takes time as their square."""


def report(rehearsal: Rehearsal) -> RenderableType:
    """Return all of it, one part below the other."""
    return Group(*[part for part in parts(rehearsal) if part is not None])


def in_text(rehearsal: Rehearsal, width: int = 120) -> str:
    """Return it as plain text."""
    console = Console(file=StringIO(), width=width, color_system=None, force_terminal=False, highlight=False)
    with console.capture() as captured:
        console.print(report(rehearsal))
    return "\n".join(line.rstrip() for line in captured.get().splitlines())


def parts(it: Rehearsal) -> Iterator[RenderableType | None]:
    """Yield the parts of a report."""
    yield headline(it)
    yield timeline(it)
    yield Text.assemble(("determined by ", "bold"), " → ".join(chain(it)), overflow="fold")
    yield devices(it)
    yield listed("in use by others", [conflict(it) for it in it.conflicts], "yellow")
    yield listed("would be refused", [f"{wrong.step}: {wrong.why}" for wrong in it.violations], "red")
    yield listed("can't be known", list(it.unknown), "yellow")
    if len(it.entries) <= PAIRS_LOOKED_AT:
        yield listed("may overlap", overlaps(it), "")


def headline(it: Rehearsal) -> Text:
    """Say how long it takes, and how it ends."""
    low, high = it.interval
    line = Text.assemble((it.name, "bold"), f" {it.how}: ", (in_words(it.makespan), "bold"))
    if high - low > 0.001 * it.makespan:
        line.append(f", eight times out of ten {in_words(low)} to {in_words(high)}")
    if it.begins > 0:
        line.append(f"; it begins after {in_words(it.begins)}")
    if it.state is not RunState.SUCCEEDED:
        line.append(f"\nit {'ended' if it.how == 'ran' else 'would end'} {it.state}: {it.reason}", "red")
    return line


def timeline(it: Rehearsal) -> Table:
    """Draw a bar for each step."""
    shown = it.entries[:ROOM]
    names = [shortened("  " * entry.depth + entry.title) for entry in shown]
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True, min_width=max(map(len, names), default=0))
    table.add_column(no_wrap=True, min_width=WIDTH)
    begins = [in_words(entry.begin) for entry in shown]
    lasts = [in_words(it.seconds) + ("?" if it.estimate.source == "default" else "") for it in shown]
    for words in (begins, lasts):
        table.add_column(no_wrap=True, justify="right", min_width=max(map(len, ("from", *words))))
    table.add_column()  # it gives way where the window is narrow, since its text and not the column says no_wrap
    table.add_row("", ruler(it.makespan), Text("from", "dim"), Text("for", "dim"), "")
    for name, entry, begin, lasts_for in zip(names, shown, begins, lasts, strict=True):
        table.add_row(
            Text(name, "bold" if entry.critical else ""),
            Text(bar(entry, it.makespan), "cyan" if entry.critical else "blue"),
            Text(begin, "dim"),
            lasts_for,
            Text(remark(entry), "dim", no_wrap=True, overflow="ellipsis"),
        )
    left = len(it.entries) - ROOM
    if left > 0:
        table.add_row(Text(f"… and {left} more", "dim"))
    return table


def shortened(name: str) -> str:
    """Cut a name that is too long."""
    return name if len(name) <= LONGEST else f"{name[: LONGEST - 1]}…"


def bar(entry: Entry, end: float) -> str:
    """Draw a step in its place: a dotted line while it waits, then a bar."""
    scale = WIDTH / end if end else 0.0
    waited = max([wait.seconds for wait in entry.waits], default=0.0)
    first, begin = int((entry.begin - waited) * scale), int(entry.begin * scale)
    eighths = max(1, round(entry.end * scale * 8) - begin * 8)
    full, rest = divmod(eighths, 8)
    drawn = " " * first + "·" * (begin - first) + "█" * full + (EIGHTHS[rest] if rest else "")
    return drawn[:WIDTH].ljust(WIDTH)


def ruler(end: float) -> Text:
    """Write the beginning and the end of the time above the bars."""
    last = in_words(end)
    return Text("0" + last.rjust(WIDTH - 1), "dim")


def remark(entry: Entry) -> str:
    """Say which devices a step has, and for what it waits."""
    its = [*entry.devices, *(f"({device})" for device in entry.shared)]
    waits = [f"waits {in_words(wait.seconds)} for {wait.what} (of {wait.by})" for wait in entry.waits]
    again = [f"attempt {entry.attempt}"] if entry.attempt > 1 else []
    return "; ".join([", ".join(its), *again, *waits] if its else [*again, *waits])


def chain(it: Rehearsal) -> list[str]:
    """Name what determines the end; what follows one another under one name is counted."""
    links = [f"{link.what} {in_words(link.seconds)}" for link in it.critical_path if link.seconds > 0]
    if len(links) > ROOM:
        links = [*links[: ROOM // 2], f"… {len(links) - ROOM} more …", *links[-ROOM // 2 :]]
    return links or ["nothing that takes time"]


def devices(it: Rehearsal) -> Table | None:
    """Draw how much each device is used."""
    if not it.devices:
        return None
    table = Table.grid(padding=(0, 2, 0, 0))
    for use in it.devices:
        share = "█" * round(use.utilisation * 10)
        waited = f"steps wait {in_words(use.waited)} for it" if use.waited else ""
        table.add_row(
            use.device, Text(share.ljust(10, "░"), "blue"), f"{use.utilisation:.0%} used", Text(waited, "dim")
        )
    return table


def conflict(it: Conflict) -> str:
    """Say who has a device, and until when."""
    device, by, seconds = it
    until = "until when can't be known: times count from then" if seconds is None else f"for {in_words(seconds)} more"
    return f"{device}: {by} has it, {until}"


def overlaps(it: Rehearsal) -> list[str]:
    """Name the pairs that may overlap, each once."""
    pairs = Counter((one.partition(" (step ")[0], other.partition(" (step ")[0]) for one, other in it.may_overlap())
    lines = [f"{one} and {other}" + (f" ({count} pairs)" if count > 1 else "") for (one, other), count in pairs.items()]
    return lines if len(lines) <= PAIRS else [*islice(lines, PAIRS), f"… and {len(lines) - PAIRS} more"]


def listed(title: str, lines: list[str], style: str) -> RenderableType | None:
    """Write some lines below a title, if there are any."""
    if not lines:
        return None
    return Group(Text(title, f"bold {style}".strip()), *(Padding(Text(f"- {line}"), (0, 0, 0, 2)) for line in lines))
