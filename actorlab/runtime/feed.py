"""Join the deciding thread, which tells, to one observer, which reads: neither ever waits for the other's work."""

from __future__ import annotations

import fnmatch
import re
from _thread import allocate_lock
from typing import TYPE_CHECKING, Final

from actorlab.core.backlog import Backlog, Event
from actorlab.kernel import Reply

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

__all__ = ["Feed", "choice"]

WILD: Final = frozenset("*?[")


class Feed:
    """One observer's side of the log: what it hasn't read, and who waits for more.

    The deciding thread alone offers and ends; any thread, signal handler or finaliser may close.
    """

    __slots__ = ("_backlog", "_lock", "_parked", "closed", "ended", "error", "wanted")

    def __init__(self, wanted: Callable[[str, str], bool] | None, bound: int) -> None:
        self.wanted = wanted
        """Whether an event of a subject and kind is for this observer; None: every one is."""
        self.closed = False
        """The observer wants no more."""
        self.ended = False
        """The lab has closed: what is here is the last."""
        self.error: BaseException | None = None
        """Why it could never begin."""
        self._backlog = Backlog(bound)
        # Several threads may read, and read again what is being thrown out: a mailbox can't be thinned. The deciding
        # thread never waits for it: when it is taken, there is one event more until the next try.
        self._lock = allocate_lock()
        self._parked: list[Reply[None]] = []

    # -- the deciding thread

    def begin(self, snapshot: Iterable[Event]) -> None:
        """Put the snapshot there, before any event."""
        self._backlog.begin(snapshot)
        if self.unread:
            self.wake()

    def offer(self, event: Event) -> None:
        """Take an event, if it is wanted; on the hot path."""
        wanted = self.wanted
        if self.closed or (wanted is not None and not wanted(event.subject, event.kind)):
            return
        if self._backlog.put(event) and self._lock.acquire(False):
            try:
                self._backlog.shrink()
            finally:
                self._lock.release()
        if self._parked:
            self.wake()

    def end(self) -> None:
        """Say that nothing comes any more."""
        self.ended = True
        self.wake()

    # -- any thread

    def close(self, error: BaseException | None = None) -> None:
        """Want no more."""
        self.error = error
        self.closed = True
        self.wake()

    def wake(self) -> None:
        """Let all look again who wait; not those who come to wait meanwhile."""
        for _ in range(len(self._parked)):
            try:
                news = self._parked.pop(0)
            except IndexError:  # somebody else woke the last one
                return
            news.finish(None, None)

    # -- the observer

    @property
    def over(self) -> bool:
        """Tell whether nothing comes any more."""
        return self.ended or self.closed

    @property
    def unread(self) -> bool:
        """Tell whether there is something to take."""
        return bool(self._backlog)

    @property
    def missed(self) -> int:
        """How many events were dropped, since too many were unread."""
        return self._backlog.missed

    def take(self) -> Event | None:
        """Remove and return the next event; None: there is none now."""
        with self._lock:
            return self._backlog.take()

    def news(self, *, unread: bool = True) -> Reply[None]:
        """Return a reply that is done when there is something to take or nothing comes any more.

        Without `unread`, what is there already is no news.
        """
        news: Reply[None] = Reply()
        self._parked.append(news)
        if self.over or (unread and self.unread):  # it came before it was parked
            self.forget(news)
            news.finish(None, None)
        return news

    def forget(self, news: Reply[None]) -> None:
        """Wait no longer."""
        try:
            self._parked.remove(news)
        except ValueError:  # it was woken
            return


def choice(kinds: Iterable[str] | None, subjects: Iterable[str] | None) -> Callable[[str, str], bool] | None:
    """Return what tells whether an observer wants an event, or None if it wants all of them; gaps it gets anyway.

    A subject stands for itself, and one with ``*``, ``?`` or ``[`` for all that match it as a file name would.
    """
    if kinds is None and subjects is None:
        return None
    right_kind = None if kinds is None else among(kinds).__contains__
    right_subject = None if subjects is None else matching(among(subjects))

    def wanted(subject: str, kind: str) -> bool:
        return (right_kind is None or right_kind(kind)) and (right_subject is None or right_subject(subject))

    return wanted


def among(names: Iterable[str]) -> frozenset[str]:
    """Return some names as a set; a single one may stand for itself."""
    return frozenset([names] if isinstance(names, str) else names)


def matching(subjects: frozenset[str]) -> Callable[[str], bool]:
    """Return what tells whether a subject is, or matches, one of these."""
    wild = "|".join(fnmatch.translate(subject) for subject in sorted(subjects) if not WILD.isdisjoint(subject))
    if not wild:
        return subjects.__contains__
    match = re.compile(wild).match
    return lambda subject: subject in subjects or match(subject) is not None
