"""Know what a device offers to those who ask by HTTP; what was found once holds as long as the device's life."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, TypeAlias
from weakref import WeakKeyDictionary

from actorlab.errors import ConfigError
from actorlab.server.refusing import Refused

if TYPE_CHECKING:
    from actorlab.runtime.cell import Cell
    from actorlab.runtime.lab import Lab

__all__ = ["MemberKind", "Offered", "check_device"]

MemberKind: TypeAlias = Literal["method", "attribute", "stream"]


class Offered:
    """The members of a lab's devices that somebody has asked for: to describe a class takes longer than a call."""

    def __init__(self, lab: Lab) -> None:
        self._lab = lab
        self._known: WeakKeyDictionary[Cell, tuple[int, set[tuple[str, MemberKind]]]] = WeakKeyDictionary()

    def known(self, name: str, member: str, kind: MemberKind) -> bool:
        """Tell whether a device is known to offer a member; nobody is asked."""
        cell = self._lab.cells.get(name)
        if cell is None:
            return False
        life, found = self._known.get(cell, (0, set[tuple[str, MemberKind]]()))
        return life == cell.life and (member, kind) in found

    def check(self, name: str, member: str, kind: MemberKind) -> None:
        """Refuse what the device doesn't offer, or the driver keeps to itself, saying what there is."""
        check_device(self._lab, name)
        cell = self._lab.cells[name]
        life = cell.life
        members = self._lab.describe(name)["members"]
        if member not in members or members[member]["kind"] != kind:
            there = ", ".join(other for other, told in members.items() if told["kind"] == kind) or "none"
            message = f"{name} has no {kind} {member!r}; it has {there}"
            raise Refused(404, ConfigError(message), f"device {name}")
        if cell.actor is not None:  # until it has connected, its class may be unknown
            known = {(other, told["kind"]) for other, told in members.items()}
            self._known[cell] = (life, known)


def check_device(lab: Lab, name: str) -> None:
    """Refuse a device that isn't there, saying which are."""
    if name not in lab.cells:
        message = f"the lab has no device {name!r}; it has {', '.join(lab.cells) or 'none'}"
        raise Refused(404, ConfigError(message))
