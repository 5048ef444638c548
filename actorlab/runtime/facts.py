"""Gather what a journal knows of a run, as data for other programs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from actorlab.journal import JournalReader
    from actorlab.journal.kept_rows import RowsSummary
    from actorlab.runtime.history import History, StepHistory

__all__ = ["Facts", "run_as_data", "trace_of"]


class Facts:
    """What is told of a run."""

    def __init__(self, reader: JournalReader, history: History) -> None:
        run = history.run
        self.history = history
        self.opening = next((it for it in reader.openings() if it.id == run.opening), None)
        file = history.told.get("file")
        self.source = reader.source(file, run.created) if file else None
        self.data: RowsSummary = reader.rows(run.id).summary()

    def as_data(self) -> dict[str, Any]:
        """Return it for other programs; times are seconds since 1970."""
        told, opening = self.history.told, self.opening
        return {
            **run_as_data(self.history),
            "arguments": {"args": told.get("args", ()), "kwargs": told.get("kwargs", {})},
            "options": told.get("options", {}),
            "source": self.source,
            "lab": None if opening is None else opening._asdict(),
            "devices": self.history.devices,
            "data": self.data._asdict(),
        }


def run_as_data(history: History) -> dict[str, Any]:
    """Return what a run did, with its child runs."""
    listed = {name: value for name, value in history.run._asdict().items() if name != "about"}
    return {
        **listed,
        "reason": history.reason,
        "traceback": "" if not isinstance(history.error, BaseException) else trace_of(history.error),
        "steps": [step_as_data(step) for step in history.steps],
        "children": [run_as_data(child) for child in history.children],
    }


def step_as_data(step: StepHistory) -> dict[str, Any]:
    """Return what a step did."""
    told = {name: value for name, value in step._asdict().items() if name not in ("error", "run")}
    error = None if step.error is None else f"{type(step.error).__name__}: {step.error}"
    return {**told, "error": error, "run": None if step.run is None else run_as_data(step.run)}


def trace_of(error: BaseException) -> str:
    """Return the traceback that was written down with an error."""
    text = getattr(error, "recorded_traceback", "")
    return f"Traceback (most recent call last):\n{text}" if text else ""
