"""Tell how runs and their steps stand, and what came out of them."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from actorlab.errors import ConfigError, EncodingError
from actorlab.server.refusing import Refused
from actorlab.server.telling import failure, plain, value_told

if TYPE_CHECKING:
    from actorlab.core.run_state import RunState
    from actorlab.runtime.lab import Lab
    from actorlab.runtime.notes import Progress
    from actorlab.runtime.records import Row
    from actorlab.runtime.run import Run
    from actorlab.runtime.steps import StepView

__all__ = [
    "Wanted",
    "begun",
    "found",
    "in_full",
    "in_short",
    "listed",
    "outcome",
    "progress_told",
    "rows_of",
    "steps_of",
]

STEPS: Final = 1000
"""The steps of a longer workflow aren't all listed."""


def found(lab: Lab, run_id: str) -> Run[Any]:
    """Return a run, or refuse one that isn't there."""
    try:
        return lab.get(run_id)
    except ConfigError as error:
        raise Refused(404, error) from error


class Wanted(NamedTuple):
    """Which runs are to be listed; `children` are those that other runs have started."""

    state: list[RunState]
    name: str | None
    children: bool
    before: str | None
    limit: int


def listed(lab: Lab, wanted: Wanted) -> list[dict[str, Any]]:
    """List the runs that are wanted, the latest first."""
    runs = list(reversed(lab.runs))
    if wanted.before is not None:
        runs = runs[runs.index(found(lab, wanted.before)) + 1 :]
    chosen = (
        run for run in runs
        if (not wanted.state or run.state in wanted.state) and wanted.name in (None, run.name)
        and (wanted.children or run.supervisor.parent is None)
    )  # fmt: skip
    return [in_short(run) for run in islice(chosen, wanted.limit)]


def begun(run: Run[Any]) -> dict[str, Any]:
    """Tell which run it is, and its state."""
    return {"id": run.id, "state": str(run.state)}


def in_short(run: Run[Any]) -> dict[str, Any]:
    """Tell what a run is and how it stands."""
    return {
        "id": run.id, "name": run.name, "state": str(run.state), "devices": list(run.devices),
        "children": [child.id for child in run.children], "hidden": run.hidden, "service": run.service,
    }  # fmt: skip


def in_full(run: Run[Any]) -> dict[str, Any]:
    """Tell all of how a run stands."""
    error = run.reply.exception(0) if run.done() else None
    reasons = run.reasons
    steps = run.steps
    return in_short(run) | {
        "progress": progress_told(run.progress),
        "reasons": list(reasons),
        "why": [reason.data for reason in reasons],
        "parameters": plain(run.parameters),
        "steps": [step_told(step) for step in steps[:STEPS]],
        "steps_in_all": len(steps),
        "error": None if error is None else failure(error, f"run {run.id}", traces=False),
    }


def progress_told(progress: Progress | None) -> dict[str, Any] | None:
    """Tell how far something is."""
    told: dict[str, Any] | None = plain(progress and {"fraction": progress.fraction, **progress._asdict()})
    return told


def step_told(step: StepView) -> dict[str, Any]:
    """Tell how a step stands."""
    return {
        "number": step.number, "name": step.name, "label": step.label, "state": str(step.state),
        "attempts": step.attempts, "devices": list(step.devices), "after": list(step.after),
        "child": None if step.child is None else step.child.id,
        "error": None if step.error is None else failure(step.error, f"step {step.label}", traces=False),
    }  # fmt: skip


def steps_of(run: Run[Any], after: int, limit: int) -> dict[str, Any]:
    """Tell the steps that come after the first so many."""
    steps = run.steps
    told = [step_told(step) for step in steps[after : after + limit]]
    return {"steps": told, "next": after + len(told), "in_all": len(steps)}


def outcome(run: Run[Any], *, traces: bool) -> dict[str, Any]:
    """Tell what came out of a run that has ended."""
    told = begun(run)
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
    rows = [row_told(row, f"row {begin + at}", run.id) for at, row in enumerate(chosen)]
    return {"rows": rows, "next": begin + len(rows), "dropped": dataset.dropped}


def row_told(row: Row, what: str, run_id: str) -> dict[str, Any]:
    """Tell a row; if its values are no data, why: the others come all the same."""
    told = {"time": row.time, "body": row.body}
    try:
        return told | {"values": value_told(row.values, what)}
    except EncodingError as error:
        return told | {"values": None, "error": failure(error, f"run {run_id}", traces=False)}
