"""Read what a lab's journal knows of runs, also those that ended long ago."""

from __future__ import annotations

from contextlib import contextmanager
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple

from actorlab.encoding import only_ours
from actorlab.errors import ConfigError, JournalError
from actorlab.journal import JournalReader
from actorlab.runtime.facts import Facts
from actorlab.runtime.history import History, StepHistory, history_of
from actorlab.server.refusing import Refused
from actorlab.server.run_telling import page_of
from actorlab.server.telling import plain

if TYPE_CHECKING:
    from collections.abc import Generator

    from actorlab.core.run_state import RunState
    from actorlab.journal import KeptRun
    from actorlab.runtime.lab import Lab

__all__ = ["Wanted", "events_of", "listed", "past_rows", "told_all", "why"]


class Wanted(NamedTuple):
    """Which runs are to be listed; `children` are those that other runs have started."""

    state: list[RunState]
    name: str | None
    since: float | None
    children: bool
    before: str | None
    limit: int


@contextmanager
def journal_of(lab: Lab) -> Generator[JournalReader]:
    """Open the journal of a lab for reading, or refuse, if it keeps none."""
    if lab.journalling is None:
        message = f"the lab {lab.name!r} keeps no journal, as Lab(journal=…) does: it knows nothing of earlier runs"
        raise Refused(409, ConfigError(message), "journal")
    with JournalReader.open(lab.journalling.journal.where, resolve=only_ours) as reader:
        yield reader


def kept(reader: JournalReader, run_id: str) -> KeptRun:
    """Return a run, or refuse one that isn't there, saying which are the latest."""
    try:
        return reader.run(run_id)
    except JournalError as error:
        latest = ", ".join(run.id for run in reader.runs(limit=5, brief=True)) or "there are none at all"
        message = f"the journal has no run {run_id!r}; the latest: {latest}"
        raise Refused(404, ConfigError(message), "journal") from error


def listed(lab: Lab, wanted: Wanted) -> list[dict[str, Any]]:
    """List runs, the latest first."""
    with journal_of(lab) as reader:
        if wanted.before is not None:
            kept(reader, wanted.before)
        found = reader.runs(
            state=[state.value for state in wanted.state] or None, name=wanted.name, since=wanted.since,
            roots=not wanted.children, before=wanted.before, limit=wanted.limit, brief=True,
        )  # fmt: skip
    return [{name: value for name, value in run._asdict().items() if name != "about"} for run in found]


def told_all(lab: Lab, run_id: str, *, traces: bool) -> dict[str, Any]:
    """Tell all of a run."""
    with journal_of(lab) as reader:
        facts = Facts(reader, history_of(reader, kept(reader, run_id))).as_data()
    told: dict[str, Any] = plain(facts if traces else without_traces(facts))
    return told


def without_traces(run: dict[str, Any]) -> dict[str, Any]:
    """Leave out the tracebacks of a run, and of those inside it: they show sources and paths of the server."""
    steps = [step if step["run"] is None else step | {"run": without_traces(step["run"])} for step in run["steps"]]
    return run | {"traceback": "", "steps": steps, "children": [without_traces(child) for child in run["children"]]}


def events_of(lab: Lab, run_id: str, after: int, limit: int) -> dict[str, Any]:
    """Tell the events of a run that come after the one of a number."""
    with journal_of(lab) as reader:
        found = [event for event in reader.events(kept(reader, run_id).id) if event.number > after][:limit]
    told = [{**event._asdict(), "payload": plain(event.payload)} for event in found]
    return {"events": told, "next": found[-1].number if found else after}


def past_rows(lab: Lab, run_id: str, after: int, limit: int, *, arrays: bool) -> dict[str, Any]:
    """Tell the rows that a run has recorded, after the first so many."""
    with journal_of(lab) as reader:
        chosen = islice(reader.rows(kept(reader, run_id).id), after, after + limit)
        rows = page_of(chosen, after, run_id, arrays=arrays)
    return {"rows": rows, "next": after + len(rows), "dropped": 0}


def why(lab: Lab, run_id: str) -> dict[str, Any]:
    """Say why a run waits; or how it ended, and what it was doing then."""
    with journal_of(lab) as reader:
        history = history_of(reader, kept(reader, run_id), deep=0)
    live = next((run for run in lab.runs if run.id == run_id), None)
    now = [] if live is None else [str(reason) for reason in live.reasons]
    return {
        "id": run_id,
        "state": history.run.state if live is None else str(live.state),
        "reasons": list(dict.fromkeys([*now, *said(history)])),
        "doing": [step_in_words(step) for step in history.doing],
    }


def said(history: History) -> list[str]:
    """Say in which words a run ended."""
    told = [history.reason, history.run.error or ""] if history.run.terminal else []
    return [text for text in told if text and history.run.state != "succeeded"]


def step_in_words(step: StepHistory) -> str:
    """Say what a step does, or did when its run was cut off."""
    devices = ", ".join((*step.devices, *step.shared))
    return f"step {step.number}, {step.name}{f' on {devices}' if devices else ''}: {step.state}"
