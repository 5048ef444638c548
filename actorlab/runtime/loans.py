"""Lend a run's devices to its children: at once, or in turn; a loan suspends the lender's token until it is back."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from actorlab.core.lease_table import LeaseTable
from actorlab.runtime.leases import in_words

if TYPE_CHECKING:
    from collections.abc import Iterable

    from actorlab.core.lease_table import Granted
    from actorlab.runtime.cell import Cell
    from actorlab.runtime.reason import Reason
    from actorlab.runtime.run_actor import RunActor

__all__ = ["Loans"]

monotonic = time.monotonic


class Loans:
    """The table of a run's own devices, in which its children queue; for the deciding thread."""

    def __init__(self, lender: RunActor) -> None:
        self._lender = lender
        self._table = LeaseTable()
        self._waiting: dict[str, RunActor] = {}
        self._lent: dict[str, RunActor] = {}

    def has(self, device: str) -> bool:
        """Tell whether a device is lent out."""
        return device in self._lent

    def lend(self, child: RunActor) -> None:
        """Lend devices to a child: at once, or when its siblings have given them back."""
        self._waiting[child.id] = child
        self._grant(self._table.request(child.loan_request(), monotonic()))

    def take_back(self, child: RunActor) -> None:
        """Take back what was lent to a child, or its wish."""
        self._waiting.pop(child.id, None)
        try:
            granted = self._table.release(child.id, monotonic())
        except KeyError:
            return
        for cell in child.borrowed:
            if not self._table.holders(cell.name) and self._lent.pop(cell.name, None) is not None:
                self._write(cell, self._lender.token_of(cell), self._lender.id)
        self._grant(granted)

    def reasons(self, child: RunActor) -> tuple[Reason, ...]:
        """Say in words what a child waits for."""
        if child.id not in self._waiting:
            return ()
        return tuple(in_words(child.id, blocker) for blocker in self._table.blockers(child.id))

    def _grant(self, granted: Iterable[Granted]) -> None:
        decider = self._lender.lab.decider
        for grant in granted:
            child = self._waiting.pop(grant.holder, None)
            if child is None:
                continue
            for cell in child.borrowed:
                self._lent[cell.name] = child
                self._write(cell, child.lease, child.id)
            decider.then(child.lent)
        if self._table.unfinished:
            decider.post(self._go_on)

    def _go_on(self, _: Any) -> None:
        self._grant(self._table.go_on(monotonic()))

    def _write(self, cell: Cell, token: object, holder: str) -> None:
        self._lender.lab.lab_actor.leases.lend(cell, token, holder)
