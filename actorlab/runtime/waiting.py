"""Wait for several runs at once: for any, for all, or until each has ended in whichever way."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import nullcontext, suppress
from typing import Any, Literal, NamedTuple

from actorlab.errors import ConfigError
from actorlab.kernel import FOREVER, Reply
from actorlab.kernel.several import watching
from actorlab.runtime.body import Body
from actorlab.runtime.run import Run
from actorlab.runtime.subscriptions import wait_in_scope
from actorlab.scope import current

__all__ = ["Waited", "wait"]


class Waited(NamedTuple):
    """The runs that have ended and those that haven't, each in the order in which they were given."""

    done: tuple[Run[Any], ...]
    pending: tuple[Run[Any], ...]


def wait(
    runs: Iterable[Run[Any]],
    timeout: float | None = None,
    return_when: Literal["any", "all", "settled"] = "settled",
) -> Waited:
    """Wait for runs, at most `timeout` seconds; in a body it is a checkpoint.

    "any": until one has ended; "all": until all have succeeded or one hasn't; "settled": until all have ended, in
    whichever way. It raises none of their errors. In an event loop, ``asyncio.gather(*runs)`` and the like do the same.

    Raises:
        AskDeadlock: it could never end, as they wait for the run in which this is called.
        ConfigError: `return_when` is none of the three.

    """
    if return_when not in ("any", "all", "settled"):
        text = f"wait(…, return_when={return_when!r}): it is 'any', 'all' or 'settled'"
        raise ConfigError(text)
    these = tuple(runs)
    coming = [run for run in these if not run.done()]
    if not enough(these, return_when):
        scope = current.get()
        with scope.awaiting(*coming, any=return_when == "any") if isinstance(scope, Body) else nullcontext():
            wait_for_enough(coming, return_when, FOREVER if timeout is None else max(0.0, timeout))
    ended = {run.id for run in these if run.done()}
    return Waited(tuple(run for run in these if run.id in ended), tuple(run for run in these if run.id not in ended))


def enough(runs: tuple[Run[Any], ...], return_when: str) -> bool:
    """Tell whether there is nothing to wait for."""
    done = [run for run in runs if run.done()]
    if len(done) == len(runs) or (done and return_when == "any"):
        return True
    return return_when == "all" and any(run.reply.exception(0) is not None for run in done)


def wait_for_enough(runs: list[Run[Any]], return_when: str, seconds: float) -> None:
    """Wait until enough of these have ended, none of which had."""
    met: Reply[None] = Reply()
    left = [None] * (1 if return_when == "any" else len(runs))

    def told(reply: Reply[Any]) -> None:
        with suppress(IndexError):  # of "any", more than one may end
            left.pop()
        if not left or (return_when == "all" and reply.exception(0) is not None):
            met.finish(None, None)

    with watching([run.reply for run in runs], told):
        wait_in_scope(met, seconds)
