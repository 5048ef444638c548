"""Offer a lab's runs: start them, look at them, have what came out."""

from __future__ import annotations

from typing import Annotated, Any, Final

from fastapi import APIRouter, Path, Query, Response

from actorlab.core.run_state import RunState
from actorlab.server.client_leases import LeaseKey
from actorlab.server.desk import Asker, Desk
from actorlab.server.error_answers import says
from actorlab.server.once import OnceKey
from actorlab.server.patience import ended
from actorlab.server.refusing import LabRoute
from actorlab.server.run_answers import Begun, Outcome, RowsAnswer, RunAnswer, RunInShort, StartBody, StepsAnswer
from actorlab.server.run_telling import Wanted, begun, found, in_full, listed, outcome, rows_of, steps_of
from actorlab.server.starting import started
from actorlab.server.telling import answer

__all__ = ["After", "Arrays", "Before", "Id", "Limit", "States", "run_routes"]

LONGEST: Final = 30.0
MOST: Final = 2**53
"""No run has so many rows."""
Id = Annotated[str, Path(description="The id of a run; in a path, # is written %23, and that of a child has slashes.")]
Wait = Annotated[float, Query(ge=0, le=LONGEST, description="Wait at most so many seconds for the end.")]
After = Annotated[int, Query(ge=0, le=MOST, description="So many are known already.")]
States = Annotated[list[RunState] | None, Query(description="Only runs in these states.")]
Children = Annotated[bool, Query(description="Also runs that other runs have started.")]
Before = Annotated[str | None, Query(description="The id of a run: go on with those that are older.")]
Arrays = Annotated[
    bool,
    Query(description="Send large arrays themselves, and not references to the files in which the lab keeps them."),
]
Limit = Annotated[int, Query(ge=1, le=10_000, description="Answer with so many, at most.")]


def run_routes(desk: Desk) -> APIRouter:
    """Return the routes for runs."""
    routes = APIRouter(route_class=LabRoute, tags=["runs"])
    lab = desk.lab
    viewer, operator = desk.needs("viewer"), desk.needs("operator")

    @routes.post("/runs", status_code=201, dependencies=[operator], responses=says(Begun, 404, 409, status=201))
    async def start(body: StartBody, who: Asker, key: LeaseKey = None, once: OnceKey = None) -> Response:
        """Start a task by its name; the answer comes at once. In the name of a lease it borrows the lease's devices."""
        lease = desk.leases.used(key, who)

        async def begin() -> dict[str, Any]:
            run = await desk.call_for(who, started, lab, body, lease)
            lab.logger.info("a run is started", run=run.id, by=who.name)
            return begun(run)

        told, headers = await desk.once.do(who, once, f"POST /runs {key}", body, begin)
        return answer(told, 201, headers)

    @routes.get("/runs", dependencies=[viewer], responses=says(list[RunInShort], 404))
    async def runs(
        *, state: States = None, name: str | None = None, children: Children = True, before: Before = None,
        limit: Limit = 1000,
    ) -> Response:  # fmt: skip
        """List the runs that haven't ended, and the newest of those that have: the latest first."""
        wanted = Wanted(state or [], name, children, before, limit)
        return answer(await desk.look(listed, lab, wanted))

    unfinished: dict[int | str, dict[str, Any]] = {202: {"model": Begun, "description": "It hasn't ended yet."}}

    @routes.get("/runs/{run_id:path}/result", dependencies=[viewer], responses=says(Outcome, 404, 502) | unfinished)
    async def result(run_id: Id, who: Asker, wait: Wait = 0.0) -> Response:
        """Answer with the result, or the error, of a run that has ended; with 202 if it hasn't."""
        run = await desk.look(found, lab, run_id)
        if not await ended(run.reply, wait):
            return answer(begun(run), 202)
        return answer(await desk.look(lambda: outcome(run, traces=who.may("admin"))))

    @routes.get("/runs/{run_id:path}/data", dependencies=[viewer], responses=says(RowsAnswer, 404))
    async def data(run_id: Id, *, after: After = 0, limit: Limit = 1000, arrays: Arrays = False) -> Response:
        """Answer with rows that a run has recorded so far; `next` is the `after` of the next request."""
        ask = desk.read if arrays else desk.look
        return answer(await ask(lambda: rows_of(found(lab, run_id), after, limit, arrays=arrays)))

    @routes.get("/runs/{run_id:path}/steps", dependencies=[viewer], responses=says(StepsAnswer, 404))
    async def steps(run_id: Id, after: After = 0, limit: Limit = 1000) -> Response:
        """Answer with steps of a run as they stand; `next` is the `after` of the next request."""
        return answer(await desk.look(lambda: steps_of(found(lab, run_id), after, limit)))

    # the last one: the id of a child has slashes, so this would fit what stands above as well
    @routes.get("/runs/{run_id:path}", dependencies=[viewer], responses=says(RunAnswer, 404))
    async def one(run_id: Id) -> Response:
        """Tell how a run stands: its steps, its progress, why it waits, its error."""
        return answer(await desk.look(lambda: in_full(found(lab, run_id))))

    return routes
