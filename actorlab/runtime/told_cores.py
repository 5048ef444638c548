"""Pure cores which tell a journal what they are told, so that they can be rebuilt from it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any, Final

from actorlab.core.lease_table import Granted, LeaseTable, Request
from actorlab.core.restart import RestartPolicy
from actorlab.core.run_core import RunCore, RunSpec
from actorlab.core.run_events import Action
from actorlab.core.service_group import ServiceGroupCore
from actorlab.core.supervision import Strategy, Supervision
from actorlab.replay import LEASES, SERVICES, SUPERVISION, written, written_policy, written_request

__all__ = ["Append", "ToldGroup", "ToldLeaseTable", "ToldRunCore", "ToldSupervision"]

Append = Callable[[str, str, Any, float], object]
"""Takes whose core it is, the kind of the event, its fields, and the monotonic time."""
LAB: Final = ""
"""What concerns no run stands under this name."""


class ToldRunCore(RunCore):
    """The core of a run. An event is its own payload, and its name the kind: this is done for every step."""

    __slots__ = ("_append", "_id")

    def __init__(self, spec: RunSpec, run: str, append: Append) -> None:
        super().__init__(spec)
        self._append, self._id = append, run

    def handle(self, event: Any, now: float, told: bool = True) -> list[Action]:  # noqa: FBT001, FBT002 - as in the base
        """Take one event, as the base does."""
        self._append(self._id, event.__class__.__name__, event, now)
        return super().handle(event, now, told)


class ToldLeaseTable(LeaseTable):
    """A lease table; what it refuses is as if it hadn't been told."""

    def __init__(self, limits: Mapping[str, int], append: Append) -> None:
        super().__init__(limits)
        self._append = append
        append(LAB, f"{LEASES}:limits", [dict(limits)], time.monotonic())

    def request(self, request: Request, now: float) -> list[Granted]:
        """Take a request, as the base does."""
        granted = super().request(request, now)
        self._append(LAB, f"{LEASES}:request", [written_request(request)], now)
        return granted

    def release(self, holder: str, now: float) -> list[Granted]:
        """Take a lease back, as the base does."""
        granted = super().release(holder, now)
        self._append(LAB, f"{LEASES}:release", [holder], now)
        return granted

    def go_on(self, now: float) -> list[Granted]:
        """Look at more waiters, as the base does."""
        self._append(LAB, f"{LEASES}:go_on", [], now)
        return super().go_on(now)

    def set_ending(self, holder: str, ending: bool, now: float) -> list[Granted]:  # noqa: FBT001 - as in the base
        """Note whether a holder is expected to end, as the base does."""
        granted = super().set_ending(holder, ending, now)
        self._append(LAB, f"{LEASES}:set_ending", [holder, ending], now)
        return granted

    def set_permanent(self, holder: str, now: float) -> list[Granted]:
        """Note that a holder never ends, as the base does: it isn't expected to end, and that is for ever."""
        granted = super().set_permanent(holder, now)
        self._append(LAB, f"{LEASES}:set_permanent", [holder], now)
        return granted

    def set_available(self, device: str, available: bool, now: float) -> list[Granted]:  # noqa: FBT001 - as in the base
        """Note whether a device serves, as the base does."""
        self._append(LAB, f"{LEASES}:set_available", [device, available], now)
        return super().set_available(device, available, now)


class ToldSupervision(Supervision):
    """The supervision of a lab's devices."""

    def __init__(self, append: Append) -> None:
        super().__init__()
        self._append = append

    def handle(self, event: Any, now: float, draw: float = 0.0) -> list[Any]:
        """Take in what happened, as the base does."""
        kind, *fields = written(event)
        self._append(LAB, f"{SUPERVISION}:{kind}", [*fields, draw], now)
        return super().handle(event, now, draw)


class ToldGroup(ServiceGroupCore):
    """The services of one group."""

    def __init__(
        self, name: str, strategy: Strategy, intensity: RestartPolicy | None, key: str, append: Append
    ) -> None:
        super().__init__(name, strategy, intensity)
        self._append, self._key = append, key
        shared = None if intensity is None else written_policy(intensity)
        append(LAB, f"{SERVICES}:group", [key, name, strategy, shared], time.monotonic())

    def handle(self, event: Any, now: float, draw: float = 0.0) -> list[Any]:
        """Take in what happened, as the base does."""
        kind, *fields = written(event)
        self._append(LAB, f"{SERVICES}:{kind}", [self._key, *fields, draw], now)
        return super().handle(event, now, draw)
