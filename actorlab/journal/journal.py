"""Keep a journal: append what happens, and be told when it is on disk."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

from actorlab.encoding import Resolve, imported
from actorlab.errors import JournalError
from actorlab.journal.group import FIELDS, Mark, Written
from actorlab.journal.inbox import Inbox, Request
from actorlab.journal.opening import Opening
from actorlab.journal.writer import Writer

if TYPE_CHECKING:
    from actorlab.journal.keeping import Kept
    from actorlab.journal.reader import JournalReader

__all__ = ["Journal"]

MUCH: Final = 100_000
"""So many items may wait to be written before `record` waits, too."""
PATIENCE: Final = 10.0
"""So many seconds `record` waits at most."""


def ignore(*_: object) -> None:
    """Do nothing."""


class Journal:
    """A journal that is open for writing: `Journal.open(path)`.

    `append`, `took`, `record` and `when_written` may be called by any thread. What one thread appends is on disk in
    its order, and no event is on disk without those which were appended before.
    """

    __slots__ = (
        "_closed",
        "_inbox",
        "_kept",
        "_put",
        "_writer",
        "durable",
        "last_numbers",
        "opening",
        "previous",
        "where",
    )

    def __init__(self, kept: Kept, *, durable: bool, trouble: Callable[[JournalError], object],
                 recovered: Callable[[], object], request: Callable[[Request], object] | None) -> None:  # fmt: skip
        """Take over what `open` has opened."""
        self._kept = kept
        self._closed = False
        self.where = str(kept.place)
        self.durable = durable
        self.opening: Opening = kept.opening
        self.previous: Opening | None = kept.previous
        """The opening before this one: if it isn't `clean`, that lab has crashed."""
        self.last_numbers: dict[str, int] = kept.last_numbers
        """The largest number of the runs of each name."""
        self._inbox = Inbox(kept, request)
        self._writer = Writer(
            kept.store,
            kept.opening.lab,
            poll=self._inbox.look,
            trouble=trouble,
            recovered=recovered,
            finish=kept.close,
        )
        self._put = self._writer.items.extend
        self._writer.thread.start()

    @classmethod
    def open(
        cls,
        where: str | Path,
        *,
        lab: str = "lab",
        durable: bool = True,
        about: Mapping[str, Any] | None = None,
        on_trouble: Callable[[JournalError], object] = ignore,
        on_recovered: Callable[[], object] = ignore,
        on_request: Callable[[Request], object] | None = None,
    ) -> Self:
        """Open a journal, or begin one, at a path or a ``postgresql://`` URL.

        A `durable` one survives a power cut whenever it says that something is written; another one survives the end
        of this process, but a power cut may take the last moments. The callbacks are called by the journal's thread:
        when something can't be written, when that is over, and with each request of another process.

        Raises:
            JournalInUse: another process writes it.
            JournalError: it is something else, damaged, or can't be opened.

        """
        from actorlab.journal.keeping import keep  # noqa: PLC0415 - it brings SQLAlchemy

        kept = keep(where, lab, dict(about or {}) | {"durable": durable}, durable=durable)
        return cls(kept, durable=durable, trouble=on_trouble, recovered=on_recovered, request=on_request)

    # -- any thread

    def append(self, run: str, kind: str, payload: Any, now: float) -> None:
        """Append an event of a run, or (with the run "") of the lab, which happened at `now` on the monotonic clock.

        The payload is of JSON's own types, and nobody changes it any more; users' values in it are frozen (`freeze`).
        """
        self._put((run, kind, payload, now))
        if self._writer.asleep:
            self._writer.wake()

    def record(self, run: str, body: str, values: dict[str, Any], time: float) -> None:
        """Append a row that a body of a run has recorded, at so many seconds since 1970.

        It waits a while where a great many rows are still to be written.
        """
        self._put((run, Mark.ROW, (body, values), time))
        writer = self._writer
        if writer.asleep:
            writer.wake()
        if len(writer.items) > MUCH * FIELDS:
            self._let_it_write()

    def took(self, task: str, devices: tuple[str, ...], seconds: float) -> None:
        """Remember how long a step of a task took on some devices."""
        self._put((task, Mark.TOOK, ",".join(devices), seconds))
        if self._writer.asleep:
            self._writer.wake()

    def when_written(self, callback: Written) -> None:
        """Call back, in the journal's thread, when all that was appended before is on disk.

        It is called once: with None, or with the error that keeps something from being written. The callback must not
        wait for anything.
        """
        self._writer.when_written(callback)

    def flush(self, timeout: float = 30.0) -> None:
        """Wait until all that was appended before is on disk.

        Raises:
            JournalError: it can't be written, or not within `timeout` seconds.

        """
        done = threading.Event()
        errors: list[JournalError] = []

        def written(error: JournalError | None) -> None:
            if error is not None:
                errors.append(error)
            done.set()

        if self._closed or os.getpid() != self.opening.pid:
            message = f"{self.where} is closed, or belongs to another process"
            raise JournalError(message)
        self.when_written(written)
        if not done.wait(timeout):
            message = f"{self.where} wasn't written within {timeout:g} s"
            raise JournalError(message)
        if errors:
            raise errors[0]

    @property
    def trouble(self) -> JournalError | None:
        """Return what keeps the journal from being written, if anything does."""
        return self._writer.troubled

    @property
    def backlog(self) -> int:
        """Return how many items aren't written yet, or were lost to a trouble that lasts."""
        return self._writer.left

    def reader(self, *, resolve: Resolve = imported) -> JournalReader:
        """Open it for reading; classes of values are found by `resolve`."""
        from actorlab.journal.reader import JournalReader  # noqa: PLC0415 - it brings SQLAlchemy

        place = self._kept.place.path
        return JournalReader.open(self.where if place is None else place, resolve=resolve)

    # -- requests of other processes

    def pending(self) -> tuple[Request, ...]:
        """Return the requests that came and aren't answered."""
        return self._inbox.pending()

    def answer(self, request: int, result: Any, *, error: BaseException | None = None) -> None:
        """Answer a request, by a result or an error."""
        self._inbox.forget(request)
        answer = (request, error is None, result if error is None else error)
        self._put(("", Mark.ANSWER, answer, self._inbox.now()))
        self._writer.wake()

    # -- its end

    def close(self, timeout: float = 10.0) -> None:
        """Write the rest, note that the end was in order, and let others have the journal; once is enough.

        Raises:
            JournalError: something couldn't be written; it says how much, and why.

        """
        if self._closed or os.getpid() != self.opening.pid:
            return
        self._closed = True
        ended = self._writer.end(timeout)
        left = self._writer.left
        trouble = self._writer.troubled
        if left or not ended:
            why = f": {trouble}" if trouble is not None else ", because its disk doesn't answer"
            message = f"{left} last events and rows couldn't be written to {self.where}{why}"
            raise JournalError(message) from trouble

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _let_it_write(self) -> None:
        """Wait until the thread has caught up with those who record."""
        if self.trouble is None and threading.current_thread() is not self._writer.thread:
            done = threading.Event()
            self.when_written(lambda _: done.set())
            done.wait(PATIENCE)
