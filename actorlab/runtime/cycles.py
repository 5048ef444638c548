"""Refuse a wait for runs that could never end."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

from actorlab.core.waits import Wait, circle
from actorlab.errors import AskDeadlock

if TYPE_CHECKING:
    from collections.abc import Generator

    from actorlab.runtime.body import Body
    from actorlab.runtime.run import Run
    from actorlab.runtime.run_actor import RunActor

__all__ = ["Awaited", "waiting_for"]


class Awaited(NamedTuple):
    """The runs whose ends one wait of a body is for: all of them, or any."""

    runs: tuple[Run[Any], ...]
    any: bool


@contextmanager
def waiting_for(body: Body, *runs: Run[Any], any: bool = False) -> Generator[None]:  # noqa: A002 - as in Awaited
    """Say for the length of a block for which runs a body waits; from any thread.

    It is said before the others are looked at, so of two that would wait for one another one notices.

    Raises:
        AskDeadlock: what is waited for waits for this body's run.

    """
    awaited = Awaited(runs, any)
    body.awaited[id(awaited)] = awaited
    try:
        refuse_cycle(body.actor, awaited)
        yield
    finally:
        del body.awaited[id(awaited)]


def refuse_cycle(mine: RunActor, new: Awaited) -> None:
    """Refuse a wait that could never end.

    Raises:
        AskDeadlock: it could not; the message says who waits for whom.

    """
    actors = {id(mine): mine}
    waits = {id(mine): [as_wait(new)]}
    todo = [run.supervisor for run in new.runs]
    while todo:
        actor = todo.pop()
        if id(actor) not in waits:
            found = waits_of(actor)
            actors[id(actor)] = actor
            waits[id(actor)] = [as_wait(awaited) for awaited in found]
            todo.extend(run.supervisor for awaited in found for run in awaited.runs)
    path = [actors[it].id for it in circle(waits, id(mine))]
    if path:
        text = f"{' -> '.join(path)}: this wait could never end, since {path[-2]} waits for the end of {path[-1]}"
        raise AskDeadlock(text)


def waits_of(actor: RunActor) -> list[Awaited]:
    """Return for whose ends a run waits: those of its children, and what its bodies await."""
    found = [awaited for body in list(actor.bodies.values()) for awaited in list(body.awaited.values())]
    children = tuple([run for run in actor.children if not run.done()])
    return [*found, Awaited(children, any=False)] if children else found


def as_wait(awaited: Awaited) -> Wait[int]:
    """Return a wait as the core sees it; who has ended isn't waited for."""
    coming = tuple([id(run.supervisor) for run in awaited.runs if not run.done()])
    met = awaited.any and len(coming) < len(awaited.runs)
    return Wait(() if met else coming, awaited.any)
