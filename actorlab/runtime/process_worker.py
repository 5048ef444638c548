"""Be one worker process, as the lab sees it: start it, tell it something at any time, kill it, see its end."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from actorlab.errors import ActorLabError, ConfigError, WorkerDied
from actorlab.isolation.failure import restored
from actorlab.isolation.launcher import OwnProcess, check_system
from actorlab.isolation.listener import Listener
from actorlab.isolation.outbox import Outbox
from actorlab.isolation.side import NUMBER
from actorlab.isolation.wire import MESSAGE
from actorlab.runtime.process_messages import Done, Initialize, Outcome

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["WorkerProcess"]

PROGRAM: Final = "actorlab.processes.inside"
"""The module whose `main` a worker process runs; it stands above this layer, and is imported there only."""
LAST_PATIENCE: Final = 1.0
"""So many seconds a process that was killed has to be gone, before it is left to the system."""


class WorkerProcess:
    """One process that runs one body at a time.

    Who has claimed it uses its wire; `tell` and `kill` are for any thread.
    """

    def __init__(self, name: str, died: Callable[[WorkerProcess], object]) -> None:
        check_system(name, 'worker="process"')
        self._died = died
        self.bodies = 0
        """So many bodies it has been given."""
        self.killed = False
        self._process = OwnProcess(name, PROGRAM, {})
        self._outbox = Outbox(self._process.side)
        self.wire = self._process.wire
        self.pid = self._process.pid
        try:
            self._listener = Listener(self._process, self)
        except BaseException:
            self._process.kill()
            if self._process.wait(LAST_PATIENCE):
                self._process.close()
            raise

    @property
    def usable(self) -> bool:
        """Tell whether it lives, as far as one can know."""
        return not self.killed and not self._process.ended

    def initialize(self, function: Callable[[], object]) -> None:
        """Call something in it, before its first body.

        Raises:
            ConfigError: that has failed, or can't travel; the message names it.
            WorkerDied: it has ended meanwhile.

        """
        name = getattr(function, "__qualname__", repr(function))
        try:
            frame = self.wire.frame(MESSAGE, Initialize(function))
        except Exception as error:
            text = f"the initializer {name} can't travel to a worker process: {type(error).__name__}: {error}"
            raise ConfigError(text) from error
        found = self._swap(frame, f"the initializer {name}")
        if isinstance(found, Outcome):
            raised = restored(found.failure, f"worker process {self.pid}")
            text = f"the initializer {name} of the lab's worker processes failed: {found.failure.kind}: {raised}"
            raise ConfigError(text) from raised

    def _swap(self, frame: Any, who: str) -> Done | Outcome:
        try:
            self.wire.send(frame)
            received = self.wire.receive()
        except OSError:
            received = None
        if received is None:
            raise self.death(who)
        answer: Done | Outcome = self.wire.load(*received)
        return answer

    def death(self, who: str) -> WorkerDied:
        """Make the error of somebody whose process has ended by itself."""
        ending = self._process.ending()
        text = f"{who}: its worker process {self.pid} {ending.how}"
        if "SIGKILL" in ending.how:
            text += " (if nobody has killed it, the system was short of memory)"
        return WorkerDied(f"{text}: {ending.stack}" if ending.stack else text)

    # -- from any thread

    def tell(self, kind: int, number: int, body: bytes = b"") -> None:
        """Tell it something about what has a number; it never waits."""
        self._outbox.send(kind, NUMBER.pack(number) + body)

    def stack(self) -> str:
        """Return where its main thread is, the most recent call last; empty if it can't be asked."""
        return self._process.stack() if self._listener.ready else ""

    def kill(self) -> None:
        """End it at once, with the processes that its body has started."""
        self.killed = True
        self._listener.closing = True
        self._process.kill()

    # -- its end

    def dismiss(self) -> None:
        """Have it end by itself."""
        self._listener.closing = True
        self.wire.shutdown()

    def close(self, seconds: float) -> bool:
        """Wait for its end, at most some seconds, then end it by force, and give all back; tell whether it is gone."""
        self.dismiss()
        if not self._process.wait(seconds):
            self.kill()
        self._outbox.close()
        gone = self._listener.join(LAST_PATIENCE) and self._process.wait(LAST_PATIENCE)
        if gone:
            with suppress(OSError):  # closed already
                self._process.close()
        return gone

    # -- what its listener hears

    def published(self, stream: str, value: Any) -> None:
        """Hear what no body can say."""
        del value
        text = f"a worker process published to {stream!r}"
        raise ActorLabError(text)

    def came_up(self) -> None:
        """Hear that it runs."""

    def died(self) -> None:
        """Hear that it has ended by itself."""
        self._died(self)
