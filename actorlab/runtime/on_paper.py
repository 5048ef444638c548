"""Make runs as a lab makes them, but none of which ever begins: what their cores are told, without lab or device."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from actorlab.core.virtual_lab import Script
from actorlab.errors import ConfigError
from actorlab.options import seconds_until
from actorlab.runtime.making import RunMaker

if TYPE_CHECKING:
    from actorlab.runtime.lab import Lab
    from actorlab.runtime.run_actor import RunActor

__all__ = ["PaperCell", "PaperLab", "PaperMaker", "places_of", "script_of"]


class PaperCell(NamedTuple):
    """A device, of which only the name and the place among the others is known."""

    name: str
    order: int


class PaperLab:
    """What has to be known of a lab to make a run: its devices in their order, its grace, its limits."""

    journalling = None

    def __init__(
        self, devices: Iterable[str], cancel_grace: float = 10.0, limits: Mapping[str, int] | None = None
    ) -> None:
        self.cells = {name: PaperCell(name, order) for order, name in enumerate(devices)}
        self.cancel_grace = cancel_grace
        self.decider: Any = None
        self.limits = dict(limits or {})

    def cells_of(self, names: Iterable[str]) -> list[PaperCell]:
        """Return the devices in the order in which they were added.

        Raises:
            ConfigError: there is no such device.

        """
        wanted = list(names)
        for name in wanted:
            if name not in self.cells:
                text = f"the lab has no device named {name!r}; it has {', '.join(self.cells) or 'none'}"
                raise ConfigError(text)
        return sorted([self.cells[name] for name in wanted], key=lambda cell: cell.order)


def places_of(max_runs: int | None, limits: Mapping[str, int] | None) -> dict[str, int]:
    """Return how many places there are, by the names that requests have for them."""
    places = {f"tag:{tag}": count for tag, count in (limits or {}).items()}
    return places if max_runs is None else {**places, "runs": max_runs}


class PaperMaker(RunMaker):
    """Make supervisors that are only looked at: their plans, options and requests are those of real runs."""

    def __init__(self, lab: PaperLab) -> None:
        super().__init__(cast("Lab", lab))  # it is asked for what a run is made of, and for nothing that acts

    def next_id(self, name: str) -> str:
        """Return an id that no real run has."""
        return super().next_id(name).replace("#", "~")


def script_of(actor: RunActor, *, under_way: bool = False) -> Script:
    """Say what a virtual lab must know of a run."""
    options = actor.options
    bounds = tuple([work.task.options_.timeout or actor.core.spec.cancel_grace for work in actor.cleanups])
    return Script(
        actor.id,
        actor.core.spec,
        actor.loan_request() if actor.borrows else actor.request(),
        actor.borrows,
        actor.request() if actor.borrows and actor.leased else None,
        options.lease != "run",
        None if options.not_before is None or under_way else seconds_until(options.not_before),
        None if options.deadline is None else seconds_until(options.deadline),
        options.lease_timeout if actor.cells else None,
        options.on_conflict == "reject",
        options.key if options.on_conflict == "replace" else None,
        bounds,
        under_way,
    )
