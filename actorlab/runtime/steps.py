"""Show the steps of a run as they stand: by number, by name, one after another; each is looked at when asked for."""

from __future__ import annotations

import difflib
import re
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, overload

from actorlab.core.run_state import RunState
from actorlab.errors import ConfigError

if TYPE_CHECKING:
    from actorlab.runtime.notes import Progress
    from actorlab.runtime.run import Run
    from actorlab.runtime.run_actor import RunActor

__all__ = ["StepView", "Steps"]

S = RunState


class StepView(NamedTuple):
    """One step of a workflow's run, as it stood when it was looked at.

    `devices` are those it takes for itself, `shared` those it only relies on; `values` are the numbers and texts among
    its arguments, which tell it from steps of the same name; `after` are the steps which it still waits for. `began`
    and `ended` are monotonic seconds, of its last attempt. `child` is the run of a step that is a run of its own: a
    nested workflow, or one that leases for itself. `label` is its name, with its place among those of the same name.
    """

    number: int
    name: str
    state: RunState
    attempts: int
    devices: tuple[str, ...]
    progress: Progress | None
    began: float | None
    ended: float | None
    child: Run[Any] | None
    shared: tuple[str, ...]
    values: tuple[Any, ...]
    after: tuple[int, ...]
    label: str = ""
    supervisor: RunActor | None = None

    @property
    def error(self) -> BaseException | None:
        """Return what its last attempt that failed has raised, or None."""
        actor = self.supervisor
        errors = [] if actor is None else actor.core.errors
        return next((error for step, error in reversed(errors) if step == self.number), None)

    @property
    def value(self) -> Any:
        """Return what it has returned: also while the run goes on, and after it has failed.

        Raises:
            Exception: its own error, if it has failed.
            ConfigError: it has no value yet, or never will have one.

        """
        actor = self.supervisor
        if actor is not None and actor.core.step_state(self.number) is S.SUCCEEDED:
            return actor.values[self.number]
        if self.error is not None and self.state.terminal:
            raise self.error
        text = f"{self.label or self.name} is {self.state}, so it has no value{'' if self.state.terminal else ' yet'}"
        raise ConfigError(text)

    @property
    def seconds(self) -> float | None:
        """Return how long its last attempt took, or None if it hasn't ended."""
        return None if self.began is None or self.ended is None else self.ended - self.began


class Steps(Sequence[StepView]):
    """The steps of a run in written order: ``run.steps[3]``, ``run.steps["report"]``, ``run.steps["iv_curve[2]"]``.

    Of several with the same name the first is ``[0]``. A step is looked at when it is asked for, so that one of a
    hundred thousand costs no more than one of ten.
    """

    __slots__ = ("_actor", "_places")

    def __init__(self, actor: RunActor) -> None:
        self._actor = actor
        self._places: dict[str, list[int]] | None = None

    def __len__(self) -> int:
        return len(self._actor.work)

    @overload
    def __getitem__(self, place: int | str) -> StepView: ...
    @overload
    def __getitem__(self, place: slice) -> tuple[StepView, ...]: ...
    def __getitem__(self, place: int | str | slice) -> StepView | tuple[StepView, ...]:
        """Return a step as it stands now.

        Raises:
            IndexError: there is no step of this number.
            ConfigError: there is none of this name, or there are several; the message says how they are told apart.

        """
        if isinstance(place, str):
            return self._view(self._named(place))
        if isinstance(place, slice):
            return tuple([self._view(step) for step in range(*place.indices(len(self)))])
        step = place + len(self) if place < 0 else place
        if not 0 <= step < len(self):
            text = f"{self._actor.id} has no step {place}: it has {len(self)} steps, the first is 0"
            raise IndexError(text)
        return self._view(step)

    def __iter__(self) -> Iterator[StepView]:
        return map(self._view, range(len(self)))

    @property
    def states(self) -> list[RunState]:
        """Return the states of all steps."""
        return list(map(self._actor.core.step_state, range(len(self))))

    @property
    def counts(self) -> dict[RunState, int]:
        """Return how many steps are in each state."""
        return dict(Counter(self.states))

    @property
    def children(self) -> tuple[Run[Any], ...]:
        """Return the runs of those that have begun and are runs of their own."""
        return tuple(self._actor.units.values())

    def ended(self, step: int) -> float:
        """Return when a step has ended (monotonic seconds), or 0."""
        return self._actor.notes.ended.get(step, 0.0)

    def _named(self, name: str) -> int:
        places = self._numbers()
        found = places.get(name, [])
        if len(found) == 1:
            return found[0]
        if found:
            last = f"{name}[{len(found) - 1}]"
            text = f"{self._actor.id} has {len(found)} steps named {name!r}: take '{name}[0]' to {last!r}"
            raise ConfigError(text)
        match = re.fullmatch(r"(.*)\[(\d+)\]", name)
        several = places.get(match[1], []) if match else []
        if match and int(match[2]) < len(several):
            return several[int(match[2])]
        close = difflib.get_close_matches(match[1] if match else name, places, 3)
        hint = f"did you mean {', '.join(map(repr, close))}?" if close else f"there are {', '.join(list(places)[:10])}"
        text = f"{self._actor.id} has no step {name!r}: {f'there are {len(several)} of that name' if several else hint}"
        raise ConfigError(text)

    def _numbers(self) -> dict[str, list[int]]:
        """Return the numbers of the steps by their names."""
        if self._places is None:
            self._places = {}
            for step, work in enumerate(self._actor.work):
                self._places.setdefault(work.name, []).append(step)
        return self._places

    def _label(self, step: int, name: str) -> str:
        same = self._numbers()[name]
        return name if len(same) == 1 else f"{name}[{bisect_left(same, step)}]"

    def _view(self, step: int) -> StepView:
        actor = self._actor
        core, notes, work = actor.core, actor.notes, actor.work[step]
        state = core.step_state
        values = [value for value in (*work.args, *work.kwargs.values()) if type(value) in (int, float, str, bool)]
        after = [] if state(step).terminal else [it for it in core.spec.plan.parents[step] if not state(it).terminal]
        return StepView(
            step, work.name, state(step), core.attempts(step), work.exclusive, notes.progress.get(step),
            notes.began.get(step), notes.ended.get(step), actor.units.get(step), work.shared, tuple(values),
            tuple(after), self._label(step, work.name), actor,
        )  # fmt: skip
