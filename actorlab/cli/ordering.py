"""Understand what is to be run: which task, with which arguments, in which lab."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from actorlab.cli.binding import Binding, bind_parameters, split_parameters
from actorlab.cli.program import lab_file_for, load_program, split_program
from actorlab.config import LabConfig, read_lab_file
from actorlab.task import Task

__all__ = ["Order", "order"]


@dataclass(frozen=True)
class Order:
    """A task with its arguments, and the lab in which it is to run."""

    task: Task[..., Any]
    binding: Binding
    config: LabConfig


def order(program: str, lab: Path | None, parameters: list[str]) -> Order:
    """Load a program and its lab's file, and bind the parameters. Raise `ConfigError` if that can't be."""
    file, name = split_program(program)
    given = split_parameters(parameters)
    task = load_program(file, name)
    lab_file = lab_file_for(file, lab)
    config = LabConfig() if lab_file is None else read_lab_file(lab_file)
    binding = bind_parameters(task, given, {name: entry.factory for name, entry in config.devices.items()})
    return Order(task, binding, config)
