"""Start the bodies of a run, alarm them, and take everything from those that don't end; for the deciding thread."""

from __future__ import annotations

import contextvars
from functools import partial
from typing import TYPE_CHECKING, Final

from actorlab.core import run_events as ev
from actorlab.core.run_state import RunState
from actorlab.errors import Cancelled
from actorlab.runtime.async_body import AsyncBody
from actorlab.runtime.body import Body, Hold
from actorlab.runtime.calls import Call
from actorlab.runtime.process_body import ProcessBody
from actorlab.runtime.running import run_body, run_on_loop

if TYPE_CHECKING:
    from actorlab.runtime.run_actor import RunActor
    from actorlab.runtime.work import Work

__all__ = [
    "BODIES",
    "alarm_body",
    "end_waits",
    "fence",
    "fence_body",
    "give_up",
    "grace_over",
    "put_to_work",
    "start_cleanup",
    "take",
]

S = RunState
BODIES: Final = {"thread": Body, "loop": AsyncBody, "process": ProcessBody}
TO_BE_GONE: Final = 5.0
"""So many seconds a body has to be gone, after its process was killed."""


def put_to_work(actor: RunActor, body: Body, work: Work) -> None:
    """Have a body run: by a worker, or on the lab's loop."""
    if isinstance(body, AsyncBody):
        context = contextvars.copy_context() if actor.context is None else actor.context.copy()
        if actor.lab.tracing is not None:
            context = actor.lab.tracing.within(context, body)
        actor.lab.loop.start(partial(run_on_loop, body, work), context, body.began)
    else:
        actor.lab.workers.put(partial(run_body, body, work))


def take(actor: RunActor, body: Body, work: Work, *, fresh: bool) -> None:
    """Write the tokens of a body's devices."""
    cells = actor.lab.cells
    for name in work.exclusive:
        if name in actor.held:
            cell = cells[name]
            hold = body.holds[name] = Hold(cell, body, exclusive=True)
            if fresh:
                actor.lives.pop(name, None)
            cell.entitle(hold)
    for name in work.shared:
        if name in actor.held:
            body.holds[name] = Hold(cells[name], body, exclusive=False)


def give_up(actor: RunActor, body: Body) -> None:
    """Take a body's tokens back, and remember which lives of the devices it has used."""
    body.ended = body.alarm = True
    for name, hold in body.holds.items():
        if hold.life:
            actor.lives[name] = hold.life
        if hold.cell.rightful is hold:
            hold.cell.entitle(actor.lease)
    body.holds = {}  # a hold knows its body: as a cycle, both would wait for the garbage collector


def alarm_body(actor: RunActor, action: ev.AlarmBody) -> None:
    """Let a body, or the run of a step, meet its cancellation."""
    step, reason = action
    unit = actor.units.get(step)
    if unit is not None and not unit.done():
        unit.supervisor.on(ev.Stopped(S.CANCELLED, reason))
    body = actor.bodies.get(step)
    if body is None:
        return
    shield = body.sound(reason)
    if not body.on_loop:
        end_waits(actor, body, shielded=False)
    elif not shield:
        body.stop()
    if shield > 0:
        actor.extra_grace = max(actor.extra_grace, shield)
        actor.timer(shield, partial(shield_over, actor), body)


def shield_over(actor: RunActor, body: Body) -> None:
    """Let a body meet it that was shielded until now."""
    if body.ended:
        return
    if body.on_loop:
        body.stop()
    else:
        end_waits(actor, body, shielded=True)


def end_waits(actor: RunActor, body: Body, *, shielded: bool) -> None:
    """End what a body waits for, and the calls that it asked for."""
    for _, reply in body.waiting(shielded=shielded):
        if isinstance(reply, Call):
            end_call(actor, reply)
        else:
            reply.wake()
    for call in body.asks():
        end_call(actor, call)


def end_call(actor: RunActor, call: Call) -> None:
    """Drop a call, or interrupt it."""
    if not call.drop(Cancelled(f"{call.member.on(call.target.name)} was dropped")) and not call.done():
        actor.lab.lab_actor.limits.interrupt(call, "cancel")


def fence_body(actor: RunActor, action: ev.FenceBody) -> None:
    """Take everything from a body that didn't end in time."""
    body = actor.bodies.get(action.step)
    if body is None:
        return
    give_up(actor, body)
    body.fence(actor.lost)
    end_waits(actor, body, shielded=True)
    if body.killable:  # so it has stopped
        return
    actor.stacks += (f"{body.name} didn't end within {actor.lab.cancel_grace:g} s; it is here:\n{body.where()}",)
    body.stop()


def fence(actor: RunActor, _: ev.Fence) -> None:
    """Take every device from every body."""
    for step in list(actor.bodies):
        fence_body(actor, ev.FenceBody(step))
    for cell in actor.cells:
        lent = actor.loans is not None and actor.loans.has(cell.name)
        if cell.name in actor.held and cell.name not in actor.shared and not lent:
            cell.entitle(actor.lease)


def grace_over(actor: RunActor, event: ev.GraceOver) -> None:
    """Give up what hasn't ended in time; what can be killed is killed, and then it has ended."""
    bodies = [actor.bodies[event.step]] if event.step in actor.bodies else actor.bodies.values()
    killable = [body for body in bodies if body.killable and not body.ended]
    for body in killable:
        body.kill_late()
    if killable:
        actor.timer(TO_BE_GONE, actor.on, event)
    else:
        actor.on(event)


def start_cleanup(actor: RunActor, action: ev.StartCleanup) -> None:
    """Start a clean-up; it has a time of its own."""
    work = actor.cleanups[action.number]
    body = BODIES[work.task.place](actor, -1 - action.number, 1, f"{actor.id}/{work.name}")
    body.reason = actor.core.reason
    actor.bodies[body.index] = body
    take(actor, body, work, fresh=True)
    bound = work.task.options_.timeout or actor.lab.cancel_grace
    actor.timer(bound, partial(cleanup_late, actor), (action.number, body, bound))
    put_to_work(actor, body, work)


def cleanup_late(actor: RunActor, argument: tuple[int, Body, float]) -> None:
    """Give up a clean-up that didn't end in its time."""
    index, body, bound = argument
    if body.ended:
        return
    text = f"the clean-up {body.name} didn't end within {bound:g} s"
    del actor.bodies[body.index]
    give_up(actor, body)
    body.fence()
    end_waits(actor, body, shielded=True)
    body.stop()
    actor.on(ev.CleanupEnded(index, TimeoutError(text)))
