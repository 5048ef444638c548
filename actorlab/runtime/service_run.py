"""Supervise one life of a service: a run that never ends by itself, and whose lease is in nobody's way for long."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar, Final, Protocol

from actorlab.core import run_events as ev
from actorlab.core.lease_table import Request
from actorlab.core.run_state import RunState
from actorlab.runtime.per_call import PerCall
from actorlab.runtime.run_actor import RunActor

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from actorlab.runtime.body import Body
    from actorlab.runtime.cell import Cell

__all__ = ["Keeper", "ServiceRun"]

CHILDREN_KEPT: Final = 64


class Keeper(Protocol):
    """Whoever is told of the lives of a service; for the deciding thread."""

    name: str

    def life_began(self, life: RunActor) -> None:
        """Hear that a life has its devices, and runs."""

    def life_freed(self, life: RunActor) -> None:
        """Hear that the last body of a life that was abandoned has ended after all."""


class ServiceRun(RunActor):
    """The supervisor of one life of a service.

    It takes none of the places of `max_runs`; with ``lease="step"`` its body uses each device for one call at a time.
    """

    listed_as = "service"

    def __init__(self, *args: Any, keeper: Keeper, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._keeper = keeper

    @property
    def service(self) -> str:
        """Return the name of its service."""
        return self._keeper.name

    @property
    def has_place(self) -> bool:
        """Tell whether it has its share of the lab: one that holds nothing isn't in the way of who wants all of it."""
        return not self.wants_nothing

    def request(self) -> Request:
        """Say what it needs to begin: it counts only against the limits of its own tags."""
        request = super().request()
        slots = tuple([slot for slot in request.slots if slot != "runs"])
        return replace(request, slots=slots)

    def per_call(self, body: Body, cell: Cell) -> PerCall | None:
        """Return how a body uses a device that isn't leased to it, or None."""
        work = self.work[0]
        if self.options.lease == "run" or self.drawing is not None:
            return None
        if cell.name in work.exclusive:
            return PerCall(body, cell, shared=False)
        return PerCall(body, cell, shared=True) if cell.name in work.shared else None

    def child_begun(self, child: RunActor) -> None:
        """Take note of a child run; as a service goes on for ever, those that ended long ago are forgotten."""
        if len(self.children) > CHILDREN_KEPT:
            self.children = [run for run in self.children if not run.done()]
        super().child_begun(child)

    def body_ended(self, argument: tuple[int, int, Any, BaseException | None]) -> None:
        """Hear that a body has ended, maybe long after it was given up."""
        super().body_ended(argument)
        if self.abandoned_all and not self.bodies:
            self._keeper.life_freed(self)

    @property
    def abandoned_all(self) -> bool:
        """Tell whether the run has ended without some of its bodies."""
        return self.core.state is RunState.ABANDONED

    def _ask_lease(self, _: ev.AskLease) -> None:
        if self.wants_nothing:  # so it isn't in the way of those who want the whole lab
            self.granted()
        else:
            super()._ask_lease(_)

    def _moved(self, action: ev.Moved) -> None:
        super()._moved(action)
        if action.old is RunState.WAITING and action.new is RunState.RUNNING:
            self._keeper.life_began(self)

    deeds: ClassVar[Mapping[type, Callable[[Any, Any], None]]] = {
        **RunActor.deeds,
        ev.AskLease: _ask_lease,
        ev.Moved: _moved,
    }
