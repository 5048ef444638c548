"""Register what is to be done at the end of a workflow, whatever ends it."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Final, ParamSpec

from actorlab.errors import WorkflowError
from actorlab.scope import Scope, current

__all__ = ["cleanup", "plain_workflow"]

P = ParamSpec("P")


@dataclass(frozen=True, slots=True)
class PlainWorkflow:
    """A workflow that was called as a plain function: where that happened, and its clean-ups so far."""

    scope: Scope
    cleanups: ExitStack


_innermost: Final[ContextVar[PlainWorkflow | None]] = ContextVar("actorlab_plain_workflow", default=None)


def cleanup(task: Callable[P, object], *args: P.args, **kwargs: P.kwargs) -> None:
    """Let a task or function be called at the end of this workflow, whatever ends it; the last registered comes first.

    Raises `WorkflowError` outside of a workflow.
    """
    scope, plain = current.get(), _innermost.get()
    if plain is not None and plain.scope is scope:  # else a lab runs or draws something inside that workflow
        plain.cleanups.callback(task, *args, **kwargs)
    elif not scope.cleanup(task, args, kwargs):
        name = getattr(task, "__name__", repr(task))
        message = f"cleanup({name}, …) stands outside of a workflow: decorate the function that calls it with @workflow"
        raise WorkflowError(message)


@contextmanager
def plain_workflow() -> Generator[None]:
    """Be inside a workflow that runs as a plain function: at the end come its clean-ups, last registered first."""
    with ExitStack() as cleanups:
        token = _innermost.set(PlainWorkflow(current.get(), cleanups))
        try:
            yield
        finally:
            _innermost.reset(token)
