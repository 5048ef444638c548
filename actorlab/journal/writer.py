"""Commit what others append, in groups, in one thread that nobody waits for unless he asks to."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from actorlab.errors import JournalError, text_of
from actorlab.journal.group import FIELDS, Mark, Written

if TYPE_CHECKING:
    from actorlab.journal.store import Store

__all__ = ["Writer"]

GATHER: Final = 0.01
"""So many seconds pass between two commits that nobody waits for."""
POLL: Final = 0.25
"""The inbox is looked into so often."""
RETRY: Final = 0.5
"""So many seconds pass before what couldn't be written is tried again."""
MARGIN: Final = 2.5
"""A try in progress may take so many seconds longer than was allowed."""
MOST: Final = 20_000
"""So many items are committed together at most."""
KEPT: Final = 1_000_000
"""So many items that can't be written are kept in memory."""


class Writer:
    """The list that everybody appends to, and the thread which empties it."""

    def __init__(
        self,
        store: Store,
        name: str,
        *,
        poll: Callable[[], None],
        trouble: Callable[[JournalError], object],
        recovered: Callable[[], object],
        finish: Callable[[bool], None],
    ) -> None:
        self.items: list[Any] = []
        """What is to be written, flat: `FIELDS` elements for each item, which are added at one stroke."""
        self.asleep = False
        """Whether the thread waits for something to write: then who appends wakes it."""
        self.troubled: JournalError | None = None
        self.dropped = 0
        """So many items were dropped since the trouble began, because there were too many to keep."""
        self.lost = 0
        """So many in earlier troubles."""
        self._store = store
        self._poll = poll
        self._finish = finish
        self._trouble, self._recovered = trouble, recovered
        self._bell = threading.Lock()  # released to wake the thread; a mailbox would cost every sender its own wake-up
        self._bell.acquire()
        self._hurry = False
        self._ending = False
        self._told = 0
        """Up to here in the list, they have heard of the trouble."""
        self._give_up_at = float("inf")
        self.thread = threading.Thread(target=self._work, name=f"actorlab {name}: journal", daemon=True)

    # -- any thread

    def wake(self) -> None:
        """Let the thread write now."""
        self.asleep = False
        with contextlib.suppress(RuntimeError):  # it has been rung already
            self._bell.release()

    def when_written(self, callback: Written) -> None:
        """Call back when all that was appended before is on disk."""
        self.items.extend(("", Mark.WRITTEN, callback, 0.0))
        self._hurry = True
        self.wake()

    @property
    def left(self) -> int:
        """Return how many items aren't written, or were lost."""
        return len(self.items) // FIELDS + self.dropped

    def end(self, timeout: float) -> bool:
        """Write the rest, and end the thread; tell whether it has ended in time."""
        self._give_up_at = time.monotonic() + timeout
        self._ending = True
        self.wake()
        self.thread.join(timeout + MARGIN)
        return not self.thread.is_alive()

    # -- its own thread

    def _work(self) -> None:
        self._go_on()
        self._finish(not self.left)

    def _go_on(self) -> None:
        """Write until the end."""
        poll_at = 0.0
        while True:
            if not self.items and self._ending:
                return
            if not self._ending:
                self._rest()
            if self.items and not self._write() and self._after_trouble():
                return
            if time.monotonic() >= poll_at:
                self._look()
                poll_at = time.monotonic() + POLL

    def _rest(self) -> None:
        """Wait for something to write, and then for more of it, unless somebody waits."""
        self.asleep = True
        if not self.items and not self._hurry and not self._ending:
            self._bell.acquire(timeout=POLL)
        self.asleep = False
        if self.items and not self._hurry and not self._ending and len(self.items) < MOST * FIELDS:
            self._bell.acquire(timeout=GATHER)
        self._hurry = False

    def _write(self) -> bool:
        """Write what is there; tell whether that went well."""
        batch = self.items[: MOST * FIELDS]
        try:
            group = self._store.write(batch)
        except JournalError as error:
            self._tell(error)
            return False
        except Exception as error:  # noqa: BLE001 - the boundary of the thread: it must go on, and others must hear of it
            message = f"the journal can't be written, by a mistake in actorlab: {text_of(error)}"
            self._tell(JournalError(message).with_traceback(error.__traceback__))
            return False
        del self.items[: group.size * FIELDS]
        self._told = max(0, self._told - group.size * FIELDS)
        if self.troubled is not None:
            self.troubled = None
            if self.dropped:
                self._note_gap(max(0, KEPT - group.size) * FIELDS)
            self._call(self._recovered)
        for callback in group.waiting:
            self._call(callback, None)
        return True

    def _note_gap(self, place: int) -> None:
        """Say where items are missing, at that very place: what came before them and after them stays told apart."""
        self.items[place:place] = ("", "gap", {"lost": self.dropped}, time.monotonic())
        self.lost, self.dropped = self.lost + self.dropped, 0

    def _call(self, callback: Callable[..., object], *args: object) -> None:
        """Call what others have left to be called; their mistakes are told, and stop nothing."""
        try:
            callback(*args)
        except Exception as error:  # noqa: BLE001 - the boundary to another's code
            message = f"what was to be called when the journal was written has failed: {text_of(error)}"
            with contextlib.suppress(Exception):  # the same boundary
                self._trouble(JournalError(message))

    def _tell(self, error: JournalError) -> None:
        """Say that something couldn't be written to those who wait for it, and once to the lab."""
        first, self.troubled = self.troubled is None, error
        until = len(self.items)
        for place in range(self._told, until, FIELDS):
            if self.items[place + 1] is Mark.WRITTEN:
                callback = self.items[place + 2]
                self.items[place + 1 : place + 3] = (Mark.NOTHING, None)
                self._call(callback, error)
        self._told = until
        if first:
            self._call(self._trouble, error)

    def _drop(self, error: JournalError) -> None:
        """Forget the newest of what is too much to keep."""
        most = KEPT * FIELDS
        over = self.items[most:]
        del self.items[most : most + len(over)]
        self._told = min(self._told, most)
        self.dropped += len(over) // FIELDS
        for kind, payload in zip(over[1::FIELDS], over[2::FIELDS], strict=True):
            if kind is Mark.WRITTEN:
                self._call(payload, error)

    def _after_trouble(self) -> bool:
        """Wait before the next try; tell whether it is time to give up."""
        if len(self.items) > KEPT * FIELDS and self.troubled is not None:
            self._drop(self.troubled)
        if self._ending and time.monotonic() >= self._give_up_at:
            return True
        end = time.monotonic() + RETRY
        while not self._hurry and not self._ending and (left := end - time.monotonic()) > 0:
            self._bell.acquire(timeout=left)
        if self._ending:
            self._bell.acquire(timeout=RETRY / 10)
        self._hurry = False
        return False

    def _look(self) -> None:
        """Look into the inbox."""
        if self.troubled is None:
            with contextlib.suppress(JournalError):  # what is wrong will be told when something is to be written
                self._poll()
