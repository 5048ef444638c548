"""Draw a workflow: call its function once, with unknown values in place of results, and keep the steps it asks for."""

from __future__ import annotations

import inspect
from collections import deque
from collections.abc import Callable, Generator, Iterable, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from types import CodeType
from typing import Any, Final, NoReturn

from actorlab.arguments import Args, Kwargs, StandIn, Use, complete, needs, search
from actorlab.choosing import Late, check_drawn, choose, each
from actorlab.closures import Brought
from actorlab.core.abreast import Abreast, firsts, lasts
from actorlab.core.graph import Graph, Node
from actorlab.core.plan import Steps
from actorlab.errors import NotLeased, WorkflowError
from actorlab.keeping import Kept, cell_content
from actorlab.options import Options
from actorlab.scope import Scope, current
from actorlab.task import PLAIN_OPTIONS, Task, Workflow, as_task, task
from actorlab.unknown import Origin, Path, Unknown, origin_of

__all__ = ["Drawing", "DrawnStep", "draw"]

DEEPEST: Final = 50  # workflows within one another, before it counts as one that calls itself without end

SOME: Final = 8
"""If an item of `each` ends with more steps than that, one more joins them for those that come behind them."""

BRING: Final = "let the function name it as a variable of the workflow, as a default, or as an argument of a partial"

PACKAGE: Final = __name__.partition(".")[0] + "."


@dataclass(frozen=True, slots=True)
class DrawnStep:
    """One call of a task in a workflow, or of a nested workflow, or a clean-up; `where` is its "file:line".

    `values` are the steps of the same drawing whose values it uses, `after` those it comes after all the same, and
    `within` the seconds in which it starts then; it comes `behind` others when they have ended, well or not. A nested
    workflow is one step, with its own drawing in `nested`; so is what can be drawn only when its arguments are known,
    which is `late` and has no drawing yet.
    """

    index: int
    task: Task[..., Any]
    args: Args
    kwargs: Kwargs
    name: str
    needs: Mapping[str, Use]
    values: Steps
    after: Steps
    within: float | None
    where: str
    nested: Drawing | None
    late: Late | None = None
    behind: Steps = ()

    @property
    def waits(self) -> Steps:
        """The steps of the same drawing that it names in one way or another."""
        return self.values + self.after + self.behind

    def signature(self) -> tuple[object, ...]:
        """Return what makes it the same step in another drawing."""
        nested = self.nested.signature() if self.nested else None
        uses = tuple(self.needs.items())
        definition = (getattr(self.task, "__module__", ""), getattr(self.task, "__qualname__", ""))
        return self.name, *definition, self.values, self.after, self.behind, self.within, uses, nested


@dataclass(frozen=True, slots=True)
class Drawing:
    """What a workflow asks for: its steps and clean-ups in written order, and its result, with unknown values in it.

    `path` tells nested drawings apart: the steps, from outside in, that each is the drawing of; () is the outermost. A
    clean-up k that is a workflow counts as step ``-1 - k``. `inputs` are the unknown values from outside that it uses.
    """

    name: str
    path: Path
    steps: tuple[DrawnStep, ...]
    cleanups: tuple[DrawnStep, ...]
    result: object
    inputs: tuple[Unknown, ...]
    graph: Graph

    def signature(self) -> tuple[object, ...]:
        """Return what is the same whenever the workflow is drawn again: names, edges, devices."""
        steps, cleanups = (tuple(step.signature() for step in group) for group in (self.steps, self.cleanups))
        return self.name, steps, cleanups


def draw(workflow: Callable[..., Any], args: Args = (), kwargs: Kwargs | None = None) -> Drawing:
    """Return the drawing of a workflow with these arguments.

    Raises `WorkflowError` saying which step did what a drawn workflow can't do, and what to do instead; `NotLeased` if
    a step uses a device that isn't among the workflow's arguments; what the function itself raises.
    """
    return _draw(as_task(workflow), args, kwargs or {}, None, ())


def _draw(task: Task[..., Any], args: Args, kwargs: Kwargs, outer: DrawingScope | None, path: Path) -> Drawing:
    task.definition.check_call(args, kwargs)
    _ = task.definition.is_drawable
    return DrawingScope(task, needs(task, args, kwargs), outer, path).draw(args, kwargs)


@task(name="all of an item", takes=0)
def join() -> None:
    """Stand for the end of many steps."""


class DrawingScope(Scope):
    """Write down the steps of the workflow that is being drawn, and refuse everything else that acts."""

    def __init__(
        self,
        task: Task[..., Any],
        held: Mapping[str, Use],
        outer: DrawingScope | None,
        path: Path,
        late: Late | None = None,
    ) -> None:
        self.name = task.name
        self.path = path
        self._task = task
        self._held = held
        self._outer = outer
        self._late = late
        self._written_in = 0  # so many calls of `each` and `choose` stand around what is drawn now
        self._steps: list[DrawnStep] = []
        self._cleanups: list[DrawnStep] = []
        self._inputs: dict[tuple[Path, int], Unknown] = {}

    def draw(self, args: Args, kwargs: Kwargs) -> Drawing:
        """Call the function, and return what it asks for."""
        token = current.set(self)
        try:
            result = self._task.function(*args, **kwargs)
        finally:
            current.reset(token)
        return self.drawing(result)

    def drawn_late(self, late: Late, args: Args, kwargs: Kwargs) -> Drawing:
        """Return the drawing of a step in here, now that its arguments are known."""
        drawing = DrawingScope(late.task, late.needs, self, late.path, late).draw(args, kwargs)
        if (variable := late.kept.written(late.path)) is not None:
            message = (
                f"the function that {late.task.name} is given writes to the variable {variable!r}, and is called when "
                f"the workflow's own function has returned: let it return what it makes"
            )
            raise WorkflowError(message)
        return drawing

    def step(self, task: Any, args: Args, kwargs: dict[str, Any]) -> tuple[Any, ...]:
        """Write down a step, answering with an unknown value."""
        index = len(self._steps)
        self._steps.append(self._drawn(task, args, kwargs, index, _outside()))
        return (Unknown(Origin(self, index)),)

    def cleanup(self, task: Any, args: Args, kwargs: dict[str, Any]) -> bool:
        """Write down a clean-up."""
        if self._written_in > (self._late is not None):
            message = (
                f"cleanup({getattr(task, '__name__', task)}, …) ({_outside()}) stands inside each(…) or choose(…), "
                f"whose value is known: put it outside, or into a @workflow that is called there"
            )
            raise WorkflowError(message)
        index = -1 - len(self._cleanups)
        self._cleanups.append(self._drawn(as_task(task), args, kwargs, index, _outside()))
        return True

    def each(self, function: Any, items: Any, width: int | None) -> tuple[Any, ...]:
        """Write down the steps for each item; if the items aren't known, one step that stands for all."""
        check_drawn(function, "each(…)")
        if type(items) is Unknown:
            kept = Kept()
            its = kept.copy(function)
            name = f"each of {_source(items)}"
            return self._later(name, lambda known: each(its, known, width=width), items, (its,), kept)
        abreast = Abreast(width) if width is not None else None
        results: list[Any] = []
        with self._inside():
            for item in items:
                if abreast is not None and len(abreast.behind()) > SOME:
                    self._join(abreast)
                begin = len(self._steps)
                results.append(function(item))
                if abreast is not None:
                    self._queue(abreast, begin)
        return (results,)

    def choose(self, condition: Any, then: Any, otherwise: Any) -> tuple[Any, ...]:
        """Write down the steps of what is chosen; if the condition isn't known, one step that stands for them."""
        check_drawn(then, "choose(…)")
        check_drawn(otherwise, "choose(…)")
        if type(condition) is Unknown:
            kept = Kept()
            both = kept.copy(then), kept.copy(otherwise)
            return self._later("choose", lambda known: choose(known, *both), condition, both, kept)
        with self._inside():
            return (then() if condition else otherwise(),)

    @contextmanager
    def _inside(self) -> Generator[None]:
        self._written_in += 1
        try:
            yield
        finally:
            self._written_in -= 1

    def _queue(self, abreast: Abreast, begin: int) -> None:
        """Let the steps of an item come behind those of the item whose place it takes."""
        for step in firsts(begin, [drawn.waits for drawn in self._steps[begin:]]):
            drawn = self._steps[step]
            self._steps[step] = replace(drawn, behind=(*drawn.behind, *abreast.behind()))
        abreast.take(tuple(lasts(begin, [drawn.waits for drawn in self._steps[begin:]])))

    def _join(self, abreast: Abreast) -> None:
        """Write down a step that stands for many: many steps behind many others would be very many edges."""
        index = len(self._steps)
        joined = self._drawn(join, (), {}, index, self._steps[-1].where)
        self._steps.append(replace(joined, behind=abreast.behind()))
        abreast.join(index)

    def _later(
        self, name: str, function: Callable[[Any], Any], value: Unknown, functions: tuple[Any, ...], kept: Kept
    ) -> tuple[Any, ...]:
        """Write down a step that is drawn when a value is known, by what these functions bring along."""
        index, where = len(self._steps), _outside()
        title = f"{name} ({where})"
        self._check_depth(name)
        brought = Brought(functions)
        _check_hidden(brought.others, title)
        uses: dict[str, Use] = {
            device: "shared" if self._held.get(device) == "shared" else use
            for device, use in sorted(brought.uses.items())
        }
        self._check_held(uses, title)
        values = self._own((value, *brought.unknown), title)
        task = Workflow(function, Options(name=name, keep_going=self._task.options_.keep_going))
        inputs = frozenset((origin.drawing.path, origin.step) for origin in map(origin_of, (value, *brought.unknown)))
        late = Late(self, (*self.path, index), task, uses, inputs, kept)
        self._steps.append(DrawnStep(index, task, (value,), {}, name, uses, values, (), None, where, None, late))
        return (Unknown(Origin(self, index)),)

    def title(self, step: int) -> str:
        """Name a step for an error."""
        if not 0 <= step < len(self._steps):
            return f"a step of {self.name}"
        drawn = self._steps[step]
        return f"{drawn.name} (step {step} of {self.name}, {drawn.where})"

    def drawing(self, result: object) -> Drawing:
        """Return all that was written down."""
        self._check_result(result)
        self._check_kept()
        nodes = [
            Node(
                drawn.index,
                drawn.name,
                drawn.values,
                drawn.after,
                tuple([device for device, use in drawn.needs.items() if use == "exclusive"]) if drawn.needs else (),
                tuple([device for device, use in drawn.needs.items() if use == "shared"]) if drawn.needs else (),
                drawn.behind,
            )
            for drawn in self._steps
        ]
        inputs = tuple(self._inputs.values())
        steps, cleanups = tuple(self._steps), tuple(self._cleanups)
        return Drawing(self.name, self.path, steps, cleanups, result, inputs, Graph(nodes))

    def forbid(self, what: str) -> NoReturn:
        """Refuse what only a task may do."""
        message = (
            f"{what} in workflow {self.name} ({_outside()}): while a workflow is drawn, only tasks may act; "
            f"put it in a task"
        )
        raise WorkflowError(message)

    def sleep(self, seconds: float) -> None:
        """Refuse to wait."""
        self.forbid(f"sleep({seconds})")

    def checkpoint(self) -> None:
        """Refuse to be a place to pause at: the workflow's function isn't running the workflow."""
        self.forbid("checkpoint()")

    def progress(self, done: float, total: float | None, message: str) -> None:
        """Refuse to tell a progress, which would be that of the drawing."""
        del done, total, message
        self.forbid("progress() or track()")

    def shield(self, seconds: float) -> AbstractContextManager[None]:
        """Refuse to keep a cancellation out."""
        self.forbid(f"shield({seconds})")

    def exchange(self) -> AbstractContextManager[None]:
        """Refuse to hold a device."""
        self.forbid("exchange()")

    def spawn(self, function: Any, args: Args, kwargs: dict[str, Any]) -> NoReturn:
        """Refuse to start a run."""
        del args, kwargs
        self.forbid(f"spawn({getattr(function, '__name__', function)}, …)")

    def _drawn(self, task: Task[..., Any], args: Args, kwargs: Kwargs, index: int, where: str) -> DrawnStep:
        """Write a call down: a line for each thing that a step has, and for each mistake that can be seen now."""
        task.definition.check_call(args, kwargs)
        args, kwargs = complete(task, args, kwargs)
        title = f"{task.name} ({where})"
        others: list[Any] = []
        stand_ins = search(args, kwargs, others)
        _check_hidden(others, title)
        values = self._own(stand_ins, title) if stand_ins else ()
        uses = needs(task, args, kwargs) if not all(type(item) is Unknown for item in stand_ins) else {}
        self._check_held(uses, title)
        options = task.options_
        if options is not PLAIN_OPTIONS:
            _check_options(options, title)
        after = self._after(options.after, options.within, title) if options.after or options.within else ()
        nested = self._nested(task, args, kwargs, index) if isinstance(task, Workflow) else None
        if nested and nested.inputs:
            values = tuple(sorted({*values, *self._own(nested.inputs, title)}))
        return DrawnStep(index, task, args, kwargs, task.name, uses, values, after, options.within, where, nested)

    def _nested(self, task: Task[..., Any], args: Args, kwargs: Kwargs, index: int) -> Drawing:
        self._check_depth(task.name)
        return _draw(task, args, kwargs, self, (*self.path, index))

    def _check_depth(self, name: str) -> None:
        if len(self.path) == DEEPEST:
            message = f"workflow {name} is drawn {DEEPEST} levels deep: does it call itself? Let a task do that."
            raise WorkflowError(message)

    def _check_kept(self) -> None:
        """Raise if a function that is called later would see what was added to a list after its place in the text."""
        for step in self._steps:
            if step.late is not None and (variable := step.late.kept.resized()) is not None:
                message = (
                    f"the function that {step.name} ({step.where}) is given uses the variable {variable!r}, to which "
                    f"something is added or taken later; it is called when a value is known: give it a copy"
                )
                raise WorkflowError(message)

    def _check_result(self, result: object) -> None:
        others: list[Any] = []
        self._own(search((result,), {}, others), f"the result of {self.name}")
        _check_hidden(others, f"the result of {self.name}")

    def _own(self, stand_ins: Iterable[StandIn], title: str) -> Steps:
        """Return the steps of this drawing that the unknown values come from; those from further out are its inputs."""
        steps: dict[int, None] = {}
        for unknown in stand_ins:
            if type(unknown) is Unknown:
                origin = origin_of(unknown)
                if origin.drawing is self:
                    steps[origin.step] = None
                elif self._is_inside(origin.drawing):
                    self._check_awaited(origin, title)
                    self._inputs[origin.drawing.path, origin.step] = unknown
                else:
                    message = (
                        f"{title} uses what {origin.drawing.title(origin.step)} returns, which belongs to another "
                        f"workflow: let that one return it, and use what it returns"
                    )
                    raise WorkflowError(message)
        return tuple(sorted(steps))

    def _check_awaited(self, origin: Origin, title: str) -> None:
        if self._late is not None and (origin.drawing.path, origin.step) not in self._late.inputs:
            message = (
                f"{title} uses what {origin.drawing.title(origin.step)} returns, which was not found in the function "
                f"that {self.name} is given, so it didn't wait for it: {BRING}"
            )
            raise WorkflowError(message)

    def _is_inside(self, drawing: object) -> bool:
        scope = self._outer
        while scope is not None and scope is not drawing:
            scope = scope._outer  # noqa: SLF001  another scope of this class
        return scope is not None

    def _after(self, after: Args, within: float | None, title: str) -> Steps:
        named = search(after, {})
        if not after or not all(type(item) is Unknown for item in named) or len(named) < len(after):
            wrong = "names something that isn't a step" if after else f"is missing, but within={within} is given"
            message = f"the option after= of {title} {wrong}: give it what earlier steps of this workflow returned"
            raise WorkflowError(message)
        return self._own(named, title)

    def _check_held(self, uses: Mapping[str, Use], title: str) -> None:
        for device, use in uses.items():
            held = self._held.get(device)
            if held is None and self._late is not None:
                message = (
                    f"{title} uses {device!r}, which was not found in the function that {self.name} is given, so it "
                    f"isn't leased for it: {BRING}"
                )
                raise WorkflowError(message)
            if held is None:
                message = f"{title} uses {device!r}, which is not among the arguments of workflow {self.name}"
                raise NotLeased(message)
            if held == "shared" and use == "exclusive":
                message = (
                    f"{title} takes {device!r} for itself, but workflow {self.name} only relies on it (Shared[…]): "
                    f"remove Shared from the workflow's parameter, or add it to the step's"
                )
                raise WorkflowError(message)


def _check_options(options: Options, title: str) -> None:
    """Refuse options that say how a run gets its lease: a step is part of its workflow's run."""
    unused = Options()
    for name in ("key", "exclusive", "not_before", "deadline"):
        if getattr(options, name) != getattr(unused, name):
            message = (
                f"{title} has the option {name}={getattr(options, name)!r}, which is for runs, and this is a step: "
                f"give it to the workflow, or call the task with .options({name}={getattr(unused, name)!r})"
            )
            raise WorkflowError(message)


def _check_hidden(others: list[Any], title: str) -> None:
    """Raise if an unknown value sits in an object where it wouldn't be found when it is known; looks one level deep."""
    for value in others:
        for place, item in _insides(value):
            if any(type(found) is Unknown for found in search((item,), {})):
                message = (
                    f"{title} is given a {type(value).__name__} with something unknown in it ({place}), where it won't "
                    f"be found: pass it as an argument of its own, or in a list, tuple, dict or dataclass"
                )
                raise WorkflowError(message)


def _insides(value: Any) -> Iterable[tuple[str, object]]:
    """Yield what an object holds, as far as that can be seen from outside; other threads may change it meanwhile."""
    if issubclass(type(value), deque):
        yield from ((f"item {place}", item) for place, item in enumerate(tuple(value)))
    if issubclass(type(value), partial):
        yield from (("an argument", item) for item in (*value.args, *value.keywords.values()))
    cells = getattr(value, "__closure__", None)
    code = getattr(value, "__code__", None)
    if cells and isinstance(code, CodeType):
        for name, cell in zip(code.co_freevars, cells, strict=True):
            yield f"variable {name!r}", cell_content(cell)
    yield from ((f"attribute {name!r}", item) for name, item in tuple(getattr(value, "__dict__", {}).items()))


def _source(unknown: Unknown) -> str:
    """Return the name of the step that gives an unknown value."""
    drawing, step, _ = origin_of(unknown)
    return drawing.title(step).partition(" (step ")[0]


def _outside() -> str:
    """Return "file:line" of the innermost frame that isn't in this package: the workflow's."""
    frame = inspect.currentframe()
    while frame is not None and str(frame.f_globals.get("__name__")).startswith(PACKAGE):
        frame = frame.f_back
    return f"{frame.f_code.co_filename}:{frame.f_lineno}" if frame is not None else ""
