"""Put into words what is wrong with a source, or with a name."""

from __future__ import annotations

from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

from actorlab.discovery.found import Discovered, Kind, Level, Problem

__all__ = [
    "dotted",
    "duplicate",
    "no_folder",
    "no_module",
    "no_object",
    "not_allowed",
    "of_the_wrong_kind",
    "overridden",
    "title_of",
]


def title_of(point: EntryPoint) -> str:
    """Write which entry point is meant, and who has installed it."""
    owner = "" if point.dist is None else f" of {point.dist.name} {point.dist.version}"
    return f"entry point {point.name} = {point.value} in {point.group}{owner}"


def no_module(name: str, found_in: str) -> Problem:
    """Say that there is no module of a name."""
    message = f"there is no such module, and {found_in} leads there"
    return Problem("error", message, "install it, or correct its name", name)


def no_object(found_in: str) -> Problem:
    """Say that an entry point isn't written as one."""
    return Problem("error", "it names no object", "write it as module:object", found_in)


def no_folder(folder: Path, error: Exception) -> Problem:
    """Say that a folder can't be read."""
    why = getattr(error, "strerror", None) or str(error)
    return Problem("error", "this folder can't be read", "correct its name, or make it", str(folder), None, why)


def dotted(file: Path) -> Problem:
    """Say that a file has a name which no module can have."""
    return Problem("error", "a file with a dot in its name is no module", "rename it", str(file))


def of_the_wrong_kind(value: Any, kinds: frozenset[Kind], found_in: str) -> Problem:
    """Say that an entry point names something else than its group is for."""
    wanted = "a class of devices that can be made" if "device" in kinds else "a task, a workflow or a function"
    return Problem("error", f"it names {value!r}, and not {wanted}", "correct it where that is defined", found_in)


def not_allowed(entry: Discovered, pattern: str) -> Problem:
    """Say that a name isn't allowed."""
    message = f"the {entry.kind} can't be known as {entry.name!r}: names have to match {pattern!r}"
    return problem_at(entry, "error", message, "give it another name, as by @task(name=…)")


def duplicate(kept: Discovered, new: Discovered) -> Problem:
    """Say that a name is there twice."""
    message = f"the {new.kind} {new.name!r} is left out, as {kept.place} has that name already"
    advice = f"rename one of them, or put {new.name!r} into `override`, so that the last one counts"
    return problem_at(new, "warning", message, advice)


def overridden(kept: Discovered, new: Discovered) -> Problem:
    """Say that a name was taken away on purpose."""
    message = f"the {new.kind} {new.name!r} is used in place of that at {kept.place}"
    return problem_at(new, "info", message, "that was asked for by `override`")


def problem_at(entry: Discovered, level: Level, message: str, advice: str) -> Problem:
    """Report something about what stands at some place."""
    file, colon, line = entry.place.rpartition(":")
    is_line = bool(colon) and line.isdigit()
    return Problem(level, message, advice, file if is_line else entry.place, int(line) if is_line else None)
