"""Keep functions as they are now for a call that comes later: with the values that their variables have now."""

from __future__ import annotations

from functools import partial
from types import CellType, FunctionType, MethodType
from typing import Any, Final, cast

from actorlab.arguments import search
from actorlab.task import Task, Workflow
from actorlab.unknown import Path, Unknown, origin_of

__all__ = ["Kept", "cell_content"]

GROWING: Final = (list, dict, set, bytearray)


class Kept:
    """Copies of functions whose variables don't change when those of the originals do, as that of a loop does.

    So are the functions that these mention in their turn, through partials, methods and workflows. What lies in the
    variables isn't copied; but of lists, dicts and sets it is known whether they have grown or shrunk since.
    """

    def __init__(self) -> None:
        self._copies: dict[int, tuple[object, Any]] = {}  # with the originals, so that no identity is used twice
        self._cells: list[tuple[str, CellType, object, int]] = []

    def copy(self, value: Any) -> Any:
        """Return a copy of a function; anything else is returned as it is."""
        if id(value) not in self._copies:
            made = self._copied(value)
            self._copies.setdefault(id(value), (value, made))
        return self._copies[id(value)][1]

    def resized(self) -> str | None:
        """Return the name of a variable whose list, dict or set has grown or shrunk since, or None."""
        return next((name for name, _, content, size in self._cells if size_of(content) != size), None)

    def written(self, path: Path) -> str | None:
        """Return the name of a variable that was set, or has got a value of the drawing at this path; or None."""
        for name, cell, content, size in self._cells:
            if cell_content(cell) is not content:
                return name
            if size_of(content) != size and any(_is_from(found, path) for found in search((content,), {})):
                return name
        return None

    def _copied(self, value: Any) -> Any:
        if issubclass(type(value), FunctionType):
            return self._function(value) if value.__closure__ else value
        if type(value) is partial:
            return partial(self.copy(value.func), *map(self.copy, value.args), **self._named(value.keywords))
        if issubclass(type(value), MethodType):
            return MethodType(self.copy(value.__func__), value.__self__)
        if issubclass(type(value), Workflow):
            return self._workflow(value)
        return value

    def _function(self, function: FunctionType) -> Any:
        old = function.__closure__ or ()
        cells = tuple([CellType() for _ in old])
        made = FunctionType(function.__code__, function.__globals__, function.__name__, function.__defaults__, cells)
        made.__dict__.update(function.__dict__)
        made.__kwdefaults__, made.__annotations__ = function.__kwdefaults__, function.__annotations__
        made.__qualname__, made.__module__ = function.__qualname__, function.__module__
        self._copies[id(function)] = function, made  # known before its variables are: it may be one of them
        for name, before, cell in zip(function.__code__.co_freevars, old, cells, strict=True):
            self._fill(name, before, cell)
        return made

    def _fill(self, name: str, before: CellType, cell: CellType) -> None:
        try:
            content = before.cell_contents
        except ValueError:
            return  # it isn't set yet
        cell.cell_contents = kept = self.copy(content)
        self._cells.append((name, cell, kept, size_of(kept)))

    def _workflow(self, workflow: Task[..., Any]) -> Any:
        function: Any = self.copy(workflow.function)
        if function is workflow.function:
            return workflow
        made = workflow.having(workflow.options_)
        made.function = function
        return made

    def _named(self, values: dict[str, Any]) -> dict[str, Any]:
        return {name: self.copy(value) for name, value in values.items()}


def _is_from(found: object, path: Path) -> bool:
    return type(found) is Unknown and origin_of(found).drawing.path[: len(path)] == path


def cell_content(cell: CellType) -> object:
    """Return what a variable around a function is; None while it isn't set."""
    try:
        return cell.cell_contents
    except ValueError:
        return None


def size_of(value: object) -> int:
    """Return how much is in a list, dict or set, or -1."""
    return len(cast("list[object]", value)) if type(value) in GROWING else -1
