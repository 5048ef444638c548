"""Take what the bodies of a run tell from their own threads: progress, questions, events, logs."""

from __future__ import annotations

import logging
import reprlib
import time
from collections import deque
from functools import partial
from threading import get_ident
from typing import TYPE_CHECKING, Any, Final, cast

from actorlab.core import run_events as ev
from actorlab.errors import text_of
from actorlab.kernel import Reply
from actorlab.runtime.notes import Progress

if TYPE_CHECKING:
    from actorlab.core.run_events import Choice
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
AHEAD: Final = 256
"""So many tellings the bodies of a run may be ahead of the deciding thread."""
PATIENCE: Final = 1.0
"""A body waits for it so many seconds at most: it may be the lab that is busy."""
LINES: Final = 500
"""So many lines of its log are kept for each run."""
LONG: Final = 1000
SMALL: Final = frozenset({int, float, bool, complex, type(None)})
SHORT: Final = reprlib.Repr()
SHORT.maxother = SHORT.maxstring = LONG
TAKEN: Final = frozenset(vars(logging.makeLogRecord({}))) | {
    "asctime", "event", "exc_info", "message", "run", "stack_info", "stacklevel", "step",
}  # fmt: skip
"""Names that the standard library's logging, or the run's own fields, have already."""
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
    keep_pace(actor, body)


def add_emitted(argument: tuple[RunActor, str, dict[str, Any]]) -> None:
    """Tell what a body emitted; for the deciding thread."""
    actor, name, told = argument
    actor.lab.events.tell(name, "emit", told)


def logged(actor: RunActor, body: Body, event: str, fields: dict[str, Any]) -> None:
    """Log in the name of a body; its fields may have any names."""
    free = {f"{name}_" if name in TAKEN else name: value for name, value in fields.items()}
    tracing = actor.lab.tracing
    ids = {} if tracing is None else tracing.ids_of(body)
    actor.lab.logger.info(event, run=actor.id, step=body.name, **{**ids, **free})
    actor.decider.post(add_event, (actor, body.name, {"message": event, **fields}, in_short(event, fields)))
    keep_pace(actor, body)


def keep_pace(actor: RunActor, body: Body) -> None:
    """Let a body that tells much wait now and then for the deciding thread, whose mail would grow without bound."""
    actor.notes.tellings += 1
    if actor.notes.tellings % AHEAD or body.on_loop:
        return
    caught_up: Reply[None] = Reply()
    actor.decider.post(partial(caught_up.finish, None), None)
    caught_up.wait(PATIENCE)
    if body.fenced:  # it was given up, and may do nothing more
        body.meet(get_ident())


def in_short(event: str, fields: dict[str, Any]) -> dict[str, Any] | None:
    """Return what is kept of a line if that isn't all of it: of what may be large, a short text."""
    if len(event) <= LONG and all(is_small(value) for value in fields.values()):
        return None
    short = {name: value if is_small(value) else SHORT.repr(value) for name, value in fields.items()}
    return {"message": event[:LONG], **short}


def is_small(value: Any) -> bool:
    """Tell whether a value is data that needs little room."""
    return type(value) in SMALL or (type(value) is str and len(value) <= LONG)


def add_event(argument: tuple[RunActor, str, dict[str, Any], dict[str, Any] | None]) -> None:
    """Tell what a body logged, and keep it; for the deciding thread."""
    actor, name, told, short = argument
    event = actor.lab.events.tell(name, "log", told)
    notes = actor.notes
    if notes.log is None:
        notes.log = deque(maxlen=LINES)
    notes.log.append(event if short is None else event._replace(data=short))


def acknowledge(answer: Reply[Any], value: Any = None) -> None:
    """Answer a body that waits for whoever listens."""
    answer.finish(value, None)
