"""Find out all that a page tells of one run: in the lab, if it still has it, else in the journal.

What is here runs in a thread, and waits for no device.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from actorlab.core.run_state import RunState
from actorlab.dashboard.log_lines import Line, line_of
from actorlab.dashboard.run_look import RunLook, StepLook
from actorlab.dashboard.run_looking import look_at_run
from actorlab.encoding import decode, only_ours
from actorlab.errors import ConfigError, JournalError, RunCancelled, text_of
from actorlab.runtime.history import History, StepHistory, history_of
from actorlab.runtime.shown_values import arguments_text, shortened
from actorlab.server.telling import trace_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from actorlab.core.graph import Graph
    from actorlab.rehearsal.rehearsal import Rehearsal
    from actorlab.runtime.lab import Lab
    from actorlab.runtime.run import Run

__all__ = ["Failure", "LiveRun", "PastRun", "Told", "find_run"]

S = RunState
MANY: Final = 25
"""So many steps and child runs are listed on the page of a run."""
TURN: Final = 1.0
SHARE: Final = 6
"""To reckon when a run will have ended takes this part of the time at most."""
LONGEST: Final = 4000
"""So much of a result is shown."""


class Failure(NamedTuple):
    """An error: where it was, what it says, its notes, and for an admin its traceback."""

    where: str
    text: str
    notes: tuple[str, ...] = ()
    traceback: str = ""


class Told(NamedTuple):
    """What a page tells of a run at one moment; `facts` are pairs of a name and a text."""

    look: RunLook
    states: tuple[RunState, ...]
    facts: tuple[tuple[str, str], ...] = ()
    failures: tuple[Failure, ...] = ()
    result: str | None = None
    parameters: dict[str, Any] = {}  # noqa: RUF012 - nobody writes to it
    rows: int = 0
    log: tuple[Line, ...] = ()


class LiveRun:
    """A run that the lab has."""

    is_past = False

    def __init__(self, run: Run[Any]) -> None:
        self.run = run
        self.id = run.id
        self._left: float | None = None
        self._left_at = 0.0
        self._next = time.monotonic() + TURN  # a page comes first, and then what takes longer

    def told(self, *, traces: bool) -> Told:
        """Tell how it stands."""
        run = self.run
        look = look_at_run(run, parts=MANY, full=True)
        look = look._replace(left=self._seconds_left(look))
        error = run.reply.exception(0) if run.done() else None
        failures = () if error is None else tuple(failures_of(run, error, traces=traces))
        result = shown_result(run) if run.done() and error is None else None
        actor = run.supervisor
        facts = (
            ("Task", actor.drawing.name if actor.drawing is not None else run.name),
            ("Devices", ", ".join(run.devices)),
            ("Service", run.service),
            ("Arguments", arguments_text(asked_of(actor.asked)) if actor.asked else ""),
        )
        return Told(
            look, tuple(run.steps.states), tuple([fact for fact in facts if fact[1]]), failures, result,
            run.parameters, rows_there(run), tuple([line for event in run.log if (line := line_of(event)) is not None]),
        )  # fmt: skip

    def _seconds_left(self, look: RunLook) -> float | None:
        """Return how many seconds are left; to reckon with all that is known takes longer, and is done more seldom."""
        now = time.monotonic()
        if look.state.terminal:
            return None
        if now >= self._next:
            self._left, self._left_at = self.run.eta(), now
            self._next = now + max(TURN, SHARE * (time.monotonic() - now))
        if self._left is None:
            return look.left
        return max(0.0, self._left - (now - self._left_at))

    def graph(self) -> Graph | None:
        """Return the graph of its steps, if it is a workflow."""
        drawing = self.run.supervisor.drawing
        return None if drawing is None else drawing.graph

    def timeline(self) -> Rehearsal:
        """Return what it has done, and what is planned of the rest."""
        return self.run.supervisor.lab.rehearse.planned(self.run)


class PastRun:
    """A run that only the journal has."""

    is_past = True

    def __init__(self, history: History, rows: int) -> None:
        self.history = history
        self.id = history.run.id
        self._rows = rows

    def told(self, *, traces: bool) -> Told:
        """Tell what is known of it."""
        history, run = self.history, self.history.run
        look = look_at_past(history, time.time())
        facts = (
            ("Task", run.task or run.kind),
            ("Arguments", arguments_text(history.told)),
            ("Asked for", " by ".join(filter(None, (clock_words(run.created), run.asker or "")))),
            ("Began", clock_words(run.started)),
            ("Ended", clock_words(run.ended)),
            ("Part of", run.parent or ""),
            ("Not in the journal", history.incomplete),
        )
        error = history.error or (run.error if run.error and run.state != S.SUCCEEDED else None)
        failures = () if error is None else (past_failure(error, run.id, traces=traces),)
        states = tuple([step.state for step in history.steps])
        return Told(look, states, tuple([fact for fact in facts if fact[1]]), failures, None, {}, self._rows)

    def graph(self) -> Graph | None:
        """Return the graph of its steps, as far as the journal tells it."""
        from actorlab.dashboard.run_graph import MOST_BOXES, graph_after  # noqa: PLC0415 - for those who ask for it

        steps = self.history.steps
        if not 1 < len(steps) <= MOST_BOXES:
            return None
        names, devices, shared = zip(*[(step.name, step.devices, step.shared) for step in steps], strict=True)
        return graph_after(names, self.history.after, devices, shared)

    def timeline(self) -> Rehearsal:
        """Return what it did, and when."""
        from actorlab.runtime.run_picture import timeline_of_history  # noqa: PLC0415 - loaded by those who ask for it

        return timeline_of_history(self.history, time.time())


def find_run(lab: Lab, run_id: str) -> LiveRun | PastRun:
    """Return a run of the lab or of its journal.

    Raises:
        ConfigError: neither has it.
        JournalError: the journal can't be read.

    """
    try:
        return LiveRun(lab.get(run_id))
    except ConfigError:
        if lab.journalling is None:
            raise
    journal = lab.journalling.journal
    journal.flush()
    with journal.reader(resolve=only_ours) as reader:
        try:
            kept = reader.run(run_id)
        except JournalError as error:
            message = f"neither the lab nor its journal has a run {run_id!r}"
            raise ConfigError(message) from error
        return PastRun(history_of(reader, kept), reader.count_recorded(run_id))


def clock_words(seconds: float | None) -> str:
    """Write a time as the clock on the wall shows it."""
    return "" if seconds is None else time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(seconds))


# -- runs of the lab


def rows_there(run: Run[Any]) -> int:
    """Return how many rows a run has recorded since it was begun, or gone on with."""
    records = run.supervisor.notes.records
    return 0 if records is None else records.dropped + len(records)


def asked_of(told: Any) -> dict[str, Any]:
    """Return the arguments of a run as its journal keeps them."""
    kept = {name: told.get(name) for name in ("args", "kwargs")}
    asked: dict[str, Any] = decode(kept, resolve=only_ours, lenient=True)
    return asked


def failures_of(run: Run[Any], error: BaseException, *, traces: bool) -> Iterator[Failure]:
    """Yield the errors of a run, those of its steps first; the run's own only if it is none of these."""
    found: list[BaseException] = []
    for number, inner in reversed(run.supervisor.core.errors[-MANY:]):
        if all(inner is not other for other in found):
            found.append(inner)
            name = run.steps[number].label if number >= 0 else "a clean-up"
            yield failure_of(inner, f"step {name}" if len(run.steps) > 1 else run.id, traces=traces)
    if all(error is not other for other in found) and not is_only_cancelled(error):
        yield failure_of(error, run.id, traces=traces)


def is_only_cancelled(error: BaseException) -> bool:
    """Tell whether an error says no more than that somebody wished for it, and why; the run's reasons say that."""
    return isinstance(error, RunCancelled) and not error.unsafe and not getattr(error, "__notes__", ())


def failure_of(error: BaseException, where: str, *, traces: bool) -> Failure:
    """Return what is told of an error."""
    notes = tuple(map(str, getattr(error, "__notes__", ())))
    return Failure(where, text_of(error), notes, trace_of(error) if traces else "")


def shown_result(run: Run[Any]) -> str:
    """Write what a run has returned; that is its author's own code, which may fail as well."""
    try:
        text = shortened(run.supervisor.value())
    except Exception as error:  # noqa: BLE001 - the boundary to the author's code
        return f"it can't be shown: {text_of(error)}"
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"


# -- runs of the journal


def past_failure(error: BaseException | str, where: str, *, traces: bool) -> Failure:
    """Return what the journal has of an error."""
    if isinstance(error, str):
        return Failure(where, error)
    trace = str(getattr(error, "recorded_traceback", "")) if traces else ""
    return Failure(where, text_of(error), tuple(map(str, getattr(error, "__notes__", ()))), trace)


def look_at_past(history: History, now: float) -> RunLook:
    """Return how a run of the journal stands."""
    run = history.run
    state = RunState(run.state)
    steps: Sequence[StepHistory] = history.steps
    return RunLook(
        run.id, run.name, state, run.ended or now,
        began=run.started,
        ended=run.ended,
        reasons=(history.reason,) if history.reason and state is not S.SUCCEEDED else (),
        steps=tuple([past_step(step, now) for step in steps[:MANY]]),
        steps_in_all=len(steps),
        units=sum(step.run is not None for step in steps),
        children=tuple([look_at_past(child, now) for child in history.children[:MANY]]),
        children_in_all=len(history.children),
        error=run.error or "",
        journalled=run.parent is None,
    )  # fmt: skip


def past_step(step: StepHistory, now: float) -> StepLook:
    """Return how a step of the journal stands."""
    return StepLook(
        step.number, step.name, step.state, step.began, step.ended, step.devices, step.shared, step.attempts,
        run=None if step.run is None else look_at_past(step.run, now),
        error="" if step.error is None else text_of(step.error),
    )  # fmt: skip
