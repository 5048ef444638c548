"""Find the spans of runs and of the attempts of their steps in what a lab tells: when each opens, and how it closes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

from actorlab.core.backlog import GAP
from actorlab.core.run_state import RunState

if TYPE_CHECKING:
    from actorlab.core.backlog import Event

__all__ = ["LOST", "WHOLE", "Action", "Close", "Mark", "Open", "Place", "SpanTree"]

LOST: Final = "lost"
"""The state of what was closed because its end wasn't heard."""


class Place(NamedTuple):
    """What a span is of: an attempt (from 1) of a step of a run, or with `WHOLE` the run itself."""

    run: str
    step: int
    attempt: int


WHOLE: Final = (-1, 0)


class Open(NamedTuple):
    """A span begins."""

    place: Place
    name: str
    at: float


class Mark(NamedTuple):
    """Something happens within it."""

    place: Place
    what: str
    at: float


class Close(NamedTuple):
    """It ends, in a state, and maybe by an error."""

    place: Place
    at: float
    state: str
    error: str | None


Action: TypeAlias = Open | Mark | Close
S = RunState


class SpanTree:
    """The spans that are open; `take` is its only writer. What opens is closed once, a run after its steps."""

    def __init__(self) -> None:
        self._runs: dict[str, dict[int, int]] = {}
        """The attempts that are under way, by run and step."""

    def take(self, event: Event) -> list[Action]:
        """Take an event, and return what follows, in order."""
        if event.kind == GAP:
            return self.close_all(event.time)
        if event.kind == "run":
            return self._run(event)
        return self._step(event) if event.kind == "step" else []

    def close_all(self, at: float) -> list[Action]:
        """Close what is open, as its end isn't heard any more."""
        return [action for run in list(self._runs) for action in self._close_run(run, at, LOST, None)]

    def _run(self, event: Event) -> list[Action]:
        run, state, at = event.subject, S(event.data["state"]), event.time
        whole = Place(run, *WHOLE)
        if state is S.WAITING:
            before = self._close_run(run, at, LOST, None) if run in self._runs else []
            self._runs[run] = {}
            return [*before, Open(whole, event.data["task"], at)]
        if run not in self._runs:  # it began before this, or in a gap
            return []
        if state.terminal:
            return self._close_run(run, at, state.value, event.data["error"])
        actions: list[Action] = [Mark(whole, state.value, at)]
        attempt = event.data.get("attempt", 0)
        if attempt and state is S.RUNNING:
            actions += self._begin(Place(run, 0, attempt), event.data["step"], at)
        elif attempt and state is S.RETRYING:
            actions += self._end(run, 0, at, S.FAILED.value, event.data.get("error"))
        return actions

    def _step(self, event: Event) -> list[Action]:
        data = event.data
        run, step, state = data["run"], data["index"], S(data["state"])
        if run not in self._runs:
            return []
        match state:
            case S.RUNNING:
                return self._begin(Place(run, step, data["attempt"]), data["step"], event.time)
            case S.CANCELLING:
                attempt = self._runs[run].get(step)
                return [] if attempt is None else [Mark(Place(run, step, attempt), state.value, event.time)]
            case S.RETRYING | S.PAUSED:  # it has failed, and is tried again, or a person decides about that
                return self._end(run, step, event.time, S.FAILED.value, data.get("error"))
            case _:
                return self._end(run, step, event.time, state.value, data.get("error"))

    def _begin(self, place: Place, name: str, at: float) -> list[Action]:
        """Open an attempt, unless it is open: a run that was paused goes on in the same one."""
        attempts = self._runs[place.run]
        if attempts.get(place.step) == place.attempt:
            return []
        before = self._end(place.run, place.step, at, LOST, None)
        attempts[place.step] = place.attempt
        return [*before, Open(place, name, at)]

    def _end(self, run: str, step: int, at: float, state: str, error: str | None) -> list[Action]:
        attempt = self._runs[run].pop(step, None)
        return [] if attempt is None else [Close(Place(run, step, attempt), at, state, error)]

    def _close_run(self, run: str, at: float, state: str, error: str | None) -> list[Action]:
        steps = list(self._runs[run])
        closed = [action for step in steps for action in self._end(run, step, at, state, error)]
        del self._runs[run]
        return [*closed, Close(Place(run, *WHOLE), at, state, error)]
