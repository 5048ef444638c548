"""Offer streams of values: a driver yields or publishes them, and each who listens has a buffer of his own."""

from __future__ import annotations

import asyncio
import functools
import inspect
import threading
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Generator, Iterator
from datetime import UTC, datetime
from typing import Any, Concatenate, Final, Generic, ParamSpec, Protocol, Self, TypeVar, cast, overload
from weakref import WeakSet, ref

from actorlab.errors import ConfigError

__all__ = ["Item", "Listening", "Pushed", "Pushing", "Stream", "StreamMethod", "StreamSource", "publish_to", "stream"]

P = ParamSpec("P")
T = TypeVar("T")

BUFFER: Final = 64
"""So many items are kept for each listener, if nothing else is said."""
OUTLETS: Final = "_actorlab_outlets"
"""Where a driver's object keeps whom to tell of what it publishes, by the stream's name, while somebody listens."""
END: Final = object()
clock = time.time
monotonic = time.monotonic


class Item(Generic[T]):
    """One value of a stream, and when it came.

    `monotonic` is in seconds, on the clock of `time.monotonic`; `sequence` counts the items of the production from 0,
    and `dropped` those which this listener has lost so far, since its buffer was full.
    """

    __slots__ = ("_seconds", "dropped", "monotonic", "sequence", "value")

    def __init__(self, value: T, seconds: float, monotonic: float, sequence: int, dropped: int = 0) -> None:
        self.value = value
        self._seconds = seconds
        self.monotonic = monotonic
        self.sequence = sequence
        self.dropped = dropped

    @property
    def time(self) -> datetime:
        """When it came, in UTC."""
        return datetime.fromtimestamp(self._seconds, UTC)

    def as_heard(self, value: T, dropped: int) -> Item[T]:
        """Return the item as one listener hears it: with what he has lost before it."""
        return Item(value, self._seconds, self.monotonic, self.sequence, dropped)

    def __repr__(self) -> str:
        return f"<item {self.sequence} at {self.time:%H:%M:%S.%f}: {self.value!r}>"


class Pushed(Generic[T]):
    """Be what a stream method returns whose values come by `publish`: ``-> Pushed[Frame]``, with what ends them."""

    __slots__ = ("stop",)

    def __init__(self, stop: Callable[[], object] | None = None) -> None:
        self.stop = stop


class Listening(Protocol[T]):
    """One listener's part in a stream; it ends by `close`, and when nobody holds it any more."""

    def items(self) -> Generator[Item[T]]:
        """Yield the items as they come."""
        ...

    def items_async(self) -> AsyncIterator[Item[T]]:
        """Yield the items as they come, without blocking the event loop."""
        ...

    def close(self) -> None:
        """Listen no longer; from any thread. Who waits for an item finds the stream ended."""
        ...


class Stream(Generic[T]):
    """Listen to a stream by ``for`` or ``async for``; each loop has a buffer of its own, in which the newest win.

    Nothing happens before the loop begins. Leaving it, in whatever way, ends the listening; the end of a ``with`` block
    and `close` end all loops over this object.
    """

    def __init__(self, listen: Callable[[int], Listening[T]], buffer: int) -> None:
        self._listen = listen
        self._buffer = checked_buffer(buffer)
        self._heard: WeakSet[Listening[T]] = WeakSet()

    def buffered(self, items: int) -> Stream[T]:
        """Return the same stream with a buffer of so many items."""
        return Stream(self._listen, items)

    def __iter__(self) -> Iterator[Item[T]]:
        return self._begin().items()

    def __aiter__(self) -> AsyncIterator[Item[T]]:
        return self._begin().items_async()

    def _begin(self) -> Listening[T]:
        listening = self._listen(self._buffer)
        self._heard.add(listening)
        return listening

    def close(self) -> None:
        """End all loops over this object."""
        for listening in list(self._heard):
            listening.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def checked_buffer(items: int) -> int:
    """Return the size of a buffer.

    Raises:
        ConfigError: it couldn't hold a single item.

    """
    if type(items) is not int or items < 1:
        text = f"a stream's buffer holds a whole number of items, 1 or more, not {items!r}"
        raise ConfigError(text)
    return items


# -- on a driver's class


class StreamMethod(Generic[P, T]):
    """A method marked as a stream."""

    __name__: str

    def __init__(self, function: Callable[Concatenate[Any, P], object], buffer: int = BUFFER) -> None:
        functools.update_wrapper(cast("Callable[..., Any]", self), function)
        self.function = function
        self.buffer = checked_buffer(buffer)
        self.generates = inspect.isgeneratorfunction(function)
        """Whether it yields its values; if not, they are published."""

    def __set_name__(self, owner: type, name: str) -> None:
        self.__name__ = name

    @overload
    def __get__(self, device: None, owner: type) -> Self: ...
    @overload
    def __get__(self, device: object, owner: type | None = None) -> StreamSource[P, T]: ...
    def __get__(self, device: Any, owner: type | None = None) -> Any:
        return self if device is None else StreamSource[P, T](device, self)

    def __call__(self, device: object, /, *args: P.args, **kwargs: P.kwargs) -> Stream[T]:
        """Return the stream of a device, as a plain function of the class would."""
        return self.__get__(device)(*args, **kwargs)

    @functools.cached_property
    def _signature(self) -> inspect.Signature:
        return inspect.signature(self.function)

    def arguments(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Return arguments as the method will get them, its defaults among them, so that equal calls are equal.

        Raises:
            TypeError: the method doesn't take them.

        """
        bound = self._signature.bind(None, *args, **kwargs)
        bound.apply_defaults()
        return bound.args[1:], bound.kwargs


class StreamSource(Generic[P, T]):
    """A stream method of one object."""

    def __init__(self, device: Any, method: StreamMethod[P, T]) -> None:
        self._device = device
        self._method = method

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> Stream[T]:
        """Return the stream of these arguments; nothing begins before somebody listens."""
        given, named = self._method.arguments(args, kwargs)
        return Stream(lambda buffer: PlainListening[T](self, given, named, buffer), self._method.buffer)

    def publish(self, value: T) -> None:
        """Tell all who listen; with nobody there it does nothing. From any thread of the driver.

        Raises:
            ConfigError: the method is a generator, which yields its values.

        """
        publish_to(self._device, self._method.__name__, value)

    def open(
        self, outlet: Callable[[Any], object], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Iterator[T] | Pushing:
        """Call the method itself; from now on, if it doesn't yield its values, the outlet is told of them."""
        method, own = self._method, own_dict(self._device)
        if not method.generates:
            own.setdefault(OUTLETS, {})[method.__name__] = outlet
        pushing = Pushing(own, method.__name__, outlet)
        try:
            made = method.function(self._device, *args, **kwargs)
            pushing.stop_by(made)
        except BaseException:
            pushing.stop()
            raise
        if isinstance(made, Iterator):
            pushing.stop()
            return cast("Iterator[T]", made)
        return pushing


class Pushing:
    """A stream that a driver pushes, until it is stopped."""

    __slots__ = ("_name", "_outlet", "_own", "_stop")

    def __init__(self, own: dict[str, Any], name: str, outlet: Callable[[Any], object]) -> None:
        self._own = own
        self._name = name
        self._outlet = outlet
        self._stop: list[Callable[[], object]] = []

    def stop_by(self, made: object) -> None:
        """Take note of what the stream method has returned.

        Raises:
            TypeError: it can't be the stop of a stream.

        """
        stop = stop_of(made)
        if callable(stop):
            self._stop.append(stop)
        elif stop is not None and not isinstance(made, Iterator):
            text = (
                f"the stream {self._name} returned a {kind_of(made)}: it yields its values, or it publishes them "
                f"and returns Pushed(…) with what stops it"
            )
            raise TypeError(text)

    def stop(self) -> None:
        """Stop it; once."""
        outlets = self._own.get(OUTLETS, {})
        if outlets.get(self._name, END) is self._outlet:
            del outlets[self._name]
        if self._stop:
            self._stop.pop()()


def stop_of(made: Any) -> object:
    """Return what stops a stream that publishes, from what its method has returned."""
    return made.stop if isinstance(made, Pushed) else made


def kind_of(made: Any) -> str:
    """Return the name of a value's class."""
    return type(made).__name__


def publish_to(device: object, name: str, value: object) -> None:
    """Tell all who listen to a stream of an object that publishes its values.

    Raises:
        ConfigError: the object's class has no such stream.

    """
    method: Any = getattr(type(device), name, None)
    if not issubclass(type(method), StreamMethod) or method.generates:
        text = f"{type(device).__name__} publishes no stream {name!r}: mark a method with @stream that returns Pushed()"
        raise ConfigError(text)
    outlets: dict[str, Callable[[Any], object]] | None = own_dict(device).get(OUTLETS)
    if outlets:
        outlet = outlets.get(name)
        if outlet is not None:
            outlet(value)


def own_dict(device: object) -> dict[str, Any]:
    """Return what lies in an object itself."""
    return vars(device)


class StreamMaker(Protocol):
    """Make a stream of a method."""

    @overload
    def __call__(self, method: Callable[Concatenate[Any, P], Iterator[T]], /) -> StreamMethod[P, T]: ...
    @overload
    def __call__(self, method: Callable[Concatenate[Any, P], Pushed[T]], /) -> StreamMethod[P, T]: ...


@overload
def stream(method: Callable[Concatenate[Any, P], Iterator[T]], /) -> StreamMethod[P, T]: ...
@overload
def stream(method: Callable[Concatenate[Any, P], Pushed[T]], /) -> StreamMethod[P, T]: ...
@overload
def stream(*, buffer: int) -> StreamMaker: ...
def stream(method: Any = None, /, *, buffer: int = BUFFER) -> Any:
    """Mark a method as a stream: ``@stream`` or ``@stream(buffer=1000)``; ``for item in camera.frames(0.02)`` listens.

    A generator yields the values. A method that returns `Pushed` only starts them: they come by
    ``self.publish("frames", value)``, or typed by ``self.frames.publish(value)``, from any thread of the driver.

    >>> class Counter:
    ...     @stream
    ...     def numbers(self, below: int) -> Iterator[int]:
    ...         yield from range(below)
    >>> [item.value for item in Counter().numbers(3)]
    [0, 1, 2]
    """
    make: Any = functools.partial(StreamMethod[Any, Any], buffer=buffer)
    return make if method is None else make(method)


# -- without a lab


class PlainListening(Generic[T]):
    """Listen to an object that no lab knows: a generator runs in the listener's own thread."""

    def __init__(
        self, source: StreamSource[Any, T], args: tuple[Any, ...], kwargs: dict[str, Any], buffer: int
    ) -> None:
        self._buffer: deque[Item[T]] = deque(maxlen=buffer)
        self._heard = 0
        self._told = 0
        self._closed = False
        self._changed = threading.Condition()
        self._made = source.open(Outlet(self), args, kwargs)

    def items(self) -> Generator[Item[T]]:
        """Yield the items as they come."""
        try:
            yield from self._pushed() if isinstance(self._made, Pushing) else self._yielded(self._made)
        finally:
            self.close()

    async def items_async(self) -> AsyncIterator[Item[T]]:
        """Yield the items as they come; the driver's own code runs in a thread, as it blocks."""
        items = self.items()
        try:
            while (item := await asyncio.to_thread(next, items, END)) is not END:
                yield cast("Item[T]", item)
        finally:
            self.close()

    def close(self) -> None:
        """Listen no longer."""
        with self._changed:
            first, self._closed = not self._closed, True
            self._changed.notify_all()
        if first and isinstance(self._made, Pushing):
            self._made.stop()

    def __del__(self) -> None:
        if "_made" in vars(self):
            self.close()

    def _yielded(self, made: Iterator[T]) -> Iterator[Item[T]]:
        try:
            while not self._closed and (value := next(made, END)) is not END:
                yield self._numbered(cast("T", value))
        finally:
            if isinstance(made, Generator):
                made.close()

    def _pushed(self) -> Iterator[Item[T]]:
        lost = 0
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._buffer or self._closed)
                if self._closed:
                    return
                item = self._buffer.popleft()
            lost, self._heard = item.sequence - self._heard + lost, item.sequence + 1
            yield item.as_heard(item.value, lost)

    def take(self, value: T) -> None:
        """Take what was published."""
        with self._changed:
            self._buffer.append(self._numbered(value))
            self._changed.notify_all()

    def _numbered(self, value: T) -> Item[T]:
        item = Item(value, clock(), monotonic(), self._told)
        self._told += 1
        return item


class Outlet(Generic[T]):
    """What a driver publishes to: it doesn't keep the listener alive."""

    def __init__(self, listening: PlainListening[T]) -> None:
        self._listening = ref(listening)

    def __call__(self, value: T) -> None:
        """Pass a value on."""
        listening = self._listening()
        if listening is not None:
            listening.take(value)
