"""Make the error that the reader of a run gets: how it ended, in which step, and what isn't known to be safe."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from actorlab.core.run_state import RunState
from actorlab.errors import ActorLabError, LeaseLost, RunCancelled, RunTimeout, repr_of, text_of

if TYPE_CHECKING:
    from actorlab.runtime.run_actor import RunActor

__all__ = ["error_of"]

S = RunState
STOPPED: Final[dict[RunState, tuple[type[RunCancelled], str]]] = {
    S.CANCELLED: (RunCancelled, "cancelled:"),
    S.TIMED_OUT: (RunTimeout, "stopped, since"),
    S.INTERRUPTED: (RunCancelled, "interrupted:"),
}
"""How those ends are told that nobody's error has brought about."""


def error_of(actor: RunActor) -> BaseException:
    """Make the error that the run's reader gets; longer than ten lines, as it is the table of how a run can end."""
    core = actor.core
    error: Any = core.error
    if actor.lost:
        error = LeaseLost(actor.lost)
    elif actor.options.keep_going and core.cause is S.FAILED and core.errors:
        failures = [failed for _, failed in core.errors if isinstance(failed, Exception)]
        error = ExceptionGroup(f"{len(failures)} steps of {actor.id} failed", failures)
    elif core.cause in STOPPED and error is None:
        error = stopped_error(actor)
    elif not isinstance(error, Exception):
        wrapped = ActorLabError(f"{actor.id} raised {repr_of(error)}")
        wrapped.__cause__ = error
        error = wrapped
    if not annotated(actor, error):
        wrapped = ActorLabError(f"{actor.id} raised {repr_of(error)}, to which nothing can be added")
        wrapped.__cause__ = error
        annotated(actor, wrapped)
        if core.unsafe or core.cleanup_errors or actor.stacks:  # else its reader misses nothing
            return wrapped
    return error  # type: ignore[no-any-return]  # an exception by now


def stopped_error(actor: RunActor) -> RunCancelled:
    """Make the error of a run that somebody, its own timeout, or the end of its lab has stopped."""
    core = actor.core
    kind, how = STOPPED[core.cause]
    text = f"{actor.id} was {how} {core.reason}"
    return kind(text, reason=core.reason, abandoned=tuple(actor.stacks), partial=actor.values.get(0))


def annotated(actor: RunActor, error: Any) -> bool:
    """Try to say which run and step it was, what isn't safe, and which clean-ups failed: its class may not let one."""
    try:
        annotate(actor, error)
    except Exception:  # noqa: BLE001 - a boundary: the class of an error is its author's code; a frozen one refuses
        return False
    return True


def annotate(actor: RunActor, error: Any) -> None:
    """Say which run and step it was, what isn't safe, and which clean-ups failed."""
    core = actor.core
    step = actor.work[core.failed_step].name if core.failed_step is not None and actor.drawing is not None else ""
    if not isinstance(error, RunCancelled):
        error.add_note(f"in step {step} of {actor.id}" if step else f"in {actor.id}")
    for name, why in core.unsafe.items():
        error.add_note(f"{name} is not known to be safe: {why}")
    for index, failed in core.cleanup_errors:
        if failed is not error:
            error.add_note(f"the clean-up {actor.cleanups[index].name} failed: {repr_of(failed)}")
    for name, failed in actor.notes.failed_stopping:
        if failed is not error:
            error.add_note(f"{name} failed as it was stopped: {text_of(failed)}")
    if not isinstance(error, RunCancelled):
        for stack in actor.stacks:
            error.add_note(stack)
    with suppress(AttributeError):  # an exception with slots can't say which
        error.safe, error.unsafe = tuple(core.safe), tuple(core.unsafe)
