"""Understand what is to be run: which task, with which arguments, in which lab."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from actorlab.cli.binding import Binding, bind_parameters, split_parameters
from actorlab.cli.cataloguing import found_for
from actorlab.cli.places import journal_for_lab
from actorlab.cli.program import lab_file_for, load_program, split_program
from actorlab.config import LabConfig, read_lab_file
from actorlab.errors import ConfigError
from actorlab.runtime.lab import Lab
from actorlab.runtime.run import Run
from actorlab.task import Task

__all__ = ["Order", "chosen", "order"]


@dataclass(frozen=True)
class Order:
    """A task with its arguments, the lab in which it is to run, and where that keeps its journal, if it does."""

    task: Task[..., Any]
    binding: Binding
    config: LabConfig
    journal: str | None

    way_out = ""
    """What helps who can't answer a question."""

    @property
    def devices(self) -> tuple[str, ...]:
        """Return the names of the devices that it needs."""
        return tuple(self.binding.devices)

    def begin(self, lab: Lab) -> Run[Any]:
        """Start it, when its devices are there."""
        args, kwargs = self.binding.resolved(lab.device)
        return lab.start(self.task, *args, **kwargs)


def chosen(program: str, lab: Path | None) -> tuple[Task[..., Any], Path | None]:
    """Return the task that is meant, and the lab's file, if there is one: FILE[:NAME], or a name that discovery knows.

    Raises:
        ConfigError: there is no such file, task, or lab's file; the message says what there is.

    """
    file, name = split_program(program)
    if not is_name(program, file):
        return load_program(file, name), lab_file_for(file, lab)
    lab_file = lab_file_for(None, lab)
    found = found_for(lab_file)
    known = {**found.tasks, **found.workflows}
    if program not in known:
        close = difflib.get_close_matches(program, list(known), 1)
        there = f"did you mean {close[0]!r}?" if close else f"there are {', '.join(known) or 'none'}"
        message = f"there is no file {program}, and no task of that name (`actorlab tasks` lists them); {there}"
        raise ConfigError(message)
    return known[program].object, lab_file


def is_name(program: str, file: Path) -> bool:
    """Tell whether a text is the name of a task, and not of a file."""
    return file.name == program and file.suffix != ".py" and not file.is_file()


def order(
    program: str, lab: Path | None, parameters: list[str], journal: str | None = None, *, no_journal: bool = False
) -> Order:
    """Load a program and its lab's file, and bind the parameters. Raise `ConfigError` if that can't be."""
    given = split_parameters(parameters)
    task, lab_file = chosen(program, lab)
    config = LabConfig() if lab_file is None else read_lab_file(lab_file)
    binding = bind_parameters(task, given, {name: entry.factory for name, entry in config.devices.items()})
    place = None if no_journal else journal_for_lab(journal, lab, config.journal)
    return Order(task, binding, config, place)
