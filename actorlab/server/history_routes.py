"""Offer what the lab's journal knows of runs, also those of earlier sessions."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Response

from actorlab.server.desk import Asker, Desk
from actorlab.server.error_answers import says
from actorlab.server.history_answers import EventsAnswer, KeptRunAnswer, PastAnswer, WhyAnswer
from actorlab.server.past import Wanted, events_of, listed, past_rows, told_all, why
from actorlab.server.refusing import LabRoute
from actorlab.server.run_answers import RowsAnswer
from actorlab.server.run_routes import After, Arrays, Before, Id, Limit, States
from actorlab.server.telling import answer

__all__ = ["history_routes"]

Since = Annotated[float | None, Query(ge=0, le=1e11, description="Only those created since, seconds since 1970.")]
Children = Annotated[bool, Query(description="Also runs that other runs have started.")]


def history_routes(desk: Desk) -> APIRouter:
    """Return the routes for the past; they read in threads of their own, and no request waits for another's reading."""
    routes = APIRouter(route_class=LabRoute, tags=["history"])
    lab = desk.lab
    viewer = desk.needs("viewer")

    @routes.get("/history", dependencies=[viewer], responses=says(list[KeptRunAnswer], 404, 409))
    async def runs(
        *, state: States = None, name: str | None = None, since: Since = None, children: Children = False,
        before: Before = None, limit: Limit = 100,
    ) -> Response:  # fmt: skip
        """List runs, the latest first."""
        wanted = Wanted(state or [], name, since, children, before, limit)
        return answer(await desk.read(listed, lab, wanted))

    @routes.get("/history/{run_id:path}/events", dependencies=[viewer], responses=says(EventsAnswer, 404, 409))
    async def events(run_id: Id, after: After = 0, limit: Limit = 1000) -> Response:
        """Answer with what happened in a run; `next` is the `after` of the next request."""
        return answer(await desk.read(events_of, lab, run_id, after, limit))

    @routes.get("/history/{run_id:path}/data", dependencies=[viewer], responses=says(RowsAnswer, 404, 409))
    async def data(run_id: Id, *, after: After = 0, limit: Limit = 1000, arrays: Arrays = False) -> Response:
        """Answer with rows that a run has recorded; `next` is the `after` of the next request."""
        return answer(await desk.read(lambda: past_rows(lab, run_id, after, limit, arrays=arrays)))

    @routes.get("/history/{run_id:path}/why", dependencies=[viewer], responses=says(WhyAnswer, 404, 409))
    async def reasons(run_id: Id) -> Response:
        """Say why a run waits; or how it ended, and what it was doing then."""
        return answer(await desk.read(why, lab, run_id))

    # the last one: the id of a child has slashes
    @routes.get("/history/{run_id:path}", dependencies=[viewer], responses=says(PastAnswer, 404, 409))
    async def one(run_id: Id, who: Asker) -> Response:
        """Tell all that is known of a run: steps, arguments, source, devices, errors."""
        return answer(await desk.read(lambda: told_all(lab, run_id, traces=who.may("admin"))))

    return routes
