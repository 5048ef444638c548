"""Make tasks and workflows of functions: a task borrows the devices it is given, a workflow calls tasks."""

from __future__ import annotations

import functools
import importlib
import inspect
import operator
import pickle
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final, Generic, Literal, ParamSpec, Protocol, TypeAlias, TypeVar, Unpack, cast, overload

from actorlab.arguments import Args, Kwargs, find_devices, run_in_its_lab
from actorlab.body_kinds import AsyncYielding, Awaiting, BodyKind, Runs, Yielding, kind_of, starter_of
from actorlab.cleanup import cleanup, plain_workflow
from actorlab.definition import Definition
from actorlab.errors import ConfigError, WorkflowError
from actorlab.options import OptionChanges, Options
from actorlab.scope import PLAIN, current
from actorlab.shared import Shared

__all__ = ["Options", "Shared", "Task", "Workflow", "as_task", "cleanup", "task", "workflow"]

P = ParamSpec("P")
R = TypeVar("R")

Place: TypeAlias = Literal["thread", "loop", "process"]

PLAIN_OPTIONS: Final = Options()
KNOWN_AS: Final = "__actorlab_task__"


class Task(Generic[P, R]):
    """A function that may use exactly the devices among its arguments. With no lab it is just that function.

    >>> @task(retries=2)
    ... def double(number: int) -> int:
    ...     return 2 * number
    >>> double(4)
    8
    """

    function: Callable[P, R]
    name: str
    options_: Options
    definition: Definition
    kind: BodyKind
    place: Place
    """Where its body runs."""
    start: Callable[P, R]
    """What runs the body to its end in the present thread."""

    def __init__(self, function: Callable[P, R], options: Options | None = None) -> None:
        if not callable(function):
            message = f"{function!r} can't be a task: a task is a function, or something else that can be called"
            raise ConfigError(message)
        functools.update_wrapper(self, function)
        self.function = function
        self.definition = Definition(function)
        self.kind = kind_of(function)
        self.start = starter_of(function, self.kind)
        self._set(options or PLAIN_OPTIONS)

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Run in a lab's way where there is one: as a step, or as a run; else call the function."""
        answer = answer_of(self, args, kwargs)
        if answer is None:
            return self.start(*args, **kwargs)
        value: R = answer[0]
        return value

    @property
    def signature(self) -> inspect.Signature:
        """The function's signature."""
        return self.definition.signature

    def options(self, **changes: Unpack[OptionChanges]) -> Task[P, R]:
        """Return the task with other options; this one stays as it is."""
        return self.having(self.options_.changed(changes))

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        module, name = getattr(self, "__module__", ""), getattr(self, "__qualname__", "")
        if not name or "<" in name:
            message = f"task {self.name} can't be pickled: it has no name in a module; define it at the top level"
            raise pickle.PicklingError(message)
        return _named, (module, name, self.options_)

    def __repr__(self) -> str:
        return f"<{type(self).__name__.lower()} {self.name}>"

    def having(self, options: Options) -> Task[P, R]:
        """Return the task with all its options replaced."""
        made = object.__new__(type(self))
        made.__dict__.update(self.__dict__)
        made._set(options)
        return made

    def _set(self, options: Options) -> None:
        self.options_ = options
        self.place = "process" if options.worker == "process" else "loop" if self.kind.on_loop else "thread"
        self.name = options.name or str(getattr(self.function, "__name__", type(self.function).__name__))


class Workflow(Task[P, R]):
    """A function that calls tasks: a lab draws it as a graph, and overlaps what shares no device and no value.

    With no lab it is just that function, followed by its clean-ups.
    """

    def __init__(self, function: Callable[P, R], options: Options | None = None) -> None:
        super().__init__(function, options)
        if self.kind is not BodyKind.FUNCTION:
            message = f"workflow {self.name} is a {self.kind.value}: it only calls tasks, so use a plain `def`"
            raise WorkflowError(message)

    def _set(self, options: Options) -> None:
        super()._set(options)
        if options.worker == "process":
            message = f"workflow {self.name} can't have worker='process': it only calls tasks, so give it to those"
            raise WorkflowError(message)

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Run in a lab's way where there is one; else call the function, and then its clean-ups."""
        answer = answer_of(self, args, kwargs)
        if answer is None:
            with plain_workflow():
                return self.function(*args, **kwargs)
        value: R = answer[0]
        return value


def answer_of(task: Task[..., Any], args: Args, kwargs: Kwargs) -> tuple[Any, ...] | None:
    """Let the scope answer a call of a task, or the lab whose devices it is given; None: call the function."""
    scope = current.get()
    if scope is not PLAIN:
        return scope.step(task, args, dict(kwargs))
    devices = find_devices(args, kwargs)
    return run_in_its_lab(devices[0], task, args, kwargs) if devices else None


class TaskMaker(Protocol):
    """Make a task of a function."""

    @overload
    def __call__(self, function: Callable[P, Awaiting[R]], /) -> Task[P, R]: ...
    @overload
    def __call__(self, function: Callable[P, Yielding[R]], /) -> Task[P, R]: ...
    @overload
    def __call__(self, function: Callable[P, AsyncYielding], /) -> Task[P, None]: ...
    @overload
    def __call__(self, function: Callable[P, Runs[R]], /) -> Task[P, R]: ...
    @overload
    def __call__(self, function: Callable[P, R], /) -> Task[P, R]: ...
    def __call__(self, function: Callable[..., Any], /) -> Task[..., Any]:
        """Return the task."""
        ...


class WorkflowMaker(Protocol):
    """Make a workflow of a function."""

    def __call__(self, function: Callable[P, R], /) -> Workflow[P, R]:
        """Return the workflow."""
        ...


@overload
def task(function: Callable[P, Awaiting[R]], /) -> Task[P, R]: ...
@overload
def task(function: Callable[P, Yielding[R]], /) -> Task[P, R]: ...
@overload
def task(function: Callable[P, AsyncYielding], /) -> Task[P, None]: ...
@overload
def task(function: Callable[P, Runs[R]], /) -> Task[P, R]: ...
@overload
def task(function: Callable[P, R], /) -> Task[P, R]: ...
@overload
def task(**options: Unpack[OptionChanges]) -> TaskMaker: ...
def task(function: Callable[..., Any] | None = None, /, **options: Unpack[OptionChanges]) -> Any:
    """Make a task of a function: ``@task`` or ``@task(retries=2)``; the options are those of `Options`."""
    chosen = Options().changed(options)
    return functools.partial(Task, options=chosen) if function is None else Task(function, chosen)


@overload
def workflow(function: Callable[P, R], /) -> Workflow[P, R]: ...
@overload
def workflow(**options: Unpack[OptionChanges]) -> WorkflowMaker: ...
def workflow(function: Callable[..., Any] | None = None, /, **options: Unpack[OptionChanges]) -> Any:
    """Make a workflow of a function that calls tasks: ``@workflow`` or ``@workflow(keep_going=True)``.

    While a lab draws it, only tasks may act, and what they return isn't known yet: it can be passed on and indexed.
    """
    chosen = Options().changed(options)
    return functools.partial(Workflow, options=chosen) if function is None else Workflow(function, chosen)


def as_task(function: Callable[P, R]) -> Task[P, R]:
    """Return the task itself, or make one of a plain function; the function remembers it."""
    if issubclass(type(function), Task):
        return cast("Task[P, R]", function)
    known: Any = getattr(function, KNOWN_AS, None)
    # A wrapper may carry the attributes of the function inside it.
    if issubclass(type(known), Task) and known.function is function:
        return cast("Task[P, R]", known)
    made = Task(function)
    with suppress(AttributeError, TypeError):  # a bound method or a function written in C remembers nothing
        setattr(function, KNOWN_AS, made)
    return made


def _named(module: str, name: str, options: Options) -> Task[..., Any]:
    """Find a pickled task by its name."""
    found = as_task(operator.attrgetter(name)(importlib.import_module(module)))
    return found if found.options_ == options else found.having(options)
