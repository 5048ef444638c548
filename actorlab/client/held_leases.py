"""Know in the blocks of which leases the present code runs."""

from __future__ import annotations

from contextvars import ContextVar
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from actorlab.client.connection import Connection

__all__ = ["HEADER", "Held", "headers_for", "held", "holder_of"]


class Held(Protocol):
    """A lease of devices of a lab elsewhere."""

    connection: Connection
    devices: tuple[str, ...]

    @property
    def headers(self) -> dict[str, str]:
        """Return what a request in its name says."""
        ...


HEADER: Final = "Actorlab-Lease"
"""The header that carries the key of a lease."""
held: Final[ContextVar[tuple[Held, ...]]] = ContextVar("actorlab_client_leases", default=())
"""The leases, the innermost last."""


def headers_for(connection: Connection, device: str | None = None) -> dict[str, str] | None:
    """Return what a request says, in the name of the innermost lease: of one that holds the device, if there is one.

    Raises:
        LeaseLost: that lease is lost.

    """
    mine = [lease for lease in held.get() if lease.connection is connection]
    if not mine:
        return None
    return (holder_of(connection, device) or mine[-1]).headers


def holder_of(connection: Connection, device: str | None) -> Held | None:
    """Return the innermost lease that holds a device."""
    holding = [lease for lease in held.get() if lease.connection is connection and device in lease.devices]
    return holding[-1] if holding else None
