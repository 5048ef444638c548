"""Describe what is asked of leases and answered about them, for the OpenAPI document."""

from __future__ import annotations

from typing import Final

from pydantic import BaseModel, ConfigDict, Field

from actorlab.core.run_state import RunState
from actorlab.server.conflicts import Conflict

__all__ = ["Acquired", "LeaseAnswer", "LeaseBody", "LeasesAnswer", "Renewed", "RevokeBody"]

SHORTEST: Final = 0.5
LONGEST: Final = 600.0
PATIENCE: Final = 300.0
"""A request for devices waits at most so many seconds for them."""


class LeaseBody(BaseModel):
    """What somebody wants to hold: devices for itself, or shared with others who only ask them something."""

    model_config = ConfigDict(extra="forbid")
    devices: list[str] = Field(default_factory=list, max_length=1000)
    shared: list[str] = Field(default_factory=list, max_length=1000)
    ttl: float = Field(10.0, ge=SHORTEST, le=LONGEST, description="It is lost unless it is renewed in so many seconds.")
    timeout: float = Field(0.0, ge=0, le=PATIENCE, description="Wait at most so many seconds for the devices.")
    label: str = Field("", max_length=80, description="What it is for.")


class RevokeBody(BaseModel):
    """Why somebody's devices are taken away."""

    model_config = ConfigDict(extra="forbid")
    reason: str = Field("", max_length=1000)


class LeaseAnswer(BaseModel):
    """How a lease stands."""

    id: str
    state: RunState
    by: str = Field(description="Whose it is.")
    label: str = Field(description="What it is for.")
    devices: list[str]
    shared: list[str]
    ttl: float
    expires_in: float = Field(description="After about so many seconds it is lost, unless it is renewed.")
    waits: list[str] = Field(description="Why it isn't granted yet, or has ended.")
    ended: bool = Field(description="Its devices have been given back.")
    error: str | None = Field(description="How it was lost, or why its devices were made safe.")
    safe: list[str] = Field(description="The devices that were made safe at its end.")
    unsafe: dict[str, str] = Field(description="Those that aren't known to be safe, and why.")


class Acquired(LeaseAnswer):
    """A lease that was granted."""

    key: str = Field(description="What proves whose it is, in the header Actorlab-Lease; it isn't told again.")
    waited: float = Field(description="It was granted so many seconds after it was asked for.")


class Renewed(BaseModel):
    """A lease whose term has begun anew."""

    id: str
    expires_in: float


class LeasesAnswer(BaseModel):
    """Who holds what."""

    leases: list[LeaseAnswer] = Field(description="The leases of clients that haven't ended.")
    devices: dict[str, list[Conflict]] = Field(description="For each device who holds it: leases and runs.")
