"""Put what a form gives by name into the places where a function takes it."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["placed"]

Kind = inspect.Parameter


def placed(signature: inspect.Signature, values: Mapping[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Return the arguments of a call: by name, but for what is taken by place only, and what stands before that.

    What isn't given there has its default; one that has none is left out, and refused by whoever is called.
    """
    parameters = list(signature.parameters.values())
    by_place = [
        place
        for place, item in enumerate(parameters)
        if item.name in values and item.kind in (Kind.POSITIONAL_ONLY, Kind.VAR_POSITIONAL)
    ]
    args: list[Any] = []
    named = dict(values)
    for item in parameters[: max(by_place, default=-1) + 1]:
        if item.kind is Kind.VAR_POSITIONAL:
            args += named.pop(item.name)
        elif item.name in named:
            args.append(named.pop(item.name))
        elif item.default is not Kind.empty:
            args.append(item.default)
    return tuple(args), named
