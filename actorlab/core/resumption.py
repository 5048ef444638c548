"""Decide how an interrupted run goes on: what its record answers, what is done again, and what a person must decide.

A resumed run has the values of the steps that had finished, and never the state of its devices: they have begun new
lives since, and were made safe. So a step that relies on what a finished one had set up may not begin by itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, Literal, NamedTuple, TypeAlias

from actorlab.core.run_state import RunState

__all__ = [
    "ANSWERS",
    "ANSWERS_ABOUT_DEVICES",
    "DEVICES",
    "GO_ON",
    "REDO",
    "Doubt",
    "OnResume",
    "PastStep",
    "Resumption",
    "Was",
    "decide",
]

OnResume: TypeAlias = Literal["redo", "skip", "ask", "abort"]
Was: TypeAlias = Literal["finished", "left_out", "in_flight", "not_begun"]

REDO: Final = "redo"
SKIP: Final = "skip"
GO_ON: Final = "go on"
AGAIN: Final = "again"
ALL_AGAIN: Final = "all again"
ABORT: Final = "abort"
ANSWERS: Final = (REDO, SKIP, ABORT)
"""What can be answered about a step."""
ANSWERS_ABOUT_DEVICES: Final = (GO_ON, AGAIN, ALL_AGAIN, ABORT)

NO_ANSWERS: Final[Mapping[int, str]] = {}
NAMED: Final = 3
"""So many steps are named in a question."""
DEVICES: Final = -1
"""The number of the doubt that isn't about one step, but about devices."""


class PastStep(NamedTuple):
    """What is known of a step of an interrupted run.

    `uses` are all its devices, `changes` those it takes for itself. A `repeatable` one has retries, or is idempotent. A
    `unit` is a run of its own, and decides over its own steps. `soon_after` are those after whose end it had to start
    soon.
    """

    name: str
    was: Was
    uses: tuple[str, ...] = ()
    changes: tuple[str, ...] = ()
    on_resume: OnResume | None = None
    repeatable: bool = False
    unit: bool = False
    soon_after: tuple[int, ...] = ()


class Doubt(NamedTuple):
    """A question that only a person can answer: about a step, or about devices (`step` is -1)."""

    step: int
    text: str
    choices: tuple[str, ...]


class Resumption(NamedTuple):
    """How a run goes on: the steps it goes past, the questions that are open, and why it doesn't go on at all.

    The steps from `again_from` on begin anew, whatever they were.
    """

    passed: dict[int, RunState]
    doubts: tuple[Doubt, ...] = ()
    refusal: str = ""
    again_from: int | None = None

    def begins_anew(self, step: int) -> bool:
        """Tell whether a step forgets how far it had come."""
        return self.again_from is not None and step >= self.again_from


def decide(
    steps: Sequence[PastStep], answers: Mapping[int, str] = NO_ANSWERS, again_from: int | None = None
) -> Resumption:
    """Return how a run goes on, given the answers to the doubts so far, by the numbers of their steps.

    With `again_from` that step and all that are written after it are done again, whatever they were.
    """
    steps = [
        anew(step) if again_from is not None and number >= again_from else step for number, step in enumerate(steps)
    ]
    passed = {n: RunState.SKIPPED for n, step in enumerate(steps) if step.was == "left_out"}
    passed |= {n: RunState.SUCCEEDED for n, step in enumerate(steps) if step.was == "finished"}
    doubts: list[Doubt] = []
    for number, step in enumerate(steps):
        if step.was != "in_flight" or step.unit:
            continue
        match answers.get(number) or step.on_resume or ("redo" if step.repeatable else "ask"):
            case "redo":
                pass
            case "skip":
                passed[number] = RunState.SKIPPED
            case "abort":
                return Resumption(passed, refusal=f"{step.name} was under way when the run was interrupted")
            case _:
                doubts.append(doubt_of_step(number, step))
    for number in redone(steps, passed):
        del passed[number]
    known = Resumption(passed, tuple(doubts), again_from=again_from)
    return doubt_of_devices(steps, known, answers)


def anew(step: PastStep) -> PastStep:
    """Return a step as if it had never begun, and may begin: somebody has said so."""
    return step._replace(was="not_begun", repeatable=True, changes=step.uses, soon_after=())


def redone(steps: Sequence[PastStep], passed: Mapping[int, RunState]) -> list[int]:
    """Return the finished steps that are done again, since they are marked so and share a device with what begins."""
    marked = [n for n in passed if steps[n].was == "finished" and steps[n].on_resume == "redo"]
    needed = {device for n, step in enumerate(steps) if n not in passed for device in step.uses}
    again: list[int] = []
    while found := [n for n in marked if n not in again and needed.intersection(steps[n].uses)]:
        again += found
        needed.update(device for n in found for device in steps[n].uses)
    return again


def doubt_of_step(number: int, step: PastStep) -> Doubt:
    """Ask what becomes of a step of which nobody knows how far it came."""
    text = f"{step.name} was under way when the run was interrupted, and may have acted: do it again, or leave it out?"
    return Doubt(number, text, ANSWERS)


def doubt_of_devices(steps: Sequence[PastStep], known: Resumption, answers: Mapping[int, str]) -> Resumption:
    """Ask whether steps may begin on devices that have lost what finished ones had set up."""
    relying, first = relying_on_lost(steps, known.passed)
    if not relying:
        return known
    others = {number: given for number, given in answers.items() if number != DEVICES}
    match answers.get(DEVICES):
        case None:
            doubt = Doubt(DEVICES, in_words(steps, relying, first), ANSWERS_ABOUT_DEVICES)
            return known._replace(doubts=(*known.doubts, doubt))
        case "go on":
            return known
        case "again":
            return decide(steps, others, again_from=first)
        case "all again":
            return decide(steps, others, again_from=0)
        case _:
            return known._replace(doubts=(), refusal=in_words(steps, relying, first))


def relying_on_lost(
    steps: Sequence[PastStep], passed: Mapping[int, RunState]
) -> tuple[dict[int, tuple[str, ...]], int]:
    """Return the steps that may rely on what was lost, each with the devices, and which step first set one of them up.

    One that had to begin soon after another's end relies on that moment.
    """
    lost: dict[str, int] = {}
    relying: dict[int, tuple[str, ...]] = {}
    for number, step in enumerate(steps):
        if number in passed:
            for device in step.changes if step.was == "finished" else ():
                lost.setdefault(device, number)
        else:
            own = set_up_by(step)
            devices = tuple([device for device in step.uses if device in lost and device not in own])
            if devices or (not begins_by_itself(step) and any(other in passed for other in step.soon_after)):
                relying[number] = devices
    set_up = [lost[device] for devices in relying.values() for device in devices]
    return relying, min([*set_up, *(other for number in relying for other in steps[number].soon_after)], default=0)


def begins_by_itself(step: PastStep) -> bool:
    """Tell whether a step may begin whenever it likes: its author has said so."""
    return step.repeatable or (step.was == "in_flight" and step.on_resume == "redo")


def set_up_by(step: PastStep) -> tuple[str, ...]:
    """Return the devices that a step sets up itself: what it takes for itself, if it may be repeated.

    On what it only shares, it relies, unless its author has said what a resumption does with it.
    """
    if step.was == "in_flight" and step.on_resume == "redo":
        return step.uses
    return step.changes if step.repeatable else ()


def in_words(steps: Sequence[PastStep], relying: Mapping[int, tuple[str, ...]], first: int) -> str:
    """Say which steps rely on what, and how far back going again would begin."""
    devices = sorted({device for used in relying.values() for device in used})
    names = [steps[number].name for number in relying]
    some = ", ".join(names[:NAMED]) + (f" and {len(names) - NAMED} more" if len(names) > NAMED else "")
    since = f"{', '.join(devices)} began a new life and {'was' if len(devices) == 1 else 'were'} made safe"
    why = since if devices else "the time within which it had to begin has passed"
    text = f"{some} may rely on what was set up before the interruption, but {why} since"
    return f"{text}; again begins at {steps[first].name}"
