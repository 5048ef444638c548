"""Offer the verbs that mean what their place means: in a body, in a driver, or without a lab."""

from __future__ import annotations

from collections.abc import (
    AsyncGenerator,
    Awaitable,
    Callable,
    Coroutine,
    Generator,
    Iterable,
    Iterator,
    Sequence,
    Sized,
)
from contextlib import AbstractContextManager
from typing import Any, Concatenate, Final, Generic, ParamSpec, TypeVar, overload

from actorlab.body_kinds import AsyncYielding, Awaiting, Runs, Yielding
from actorlab.driving.member import Member, performed
from actorlab.kernel import Reply
from actorlab.runtime.calls import ask_held, ask_outside, call_held, call_outside
from actorlab.runtime.plain_run import PlainRun
from actorlab.runtime.proxy import DeviceProxy, bound_of, target_of
from actorlab.runtime.run import Run
from actorlab.scope import PLAIN, current

__all__ = [
    "ask", "ask_operator", "checkpoint", "current_run", "emit", "exchange", "log", "parameter", "perform", "phase",
    "progress", "record", "shield", "sleep", "spawn", "track",
]  # fmt: skip

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")
D = TypeVar("D")


def sleep(seconds: float) -> None:
    """Wait for some seconds.

    In a body a cancellation ends it; in a driver queries of others are answered meanwhile.
    """
    current.get().sleep(seconds)


def checkpoint() -> Awaitable[None]:
    """Let a cancellation or a pause take effect here; an asynchronous body awaits it."""
    scope = current.get()
    scope.checkpoint()
    come_by = scope.come_by
    return COME_BY if come_by is None else ComeBy(come_by)


class ComeBy:
    """The awaitable half of a checkpoint; where nothing is asynchronous it is nothing."""

    __slots__ = ("_come_by",)

    def __init__(self, come_by: Callable[[], Coroutine[Any, Any, None]] | None) -> None:
        self._come_by = come_by

    def __await__(self) -> Generator[Any, None, None]:
        if self._come_by is not None:
            yield from self._come_by().__await__()


COME_BY: Final = ComeBy(None)


def progress(done: float, total: float | None = None, message: str = "") -> None:
    """Tell that `done` of `total` is done."""
    current.get().progress(done, total, message)


def phase(name: str, *, weight: float | None = None) -> AbstractContextManager[None]:
    """Count what a block tells as a part of the whole; phases may nest.

    ``with phase("warming up", weight=0.2): …``. `weight` is its share (0 to 1) of the phase around it; without one it
    is all that is left of that. What `progress` and `track` tell inside counts within the phase; when it ends, it is
    done.
    """
    return current.get().phase(name, weight)


def emit(name: str, data: Any = None, *, acknowledged: float | None = None) -> Any:
    """Tell whoever listens to the lab's events, as the kind "emit" with `name` and `data`.

    With `acknowledged`, wait so many seconds at most until a listener calls ``event.data["acknowledge"](answer)``, and
    return the answer; so what was handed over can be given back or used again.

    Raises:
        TimeoutError: nobody has acknowledged it in time.

    """
    return current.get().emit(name, data, acknowledged)


def ask_operator(question: str, *, choices: Sequence[str] = (), timeout: float | None = None) -> str:
    """Ask whoever runs the lab, and return the answer; the run is paused until then, at most `timeout` seconds.

    >>> ask_operator("Is the sample in?", choices=("yes", "no"))  # doctest: +SKIP
    'yes'

    Raises:
        TimeoutError: nobody answered in time.

    """
    return current.get().ask_operator(question, tuple(choices), timeout)


def record(**values: Any) -> None:
    """Keep a row of what was measured: ``record(wavelength=1550, power=0.2)``; it is in ``run.data``."""
    current.get().record(values)


def parameter(name: str, default: T, *marks: Any) -> T:
    """Return what a parameter of the run is now: `default`, until somebody has set it by ``run.set(name=value)``.

    `marks` such as ``Range(0, 10)`` and ``Unit("dB")`` bound what may be set.
    """
    value: T = current.get().parameter(name, default, marks)
    return value


class Tracked(Generic[T]):
    """Items whose progress is told as they are gone through, by ``for`` or by ``async for``."""

    def __init__(self, items: Iterable[T], message: str) -> None:
        self._items = items
        self._message = message
        self._total = len(items) if isinstance(items, Sized) else None

    def __iter__(self) -> Iterator[T]:
        for done, item in enumerate(self._items):
            scope = current.get()
            scope.progress(done, self._total, self._message)
            scope.checkpoint()
            yield item
        self._end()

    async def __aiter__(self) -> AsyncGenerator[T]:
        for done, item in enumerate(self._items):
            current.get().progress(done, self._total, self._message)
            await checkpoint()
            yield item
        self._end()

    def _end(self) -> None:
        if self._total is not None:
            current.get().progress(self._total, self._total, self._message)


def track(items: Iterable[T], message: str = "") -> Tracked[T]:
    """Go through items, telling the progress; each is a checkpoint at which the run can be cancelled or paused.

    In an asynchronous body: ``async for item in track(items):``.

    >>> [2 * number for number in track([1, 2, 3], "doubling")]
    [2, 4, 6]
    """
    return Tracked(items, message)


def shield(seconds: float) -> AbstractContextManager[None]:
    """Keep a cancellation out of a block, for at most some seconds after it comes."""
    return current.get().shield(seconds)


def exchange() -> AbstractContextManager[None]:
    """In a driver, keep others' queries out between a write and its read."""
    return current.get().exchange()


@overload
def spawn(function: Callable[P, Awaiting[R]], *args: P.args, **kwargs: P.kwargs) -> Run[R]: ...
@overload
def spawn(function: Callable[P, Yielding[R]], *args: P.args, **kwargs: P.kwargs) -> Run[R]: ...
@overload
def spawn(function: Callable[P, AsyncYielding], *args: P.args, **kwargs: P.kwargs) -> Run[None]: ...
@overload
def spawn(function: Callable[P, Runs[R]], *args: P.args, **kwargs: P.kwargs) -> Run[R]: ...
@overload
def spawn(function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> Run[R]: ...
def spawn(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Run[Any]:
    """Start a child run, which borrows the devices that it is given; the body's end waits for it.

    Without a lab the function is called at once, and the run returned has ended.
    """
    scope = current.get()
    if scope is PLAIN:
        return PlainRun(function, args, kwargs)
    run: Run[Any] = scope.spawn(function, args, dict(kwargs))
    return run


def current_run() -> Run[Any] | None:
    """Return the run in whose body this is called, or None."""
    run: Run[Any] | None = current.get().present_run()
    return run


def log(message: str, **fields: Any) -> None:
    """Log in the name of the present run."""
    current.get().log(message, fields)


def ask(method: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> Reply[R]:
    """Send a call to a device and return its reply at once: ``reply.result()``, ``await reply``, ``reply.cancel()``.

    On a plain object the method is called at once.

    >>> ask(len, [1, 2, 3]).result()
    3
    """
    method = bound_of(method, args, kwargs)
    found = target_of(method)
    if found is None:
        return done_by(method, args, kwargs)
    check = getattr(method, "check", None)
    if check is not None:
        args, kwargs = check(args, dict(kwargs))
    target, member = found
    send = ask_outside if hasattr(target, "lab_actor") else ask_held
    return send(target, member, args, dict(kwargs))


def perform(device: D, function: Callable[Concatenate[D, P], R], *args: P.args, **kwargs: P.kwargs) -> R:
    """Run `function(device, …)` on the object itself in the device's thread, as one call that nothing interrupts.

    >>> perform([3, 1, 2], sorted)
    [1, 2, 3]
    """
    if not issubclass(type(device), DeviceProxy):
        return function(device, *args, **kwargs)
    own = device.__dict__
    name = getattr(function, "__name__", "perform")
    member = Member(name, query=False, action=performed, path=own["_actorlab_path"], naps=True)
    hold = own["_actorlab_hold"]
    if hold is not None:
        return call_held(hold, member, function, *args, **kwargs)  # type: ignore[no-any-return]  # the function's own
    return call_outside(own["_actorlab_cell"], member, function, *args, **kwargs)  # type: ignore[no-any-return]


def done_by(function: Callable[..., R], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Reply[R]:
    """Call a function at once, and return its outcome as a reply."""
    reply: Reply[R] = Reply()
    try:
        reply.finish(function(*args, **kwargs), None)
    except Exception as error:  # noqa: BLE001 - it is the reply's to raise
        reply.finish(None, error)
    return reply
