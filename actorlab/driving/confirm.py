"""Set a value and read it back, until it agrees or too much time has passed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from actorlab.errors import NotReached
from actorlab.quantities import SetValue
from actorlab.scope import current

__all__ = ["Confirmed"]

Action = Callable[[Any, str, tuple[Any, ...], dict[str, Any]], Any]

FIRST_PAUSE: Final = 0.001
LONGEST_PAUSE: Final = 0.1
"""Seconds between two looks; they grow from the first to the longest."""


@dataclass(frozen=True)
class Confirmed:
    """Do what `action` does, then read back the value that it has set.

    Between the looks the driver sleeps, so queries of others are answered, and a cancellation ends the wait.
    """

    action: Action
    set_value: SetValue

    def __call__(self, target: Any, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Do it, and return what it returned.

        Raises:
            NotReached: the value that was read back doesn't agree in time.

        """
        value = self.action(target, name, args, kwargs)
        self._confirm(target, name, self.set_value.wanted(args, kwargs))
        return value

    def _confirm(self, target: Any, name: str, wanted: Any) -> None:
        read_back = self.set_value.read_back
        monotonic = current.get().monotonic
        end = monotonic() + read_back.within
        pause = FIRST_PAUSE
        while not self.set_value.agrees(found := looked_up(target, read_back.member), wanted):
            left = end - monotonic()
            if left <= 0:
                unit = f" {self.set_value.unit}" if self.set_value.unit else ""
                text = (
                    f"{type(target).__name__}.{name}: {wanted!r}{unit} was set, but {read_back.member} says {found!r} "
                    f"after {read_back.within:g} s; at most {read_back.tolerance:g}{unit} of deviation is allowed"
                )
                raise NotReached(text, wanted=wanted, found=found)
            current.get().sleep(min(pause, left))
            pause = min(2 * pause, LONGEST_PAUSE)


def looked_up(target: Any, member: str) -> Any:
    """Read an attribute, or call the method of this name."""
    found = getattr(target, member)
    return found() if callable(found) else found
