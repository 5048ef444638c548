"""Refuse a wait for a run that could never end."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from actorlab.errors import AskDeadlock

if TYPE_CHECKING:
    from actorlab.runtime.body import Body
    from actorlab.runtime.run import Run
    from actorlab.runtime.run_actor import RunActor

__all__ = ["refuse_cycle"]


def refuse_cycle(body: Body, run: Run[Any]) -> None:
    """Refuse a wait that could never end; from any thread.

    Raises:
        AskDeadlock: what is waited for waits for this body's run.

    """
    mine = body.actor
    path = [mine.id]
    todo = [run.supervisor]
    seen: set[int] = set()
    while todo:
        actor = todo.pop()
        if id(actor) in seen:
            continue
        seen.add(id(actor))
        path.append(actor.id)
        if actor is mine or actor in ancestors(mine):
            text = f"{' -> '.join(path)}: this wait could never end, since {actor.id} waits for the end of {mine.id}"
            raise AskDeadlock(text)
        for other in list(actor.bodies.values()):
            todo.extend(awaited.supervisor for awaited in list(other.awaited.values()))


def ancestors(actor: RunActor) -> list[RunActor]:
    """Return the runs that wait for this one's end, since it is their child."""
    found: list[RunActor] = []
    parent = actor.parent
    while parent is not None:
        found.append(parent)
        parent = parent.parent
    return found
