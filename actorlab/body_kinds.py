"""Tell the kinds of bodies apart, and run each of them where there is no lab."""

from __future__ import annotations

import asyncio
import enum
import functools
import inspect
from collections.abc import AsyncGenerator, Callable, Coroutine, Generator
from types import FunctionType
from typing import Any, Final, Protocol, TypeAlias, TypeVar

from actorlab.arguments import call_on_device
from actorlab.errors import ConfigError
from actorlab.scope import current

__all__ = [
    "AsyncYielding", "Awaiting", "BodyKind", "Runs", "Yielding", "constructed", "kind_of", "progress_in",
    "run_on_own_loop", "starter_of",
]  # fmt: skip

R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)


class Runs(Protocol[R_co]):
    """An object with a method `run`, which is the body."""

    def run(self) -> R_co:
        """Do it, and return the value."""
        ...


Awaiting: TypeAlias = Coroutine[Any, Any, R] | Runs[Coroutine[Any, Any, R]]
"""What an asynchronous body gives when it is called: of a function, or of a class whose `run` is one."""
Yielding: TypeAlias = Generator[Any, Any, R] | Runs[Generator[Any, Any, R]]
"""The same of a generator."""
AsyncYielding: TypeAlias = AsyncGenerator[Any, Any] | Runs[AsyncGenerator[Any, Any]]
"""The same of an asynchronous generator, which returns nothing."""


class BodyKind(enum.Enum):
    """What calling a body gives."""

    FUNCTION = "function"
    GENERATOR = "generator"
    COROUTINE = "coroutine"
    ASYNC_GENERATOR = "async generator"

    @property
    def on_loop(self) -> bool:
        """Tell whether it runs on an event loop."""
        return self in (BodyKind.COROUTINE, BodyKind.ASYNC_GENERATOR)


FLAGS: Final = (
    (inspect.CO_ASYNC_GENERATOR, BodyKind.ASYNC_GENERATOR),
    (inspect.CO_COROUTINE | inspect.CO_ITERABLE_COROUTINE, BodyKind.COROUTINE),
    (inspect.CO_GENERATOR, BodyKind.GENERATOR),
)
SPECIAL: Final = FLAGS[0][0] | FLAGS[1][0] | FLAGS[2][0]


def kind_of(function: Any) -> BodyKind:
    """Return the kind of a function's body, or of a class's method `run`."""
    if isinstance(function, type):
        function = getattr(function, "run", None)
        if not callable(function):
            return BodyKind.FUNCTION  # a class without `run` is called for the object that it makes
    code = getattr(function, "__code__", None)
    if code is None:
        code = code_of(function)
    if code is None or not code.co_flags & SPECIAL:
        return BodyKind.FUNCTION
    return next(kind for flag, kind in FLAGS if code.co_flags & flag)


def code_of(function: Any) -> Any:
    """Return the code behind a partial, a bound method or an object that can be called; None if there is none."""
    while hasattr(function, "func"):  # functools.partial
        function = function.func
    function = getattr(function, "__func__", function)
    if not hasattr(function, "__code__"):
        function = inspect.getattr_static(function, "__call__", None)  # as the class has it
    return getattr(function, "__code__", None)


def constructed(function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Begin a body: call a function, or make the object of a class with `run` and call that."""
    if isinstance(function, type) and callable(getattr(function, "run", None)):
        return function(*args, **kwargs).run()
    return function(*args, **kwargs)


def starter_of(function: Callable[..., Any], kind: BodyKind) -> Callable[..., Any]:
    """Return what runs a body to its end in the present thread, with the present scope following what it yields."""
    if kind is BodyKind.FUNCTION and not isinstance(function, type):
        return functools.partial(call_on_device, function) if is_of_a_class(function) else function
    return functools.partial(run_here, function, kind)


def is_of_a_class(function: Callable[..., Any]) -> bool:
    """Tell whether a function stands in a class, where it may be a driver's method."""
    place = str(getattr(function, "__qualname__", "")).rpartition(".")[0]
    return isinstance(function, FunctionType) and place != "" and not place.endswith("<locals>")


def run_here(function: Callable[..., Any], kind: BodyKind, /, *args: Any, **kwargs: Any) -> Any:
    """Run a body to its end, and return its value.

    Raises:
        ConfigError: it is asynchronous, and an event loop runs here already.

    """
    begun = constructed(function, args, kwargs)
    if kind is BodyKind.GENERATOR:
        return current.get().follow(begun)
    if kind.on_loop:
        return run_on_own_loop(function, begun, kind)
    return begun


def progress_in(report: Any) -> tuple[float, float | None, str] | None:
    """Read what a generator yields: a fraction, (done, total), (done, total, message), a message, or nothing.

    Raises:
        TypeError: it is something else.

    """
    match report:
        case None:
            return None
        case str():
            return (0.0, None, report)
        case int() | float() if not isinstance(report, bool):
            return (report, 1.0, "")
        case (int() | float() as done, int() | float() | None as total):
            return (done, total, "")
        case (int() | float() as done, int() | float() | None as total, str() as message):
            return (done, total, message)
        case _:
            text = f"it yielded {report!r}: yield a fraction, (done, total), (done, total, message), a message, or None"
            raise TypeError(text)


def run_on_own_loop(function: Any, begun: Any, kind: BodyKind) -> Any:
    """Run an asynchronous body on a loop of its own."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(begun if kind is BodyKind.COROUTINE else exhausted_async(begun))
    name = getattr(function, "__name__", repr(function))
    if kind is BodyKind.COROUTINE:
        begun.close()
    text = (
        f"{name} is asynchronous, and here runs an event loop already: `await lab.start({name}, …)`, or in the body of "
        f"a task `await spawn({name}, …)`"
    )
    raise ConfigError(text)


async def exhausted_async(generator: Any) -> None:
    """Run an asynchronous generator to its end."""
    async for _ in generator:
        pass
