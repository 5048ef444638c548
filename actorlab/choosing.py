"""Repeat or choose steps by a value that a workflow may not know yet: `each` and `choose`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from actorlab.arguments import Args, Kwargs, Use
from actorlab.body_kinds import BodyKind, kind_of
from actorlab.cleanup import plain_workflow
from actorlab.errors import ConfigError, WorkflowError
from actorlab.keeping import Kept
from actorlab.scope import current
from actorlab.task import Task, as_task
from actorlab.unknown import Path, Unknown

__all__ = ["Late", "check_drawn", "choose", "each"]

T = TypeVar("T")
R = TypeVar("R")


def each(function: Callable[[T], R], items: Iterable[T], *, width: int | None = None) -> list[R]:
    """Return what a function of one item gives for each item: ``each(lambda k: curve(oven, k), kelvins, width=2)``.

    In a workflow a lab draws the function's steps when the items are known; at most `width` items are under way at
    once. Where a step gives the items, all of them together are one step. It holds the devices that the function brings
    along, in variables around it, defaults or a `partial`. With no lab it is a comprehension. A clean-up inside comes
    at its end.

    Raises `ConfigError` if the width isn't a whole number, 1 or more; `WorkflowError` naming what can't be drawn.
    """
    if width is not None and (type(width) is not int or width < 1):
        message = f"each(…, width={width!r}): it takes a whole number, 1 or more, or None"
        raise ConfigError(message)
    _check_function(function, "each(…)")
    answer = current.get().each(function, items, width)
    if answer is None:
        with plain_workflow():
            return [function(item) for item in items]
    drawn: list[R] = answer[0]
    return drawn


def choose(condition: bool, then: Callable[[], R], otherwise: Callable[[], R]) -> R:  # noqa: FBT001 - as `if` reads
    """Return what one of two functions gives: ``choose(ok, lambda: fine(smu), lambda: coarse(smu))``.

    In a workflow a lab draws the steps of the chosen one when the condition is known. Where a step gives the condition,
    the choice is one step, which holds the devices that either function brings along, in variables around it, defaults
    or a `partial`. With no lab it is a conditional. A clean-up inside comes at its end.

    Raises `WorkflowError` naming what can't be drawn.
    """
    for function in (then, otherwise):
        _check_function(function, "choose(…)")
    answer = current.get().choose(condition, then, otherwise)
    if answer is None:
        with plain_workflow():
            return then() if condition else otherwise()
    drawn: R = answer[0]
    return drawn


def _check_function(function: Any, verb: str) -> None:
    if type(function) is Unknown or not callable(function):
        what = repr(function) if type(function) is Unknown else f"{type(function).__name__} {function!r}"
        message = f"{verb} is given {what}, where it takes a function: write `lambda: …` before the call"
        raise WorkflowError(message)


def check_drawn(function: Any, verb: str) -> None:
    """Raise `WorkflowError` if a function has what can't be drawn; a task may have it."""
    if issubclass(type(function), Task):
        return
    if (kind := kind_of(function)) is not BodyKind.FUNCTION:
        message = f"{verb} is given a {kind.value}: it only calls tasks, so use a `lambda` or a plain `def`"
        raise WorkflowError(message)
    if getattr(function, "__name__", "<lambda>") != "<lambda>":  # around a lambda stands what was checked already
        _ = as_task(function).definition.is_drawable  # which the function remembers


class Outer(Protocol):
    """What is drawn around a step that is drawn late."""

    def drawn_late(self, late: Late, args: Args, kwargs: Kwargs) -> Any:
        """Return the drawing of a step inside."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class Late:
    """A step that can be drawn only when its arguments are known: what is around it, and what it may use.

    `inputs` are the values from outside that it may use, by drawing and step: those it was known to wait for. `kept`
    are its functions as they were when it was written down.
    """

    outer: Outer
    path: Path
    task: Task[..., Any]
    needs: Mapping[str, Use]
    inputs: frozenset[tuple[Path, int]]
    kept: Kept

    def draw(self, *args: Any, **kwargs: Any) -> Any:
        """Return its drawing, now that its arguments are known."""
        return self.outer.drawn_late(self, args, kwargs)
