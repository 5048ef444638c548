"""Name classes as text, and find them again."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from typing import Any, TypeAlias

__all__ = ["Resolve", "imported", "loaded", "name_of", "only", "only_ours"]

Resolve: TypeAlias = Callable[[str], Any]
"""Finds what ``module:qualname`` names, or raises `LookupError` saying why it can't."""


def name_of(cls: type) -> str:
    """Name a class by its module and its name there."""
    return f"{cls.__module__}:{cls.__qualname__}"


def imported(name: str) -> Any:
    """Find a class by importing its module.

    Raises:
        LookupError: the module can't be imported, or has no such class.

    """
    module = name.partition(":")[0]
    if module not in sys.modules:
        try:
            importlib.import_module(module)
        except Exception as error:
            message = f"its module can't be imported ({type(error).__name__}: {error})"
            raise LookupError(message) from error
    return loaded(name)


def loaded(name: str) -> Any:
    """Find a class in a module that is loaded already; nothing is imported.

    Raises:
        LookupError: the module isn't loaded, or has no such class.

    """
    module, _, path = name.partition(":")
    found: Any = sys.modules.get(module)
    if found is None:
        message = f"the module {module!r} isn't loaded: import it before"
        raise LookupError(message)
    for part in path.split("."):
        try:
            found = found.__dict__[part]
        except (KeyError, AttributeError) as error:
            where = "it was defined inside a function" if part == "<locals>" else f"{module!r} has no such class"
            raise LookupError(where) from error
    return found


def only(*classes: type, otherwise: Resolve | None = None) -> Resolve:
    """Return what finds these classes by their names, and others by `otherwise`, if at all."""
    known = {name_of(cls): cls for cls in classes}

    def resolve(name: str) -> Any:
        if name in known:
            return known[name]
        if otherwise is not None:
            return otherwise(name)
        message = "it isn't among the classes that are expected here"
        raise LookupError(message)

    return resolve


def only_ours(name: str) -> Any:
    """Find a class of actorlab by its name, and others only where they are loaded: nobody's code runs by looking.

    Raises:
        LookupError: it isn't there.

    """
    return imported(name) if name.startswith("actorlab.") else loaded(name)
