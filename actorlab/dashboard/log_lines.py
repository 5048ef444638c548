"""Write a lab's events as lines of a log: when, how serious, who, what."""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from actorlab.core.run_state import RunState
from actorlab.runtime.cell import DeviceState

if TYPE_CHECKING:
    from collections.abc import Callable

    from actorlab.core.backlog import Event

__all__ = ["KINDS", "Level", "Line", "line_of"]


class Level(IntEnum):
    """How serious a line is."""

    INFO = 1
    WARNING = 2
    ERROR = 3


class Line(NamedTuple):
    """A line of the log; `time` is seconds since 1970."""

    time: float
    level: Level
    subject: str
    text: str


Written = tuple[Level, str] | None


def line_of(event: Event) -> Line | None:
    """Write an event as a line, or return None if it isn't worth one."""
    written = WRITERS[event.kind](event.data) if event.kind in WRITERS else None
    return None if written is None else Line(event.time, written[0], event.subject, written[1])


def of_log(data: dict[str, Any]) -> Written:
    """Write what a body logged; it may say by a field how serious that is."""
    named = str(data.get("level", "")).upper()
    level = Level[named] if named in Level.__members__ else Level.INFO
    fields = "".join(f" {name}={value!r}" for name, value in data.items() if name not in {"message", "level"})
    return level, f"{data.get('message', '')}{fields}"


def of_run(data: dict[str, Any]) -> Written:
    """Write what has become of a run."""
    state, error = data["state"], data.get("error")
    bad = state in {RunState.FAILED, RunState.ABANDONED}
    level = Level.ERROR if bad else Level.WARNING if error else Level.INFO
    return level, f"{state}: {error}" if error else str(state)


def of_device(data: dict[str, Any]) -> Written:
    """Write how a device stands now."""
    state, why = data["state"], data["why"]
    levels = {DeviceState.QUARANTINED: Level.ERROR, DeviceState.RESTARTING: Level.WARNING}
    return levels.get(DeviceState(state), Level.INFO), f"{state}: {why}" if why else str(state)


def of_service(data: dict[str, Any]) -> Written:
    """Write how a service stands now."""
    why = data.get("error") or data.get("why") or ""
    return (Level.WARNING if data.get("error") else Level.INFO), f"{data.get('state')}: {why}" if why else str(
        data.get("state")
    )


def of_interlock(data: dict[str, Any]) -> Written:
    """Write whether an interlock has tripped."""
    said = "has tripped" if data["tripped"] else "is clear"
    level = Level.ERROR if data["tripped"] else Level.INFO
    return level, f"interlock {data['number']} {said}: {data['message']} ({data['why']})"


def of_emergency(data: dict[str, Any]) -> Written:
    """Write how a device came out of an emergency stop."""
    return (Level.INFO, "safe") if data["safe"] else (Level.ERROR, f"not known to be safe: {data['why']}")


def of_question(data: dict[str, Any]) -> Written:
    """Write what an operator is asked."""
    choices = f" ({', '.join(data['choices'])})" if data["choices"] else ""
    return Level.WARNING, f"asks: {data['text']}{choices}"


def of_journal(data: dict[str, Any]) -> Written:
    """Write whether the journal can be written."""
    return (
        (Level.INFO, "the journal is written again") if data["well"] else (Level.ERROR, f"the journal: {data['why']}")
    )


WRITERS: Final[dict[str, Callable[[dict[str, Any]], Written]]] = {
    "log": of_log,
    "run": of_run,
    "device": of_device,
    "service": of_service,
    "interlock": of_interlock,
    "emergency": of_emergency,
    "question": of_question,
    "journal": of_journal,
    "emergency stop": lambda data: (Level.ERROR, f"emergency stop: {data['reason']}"),
    "rearmed": lambda _: (Level.WARNING, "armed again after the emergency stop"),
    "periodic": lambda data: (Level.WARNING, f"{data['method']} {data['state']}: {data['why']}"),
    "escalated": lambda data: (Level.ERROR, f"gave up: {data['reason']}"),
    "stopped": lambda data: (Level.ERROR, f"the lab stops: {data['why']}"),
    "gap": lambda _: (Level.WARNING, "some events were too many to be read, and are missing here"),
    "closed": lambda _: (Level.INFO, "the lab has closed"),
}
KINDS: Final = frozenset(WRITERS)
