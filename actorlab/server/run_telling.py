"""Tell how runs and their steps stand, and what came out of them."""

from __future__ import annotations

from itertools import islice
from math import prod
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from actorlab.data.references import ArrayRef
from actorlab.errors import ActorLabError, ConfigError, EncodingError
from actorlab.server.refusing import Refused
from actorlab.server.telling import failure, plain, value_told

if TYPE_CHECKING:
    from collections.abc import Iterable

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
    "page_of",
    "progress_told",
    "rows_of",
    "steps_of",
]

PAGE: Final = 32 * 1024 * 1024
"""So many bytes of arrays are sent at a time, but always one row."""
LARGEST_ITEM: Final = 16
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


def rows_of(run: Run[Any], after: int, limit: int, *, arrays: bool) -> dict[str, Any]:
    """Tell the rows that come after the first so many, and how many were let go."""
    dataset = run.data
    begin = max(after, dataset.dropped)
    chosen = islice(dataset, begin - dataset.dropped, begin - dataset.dropped + limit)
    rows = page_of(chosen, begin, run.id, arrays=arrays)
    return {"rows": rows, "next": begin + len(rows), "dropped": dataset.dropped}


def page_of(chosen: Iterable[Row], begin: int, run_id: str, *, arrays: bool) -> list[dict[str, Any]]:
    """Tell rows, as many as fit; with the arrays themselves, if they are wanted, and not references to the files."""
    told: list[dict[str, Any]] = []
    left = PAGE
    for row in chosen:
        told.append(row_told(row, f"row {begin + len(told)}", run_id, arrays=arrays))
        left -= sum(size_of(value) for value in row.values.values()) if arrays else 0
        if left < 0:
            break
    return told


def row_told(row: Row, what: str, run_id: str, *, arrays: bool) -> dict[str, Any]:
    """Tell a row; if its values are no data, or their files are gone, why: the others come all the same."""
    told = {"time": row.time, "body": row.body}
    try:
        values = {name: read(name, value) for name, value in row.values.items()} if arrays else row.values
        return told | {"values": value_told(values, what)}
    except (ActorLabError, OSError) as error:
        return told | {"values": None, "error": failure(error, f"run {run_id}", traces=False)}


def read(name: str, value: Any) -> Any:
    """Read an array that is kept in a file; whatever else it is stays as it is."""
    if not isinstance(value, ArrayRef):
        return value
    from actorlab.journal.kept_rows import with_unit  # noqa: PLC0415 - it brings the database, for those who keep one

    return with_unit(name, [value.read()], value.unit or None)[0]


def size_of(value: Any) -> int:
    """Return how many bytes a kept array has, at most."""
    return prod(value.shape) * LARGEST_ITEM if isinstance(value, ArrayRef) else 0
