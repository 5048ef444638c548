"""Let a lab know tasks, workflows and device classes by their names."""

from __future__ import annotations

from functools import cached_property
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from actorlab.discovery.catalogue import Catalogue
    from actorlab.discovery.found import Found
    from actorlab.task import Task

__all__ = ["KnownByName"]


class KnownByName:
    """What a lab knows by name; nothing is looked for before somebody asks."""

    @cached_property
    def catalogue(self) -> Catalogue:
        """Return the names, and what they mean."""
        # It stands above this layer and brings pydantic along, so it is loaded by those who ask for it.
        made: Catalogue = import_module("actorlab.discovery.catalogue").Catalogue(self)
        return made

    def discover(
        self,
        *,
        packages: Iterable[str] | str = (),
        folders: Iterable[str | Path] | str | Path = (),
        entry_points: bool = True,
        environment: str | None = "ACTORLAB_PATH",
        required: Iterable[str] | str = (),
        override: Iterable[str] | str = (),
        **rules: Any,
    ) -> Found:
        """Look for tasks, workflows and device classes, and know them by name from then on.

        `packages` are looked through with all that is inside of them, `folders` for plain ``.py`` files, also those in
        the `environment` variable; `entry_points` are what is installed for that. What has a name keeps it, and a
        second one is among the problems of what is returned, unless its name is in `override`. What is broken is
        skipped and told there. `ignore` and `names` are those of `actorlab.discovery.discover`.

        Raises:
            ConfigError: something that is `required` isn't there; the message says why it may be missing.

        """
        return self.catalogue.discover(
            packages=packages, folders=folders, entry_points=entry_points, environment=environment, required=required,
            override=override, **rules,
        )  # fmt: skip

    def register(self, *things: Callable[..., Any]) -> None:
        """Know tasks, workflows, functions and device classes by their own names.

        Raises:
            ConfigError: it is none of these, or something else has its name.

        """
        self.catalogue.register(things)

    @property
    def tasks(self) -> dict[str, Task[..., Any]]:
        """Return the tasks and workflows that are known, by name: ``lab.start("sweep", "laser")`` starts one."""
        return self.catalogue.tasks

    @property
    def device_types(self) -> dict[str, Callable[..., Any]]:
        """Return what makes devices, by name."""
        return self.catalogue.device_types

    def device_type(self, name: str) -> Callable[..., Any]:
        """Return what makes devices of a type: ``lab.add("laser", lab.device_type("Laser"), address)``.

        Raises:
            ConfigError: there is none of this name; the message says which there are.

        """
        made: Callable[..., Any] = self.catalogue.device_type(name)
        return made

    def describe_task(self, name: str) -> dict[str, Any]:
        """Return what a task is, where it comes from, and its parameters as JSON Schema.

        A device among these is a text that names one: ``{"type": "string", "device": "Laser"}``.

        Raises:
            ConfigError: there is none of this name; the message says which there are.

        """
        return self.catalogue.describe(name)
