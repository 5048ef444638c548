"""Read from a journal what a run did and when: its steps, its child runs, its errors, and what its devices said."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from actorlab.core import run_events as ev
from actorlab.core.run_state import RunState
from actorlab.replay import RUN_EVENTS, Cores

if TYPE_CHECKING:
    from actorlab.core.run_core import RunCore
    from actorlab.journal import JournalReader, KeptRun

__all__ = ["History", "StepHistory", "history_of"]

S = RunState
MANY: Final = 2000
"""So many child runs of a run are read."""
DEEP: Final = 6
"""So deep child runs of child runs are read."""
WANTED: Final = ("run", "drawn", "devices", "state", *RUN_EVENTS)


class StepHistory(NamedTuple):
    """A step: how it stands, from when to when (seconds since 1970) its last attempt went, and with which error."""

    number: int
    name: str
    state: RunState
    began: float | None
    ended: float | None
    attempts: int
    devices: tuple[str, ...]
    shared: tuple[str, ...]
    error: BaseException | None
    run: History | None
    """The run of a step that is one of its own."""


class History(NamedTuple):
    """What a run did: `told` is what was asked for, `children` the runs that its bodies have started."""

    run: KeptRun
    told: dict[str, Any]
    steps: tuple[StepHistory, ...]
    after: tuple[tuple[int, ...], ...]
    """After which others each step comes."""
    children: tuple[History, ...]
    devices: dict[str, Any]
    error: BaseException | str | None
    reason: str
    """Why it was ended or paused, in the words of whoever did that."""
    incomplete: str
    """What of it the journal doesn't have."""

    @property
    def doing(self) -> tuple[StepHistory, ...]:
        """Return the steps that are under way, or were when it ended."""
        known = (S.WAITING, S.SUCCEEDED, S.SKIPPED)
        return tuple([step for step in self.steps if step.state not in known and not is_over(step)])


def is_over(step: StepHistory) -> bool:
    """Tell whether a step has come to an end of its own."""
    return step.state in (S.FAILED, S.TIMED_OUT) and step.ended is not None


def history_of(reader: JournalReader, run: KeptRun, deep: int = DEEP) -> History:
    """Read what a run did, with its child runs.

    Raises:
        JournalError: the journal can't be read.

    """
    telling = Telling(run)
    for event in reader.events(run.id, kinds=WANTED):
        telling.tell(event.kind, event.payload, event.time)
    kept = reader.runs(parent=run.id, limit=MANY)[::-1] if deep else []
    children = [history_of(reader, child, deep - 1) for child in kept]
    units = {child.told["place"]["step"]: child for child in children if is_unit(child)}
    own = {id(child) for child in units.values()}
    others = tuple([child for child in children if id(child) not in own and not is_unit(child)])
    return telling.history(units, others)


def is_unit(child: History) -> bool:
    """Tell whether a run is a step of its parent, and wasn't started by a body."""
    place = child.told.get("place")
    return isinstance(place, dict) and "attempt" not in place


class Telling:
    """What is known of a run so far, while its events are gone through."""

    def __init__(self, run: KeptRun) -> None:
        self._run = run
        self._cores = Cores()
        self._told: dict[str, Any] = dict(run.about)
        self._drawn: list[Sequence[Any]] = []
        self._began: dict[int, float] = {}
        self._ended: dict[int, float] = {}
        self._errors: dict[int, BaseException] = {}
        self._devices: dict[str, Any] = {}
        self._error: BaseException | str | None = run.error
        self._incomplete = ""

    def tell(self, kind: str, payload: Any, at: float) -> None:
        """Hear of an event."""
        match kind:
            case "run":
                self._told |= payload
            case "devices":
                self._devices = payload
            case "state":
                self._error = payload.get("error") if self._run.error else None
            case _:
                if kind == "drawn":
                    self._drawn = payload["steps"]
                if not self._incomplete:
                    self._tell_core(kind, payload, at)

    def _tell_core(self, kind: str, payload: Any, at: float) -> None:
        if kind == "BodyEnded" and payload[2:3] and payload[2] is not None:
            self._errors[payload[0]] = payload[2]
        try:
            actions = self._cores.tell(self._run.id, kind, payload, at)
        except (KeyError, IndexError, TypeError, ValueError) as error:
            self._incomplete = f"what it did after {kind} isn't all there ({type(error).__name__})"
            return
        self._note(actions, at)

    def _note(self, actions: Iterable[Any], at: float) -> None:
        for action in actions:
            if isinstance(action, ev.StartBody):
                self._began[action.step] = at
                self._ended.pop(action.step, None)
            elif isinstance(action, ev.StepMoved) and action.new.terminal and action.step in self._began:
                self._ended.setdefault(action.step, at)  # a resumed run goes past it once more

    def history(self, units: dict[int, History], children: tuple[History, ...]) -> History:
        """Return what is known in the end."""
        core = self._cores.runs.get(self._run.id)
        steps = () if core is None else tuple([self._step(core, number, units) for number in range(len(self._drawn))])
        after = () if core is None else core.spec.plan.parents
        return History(
            self._run, self._told, steps, tuple(map(tuple, after)), children, self._devices, self._error,
            "" if core is None else core.reason, self._incomplete,
        )  # fmt: skip

    def _step(self, core: RunCore, number: int, units: dict[int, History]) -> StepHistory:
        name, exclusive, shared = self._drawn[number]
        state = core.step_state(number)
        if self._run.terminal and not state.terminal and state is not S.WAITING:
            state = S.INTERRUPTED
        unit = units.get(number)
        began, ended = self._began.get(number), self._ended.get(number)
        if unit is not None:
            state, began, ended = RunState(unit.run.state), unit.run.started, unit.run.ended
        elif began is not None and ended is None and state.terminal and state is not S.INTERRUPTED:
            ended = self._run.ended  # a run of one step moves with it
        error = self._errors.get(number) if state is not S.SUCCEEDED else None
        return StepHistory(
            number, name, state, began, ended, core.attempts(number), tuple(exclusive), tuple(shared), error, unit
        )  # fmt: skip
