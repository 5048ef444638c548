"""Keep a lab's devices by name: add, connect, look up, look at, restart, remove."""

from __future__ import annotations

import itertools
import re
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from actorlab.device import Configured, DeviceConfig
from actorlab.driving.hooks import Hooks
from actorlab.driving.member import where
from actorlab.driving.shape import NO_SHAPE
from actorlab.errors import ConfigError, DeviceUnavailable
from actorlab.periodic import PeriodicMethod
from actorlab.runtime.cell import Cell
from actorlab.streams import StreamMethod

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from actorlab.kernel import Reply
    from actorlab.runtime.lab_actor import LabActor

__all__ = ["Adding", "Devices"]

BEYOND: Final = 5.0
"""A wait for a device ends so many seconds after the device's own bound; it hears of that one first."""
TOLD: Final = ("timeout", "safe_timeout", "optional", "isolation", "direct")
"""The options of a device that its description tells."""
VISA_RESOURCE: Final = re.compile(r"(TCPIP|GPIB|USB|ASRL|VXI|PXI|VICP|PRLGX)[^:]*::", re.IGNORECASE)


class Adding(NamedTuple):
    """A device that connects: `first` tells the outcome."""

    cell: Cell
    first: Reply[None]


class Devices:
    """The devices of a lab; each verb waits at most as long as the device's own bounds allow."""

    def __init__(self, lab_actor: LabActor) -> None:
        self._lab_actor = lab_actor
        self._orders = itertools.count()
        self.cells: dict[str, Cell] = {}

    # -- adding

    def add(self, name: str, factory: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
        """Add a device, wait until it has connected, and return its proxy."""
        return self.connected(self.begin(name, factory, args, kwargs))

    def begin(self, name: str, factory: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Adding:
        """Begin to add a device; `connected` waits for it.

        Raises:
            ConfigError: the name is taken or is none, the factory makes no device, or another device has its resource.

        """
        if not name or not isinstance(name, str):
            text = f"a device needs a name, such as 'laser', not {name!r}"
            raise ConfigError(text)
        if name in self.cells:
            text = f"there is a device named {name!r} already: choose another name, or remove it first"
            raise ConfigError(text)
        inner, config = configured(factory)
        self._refuse_second_name(name, args, kwargs)
        cell = Cell(name, next(self._orders), inner, args, dict(kwargs), config, self._lab_actor)
        cell.owes_safe = self._lab_actor.after_crash
        self.cells[name] = cell
        if self._lab_actor.calls.told:
            cell.tell_calls(self._lab_actor.calls.told)
        first = self._lab_actor.lives.add(cell)
        self._lab_actor.interlocks.added(cell)
        return Adding(cell, first)

    def connected(self, adding: Adding) -> Any:
        """Wait for a device that is being added, and return its proxy; an optional one may be absent.

        Raises:
            DeviceUnavailable: it didn't connect; the message says why.

        """
        cell = adding.cell
        try:
            self._await(adding)
        except KeyboardInterrupt:  # it goes on connecting; it can be looked at, and removed
            raise
        except BaseException:
            if cell.standing.value != "quarantined":
                self.cells.pop(cell.name, None)
            raise
        return self.proxy_of(cell)

    @staticmethod
    def _await(adding: Adding) -> None:
        cell, first = adding
        bound = cell.config.timeout + BEYOND
        if cell.config.optional:
            first.wait(min(bound, cell.config.safe_timeout))
        elif not first.wait(bound):
            text = f"{cell.name} hasn't connected within {cell.config.timeout:g} s"
            raise DeviceUnavailable(text)
        else:
            first.outcome()

    def _refuse_second_name(self, name: str, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
        """Refuse a second device on one VISA resource: each would steal the other's answers."""
        wanted = visa_resources(args, kwargs)
        for cell in list(self.cells.values()):
            for resource, _ in wanted & visa_resources(cell.args, cell.kwargs):
                text = f"{name!r} can't have {resource}: {cell.name!r} has it already, and would lose answers to it"
                raise ConfigError(text)

    # -- looking up

    def cell(self, name: str) -> Cell:
        """Return what is known of a device.

        Raises:
            ConfigError: there is none; the message lists those there are.

        """
        try:
            return self.cells[name]
        except KeyError:
            have = ", ".join(self.cells) or "none"
            text = f"this lab has no device named {name!r}; it has {have}"
            raise ConfigError(text) from None

    def in_order(self, names: Iterable[str]) -> list[Cell]:
        """Return some devices in the order in which they were added."""
        return sorted(map(self.cell, names), key=lambda cell: cell.order)

    def proxy(self, name: str) -> Any:
        """Return the proxy of a device."""
        return self.proxy_of(self.cell(name))

    @staticmethod
    def proxy_of(cell: Cell) -> Any:
        """Make a device's proxy, as an instance of the class that its driver has now."""
        actor = cell.actor
        if actor is not None and actor.driver is not None:
            cell.cls = actor.driver.kind
        return cell.proxies.proxy(cell, None, cell.cls)

    def describe(self, name: str) -> dict[str, Any]:
        """Return what a device is and what can be asked of it, ready for JSON; nothing is asked of it."""
        from actorlab.runtime.describe import describe_class  # noqa: PLC0415 - it brings pydantic, which takes a while

        cell = self.cell(name)
        self.proxy_of(cell)  # by now the class of what the factory has made may be known
        cls = cell.cls
        shape = cell.actor.shape if cell.actor is not None else NO_SHAPE
        hooks = {hook: hook_name(found) for hook, found in Hooks.of(cls, cell.config).found.items()}
        described = describe_class(
            cls,
            is_query=lambda member, reads: cell.proxies.is_query(cls, member, (), reads=reads),
            hooks=hooks,
            extra_members=shape.names,
            kind_of=kind_of,
        )
        parts = {where("", (step,)).removeprefix("."): part.__name__ for step, part in shape.parts.items()}
        config = {option: getattr(cell.config, option) for option in TOLD}
        return {"name": name, **config, **described, "parts": parts}

    # -- lives

    def remove(self, name: str, timeout: float | None) -> None:
        """Disconnect a device that nobody holds, and forget it."""
        cell = self.cell(name)
        bound = timeout if timeout is not None else cell.config.safe_timeout + BEYOND
        self._lab_actor.lives.remove(name).result(bound)
        self.cells.pop(name, None)

    def reset(self, name: str, *, force: bool) -> None:
        """Start a quarantined device afresh, and return when it serves."""
        cell = self.cell(name)
        self._lab_actor.lives.reset(name, force=force).result(cell.config.timeout + BEYOND)

    def disconnect(self, name: str, why: str) -> None:
        """Make a device that nobody holds safe, disconnect it, and return when its thread has ended."""
        cell = self.cell(name)
        self._lab_actor.lives.disconnect(name, why).result(2 * cell.config.safe_timeout + BEYOND)

    def connect(self, name: str) -> None:
        """Connect a device that was disconnected, and return when it serves."""
        cell = self.cell(name)
        connected = self._lab_actor.lives.connect(name)
        if not connected.wait(cell.config.timeout + cell.config.safe_timeout + BEYOND):
            raise cell.unavailable()
        connected.outcome()

    def restart(self, name: str) -> None:
        """End a device's life, begin a new one, and return when it serves."""
        cell = self.cell(name)
        restarted = self._lab_actor.lives.restart(name)
        if not restarted.wait(cell.config.safe_timeout + cell.config.timeout + BEYOND):
            raise cell.unavailable()
        restarted.outcome()


def kind_of(static: Any) -> str | None:
    """Return the kind of a member that is neither a plain method nor an attribute."""
    if isinstance(static, StreamMethod):
        return "stream"
    return "periodic" if isinstance(static, PeriodicMethod) else None


def hook_name(found: str | Callable[[Any], object]) -> str:
    """Return the name of a method, or of a function, that is a hook."""
    return found if isinstance(found, str) else getattr(found, "__qualname__", repr(found))


def configured(factory: Any) -> tuple[Callable[..., Any], DeviceConfig]:
    """Take a factory and its configuration apart; what is given to `add` goes over what stands on the class."""
    given = factory.config if isinstance(factory, Configured) else None
    inner = factory.factory if isinstance(factory, Configured) else factory
    if not callable(inner):
        text = f"{inner!r} makes no device: give a class, or a function that returns an object"
        raise ConfigError(text)
    made: Callable[..., Any] = inner
    own: object = getattr(inner, "device_config", None) if isinstance(inner, type) else None
    config = own if isinstance(own, DeviceConfig) else DeviceConfig()
    return made, config if given is None else given.over(config)


def visa_resources(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> set[tuple[str, str]]:
    """Return the VISA resource names among arguments, in capitals, as VISA compares them, each with its simulation."""
    texts = [text for text in (*args, *kwargs.values()) if isinstance(text, str)]
    simulation = str(kwargs.get("pyvisa_sim_file") or next((text for text in texts if text.endswith("@sim")), ""))
    return {(text.upper(), simulation) for text in texts if VISA_RESOURCE.match(text)}
