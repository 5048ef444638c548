"""Keep at most so many items under way at once: say which steps of an item come behind which of an earlier one."""

from __future__ import annotations

from collections.abc import Sequence

from actorlab.core.plan import Steps

__all__ = ["Abreast", "firsts", "lasts"]


class Abreast:
    """The places in which items are under way: each item takes the place of the one that was there before."""

    def __init__(self, width: int) -> None:
        self._places: list[Steps] = [()] * width
        self._next = 0

    def behind(self) -> Steps:
        """Return the last steps of the item whose place the next one takes."""
        return self._places[self._next]

    def join(self, step: int) -> None:
        """Let one step stand for those whose place the next item takes."""
        self._places[self._next] = (step,)

    def take(self, steps: Steps) -> None:
        """Let an item that has these last steps take its place; one without steps needs none."""
        if steps:
            self._places[self._next] = steps
            self._next = (self._next + 1) % len(self._places)


def firsts(begin: int, parents: Sequence[Steps]) -> list[int]:
    """Return the steps that wait for none among `begin`, `begin` + 1, …; `parents` are whom each waits for."""
    return [step for step, waits in enumerate(parents, begin) if not any(parent >= begin for parent in waits)]


def lasts(begin: int, parents: Sequence[Steps]) -> list[int]:
    """Return the steps among `begin`, `begin` + 1, … for which none of them waits."""
    awaited = {parent for waits in parents for parent in waits}
    return [step for step in range(begin, begin + len(parents)) if step not in awaited]
