"""Stand in for what can't be read back: a class that is gone or has changed, data of an unknown kind."""

from __future__ import annotations

from typing import Any

from actorlab.errors import ActorLabError

__all__ = ["StandIn", "StandInError"]


class StandIn:
    """What could be read of a value: `kind`, the name of its class, its `fields`, and `why` it isn't itself.

    Encoding it writes down again what was written: nothing is lost by passing through here.
    """

    __slots__ = ("fields", "kind", "name", "tree", "why")

    def __init__(self, tree: dict[str, Any], fields: dict[str, Any], why: str) -> None:
        self.tree = tree
        self.kind = str(tree.get("$"))
        self.name = str(tree.get("class") or tree.get("name") or self.kind)
        self.fields = fields
        self.why = why

    def __eq__(self, other: object) -> bool:
        return isinstance(other, StandIn) and self.tree == other.tree

    def __hash__(self) -> int:
        return hash((self.kind, self.name))

    def __repr__(self) -> str:
        shown = ", ".join(f"{name}={value!r}" for name, value in self.fields.items())
        return f"<{self.name}({shown}): {self.why}>"


class StandInError(ActorLabError):
    """An exception whose class can't be found: `kind` names it."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(f"{kind.rpartition(':')[2]}: {message}".removesuffix(": "))
        self.kind = kind
        self.said = message
