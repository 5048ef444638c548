"""Be a run in the eyes of a body in a worker process: what is asked of it is asked of the lab."""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING, Any, TypeVar

from actorlab.data.dataset import Dataset
from actorlab.kernel import Reply
from actorlab.runtime.process_messages import OfRun
from actorlab.runtime.run import Run
from actorlab.scope import current

if TYPE_CHECKING:
    from collections.abc import Callable

    from actorlab.core.run_state import RunState
    from actorlab.processes.inside import Inside
    from actorlab.runtime.notes import Progress
    from actorlab.runtime.reason import Reason

__all__ = ["RemoteRun"]

R = TypeVar("R")


class RemoteRun(Run[R]):
    """A run in the lab, by its number there; 0 is the body's own.

    It is of use as long as the body is under way, in that body.
    """

    def __init__(self, inside: Inside, number: int, run_id: str, name: str, ended: Reply[None] | None = None) -> None:
        self.id = run_id
        self.name = name
        self.observed = False
        self.reply: Reply[Any] = Reply() if ended is None else ended
        self._inside = inside
        self._number = number

    def _ask(self, name: str) -> Any:
        return self._inside.ask(OfRun(self._number, name, None, {}))

    def _call(self, name: str, *args: Any, **kwargs: Any) -> Any:
        return self._inside.ask(OfRun(self._number, name, args, kwargs))

    @property
    def state(self) -> RunState:
        """Return the state the run is in now."""
        state: RunState = self._ask("state")
        return state

    @property
    def progress(self) -> Progress | None:
        """Return how far the run is."""
        progress: Progress | None = self._ask("progress")
        return progress

    @property
    def reasons(self) -> tuple[Reason, ...]:
        """Say in words why the run waits, retries, pauses or ended as it did."""
        reasons: tuple[Reason, ...] = self._ask("reasons")
        return reasons

    @property
    def data(self) -> Dataset:
        """Return what the run's bodies have recorded until now."""
        rows, attributes = self._ask("data")
        return Dataset(rows, lambda: attributes)

    @property
    def parameters(self) -> dict[str, Any]:
        """Return the parameters that the run's bodies have declared, with their present values."""
        parameters: dict[str, Any] = self._ask("parameters")
        return parameters

    @property
    def service(self) -> str:
        """Return the name of the service whose life this run is, or nothing."""
        service: str = self._ask("service")
        return service

    @property
    def devices(self) -> tuple[str, ...]:
        """Return the names of the devices which the run holds or wants."""
        devices: tuple[str, ...] = self._ask("devices")
        return devices

    def set(self, **parameters: Any) -> None:
        """Set parameters of the run while it goes on."""
        self._call("set", **parameters)

    def done(self) -> bool:
        """Tell whether the run has ended."""
        return self.reply.done() or bool(self._call("done"))

    def result(self, timeout: float | None = None) -> R:
        """Wait for the run's end, at most `timeout` seconds, and return its result; it is a checkpoint."""
        self._before_waiting()
        value: R = self._call("result", timeout)
        return value

    def exception(self, timeout: float | None = None) -> BaseException | None:
        """Wait for the run's end, and return its error or None."""
        self._before_waiting()
        error: BaseException | None = self._call("exception", timeout)
        return error

    def _before_waiting(self) -> None:
        may = getattr(current.get(), "before_waiting", None)
        if may is not None:
            may(self)

    def cancel(self, reason: str = "") -> None:
        """Ask for the end of the run."""
        self._call("cancel", reason)

    def pause(self, reason: str = "") -> None:
        """Let the run stand still."""
        self._call("pause", reason)

    def resume(self) -> None:
        """Let a paused run go on."""
        self._call("resume")

    def add_done_callback(self, function: Callable[[Run[R]], object]) -> None:
        """Call `function(run)` once the run has ended, in a thread for that; an error it raises is logged."""

        def call() -> None:
            try:
                function(self)
            except Exception:
                logging.getLogger("actorlab").exception("a callback raised: %r", function)

        self.reply.when_done(lambda _: threading.Thread(target=call, daemon=True, name="actorlab callback").start())

    def __repr__(self) -> str:
        return f"<{self.id}, seen from a worker process>"
