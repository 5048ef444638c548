"""Say what is told of a run or a step that has another state now."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from actorlab.core.run_state import RunState
from actorlab.errors import text_of

if TYPE_CHECKING:
    from actorlab.runtime.run_actor import RunActor

__all__ = ["told_of_run", "told_of_step"]

FAILURES: Final = (RunState.FAILED, RunState.RETRYING, RunState.TIMED_OUT, RunState.PAUSED, RunState.ABANDONED)


def told_of_run(actor: RunActor, state: RunState) -> dict[str, Any]:
    """Return what is told of a run that goes on; of one step: which attempt it is, or why it is tried again."""
    told: dict[str, Any] = {"state": state}
    if len(actor.work) == 1:
        told |= {"step": actor.work[0].name, "attempt": actor.core.attempts(0)}
        if state is RunState.RETRYING:
            told["error"] = last_error(actor, 0)
    return told


def told_of_step(actor: RunActor, step: int, state: RunState) -> dict[str, Any]:
    """Return what is told of a step: where it belongs, how it stands, and why it has failed, if so."""
    told: dict[str, Any] = {
        "state": state, "index": step, "run": actor.id, "step": actor.work[step].name,
        "attempt": actor.core.attempts(step),
    }  # fmt: skip
    if state in FAILURES:
        told["error"] = last_error(actor, step)
    return told


def last_error(actor: RunActor, step: int) -> str | None:
    """Return the last error of a step, in words."""
    errors = [error for number, error in actor.core.errors if number == step]
    return text_of(errors[-1]) if errors else None
