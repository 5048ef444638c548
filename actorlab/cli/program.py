"""Load the program that FILE[:NAME] names."""

from __future__ import annotations

import difflib
import importlib.util
import sys
import traceback
from pathlib import Path
from types import ModuleType
from typing import Any

from actorlab.errors import ConfigError
from actorlab.task import Task, Workflow, as_task

__all__ = ["lab_file_for", "load_module", "load_program", "split_program"]


def split_program(text: str) -> tuple[Path, str | None]:
    r"""Take FILE[:NAME] apart; a drive's colon, as in C:\lab.py, is no such."""
    file, colon, name = text.rpartition(":")
    return (Path(file), name) if colon and name.isidentifier() and len(file) > 1 else (Path(text), None)


def load_program(file: Path, name: str | None) -> Task[..., Any]:
    """Load a file, and return what a name means in it, or without one, what is obviously meant.

    Raises:
        ConfigError: there is no such file, it can't be loaded, or the name means no task, workflow or function.

    """
    module = load_module(file)
    tasks = {key: item for key, item in vars(module).items() if is_own_task(item, module)}
    if name is None:
        return obvious(file, tasks)
    found: Any = getattr(module, name, None)
    if not callable(found) or isinstance(found, type):
        close = difflib.get_close_matches(name, list(tasks), 1)
        hint = f"did you mean {close[0]!r}?" if close else f"it has {', '.join(tasks) or 'none'}"
        message = f"{file} has no workflow, task or function {name!r}; {hint}"
        raise ConfigError(message)
    return as_task(found)


def is_own_task(item: Any, module: ModuleType) -> bool:
    """Tell whether something is a task that this file defines, and doesn't only import."""
    return issubclass(type(item), Task) and getattr(item, "__module__", "") == module.__name__


def obvious(file: Path, tasks: dict[str, Task[..., Any]]) -> Task[..., Any]:
    """Return the workflow that is named like its file, or the only one; without workflows, the task."""
    workflows = {key: item for key, item in tasks.items() if isinstance(item, Workflow)}
    group = workflows or tasks
    if file.stem in group:
        return group[file.stem]
    if len(group) == 1:
        return next(iter(group.values()))
    if not tasks:
        message = (
            f"{file} defines no workflow and no task: decorate the function that is meant with @workflow or @task, "
        )
        message += f"or name it: {file}:NAME"
        raise ConfigError(message)
    message = f"{file} defines {', '.join(group)}: say which, as in {file}:{next(iter(group))}"
    raise ConfigError(message)


def load_module(file: Path) -> ModuleType:
    """Import a file as `python FILE` would, so with what is beside it, but not as the main program."""
    if not file.is_file():
        message = f"there is no file {file}"
        raise ConfigError(message)
    sys.path.insert(0, str(file.parent.resolve()))
    name = file.stem if file.stem not in sys.modules else f"{file.stem}_program"
    spec = importlib.util.spec_from_file_location(name, file)
    if spec is None or spec.loader is None:
        message = f"{file} is no Python file"
        raise ConfigError(message)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses and pickle look a class's module up there
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        message = f"{file} can't be loaded: {type(error).__name__}: {error}{line_of(error, file)}"
        raise ConfigError(message) from error
    return module


def line_of(error: Exception, file: Path) -> str:
    """Say in which line of a file an error was raised, if it was there."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if Path(frame.filename) == file.resolve()]
    frames = frames or [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(file)]
    return f" ({file}:{frames[-1].lineno})" if frames else ""


def lab_file_for(file: Path | None, given: Path | None) -> Path | None:
    """Return the lab's file: the one given, else lab.yaml beside the program, else the one here, else None."""
    if given is not None:
        return given
    places = [Path("lab.yaml")] if file is None else [file.parent / "lab.yaml", Path("lab.yaml")]
    return next((place for place in places if place.is_file()), None)
