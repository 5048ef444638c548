"""Say why a run doesn't simply run, in words and in data."""

from __future__ import annotations

from typing import Any, Literal, Self, TypeAlias

__all__ = ["Reason", "Why"]

Why: TypeAlias = Literal[
    "held", "reserved", "unavailable", "slots", "key", "lab", "not_before", "operator", "worker", "retry", "paused",
    "cancelling", "ended",
]  # fmt: skip


class Reason(str):
    """A sentence that says why a run waits, stands or ended; its parts say the same to a program.

    `kind` is the reason in a word, `run` whose it is, `resource` what it waits for (a device, a key, a limit), and `by`
    who has that, if it is known.
    """

    __slots__ = ("by", "kind", "resource", "run")

    kind: Why
    run: str
    resource: str
    by: tuple[str, ...]

    def __new__(cls, text: str, kind: Why, run: str, resource: str = "", by: tuple[str, ...] = ()) -> Self:
        """Make a reason of its sentence and its parts."""
        made = super().__new__(cls, text)
        made.kind, made.run, made.resource, made.by = kind, run, resource, by
        return made

    def __reduce__(self) -> tuple[Any, ...]:
        return Reason, (str(self), self.kind, self.run, self.resource, self.by)

    @property
    def data(self) -> dict[str, Any]:
        """Return the parts, as JSON can hold them."""
        return {"text": str(self), "kind": self.kind, "run": self.run, "resource": self.resource, "by": list(self.by)}
