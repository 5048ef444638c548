"""Simulate a run: its bodies really run, on simulated twins of the devices and in virtual time."""

from __future__ import annotations

from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from actorlab.arguments import complete, needs, replace
from actorlab.core.virtual_lab import Performance, VirtualLab, VirtualRun
from actorlab.errors import ActorLabError, Cancelled, text_of
from actorlab.rehearsal.durations import Durations, Estimate
from actorlab.rehearsal.rehearsal import Rehearsal, Violation
from actorlab.runtime.rehearsing import Rehearser
from actorlab.runtime.virtual_body import TwinHold, VirtualBody
from actorlab.runtime.virtual_loop import run_in_virtual_time
from actorlab.task import Task, as_task
from actorlab.unknown import Unknown, value_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from actorlab.runtime.in_progress import InProgress
    from actorlab.runtime.on_paper import PaperLab
    from actorlab.runtime.run import Run
    from actorlab.runtime.run_actor import RunActor
    from actorlab.runtime.twin import Recipe, TwinCell
    from actorlab.runtime.work import Work

__all__ = ["Simulation", "simulate_on_paper"]

MOST_TURNS: Final = 3_000_000
"""So often at most bodies may wait, or call a device: that takes some minutes."""
REFUSED: Final = "; nothing was sent"
"""How a value that is out of range is refused."""


def simulate_on_paper(
    lab: PaperLab,
    recipes: Mapping[str, Recipe],
    function: Any,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    durations: Durations,
    others: Sequence[InProgress] = (),
) -> Rehearsal:
    """Simulate a task or workflow, among the runs that are in progress; `recipes` say how its devices are made.

    Raises:
        ConfigError: a device has no twin.

    """
    task = as_task(function)
    wanted = needs(task, *complete(task, args, kwargs))
    simulation = Simulation(lab, durations)
    # What simulates the instruments stands above this layer.
    twins_of = import_module("actorlab.simulation.twins").twins_of
    used = {name: recipe for name, recipe in recipes.items() if name in wanted}
    with twins_of(used, lambda: simulation.clock.now) as twins:
        return simulation.simulate(function, args, kwargs, twins, others)


class Simulation(Rehearser):
    """Let bodies run on twins; those of runs that are in progress are only taken to last as long as they should."""

    def __init__(self, lab: PaperLab, durations: Durations) -> None:
        super().__init__(lab, durations)
        lab.decider = self
        self.stage: Final = VirtualLab(self, lab.limits)
        self.clock: Final = self.stage.clock
        self._twins: Mapping[str, TwinCell] = {}
        self._turns = 0
        self._bodies: dict[tuple[str, int], VirtualBody] = {}
        self._waiting: dict[str, list[Callable[[], None]]] = {}

    def simulate(
        self,
        function: Any,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        twins: Mapping[str, TwinCell],
        others: Sequence[InProgress],
    ) -> Rehearsal:
        """Simulate a task or workflow on the twins of its devices, and tell what came about."""
        self._twins = twins
        actor = self.maker.make(function, args, kwargs)
        virtual = self.enter(self.stage, actor, others)
        try:
            self.stage.go_on_until_end(virtual)
        finally:
            for body in list(self._bodies.values()):
                body.close()
        value = actor.value() if virtual.ended and virtual.outcome() is None else None
        return self.result(self.stage, virtual, actor, simulated=True, value=value)

    def post(self, function: Callable[[Any], object], argument: Any = None) -> None:
        """Take what a body asks of a child run, which would be the deciding thread's: to cancel it, to pause it."""
        actor: Any = getattr(function, "__self__", None)
        run = self.stage.runs.get(getattr(actor, "id", ""))
        if run is not None and getattr(function, "__name__", "") == "on":
            self.clock.after(0.0, run.on, argument)

    def count_turn(self, body: VirtualBody) -> None:
        """Take note that a body goes on.

        Raises:
            ActorLabError: bodies have waited so often that this one probably never ends.

        """
        self._turns += 1
        if self._turns > MOST_TURNS:
            text = (
                f"bodies have waited {MOST_TURNS:,} times, the last is {body.name}, and the run hasn't ended after "
                f"{self.clock.now:g} s of virtual time: simulate what ends, or sleep longer at a time"
            )
            raise ActorLabError(text)

    # -- what the virtual lab asks for

    def body(self, run: VirtualRun, step: int, attempt: int) -> Performance:
        """Begin the body of a step, or return the run that it is."""
        actor = self.actors[run.id]
        if self._is_other(run):
            return super().body(run, step, attempt)
        work = actor.work[step]
        if step in actor.core.spec.units:
            if work.late is not None:
                args, _ = self._arguments(actor, work)
                work = work._replace(drawing=work.late.draw(*args))
            unit = self.maker.unit(actor, work)
            actor.values.later[step] = unit
            return self.script(unit)
        self._begin(run, actor, work, step, attempt)
        return None

    def cleanup(self, run: VirtualRun, number: int) -> float | None:
        """Begin a clean-up."""
        if self._is_other(run):
            return super().cleanup(run, number)
        actor = self.actors[run.id]
        self._begin(run, actor, actor.cleanups[number], -1 - number, 1)
        return None

    def alarm(self, run: VirtualRun, step: int, reason: str) -> bool:
        """Cancel a body."""
        body = self._bodies.get((run.id, step))
        if body is None:
            return False
        body.alarm(reason)
        return True

    def make_safe(self, run: VirtualRun, device: str) -> BaseException | None:
        """Make a twin safe, in no time."""
        if self._is_other(run):
            return None
        try:
            self._twins[device].hook("make_safe")
        except Exception as error:  # noqa: BLE001 - the driver's own: it is in the rehearsal, as it would be in the run
            return error
        return None

    def _is_other(self, run: VirtualRun) -> bool:
        while run.parent is not None:
            run = run.parent
        return run.id in self.entered

    # -- bodies

    def _begin(self, run: VirtualRun, actor: RunActor, work: Work, step: int, attempt: int) -> None:
        name = run.id if len(actor.work) == 1 else f"{run.id}/{work.name}"
        body = self._bodies[run.id, step] = VirtualBody(self, actor, step, attempt, name)
        for device in [cell.name for cell in actor.cells if cell.name in (*work.exclusive, *work.shared)]:
            body.holds[device] = TwinHold(body, self._twins[device], exclusive=device in work.exclusive)
        self.clock.after(0.0, body.start, partial(self._perform, body, actor, work))

    def _perform(self, body: VirtualBody, actor: RunActor, work: Work) -> Any:
        """Call a body's function, in its own thread."""
        args, kwargs = self._arguments(actor, work)
        task = work.task
        if task.kind.on_loop:
            return run_in_virtual_time(body, lambda: self.clock.now, task.function, task.kind, args, kwargs)
        return (task.start if type(task) is Task else task)(*args, **kwargs)

    def _arguments(self, actor: RunActor, work: Work) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Return a step's arguments, with values in place of unknowns and twins in place of devices."""

        def put(found: Any) -> Any:
            if type(found) is Unknown:
                return value_of(found, actor.results)
            own = found.__dict__
            twin = self._twins[own["_actorlab_name"]]
            path = own.get("_actorlab_path", ())
            return twin.proxy(path, own["_actorlab_cls"] if path else None)

        return replace(work.args, work.kwargs, put)

    def body_ended(self, body: VirtualBody) -> None:
        """Hear that a body has ended, well or not."""
        run, step = self.stage.runs[body.actor.id], body.index
        del self._bodies[run.id, step]
        begun = self.stage.timeline.activities[run.final[step]].begin
        seconds = self.clock.now - begun
        self.estimates[run.id, step] = Estimate(seconds, seconds, seconds, "measured")
        error = body.error
        if isinstance(error, ValueError) and REFUSED in text_of(error):
            self.violations.append(Violation(body.name, text_of(error).replace(REFUSED, "")))
        if step < 0:
            self.clock.then(run.cleanup_ended, (-1 - step, error))
            return
        if error is None:
            body.actor.values[step] = body.value
        elif not isinstance(error, (Exception, Cancelled)):
            error = ActorLabError(f"{body.name} ended by {type(error).__name__}: {error}")
        self.clock.then(run.body_ended, (step, body.attempt, error))

    # -- children of bodies

    def spawn(self, body: VirtualBody, function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Run[Any]:
        """Start a child run of a body, from its thread."""
        actor = self.maker.child(body, function, args, kwargs)  # type: ignore[arg-type]  # it is asked as a body is
        parent = self.stage.runs[body.actor.id]
        virtual = parent.spawn(self.script(actor), body.index)
        actor.core = virtual.core
        virtual.on_end = lambda: self._child_ended(actor, virtual)
        return actor.run

    def _child_ended(self, actor: RunActor, virtual: VirtualRun) -> None:
        actor.run.reply.finish(None, virtual.outcome())
        for wake in self._waiting.pop(actor.id, ()):
            wake()

    def when_ended(self, run: Run[Any], wake: Callable[[], None]) -> None:
        """Call a function when a child run has ended."""
        self._waiting.setdefault(run.id, []).append(wake)
