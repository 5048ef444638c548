"""Offer a lab's tasks and runs: start, look, steer, and have what came out."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Annotated, Any, Final

from fastapi import APIRouter, Path, Query, Response
from pydantic import BaseModel, ConfigDict, Field

from actorlab.core.run_state import RunState
from actorlab.errors import ConfigError, EncodingError, LeaseTimeout
from actorlab.server.desk import Asker, Desk, ended
from actorlab.server.refusing import LabRoute, Refused
from actorlab.server.telling import answer, failure, given, plain, value_told

if TYPE_CHECKING:
    from actorlab.runtime.lab import Lab
    from actorlab.runtime.run import Run
    from actorlab.runtime.steps import StepView
    from actorlab.server.tokens import Who

__all__ = ["run_routes", "steering_routes"]

LONGEST: Final = 30.0
TURNS: Final = 20
"""A run that may not wait for its devices is refused within so many turns of the deciding thread."""
MOST: Final = 2**53
"""No run has so many rows."""
STEPS: Final = 1000
"""The steps of a longer workflow aren't all listed."""
Id = Annotated[str, Path(description="The id of a run; in a path, # is written %23, and that of a child has slashes.")]
Wait = Annotated[float, Query(ge=0, le=LONGEST, description="Wait at most so many seconds for the end.")]


class Body(BaseModel):
    """A JSON object with known keys only."""

    model_config = ConfigDict(extra="forbid")


class StartBody(Body):
    """A task by its name, and what it is to work with: devices by their names."""

    task: str
    args: list[Any] = Field(default_factory=list)
    parameters: dict[str, Any] = Field(default_factory=dict)


class ReasonBody(Body):
    """Why somebody wants something."""

    reason: str = ""


class SetBody(Body):
    """New values of a run's parameters."""

    parameters: dict[str, Any]


def run_routes(desk: Desk) -> APIRouter:
    """Return the routes for tasks and runs."""
    routes = APIRouter(route_class=LabRoute, tags=["tasks and runs"])
    lab = desk.lab
    viewer, operator = desk.needs("viewer"), desk.needs("operator")

    @routes.get("/tasks", dependencies=[viewer])
    async def tasks() -> Response:
        """List the tasks and workflows that are known by name, with their parameters as JSON Schema."""
        return answer(plain(await desk.look(lambda: {name: lab.describe_task(name) for name in lab.tasks})))

    @routes.get("/tasks/{name}", dependencies=[viewer])
    async def task(name: str) -> Response:
        """Describe a task."""
        return answer(plain(await desk.look(described, lab, name)))

    @routes.post("/runs", status_code=201, dependencies=[operator])
    async def start(body: StartBody, who: Asker) -> Response:
        """Start a task by its name; the answer comes at once."""
        run = await desk.call(started, lab, body)
        lab.logger.info("a run is started", run=run.id, by=who.name)
        return answer({"id": run.id, "state": str(run.state)}, 201)

    @routes.get("/runs", dependencies=[viewer])
    async def runs() -> Response:
        """List the runs that haven't ended, and the newest of those that have."""
        return answer(await desk.look(lambda: [in_short(run) for run in lab.runs]))

    @routes.get("/runs/{run_id:path}/result", dependencies=[viewer])
    async def result(run_id: Id, who: Asker, wait: Wait = 0.0) -> Response:
        """Answer with the result, or the error, of a run that has ended; with 202 if it hasn't."""
        run = await desk.look(found, lab, run_id)
        if not await ended(run.reply, wait):
            return answer({"id": run.id, "state": str(run.state)}, 202)
        return answer(await desk.look(lambda: outcome(run, traces=who.may("admin"))))

    @routes.get("/runs/{run_id:path}/data", dependencies=[viewer])
    async def data(
        run_id: Id,
        after: Annotated[int, Query(ge=0, le=MOST, description="So many rows are known already.")] = 0,
        limit: Annotated[int, Query(ge=1, le=10_000)] = 1000,
    ) -> Response:
        """Answer with rows that a run has recorded so far; `next` is the `after` of the next request."""
        return answer(await desk.look(lambda: rows_of(found(lab, run_id), after, limit)))

    # the last one: the id of a child has slashes, so this would fit what stands above as well
    @routes.get("/runs/{run_id:path}", dependencies=[viewer])
    async def one(run_id: Id) -> Response:
        """Tell how a run stands: its steps, its progress, why it waits, its error."""
        return answer(await desk.look(lambda: in_full(found(lab, run_id))))

    return routes


def steering_routes(desk: Desk) -> APIRouter:
    """Return the routes by which runs are steered."""
    routes = APIRouter(route_class=LabRoute, tags=["tasks and runs"])
    lab = desk.lab
    operator = desk.needs("operator")

    @routes.post("/runs/{run_id:path}/cancel", status_code=202, dependencies=[operator])
    async def cancel(run_id: Id, who: Asker, body: ReasonBody | None = None) -> Response:
        """Ask for the end of a run; its result tells when the work has stopped."""
        run = await desk.look(found, lab, run_id)
        run.cancel(reason_of(body, who, "cancelled"))
        return answer({"id": run.id, "state": str(run.state)}, 202)

    @routes.post("/runs/{run_id:path}/pause", status_code=202, dependencies=[operator])
    async def pause(run_id: Id, who: Asker, body: ReasonBody | None = None) -> Response:
        """Let a run stand still at its next checkpoint; it keeps its devices."""
        run = await desk.look(found, lab, run_id)
        run.pause(reason_of(body, who, "paused"))
        return answer({"id": run.id, "state": str(run.state)}, 202)

    @routes.post("/runs/{run_id:path}/resume", status_code=202, dependencies=[operator])
    async def resume(run_id: Id) -> Response:
        """Let a paused run go on."""
        run = await desk.look(found, lab, run_id)
        run.resume()
        return answer({"id": run.id, "state": str(run.state)}, 202)

    @routes.put("/runs/{run_id:path}/parameters", status_code=204, dependencies=[operator])
    async def set_parameters(run_id: Id, body: SetBody) -> Response:
        """Set parameters of a run while it goes on."""
        values = given(body.parameters)
        await desk.look(lambda: found(lab, run_id).set(**values))
        return Response(status_code=204)

    return routes


def reason_of(body: ReasonBody | None, who: Who, what: str) -> str:
    """Say why something is done: the asker's word, and who that is."""
    said = body.reason if body is not None else ""
    return f"{said} ({who.name})" if said else f"{what} by {who.name}"


def described(lab: Lab, name: str) -> dict[str, Any]:
    """Describe a task, or refuse one that isn't known."""
    check_task(lab, name)
    return lab.describe_task(name)


def check_task(lab: Lab, name: str) -> None:
    """Refuse a task that isn't known, saying which are."""
    if name not in lab.tasks:
        message = f"the lab knows no task {name!r}; it knows {', '.join(lab.tasks) or 'none'}"
        raise Refused(404, ConfigError(message))


def found(lab: Lab, run_id: str) -> Run[Any]:
    """Return a run, or refuse one that isn't there."""
    try:
        return lab.get(run_id)
    except ConfigError as error:
        raise Refused(404, error) from error


def started(lab: Lab, body: StartBody) -> Run[Any]:
    """Start a task, and tell at once if it may not wait for its devices and would have to."""
    check_task(lab, body.task)
    args: list[Any] = given(body.args)
    parameters: dict[str, Any] = given(body.parameters)
    run = lab.start(body.task, *args, **parameters)
    if run.supervisor.options.on_conflict != "reject":
        return run
    for _ in range(TURNS):
        if run.state is not RunState.WAITING or run.done():
            break
        lab.ask(lambda: None)  # what was posted before has been decided by then
    error = run.reply.exception(0) if run.done() else None
    if isinstance(error, LeaseTimeout):
        conflicts = [
            {"device": name, "holder": status.holder, "queue": list(status.queue)}
            for name, status in ((name, lab.status(name)) for name in run.devices)
            if status.holder
        ]
        run.observed = True
        raise Refused(409, error, f"run {run.id}", conflicts=conflicts)
    return run


def in_short(run: Run[Any]) -> dict[str, Any]:
    """Tell what a run is and how it stands."""
    return {
        "id": run.id, "name": run.name, "state": str(run.state), "devices": list(run.devices),
        "children": [child.id for child in run.children], "hidden": run.hidden, "service": run.service,
    }  # fmt: skip


def in_full(run: Run[Any]) -> dict[str, Any]:
    """Tell all of how a run stands."""
    error = run.reply.exception(0) if run.done() else None
    return in_short(run) | {
        "progress": plain(run.progress and {"fraction": run.progress.fraction, **run.progress._asdict()}),
        "reasons": list(run.reasons),
        "parameters": plain(run.parameters),
        "steps": [step_told(step) for step in run.steps[:STEPS]],
        "steps_in_all": len(run.steps),
        "error": None if error is None else failure(error, f"run {run.id}", traces=False),
    }


def step_told(step: StepView) -> dict[str, Any]:
    """Tell how a step stands."""
    return {
        "number": step.number, "name": step.name, "label": step.label, "state": str(step.state),
        "attempts": step.attempts, "devices": list(step.devices), "after": list(step.after),
        "child": None if step.child is None else step.child.id,
        "error": None if step.error is None else failure(step.error, f"step {step.label}", traces=False),
    }  # fmt: skip


def outcome(run: Run[Any], *, traces: bool) -> dict[str, Any]:
    """Tell what came out of a run that has ended."""
    told: dict[str, Any] = {"id": run.id, "state": str(run.state)}
    error = run.exception(0)
    if error is not None:
        return told | {"error": failure(error, f"run {run.id}", traces=traces)}
    try:
        return told | {"result": value_told(run.result(0), f"{run.id}.result()")}
    except EncodingError as unwritable:
        unwritable.add_note("the run has succeeded; only its result can't be told")
        raise Refused(502, unwritable, f"run {run.id}") from unwritable


def rows_of(run: Run[Any], after: int, limit: int) -> dict[str, Any]:
    """Tell the rows that come after the first so many, and how many were let go."""
    dataset = run.data
    begin = max(after, dataset.dropped)
    chosen = islice(dataset, begin - dataset.dropped, begin - dataset.dropped + limit)
    rows = [
        {"time": row.time, "body": row.body, "values": value_told(row.values, f"row {begin + at}")}
        for at, row in enumerate(chosen)
    ]
    return {"rows": rows, "next": begin + len(rows), "dropped": dataset.dropped}
