"""Decide whether a request was made before: one key, one deed, however often it is asked for."""

from __future__ import annotations

from collections import OrderedDict
from typing import Generic, NamedTuple, TypeAlias, TypeVar

__all__ = ["Asked", "Begin", "Differs", "Done", "Full", "InHand", "Verdict"]

A = TypeVar("A")
Key: TypeAlias = tuple[str, str]


class Begin(NamedTuple):
    """It is new: do it, and tell how it ended."""


class InHand(NamedTuple):
    """The same is just being done."""


class Done(NamedTuple, Generic[A]):
    """The same was done, and this was the answer."""

    answer: A


class Differs(NamedTuple):
    """This key was used for something else."""


class Full(NamedTuple):
    """So much is in hand that no more can be remembered."""


Verdict: TypeAlias = Begin | InHand | Done[A] | Differs | Full


class Ended(NamedTuple, Generic[A]):
    """What was done under a key, with which answer, and when."""

    digest: str
    answer: A
    at: float


class Asked(Generic[A]):
    """What was asked for lately: at most `most` deeds in hand, and the newest `most` that were done, for some seconds.

    A key is its asker's own: that of somebody else is another one.
    """

    def __init__(self, most: int, seconds: float) -> None:
        self._most = most
        self._seconds = seconds
        self._in_hand: dict[Key, str] = {}
        self._ended: OrderedDict[Key, Ended[A]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._in_hand) + len(self._ended)

    def ask(self, asker: str, key: str, digest: str, now: float) -> Verdict[A]:
        """Say what is to be done about a request; `digest` tells it from others."""
        self._forget_old(now)
        mine = asker, key
        if mine in self._in_hand:
            return InHand() if self._in_hand[mine] == digest else Differs()
        if (ended := self._ended.get(mine)) is not None:
            return Done(ended.answer) if ended.digest == digest else Differs()
        if len(self._in_hand) >= self._most:
            return Full()
        self._in_hand[mine] = digest
        return Begin()

    def done(self, asker: str, key: str, answer: A, now: float) -> None:
        """Take note of the answer to what had begun."""
        digest = self._in_hand.pop((asker, key))
        self._ended[asker, key] = Ended(digest, answer, now)
        while len(self._ended) > self._most:
            self._ended.popitem(last=False)

    def failed(self, asker: str, key: str) -> None:
        """Take note that nothing came of it: who asks again has it done."""
        self._in_hand.pop((asker, key))

    def _forget_old(self, now: float) -> None:
        while self._ended and next(iter(self._ended.values())).at + self._seconds <= now:
            self._ended.popitem(last=False)
