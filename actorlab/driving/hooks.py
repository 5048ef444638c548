"""Find a driver's lifecycle hooks: by configuration, by the preset of its package, on `Device`, or by usual names."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any, Final

from actorlab.device import Device
from actorlab.driving.presets import preset_of
from actorlab.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable

    from actorlab.device import DeviceConfig

__all__ = ["Hooks"]

BY_NAME: Final = {
    "connect": ("connect",),
    "disconnect": ("disconnect", "close"),
    "make_safe": ("make_safe", "shutdown", "stop"),
    "interrupt": ("interrupt",),
    "resync": ("resync",),
    "identify": ("identify",),
}
"""The names that are tried for each hook, in this order."""
OURS: Final = {"make_safe": ("make_safe",), "resync": ("resync",), "identify": ("identify",)}
"""Names that a class of another package has only if somebody wrote them for this."""


class Hooks:
    """The hooks of one driver class, by their meaning."""

    def __init__(self, found: dict[str, str | Callable[[Any], object]]) -> None:
        self.found = found

    @classmethod
    def of(cls, driver: type, config: DeviceConfig) -> Hooks:
        """Find the hooks of a class; a method that needs arguments is never taken for one by its name."""
        preset = preset_of(driver)
        found: dict[str, str | Callable[[Any], object]] = {}
        for hook, names in BY_NAME.items():
            chosen = getattr(config, hook)
            if chosen == "auto" and preset is not None:
                chosen = first_of(driver, OURS.get(hook, ())) or getattr(preset, hook)
            elif chosen == "auto":
                chosen = first_of(driver, names)
            if chosen is not None:
                found[hook] = chosen
        return cls(found)

    def check(self, driver: object) -> None:
        """Refuse a configured name that the driver doesn't have, or that can't be called with nothing but the object.

        Raises:
            ConfigError: it says which hook and name.

        """
        for hook, chosen in self.found.items():
            if not isinstance(chosen, str):
                continue
            static = inspect.getattr_static(type(driver), chosen, None)
            if static is None and not callable(getattr(driver, chosen, None)):
                why = f"{type(driver).__name__} has no such method; name another, or None"
            elif static is not None and needs_arguments(static):
                why = f"it needs arguments; give a function, such as lambda driver: driver.{chosen}(…)"
            else:
                continue
            text = f"DeviceConfig({hook}={chosen!r}): {why}"
            raise ConfigError(text)

    def has(self, hook: str) -> bool:
        """Tell whether the driver has this hook."""
        return hook in self.found

    def call(self, hook: str, driver: Any) -> Any:
        """Call a hook of the driver, if it has it."""
        chosen = self.found.get(hook)
        if chosen is None:
            return None
        return getattr(driver, chosen)() if isinstance(chosen, str) else chosen(driver)


def first_of(driver: type, names: tuple[str, ...]) -> str | None:
    """Return the first name that is a method without arguments, and isn't only the empty one of `Device`."""
    for name in names:
        method = inspect.getattr_static(driver, name, None)
        if method is None or method is getattr(Device, name, None):
            continue
        if callable(getattr(driver, name, None)) and not needs_arguments(method):
            return name
    return None


def needs_arguments(method: Any) -> bool:
    """Tell whether a method can't be called with nothing but the object."""
    function = getattr(method, "__func__", method)
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):
        return False
    bound = parameters if isinstance(method, staticmethod) else parameters[1:]
    return any(
        item.default is item.empty
        and item.kind in (item.POSITIONAL_ONLY, item.POSITIONAL_OR_KEYWORD, item.KEYWORD_ONLY)
        for item in bound
    )
