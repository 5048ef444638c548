"""Call a device's methods in its holder's own thread, under its actor's turn: for devices configured as direct."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from actorlab.driving.travel import SCALARS, Stays, outgoing
from actorlab.runtime.calls import call_held

if TYPE_CHECKING:
    from collections.abc import Callable

    from actorlab.driving.member import Member
    from actorlab.runtime.body import Hold

__all__ = ["direct_caller"]


def direct_caller(hold: Hold, member: Member) -> Callable[..., Any]:  # noqa: C901 - all of it is one call
    """Return what calls a method of a direct device in the name of a body that holds it.

    The first call, and one after somebody else had a turn, goes through the mailbox as usual, with all its checks and
    behind the body's earlier messages. If all is well after it, the next ones need only the turn and the pass. Longer
    than ten lines, as it is the hot path.
    """
    passes: list[bool] = []
    turn: Any = None
    act: Any = None
    actor: Any = None

    def call(*args: Any, **kwargs: Any) -> Any:
        if passes:
            if turn.locked():
                actor.refuse_own(call.__code__)
            try:
                with turn:
                    if passes:
                        try:
                            value = act(*args, **kwargs)
                        except BaseException as error:
                            judged = actor.failed_directly(hold, member, error)
                            if judged is error:
                                raise
                            raise judged from error
                        if value.__class__ in SCALARS:
                            return value
                        return as_told(hold, member, args, value)
            except RuntimeError as error:
                late = actor.late(error)
                if late is error:
                    raise
                raise late from error
        return usual(args, kwargs)

    def usual(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        nonlocal passes, turn, act, actor
        value = call_held(hold, member, *args, **kwargs)
        serving: Any = hold.cell.actor  # a DirectDeviceActor, as the device is configured as direct
        if serving is not None and serving.life == hold.life:
            actor, turn, act = serving, serving.turn, serving.act_of(hold, member)
            passes = serving.admit(hold)
        return value

    call.asked = (hold, member)  # type: ignore[attr-defined]  # for `ask`
    return call


def as_told(hold: Hold, member: Member, args: tuple[Any, ...], value: Any) -> Any:
    """Return what the caller gets: a proxy in place of an object that stays with the device."""
    told = value if value.__class__ is Stays else outgoing(value, hold.life)
    return hold.cell.part(hold, member, args, told) if told.__class__ is Stays else told
