"""Do what other processes ask of a lab through its journal."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, Final, cast

from actorlab.errors import ConfigError, repr_of

if TYPE_CHECKING:
    from actorlab.journal import Journal, Request
    from actorlab.runtime.lab import Lab

__all__ = ["REQUESTS", "Requests"]


class Requests:
    """The requests to a lab, each carried out in a thread for that; its answer goes back through the journal."""

    def __init__(self, lab: Lab, journal: Callable[[], Journal]) -> None:
        self._lab = lab
        self._journal = journal

    def take(self, request: Request) -> None:
        """Take a request; from the journal's thread."""
        self._lab.decider.post(self._hand_on, request)

    def _hand_on(self, request: Request) -> None:
        self._lab.observers.put(partial(self._carry_out, request))

    def _carry_out(self, request: Request) -> None:
        logging.getLogger("actorlab").info(
            "%s asks by the journal: %s %r", request.asker, request.kind, request.payload
        )
        try:
            answer = done(self._lab, request)
        except Exception as error:  # noqa: BLE001 - the boundary to another process: it gets the error
            self._journal().answer(request.id, None, error=error)
        else:
            self._journal().answer(request.id, answer)


def done(lab: Lab, request: Request) -> Any:
    """Do what is asked.

    Raises:
        ConfigError: nobody knows how, or what is asked for can't be done.

    """
    act = REQUESTS.get(request.kind)
    if act is None:
        text = f"a lab doesn't know the request {request.kind!r}; it knows {', '.join(REQUESTS)}"
        raise ConfigError(text)
    given: Any = request.payload
    payload = cast("dict[str, Any]", given) if isinstance(given, dict) else dict[str, Any]()
    try:
        return act(lab, request.asker, **payload)
    except TypeError as error:
        text = f"the request {request.kind!r} with {payload!r} can't be done: {repr_of(error)}"
        raise ConfigError(text) from error


def cancel(lab: Lab, asker: str, run: str, reason: str = "") -> str:
    """Cancel a run; its state when it has been asked for."""
    found = lab.get(run)
    found.cancel(f"{asker} cancelled it{f': {reason}' if reason else ''}")
    return found.state


def pause(lab: Lab, asker: str, run: str, reason: str = "") -> str:
    """Pause a run."""
    found = lab.get(run)
    found.pause(reason or f"{asker} paused it")
    return found.state


def resume(
    lab: Lab,
    asker: str,
    run: str,
    answers: Mapping[str, str] | None = None,
    again_from: str | int | None = None,
    changed: bool = False,  # noqa: FBT001, FBT002 - it comes by its name
) -> str:
    """Let a paused run go on, or go on with one that was interrupted."""
    del asker
    paused = next((found for found in lab.runs if found.id == run and not found.done()), None)
    if paused is None:
        return lab.resume(run, answers=answers, again_from=again_from, changed=changed).state
    paused.resume()
    return paused.state


def retry(
    lab: Lab,
    asker: str,
    run: str,
    again_from: str | int | None = None,
    changed: bool = False,  # noqa: FBT001, FBT002 - it comes by its name
) -> str:
    """Do again what failed in a run."""
    del asker
    return lab.retry(run, again_from=again_from, changed=changed).state


def set_parameters(lab: Lab, asker: str, run: str, values: dict[str, Any]) -> dict[str, Any]:
    """Set parameters of a run."""
    del asker
    found = lab.get(run)
    found.set(**values)
    return found.parameters


def why(lab: Lab, asker: str, run: str) -> list[str]:
    """Say why a run doesn't simply run."""
    del asker
    return [str(reason) for reason in lab.get(run).reasons]


def questions(lab: Lab, asker: str) -> list[dict[str, Any]]:
    """Return what runs ask an operator."""
    del asker
    return [
        {"id": asked.id, "subject": asked.subject, "text": asked.text, "choices": list(asked.choices)}
        for asked in lab.questions
    ]


def answer(lab: Lab, asker: str, question: int, text: str) -> None:
    """Answer an operator's question."""
    del asker
    lab.answer(question, text)


def devices(lab: Lab, asker: str) -> dict[str, dict[str, Any]]:
    """Say how the devices stand."""
    del asker
    return {
        name: {"state": str(status.state), "holder": status.holder, "queue": list(status.queue), "error": status.why}
        for name, status in lab.status().items()
    }


def emergency_stop(lab: Lab, asker: str, reason: str = "") -> dict[str, str]:
    """Stop everything; tell for each device why it isn't known to be safe, or nothing."""
    bound = max((cell.config.safe_timeout for cell in lab.cells.values()), default=0.0)
    stopped = lab.emergency_stop(f"{asker}: {reason}" if reason else asker).result(bound + MARGIN)
    return {name: "" if error is None else str(error) for name, error in stopped.items()}


def rearm(lab: Lab, asker: str) -> None:
    """Let devices accept commands again."""
    del asker
    lab.rearm()


MARGIN: Final = 2.0
"""So many seconds an emergency stop may take beyond the bound of its slowest device."""
REQUESTS: Final[Mapping[str, Callable[..., Any]]] = {
    "cancel": cancel,
    "pause": pause,
    "resume": resume,
    "retry": retry,
    "set": set_parameters,
    "why": why,
    "questions": questions,
    "answer": answer,
    "devices": devices,
    "emergency_stop": emergency_stop,
    "rearm": rearm,
}
"""What another process may ask for; a payload names the arguments, but for who asks."""
