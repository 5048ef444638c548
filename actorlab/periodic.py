"""Let a driver call one of its own methods again and again, as long as its device lives."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any, Final, Generic, NamedTuple, Protocol, Self, TypeVar, cast, overload

from actorlab.core.periodic import PeriodicState
from actorlab.core.restart import RestartPolicy
from actorlab.errors import ConfigError

__all__ = ["LINE", "WISHES", "Line", "Periodic", "PeriodicMethod", "PeriodicStatus", "periodic"]

R = TypeVar("R")

LINE: Final = "_actorlab_line"
"""Where an object keeps the line to its lab."""
WISHES: Final = "_actorlab_wishes"
"""Where an object without a line keeps what it wants: by the method's name, to be started (True) or stopped."""


class PeriodicStatus(NamedTuple):
    """How a periodic method stands: `next` is when the next beat is due, on the clock of `time.monotonic`.

    `runs` counts the beats that have ended, `skipped` those that were due but not run, as the one before was still in
    hand, as the method waited after an error, or as the device accepted no commands.
    """

    state: PeriodicState
    runs: int = 0
    skipped: int = 0
    last_error: BaseException | None = None
    next: float | None = None


class Line(Protocol):
    """What a driver's object can ask of its lab, from any thread, without waiting."""

    def start(self, name: str) -> None:
        """Have a periodic method started."""
        ...

    def stop(self, name: str) -> None:
        """Have it stopped."""
        ...

    def status(self, name: str) -> PeriodicStatus:
        """Say how it stands."""
        ...


class PeriodicMethod(Generic[R]):
    """A method marked as periodic."""

    __name__: str

    def __init__(
        self, function: Callable[[Any], R], seconds: float, *, autostart: bool, restart: RestartPolicy
    ) -> None:
        functools.update_wrapper(cast("Callable[..., Any]", self), function)
        refuse_arguments(function)
        self.function = function
        self.seconds = seconds
        self.autostart = autostart
        self.restart = restart

    def __set_name__(self, owner: type, name: str) -> None:
        self.__name__ = name

    @overload
    def __get__(self, device: None, owner: type) -> Self: ...
    @overload
    def __get__(self, device: object, owner: type | None = None) -> Periodic[R]: ...
    def __get__(self, device: Any, owner: type | None = None) -> Any:
        return self if device is None else Periodic[R](device, self)

    def __call__(self, device: object, /) -> R:
        """Call the method of a device, as a plain function of the class would."""
        return self.function(device)


class Periodic(Generic[R]):
    """A periodic method of one object: calling it runs it once, now, besides its beats.

    Without a lab nobody runs the beats: `start` and `stop` do nothing then, so that a driver may use them anywhere.
    """

    def __init__(self, device: Any, method: PeriodicMethod[R]) -> None:
        self._device = device
        self._method = method

    def __call__(self) -> R:
        """Run it once, now."""
        return self._method.function(self._device)

    def start(self) -> None:
        """Begin the beats, the first one at once; if they have begun already, do nothing.

        Raises:
            DeviceBusy: somebody else holds the device.

        """
        self._wish(start=True)

    def stop(self) -> None:
        """End the beats; one in hand goes on to its end.

        Raises:
            DeviceBusy: somebody else holds the device.

        """
        self._wish(start=False)

    @property
    def status(self) -> PeriodicStatus:
        """How it stands."""
        line = own_dict(self._device).get(LINE)
        return (
            PeriodicStatus(PeriodicState.STOPPED) if line is None else cast("Line", line).status(self._method.__name__)
        )

    def _wish(self, *, start: bool) -> None:
        own, name = own_dict(self._device), self._method.__name__
        line = own.get(LINE)
        if line is None:
            own.setdefault(WISHES, {})[name] = start
        elif start:
            line.start(name)
        else:
            line.stop(name)


def own_dict(device: object) -> dict[str, Any]:
    """Return what lies in an object itself."""
    return vars(device)


class PeriodicMaker(Protocol):
    """Make a periodic method."""

    def __call__(self, method: Callable[[Any], R], /) -> PeriodicMethod[R]:
        """Return it."""
        ...


def periodic(seconds: float, *, autostart: bool = True, restart: RestartPolicy | None = None) -> PeriodicMaker:
    """Mark a method without arguments to be called every so many seconds, from when its device has connected.

    The beats keep to a grid that doesn't drift, and are calls of the device like any other, whoever holds it: one that
    is due while another is in hand is skipped. An error counts by the policy `restart`: after the delay the beats go
    on, beyond the limit they end. ``camera.poll.start()`` and ``camera.poll.stop()`` begin and end them,
    ``camera.poll.status`` tells how they stand, ``camera.poll()`` calls the method once.

    Raises:
        ConfigError: the period isn't a number of seconds, more than 0.

    >>> class Thermometer:
    ...     @periodic(0.5)
    ...     def poll(self) -> None: ...
    """
    if not 0 < seconds < float("inf"):
        text = f"@periodic({seconds!r}): a period is more than 0 seconds, and finite"
        raise ConfigError(text)
    policy = RestartPolicy() if restart is None else restart
    return cast("PeriodicMaker", functools.partial(made, seconds=seconds, autostart=autostart, restart=policy))


def made(function: Callable[[Any], R], *, seconds: float, autostart: bool, restart: RestartPolicy) -> PeriodicMethod[R]:
    """Make a periodic method."""
    return PeriodicMethod[R](function, seconds, autostart=autostart, restart=restart)


def refuse_arguments(function: Callable[..., object]) -> None:
    """Refuse a method that can't be called with nothing but its object.

    Raises:
        ConfigError: nobody could give it its arguments.

    """
    parameters = list(inspect.signature(function).parameters.values())[1:]
    needed = [item.name for item in parameters if item.default is item.empty and item.kind not in VARIABLE]
    if needed:
        name = getattr(function, "__qualname__", function)
        text = f"@periodic on {name}: nobody gives it its argument {needed[0]!r}; drop it, or give it a default"
        raise ConfigError(text)


VARIABLE: Final = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
