"""Offer the ways on for runs that stand still, were cut off, or have failed: resume, retry, requeue."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, Response

from actorlab.errors import ConfigError, JournalError
from actorlab.server.desk import Asker, Desk
from actorlab.server.error_answers import says
from actorlab.server.refusing import LabRoute, Refused
from actorlab.server.run_answers import Begun, ResumeBody, RetryBody
from actorlab.server.run_routes import Id
from actorlab.server.run_telling import begun
from actorlab.server.telling import answer

if TYPE_CHECKING:
    from collections.abc import Callable

    from actorlab.runtime.lab import Lab
    from actorlab.runtime.run import Run

__all__ = ["resuming_routes"]


def resuming_routes(desk: Desk) -> APIRouter:
    """Return the routes by which runs go on, or are done again."""
    routes = APIRouter(route_class=LabRoute, tags=["runs"])
    lab = desk.lab
    operator = desk.needs("operator")
    goes_on = says(Begun, 404, 409, status=202)

    @routes.post("/runs/{run_id:path}/resume", status_code=202, dependencies=[operator], responses=goes_on)
    async def resume(run_id: Id, who: Asker, body: ResumeBody | None = None) -> Response:
        """Let a paused run go on; or go on with one that was interrupted, failed or was cancelled: it keeps its id."""
        run = await desk.call_for(who, resumed, lab, run_id, body or ResumeBody())
        lab.logger.info("a run is resumed", run=run.id, by=who.name)
        return answer(begun(run), 202)

    @routes.post("/runs/{run_id:path}/retry", status_code=202, dependencies=[operator], responses=goes_on)
    async def retry(run_id: Id, who: Asker, body: RetryBody | None = None) -> Response:
        """Do again what failed in a run, or was under way when it was cut off; nobody is asked, and it keeps its id."""
        said = body or RetryBody()
        run = await desk.call_for(
            who, gone_on, lab, run_id, lambda: lab.retry(run_id, again_from=said.again_from, changed=said.changed)
        )
        lab.logger.info("a run is retried", run=run.id, by=who.name)
        return answer(begun(run), 202)

    @routes.post(
        "/runs/requeue", status_code=202, dependencies=[operator], responses=says(list[Begun], 409, status=202)
    )
    async def requeue(who: Asker) -> Response:
        """Ask again for the runs that only waited when the lab ended; they keep their ids."""
        runs = await desk.call(lab.requeue)
        lab.logger.info("runs are asked for again", runs=[run.id for run in runs], by=who.name)
        return answer([begun(run) for run in runs], 202)

    return routes


def resumed(lab: Lab, run_id: str, body: ResumeBody) -> Run[Any]:
    """Let a run go on, whether it is paused here or was cut off."""
    here = next((run for run in lab.runs if run.id == run_id), None)
    if here is not None and not here.done():
        here.resume()
        return here
    return gone_on(
        lab, run_id,
        lambda: lab.resume(run_id, answers=body.answers, again_from=body.again_from, changed=body.changed),
    )  # fmt: skip


def gone_on(lab: Lab, run_id: str, go_on: Callable[[], Run[Any]]) -> Run[Any]:
    """Go on with a run, or say why that can't be."""
    listed = any(run.id == run_id for run in lab.runs)
    if lab.journalling is None and not listed:
        raise Refused(404, ConfigError(f"there is no run {run_id!r}, and this lab keeps no journal of earlier ones"))
    try:
        return go_on()
    except JournalError as error:
        raise Refused(409 if listed else 404, error, f"run {run_id}") from error
    except ConfigError as error:
        raise Refused(409, error, f"run {run_id}") from error
