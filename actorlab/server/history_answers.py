"""Describe what is answered about runs of the past, for the OpenAPI document; times are in seconds since 1970."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

__all__ = ["EventsAnswer", "KeptRunAnswer", "PastAnswer", "WhyAnswer"]


class KeptRunAnswer(BaseModel):
    """A run as the journal lists it."""

    id: str
    name: str
    number: int
    kind: str
    parent: str | None = Field(description="The run that has started it, if one has.")
    opening: int
    state: str
    created: float
    started: float | None
    ended: float | None
    task: str | None
    asker: str | None
    error: str | None


class PastAnswer(KeptRunAnswer):
    """All that the journal knows of a run; `steps` and `children` have the runs that were part of it."""

    model_config = ConfigDict(extra="allow")
    reason: str = Field(description="Why it was ended or paused, in the words of whoever did that.")
    traceback: str = Field(description="For an admin only.")
    steps: list[dict[str, Any]]
    children: list[dict[str, Any]]
    arguments: dict[str, Any]
    options: dict[str, Any]
    source: dict[str, Any] | None
    lab: dict[str, Any] | None = Field(description="When and where that lab was opened, and with which versions.")
    devices: dict[str, Any] = Field(description="What they said of themselves before it began.")
    data: dict[str, Any] = Field(description="How many rows there are, their columns, and the last value of each.")


class EventAnswer(BaseModel):
    """Something that happened in a run."""

    number: int
    run: str
    time: float
    kind: str
    payload: Any


class EventsAnswer(BaseModel):
    """Some of a run's events; `next` is the `after` of the next request."""

    events: list[EventAnswer]
    next: int


class WhyAnswer(BaseModel):
    """Why a run is where it is: why it waits, or how it ended and what it was doing then."""

    id: str
    state: str
    reasons: list[str]
    doing: list[str] = Field(description="The steps that are under way, or were when it was cut off.")
