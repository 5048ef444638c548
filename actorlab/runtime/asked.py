"""Write down what a run is asked to do, so that another process can ask for the same again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Final

from actorlab import encoding
from actorlab.arguments import DeviceRef, StandIn, device_name, replace, search
from actorlab.core.restart import RestartPolicy
from actorlab.encoding import digest, imported
from actorlab.errors import ConfigError, EncodingError
from actorlab.journal import freeze
from actorlab.options import Options
from actorlab.references import Reference, reference_of, task_referred
from actorlab.replay import read_policy, written_policy
from actorlab.unknown import Unknown, origin_of

if TYPE_CHECKING:
    from actorlab.runtime.lab import Lab
    from actorlab.runtime.work import Work
    from actorlab.task import Task

__all__ = [
    "DeviceName",
    "asked_for",
    "mark_of",
    "marks_of",
    "reference_in",
    "request_again",
    "resolver_of",
    "unreadable",
]

MOMENTARY: Final = ("after", "within", "not_before")
"""Options that mean something only at their own time and place."""
SHORT: Final = 16
"""So many digits of a digest tell arguments from others."""


@dataclass(frozen=True)
class DeviceName(StandIn):
    """Stand for a device, or a part of one, in what is written down."""

    name: str
    path: tuple[tuple[str, Any], ...] = ()


@dataclass(frozen=True)
class ValueOf(StandIn):
    """Stand for the value of a step, in what is written down."""

    drawing: Any
    step: int
    keys: tuple[Any, ...]


# Writing ----------------------------------------------------------------------------------------------------------


def asked_for(work: Work, steps: Sequence[Work]) -> dict[str, Any]:
    """Return what a run is asked to do as it is now, whatever becomes of its arguments later.

    `steps` are what it was drawn as, or itself.
    """
    args, kwargs = replace(work.args, work.kwargs, named)
    reference = reference_of(work.task)
    told: dict[str, Any] = {
        "kind": "task" if work.drawing is None else "workflow", "task": str(reference), "file": reference.file,
        "args": freeze(args, "args", lenient=True), "kwargs": freeze(kwargs, "kwargs", lenient=True),
        "mark": mark_of(work), "marks": marks_of(steps),
    }  # fmt: skip
    options = options_of(work.task.options_)
    return told | {"options": options} if options else told


def marks_of(steps: Sequence[Work]) -> list[str | None]:
    """Return for each step what tells its arguments from others; "" if they can't be told, None if there is no need."""
    return [None if step.inputs is not None else mark_of(step) for step in steps]


def mark_of(step: Work) -> str | None:
    """Return what tells a step's arguments from others."""
    if not step.args and not step.kwargs:
        return None
    try:
        home = reference_of(step.task).module
        return digest(replace(step.args, step.kwargs, named), step.name, home)[:SHORT]
    except EncodingError:
        return ""


def named(found: Any) -> Any:
    """Put its name in the place of a device, or of a value that isn't known yet."""
    if issubclass(type(found), DeviceRef):
        return DeviceName(device_name(found), found.__dict__["_actorlab_path"])
    return ValueOf(*origin_of(found)) if type(found) is Unknown else found


def options_of(options: Options) -> dict[str, Any]:
    """Return the options that aren't as usual."""
    told: dict[str, Any] = {}
    for field in fields(options):
        value = getattr(options, field.name)
        if field.name in MOMENTARY or value == field.default:
            continue
        told[field.name] = (
            written_policy(value) if isinstance(value, RestartPolicy) else freeze(value, field.name, lenient=True)
        )
    return told


# Reading ----------------------------------------------------------------------------------------------------------


def reference_in(told: dict[str, Any]) -> Reference:
    """Return where the task is defined that was asked for.

    Raises:
        ConfigError: nobody has asked for a task.

    """
    if "task" not in told:
        text = f"{told.get('name', 'this')} is no run that anybody has asked for"
        raise ConfigError(text)
    module, _, name = str(told["task"]).partition(":")
    return Reference(module, name, told.get("file", ""))


def resolver_of(told: dict[str, Any]) -> Callable[[str], Any]:
    """Return what finds classes again: those beside the task are where it is now.

    Raises:
        ConfigError: the task can't be found.

    """
    reference = reference_in(told)
    home = str(getattr(task_referred(reference).function, "__module__", reference.module))

    def resolve(name: str) -> Any:
        module, _, path = name.partition(":")
        return imported(f"{home}:{path}" if module == reference.module else name)

    return resolve


def request_again(lab: Lab, told: dict[str, Any]) -> tuple[Task[..., Any], tuple[Any, ...], dict[str, Any]]:
    """Return the task and the arguments that a run was asked for, with the lab's devices in their places.

    Raises:
        ConfigError: the task, an argument or a device can't be had again; the message says which, and why.

    """
    task = task_referred(reference_in(told))
    for name in ("args", "kwargs"):
        if (why := unreadable(told[name])) is not None:
            text = f"{told['task']} can't be asked for again, as its {name} can't be read: {why}"
            raise ConfigError(text)
    options: dict[str, Any] = {
        name: read_policy(value) if name == "restart" else value for name, value in told.get("options", {}).items()
    }
    args, kwargs = replace(told["args"], told["kwargs"], lambda found: part_of(lab, found))
    return task.having(Options(**options)), args, kwargs


def part_of(lab: Lab, wanted: Any) -> Any:
    """Return a device of the lab, or a part of it.

    Raises:
        ConfigError: there is no such device, or the part has no name.

    """
    found = lab.device(wanted.name)
    for how, step in wanted.path:
        match how:
            case "attribute":
                found = getattr(found, step)
            case "item":
                found = found[step]
            case _:
                text = f"a part of {wanted.name} that was passed has no name by which it could be found again"
                raise ConfigError(text)
    return found


def unreadable(value: Any) -> str | None:
    """Say why a value that was written down isn't what it was; None if it is."""
    others: list[Any] = []
    search((value,), {}, others)
    return next((str(other) for other in others if isinstance(other, encoding.StandIn)), None)
