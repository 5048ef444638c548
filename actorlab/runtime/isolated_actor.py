"""Own one life of a device whose driver lives in a process of its own, which is killed when it hangs."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from actorlab.errors import ActorStopped
from actorlab.isolation.child import Child
from actorlab.isolation.dying import ProcessDied
from actorlab.kernel import SYSTEM, Message
from actorlab.runtime.device_actor import DeviceActor, LifeEnded

if TYPE_CHECKING:
    from actorlab.driving.in_thread import Driving
    from actorlab.driving.shape import Shape
    from actorlab.runtime.cell import Cell

__all__ = ["IsolatedDeviceActor"]

LAST_PATIENCE: Final = 1.0
"""So many seconds a process has to end whose driver couldn't be made."""


class Died(Message):
    """The news that the driver's process has ended."""

    __slots__ = ()

    def __init__(self) -> None:
        super().__init__(SYSTEM)


class InProcess:
    """A driver's object in a process of its own, as `DeviceActor` wants it."""

    def __init__(self, child: Child, patience: float) -> None:
        self.child = child
        self.act = child.act
        self.hook = child.hook
        self.look = child.look
        self.interrupt = child.interrupt
        self._patience = patience

    @property
    def kind(self) -> type:
        """Return the class of the object."""
        return self.child.kind

    @property
    def shape(self) -> Shape:
        """Return what was seen of the object when it was made."""
        return self.child.look(())

    def has(self, hook: str) -> bool:
        """Tell whether the driver has a hook."""
        return self.child.hooks.has(hook)

    def close(self) -> None:
        """End the process."""
        self.child.close(self._patience)


class IsolatedDeviceActor(DeviceActor):
    """One life of a device, and of the process in which its driver lives."""

    killable = True

    def __init__(self, cell: Cell, life: int) -> None:
        super().__init__(cell, life)
        self._child: Child | None = None
        self._seen = ""
        self._killed = False

    def make_driver(self) -> Driving:
        """Start the process, and make the driver's object there."""
        cell = self._cell
        self._child = child = Child(self.name, cell.config, self.life, self, self)
        try:
            if self._killed:  # before it was there
                child.kill()
            child.make(cell.factory, cell.args, cell.kwargs)
        except BaseException:
            child.close(LAST_PATIENCE)
            raise
        return InProcess(child, cell.config.safe_timeout)

    # -- what the driver asks for during a call; `sleep` is the actor's own

    def enter_exchange(self) -> None:
        """Keep others out."""
        self._exchanges += 1

    def leave_exchange(self) -> None:
        """Let others in again."""
        self._exchanges -= 1

    # -- what its listener hears, from another thread

    def published(self, stream: str, value: Any) -> None:
        """Hear a value that the driver publishes."""

    def died(self) -> None:
        """Hear that the process has ended; a call in progress notices by itself."""
        with suppress(ActorStopped):
            self.mailbox.put(Died())

    def take(self, message: Message) -> None:
        """Take the news of the process's end."""
        super().take(message)
        if message.__class__ is Died and not self.stack and self.fault is None and self._child is not None:
            self._broke(self._child.death())
            raise LifeEnded

    def has_died(self, error: BaseException) -> bool:
        """Tell whether an error says that the process has ended."""
        return isinstance(error, ProcessDied)

    # -- what is done to it, from other threads

    @property
    def pid(self) -> int | None:
        """Return the process of the driver."""
        return self._child.pid if self._child is not None else None

    def grace(self, usual: float) -> float:
        """Return how many seconds an interrupted call has to end: none, if it can't be interrupted."""
        return usual if self.driver is not None and self.driver.has("interrupt") else 0.0

    def kill(self) -> None:
        """Kill the process."""
        self._killed = True
        if self._child is not None:
            self._child.kill()

    def look(self) -> None:
        """Ask the process where it is."""
        if self._child is not None:
            self._seen = self._child.stack()

    def where(self) -> str:
        """Return where the process was when it was asked."""
        return self._seen
