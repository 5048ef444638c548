"""End a run: tell how, to its parent, its journal and its readers, and drop what only a living run needs."""

from __future__ import annotations

import logging
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from actorlab.core.run_state import RunState
from actorlab.runtime.outcome import error_of
from actorlab.runtime.run_tellings import tell_progress
from actorlab.runtime.standings import error_in_words

if TYPE_CHECKING:
    from actorlab.core import run_events as ev
    from actorlab.runtime.decider import Timer
    from actorlab.runtime.run import Run
    from actorlab.runtime.run_actor import RunActor

__all__ = ["NO_TIMERS", "end"]

S = RunState
NO_TIMERS: Final[list[Timer]] = []  # nobody writes to it: most runs have no timers


def end(actor: RunActor, action: ev.End) -> None:
    """End a run: nothing comes after this."""
    for timer in actor.timers:
        timer.cancel()
    if actor.notes.questions:
        end_questions(actor, action.state)
    error = None if action.state is S.SUCCEEDED else error_of(actor)
    events = actor.lab.events
    if events.heard:
        tell_progress(actor)
        told = error_in_words(error)
        events.tell(actor.id, "run", {"state": action.state, "error": told})
    actor.lab.book.end(actor)
    journal = actor.journal
    if journal is not None:
        journal.took(actor)
        journal.moved(actor, action.state, error)
    if actor.parent is not None:
        actor.parent.child_ended(actor)
    run, on_end = actor.run, actor.on_end
    let_go(actor)
    if on_end is not None:
        run.reply.finish(None, error)
        on_end()
    elif journal is not None:
        journal.once_written(partial(publish_noting, run, error))
    else:
        actor.decider.last(publish, (run, error))


def end_questions(actor: RunActor, state: RunState) -> None:
    """Take open questions back; what was skipped by an operator's word has no value."""
    for question in actor.notes.questions:
        actor.lab.questions_.withdraw(question)
    if state is S.SUCCEEDED:
        for step in range(len(actor.work)):
            if actor.core.step_state(step) is not S.SUCCEEDED:
                actor.values[step] = None


def let_go(actor: RunActor) -> None:
    """Drop what only a living run needs, and with it all cycles, so that the last reader's end frees the rest."""
    actor.timers, actor.context, actor.lease, actor.on_end = NO_TIMERS, None, None, None
    actor.parent = actor.parent_body = None
    del actor.run


def publish(argument: tuple[Run[Any], BaseException | None]) -> None:
    """Tell how a run has ended."""
    run, error = argument
    run.reply.finish(None, error)


def publish_noting(run: Run[Any], error: BaseException | None, unwritten: BaseException | None) -> None:
    """Tell how a run has ended, and that this can't be written down, if so."""
    if unwritten is None:
        run.reply.finish(None, error)
        return
    note = f"the end of {run.id} isn't in the journal: {unwritten}"
    logging.getLogger("actorlab").error(note)
    if error is None:
        run.unwritten = note
    else:
        error.add_note(note)
    run.reply.finish(None, error)
