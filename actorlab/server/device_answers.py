"""Describe what is asked of devices and answered about them, for the OpenAPI document."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from actorlab.runtime.cell import DeviceState

__all__ = ["CallBody", "DescriptionAnswer", "DeviceAnswer", "ValueAnswer", "WriteBody"]


class CallBody(BaseModel):
    """The arguments of a call: JSON, or what `actorlab.encoding` makes of other data."""

    model_config = ConfigDict(extra="forbid")
    args: list[Any] = Field(default_factory=list)
    kwargs: dict[str, Any] = Field(default_factory=dict)


class WriteBody(BaseModel):
    """The value that an attribute is to have."""

    model_config = ConfigDict(extra="forbid")
    value: Any


class ValueAnswer(BaseModel):
    """What a method has returned, or an attribute is."""

    result: Any = Field(description="As `actorlab.encoding` writes it.")


class LostThread(BaseModel):
    """A thread of a device that was given up and lives on."""

    thread: str
    stack: str = Field(description="Where it is; for an admin only.")


class CallAnswer(BaseModel):
    """A call that has ended: when it began, how many seconds it took, what it raised."""

    time: datetime
    call: str
    seconds: float
    error: str


class PeriodicAnswer(BaseModel):
    """How a periodic method stands."""

    state: str
    runs: int
    skipped: int
    last_error: str | None
    next: float | None


class DeviceAnswer(BaseModel):
    """How a device stands; times are in seconds."""

    name: str
    state: DeviceState
    code: int = Field(description="SECoP's status code.")
    since: datetime
    why: str
    holder: str = Field(description="Which run or lease has it; several if they share it; nothing if nobody has.")
    queue: list[str] = Field(description="Who waits for it.")
    waiting_calls: int
    in_progress: str = Field(description="The call in hand, and since how many seconds.")
    calls: int
    calls_per_second: float
    busy: float = Field(description="The part of the last second or two in which it was at a call.")
    restarts: int
    retry_in: float | None
    last_error: str
    last_traceback: str = Field(description="For an admin only.")
    owes_safe: bool = Field(description="It isn't known to be safe.")
    vetoes: list[str] = Field(description="Why commands are refused, by interlocks or an emergency stop.")
    isolation: str
    pid: int | None
    abandoned: list[LostThread]
    recent: list[CallAnswer] = Field(description="The last calls, the oldest first.")
    periodics: dict[str, PeriodicAnswer]


class DescriptionAnswer(BaseModel):
    """What a device is and what can be asked of it."""

    model_config = ConfigDict(extra="allow")
    name: str
    doc: str
    hooks: dict[str, str]
    members: dict[str, Any] = Field(description="Methods, attributes and streams, with JSON Schemas.")
    parts: dict[str, str] = Field(description="Its channels and other parts, with their classes.")
