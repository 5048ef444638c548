"""Decide which command meets which fault: the one that comes after so many others."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal, TypeAlias, get_args

__all__ = ["Fault", "FaultKind", "FaultPlan"]

FaultKind: TypeAlias = Literal["drop", "hang", "garbage", "slow", "power_cycle"]


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault that strikes the command after `after` others; `seconds` (real, not scaled) is how long it lasts."""

    kind: FaultKind
    after: int = 0
    seconds: float | None = None

    def __post_init__(self) -> None:
        if self.kind not in get_args(FaultKind):
            message = f"unknown fault {self.kind!r}: use one of {', '.join(get_args(FaultKind))}"
            raise ValueError(message)
        if self.after < 0:
            message = f"a fault after {self.after} commands: it must be 0 (the next command) or more"
            raise ValueError(message)
        if self.kind == "slow" and self.seconds is None:
            message = "slow: say by how many `seconds` the answer is late"
            raise ValueError(message)


class FaultPlan:
    """The faults that one instrument still has before it."""

    def __init__(self) -> None:
        self._coming: list[Fault] = []

    def add(self, fault: Fault) -> None:
        """Plan a fault."""
        self._coming.append(fault)

    def next(self) -> Fault | None:
        """Return the fault that the present command meets; of two that are due, the other strikes the next command."""
        struck = next((fault for fault in self._coming if fault.after == 0), None)
        if struck is not None:
            self._coming.remove(struck)
        self._coming = [replace(fault, after=max(0, fault.after - 1)) for fault in self._coming]
        return struck
