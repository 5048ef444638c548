"""Say what a lab had to leave behind as it closed: whose it is, why, and where its code is."""

from __future__ import annotations

from dataclasses import dataclass
from textwrap import indent
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["Left", "LeftBehind"]


@dataclass(frozen=True, slots=True)
class Left:
    """One thing that wouldn't end, or isn't known to be safe: its name, why, and where it is, if it still runs."""

    name: str
    why: str
    stack: str = ""

    def __str__(self) -> str:
        where = f"; it is here:\n{indent(self.stack.rstrip(), '  ')}" if self.stack else ""
        return f"{self.name} {self.why}{where}"


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftBehind:
    """What a closed lab had to leave behind; it is true if there is anything.

    `bodies` are those of runs and services that didn't end, `devices` those whose thread or process lives on,
    `unsafe` those that aren't known to be in their safe state, `threads` others that still run somebody's code:
    callbacks, samples of interlocks, interrupts. Nothing of it can do anything more through the lab.
    """

    lab: str
    bodies: tuple[Left, ...] = ()
    devices: tuple[Left, ...] = ()
    unsafe: tuple[Left, ...] = ()
    threads: tuple[Left, ...] = ()

    @property
    def everything(self) -> tuple[Left, ...]:
        """Return all of it, the devices first: they can hurt somebody."""
        return (*self.unsafe, *self.devices, *self.bodies, *self.threads)

    def __bool__(self) -> bool:
        return bool(self.everything)

    def __str__(self) -> str:
        if not self:
            return f"lab {self.lab!r} has closed, and left nothing behind"
        return f"lab {self.lab!r} has closed, but not everything is well:\n{listed(self.everything)}"


def listed(things: Iterable[Left]) -> str:
    """Write some things below one another."""
    return "\n".join(indent(str(left), "  ").replace("  ", "- ", 1) for left in things)
