"""Ask the lab that writes a journal to cancel or pause a run, or why it waits; of an ended one the journal knows."""

from __future__ import annotations

import time
from typing import Any, Final

from actorlab.core.run_state import RunState
from actorlab.errors import ConfigError
from actorlab.journal import JournalReader, KeptRun
from actorlab.runtime.history import History, StepHistory, history_of

__all__ = ["await_state", "cancel_run", "pause_run", "refuse_ended", "why_run"]

S = RunState
PAUSE: Final = 0.1


def cancel_run(reader: JournalReader, run: KeptRun, reason: str, seconds: float) -> int:
    """Cancel a run, and wait some seconds for its end; return 0 if it has ended by then, else 1."""
    if run.terminal:
        print(f"{run.id} has ended already: {run.state}")  # noqa: T201 - a command line prints
        return 0
    refuse_left(reader, run)
    reader.ask("cancel", {"run": run.id, "reason": reason})
    state = await_state(reader, run.id, tuple(state for state in S if state.terminal), seconds)
    ended = state.terminal
    print(f"{run.id} {state}{'' if ended else ': it is asked to end, and has not yet'}")  # noqa: T201 - as above
    return 0 if ended else 1


def pause_run(reader: JournalReader, run: KeptRun, reason: str, seconds: float) -> int:
    """Pause a run, and wait some seconds until it stands; return 0 if it does by then, else 1."""
    refuse_ended(run)
    refuse_left(reader, run)
    reader.ask("pause", {"run": run.id, "reason": reason})
    state = await_state(reader, run.id, (S.PAUSED, *(state for state in S if state.terminal)), seconds)
    late = ": it stands still at its next checkpoint, or between two steps"
    print(f"{run.id} {state}{late if state is S.PAUSING else ''}")  # noqa: T201 - as above
    return 0 if state is S.PAUSED else 1


def refuse_ended(run: KeptRun) -> None:
    """Raise `ConfigError` if a run has ended."""
    if run.terminal:
        message = f"{run.id} has ended: {run.state}{f' ({run.error})' if run.error else ''}"
        raise ConfigError(message)


def refuse_left(reader: JournalReader, run: KeptRun) -> None:
    """Raise `ConfigError` if the lab of a run is gone: only its journal has it as if it went on."""
    if reader.owner() is None:
        message = f"{run.id} doesn't run: its lab ended in the middle of it; go on with it by: actorlab resume {run.id}"
        raise ConfigError(message)


def await_state(reader: JournalReader, run: str, states: tuple[RunState, ...], seconds: float) -> RunState:
    """Wait at most some seconds for one of some states, and return the state."""
    until = time.monotonic() + seconds
    while (state := RunState(reader.run(run).state)) not in states and time.monotonic() < until:
        time.sleep(PAUSE)
    return state


def why_run(reader: JournalReader, run: KeptRun) -> int:
    """Say why a run waits, or how it ended and what it was doing; return 0."""
    history = history_of(reader, run)
    reasons: list[str] = []
    if not run.terminal and reader.owner() is not None:
        reasons = [str(reason) for reason in asked_why(reader, run)]
    for said in [*standing(reader, history), *reasons, *map(step_in_words, history.doing)]:
        print(said)  # noqa: T201 - a command line prints
    return 0


def asked_why(reader: JournalReader, run: KeptRun) -> list[Any]:
    """Ask the lab; it may have ended, or forgotten the run, since."""
    try:
        found: list[Any] = reader.ask("why", {"run": run.id})
    except ConfigError:
        return []
    return found


def standing(reader: JournalReader, history: History) -> list[str]:
    """Say how a run stands, and in which words it ended."""
    run = history.run
    if not run.terminal and reader.owner() is None:
        return [f"{run.id} was {run.state} when its lab ended; go on with it by: actorlab resume {run.id}"]
    said = [f"{run.id} is {run.state}" if not run.terminal else f"{run.id} {run.state}"]
    told = [text for text in dict.fromkeys((history.reason, run.error or "")) if text]
    if run.state != S.SUCCEEDED and told and run.terminal:
        said[0] += f": {'; '.join(told)}"
    if run.state == S.INTERRUPTED and run.parent is None:
        said.append(f"go on with it by: actorlab resume {run.id}")
    if run.state in (S.FAILED, S.CANCELLED, S.TIMED_OUT) and run.parent is None:
        said.append(f"do again what failed by: actorlab retry {run.id}")
    return said


def step_in_words(step: StepHistory) -> str:
    """Say what a step does, or did when its run was cut off."""
    devices = ", ".join((*step.devices, *step.shared))
    on = f" on {devices}" if devices else ""
    return f"step {step.number}, {step.name}{on}: {step.state}"
