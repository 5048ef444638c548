"""Name tasks so that another process finds them: by module and name, and by the file in which they are written."""

from __future__ import annotations

import importlib
import operator
import sys
from pathlib import Path
from types import ModuleType
from typing import Any, Final, NamedTuple

from actorlab.errors import ConfigError
from actorlab.folders import module_name, name_at
from actorlab.task import Task, as_task

__all__ = ["Reference", "reference_of", "task_referred"]


OBJECT: Final = " of <object>"


class Reference(NamedTuple):
    """Where a task is defined."""

    module: str
    name: str
    file: str = ""

    def same(self, other: Reference) -> bool:
        """Tell whether it is the same definition; a program that is imported has another name than one that runs."""
        if self.name != other.name:
            return False
        return self.module == other.module or (
            bool(self.file) and Path(self.file).resolve() == Path(other.file).resolve()
        )

    @property
    def belongs_to_object(self) -> bool:
        """Tell whether only an object that has no name leads to it."""
        return self.name.endswith(OBJECT)

    def __str__(self) -> str:
        return f"{self.module}:{self.name}"


def reference_of(task: Task[..., Any]) -> Reference:
    """Return where a task is defined; whether it is found there again shows when somebody looks."""
    function: Any = task.function
    code = getattr(function, "__code__", None) or getattr(getattr(function, "run", None), "__code__", None)
    module = str(getattr(function, "__module__", ""))
    name = str(getattr(function, "__qualname__", getattr(function, "__name__", type(function).__name__)))
    name += OBJECT if is_of_object(function) else ""
    return Reference(module, name, "" if code is None else str(code.co_filename))


def is_of_object(function: Any) -> bool:
    """Tell whether it is a method of an object, a partial function, or an object itself: its name finds another."""
    owner = getattr(function, "__self__", None)
    return not hasattr(function, "__qualname__") or (owner is not None and not isinstance(owner, (type, ModuleType)))


def task_referred(reference: Reference) -> Task[..., Any]:
    """Find a task again.

    Raises:
        ConfigError: it isn't there any more, or can't be found by a name; the message says why.

    """
    if reference.belongs_to_object:
        text = (
            f"{reference} can't be found again, as nothing leads to this object: start a function at the top level of "
            f"a file, and pass what it needs"
        )
        raise ConfigError(text)
    if "<" in reference.name:
        text = (
            f"{reference} can't be found again: it is defined inside a function; define it at the top level of a file"
        )
        raise ConfigError(text)
    try:
        found: Any = operator.attrgetter(reference.name)(importlib.import_module(module_of(reference)))
    except (ImportError, AttributeError) as error:
        where = f" ({reference.file})" if reference.file else ""
        text = f"{reference}{where} can't be found again: {error}"
        raise ConfigError(text) from error
    return as_task(found)


def module_of(reference: Reference) -> str:
    """Return the name by which this process knows the module; a program may be one that only its file names."""
    if reference.module != "__main__":
        return reference.module
    file = Path(reference.file)
    main = getattr(sys.modules.get("__main__"), "__file__", None)
    if main is not None and Path(main).resolve() == file.resolve():
        return "__main__"
    return name_at(file) or module_name(file)
