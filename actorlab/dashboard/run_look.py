"""Be what a page shows of a run and its steps: plain values, looked up in the lab or read from its journal."""

from __future__ import annotations

from typing import Final, Literal, NamedTuple, TypeAlias

from actorlab.core.run_state import RunState
from actorlab.rehearsal.words import in_words

__all__ = ["SIGNS", "TONES", "Act", "RunLook", "StepLook", "Tone", "acts_for", "state_words", "time_words"]

S = RunState
Tone: TypeAlias = Literal["good", "busy", "warn", "bad", "off"]
Act: TypeAlias = Literal["cancel", "pause", "resume", "retry"]

TONES: Final[dict[RunState, Tone]] = {
    S.WAITING: "off", S.RUNNING: "busy", S.PAUSING: "warn", S.PAUSED: "warn", S.RETRYING: "warn",
    S.CANCELLING: "warn", S.SUCCEEDED: "good", S.FAILED: "bad", S.CANCELLED: "warn", S.TIMED_OUT: "bad",
    S.SKIPPED: "off", S.INTERRUPTED: "warn", S.ABANDONED: "bad",
}  # fmt: skip
"""The colours of states, by the names of their classes in the style sheet."""
SIGNS: Final[dict[RunState, str]] = {
    S.WAITING: "○", S.RUNNING: "▶", S.PAUSING: "‖", S.PAUSED: "‖", S.RETRYING: "↻", S.CANCELLING: "◌",
    S.SUCCEEDED: "✓", S.FAILED: "✗", S.CANCELLED: "✗", S.TIMED_OUT: "✗", S.SKIPPED: "-", S.INTERRUPTED: "✗",
    S.ABANDONED: "!",
}  # fmt: skip


class StepLook(NamedTuple):
    """One step: how it stands, from when to when it went (seconds, on its run's clock), and which run it is."""

    number: int
    label: str
    state: RunState
    began: float | None = None
    ended: float | None = None
    devices: tuple[str, ...] = ()
    shared: tuple[str, ...] = ()
    attempts: int = 0
    fraction: float | None = None
    message: str = ""
    left: float | None = None
    run: RunLook | None = None
    error: str = ""


class RunLook(NamedTuple):
    """One run as it stood at a moment, `now`; times are seconds, all on one clock.

    Of many steps and children only some are there: `steps_in_all` and `children_in_all` say how many there are.
    """

    id: str
    name: str
    state: RunState
    now: float
    began: float | None = None
    ended: float | None = None
    fraction: float | None = None
    message: str = ""
    left: float | None = None
    reasons: tuple[str, ...] = ()
    devices: tuple[str, ...] = ()
    service: str = ""
    steps: tuple[StepLook, ...] = ()
    steps_in_all: int = 0
    units: int = 0
    """So many of its steps are runs of their own."""
    children: tuple[RunLook, ...] = ()
    children_in_all: int = 0
    error: str = ""
    journalled: bool = False

    @property
    def has_parts(self) -> bool:
        """Tell whether it has more than the one step that is its own body."""
        return self.steps_in_all > 1 or self.units + self.children_in_all > 0

    @property
    def under_way(self) -> bool:
        """Tell whether it has begun, and hasn't ended."""
        return not self.state.terminal and self.state is not S.WAITING


def state_words(state: RunState) -> str:
    """Write a state."""
    return state.value.replace("_", " ")


def time_words(look: RunLook | StepLook, now: float) -> str:
    """Say how long something took, or has taken so far and will still take; nothing if it hasn't begun."""
    if look.began is None:
        return ""
    took = in_words(max(0.0, (now if look.ended is None else look.ended) - look.began))
    if look.ended is not None or look.left is None or look.state.terminal:
        return took
    return f"{took}, {in_words(max(0.0, look.left))} left"


def acts_for(state: RunState, *, journalled: bool) -> tuple[Act, ...]:
    """Return what an operator can do with a run in a state; only a journal knows how one that has failed began."""
    match state:
        case S.WAITING | S.RUNNING | S.RETRYING:
            return ("pause", "cancel") if state is not S.WAITING else ("cancel",)
        case S.PAUSING | S.PAUSED:
            return ("resume", "cancel")
        case S.INTERRUPTED:
            return ("resume", "retry") if journalled else ()
        case S.FAILED | S.CANCELLED | S.TIMED_OUT | S.ABANDONED:
            return ("retry",) if journalled else ()
        case _:
            return ()
