"""Say what becomes of an asked call when too many of them wait for a device already."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, get_args

from actorlab.errors import ConfigError

__all__ = ["MailboxPolicy", "Overflow"]

Overflow: TypeAlias = Literal["block", "reject", "drop_oldest", "conflate"]


@dataclass(frozen=True, kw_only=True)
class MailboxPolicy:
    """Say how many asked calls may wait for a device, and what becomes of one more.

    It concerns the calls which a holder sends by `ask`: one that blocks its caller is bounded by its thread, and calls
    from outside have their own small bound. At most `bound` of them wait; then, by `overflow`:

    - ``"block"``: `ask` waits until one of them begins;
    - ``"reject"``: `ask` raises `MailboxFull` at once;
    - ``"drop_oldest"``: the one that has waited longest never begins, and its reply is `MailboxFull`;
    - ``"conflate"``: at any time, a call takes the place of the one with the same key that waits, whose reply is
      `MailboxFull`: so the newest of each key is executed, in the order in which the places were taken. A call may so
      overtake one with another key that its sender asked in between: where that matters, wait for the reply. If
      `bound` different keys wait, `ask` waits as with ``"block"``.

    A call that has begun is never dropped. ``key(member, args)`` makes the key from the member's name (``"set_level"``,
    ``"channel[1].set_voltage"``) and the positional arguments; without it the member's name is the key.

    Raises `ConfigError` if the settings contradict each other.

    >>> MailboxPolicy(bound=8, overflow="conflate").key_of("move", (3.0,))
    'move'
    >>> MailboxPolicy(overflow="conflate", key=lambda member, args: (member, args[0])).key_of("move", ("x", 3.0))
    ('move', 'x')
    """

    bound: int = 1024
    overflow: Overflow = "block"
    key: Callable[[str, tuple[Any, ...]], Hashable] | None = None

    def __post_init__(self) -> None:
        """Refuse settings that contradict each other."""
        reason = self._mistake()
        if reason:
            message = f"MailboxPolicy: {reason}"
            raise ConfigError(message)

    def _mistake(self) -> str:
        if not isinstance(self.bound, int) or isinstance(self.bound, bool) or self.bound < 1:
            return f"bound is {self.bound!r}: give a whole number of calls, at least 1"
        if self.overflow not in get_args(Overflow):
            return f"overflow is {self.overflow!r}: it must be one of {', '.join(get_args(Overflow))}"
        if self.key is None:
            return ""
        if self.overflow != "conflate":
            return f'a key means nothing to overflow="{self.overflow}": only "conflate" looks at keys'
        return "" if callable(self.key) else f"key is {self.key!r}: give a function of the member's name and arguments"

    @classmethod
    def of(cls, given: int | MailboxPolicy) -> MailboxPolicy:
        """Return the policy that is meant: a number is the bound of one that blocks.

        Raises:
            ConfigError: it isn't a whole number, or less than 1.

        """
        return given if isinstance(given, MailboxPolicy) else cls(bound=given)

    def key_of(self, member: str, args: tuple[Any, ...]) -> Hashable:
        """Return the key of a call.

        Raises:
            ConfigError: what `key` returned can't be hashed.

        """
        if self.key is None:
            return member
        key = self.key(member, args)
        try:
            hash(key)
        except TypeError as error:
            message = f"MailboxPolicy: the key of {member} is {key!r}, which can't be hashed: return text or a tuple"
            raise ConfigError(message) from error
        return key
