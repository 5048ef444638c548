"""Own one life of a device whose driver lives in a process of its own, which is killed when it hangs."""

from __future__ import annotations

import time
from contextlib import suppress
from threading import Event, local
from typing import TYPE_CHECKING, Any, Final

from actorlab.errors import ActorStopped
from actorlab.isolation.child import Child
from actorlab.isolation.dying import ProcessDied
from actorlab.kernel import SYSTEM, Message
from actorlab.runtime.device_actor import DeviceActor, LifeEnded

if TYPE_CHECKING:
    from actorlab.driving.in_thread import Driving
    from actorlab.driving.shape import Shape
    from actorlab.runtime.calls import Call
    from actorlab.runtime.cell import Cell

__all__ = ["IsolatedDeviceActor"]

monotonic = time.monotonic
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
    head_start = 4.0

    def __init__(self, cell: Cell, life: int) -> None:
        super().__init__(cell, life)
        self._child: Child | None = None
        self._killed = False
        self._over = Event()
        """The process has ended: there is nobody to sleep for."""
        self._seen = local()
        """Where a helper has seen the process; another one may look at the same time."""
        self._last_seen = ""

    def on_start(self) -> None:
        """Begin as any life; when the process was killed meanwhile, say why."""
        try:
            super().on_start()
        except ProcessDied as died:
            if not self._killed:
                raise
            at = f"\nit was here:\n{self._last_seen}" if self._last_seen else ""
            text = f"{self._cell.why or 'its lab has ended'}{at}"
            raise TimeoutError(text) from died

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

    # -- what the driver asks for during a call

    def sleep(self, seconds: float) -> None:
        """Wait for the driver, as in a thread; in a hook the end of its process ends it too."""
        if self.stack:
            super().sleep(seconds)
        else:
            self._over.wait(seconds)

    def _doze(self, call: Call, end: float) -> None:
        super()._doze(call, monotonic() if self._over.is_set() else end)

    def enter_exchange(self) -> None:
        """Keep others out."""
        self._exchanges += 1

    def leave_exchange(self) -> None:
        """Let others in again."""
        self._exchanges -= 1

    # -- what its listener hears, from another thread

    def published(self, stream: str, value: Any) -> None:
        """Hear a value that the driver publishes."""
        self._cell.streams.published(self, stream, value)

    def came_up(self) -> None:
        """Hear that the process runs: from now on the driver's own time counts."""
        self._cell.lab_actor.lives.came_up(self)

    def died(self) -> None:
        """Hear that the process has ended: who sleeps for it wakes up; a call in progress notices by itself."""
        self._over.set()
        with self._gate:
            if self._nap is not None:
                self._nap.finish(None, None)
        with suppress(ActorStopped):
            self.mailbox.put(Died())

    def take(self, message: Message) -> None:
        """Take the news of the process's end."""
        super().take(message)
        if message.__class__ is Died and self.fault is None and self._child is not None:
            self._broke(self._child.death())
            if not self.stack:  # else the call that sleeps raises the fault
                raise LifeEnded

    def _broke(self, error: BaseException) -> None:
        if self.fault is None:  # each call on the stack notices that the process has ended
            super()._broke(error)

    def has_died(self, error: BaseException) -> bool:
        """Tell whether an error says that the process has ended."""
        return isinstance(error, ProcessDied)

    # -- what is done to it, from other threads

    @property
    def pid(self) -> int | None:
        """Return the process of the driver, while it lives."""
        lives = self._child is not None and not self._over.is_set() and not self.down.done()
        return self._child.pid if self._child is not None and lives else None

    def grace(self, usual: float) -> float:
        """Return how many seconds an interrupted call has to end: none, if it can't be interrupted."""
        return usual if self.driver is not None and self.driver.has("interrupt") else 0.0

    def kill(self) -> None:
        """Kill the process."""
        self._last_seen = self.where()
        self._killed = True
        if self._child is not None:
            self._child.kill()

    def look(self) -> None:
        """Ask the process where it is."""
        if self._child is not None:
            self._seen.stack = self._child.stack()

    def where(self) -> str:
        """Return where the process was when this thread has asked it; empty in any other thread."""
        seen: str = getattr(self._seen, "stack", "")
        return seen
