"""Run a body on a worker thread: put values and handles in place, call it, and say whom to tell how it ended."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from actorlab.arguments import find_devices, replace
from actorlab.driving.travel import SCALARS
from actorlab.errors import WorkflowError
from actorlab.runtime.proxy import bind
from actorlab.runtime.spans import check_drawing
from actorlab.scope import current
from actorlab.task import Task
from actorlab.unknown import Unknown, value_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from actorlab.choosing import Late
    from actorlab.drawing import Drawing
    from actorlab.runtime.async_body import AsyncBody
    from actorlab.runtime.body import Body
    from actorlab.runtime.work import Work

__all__ = ["draw_late", "guarded", "run_body", "run_on_loop"]


def run_body(body: Body, work: Work) -> tuple[Callable[[Any], object], Any]:
    """Run a body, on a worker thread, and return whom to tell how it ended."""
    value = error = None
    actor = body.actor
    try:
        context = None if actor.context is None else actor.context.copy()
        if actor.lab.tracing is not None and context is not None:
            context = actor.lab.tracing.within(context, body)
        value = perform(body, work) if context is None else context.run(perform, body, work)
        if actor.journal is not None and body.index >= 0:
            actor.journal.value(body, value)
    except BaseException as raised:  # noqa: BLE001 - the thread boundary: it goes to the supervisor
        error = raised
    if body.index < 0:
        return actor.cleanup_ended, (-1 - body.index, body, error)
    return actor.body_ended, (body.index, body.attempt, value, error)


def draw_late(body: Body, work: Work, late: Late) -> tuple[Callable[[Any], object], Any]:
    """Draw a step whose arguments are known by now, on a worker thread, and return whom to tell."""
    drawing: Drawing | None = None
    error: BaseException | None = None
    actor = body.actor
    try:
        context = actor.context
        drawing = drawn(body, work, late) if context is None else context.copy().run(drawn, body, work, late)
    except BaseException as raised:  # noqa: BLE001 - the thread boundary: it goes to the supervisor
        error = raised
    return actor.drawing_ended, (body, drawing, error)


def drawn(body: Body, work: Work, late: Late) -> Drawing:
    """Draw a step in its body's name."""
    args, kwargs = arguments(body, work)
    drawing: Drawing = body.execute(late.draw, args, kwargs)
    check_drawing(drawing, tuple(late.needs), tuple(body.actor.lab.cells))
    return drawing


def perform(body: Body, work: Work) -> Any:
    """Call a body's function, with values in place of unknowns and handles in place of devices."""
    args, kwargs = arguments(body, work)
    task = work.task
    value = body.execute(task.start if type(task) is Task else task, args, kwargs)
    if (value.__class__ not in SCALARS) and find_devices((value,), {}):
        raise returned_device(body)
    return value


async def run_on_loop(body: AsyncBody, work: Work) -> None:
    """Run an asynchronous body, on the lab's loop, and tell how it ended."""
    value: Any = None
    error: BaseException | None = None
    actor = body.actor
    try:
        args, kwargs = arguments(body, work)
        value = await body.perform(work.task.function, work.task.kind, args, kwargs)
        if find_devices((value,), {}):
            raise returned_device(body)  # noqa: TRY301 - as in a thread
        if actor.journal is not None and body.index >= 0:
            actor.journal.value(body, value)
    except BaseException as raised:  # noqa: BLE001 - the thread boundary: it goes to the supervisor
        error = body.outcome_of(raised)
    if body.index < 0:
        actor.lab.decider.post(actor.cleanup_ended, (-1 - body.index, body, error))
    else:
        actor.lab.decider.post(actor.body_ended, (body.index, body.attempt, value, error))


def returned_device(body: Body) -> WorkflowError:
    """Make the error for a body that returned a device."""
    text = f"{body.name} returned a device: devices stay in the lab, so pass the device to whoever uses it"
    return WorkflowError(text)


def arguments(body: Body, work: Work) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Enter a body's scope, and return its arguments."""
    current.set(body)
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    if work.inputs is not None:  # what is most frequent in a large graph has a short way
        values = body.actor.values
        args, kwargs = tuple([values[step] for step in work.inputs]), {}
    else:
        args, kwargs = replace(work.args, work.kwargs, substitute(body))
    return args, kwargs


def substitute(body: Body) -> Callable[[Any], Any]:
    """Return what puts values in place of unknowns, and a body's handles in place of devices."""
    holds, results = body.holds, body.actor.results

    def put(found: Any) -> Any:
        if type(found) is Unknown:
            return value_of(found, results)
        hold = holds.get(found._actorlab_name)  # noqa: SLF001 - a proxy has no public names of its own
        return found if hold is None else bind(found, hold)

    return put


def guarded(logger: Any, function: Callable[[Any], object], argument: Any) -> None:
    """Call a user's callback; its error is logged and hurts nobody."""
    try:
        function(argument)
    except BaseException:
        logger.exception("a callback raised", callback=getattr(function, "__qualname__", type(function).__name__))
