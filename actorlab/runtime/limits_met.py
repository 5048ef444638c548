"""See which arguments of steps are out of the ranges that their tasks' type hints ask for, before anything begins."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from actorlab.arguments import search
from actorlab.errors import ConfigError
from actorlab.quantities import Checker, checker_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from actorlab.definition import Definition
    from actorlab.runtime.work import Work

__all__ = ["LimitsMet"]

NOTHING_SENT: Final = "; nothing was sent"


class LimitsMet:
    """Check the arguments of steps; each task's hints are read once."""

    def __init__(self) -> None:
        self._checkers: dict[Definition, Checker | None] = {}

    def mistakes(self, work: Work) -> Iterator[str]:
        """Yield what is wrong with the arguments of a step; those that aren't known yet aren't looked at."""
        definition = work.task.definition
        if definition not in self._checkers:
            self._checkers[definition] = checker_or_none(definition)
        checker = self._checkers[definition]
        if checker is None:
            return
        for name, value in definition.signature.bind(*work.args, **work.kwargs).arguments.items():
            if search((value,), {}):
                continue
            try:
                checker.check(work.name, (), {name: value})
            except (ValueError, TypeError) as error:
                yield str(error).removesuffix(NOTHING_SENT)


def checker_or_none(definition: Definition) -> Checker | None:
    """Return what checks a task's arguments; hints that can't be read check nothing."""
    try:
        return checker_of(staticmethod(definition.function))
    except ConfigError:
        return None
