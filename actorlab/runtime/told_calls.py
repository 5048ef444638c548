"""Tell each call of a lab's devices to those who count or trace them; while there are none, no call pays for it."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from actorlab.driving.member import Member
    from actorlab.runtime.calls import Call
    from actorlab.runtime.cell import Cell
    from actorlab.runtime.lab import Lab
    from actorlab.runtime.recorder import Recorder

__all__ = ["CallListener", "CallListeners", "ToldCall", "told_directly", "told_note"]

monotonic = time.monotonic


class ToldCall(NamedTuple):
    """One call that has ended: `began` and `ended` are monotonic seconds, `error` is None if all was well.

    `by` is in whose name it was made: a body's hold, or None for nobody's.
    """

    device: str
    member: Member
    by: Any
    began: float
    ended: float
    error: BaseException | None


CallListener = Callable[[ToldCall], object]
"""Called in the device's thread, or in that of a holder who calls directly: it has to be quick, and doesn't raise."""


class CallListeners:
    """Those who want to hear of each call of a lab's devices; for the deciding thread, but for `told`."""

    def __init__(self, lab: Lab) -> None:
        self._lab = lab
        self.told: tuple[CallListener, ...] = ()

    def add(self, listener: CallListener) -> None:
        """Tell it every call from now on."""
        self._tell((*self.told, listener))

    def remove(self, listener: CallListener) -> None:
        """Tell it nothing more, but for what is under way."""
        self._tell(tuple([other for other in self.told if other != listener]))

    def _tell(self, listeners: tuple[CallListener, ...]) -> None:
        self.told = listeners  # first: a device that is being added meanwhile looks at it when it is among the cells
        for cell in list(self._lab.cells.values()):
            cell.tell_calls(listeners)


def told_note(device: str, recorder: Recorder, listeners: tuple[CallListener, ...]) -> Callable[..., None]:
    """Return what notes a call as the flight recorder does, and tells it."""

    def note(
        member: Member, args: tuple[Any, ...], began: float, error: BaseException | None, call: Call | None = None
    ) -> None:
        recorder.note(member, args, began, error)
        by = None if call is None else call.token or getattr(call, "asker", None)
        told = ToldCall(device, member, by, began, monotonic(), error)
        for listener in listeners:
            listener(told)

    return note


def told_directly(act: Callable[..., Any], cell: Cell, member: Member, by: Any) -> Callable[..., Any]:
    """Return what carries out a direct call, and tells it if it went well; what fails is noted elsewhere."""
    device, listeners = cell.name, cell.listeners

    def told_act(*args: Any, **kwargs: Any) -> Any:
        began = monotonic()
        value = act(*args, **kwargs)
        told = ToldCall(device, member, by, began, monotonic(), None)
        for listener in listeners:
            listener(told)
        return value

    return told_act
