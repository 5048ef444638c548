"""Be the root of a lab's supervision: leases, lives of devices, services, limits of calls, safe states, interlocks."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from actorlab.core.lease_table import LeaseTable
from actorlab.core.service_group import ServiceGroupCore
from actorlab.core.supervision import Supervision
from actorlab.errors import ConfigError
from actorlab.kernel import Actor
from actorlab.runtime.call_limits import CallLimits
from actorlab.runtime.helpers import Helpers
from actorlab.runtime.interlocks import Interlocks
from actorlab.runtime.leases import Leases
from actorlab.runtime.lives import Lives
from actorlab.runtime.safety import Safety
from actorlab.runtime.services import Services
from actorlab.runtime.told_calls import CallListeners

if TYPE_CHECKING:
    from actorlab.runtime.cell import Cell
    from actorlab.runtime.decider import Decider
    from actorlab.runtime.events import EventLog
    from actorlab.runtime.journalling import Journalling
    from actorlab.runtime.lab import Lab

__all__ = ["LabActor"]


class LabActor(Actor):
    """Root supervisor and lease arbiter; an address on the deciding thread.

    Its parts alone write each device's token, holder and standing. What other threads call only posts.
    """

    def __init__(
        self, lab: Lab, decider: Decider, events: EventLog, limits: dict[str, int], journal: Journalling | None
    ) -> None:
        super().__init__(f"{lab.name}: lab")
        self.lab = lab
        self.pid = os.getpid()
        self.after_crash = journal is not None and journal.after_crash
        """Whether nobody knows in what state the devices were left."""
        cells: dict[str, Cell] = {}
        self.calls = CallListeners(lab)
        self.helpers = Helpers(f"actorlab {lab.name}")
        self.interlocks = Interlocks(lab, decider, events, cells)
        table = LeaseTable(limits) if journal is None else journal.lease_table(limits)
        self.leases = Leases(decider, cells, limits, self.interlocks.standstill, table)
        supervision = Supervision() if journal is None else journal.supervision()
        self.lives = Lives(decider, events, self.helpers, cells, self.leases, supervision)
        self.lives.escalate = lab.ending.stop_itself
        self.limits = CallLimits(decider, self.helpers, self.leases, self.lives)
        self.safety = Safety(decider, events, self.helpers, cells, self.leases, self.lives)
        group = ServiceGroupCore if journal is None else journal.group
        self.services = Services(lab, decider, events, self.lives, group)

    def close(self) -> None:
        """Mark all devices as closed, and end the helpers; for the deciding thread."""
        self.lives.close()
        self.helpers.close()

    def refuse_in_fork(self) -> None:
        """Refuse to work in a forked child: the threads are the parent's.

        Raises:
            ConfigError: this process isn't the one which made the lab.

        """
        if os.getpid() != self.pid:
            text = "this lab belongs to the process that made it: make one of your own after the fork, or spawn instead"
            raise ConfigError(text)
