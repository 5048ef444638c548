"""Make runs: bind a task to its arguments and devices, and draw it if it is a workflow."""

from __future__ import annotations

import itertools
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Final

from actorlab.arguments import complete, needs, replace
from actorlab.core.lease_span import LeaseSpan, parts
from actorlab.drawing import draw
from actorlab.errors import AskDeadlock, NotLeased
from actorlab.kernel.actor import here
from actorlab.runtime.body import Body
from actorlab.runtime.cell import Cell
from actorlab.runtime.process_body import check_travels
from actorlab.runtime.proxy import bind
from actorlab.runtime.run_actor import NOTHING, ONE, RunActor
from actorlab.runtime.spans import check_spans
from actorlab.runtime.work import Work
from actorlab.task import Task, Workflow, as_task
from actorlab.unknown import steps_among

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping

    from actorlab.drawing import Drawing
    from actorlab.options import Options
    from actorlab.runtime.lab import Lab
    from actorlab.unknown import Path

__all__ = ["RunMaker", "asking_for"]


asker: ContextVar[str] = ContextVar("asker", default="")
NO_WORDS: Final[dict[str, Any]] = {}  # nobody writes to it: most calls have no keyword arguments


@contextmanager
def asking_for(name: str) -> Generator[None]:
    """Have the journal say that this person asks for the runs that are begun in a block, and not who runs the lab."""
    token = asker.set(name)
    try:
        yield
    finally:
        asker.reset(token)


class RunMaker:
    """Bind tasks to their arguments and devices, and make the actors that supervise their runs."""

    def __init__(self, lab: Lab) -> None:
        self._lab = lab
        self._numbers = itertools.count(1 if lab.journalling is None else lab.journalling.first_number)

    def next_id(self, name: str) -> str:
        """Return an id that no run has had, such as "sweep#3"."""
        return f"{name}#{next(self._numbers)}"

    def make(self, function: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> RunActor:
        """Make a run of its own; drawing a workflow happens here, in its caller's thread."""
        return self.asked_for(self.bound(function, args, kwargs))

    def asked_for(self, work: Work, **known: Any) -> RunActor:
        """Make a run of what somebody asks for, and write down what that is."""
        actor = self._supervisor(work, drawing=drawn_at_once(work), **known)
        if actor.parent is None and asker.get():
            actor.asked_by = asker.get()
        journal = self._lab.journalling
        if journal is not None:
            actor.asked = journal.asked(work, actor.work)
        return actor

    def bound(self, function: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Work:
        """Bind a task to its arguments, and draw it if it is a workflow, in its caller's thread."""
        if "actor" in here.__dict__:
            text = f"the driver of {here.actor.name} used lab.run or lab.start: a driver may not wait for the lab"
            raise AskDeadlock(text)
        work = self._work(as_task(function), args, kwargs)
        if work.drawing is not None or work.task.options_.lease != "run":
            check_spans(work, tuple(self._lab.cells), None)
        return work

    def life(self, work: Work, make: Callable[..., RunActor]) -> RunActor:
        """Make a run of what was bound before, again and again; `make` makes its supervisor."""
        return self._supervisor(work, drawing=work.drawing, make=make)

    def child(self, body: Body, function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> RunActor:
        """Make a child run of a body: it borrows what the body holds, and is refused anything else at once."""
        args, kwargs = replace(args, kwargs, unbound)
        work = self._work(as_task(function), args, kwargs)
        options = work.task.options_
        if options.exclusive or options.key is not None:
            text = f"{body.name} can't start {work.name} with exclusive or key: who holds a lease waits for no other"
            raise NotLeased(text)
        self._check_borrowed(body, work)
        if options.lease != "run" or body.actor.options.lease != "run":
            check_spans(work, tuple(self._lab.cells), body.actor)
        known: dict[str, Any] = {"parent": body.actor, "body": body}
        if self._lab.journalling is None:
            return self._supervisor(work, drawing=drawn_at_once(work), **known)
        make = body.actor.make_for_child(body, work)
        child = self.asked_for(work, make=make, **known)
        child.place = {"step": body.index, "attempt": body.attempt}
        return child

    def unit(self, parent: RunActor, work: Work, make: Callable[..., RunActor] = RunActor) -> RunActor:
        """Make the run of a step that is a unit: a nested workflow, or one that leases for itself."""
        options = work.task.options_
        if work.drawing is not None:
            options = options.changed({"timeout": None})  # its parent watches that, over all its attempts
        if options.within is not None:
            patience = options.within if options.lease_timeout is None else min(options.within, options.lease_timeout)
            options = options.changed({"lease_timeout": patience})
        work = work._replace(inputs=None)  # the values it takes are not its own run's but its parent's
        return self._supervisor(work, drawing=work.drawing, options=options, parent=parent, make=make)

    def _work(self, task: Task[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Work:
        """Bind a task to its arguments; a workflow is drawn."""
        args, kwargs = complete(task, args, kwargs)
        uses = needs(task, args, kwargs)
        exclusive = tuple([name for name, use in uses.items() if use == "exclusive"]) if uses else ()
        shared = tuple([name for name, use in uses.items() if use == "shared"]) if uses else ()
        drawing = draw(task, args, kwargs) if isinstance(task, Workflow) else None
        work = Work(task, args, dict(kwargs) if kwargs else NO_WORDS, task.name, exclusive, shared, drawing)
        if task.place == "process":
            check_travels(self._lab, work)
        elif drawing is not None:
            self._check_steps(drawing)
        return work

    def _check_steps(self, drawing: Drawing) -> None:
        """See that the bodies of steps which are to run in processes can travel there."""
        for step in (*drawing.steps, *drawing.cleanups):
            if step.task.place == "process":
                check_travels(self._lab, works_of((step,), drawing.path)[0])
            elif step.nested is not None:
                self._check_steps(step.nested)

    def _supervisor(
        self,
        work: Work,
        *,
        drawing: Drawing | None,
        options: Options | None = None,
        parent: RunActor | None = None,
        body: Body | None = None,
        make: Callable[..., RunActor] = RunActor,
        run_id: str = "",
    ) -> RunActor:
        """Make the supervisor of a run: of a drawing's steps, or of a plan of one."""
        options = options or work.task.options_
        if parent is not None and parent.options.lease == "run" != options.lease:  # it borrows all that it uses
            options = options.changed({"lease": "run"})
        name = f"{parent.id}/{work.name}" if parent is not None and body is None else work.name
        works = (work,) if drawing is None else works_of(drawing.steps, drawing.path)
        plan = ONE if drawing is None else drawing.graph.plan()
        cleanups = () if drawing is None else works_of(drawing.cleanups, drawing.path)
        cells, leased = self._cells_for(work, options.lease, parent)
        return make(
            self._lab,
            run_id or self.next_id(name),  # the last that may fail is behind us: what can't begin takes no number
            work.name,
            works,
            plan=plan,
            cleanups=cleanups,
            cells=cells,
            shared=frozenset(work.shared) if work.shared else NOTHING,
            options=options,
            drawing=drawing,
            parent=parent,
            parent_body=body,
            borrows=parent is not None and (len(leased) < len(cells) or not (leased or parent.options.lease != "run")),
            leased=leased,
        )

    def _cells_for(self, work: Work, span: LeaseSpan, parent: RunActor | None) -> tuple[list[Cell], list[Cell]]:
        """Return the devices that a run holds for its whole length, and those of them that it leases from the lab."""
        names = [*work.exclusive, *work.shared]
        if parent is None and span == "run":
            cells = self._lab.cells_of(names)
            return cells, cells
        borrowed, leased, _ = parts(names, span, () if parent is None else [cell.name for cell in parent.cells])
        return self._lab.cells_of([*borrowed, *leased]), self._lab.cells_of([*leased])

    @staticmethod
    def _check_borrowed(body: Body, work: Work) -> None:
        """Refuse what a body can't lend: all of it, unless its children lease for themselves what it doesn't hold."""
        must = body.actor.options.lease == "run"
        lends = [cell.name for cell in body.actor.cells]
        for name in (*work.exclusive, *work.shared):
            hold = body.holds.get(name)
            if hold is None and not must and name not in lends:
                continue
            if hold is None:
                text = f"{body.name} can't lend {name!r} to {work.name}: it isn't among its own arguments"
                raise NotLeased(text)
            if name in work.exclusive and not hold.exclusive:
                text = f"{body.name} holds {name!r} only shared, and {work.name} takes it for itself"
                raise NotLeased(text)


def drawn_at_once(work: Work) -> Drawing | None:
    """Return a workflow's drawing; one that may be tried again is a unit within a run of one step."""
    options = work.task.options_
    return None if options.retries or options.restart is not None else work.drawing


def works_of(steps: Any, path: Path) -> tuple[Work, ...]:
    """Turn the drawn steps of a drawing into work."""
    works: list[Work] = []
    for step in steps:
        needed = step.needs
        exclusive = tuple([name for name, use in needed.items() if use == "exclusive"]) if needed else ()
        shared = tuple([name for name, use in needed.items() if use == "shared"]) if needed else ()
        inputs = steps_among(step.args, path) if not step.kwargs else None
        works.append(
            Work(step.task, step.args, step.kwargs, step.name, exclusive, shared, step.nested, inputs, step.late)
        )
    return tuple(works)


def unbound(ref: Any) -> Any:
    """Return the lab's own proxy for a body's handle."""
    return ref if ref.__dict__.get("_actorlab_hold") is None else bind(ref, None)
