"""Check before anything begins that no run holds devices while it waits for such as were added to the lab earlier."""

from __future__ import annotations

from typing import TYPE_CHECKING

from actorlab.core.lease_span import mistake, parts
from actorlab.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from actorlab.drawing import Drawing
    from actorlab.options import LeaseSpan
    from actorlab.runtime.run_actor import RunActor
    from actorlab.runtime.work import Work

__all__ = ["check_drawing", "check_spans"]


def check_spans(work: Work, order: Sequence[str], parent: RunActor | None) -> None:
    """Check what a run and the workflows within it are to hold; `order` are the devices as they were added.

    Raises:
        ConfigError: one names a device that it doesn't have, or would wait for one that was added too early.

    """
    lent = () if parent is None else tuple([cell.name for cell in parent.cells])
    around = lent if parent is None else held_around(parent)
    names = (*work.exclusive, *work.shared)
    check(work.name, names, work.task.options_.lease, work.drawing, order, lent, around)


def check_drawing(drawing: Drawing, held: Collection[str], order: Sequence[str]) -> None:
    """Check the workflows within one that was drawn late, and holds all its devices."""
    for step in drawing.steps:
        check(step.name, tuple(step.needs), step.task.options_.lease, step.nested, order, held, held)


def check(
    who: str,
    devices: tuple[str, ...],
    span: LeaseSpan,
    drawing: Drawing | None,
    order: Sequence[str],
    lent: Collection[str],
    around: Collection[str],
) -> None:
    """Check one run, and what is nested in it."""
    wrong = mistake(who, devices, span, order=order, lent=lent, around=around)
    if wrong:
        raise ConfigError(wrong)
    if drawing is None:
        return
    borrowed, leased, _ = parts(devices, span, lent)
    held = (*borrowed, *leased)
    check_cleanups(who, drawing, held)
    for step in drawing.steps:
        its = step.task.options_.lease
        if its != "run" or step.nested is not None:
            check(step.name, tuple(step.needs), its, step.nested, order, held, (*around, *leased))


def check_cleanups(who: str, drawing: Drawing, held: Collection[str]) -> None:
    """Refuse a clean-up whose devices aren't held to the end: it couldn't be sure to have them."""
    for cleanup in drawing.cleanups:
        for device in cleanup.needs:
            if device not in held:
                text = (
                    f"the clean-up {cleanup.name} ({cleanup.where}) uses {device}, which {who} doesn't hold "
                    f"throughout, so it might lack it at the end: name {device} in lease=({device!r},), or put it "
                    f"into a nested workflow together with the steps that use {device}"
                )
                raise ConfigError(text)


def held_around(actor: RunActor) -> tuple[str, ...]:
    """Return what a run and those around it hold."""
    found: dict[str, None] = {}
    around: RunActor | None = actor
    while around is not None:
        found |= dict.fromkeys(cell.name for cell in around.cells)
        around = around.parent
    return tuple(found)
