"""Be a child run where there is no lab: the function was called, and this is how it ended."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from actorlab.core.run_state import RunState
from actorlab.kernel import Reply
from actorlab.runtime.run import Run

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["PlainRun"]

R = TypeVar("R")


class PlainRun(Run[R]):
    """A run that has ended already."""

    def __init__(self, function: Callable[..., R], args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self.name = getattr(function, "__name__", "run")
        self.id = f"{self.name}#0"
        self.reply: Reply[Any] = Reply()
        self.observed = False
        try:
            self.reply.finish(function(*args, **kwargs), None)
        except Exception as error:  # noqa: BLE001 - it is the run's to raise
            self.reply.finish(None, error)

    @property
    def state(self) -> RunState:
        """Return how it ended."""
        return RunState.SUCCEEDED if self.reply.exception(0) is None else RunState.FAILED

    def result(self, timeout: float | None = None) -> R:
        """Return the result, or raise the error."""
        del timeout
        return self.reply.outcome()  # type: ignore[no-any-return]  # what the function returned

    def cancel(self, reason: str = "") -> None:
        """Do nothing: it has ended."""

    def pause(self, reason: str = "") -> None:
        """Do nothing: it has ended."""

    def resume(self) -> None:
        """Do nothing: it has ended."""
