"""Describe what is asked of runs and answered about them, for the OpenAPI document."""

from __future__ import annotations

from typing import Any, TypeAlias

from pydantic import BaseModel, ConfigDict, Field

from actorlab.core.run_state import RunState
from actorlab.server.error_answers import ErrorAnswer

__all__ = [
    "Begun",
    "Body",
    "Outcome",
    "ProgressAnswer",
    "ReasonBody",
    "ResumeBody",
    "RetryBody",
    "RowsAnswer",
    "RunAnswer",
    "RunInShort",
    "SetBody",
    "StartBody",
    "StepAnswer",
    "StepsAnswer",
    "Why",
]  # fmt: skip

Number: TypeAlias = float | str
"""A number, or the word for one that JSON doesn't know: "NaN", "Infinity"."""


class Body(BaseModel):
    """A JSON object with known keys only."""

    model_config = ConfigDict(extra="forbid")


class StartBody(Body):
    """A task by its name, and what it is to work with: devices by their names."""

    task: str = Field(max_length=200)
    args: list[Any] = Field(default_factory=list)
    parameters: dict[str, Any] = Field(default_factory=dict)


class ReasonBody(Body):
    """Why somebody wants something."""

    reason: str = Field(default="", max_length=10_000)


class RetryBody(Body):
    """From where a run is done again, and whether it may be drawn otherwise than it was."""

    again_from: str | int | None = Field(default=None, description="This step, and all that are written after it.")
    changed: bool = Field(default=False, description="Keep the values of steps that are as they were.")


class ResumeBody(RetryBody):
    """What an operator would be asked: by the name or number of a step, and for "devices"."""

    answers: dict[str, str] = Field(default_factory=dict)


class SetBody(Body):
    """New values of a run's parameters."""

    parameters: dict[str, Any]


class Begun(BaseModel):
    """A run, and the state it is in now."""

    id: str
    state: RunState


class RunInShort(Begun):
    """What a run is and how it stands."""

    name: str
    devices: list[str]
    children: list[str] = Field(description="The ids of the runs that it has started.")
    hidden: bool = Field(description="Background work, which isn't counted in the lab's progress.")
    service: str = Field(description="Whose life this is, or nothing.")


class ProgressAnswer(BaseModel):
    """How far something is: `done` of `total`, since when; times are those of the server's monotonic clock."""

    fraction: Number | None
    done: Number
    total: Number | None
    message: str
    since: float
    at: float


class Why(BaseModel):
    """One reason why a run doesn't simply run: what it waits for, and who has that."""

    text: str
    kind: str
    run: str
    resource: str
    by: list[str]


class StepAnswer(BaseModel):
    """How a step stands."""

    number: int
    name: str
    label: str
    state: RunState
    attempts: int
    devices: list[str]
    after: list[int] = Field(description="The steps for which it still waits.")
    child: str | None = Field(description="The id of the run that it is, if it is one of its own.")
    error: ErrorAnswer | None


class StepsAnswer(BaseModel):
    """Some of a run's steps; `next` is the `after` of the next request."""

    steps: list[StepAnswer]
    next: int
    in_all: int


class RunAnswer(RunInShort):
    """All of how a run stands."""

    progress: ProgressAnswer | None
    reasons: list[str] = Field(description="Why it doesn't simply run, in sentences.")
    why: list[Why] = Field(description="The same as data.")
    parameters: dict[str, Any]
    steps: list[StepAnswer] = Field(description="The first of them, if there are very many.")
    steps_in_all: int
    error: ErrorAnswer | None


class Outcome(Begun):
    """What came out of a run that has ended: its result or its error."""

    result: Any = Field(default=None, description="As `actorlab.encoding` writes it.")
    error: ErrorAnswer | None = None


class RowAnswer(BaseModel):
    """A row that a run has recorded, or why it can't be told."""

    time: float
    body: str
    values: Any = Field(description="As `actorlab.encoding` writes them.")
    error: ErrorAnswer | None = None


class RowsAnswer(BaseModel):
    """Some of a run's rows; `next` is the `after` of the next request, and so many were let go from memory."""

    rows: list[RowAnswer]
    next: int
    dropped: int


class LogLine(BaseModel):
    """What a run has logged."""

    sequence: int = Field(description="The number of the event which told it.")
    time: float
    subject: str = Field(description="The run, or its step, that has logged it.")
    kind: str
    data: dict[str, Any] = Field(description="The `message`, and the fields that were given with it.")
