"""Know the leases of a server's clients: whose each is, and the key without which nobody uses it."""

from __future__ import annotations

import asyncio
import re
import secrets
from collections import OrderedDict
from contextlib import nullcontext
from typing import TYPE_CHECKING, Annotated, Any, Final, NamedTuple

from fastapi import Header

from actorlab.errors import ConfigError, LeaseLost, MailboxFull, NotAllowed
from actorlab.runtime.timed_lease import TermActor, TimedLease
from actorlab.server.refusing import Refused

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from actorlab.runtime.lab import Lab
    from actorlab.server.tokens import Who

__all__ = ["ClientLease", "ClientLeases", "LeaseKey", "within"]

MOST: Final = 256
"""So many leases may be held or waited for at one time: nobody needs more, and each costs the lab something."""
KEPT: Final = 1000
"""So many of those that have ended are known, so that it can be said how."""
LeaseKey = Annotated[
    str | None,
    Header(alias="Actorlab-Lease", description="The key of a lease, in whose name this is to be done."),
]
"""A parameter of a route that may be used in the name of a lease."""


class ClientLease(NamedTuple):
    """A lease, whose it is, and what proves that."""

    lease: TimedLease
    who: Who
    label: str
    key: str
    devices: tuple[str, ...]
    shared: tuple[str, ...]


class ClientLeases:
    """The leases that clients of a server have asked for; used in its event loop only."""

    def __init__(self, lab: Lab) -> None:
        self._lab = lab
        self._known: OrderedDict[str, ClientLease] = OrderedDict()
        self._closed = ""

    def ask(
        self, who: Who, devices: tuple[str, ...], shared: tuple[str, ...], *, ttl: float, timeout: float, label: str,
        named: bool,
    ) -> ClientLease:  # fmt: skip
        """Ask for devices, and return the lease at once: it tells when it is granted. Without `timeout` it never waits.

        Raises:
            MailboxFull: too many are asked for already.

        """
        self._make_room()
        lab = self._lab
        lab.check_open()
        loop = asyncio.get_running_loop()
        cells = lab.cells_of([*devices, *shared])
        run_id = lab.maker.next_id(f"lease-{name_in_id(who.name)}" if named else "lease")
        actor = TermActor(
            lab, run_id, cells, timeout or None, ttl=ttl, ear=loop.call_soon_threadsafe, shared=frozenset(shared),
            name=label or "lease", at_once=not timeout, asked_by=who.name,
        )  # fmt: skip
        key = f"{run_id}:{secrets.token_urlsafe(16)}"
        made = self._known[run_id] = ClientLease(TimedLease(actor), who, label, key, devices, shared)
        made.lease.begin()
        return made

    def _make_room(self) -> None:
        """Forget the oldest that have ended."""
        if self._closed:
            raise LeaseLost(self._closed)
        if sum(not known.lease.run.done() for known in self._known.values()) >= MOST:
            message = f"{MOST} leases are held or waited for already: give some back first"
            raise MailboxFull(message)
        ended = [run_id for run_id, known in self._known.items() if known.lease.run.done()]
        for run_id in ended[: max(0, len(ended) - KEPT)]:
            del self._known[run_id]

    def used(self, key: str | None, who: Who) -> ClientLease | None:
        """Return the lease in whose name somebody asks, or None: in nobody's.

        Raises:
            LeaseLost: it has ended; the message says when and why.

        """
        if key is None:
            return None
        known = self.owned(key.partition(":")[0], key, who)
        known.lease.check()
        return known

    def owned(self, run_id: str, key: str | None, who: Who) -> ClientLease:
        """Return a lease to whom it belongs.

        Raises:
            LeaseLost: there is none of this name.

        """
        known = self._known.get(run_id)
        if known is None:
            message = f"there is no lease {run_id!r} here: it ended long ago, or another server, which is gone, gave it"
            raise LeaseLost(message)
        if key is None:
            message = f"say by the header Actorlab-Lease that {run_id} is yours: its key came with it"
            raise Refused(403, NotAllowed(message), f"lease {run_id}")
        if known.who.name != who.name or not secrets.compare_digest(known.key.encode(), key.encode()):
            message = f"{run_id} belongs to {known.who.name}, and isn't used without its key"
            raise Refused(403, NotAllowed(message), f"lease {run_id}")
        return known

    def found(self, run_id: str) -> ClientLease:
        """Return a lease to be looked at."""
        known = self._known.get(run_id)
        if known is None:
            message = f"there is no lease {run_id!r}; there are {', '.join(self._known) or 'none'}"
            raise Refused(404, ConfigError(message))
        return known

    def all(self) -> list[ClientLease]:
        """Return those that haven't ended."""
        return [known for known in self._known.values() if not known.lease.run.done()]

    def end(self, reason: str) -> None:
        """Take all away: nobody can renew them any more."""
        self._closed = reason
        for known in self.all():
            known.lease.revoke(reason)


def name_in_id(name: str) -> str:
    """Return somebody's name as it may stand in the id of a run."""
    return re.sub(r"[^\w.@-]+", "-", name, flags=re.ASCII)[:40]


def within(lease: ClientLease | None) -> AbstractContextManager[Any]:
    """Return a block in which everything is done in the name of a lease, if there is one; in its thread."""
    return nullcontext() if lease is None else lease.lease.entered()
