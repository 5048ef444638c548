"""Describe a device to the lab: an optional base class, query markers and configuration."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Final, Literal, ParamSpec, Self, TypeVar

from actorlab.core.overflow import MailboxPolicy
from actorlab.core.restart import RestartPolicy
from actorlab.errors import ConfigError
from actorlab.quantities import ReadBack
from actorlab.streams import publish_to

__all__ = ["Configured", "Device", "DeviceConfig", "query"]

P = ParamSpec("P")
R = TypeVar("R")
F = TypeVar("F", bound=Callable[..., Any])

QUERY_MARK: Final = "__actorlab_query__"


def query(method: F) -> F:
    """Mark a method that only reads: it is answered also while somebody else holds the device."""
    setattr(method, QUERY_MARK, True)
    return method


class Device:
    """Be a device with lifecycle hooks; any other class can be a device too.

    A subclass overrides what it needs: `connect` and `disconnect` are called once each per life; `make_safe` brings the
    instrument into a state in which it may be left alone, and is called whenever a run that held it ends without
    success. A subclass may also define ``interrupt()`` (end the call in progress, from another thread), ``resync()``
    (make the connection usable after a call was cut short) and ``identify() -> str``.

    Reading an attribute or a property of a `Device` counts as a query.
    """

    device_config: DeviceConfig | None = None

    def connect(self) -> None:
        """Open the connection. An error here counts as a fault."""

    def disconnect(self) -> None:
        """Close the connection."""

    def make_safe(self) -> None:
        """Switch off what could do harm. It is idempotent and doesn't depend on other devices."""

    def publish(self, stream: str, value: object) -> None:
        """Tell all who listen to a stream of this device, from any thread of the driver; with nobody there, nobody.

        Raises:
            ConfigError: no method of this name is marked as a stream that publishes its values.

        """
        publish_to(self, stream, value)


@dataclass(frozen=True, kw_only=True)
class DeviceConfig:
    """Say how the lab treats a device; call it with a factory to configure that factory.

    All times are in seconds.

    >>> class Laser: ...
    >>> factory = DeviceConfig(timeout=5)(Laser)

    `connect`, `disconnect`, `make_safe`, `interrupt`, `resync` and `identify` name a method or give a function of the
    device; None says that there is none. `faults` are further exceptions that mean "the connection broke, start
    afresh".

    `queries` and `idempotent` name members of drivers that can't be marked, as one would type them:
    ``"source_enabled"``, ``"sense.*.range"``, ``"channels[*].voltage"``, ``"channels[A].voltage"``. A ``*`` stands for
    any part of one name or key, and ``**`` for any way (``"**.temperature"``). A parameter that is named, such as
    ``"volt"``, is read by a query (``volt()``, ``volt.get()``); to set it (``volt(5)``) stays a command.

    `read_back` names setters whose value is to be read back: ``{"set_wavelength": ReadBack("wavelength", 0.01, 2)}``.

    ``isolation="process"`` puts the driver into a process of its own, which is killed when it hangs. With `direct` the
    calls of whoever holds the device run in the caller's own thread: a call costs as little as a method call and a
    lock, but its running time has no limit, nothing else is answered meanwhile, and the driver must not mind being
    called from several threads, one after another.

    `twin` makes an object that behaves like the device and needs no instrument: rehearsals that simulate use it.
    """

    restart: RestartPolicy = field(default_factory=RestartPolicy)
    timeout: float = 60.0
    safe_timeout: float = 10.0
    faults: tuple[type[BaseException], ...] = ()
    queries: tuple[str, ...] = ()
    idempotent: tuple[str, ...] = ()
    connect: str | Callable[[Any], object] | None = "auto"
    disconnect: str | Callable[[Any], object] | None = "auto"
    make_safe: str | Callable[[Any], object] | None = "auto"
    interrupt: str | Callable[[Any], object] | None = "auto"
    resync: str | Callable[[Any], object] | None = "auto"
    identify: str | Callable[[Any], object] | None = "auto"
    optional: bool = False
    isolation: Literal["thread", "process"] = "thread"
    direct: bool = False
    read_back: Mapping[str, ReadBack] = field(default_factory=dict[str, ReadBack])
    mailbox: int | MailboxPolicy = 1024
    twin: Callable[[], Any] | None = None
    _given: ClassVar[tuple[str, ...]] = ()

    def __new__(cls, **given: Any) -> Self:
        """Remember what is given: it goes over another configuration even where it equals the default."""
        made = super().__new__(cls)
        object.__setattr__(made, "_given", tuple(given))
        return made

    def __post_init__(self) -> None:
        for name in ("timeout", "safe_timeout"):
            if not getattr(self, name) > 0:
                message = f"DeviceConfig({name}={getattr(self, name)!r}): it must be more than 0"
                raise ConfigError(message)
        MailboxPolicy.of(self.mailbox)  # refuses a number that is no bound
        if self.isolation not in ("thread", "process"):
            message = f"DeviceConfig(isolation={self.isolation!r}): it is 'thread' or 'process'"
            raise ConfigError(message)
        if self.direct and self.isolation == "process":
            message = "DeviceConfig(direct=True, isolation='process'): no caller's thread can run in another process"
            raise ConfigError(message)

    def __call__(self, factory: Callable[P, R]) -> Callable[P, R]:
        """Return the factory with this configuration; the factory itself stays as it is."""
        return Configured(factory, self)

    def over(self, other: DeviceConfig) -> DeviceConfig:
        """Return `other`, with whatever was set here in place of it."""
        return replace(other, **{name: getattr(self, name) for name in self._given})


class Configured:
    """A factory together with its configuration, as ``lab.add`` takes it apart."""

    def __init__(self, factory: Callable[..., Any], config: DeviceConfig) -> None:
        self.factory = factory
        self.config = config

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Make the plain object: without a lab the configuration means nothing."""
        return self.factory(*args, **kwargs)

    def __repr__(self) -> str:
        return f"{self.config}({self.factory!r})"
