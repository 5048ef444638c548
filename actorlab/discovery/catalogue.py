"""Know the tasks, workflows and device classes of a lab by their names."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from actorlab.discovery.calling import checked_call
from actorlab.discovery.contents import kind_of
from actorlab.discovery.found import Discovered, Found, made_by
from actorlab.discovery.search import discover
from actorlab.errors import ConfigError
from actorlab.task import Task, as_task

if TYPE_CHECKING:
    from actorlab.runtime.lab import Lab

__all__ = ["Catalogue"]


class Catalogue:
    """What a lab knows by name: what was discovered for it, and what was registered by hand.

    It is written by whoever calls its verbs; who reads it meanwhile sees it as it was before, or after.
    """

    def __init__(self, lab: Lab) -> None:
        self._lab = lab
        self.found = Found({}, {}, {}, (), (), ())

    # -- filling it

    def discover(self, **sources: Any) -> Found:
        """Look for more; what has a name already keeps it, unless it is in `override`."""
        self.found = discover(known=self.found, **sources)
        return self.found

    def register(self, things: Iterable[Any]) -> None:
        """Take tasks, workflows, functions, and classes of devices, by their own names."""
        found = self.found
        for thing in things:
            entry = entry_of(thing)
            kept = found.named(entry.kind).get(entry.name)
            if kept is not None and kept.object is not entry.object:
                message = (
                    f"lab.register: the {entry.kind} at {entry.place} can't be known as {entry.name!r}, as "
                    f"{kept.place} has that name already; give it another one, as by .options(name=…)"
                )
                raise ConfigError(message)
            found = found.having(entry)
        self.found = found

    # -- looking up

    @property
    def tasks(self) -> dict[str, Task[..., Any]]:
        """Return the tasks and workflows, by name."""
        return {name: entry.object for name, entry in {**self.found.tasks, **self.found.workflows}.items()}

    @property
    def device_types(self) -> dict[str, Callable[..., Any]]:
        """Return what makes devices, by name."""
        return {name: entry.object for name, entry in self.found.devices.items()}

    def entry(self, name: str) -> Discovered:
        """Return what is known of a task or workflow. Raise `ConfigError` saying which there are."""
        return known_as(name, {**self.found.tasks, **self.found.workflows}, "task", self.found)

    def device_type(self, name: str) -> Any:
        """Return what makes devices of a type. Raise `ConfigError` saying which there are."""
        return known_as(name, self.found.devices, "type of device", self.found).object

    def call(
        self, name: str, args: tuple[Any, ...], kwargs: Mapping[str, Any]
    ) -> tuple[Task[..., Any], tuple[Any, ...], dict[str, Any]]:
        """Return a task by its name, with its arguments checked, and devices in place of their names."""
        task = self.entry(name).object
        bound = checked_call(self._lab, name, task, args, kwargs)
        return task, bound.args, bound.kwargs

    def describe(self, name: str) -> dict[str, Any]:
        """Describe a task."""
        entry = self.entry(name)
        return {
            "name": entry.name,
            "kind": entry.kind,
            "category": entry.category,
            "description": entry.doc,
            "place": entry.place,
            "found_in": entry.found_in,
            "parameters": entry.parameters(),
        }


def entry_of(thing: Any) -> Discovered:
    """Return the entry for something that is registered. Raise `ConfigError` if it can't be."""
    kind = kind_of(thing)
    if kind is None and isinstance(made_by(thing), type):
        kind = "device"
    if kind is None and callable(thing):
        thing, kind = as_task(thing), "task"
    if kind is None:
        message = f"lab.register({thing!r}): it takes tasks, workflows, functions, and classes of devices"
        raise ConfigError(message)
    name = thing.name if isinstance(thing, Task) else made_by(thing).__name__
    module = str(getattr(made_by(thing), "__module__", ""))
    category = thing.options_.category if isinstance(thing, Task) else None
    return Discovered(name, thing, kind, category or module.rpartition(".")[2], module, None, "lab.register")


def known_as(name: str, entries: Mapping[str, Discovered], what: str, found: Found) -> Discovered:
    """Return an entry by its name. Raise `ConfigError` saying which there are, or how they become known."""
    if name in entries:
        return entries[name]
    close = difflib.get_close_matches(name, list(entries), 1)
    there = f"did you mean {close[0]!r}?" if close else f"it knows {', '.join(entries) or 'none'}"
    looked = f" (looked in {', '.join(found.looked_in)})" if found.looked_in else ""
    how = "" if entries else ": lab.discover(…) or lab.register(…) makes some known"
    message = f"the lab knows no {what} {name!r}{looked}; {there}{how}"
    raise ConfigError(message)
