"""Import what a lab's file names, and say what is wrong with a name."""

from __future__ import annotations

import builtins
import difflib
import importlib
import re
from typing import Any

__all__ = ["did_you_mean", "imported", "imported_error", "imported_factory", "imported_function", "regular_expression"]


def imported(text: object) -> Any:
    """Import "module:Class", or take a built-in by its name. Raise `ValueError` saying what isn't there."""
    if not isinstance(text, str):
        message = f"{text!r} is no class: write module:Class, such as actorlab.simulation:Laser"
        raise ValueError(message)  # noqa: TRY004 - pydantic reports a ValueError, and lets a TypeError through
    module, colon, name = text.partition(":")
    if not colon:
        if hasattr(builtins, module):
            return getattr(builtins, module)
        message = f"{text!r} names no class: write module:Class, such as actorlab.simulation:Laser"
        raise ValueError(message)
    return attribute_of(import_of(module, text), name, text)


def import_of(module: str, text: str) -> Any:
    """Import a module; whatever it raises meanwhile is the file's mistake, or the module's, and not ours."""
    try:
        return importlib.import_module(module)
    except Exception as error:
        message = f"{text!r} can't be imported: {type(error).__name__}: {error}"
        raise ValueError(message) from error


def attribute_of(found: Any, name: str, text: str) -> Any:
    """Return what a dotted name means in a module."""
    for part in name.split("."):
        if not hasattr(found, part):
            have = [item for item in dir(found) if not item.startswith("_")]
            message = f"{text!r} can't be imported: {found.__name__} has no {part!r}{did_you_mean(part, have)}"
            raise ValueError(message)
        found = getattr(found, part)
    return found


def imported_factory(text: object) -> Any:
    """Import what makes a device."""
    found = imported(text)
    if not callable(found):
        message = f"{text!r} is a {type(found).__name__}, which makes no device: name a class, or a function"
        raise ValueError(message)  # noqa: TRY004 - see `imported`
    return found


def imported_function(text: object) -> Any:
    """Import what is called without arguments, if anything is named."""
    found = None if text is None else imported(text)
    if found is not None and not callable(found):
        message = f"{text!r} is a {type(found).__name__}, which can't be called: name a function, or a class"
        raise ValueError(message)
    return found


def imported_error(text: object) -> Any:
    """Import an exception class."""
    found = imported(text)
    if not (isinstance(found, type) and issubclass(found, BaseException)):
        message = f"{text!r} is no exception class"
        raise ValueError(message)  # noqa: TRY004 - see `imported`
    return found


def regular_expression(text: str) -> str:
    """Refuse what is no regular expression."""
    try:
        re.compile(text)
    except re.error as error:
        message = f"{text!r} is no regular expression: {error}"
        raise ValueError(message) from error
    return text


def did_you_mean(wrong: str, known: list[str]) -> str:
    """Return a hint, if one of the known names is close."""
    close = difflib.get_close_matches(wrong, known, 1)
    return f"; did you mean {close[0]!r}?" if close else ""
