"""Decide which devices a run holds throughout, and which its steps and children lease one by one.

Whoever holds some devices and waits for others waits for such only as were added to the lab later than all that it
holds. So whoever waits, waits for somebody who waits for nothing, or for a device that was added later still: as there
is a last one, nobody waits for ever.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Literal, NamedTuple, TypeAlias

__all__ = ["LeaseSpan", "Parts", "mistake", "parts"]

LeaseSpan: TypeAlias = Literal["run", "step"] | tuple[str, ...]
"""What is held throughout: all devices, none, or those of these names; the rest is leased step by step."""


class Parts(NamedTuple):
    """What a run does about its devices: each is in one of the three."""

    borrowed: tuple[str, ...]
    """Held by the run around it, which lends it for the whole length of this one."""
    leased: tuple[str, ...]
    """Leased from the lab, and held throughout."""
    later: tuple[str, ...]
    """Left to its steps and children."""


def parts(devices: Sequence[str], span: LeaseSpan, lent: Collection[str] = ()) -> Parts:
    """Divide the devices of a run; `lent` are those that the run around it holds.

    >>> parts(("oven", "smu", "stage"), ("oven",), lent=("stage",))
    Parts(borrowed=('stage',), leased=('oven',), later=('smu',))
    """
    others = [device for device in devices if device not in lent]
    held = others if span == "run" else [] if span == "step" else [device for device in others if device in span]
    return Parts(
        tuple([device for device in devices if device in lent]),
        tuple(held),
        tuple([device for device in others if device not in held]),
    )


def mistake(
    who: str,
    devices: Sequence[str],
    span: LeaseSpan,
    *,
    order: Sequence[str],
    lent: Collection[str] = (),
    around: Collection[str] = (),
) -> str:
    """Say what is wrong with what a run is to hold, or nothing.

    `order` are all devices, as they were added to the lab; `around` those that any of the runs around it holds, of
    which the next one can lend those that are `lent`.
    """
    if isinstance(span, tuple):
        for name in span:
            if name not in devices:
                have = ", ".join(devices) or "none"
                return f"{who} has lease={span!r}, but {name!r} is no device among its arguments; these are: {have}"
    _, leased, later = parts(devices, span, lent)
    rank = {device: place for place, device in enumerate(order)}
    return _too_early(who, leased, around, rank) or _too_early(f"a step of {who}", later, (*around, *leased), rank)


def _too_early(who: str, wanted: Collection[str], held: Collection[str], rank: dict[str, int]) -> str:
    """Say which of the devices one waits for isn't later than one that is held meanwhile."""
    for device in wanted:
        if device in held:
            return f"{who} would wait for {device}, which a run around it holds: pass {device} on from run to run"
        for other in held:
            if rank.get(device, len(rank)) < rank.get(other, 0):  # one that the lab lacks is refused later
                return (
                    f"{who} would wait for {device} while {other} is held, and {device} was added to the lab earlier: "
                    f"two such runs could wait for one another for ever. Add {device} to the lab after {other}, or "
                    f"hold both: lease={(other, device)!r}"
                )
    return ""
