"""Drive an object in the present thread: make it, call its hooks and its members, tell data from parts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from traceback import clear_frames
from typing import Any, Protocol

from actorlab.device import DeviceConfig
from actorlab.driving.hooks import Hooks
from actorlab.driving.member import Member, Path, resolve
from actorlab.driving.shape import Shape, look
from actorlab.driving.travel import SCALARS, Stays, outgoing

__all__ = ["Driving", "InThread"]


class Driving(Protocol):
    """A driver's object, wherever it lives; used by one thread, but for `interrupt`."""

    @property
    def kind(self) -> type:
        """Return the class of the object."""
        ...

    @property
    def shape(self) -> Shape:
        """Look at the object."""
        ...

    def look(self, path: Path) -> Shape:
        """Look at a part of the object."""
        ...

    def has(self, hook: str) -> bool:
        """Tell whether the driver has a hook, by its meaning ("connect", "make_safe", …)."""
        ...

    def hook(self, hook: str) -> Any:
        """Call a hook, if the driver has it."""
        ...

    def act(self, member: Member, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Do what a member says, and return the value if it is data, else a `Stays`."""
        ...

    def interrupt(self) -> None:
        """End the call in progress; from another thread."""

    def close(self) -> None:
        """Let go of where it lives, after its last hook."""


class InThread:
    """A driver's object in the thread that uses it; `life` numbers the lives of its device."""

    def __init__(
        self,
        factory: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
        config: DeviceConfig,
        life: int,
    ) -> None:
        try:
            self.object: object = factory(*args, **kwargs)
        except BaseException as error:
            let_go(error)
            raise
        self.kind = type(self.object)
        self.life = life
        self.hooks = Hooks.of(self.kind, config)
        self.hooks.check(self.object)

    @property
    def shape(self) -> Shape:
        """Look at the object."""
        return look(self.object)

    def look(self, path: Path) -> Shape:
        """Look at a part of the object."""
        return look(resolve(self.object, path, self.life))

    def has(self, hook: str) -> bool:
        """Tell whether the driver has a hook."""
        return self.hooks.has(hook)

    def hook(self, hook: str) -> Any:
        """Call a hook by its meaning, if the driver has it."""
        return self.hooks.call(hook, self.object)

    def act(self, member: Member, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Do what a member says, and return the value if it is data, else a `Stays`; on the hot path."""
        path = member.path
        if not path:
            target = self.object
        elif path[0][0] == "hook":
            return self.hook(path[0][1])
        else:
            target = resolve(self.object, path, self.life)
        value = member.action(target, member.name, args, kwargs)
        return value if value.__class__ in SCALARS else self._outgoing(value)

    def _outgoing(self, value: Any) -> Any:
        """Return what the caller gets; a method that returns the object itself gives the device."""
        sent = outgoing(value, self.life)
        if value is self.object and type(sent) is Stays:
            sent.origin = ()
        return sent

    def interrupt(self) -> None:
        """Call the driver's hook that ends the call in progress; from another thread."""
        self.hook("interrupt")

    def close(self) -> None:
        """Do nothing: the object goes with its thread."""


def let_go(error: BaseException | None) -> None:
    """Let go of an object that failed to be made, which the error's frames hold: so it can close what it has opened."""
    while error is not None:
        clear_frames(error.__traceback__)
        error = error.__cause__ or error.__context__
