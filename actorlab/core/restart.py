"""Decide whether what ended starts again, and when: at most `limit` times in any window of `period` seconds."""

from __future__ import annotations

import math
from bisect import bisect_left, insort
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Final, Literal, NamedTuple, TypeAlias, get_args

from actorlab.errors import ConfigError, repr_of

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Decision", "GiveUp", "Leave", "Restart", "RestartLimiter", "RestartPolicy", "Then", "When"]

When: TypeAlias = Literal["never", "on_failure", "always"]
Then: TypeAlias = Literal["fail", "stop_lab"]

ONLY_FOR_RESTARTS: Final = ("limit", "period", "delay", "factor", "max_delay", "jitter", "on")


@dataclass(frozen=True, kw_only=True)
class RestartPolicy:
    """Say when, how often and how fast something that ended starts again.

    At most `limit` restarts (None: any number) fall into any window of `period` seconds. The n-th restart within the
    last `period` waits ``delay * factor**(n - 1)`` seconds, at most `max_delay`, less a random part of up to `jitter`
    of it (0: none, 1: all). An error that isn't one of `on` is not worth a restart. What isn't started again after an
    error has failed; with ``then="stop_lab"`` the lab stops as well.

    Raises `ConfigError` if the settings contradict each other.

    >>> policy = RestartPolicy(delay=1)
    >>> [policy.backoff(earlier, draw=0) for earlier in range(5)]
    [1.0, 2.0, 4.0, 8.0, 10.0]
    """

    restart: When = "on_failure"
    limit: int | None = 3
    period: float = 60.0
    delay: float = 0.5
    factor: float = 2.0
    max_delay: float = 10.0
    jitter: float = 0.0
    on: tuple[type[BaseException], ...] = (Exception,)
    then: Then = "fail"

    def __post_init__(self) -> None:
        """Refuse settings that contradict each other."""
        for reason in (*_of_choice(self), *_of_numbers(self), *_of_exceptions(self)):
            message = f"RestartPolicy: {reason}"
            raise ConfigError(message)

    def backoff(self, earlier: int, draw: float) -> float:
        """Return the seconds to wait after `earlier` restarts; `draw` (0 to 1) is the chance behind the jitter."""
        try:
            grown = self.delay * float(self.factor) ** earlier
        except OverflowError:
            grown = self.max_delay if self.delay else 0.0
        return min(grown, self.max_delay) * (1 - self.jitter * draw)

    def declines(self, error: BaseException | None) -> str:
        """Say why an end with this error (None: a good end) asks for no restart; nothing, if it asks for one."""
        if self.restart == "never":
            return "its policy is never to restart"
        if error is None:
            return "" if self.restart == "always" else "it ended well"
        return "" if isinstance(error, self.on) else f"{type(error).__name__} isn't among the errors it restarts on"


class Restart(NamedTuple):
    """Start it again at this time; it is the `attempt`-th restart within the window."""

    at: float
    attempt: int


class GiveUp(NamedTuple):
    """It failed more often than the policy allows."""

    reason: str


class Leave(NamedTuple):
    """It ended, and the policy doesn't want it started again."""

    reason: str


Decision: TypeAlias = Restart | GiveUp | Leave


class RestartLimiter:
    """Count the restarts of one thing against its policy.

    A restart counts from the time it is planned for (or `took_place`, if that is later) until `period` later, both
    included. One limiter may serve several things that fail independently, as long as `now` never goes back.
    """

    def __init__(self, policy: RestartPolicy) -> None:
        """Begin with no restart counted."""
        self.policy: Final = policy
        self._restarts: list[float] = []  # in order; those that have left the window are dropped

    def ended(self, now: float, error: BaseException | None, draw: float) -> Decision:
        """Decide after an end at `now`: with an error, or well (None). `draw` is a random number from 0 to 1."""
        policy = self.policy
        if reason := policy.declines(error):
            return Leave(reason)
        del self._restarts[: bisect_left(self._restarts, now - policy.period)]
        earlier = len(self._restarts)
        if policy.limit is not None and earlier >= policy.limit:
            return GiveUp(_used_up(policy, error))
        at = now + policy.backoff(earlier, draw)
        insort(self._restarts, at)
        return Restart(at, earlier + 1)

    def took_place(self, planned: float, now: float) -> None:
        """Count a restart from `now` on, instead of from the time it was planned for."""
        index = bisect_left(self._restarts, planned)
        if self._restarts[index : index + 1] == [planned]:
            del self._restarts[index]
            insort(self._restarts, now)

    def reset(self) -> None:
        """Forget all restarts: somebody has looked at it and answers for it."""
        self._restarts.clear()


def _used_up(policy: RestartPolicy, error: BaseException | None) -> str:
    if policy.limit == 0:
        used = "its policy allows no restart"
    else:
        times = "once" if policy.limit == 1 else f"{policy.limit} times"
        used = f"it was restarted {times} within {policy.period:g} s, which is its limit"
    return f"{used}; the last end: {repr_of(error) if error is not None else 'ended well'}"


def _of_choice(policy: RestartPolicy) -> Iterator[str]:
    for name, value, choices in (("restart", policy.restart, get_args(When)), ("then", policy.then, get_args(Then))):
        if value not in choices:
            yield f"{name}={value!r} is none of {', '.join(map(repr, choices))}"
    if policy.restart == "never":
        for item in fields(policy):
            if item.name in ONLY_FOR_RESTARTS and (value := getattr(policy, item.name)) != item.default:
                yield f"restart='never' leaves no meaning to {item.name}={value!r}: drop one of the two"


def _of_numbers(policy: RestartPolicy) -> Iterator[str]:
    """Yield what is wrong with the numbers; the conditions are written so that NaN meets none of them."""
    limit: object = policy.limit  # what a caller really passed may differ from the hint
    if limit is not None and (type(limit) is not int or limit < 0):
        yield f"limit={limit!r} has to be a whole number, 0 or more; use None for any number of restarts"
    if not policy.period > 0:
        yield f"period={policy.period}: a window has to last more than 0 s"
    if not 0 <= policy.delay < math.inf:
        yield f"delay={policy.delay}: it has to be 0 s or more, and finite"
    if not 1 <= policy.factor < math.inf:
        yield f"factor={policy.factor}: a back-off grows by a factor of 1 or more, and finite"
    if not policy.delay <= policy.max_delay < math.inf:
        yield f"max_delay={policy.max_delay} has to be finite, and no less than delay={policy.delay}"
    if not 0 <= policy.jitter <= 1:
        yield f"jitter={policy.jitter}: it is a fraction of the delay, from 0 to 1"


def _of_exceptions(policy: RestartPolicy) -> Iterator[str]:
    if not _is_full_tuple(policy.on):
        yield f"on={policy.on!r} has to be a tuple of at least one exception class; restart='never' says: on none"
    elif not all(_is_exception(kind) for kind in policy.on):
        yield f"on={policy.on!r} has something in it that is no exception class"


# They take objects, since what a caller really passed may differ from the hint.


def _is_full_tuple(on: object) -> bool:
    return isinstance(on, tuple) and on != ()


def _is_exception(kind: object) -> bool:
    return isinstance(kind, type) and issubclass(kind, BaseException)
