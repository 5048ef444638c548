"""Offer what concerns a lab as a whole: its health, an operator's answers, the emergency stop."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query, Response
from pydantic import BaseModel, ConfigDict, Field

from actorlab.errors import ConfigError, text_of
from actorlab.server.desk import Asker, Desk
from actorlab.server.error_answers import says
from actorlab.server.lab_answers import HealthAnswer, QuestionAnswer, StoppedAnswer
from actorlab.server.patience import ended
from actorlab.server.refusing import LabRoute, Refused
from actorlab.server.telling import answer

__all__ = ["lab_routes"]


class AnswerBody(BaseModel):
    """An operator's answer."""

    model_config = ConfigDict(extra="forbid")
    answer: str = Field(max_length=10_000)


class StopBody(BaseModel):
    """Why everything is to stop."""

    model_config = ConfigDict(extra="forbid")
    reason: str = Field(default="", max_length=10_000)


def lab_routes(desk: Desk) -> APIRouter:
    """Return the routes for the lab as a whole."""
    routes = APIRouter(route_class=LabRoute, tags=["lab"])
    lab = desk.lab
    viewer, operator = desk.needs("viewer"), desk.needs("operator")

    @routes.get("/health", dependencies=[viewer], responses=says(HealthAnswer))
    async def health() -> Response:
        """Tell that the server is there, and whether its lab is."""
        trouble = "" if lab.journalling is None else lab.journalling.trouble
        return answer({"lab": lab.name, "open": not lab.ending.over, "devices": len(lab.cells), "trouble": trouble})

    @routes.get("/questions", dependencies=[viewer], responses=says(list[QuestionAnswer]))
    async def questions() -> Response:
        """List what runs ask an operator and nobody has answered yet."""
        return answer([
            {"id": item.id, "subject": item.subject, "text": item.text, "choices": list(item.choices),
             "asked": item.asked}
            for item in lab.questions
        ])  # fmt: skip

    @routes.post("/questions/{number}/answer", status_code=204, dependencies=[operator], responses=says(None, 404))
    async def answer_question(number: int, body: AnswerBody) -> Response:
        """Answer an operator's question."""
        if number not in {item.id for item in lab.questions}:
            open_ones = ", ".join(f"{item.id} ({item.text!r})" for item in lab.questions) or "none"
            message = f"question {number} waits for no answer; open questions: {open_ones}"
            raise Refused(404, ConfigError(message))
        lab.answer(number, body.answer)
        return Response(status_code=204)

    in_hand: dict[int | str, dict[str, Any]] = {
        202: {"model": StoppedAnswer, "description": "All was stopped; not all is known to be safe yet."}
    }

    @routes.post("/emergency_stop", dependencies=[operator], responses=says(StoppedAnswer) | in_hand)
    async def emergency_stop(
        who: Asker,
        body: StopBody | None = None,
        wait: Annotated[
            float, Query(ge=0, le=30, description="Wait at most so many seconds until all is safe.")
        ] = 10.0,
    ) -> Response:
        """Stop everything and make all devices safe; tell for each None, or why it isn't known to be safe."""
        said = body.reason if body is not None and body.reason else "no reason was given"
        reply = lab.emergency_stop(f"{said} ({who.name})")
        if not await ended(reply, wait):
            return answer({"done": False, "devices": {}}, 202)
        found = reply.result(0).items()
        return answer({"done": True, "devices": {name: None if why is None else text_of(why) for name, why in found}})

    @routes.post("/rearm", status_code=204, dependencies=[operator], responses=says(None, 409))
    async def rearm(who: Asker) -> Response:
        """Let devices accept commands again after an emergency stop."""
        lab.logger.info("the lab is armed again", by=who.name)
        await desk.look(lab.rearm)
        return Response(status_code=204)

    return routes
