"""Describe what is answered about a lab as a whole, for the OpenAPI document."""

from __future__ import annotations

from pydantic import BaseModel, Field

__all__ = ["HealthAnswer", "QuestionAnswer", "StoppedAnswer"]


class HealthAnswer(BaseModel):
    """The server is there."""

    lab: str
    open: bool = Field(description="The lab hasn't ended.")
    devices: int
    trouble: str = Field(description="Why the journal can't be written now, so that no experiment begins; or nothing.")


class QuestionAnswer(BaseModel):
    """What a run asks an operator."""

    id: int
    subject: str = Field(description="Which run asks.")
    text: str
    choices: list[str] = Field(description="The answers that it takes; any, if there are none.")
    asked: float


class StoppedAnswer(BaseModel):
    """What became of an emergency stop."""

    done: bool
    devices: dict[str, str | None] = Field(description="For each None, or why it isn't known to be safe.")
