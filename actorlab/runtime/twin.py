"""Put simulated twins in the place of devices, so that a body can be tried without touching an instrument."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple, cast

from actorlab.driving.in_thread import InThread
from actorlab.driving.travel import Stays
from actorlab.kernel import Mailbox
from actorlab.runtime.proxy import ProxyFactory, part
from actorlab.scope import Scope, current

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from actorlab.device import DeviceConfig
    from actorlab.driving.member import Member, Path
    from actorlab.driving.shape import Shape
    from actorlab.runtime.cell import Cell

__all__ = ["Recipe", "TwinCell"]

LIFE: Final = 1


class Recipe(NamedTuple):
    """How a device is made, and how its lab treats it."""

    factory: Callable[..., Any]
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    config: DeviceConfig


class NoTime(Scope):
    """What a twin does while it is set up, made safe or taken down takes no time."""

    __slots__ = ()

    def sleep(self, seconds: float) -> None:
        """Go on at once."""
        del seconds


class TwinCell:
    """What stands for a device's cell towards its proxies: a simulated object, used in its caller's thread."""

    lab_actor: Final = None

    def __init__(self, name: str, twin: InThread, config: DeviceConfig) -> None:
        self.name = name
        self.config = config
        self.twin = twin
        self.cls = twin.kind
        self.life = LIFE
        self.proxies = ProxyFactory(config.queries, config.read_back)
        self.shapes: dict[Path, tuple[int, Shape]] = {}
        self.mailbox = Mailbox(name, 1)
        self.actor = self

    @property
    def shape(self) -> Shape:
        """Look at the twin."""
        return self.twin.shape

    def proxy(self, path: Path = (), cls: type | None = None) -> Any:
        """Return what stands for the twin, or for a part of it, among a body's arguments."""
        return self.proxies.proxy(cast("Cell", self), None, cls or self.cls, path)

    def act(self, member: Member, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Do what a member says, in the present thread."""
        value = self.twin.act(member, args, kwargs)
        return value if value.__class__ is not Stays else part(cast("Cell", self), None, member, args, value)

    def hook(self, hook: str) -> None:
        """Call a hook of the twin, which takes no time."""
        token = current.set(NoTime())
        try:
            self.twin.hook(hook)
        finally:
            current.reset(token)
