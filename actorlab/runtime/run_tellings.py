"""Take what the bodies of a run tell from their own threads: progress, questions, events, logs."""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING, Any, Final, cast

from actorlab.core import run_events as ev
from actorlab.errors import text_of
from actorlab.runtime.notes import Progress

if TYPE_CHECKING:
    from actorlab.core.run_events import Choice
    from actorlab.kernel import Reply
    from actorlab.runtime.body import Body
    from actorlab.runtime.questions import Question
    from actorlab.runtime.run_actor import RunActor

__all__ = [
    "answered",
    "ask_decision",
    "emitted",
    "logged",
    "put_question",
    "tell_progress",
    "told_progress",
]

BETWEEN_PROGRESS: Final = 0.1
"""Seconds between two events that tell the progress of a run."""
monotonic = time.monotonic


def told_progress(actor: RunActor, body: Body, done: float, total: float | None, message: str) -> None:
    """Take note of a body's progress; from its own thread."""
    now = monotonic()
    before = actor.notes.progress.get(body.index)
    if before is None:
        since = actor.notes.began.get(body.index, now)
    else:  # another total, or a step back, is another loop, with a pace of its own
        since = before.since if before.total == total and before.done <= done else now
    actor.notes.progress[body.index] = Progress(done, total, message, since, now)
    if actor.lab.events.heard and not actor.notes.telling:
        actor.notes.telling = True
        actor.decider.post(tell_progress, actor)


def tell_progress(actor: RunActor) -> None:
    """Tell the progress that is new, and look again a moment later; for the deciding thread."""
    new = {step: told for step, told in actor.notes.progress.copy().items() if actor.notes.told.get(step) != told}
    for step, told in new.items():
        subject = actor.id if len(actor.work) == 1 else f"{actor.id}/{actor.work[step].name}"
        data: dict[str, Any] = {
            "done": told.done, "total": told.total, "message": told.message, "seconds_left": told.seconds_left,
        }  # fmt: skip
        if len(actor.work) > 1:  # steps may have the same name
            data["index"] = step
        actor.lab.events.tell(subject, "progress", data)
    actor.notes.told.update(new)
    if new and not actor.core.state.terminal:
        actor.decider.after(BETWEEN_PROGRESS, tell_progress, actor)
    else:
        actor.notes.telling = False


def put_question(actor: RunActor, body: Body, text: str, choices: tuple[str, ...], asked: Reply[Question]) -> None:
    """Put a body's question to an operator; from its own thread."""

    def ask(_: Any) -> None:
        question = actor.lab.questions_.ask(body.name, text, choices)
        actor.on(ev.Asked(body.index, f"it asks: {text}"))
        asked.finish(question, None)

    actor.decider.post(ask)


def answered(actor: RunActor, question: Question) -> None:
    """Go on after an operator's answer, or without one; from the body's thread."""
    actor.lab.questions_.withdraw(question)
    actor.decider.post(actor.on, ev.Resume())


def ask_decision(actor: RunActor, action: ev.AskDecision) -> None:
    """Ask an operator what is to become of a step that failed."""
    step, error = action
    work = actor.work[step]
    subject = actor.id if actor.drawing is None else f"{actor.id}/{work.name}"
    text = f"it failed: {text_of(error)}"
    question = actor.lab.questions_.ask(subject, text, ("retry", "skip", "abort"))
    actor.notes.questions += (question,)
    question.reply.when_done(
        lambda reply: actor.decider.post(actor.on, ev.Decided(step, cast("Choice", reply.outcome())))
    )


def emitted(actor: RunActor, body: Body, name: str, data: Any, answer: Reply[Any] | None) -> None:
    """Tell an event of a body's own; from its own thread."""
    told = {"name": name, "data": data}
    if answer is not None:
        told["acknowledge"] = partial(acknowledge, answer)
    actor.decider.post(add_emitted, (actor, body.name, told))


def add_emitted(argument: tuple[RunActor, str, dict[str, Any]]) -> None:
    """Tell what a body emitted; for the deciding thread."""
    actor, name, told = argument
    actor.lab.events.tell(name, "emit", told)


def logged(actor: RunActor, body: Body, event: str, fields: dict[str, Any]) -> None:
    """Log in the name of a body."""
    actor.lab.logger.info(event, run=actor.id, step=body.name, **fields)
    actor.decider.post(add_event, (actor, body.name, event, fields))


def add_event(argument: tuple[RunActor, str, str, dict[str, Any]]) -> None:
    """Tell what a body logged; for the deciding thread."""
    actor, name, event, fields = argument
    actor.lab.events.add(name, "log", message=event, **fields)


def acknowledge(answer: Reply[Any], value: Any = None) -> None:
    """Answer a body that waits for whoever listens."""
    answer.finish(value, None)
