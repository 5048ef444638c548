"""Write values for people: not the thousand numbers in them, and devices by their names."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from actorlab.encoding import StandIn as Unreadable
from actorlab.runtime.asked import DeviceName

__all__ = ["argument_text", "arguments_text", "shortened"]

WIDE: Final = 60
"""So many characters of an argument are shown."""


def shortened(value: Any) -> str:
    """Write a value, but not the thousand numbers in it."""
    if isinstance(value, str | Path):
        return str(value)
    if hasattr(value, "dtype") and hasattr(value, "shape"):
        return f"array of {' x '.join(map(str, value.shape)) or 'no axes'} {value.dtype}"
    from rich.pretty import pretty_repr  # noqa: PLC0415 - it looks for packages of all kinds

    return pretty_repr(value, max_length=8, max_string=200, max_depth=4)


def arguments_text(told: Mapping[str, Any]) -> str:
    """Write the arguments of a run."""
    args: Any = told.get("args") or ()
    kwargs: Any = told.get("kwargs") or {}
    if Unreadable in (type(args), type(kwargs)):
        return f"{argument_text(args)} {argument_text(kwargs)}"
    return ", ".join([*map(argument_text, args), *(f"{name}={argument_text(value)}" for name, value in kwargs.items())])


def argument_text(value: Any) -> str:
    """Write an argument; a device as its name."""
    if isinstance(value, DeviceName):
        return value.name + "".join(f".{step}" if how == "attribute" else f"[{step!r}]" for how, step in value.path)
    if isinstance(value, Unreadable):
        return (
            f"{value.name.rpartition(':')[2]}({', '.join(f'{k}={argument_text(v)}' for k, v in value.fields.items())})"
        )
    if type(value) in (list, tuple) and any(isinstance(item, DeviceName) for item in value):
        return f"[{', '.join(map(argument_text, value))}]"
    text = " ".join(shortened(value).split())
    return text if len(text) <= WIDE else f"{text[: WIDE - 1]}…"
